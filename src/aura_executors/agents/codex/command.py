"""The command of codex and its options. Pure, except that the program is looked up."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, ClassVar, Literal

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_executors.adapter.options import ActingOptions, Silencing, require_consistent_options
from aura_executors.adapter.program_lookup import Program

PROGRAM = Program(
    name="codex",
    tested=("0.169.0",),
    install="npm install -g @openai/codex@0.169.0",
    package="@openai/codex@0.169.0",
    files=("~/.codex/auth.json",),
    log_in="run `codex login`, or set option api_key_env to the variable that has a key of OpenAI's API",
)

KEYS = ("CODEX_API_KEY", "OPENAI_API_KEY")
"""Variables with a key. Codex uses the first only with ``exec``, and never the other; see option `api_key_env`."""

_KEY = re.compile(r"[A-Za-z0-9_-]+|\"[^\"\\\x00-\x1f]+\"")
"""A part of a dotted key of TOML (toml.io, version 1.0, keys)."""

_PATH = re.compile(rf"(?:{_KEY.pattern})(?:\.(?:{_KEY.pattern}))*")

_LOCAL_MODELS = {"ollama": "gpt-oss:20b", "lmstudio": "openai/gpt-oss-20b"}
"""What ``codex exec --oss`` uses when no model is named; ``codex app-server`` needs the name."""


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Protocol(StrEnum):
    """The protocol between AURA and codex."""

    APP_SERVER = "app-server"
    """``codex app-server``: two-way, so that it can ask for permission."""
    EXEC = "exec"
    """``codex exec --json``: one-way. Anything not permitted in advance is rejected."""


class Sandbox(StrEnum):
    """What the model's commands may access; codex's own terms."""

    READ_ONLY = "read-only"
    WORKSPACE_WRITE = "workspace-write"
    DANGER_FULL_ACCESS = "danger-full-access"


class ApprovalPolicy(StrEnum):
    """When codex asks; its own terms."""

    UNTRUSTED = "untrusted"
    """Before every command that is not known to be harmless."""
    ON_REQUEST = "on-request"
    """When the model wants more than the sandbox permits."""
    NEVER = "never"


class CodexOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `codex`."""

    silencing: ClassVar[Silencing] = {
        **ActingOptions.silencing,
        "approval_policy": (ApprovalPolicy.NEVER,),
        "protocol": (Protocol.EXEC,),
    }
    protocol: Protocol = Protocol.APP_SERVER
    sandbox: Sandbox | None = None
    """None: workspace-write, whatever the user's configuration says: the folder was made for the agent to write in."""
    approval_policy: ApprovalPolicy | None = None
    """None: on-request. With protocol exec it never asks."""
    yolo: bool = False
    """Allow everything, without a sandbox and without asking."""
    full_auto: bool = False
    """The old name of sandbox workspace-write with approval_policy on-request."""
    reasoning_effort: str | None = None
    """minimal, low, medium, high, xhigh, or what the model has."""
    reasoning_summary: str | None = None
    """auto, concise, detailed or none."""
    profile: str | None = None
    """Settings in ``$CODEX_HOME/NAME.config.toml`` override those in ``config.toml``."""
    config: dict[str, Any] = {}
    """Settings of ``config.toml`` by dotted key; they override all others. Write an ``env_key`` as ``$NAME``."""
    oss: bool = False
    """Use a model on this machine."""
    local_provider: Literal["ollama", "lmstudio"] | None = None
    """What runs it; implies `oss`. None: ollama."""
    api_key_env: str | None = None
    """The environment variable with an OpenAI API key; None: codex's own login or configuration.

    On its own codex reads only CODEX_API_KEY, and only with protocol exec.
    """
    append_system_prompt: str | None = None
    """Added to codex's own instructions for the model."""
    add_dirs: tuple[str, ...] = ()
    """Additional folders that the sandbox workspace-write permits writing to."""
    network_access: bool | None = None
    """Whether the sandbox workspace-write permits commands to use the network; None: as configured, by default not."""

    @property
    def sandboxed(self) -> Sandbox:
        """The sandbox that is in force."""
        return Sandbox.DANGER_FULL_ACCESS if self.free else self.sandbox or Sandbox.WORKSPACE_WRITE

    @property
    def asking(self) -> ApprovalPolicy:
        """The policy that is in force."""
        return ApprovalPolicy.NEVER if self.free else self.approval_policy or ApprovalPolicy.ON_REQUEST

    @property
    def provider(self) -> Literal["ollama", "lmstudio"] | None:
        """What runs the model on this machine; None: nothing does."""
        return self.local_provider or ("ollama" if self.oss else None)


def require_valid(run: AgentRun, options: CodexOptions) -> None:
    """Raise `InvalidInput` for options that duplicate each other or that codex would misunderstand."""
    require_consistent_options(options, "sandbox", "approval_policy", "full_auto")
    if options.full_auto and (options.sandbox or options.approval_policy):
        reason = f"it duplicates option {'sandbox' if options.sandbox else 'approval_policy'}"
        raise InvalidInput(field="option full_auto", reason=reason, remedy="give one of them")
    if options.api_key_env and options.provider:
        raise InvalidInput(field="option api_key_env", reason="a model on this machine needs no key")
    for key in options.config:
        if not _PATH.fullmatch(key):
            raise InvalidInput(field="option config", reason=f"{key!r} is not a dotted TOML key")
    if options.api_key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", options.api_key_env):
        raise InvalidInput(field="option api_key_env", reason="is not the name of a variable", remedy="name one")
    if options.protocol is Protocol.EXEC and run.session_id is not None and not _UUID.fullmatch(run.session_id):
        reason = f"{run.session_id!r} is not the id of a codex session, and `codex exec resume` would begin a new one"
        raise InvalidInput(field="session", reason=reason, remedy="name the id that codex gave it")


def arguments_of(run: AgentRun, options: CodexOptions) -> Iterator[str]:
    """Yield the arguments up to the session. The prompt goes to standard input, where its length is unlimited."""
    if options.protocol is Protocol.APP_SERVER:
        yield from ("-p", options.profile, "app-server") if options.profile else ("app-server",)
    else:
        yield from ("exec", *_exec_flags(options))
    for setting in _settings(run, options):
        yield from ("-c", setting)


def session_of(run: AgentRun, options: CodexOptions) -> tuple[str, ...]:
    """Return the subcommand of ``codex exec``; ``-`` reads the prompt from standard input, ``--`` ends the options."""
    if options.protocol is Protocol.APP_SERVER:
        return ()
    if run.session_id is None:
        return ("--", "-")
    return ("fork" if run.fork else "resume", "--", run.session_id, "-")


def thread_of(run: AgentRun, options: CodexOptions) -> tuple[str, dict[str, Any]]:
    """Return the request of the app-server that begins the run: its method and parameters."""
    params: dict[str, Any] = {
        "cwd": run.cwd,
        "sandbox": options.sandboxed.value,
        "approvalPolicy": options.asking.value,
    }
    if model := _model(options):
        params["model"] = model
    if options.provider:
        params["modelProvider"] = options.provider
    if run.session_id is None:
        return "thread/start", params
    known = {"threadId": readable(run.session_id), "excludeTurns": True}
    return ("thread/fork" if run.fork else "thread/resume"), {**known, **params}


def readable(text: str) -> str:
    """Return `text` as valid Unicode: lone surrogates become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def toml(value: object) -> str:
    """Return a JSON value as TOML writes it in one line (toml.io, version 1.0).

    >>> toml({"args": ["a", 'b"'], "on": True})
    '{"args" = ["a", "b\\\\""], "on" = true}'
    """
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(str(name))} = {toml(one)}" for name, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(toml(one) for one in value) + "]"
        case None:
            raise InvalidInput(field="option config", reason="TOML has no null", remedy="leave the setting out")
        case str():
            return msgspec.json.encode(readable(value)).decode().replace("\x7f", "\\u007f")
        case _:
            return msgspec.json.encode(value).decode()


def _exec_flags(options: CodexOptions) -> Iterator[str]:
    yield from ("--json", "--skip-git-repo-check")
    if options.free:
        yield "--dangerously-bypass-approvals-and-sandbox"
    else:
        yield from ("--sandbox", options.sandboxed.value)
    if options.model:
        yield f"--model={options.model}"
    if options.profile:
        yield from ("--profile", options.profile)
    if options.provider:
        yield from ("--oss", "--local-provider", options.provider)


def _model(options: CodexOptions) -> str | None:
    return options.model or (_LOCAL_MODELS[options.provider] if options.provider else None)


def _settings(run: AgentRun, options: CodexOptions) -> Iterator[str]:
    """Yield settings that override the user's configuration, as ``key=value``; later ones win."""
    if options.protocol is Protocol.EXEC and not options.free:
        yield 'approval_policy="never"'
    if options.reasoning_effort:
        yield f"model_reasoning_effort={toml(options.reasoning_effort)}"
    if options.reasoning_summary:
        yield f"model_reasoning_summary={toml(options.reasoning_summary)}"
    if options.api_key_env:
        yield from _api_key(options.api_key_env)
    if options.append_system_prompt:
        yield f"developer_instructions={toml(options.append_system_prompt)}"
    if options.add_dirs:
        yield f"sandbox_workspace_write.writable_roots={toml(options.add_dirs)}"
    if options.network_access is not None:
        yield f"sandbox_workspace_write.network_access={toml(options.network_access)}"
    for server in run.tool_servers:
        yield from _tool_server(server)
    for key, value in options.config.items():
        named = key.endswith("env_key") and isinstance(value, str)
        yield f"{key}={toml(value.removeprefix('$') if named else value)}"


def _api_key(variable: str) -> Iterator[str]:
    """Yield the settings of OpenAI's provider with its key in a variable."""
    place = "model_providers.openai-api"
    yield 'model_provider="openai-api"'
    yield f'{place}.name="OpenAI"'
    yield f'{place}.base_url="https://api.openai.com/v1"'
    yield f'{place}.wire_api="responses"'
    yield f"{place}.env_key={toml(variable)}"


def _tool_server(server: ToolServer) -> Iterator[str]:
    """Yield the settings of a tool server. Codex starts it with a clean environment and the variables in `env_vars`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", server.name):
        reason = f"codex takes letters, digits, hyphens and underscores, and not {server.name!r}"
        raise InvalidInput(field="tool server", reason=reason)
    if not server.command:
        raise InvalidInput(field="tool server", reason=f"{server.name} has no command")
    place = f"mcp_servers.{server.name}"
    yield f"{place}.command={toml(server.command[0])}"
    yield f"{place}.args={toml(server.command[1:])}"
    if server.environment:
        yield f"{place}.env_vars={toml(server.environment)}"
    yield f'{place}.default_tools_approval_mode="approve"'
