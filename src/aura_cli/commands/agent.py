"""``aura agent``: the pool of agents: add, list, show, disable, enable."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli.arguments.options import AGENT_TYPES, OPTION, add_option
from aura_cli.arguments.parser import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.agent import Agent
    from aura_contracts.machine import Command


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    adding = add_subcommand(commands, "add", "add an agent to the pool", _add)
    adding.add_argument("name", metavar="NAME", help="name of the agent")
    adding.add_argument("--executor", metavar="NAME", required=True, help="what runs it; see `aura executors`")
    adding.add_argument("--type", metavar="TYPE", choices=AGENT_TYPES, default="developer", help="kind of agent")
    adding.add_argument("--variant", metavar="NAME", default="", help="named set of the executor's options")
    adding.add_argument("--capability", metavar="WORD", action="append", default=[], help="something it can do")
    add_option(adding.add_argument, OPTION)
    listing = add_subcommand(commands, "list", "list the agents, oldest first", _list)
    listing.add_argument("--type", metavar="TYPE", choices=AGENT_TYPES, help="only agents of this type")
    showing = add_subcommand(commands, "show", "show an agent", _show)
    disabling = add_subcommand(commands, "disable", "take an agent out of the pool: it gets no more tasks", _disable)
    enabling = add_subcommand(commands, "enable", "put an agent back into the pool", _enable)
    for command in (showing, disabling, enabling):
        command.add_argument("id", metavar="ID", help="the agent: its id, or the first digits of it")
    disabling.add_argument("--reason", metavar="TEXT", default="", help="why it is disabled")
    disabling.add_argument("--drop-task", action="store_true", help="even if it is working; the task goes on")


# --- Reading ----------------------------------------------------------------------------------------------------------


def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_list_all, arguments, settings, terminal)
    return 0


async def _list_all(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._reading import all_of, reading
    from aura_cli.rendering.formatting import counted, plain
    from aura_contracts.agent import AGENT

    async with reading(settings, terminal) as log:
        agents = await all_of(log, AGENT)
    rows = [
        (plain(one), (one.id, str(one.status), str(one.type), one.executor, one.name, one.current_task_id or ""))
        for one in agents
        if arguments.type in (None, one.type)
    ]
    terminal.table(rows, ("id", "status", "type", "executor", "name", "task"))
    terminal.say(counted(len(rows), "agent"))


def _show(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_show_one, arguments, settings, terminal)
    return 0


async def _show_one(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._lookup import find_id
    from aura_cli._reading import one_of, reading
    from aura_cli.rendering.formatting import plain, state_lines
    from aura_contracts.agent import AGENT

    async with reading(settings, terminal) as log:
        agent = await one_of(log, AGENT, await find_id(log, arguments.id, "agent"))
    heading = f"agent {terminal.style(agent.id, 'bold')} {terminal.style(agent.status, 'cyan')}"
    terminal.item(plain(agent), "\n".join([heading, *state_lines(agent)]))


# --- Changing ---------------------------------------------------------------------------------------------------------


def _add(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_add_one, arguments, settings, terminal)
    return 0


async def _add_one(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._engine import desk_of
    from aura_cli._settings import acting_user
    from aura_contracts.agent import RegisterAgent
    from aura_contracts.environment import require_no_secrets
    from aura_contracts.ids import AgentId
    from aura_contracts.task import AgentType

    options = dict(arguments.option)
    require_no_secrets(options)
    async with desk_of(settings, make=True) as desk:
        agent_id = AgentId(desk.ids())
        command = RegisterAgent(
            agent_id=agent_id,
            name=arguments.name,
            type=AgentType(arguments.type),
            executor=arguments.executor,
            variant=arguments.variant,
            options=options,
            capabilities=tuple(arguments.capability),
        )
        _say(await desk.handle(acting_user(settings.environment), agent_id, command), terminal)


def _disable(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_contracts.agent import DisableAgent

    return _handle(DisableAgent(reason=arguments.reason, drop_task=arguments.drop_task), arguments, settings, terminal)


def _enable(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_contracts.agent import EnableAgent

    return _handle(EnableAgent(), arguments, settings, terminal)


def _handle(command: "Command", arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Handle a command about the agent that is named, and print how it is then."""
    import anyio

    async def handle() -> None:
        from aura_cli._engine import desk_of
        from aura_cli._lookup import find_id
        from aura_cli._settings import acting_user

        async with desk_of(settings) as desk:
            agent_id = await find_id(desk.log, arguments.id, "agent")
            _say(await desk.handle(acting_user(settings.environment), agent_id, command), terminal)

    anyio.run(handle)
    return 0


def _say(agent: "Agent", terminal: "Terminal") -> None:
    from aura_cli.rendering.formatting import plain
    from aura_cli.rendering.terminal import printable

    terminal.item(plain(agent), printable(f"agent {agent.id} is {agent.status}: {agent.name}"))
