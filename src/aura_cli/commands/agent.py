"""``aura agent``: the pool of agents: add, import, list, show, learn, edit, disable, enable."""

import os.path
from argparse import ArgumentParser
from typing import Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.declarations import add_options, values_of
from aura_cli.arguments.options import ADD_AGENT, EDIT_AGENT
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.formatting import counted, state_heading, state_lines
from aura_cli.rendering.record import record_lines
from aura_contracts.agent import Agent, AgentChanges
from aura_contracts.first_use import convert
from aura_contracts.quoting import one_line

_IMPORT_EPILOG = """\
A file is a definition of Claude Code, as in .claude/agents: front matter with
name, description, tools and model, then the agent's own instructions. Tools
become permission rules if the executor asks for permission: others than those
named are refused, and a human is asked about all but reading. An agent with the
name of one in the pool replaces it. If a file is wrong, none is imported.
"""

_LEARN_EPILOG = """\
Asks for an approval of the edit; aura approval approve makes it. The section of
the instructions that it writes holds the newest 20 things that were asked for.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    add_options(add_subcommand(commands, "add", "add an agent to the pool", _add), ADD_AGENT)
    importing = add_subcommand(commands, "import", "add the agents that files define, or edit them", _import)
    importing.add_argument("paths", metavar="PATH", nargs="+", help="a file, or a folder of .md files")
    importing.add_argument("--executor", metavar="NAME", help="executor that runs them (default: claude)")
    importing.epilog = _IMPORT_EPILOG
    listing = add_subcommand(commands, "list", "list the agents, oldest first", _list)
    listing.add_argument("--type", metavar="TYPE", help="only agents of this type")
    showing = add_subcommand(commands, "show", "show an agent, and how humans received its work", _show)
    learning = add_subcommand(commands, "learn", "propose instructions from what its work was sent back for", _learn)
    learning.epilog = _LEARN_EPILOG
    learning.add_argument("--reviewer", metavar="NAME", action="append", default=[], help="who may decide as well")
    editing = add_subcommand(commands, "edit", "edit an agent; if it is busy, its next run uses the changes", _edit)
    disabling = add_subcommand(commands, "disable", "take an agent out of the pool; it gets no more tasks", _disable)
    enabling = add_subcommand(commands, "enable", "put an agent back into the pool", _enable)
    for command in (showing, learning, editing, disabling, enabling):
        command.add_argument("id", metavar="ID", help="the agent: its id, or the first or last digits of it")
    add_options(editing, EDIT_AGENT)
    disabling.add_argument("--reason", metavar="TEXT", default="", help="why it is disabled")
    disabling.add_argument("--drop-task", action="store_true", help="even if it is working; its tasks continue")


async def _list(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        agents = await all_rows(engine.agents.list, type=call.arguments.type)
    call.terminal.table(
        agents,
        ("id", "status", "type", "executor", "tasks", "name", "task"),
        lambda agent: (
            agent.id,
            agent.status,
            agent.type,
            agent.executor,
            f"{len(agent.tasks)}/{agent.capacity}",
            agent.name,
            agent.current_task_id or "",
        ),
    )
    call.terminal.say(counted(len(agents), "agent"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        agent = await engine.agents.get(call.arguments.id)
        record = await engine.agents.record(agent.id)
    heading = state_heading("agent", agent, call.terminal)
    lines = [heading, *state_lines(agent), "", *record_lines(record)]
    call.terminal.item({**agent.as_dict(), "record": record.as_dict()}, "\n".join(lines))


async def _learn(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True) as engine:
        approval = await engine.agents.learn(given.id, reviewers=given.reviewer)
        diff = await engine.approvals.diff(approval.id)
    call.terminal.item(approval.as_dict(), "\n".join(map(one_line, diff.splitlines())))
    call.terminal.say(f"to make this edit: aura approval approve {approval.id}")


async def _add(call: Invocation) -> None:
    given = values_of(call.arguments, ADD_AGENT)
    _read_prompt(given, call)
    async with engine_of(call, record_only=True, make=True) as engine:
        _say(await engine.agents.add(given.pop("name"), given.pop("executor"), **given), call)


async def _import(call: Invocation) -> None:
    given = call.arguments
    paths = [os.path.abspath(path) for path in given.paths]  # noqa: ASYNC240, PTH100 - looks at no file
    async with engine_of(call, record_only=True, make=True) as engine:
        imported = await engine.agents.import_files(paths, executor=given.executor)
    for each in imported:
        agent, done = each.agent, "added" if each.added else "edited"
        call.terminal.item(
            {**agent.as_dict(), "path": each.path, "added": each.added, "notes": each.notes},
            one_line(f"agent {agent.id} {done}: {agent.name} ({agent.type}), from {each.path}"),
        )
        for note in each.notes:
            call.terminal.say(one_line(f"{each.path}: {note}"))
    call.terminal.say(counted(len(imported), "agent"))


async def _edit(call: Invocation) -> None:
    given = values_of(call.arguments, EDIT_AGENT)
    _read_prompt(given, call)
    changes = convert(given, AgentChanges)
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.agents.edit(call.arguments.id, changes), call)


def _read_prompt(given: dict[str, Any], call: Invocation) -> None:
    if given.get("prompt") == "-":
        given["prompt"] = call.terminal.read_all()


async def _disable(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.agents.disable(given.id, given.reason, drop_task=given.drop_task), call)


async def _enable(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.agents.enable(call.arguments.id), call)


def _say(agent: Agent, call: Invocation) -> None:
    call.terminal.item(agent.as_dict(), one_line(f"agent {agent.id} is {agent.status}: {agent.name}"))
