"""``aura replay``: states folded from the log, now or at a past moment, and the changes between two moments."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import finish
from aura_cli.arguments.values import moment
from aura_cli.rendering.formatting import (
    change_text,
    counted,
    history_data,
    state_data,
    state_heading,
    state_lines,
    title_of,
)
from aura_contracts.ports.archive import Past
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from aura_engine import Engine


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--task", metavar="ID", action="append", help="one task with its history")
    parser.add_argument("--stream", metavar="ID", action="append", help="one stream of any kind, with its history")
    parser.add_argument(
        "--at",
        metavar="POS|TIME",
        type=moment,
        help="state at a position, or at a time: 2026-01-04T10:00:00Z, or 2026-01-04",
    )
    parser.add_argument(
        "--diff", metavar="POS|TIME", type=moment, help="what changed from then until --at, or until now"
    )
    finish(parser, run)


async def run(call: Invocation) -> None:
    """Show the states or changes selected by the arguments."""
    given = call.arguments
    async with engine_of(call, read_only=True) as engine:
        ids = [(await engine.tasks.get(text)).id for text in given.task or ()] + (given.stream or [])
        if given.diff is not None:
            await _show_changes(engine, ids, call)
        elif ids:
            for ident in ids:
                _show(await engine.history.get(ident, at=given.at), call)
        else:
            await _show_all(engine, call)


async def _show_all(engine: "Engine", call: Invocation) -> None:
    progress = call.terminal.progress_of("replayed")
    world = await engine.history.list(at=call.arguments.at, on_progress=progress)
    states = [(name, state) for name, states in world.states.items() for state in states.values()]
    call.terminal.table(
        states,
        ("aggregate", "id", "status", "title"),
        lambda named: (named[0], named[1].id, named[1].status, title_of(named[1])),
        lambda named: state_data(*named),
    )
    call.terminal.say(f"{counted(len(states), 'aggregate')} as of position {world.position:,}")


async def _show_changes(engine: "Engine", ids: Sequence[str], call: Invocation) -> None:
    """Show the changes between two moments, of some aggregates or of all."""
    terminal, since, until = call.terminal, call.arguments.diff, call.arguments.at
    wanted: Sequence[str | None] = ids or [None]
    changed = [each for ident in wanted for each in await engine.history.diff(since, until, aggregate=ident)]
    for one in changed:
        status = next((change.after for change in one.changes if change.field == "status"), None)
        lines = [
            f"{one.aggregate} {terminal.style(one.id, 'bold')}",
            *(f"  {change_text(change)}" for change in one.changes),
        ]
        data = {"id": one.id, "aggregate": one.aggregate, "status": status, "changes": one.changes}
        terminal.item(data, "\n".join(lines))
    terminal.say(f"{len(changed):,} aggregates changed")


def _show(past: Past, call: Invocation) -> None:
    history = [history_data(line, past.id) for line in past.lines]
    if past.state is None:
        absent = {"id": past.id, "aggregate": past.aggregate, "status": None, "history": history, "state": None}
        call.terminal.item(absent, f"{past.aggregate} {past.id} did not exist yet")
        return
    text = [
        state_heading(past.aggregate, past.state, call.terminal),
        *state_lines(past.state),
        "history",
        *(f"  {one_line(str(line))}" for line in past.lines),
    ]
    call.terminal.item(state_data(past.aggregate, past.state, history=history), "\n".join(text))
