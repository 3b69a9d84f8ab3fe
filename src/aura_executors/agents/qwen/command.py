"""How Qwen Code is started: its options, and what becomes of them. Pure, but for the program, which is looked for."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import ActingOptions, PositiveCount, Silencing, require_consistent_options
from aura_executors.adapter.program_lookup import Program

PROGRAM = Program(
    name="qwen",
    tested=("0.15.10",),
    install="npm install -g @qwen-code/qwen-code@0.15.10",
    package="@qwen-code/qwen-code@0.15.10",
    variables=("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "BAILIAN_CODING_PLAN_API_KEY"),
    files=("~/.qwen/oauth_creds.json",),
    log_in="run `qwen auth`, or set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL",
)

INITIALIZE = (
    b'{"type":"control_request","request_id":"aura-initialize","request":{"subtype":"initialize","hooks":null}}\n'
)
"""Without it qwen 0.15 waits for permissions without asking for them."""

_QUESTION = "ask_user_question"
"""A tool that offers a choice, which an approval cannot make: it says only yes or no."""


class QwenOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `qwen-code`."""

    silencing: ClassVar[Silencing] = {**ActingOptions.silencing, "approval_mode": ("yolo",)}
    approval_mode: Literal["plan", "default", "auto-edit", "yolo"] | None = None
    """What it does without asking; None: as configured by the user."""
    sandbox: bool = False
    """Run its tools in a sandbox: Docker, Podman or macOS's own."""
    allow_tools: tuple[str, ...] = ()
    """Tools that it may use without asking: ``run_shell_command(git log)``."""
    deny_tools: tuple[str, ...] = ()
    """Tools that it cannot use."""
    max_turns: PositiveCount | None = None
    """How often the model may be called."""
    append_system_prompt: str | None = None
    """Added to qwen's own instructions for the model."""
    auth_type: str | None = None
    """openai, anthropic, qwen-oauth, gemini or vertex-ai; None: as configured."""
    add_dirs: tuple[str, ...] = ()
    """Additional folders that it may work in."""


def arguments_of(run: AgentRun, options: QwenOptions) -> Iterator[str]:
    """Yield the arguments. Raises `InvalidInput` for options that contradict each other."""
    require_consistent_options(options, "approval_mode")
    asking = () if _QUESTION in options.allow_tools else (_QUESTION,)
    return flags(
        {
            "--input-format": "stream-json",
            "--output-format": "stream-json",
            "--include-partial-messages": run.idle_timeout is not None,
            "--resume": run.session_id,
            "--session-id": run.new_session_id if run.session_id is None else None,
            "--yolo": options.free,
            "--sandbox": options.sandbox,
            "--model": options.model,
            "--approval-mode": options.approval_mode,
            "--max-session-turns": options.max_turns,
            "--append-system-prompt": options.append_system_prompt,
            "--auth-type": options.auth_type,
            "--include-directories": options.add_dirs,
            "--allowed-tools": options.allow_tools,
            "--exclude-tools": tuple(dict.fromkeys((*options.deny_tools, *asking))),
            "--mcp-config": _servers(run.tool_servers) if run.tool_servers else None,
        }
    )


def _servers(servers: tuple[ToolServer, ...]) -> str:
    """Return the tool servers. They inherit qwen's environment; a reference would not be expanded."""
    found = {one.name: {"command": one.command[0], "args": list(one.command[1:]), "trust": True} for one in servers}
    return msgspec.json.encode({"mcpServers": found}).decode()
