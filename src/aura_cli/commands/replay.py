"""``aura replay``: states folded from the log, now or at a past moment, and what changed in between."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import finish
from aura_cli.arguments.times import Moment, moment

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.machine import Aggregate, State
    from aura_contracts.ports import EventLog
    from aura_store.history import Change, HistoryLine, World


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--task", metavar="ID", action="append", help="one task with its history")
    parser.add_argument("--stream", metavar="ID", action="append", help="one stream of any kind, with its history")
    parser.add_argument(
        "--at", metavar="POS|TIME", type=moment, help="state at a position, or at a time such as 2026-01-04T10:00:00Z"
    )
    parser.add_argument(
        "--diff", metavar="POS|TIME", type=moment, help="what changed from then until --at, or until now"
    )
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Fold what the arguments ask for."""
    import anyio

    anyio.run(_replay, arguments, settings, terminal)
    return 0


async def _replay(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._lookup import find_id
    from aura_cli._reading import reading
    from aura_contracts.errors import InvalidInput

    async with reading(settings, terminal) as log:
        ids = [await find_id(log, text, "task") for text in arguments.task or ()]
        ids += [await find_id(log, text) for text in arguments.stream or ()]
        head = await log.head()
        for field, moment in (("--at", arguments.at), ("--diff", arguments.diff)):
            if isinstance(moment, int) and moment > head:
                remedy = "give an earlier position, or omit it for the end"
                raise InvalidInput(
                    field=field, reason=f"position {moment} is past the end of the log, {head}", remedy=remedy
                )
        if ids:
            for ident in ids:
                await _one(log, ident, arguments, terminal)
        elif arguments.diff is None:
            await _everything(log, arguments.at, terminal)
        else:
            await _everything_that_changed(log, arguments.diff, arguments.at, terminal)


# --- Everything -------------------------------------------------------------------------------------------------------


async def _everything(log: "EventLog", at: Moment | None, terminal: "Terminal") -> None:
    from aura_cli.rendering.formatting import state_data, title_of

    world = await _world(log, at, terminal)
    rows = [
        (state_data(name, state), (name, state.id, state.status, title_of(state)))
        for name, states in world.states.items()
        for state in states.values()
    ]
    terminal.table(rows, ("aggregate", "id", "status", "title"))
    terminal.say(f"{len(rows):,} aggregates as of position {world.position:,}")


async def _everything_that_changed(log: "EventLog", since: Moment, until: Moment | None, terminal: "Terminal") -> None:
    from aura_store.history import diff, world_at

    old, new = await world_at(log, since), await _world(log, until, terminal)
    changed = 0
    names = dict.fromkeys([*new.states, *old.states])
    for name in names:
        before, after = old.states.get(name, {}), new.states.get(name, {})
        for ident in dict.fromkeys([*after, *before]):
            if changes := diff(before.get(ident), after.get(ident)):
                changed += 1
                _show_changes(terminal, name, ident, changes)
    terminal.say(f"{changed:,} aggregates changed between positions {old.position:,} and {new.position:,}")


async def _world(log: "EventLog", at: Moment | None, terminal: "Terminal") -> "World":
    """Fold the whole log up to a moment, and show how far it has come."""
    from aura_store.history import World, read_until

    world, head = World(), await log.head()
    async for record in read_until(log, at):
        world.apply(record)
        if world.position % 10_000 == 0:
            terminal.progress("replayed", world.position, head)
    terminal.progress("replayed", head, head)
    return world


def _show_changes(terminal: "Terminal", name: str, ident: str, changes: "list[Change]") -> None:
    from aura_cli.rendering.formatting import change_text
    from aura_cli.rendering.terminal import printable

    status = next((change.after for change in changes if change.field == "status"), None)
    lines = [f"{name} {terminal.style(ident, 'bold')}", *(f"  {printable(change_text(change))}" for change in changes)]
    terminal.item({"id": ident, "aggregate": name, "status": status, "changes": changes}, "\n".join(lines))


# --- One aggregate ----------------------------------------------------------------------------------------------------


async def _one(log: "EventLog", ident: str, arguments: Namespace, terminal: "Terminal") -> None:
    from aura_cli._lookup import aggregate_of
    from aura_store.history import diff, state_at

    aggregate = await aggregate_of(log, ident)
    at = await log.head() if arguments.at is None else arguments.at
    if arguments.diff is not None:
        before = await state_at(log, aggregate, ident, arguments.diff)
        after = await state_at(log, aggregate, ident, at)
        if changes := diff(before.state, after.state):
            _show_changes(terminal, aggregate.name, ident, changes)
        else:
            terminal.say(f"{aggregate.name} {ident} did not change")
        return
    found = await state_at(log, aggregate, ident, at)
    lines = await _history(log, aggregate, ident, found.version)
    _show(terminal, aggregate, ident, found.state, lines)


async def _history(log: "EventLog", aggregate: "Aggregate[Any]", ident: str, upto_version: int) -> "list[HistoryLine]":
    from aura_store.history import history

    return [line for line in await history(log, aggregate, ident) if line.version <= upto_version]


def _show(
    terminal: "Terminal", aggregate: "Aggregate[Any]", ident: str, state: "State | None", lines: "list[HistoryLine]"
) -> None:
    from aura_cli.rendering.formatting import history_data, state_data, state_lines
    from aura_cli.rendering.terminal import printable

    story = [history_data(line, ident) for line in lines]
    if state is None:
        absent = {"id": ident, "aggregate": aggregate.name, "status": None, "history": story, "state": None}
        terminal.item(absent, f"{aggregate.name} {ident} did not exist yet")
        return
    text = [
        f"{aggregate.name} {terminal.style(ident, 'bold')} {terminal.style(state.status, 'cyan')}",
        *state_lines(state),
        "history",
        *(f"  {printable(str(line))}" for line in lines),
    ]
    terminal.item(state_data(aggregate.name, state, history=story), "\n".join(text))
