"""``aura session``: agent sessions that can be resumed."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.execution import Execution
    from aura_contracts.ports import EventLog

_EPILOG = "Resume a session with `aura run --session ID` and its executor."


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the sessions, most recently used last", _list)
    showing = add_subcommand(commands, "show", "show a session and its last run", _show)
    showing.add_argument("id", metavar="ID", help="the session: its id, or the first characters of it")
    latest = add_subcommand(commands, "latest", "show the session of the newest run", _latest)
    for command in (listing, showing, latest):
        command.epilog = _EPILOG
        command.add_argument("--executor", metavar="NAME", help="only sessions of this executor")


def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli.rendering.formatting import counted, time_text

    found = _found(arguments, settings, terminal)
    rows = [
        (
            _data(one, place),
            (str(one.session_id), str(one.status), one.executor, time_text(one.queued_at)[:16], place or ""),
        )
        for one, place in found
    ]
    terminal.table(rows, ("id", "status", "executor", "run at (UTC)", "folder"))
    terminal.say(counted(len(rows), "session"))
    return 0


def _show(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._errors import AmbiguousId, NoSuchId

    found = _found(arguments, settings, terminal)
    fitting = [one for one in found if one[0].session_id == arguments.id]
    fitting = fitting or [one for one in found if str(one[0].session_id).startswith(arguments.id)]
    if not fitting:
        raise NoSuchId(kind="session", id=arguments.id, remedy="`aura session list` lists the sessions")
    if len(fitting) > 1:
        candidates = tuple(f"{one.session_id} of {one.executor}" for one, _ in fitting)
        raise AmbiguousId(prefix=arguments.id, candidates=candidates, remedy="give more of the id, or --executor NAME")
    _say(*fitting[0], terminal)
    return 0


def _latest(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._errors import NoSuchId

    found = _found(arguments, settings, terminal)
    if not found:
        of = f"of {arguments.executor}" if arguments.executor else "at all"
        raise NoSuchId(kind="session", id=of, remedy="run an agent that has sessions; `aura executors NAME` tells")
    _say(*found[-1], terminal)
    return 0


def _found(
    arguments: Namespace, settings: "Settings", terminal: "Terminal"
) -> "Sequence[tuple[Execution, str | None]]":
    """Return the newest run of each session, and the folder it was made in."""
    import anyio

    async def find() -> "Sequence[tuple[Execution, str | None]]":
        from aura_cli._reading import reading, sessions

        async with reading(settings, terminal) as log:
            wanted = [one for one in await sessions(log) if arguments.executor in (None, one.executor)]
            return [(one, await _place_of(log, one)) for one in wanted]

    return anyio.run(find)


async def _place_of(log: "EventLog", execution: "Execution") -> str | None:
    """Return the folder that an agent was started in: many know their sessions by it."""
    from aura_cli._reading import one_of
    from aura_contracts.workspace import WORKSPACE
    from aura_engine.runtime.views import directory_of

    if execution.workspace_id is None:
        return None
    return directory_of(await one_of(log, WORKSPACE, execution.workspace_id)) or None


def _data(execution: "Execution", place: str | None) -> dict[str, Any]:
    return {
        "id": execution.session_id,
        "status": execution.status,
        "executor": execution.executor,
        "task_id": execution.task_id,
        "execution_id": execution.id,
        "queued_at": execution.queued_at,
        "ended_at": execution.ended_at,
        "directory": place,
        "prompt": execution.prompt,
    }


def _say(execution: "Execution", place: str | None, terminal: "Terminal") -> None:
    from aura_cli.rendering.formatting import short, time_text
    from aura_cli.rendering.terminal import printable

    facts = {
        "executor": execution.executor,
        "last run": f"{execution.id} {execution.status}",
        "at": time_text(execution.queued_at),
        "task": execution.task_id,
        "folder": place,
        "prompt": short(execution.prompt, 100),
    }
    lines = [f"session {execution.session_id}", *(f"  {name:<8}  {value}" for name, value in facts.items() if value)]
    terminal.item(_data(execution, place), printable("\n".join(lines)))
    terminal.say(f"resume it: aura run --executor {execution.executor} --session {execution.session_id} --prompt TEXT")
