"""The command of the GitHub Copilot CLI. Pure, except that the program is looked up."""

from typing import Any, Literal

import msgspec

from aura_contracts.ports.executors import AgentRun, Launch, ToolServer
from aura_executors.adapter.options import ActingOptions, agent_options, program_of, prompt_bytes, with_params
from aura_executors.adapter.program_lookup import Program

PROGRAM = Program(
    name="copilot",
    tested=("1.0.102",),
    install="npm install -g @github/copilot@1.0.102",
    package="@github/copilot@1.0.102",
    variables=("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_BASE_URL"),
    log_in="run copilot login, or set COPILOT_GITHUB_TOKEN",
)

_ENVIRONMENT = {"COPILOT_AUTO_UPDATE": "false"}


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


def launch_of(name: str, run: AgentRun) -> Launch:
    """Return the command for `run`. Raises `InvalidInput` for options that it cannot work with."""
    options = agent_options(name, run, CopilotOptions)
    arguments = [*_arguments(run, options), *_tool_servers(run.tool_servers)]
    return Launch(
        argv=(*program_of(PROGRAM, options, run.environment), *with_params(arguments, options)),
        env={**_ENVIRONMENT, **options.env},
        stdin=prompt_bytes(run, options),
        exit_grace=10.0,
    )


def _arguments(run: AgentRun, options: CopilotOptions) -> list[str]:
    """Return the arguments. Values are joined to their names, so that none is taken for an option."""
    arguments = ["--output-format=json"]
    if run.session_id is not None:
        arguments.append(f"--resume={run.session_id}")
    elif run.new_session_id:
        arguments.append(f"--session-id={run.new_session_id}")
    single = {
        "--model": options.model,
        "--agent": options.agent,
        "--mode": options.mode,
        "--reasoning-effort": options.reasoning_effort,
    }
    arguments += [f"{flag}={value}" for flag, value in single.items() if value is not None]
    flags = {
        "--allow-all": options.yolo,
        "--allow-all-tools": options.allow_all_tools,
        "--allow-all-paths": options.allow_all_paths,
        "--allow-all-urls": options.allow_all_urls,
        "--no-ask-user": options.no_ask_user,
        "--no-custom-instructions": options.no_custom_instructions,
    }
    arguments += [flag for flag, wanted in flags.items() if wanted]
    lists = {
        "--allow-tool": options.allow_tools,
        "--deny-tool": options.deny_tools,
        "--allow-url": options.allow_urls,
        "--deny-url": options.deny_urls,
        "--available-tools": options.available_tools,
        "--excluded-tools": options.excluded_tools,
        "--add-dir": options.add_dirs,
        "--disable-mcp-server": options.disable_mcp_servers,
    }
    return arguments + [f"{flag}={value}" for flag, values in lists.items() for value in values]


def _tool_servers(servers: tuple[ToolServer, ...]) -> list[str]:
    """Return the arguments for the servers and the permission to use them; variables by name, for it to look up."""
    if not servers:
        return []
    known: dict[str, Any] = {
        server.name: {
            "type": "local",
            "command": server.command[0],
            "args": list(server.command[1:]),
            "tools": ["*"],
            "env": {variable: f"${{{variable}}}" for variable in server.environment},
        }
        for server in servers
    }
    config = msgspec.json.encode({"mcpServers": known}).decode()
    return [f"--additional-mcp-config={config}", *(f"--allow-tool={server.name}" for server in servers)]
