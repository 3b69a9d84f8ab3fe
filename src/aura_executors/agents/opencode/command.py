"""How opencode is started: its options and what they become. Pure, except that the program is looked up."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import ActingOptions, require_same_folder
from aura_executors.adapter.program_lookup import Program

PROGRAM = Program(
    name="opencode",
    tested=("1.18.33",),
    install="npm install -g opencode-ai@1.18.33",
    package="opencode-ai@1.18.33",
    variables=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "OPENCODE_API_KEY"),
    files=("~/.local/share/opencode/auth.json",),
    log_in="run `opencode auth login`, or set the variable of the model's service, such as ANTHROPIC_API_KEY",
)

_CONFIG = "OPENCODE_CONFIG_CONTENT"
_PERMISSION = "OPENCODE_PERMISSION"

_SETTINGS = json_decoder(dict[str, Any])


class OpencodeOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `opencode`. `model` is PROVIDER/MODEL."""

    agent: str | None = None
    """The opencode agent: build, plan, or one of the user's."""
    reasoning_effort: str | None = None
    """minimal, high, max, or what the model has; opencode calls it a variant of the model."""
    yolo: bool = False
    """Approve whatever it would ask for, except what is denied. What opencode asks for is configured there."""
    permission: dict[str, Any] = {}
    """opencode's own permissions; they override the user's: ``{"bash": "ask", "edit": {"*.md": "allow"}}``."""
    config: dict[str, Any] = {}
    """Settings of ``opencode.json``; they override the user's."""
    files: tuple[str, ...] = ()
    """Attached to the prompt."""
    share: bool = False
    """Whether the user's settings may publish the session on opencode's web site."""


def arguments_of(run: AgentRun, options: OpencodeOptions) -> Iterator[str]:
    """Yield the arguments. Raises `InvalidInput` for a model without a provider, and `SessionElsewhere`."""
    if options.model is not None and not all(options.model.partition("/")):
        reason = f"{options.model!r} does not name a provider"
        raise InvalidInput(field="option model", reason=reason, remedy="write it as PROVIDER/MODEL")
    require_same_folder("opencode", run)
    yield from ("run", "--format", "json")
    yield from flags(
        {
            "--thinking": True,
            "--model": options.model,
            "--agent": options.agent,
            "--variant": options.reasoning_effort,
            "--auto": options.free,
            "--file": options.files,
            "--session": run.session_id,
            "--fork": run.fork,
        }
    )


def environment_of(run: AgentRun, options: OpencodeOptions) -> dict[str, str | None]:
    """Return what is changed of the environment: settings go by it, over those that are in it already."""
    environment = {**run.environment, **options.env}
    config: dict[str, Any] = {"autoupdate": False, **({} if options.share else {"share": "disabled"})}
    if servers := {server.name: _local(server.command) for server in run.tool_servers}:
        config["mcp"] = servers
    env: dict[str, str | None] = {**options.env, "OPENCODE_DISABLE_AUTOUPDATE": "1", "PWD": run.cwd}
    env[_CONFIG] = _over(environment, _CONFIG, _merged(config, options.config))
    if options.permission:
        env[_PERMISSION] = _over(environment, _PERMISSION, options.permission)
    return env


def _local(command: tuple[str, ...]) -> dict[str, object]:
    """Return the setting of a tool server; opencode gives it the whole of its own environment."""
    return {"type": "local", "command": list(command), "enabled": True}


def _over(environment: Mapping[str, str], name: str, settings: dict[str, Any]) -> str:
    """Return `settings` as JSON, over those that a variable holds already."""
    try:
        before = _SETTINGS.decode(environment.get(name) or "{}")
    except (msgspec.MsgspecError, RecursionError) as error:
        reason = f"variable {name} is not a JSON object, and AURA has to add to it"
        raise InvalidInput(field="environment", reason=reason, remedy="correct the variable, or unset it") from error
    return msgspec.json.encode(_merged(before, settings)).decode()


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return both; where both say something, `over` counts, tables name by name.

    >>> _merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    both = {**under, **over}
    for name in under.keys() & over.keys():
        if isinstance(under[name], dict) and isinstance(over[name], dict):
            both[name] = _merged(under[name], over[name])
    return both
