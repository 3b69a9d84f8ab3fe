"""``aura agent``: the pool of agents: add, list, show, edit, disable, enable."""

from argparse import ArgumentParser

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.options import AGENT_TYPE, EDIT_AGENT, OPTION, add_option, add_options, values_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.formatting import counted, state_heading, state_lines
from aura_contracts.agent import Agent, AgentChanges
from aura_contracts.first_use import convert
from aura_contracts.quoting import one_line


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    adding = add_subcommand(commands, "add", "add an agent to the pool", _add)
    adding.add_argument("name", metavar="NAME", help="name of the agent")
    adding.add_argument("--executor", metavar="NAME", required=True, help="executor that runs it; see `aura executors`")
    add_option(adding.add_argument, AGENT_TYPE._replace(default="developer"))
    adding.add_argument("--variant", metavar="NAME", default="", help="named set of the executor's options")
    adding.add_argument("--capability", metavar="WORD", action="append", default=[], help="something it can do")
    add_option(adding.add_argument, OPTION)
    listing = add_subcommand(commands, "list", "list the agents, oldest first", _list)
    listing.add_argument("--type", metavar="TYPE", help="only agents of this type")
    showing = add_subcommand(commands, "show", "show an agent", _show)
    editing = add_subcommand(commands, "edit", "edit an agent; if it is busy, its next run uses the changes", _edit)
    disabling = add_subcommand(commands, "disable", "take an agent out of the pool; it gets no more tasks", _disable)
    enabling = add_subcommand(commands, "enable", "put an agent back into the pool", _enable)
    for command in (showing, editing, disabling, enabling):
        command.add_argument("id", metavar="ID", help="the agent: its id, or the first or last digits of it")
    add_options(editing, EDIT_AGENT)
    disabling.add_argument("--reason", metavar="TEXT", default="", help="why it is disabled")
    disabling.add_argument("--drop-task", action="store_true", help="even if it is working; its task continues")


async def _list(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        agents = [agent async for agent in all_rows(engine.agents.list, type=call.arguments.type)]
    call.terminal.table(
        agents,
        ("id", "status", "type", "executor", "name", "task"),
        lambda agent: (agent.id, agent.status, agent.type, agent.executor, agent.name, agent.current_task_id or ""),
    )
    call.terminal.say(counted(len(agents), "agent"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        agent = await engine.agents.get(call.arguments.id)
    heading = state_heading("agent", agent, call.terminal)
    call.terminal.item(agent.as_dict(), "\n".join([heading, *state_lines(agent)]))


async def _add(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True, make=True) as engine:
        agent = await engine.agents.add(
            given.name,
            given.executor,
            type=given.type,
            variant=given.variant,
            options=dict(given.option),
            capabilities=given.capability,
        )
    _say(agent, call)


async def _edit(call: Invocation) -> None:
    changes = convert(values_of(call.arguments, EDIT_AGENT), AgentChanges)
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.agents.edit(call.arguments.id, changes), call)


async def _disable(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.agents.disable(given.id, given.reason, drop_task=given.drop_task), call)


async def _enable(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.agents.enable(call.arguments.id), call)


def _say(agent: Agent, call: Invocation) -> None:
    call.terminal.item(agent.as_dict(), one_line(f"agent {agent.id} is {agent.status}: {agent.name}"))
