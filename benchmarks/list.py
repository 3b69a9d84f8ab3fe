"""List: the first page of every list, and of filters and orders over 10,000 tasks, and what a process pays for one.

The reference of a page is what any program would do for it: ``sqlite3`` reads 50 JSON documents by their ids, and
``msgspec`` decodes them. That of a process is a Python which imports `sqlite3`, `msgspec` and `asyncio`, no more.
Times are of calls that follow one another, catching up with the log included; a page takes less than 10 ms and a whole
``aura task list`` less than 250 ms on a quiet machine, which the ceilings stand for in ratios.
"""

import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio

from aura_contracts.events import Append, Fact
from aura_contracts.ports.read_models import QUERIES, Query, TaskQuery
from aura_contracts.task import Task, TaskAssigned, TaskCreated, TaskQueued, TaskSpec
from aura_store import open_log, open_read_models
from aura_store.read_models import LogReadModels
from benchmarks._report import Row, alternate, main
from benchmarks._samples import NOW, created, new_id

TASKS = 10_000
PAGE_CEILING = 25
PROCESS_CEILING = 4
REPEATS = 20
PROCESSES = 3

_ONE_LIST = """
import sys, anyio
from aura_contracts.ports.read_models import TaskQuery
from aura_store import open_log, open_read_models

async def main():
    async with open_log(sys.argv[1]) as log, open_read_models(log) as models:
        await models.list(TaskQuery())

anyio.run(main)
"""
_BARE = "import asyncio, msgspec, sqlite3"

QUESTIONS: tuple[tuple[str, Query[Any]], ...] = (
    *((f"{query.table}, as listed", query()) for query in QUERIES),
    ("tasks by title", TaskQuery(sort="title", descending=False)),
    ("tasks by priority", TaskQuery(sort="priority")),
    ("tasks of two statuses", TaskQuery(status=["in_progress", "completed"])),
    ("tasks with a text in them", TaskQuery(search="number 77")),
    ("tasks with something left to do", TaskQuery(unfinished=True)),
)


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aura.db"
        url = f"sqlite:///{path}"
        anyio.run(_fill, url)
        for name, query in QUESTIONS:
            page, reference = alternate(
                lambda q=query: anyio.run(_timed, url, lambda models: models.list(q)),
                lambda: anyio.run(_timed, url, _by_ids),
            )
            yield Row(f"{name}", page, "µs", "50 states by id", page / reference, PAGE_CEILING, ceiling=True)
        aura = str(Path(sysconfig.get_path("scripts")) / "aura")
        bare = [sys.executable, "-c", _BARE]
        for name, command in (
            ("a process that lists tasks", [sys.executable, "-c", _ONE_LIST, url]),
            ("aura task list", [aura, "task", "list", "--store", url]),
        ):
            value, reference = alternate(lambda c=command: _seconds(c), lambda: _seconds(bare))
            yield Row(name, value * 1000, "ms", _BARE, value / reference, PROCESS_CEILING, ceiling=True)


async def _fill(url: str) -> None:
    async with open_log(url) as log:
        for start in range(0, TASKS, 500):
            await log.append(*(_task(number) for number in range(start, start + 500)))


def _task(number: int) -> Append:
    """Return a task, a third of them assigned, a third queued, a minute after the one before."""
    first, time = created(), NOW + timedelta(minutes=number)
    more = [[], [TaskQueued()], [TaskAssigned(agent_id=new_id())]][number % 3]
    spec = TaskSpec(title=f"Task number {number}", context={"module": "parser"})
    begun = TaskCreated(task_id=first.event.task_id, spec=spec)
    facts = [Fact(event, time, first.actor, new_id(), new_id()) for event in (begun, *more)]
    return Append(first.event.task_id, 0, tuple(facts))


async def _timed(url: str, ask: Callable[[LogReadModels], Awaitable[Any]]) -> float:
    """Return the microseconds that a question takes once the models are open."""
    async with open_log(url) as log, open_read_models(log) as models:
        await ask(models)
        began = time.perf_counter()
        for _ in range(REPEATS):
            await ask(models)
        return (time.perf_counter() - began) / REPEATS * 1e6


async def _by_ids(models: LogReadModels) -> None:
    """Do what is the least that any program would do for a page."""
    import msgspec

    def read(transaction: Any) -> list[Task]:
        rows = transaction.execute("SELECT state FROM aggregates WHERE id IN (SELECT id FROM aggregates LIMIT 50)")
        return [msgspec.json.decode(state, type=Task) for (state,) in rows]

    await models.position()
    await models.read(read)


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    for _ in range(PROCESSES):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) / PROCESSES


if __name__ == "__main__":
    main("Lists of 10,000 tasks", measure)
