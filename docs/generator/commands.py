"""Commands: what a person types to run an agent, and the command that AURA starts, as the executor builds it."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from aura_contracts.ports.executors import AgentRun, Executor, Launch
from aura_executors.adapter.program_lookup import Program
from generator.markdown import table

MODEL = "qwen3-coder"

NEEDED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "acp": {"agent": "claude-agent-acp"},
        "custom": {"base_command": "sh", "params": ["-c", 'echo "$AURA_PROMPT" >> wishes.txt']},
        "lms": {"model": MODEL},
        "local": {"openai_endpoint": "http://127.0.0.1:11434/v1", "model": MODEL},
        "ollama": {"model": MODEL},
        "scripted": {"steps": [{"append": {"path": "greeting.txt", "text": "Hello!\n"}}]},
    }
)
"""Options that an example needs."""

_ARGUMENTS = ("base_command", "model", "openai_endpoint")
"""Options that ``aura run`` has arguments for."""

_RUN = AgentRun(prompt="PROMPT", cwd="/repository", new_session_id="NEW-SESSION", environment={"PATH": "/nowhere"})


def commands(executor: Executor) -> Iterator[str]:
    """Yield the commands to type."""
    begin = f"aura run --executor {executor.name}"
    words = "".join(_words(NEEDED.get(executor.name, {})))
    yield f'{begin}{words} --prompt "Greet people by their name"'
    if executor.capability.resume:
        yield f'{begin}{words} --resume-latest --prompt "Also in the mail"'


def command_of(executor: Executor, program: Program | None) -> Iterator[str]:
    """Yield the blocks about the process that AURA starts."""
    options = dict(NEEDED.get(executor.name, {}))
    named = options.get("agent") or (program.name if program is not None else None)
    if named is not None:
        options["executable"] = named  # wherever it is on this machine
    run = attrs.evolve(_RUN, options=options)
    launch = executor.launch(run)
    kinds = {"new session": launch}
    can = executor.capability
    if can.resume:
        kinds["resumed"] = executor.launch(attrs.evolve(run, session_id=_session(executor)))
    if can.fork:
        kinds["forked"] = executor.launch(attrs.evolve(run, session_id=_session(executor), fork=True))
    if len({one.argv for one in kinds.values()}) == 1:
        kinds = {"the command": launch}
    yield table(("", "AURA runs"), [(kind, f"`{_shown(one)}`") for kind, one in kinds.items()])
    yield " ".join(_surroundings(launch))


def _session(executor: Executor) -> str:
    return "scripted-1" if executor.name == "scripted" else "SESSION"


def _surroundings(launch: Launch) -> Iterator[str]:
    if launch.interactive:
        yield "Its standard input stays open: AURA talks to it while it works."
    elif launch.stdin is not None:
        yield "The prompt is written to its standard input, which is then closed."
    else:
        yield "Its standard input is `/dev/null`."
    given = [f"`{name}={_value(text)}`" for name, text in launch.env.items() if text is not None]
    taken = [f"`{name}`" for name, text in launch.env.items() if text is None]
    if given:
        yield f"AURA adds to its environment: {', '.join(given)}."
    if taken:
        yield f"AURA removes from its environment: {', '.join(taken)}."


def _value(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)


def _shown(launch: Launch) -> str:
    """Return the command without the folders of the machine that generates the page."""
    words = ["python" if word == sys.executable else word for word in launch.argv]
    return shlex.join(Path(word).name if Path(word).is_absolute() and Path(word).exists() else word for word in words)


def _words(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if name in _ARGUMENTS:
            yield f" --{name.replace('_', '-')} {shlex.quote(value)}"
        elif name == "params":
            yield from (f" --param {shlex.quote(param)}" for param in value)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f" --option {shlex.quote(f'{name}={text}')}"
