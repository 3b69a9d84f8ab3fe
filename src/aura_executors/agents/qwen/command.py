"""How Qwen Code is started: its options, and what becomes of them. Pure, but for the program, which is looked for."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_executors.adapter.options import (
    ActingOptions,
    agent_options,
    program_of,
    require_consistent_options,
    with_params,
)
from aura_executors.adapter.program_lookup import Program
from aura_executors.agents.claude.command import stdin_of as message_of

PROGRAM = Program(
    name="qwen",
    tested=("0.15.10",),
    install="npm install -g @qwen-code/qwen-code@0.15.10",
    package="@qwen-code/qwen-code@0.15.10",
    variables=("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "BAILIAN_CODING_PLAN_API_KEY"),
    files=("~/.qwen/oauth_creds.json",),
    log_in="run `qwen auth`, or set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL",
)

_INITIALIZE = (
    b'{"type":"control_request","request_id":"aura-initialize","request":{"subtype":"initialize","hooks":null}}\n'
)
"""Without it qwen 0.15 waits for permissions without asking for them."""

_QUESTION = "ask_user_question"
"""A tool that offers a choice, which an approval cannot make: it says only yes or no."""


class QwenApprovalMode(StrEnum):
    """What qwen does without asking; its own terms."""

    PLAN = "plan"
    DEFAULT = "default"
    AUTO_EDIT = "auto-edit"
    YOLO = "yolo"


class QwenOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `qwen-code`."""

    approval_mode: QwenApprovalMode | None = None
    """None: as configured by the user."""
    sandbox: bool = False
    """Run its tools in a sandbox: Docker, Podman or macOS's own."""
    allow_tools: tuple[str, ...] = ()
    """Tools that it may use without asking: ``run_shell_command(git log)``."""
    deny_tools: tuple[str, ...] = ()
    """Tools that it cannot use."""
    max_turns: int | None = None
    """How often the model may be called; at least 1."""
    append_system_prompt: str | None = None
    """Added to qwen's own instructions for the model."""
    auth_type: str | None = None
    """openai, anthropic, qwen-oauth, gemini or vertex-ai; None: as configured."""
    add_dirs: tuple[str, ...] = ()
    """Additional folders that it may work in."""


def options_of(run: AgentRun) -> QwenOptions:
    """Return the options of `run`. Raises `InvalidInput` for invalid ones."""
    options = agent_options("qwen-code", run, QwenOptions)
    require_consistent_options(options, "approval_mode")
    if options.max_turns is not None and options.max_turns < 1:
        raise InvalidInput(field="option max_turns", reason="it must be at least 1")
    return options


def argv_of(run: AgentRun, options: QwenOptions) -> tuple[str, ...]:
    """Return the command. The prompt is not in it: it goes by standard input."""
    program = program_of(PROGRAM, options, run.environment)
    protocol = ("--input-format=stream-json", "--output-format=stream-json")
    return (*program, *with_params((*protocol, *_session(run), *_settings(options), *_tools(run, options)), options))


def environment_of(options: QwenOptions) -> dict[str, str | None]:
    """Return what is changed in the environment: no process in between that keeps signals from the agent."""
    return {"QWEN_CODE_NO_RELAUNCH": "true", **options.env}


def stdin_of(run: AgentRun, options: QwenOptions) -> bytes:
    """Return the first words to the agent."""
    return _INITIALIZE + message_of(run, options)


def _session(run: AgentRun) -> Iterator[str]:
    if run.session_id is not None:
        yield f"--resume={run.session_id}"
    elif run.new_session_id:
        yield f"--session-id={run.new_session_id}"


def _settings(options: QwenOptions) -> Iterator[str]:
    if options.free:
        yield "--yolo"
    if options.sandbox:
        yield "--sandbox"
    named = {
        "model": options.model,
        "approval-mode": options.approval_mode,
        "max-session-turns": options.max_turns,
        "append-system-prompt": options.append_system_prompt,
        "auth-type": options.auth_type,
    }
    yield from (f"--{name}={value}" for name, value in named.items() if value is not None)
    yield from (f"--include-directories={folder}" for folder in options.add_dirs)


def _tools(run: AgentRun, options: QwenOptions) -> Iterator[str]:
    yield from (f"--allowed-tools={tool}" for tool in options.allow_tools)
    asking = () if _QUESTION in options.allow_tools else (_QUESTION,)
    yield from (f"--exclude-tools={tool}" for tool in dict.fromkeys((*options.deny_tools, *asking)))
    if run.tool_servers:
        yield f"--mcp-config={_servers(run.tool_servers)}"


def _servers(servers: tuple[ToolServer, ...]) -> str:
    """Return the tool servers. They inherit qwen's environment; a reference would not be expanded."""
    found = {one.name: {"command": one.command[0], "args": list(one.command[1:]), "trust": True} for one in servers}
    return msgspec.json.encode({"mcpServers": found}).decode()
