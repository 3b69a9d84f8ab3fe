"""``aura session``: agent sessions that can be resumed."""

from argparse import ArgumentParser
from typing import Any

from msgspec import structs

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.formatting import counted, minute_text, time_text
from aura_contracts.errors import AggregateNotFound
from aura_contracts.executor_names import executor_name
from aura_contracts.plain_data import short
from aura_contracts.ports.rows import SessionRow
from aura_contracts.quoting import one_line

_EPILOG = "Resume a session with `aura run --session ID` and its executor."


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the sessions, most recently used last", _list)
    showing = add_subcommand(commands, "show", "show a session and its last run", _show)
    showing.add_argument("id", metavar="ID", help="the session: its id, or the first characters of it")
    latest = add_subcommand(commands, "latest", "show the session of the latest run", _latest)
    for command in (listing, showing, latest):
        command.epilog = _EPILOG
        command.add_argument("--executor", metavar="NAME", type=executor_name, help="only sessions of this executor")


async def _list(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        sessions = await all_rows(engine.sessions.list, executor=call.arguments.executor)
    call.terminal.table(
        sessions,
        ("id", "status", "executor", "run at (UTC)", "folder"),
        lambda one: (one.id, one.status, one.executor, minute_text(one.queued_at), one.directory or ""),
        _data,
    )
    call.terminal.say(counted(len(sessions), "session"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        _say(await engine.sessions.get(call.arguments.id, executor=call.arguments.executor), call)


async def _latest(call: Invocation) -> None:
    executor = call.arguments.executor
    async with engine_of(call, read_only=True) as engine:
        found = await engine.sessions.latest(executor=executor)
    if found is None:
        remedy = "run an agent that has sessions; see `aura executors NAME`"
        of = f"of {executor}" if executor else "at all"
        raise AggregateNotFound(aggregate="session", aggregate_id=of, command="latest", remedy=remedy)
    _say(found, call)


def _data(session: SessionRow) -> dict[str, Any]:
    return structs.asdict(session)


def _say(session: SessionRow, call: Invocation) -> None:
    facts = {
        "executor": session.executor,
        "last run": f"{session.execution_id} {session.status}",
        "at": time_text(session.queued_at),
        "task": session.task_id,
        "folder": session.directory,
        "prompt": short(session.prompt, 100),
    }
    lines = [f"session {session.id}", *(f"  {name:<8}  {value}" for name, value in facts.items() if value)]
    call.terminal.item(_data(session), "\n".join(map(one_line, lines)))
    call.terminal.say(f"resume it: aura run --executor {session.executor} --session {session.id} --prompt TEXT")
