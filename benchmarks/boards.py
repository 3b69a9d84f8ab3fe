"""Boards: what boards cost with 10,000 cards on each, per event of a task, when an engine has cards follow.

The reference is the same log without a board. Most events of tasks move no card (an edit, a turn of an agent): boards
are looked up by task then, and none is read. One that does move cards is recorded on each board that holds it.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio

from aura_contracts.actors import human
from aura_contracts.events import Append, Event, Fact
from aura_contracts.ids import TaskId
from aura_contracts.task import TaskChanges, TaskCreated, TaskEdited, TaskQueued, TaskSpec
from aura_engine import open_engine
from benchmarks._report import Row, main
from benchmarks._samples import NOW, new_id

CARDS = 10_000
EVENTS = 200
BOARDS = (0, 1, 10)
BATCH = 500
CEILING = 3
"""How many times as long an event that moves no card may take with ten boards."""


class Costs(NamedTuple):
    """Microseconds of an event, recorded and followed."""

    quiet: float
    moving: float


def measure() -> Iterator[Row]:
    costs = {boards: anyio.run(_measured, boards) for boards in BOARDS}
    for boards, cost in costs.items():
        for name, one, none in (
            ("moves no card", cost.quiet, costs[0].quiet),
            ("moves one", cost.moving, costs[0].moving),
        ):
            ceiling = CEILING if name == "moves no card" else None
            yield Row(f"{boards} boards, {name}", 1e6 / one, "events/s", "no board", one / none, ceiling, ceiling=True)


async def _measured(boards: int) -> Costs:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with open_engine(f"sqlite:///{home / 'aura.db'}", home=home, user="ann", drive_all=True) as engine:
            cards = engine._core.follower.cards  # noqa: SLF001 - what an engine that drives does in the background
            for number in range(boards):
                await engine.boards.create(f"Board {number}")
            tasks = await _fill(engine._core.log)  # noqa: SLF001 - commands would hide what is measured
            await cards.caught_up()
            for board in (await engine.boards.list()).rows:
                assert sum(len(column.cards) for column in board.columns) == CARDS
            quiet = [TaskEdited(changes=TaskChanges(title=f"Edited {number}")) for number in range(EVENTS)]
            some = tasks[:: CARDS // EVENTS]
            return Costs(
                await _timed(engine._core.log, cards, some, 1, quiet),  # noqa: SLF001 - likewise
                await _timed(engine._core.log, cards, some, 2, [TaskQueued()] * EVENTS),  # noqa: SLF001 - likewise
            )


async def _fill(log) -> Sequence[TaskId]:
    tasks = [TaskId(new_id()) for _ in range(CARDS)]
    for start in range(0, CARDS, BATCH):
        some = tasks[start : start + BATCH]
        made = [TaskCreated(task_id=one, spec=TaskSpec(title="A task")) for one in some]
        await log.append(*(Append(event.task_id, 0, (_fact(event),)) for event in made))
    return tasks


async def _timed(log, cards, tasks: Sequence[TaskId], version: int, events: Sequence[Event]) -> float:
    began = time.perf_counter()
    for task_id, event in zip(tasks, events, strict=True):
        await log.append(Append(task_id, version, (_fact(event),)))
        await cards.catch_up()
    return (time.perf_counter() - began) / len(events) * 1e6


def _fact(event: Event) -> Fact:
    return Fact(event, NOW, human("ann"), "c", "c")


if __name__ == "__main__":
    main(__doc__.splitlines()[0], measure)
