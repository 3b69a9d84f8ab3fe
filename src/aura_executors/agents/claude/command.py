"""The command of Claude Code and its options. Pure, except that the program is looked up."""

import importlib.util
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import (
    ActingOptions,
    AgentOptions,
    PositiveCount,
    Silencing,
    prompt_of,
    require_consistent_options,
    without_command,
)
from aura_executors.adapter.program_lookup import Program


def _bundled() -> str | None:
    """Return the program bundled with PyPI's ``claude-agent-sdk``, if that is installed; imports nothing of it."""
    try:
        found = importlib.util.find_spec("claude_agent_sdk")
    except (ImportError, ValueError):
        return None
    folders = (found.submodule_search_locations or ()) if found is not None else ()
    programs = (Path(folder, "_bundled", "claude") for folder in folders)
    return next((str(program) for program in programs if program.is_file()), None)


PROGRAM = Program(
    name="claude",
    tested=("2.1.197", "2.1.329"),
    install="npm install -g @anthropic-ai/claude-code@2.1.329, or pip install claude-agent-sdk==0.2.186",
    package="@anthropic-ai/claude-code@2.1.329",
    variables=(
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CODE_USE_FOUNDRY",
    ),
    files=("~/.claude/.credentials.json",),
    log_in="run `claude` and then /login, or set ANTHROPIC_API_KEY",
    bundled=_bundled,
)


class PermissionMode(StrEnum):
    """What claude does without asking; its own terms."""

    DEFAULT = "default"
    """Read; ask before everything else."""
    ACCEPT_EDITS = "acceptEdits"
    """Read and edit files in its folder."""
    PLAN = "plan"
    """Read, make a plan, and ask whether to carry it out."""
    AUTO = "auto"
    """Do whatever a model judges to be harmless."""
    DONT_ASK = "dontAsk"
    """Do only what is allowed; deny everything else without asking."""
    BYPASS_PERMISSIONS = "bypassPermissions"
    """Do everything."""


class ClaudeOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `claude`."""

    silencing: ClassVar[Silencing] = {
        **ActingOptions.silencing,
        "permission_mode": (PermissionMode.DONT_ASK, PermissionMode.BYPASS_PERMISSIONS),
    }
    permission_mode: PermissionMode | None = None
    """None: as configured by the user."""
    yolo: bool = False
    """Allow everything without asking. Claude refuses this for root, unless ``IS_SANDBOX=1`` is set."""
    allow_tools: tuple[str, ...] = ()
    """Tools that it may use without asking: ``Edit``, ``Bash(git log *)``, ``mcp__server``."""
    deny_tools: tuple[str, ...] = ()
    """Tools that it cannot use."""
    max_turns: PositiveCount | None = None
    """Maximum number of model calls."""
    max_budget_usd: Annotated[float, msgspec.Meta(gt=0, lt=1_000_000_000)] | None = None
    """Spending limit by its own count, in US dollars."""
    reasoning_effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How long the model thinks."""
    fallback_model: str | None = None
    """Used while the model is overloaded."""
    append_system_prompt: str | None = None
    """Added to claude's own instructions for the model."""
    agent: str | None = None
    """The agent that runs the session."""
    settings: str | None = None
    """A file with settings, or settings in JSON."""
    setting_sources: str | None = None
    """The settings to read: ``user``, ``project``, ``local``, separated by commas; None: all."""
    mcp_config: str | None = None
    """A file with servers of the Model Context Protocol, or these in JSON."""
    strict_mcp_config: bool = False
    """Use only those servers, not the user's configured ones."""
    add_dirs: tuple[str, ...] = ()
    """Additional folders that it may work in."""
    disable_api_key: bool = False
    """Remove ANTHROPIC_API_KEY, so that it uses the account it is logged in to."""


_QUESTION = "AskUserQuestion"
"""A tool that asks the user to choose, which an approval cannot do: it only says yes or no."""


def arguments_of(run: AgentRun, options: ClaudeOptions) -> Iterator[str]:
    """Yield the arguments. Raises `InvalidInput` for options that contradict each other."""
    require_consistent_options(options, "permission_mode")
    asking = () if _QUESTION in options.allow_tools else (_QUESTION,)
    return flags(
        {
            "-p": True,
            "--input-format": "stream-json",
            "--output-format": "stream-json",
            "--include-partial-messages": run.idle_timeout is not None,
            "--verbose": True,
            "--resume": run.session_id,
            "--fork-session": run.fork,
            "--session-id": run.new_session_id if run.fork or run.session_id is None else None,
            "--dangerously-skip-permissions": options.free,
            "--permission-prompt-tool": None if options.free else "stdio",
            "--permission-mode": options.permission_mode,
            "--allowedTools": (*options.allow_tools, *(f"mcp__{server.name}" for server in run.tool_servers)),
            "--disallowedTools": tuple(dict.fromkeys((*options.deny_tools, *asking))),
            "--model": options.model,
            "--fallback-model": options.fallback_model,
            "--effort": options.reasoning_effort,
            "--agent": options.agent,
            "--max-turns": options.max_turns,
            "--max-budget-usd": options.max_budget_usd,
            "--append-system-prompt": options.append_system_prompt,
            "--settings": options.settings,
            "--setting-sources": options.setting_sources,
            "--mcp-config": tuple(filter(None, (options.mcp_config, _servers(run.tool_servers)))),
            "--strict-mcp-config": options.strict_mcp_config,
            "--add-dir": options.add_dirs,
        }
    )


def stdin_of(run: AgentRun, options: AgentOptions) -> bytes:
    """Return the first message to the agent, with the prompt."""
    return user_message(prompt_of(run, options))


def user_message(text: str, message_id: str = "") -> bytes:
    """Return a message of the user; a space keeps ``/help`` from being a command.

    Claude reports what becomes of a message with an id, which is a UUID.
    """
    text = without_command(text).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    message: dict[str, Any] = {"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": text}]}}
    confirmed = {"uuid": message_id} if message_id else {}
    return msgspec.json.encode({**message, "session_id": "", "parent_tool_use_id": None, **confirmed}) + b"\n"


def _servers(servers: tuple[ToolServer, ...]) -> str:
    """Return the tool servers in claude's format, "" for none. Secrets are references, which claude expands."""
    if not servers:
        return ""
    found = {
        server.name: {
            "type": "stdio",
            "command": server.command[0],
            "args": list(server.command[1:]),
            "env": {name: f"${{{name}}}" for name in server.environment},
        }
        for server in servers
    }
    return msgspec.json.encode({"mcpServers": found}).decode()
