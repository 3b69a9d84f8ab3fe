"""The command of the GitHub Copilot CLI. Pure, except that the program is looked up."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import ActingOptions
from aura_executors.adapter.program_lookup import Program

PROGRAM = Program(
    name="copilot",
    tested=("1.0.102",),
    install="npm install -g @github/copilot@1.0.102",
    package="@github/copilot@1.0.102",
    variables=("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_BASE_URL"),
    log_in="run copilot login, or set COPILOT_GITHUB_TOKEN",
)


class CopilotOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `copilot`. Without any permission it can only read the folder it works in."""

    yolo: bool = False
    """Every tool, path and URL, without asking."""
    allow_all_tools: bool = False
    """Every tool without asking; paths and URLs are judged separately."""
    allow_all_paths: bool = False
    allow_all_urls: bool = False
    allow_tools: tuple[str, ...] = ()
    """What may be used without asking: ``write``, ``shell(git:*)``, ``url(github.com)``, ``SERVER(tool)``."""
    deny_tools: tuple[str, ...] = ()
    """What may not be used, whatever else is allowed; in the same form."""
    allow_urls: tuple[str, ...] = ()
    deny_urls: tuple[str, ...] = ()
    available_tools: tuple[str, ...] = ()
    """The only tools that the model is offered; none named: all."""
    excluded_tools: tuple[str, ...] = ()
    """Tools that the model is not offered."""
    add_dirs: tuple[str, ...] = ()
    """Additional folders that it may work in."""
    disable_mcp_servers: tuple[str, ...] = ()
    """Servers of its settings that it does not start."""
    no_ask_user: bool = True
    """Do not offer it the tool for asking the human: in a run it gets no answer."""
    no_custom_instructions: bool = False
    """Leave out AGENTS.md and the like."""
    agent: str | None = None
    """The one of its own agents to use."""
    mode: Literal["interactive", "plan", "autopilot"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


def arguments_of(run: AgentRun, options: CopilotOptions) -> Iterator[str]:
    """Yield the arguments."""
    yield from flags(
        {
            "--output-format": "json",
            "--resume": run.session_id,
            "--session-id": run.new_session_id if run.session_id is None else None,
            "--model": options.model,
            "--agent": options.agent,
            "--mode": options.mode,
            "--reasoning-effort": options.reasoning_effort,
            "--allow-all": options.yolo,
            "--allow-all-tools": options.allow_all_tools,
            "--allow-all-paths": options.allow_all_paths,
            "--allow-all-urls": options.allow_all_urls,
            "--no-ask-user": options.no_ask_user,
            "--no-custom-instructions": options.no_custom_instructions,
            "--allow-tool": options.allow_tools,
            "--deny-tool": options.deny_tools,
            "--allow-url": options.allow_urls,
            "--deny-url": options.deny_urls,
            "--available-tools": options.available_tools,
            "--excluded-tools": options.excluded_tools,
            "--add-dir": options.add_dirs,
            "--disable-mcp-server": options.disable_mcp_servers,
        }
    )
    if servers := run.tool_servers:
        allowed = tuple(server.name for server in servers)
        yield from flags({"--additional-mcp-config": _servers(servers), "--allow-tool": allowed})


def _servers(servers: tuple[ToolServer, ...]) -> str:
    """Return the servers; variables by name, for it to look up."""
    known = {
        server.name: {
            "type": "local",
            "command": server.command[0],
            "args": server.command[1:],
            "tools": ["*"],
            "env": {variable: f"${{{variable}}}" for variable in server.environment},
        }
        for server in servers
    }
    return msgspec.json.encode({"mcpServers": known}).decode()
