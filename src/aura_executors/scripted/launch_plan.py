"""How a scripted agent is started: options, the steps checked, and what the program reads first. Pure."""

import json
import re
import sys
from typing import Any

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.ports.executors import AgentRun, Launch
from aura_executors import isolated
from aura_executors.adapter.option_reader import read_options
from aura_executors.scripted.steps import InvalidSteps, Step, has, rounds_of

_SESSION = re.compile(r"scripted-(?P<finished>[0-9]{1,9})")


class ScriptedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `scripted`: exactly one of these."""

    steps: list[Any] | None = None
    """The same steps for every round."""
    rounds: list[Any] | None = None
    """Lists of steps, one for each round."""
    script: str | None = None
    """A TOML or JSON file, on the worker, that has `steps` or `rounds`; a relative path begins in the worktree."""


def launch_of(name: str, run: AgentRun) -> Launch:
    """Return the command for `run`. Raises `InvalidInput`, also for steps that cannot be carried out."""
    if run.fork:
        raise InvalidInput(field="fork", reason=f"{name} cannot fork a session", remedy="resume it")
    options = read_options(name, run.options, ScriptedOptions)
    given = {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
    if len(given) != 1:
        remedy = "give exactly one of the options steps, rounds and script"
        raise InvalidInput(field="options", reason=f"executor {name} has no steps", remedy=remedy)
    finished = _finished_in(run.session_id)
    request: dict[str, Any] = {"prompt": run.prompt, "finished": finished}
    asks = True
    if options.script is None:
        steps = _checked(given)
        asks = has("ask", steps[min(finished, len(steps) - 1)])
        request["rounds"] = options.rounds or [options.steps]
    else:
        request["script"] = options.script
    return Launch(
        argv=(sys.executable, "-I", "-S", isolated.__file__, "aura_executors.scripted.agent"),
        stdin=json.dumps(request).encode() + b"\n",
        interactive=asks,
    )


def _checked(given: dict[str, Any]) -> list[list[Step]]:
    try:
        rounds = rounds_of(given)
    except (InvalidSteps, RecursionError) as error:
        raise InvalidInput(field="options", reason=str(error)) from error
    for step in (step for steps in rounds for step in steps):
        _require_known_reasons(step)
    return rounds


def _require_known_reasons(step: Step) -> None:
    name, arguments = step
    reasons = [reason.value for reason in FailureReason]
    if name == "fail" and arguments.get("reason", reasons[0]) not in reasons:
        raise InvalidInput(field="options", reason=f"fail: {arguments['reason']!r} is not one of {', '.join(reasons)}")
    for inner in (*arguments.get("then", ()), *arguments.get("otherwise", ())):
        _require_known_reasons(inner)


def _finished_in(session_id: str | None) -> int:
    """Return how many rounds of the session are done; one, if the steps gave the session a name of their own."""
    if session_id is None:
        return 0
    found = _SESSION.fullmatch(session_id)
    return int(found["finished"]) if found else 1
