"""Replay: folding one stream, and reading and decoding the whole log, against the library's own ways."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
from eventsourcing.application import Application

from aura_contracts.events import Append
from aura_contracts.task import TASK
from aura_store import open_log
from aura_store.repository import AggregateRepository
from benchmarks._report import Row, alternate, main
from benchmarks._samples import library_task_stream, new_id, task_stream

EVENTS = 1_000
STREAMS = 50
REPEATS = 10


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/aura.db"
        library = Application(  # type: ignore[var-annotated]
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(Path(folder) / "library.db")}
        )
        task = library_task_stream(EVENTS)
        library.save(task)
        for _ in range(STREAMS - 1):
            library.save(library_task_stream(EVENTS))
        stream_id = anyio.run(_fill, url)

        def library_get() -> float:
            began = time.perf_counter()
            library.repository.get(task.id)
            return EVENTS / (time.perf_counter() - began)

        def aura_load() -> float:
            return anyio.run(_load, url, stream_id)

        value, reference = alternate(aura_load, library_get)
        yield Row(
            "fold one stream of 1,000 events", value, "events/s", "Application.repository.get", value / reference, 15
        )

        def library_log() -> float:
            began = time.perf_counter()
            start, seen = 1, 0
            while notifications := library.recorder.select_notifications(start, 1_000):
                for notification in notifications:
                    library.mapper.to_domain_event(notification)
                seen += len(notifications)
                start = notifications[-1].id + 1
            return seen / (time.perf_counter() - began)

        def aura_log() -> float:
            return anyio.run(_read, url)

        value, reference = alternate(aura_log, library_log)
        yield Row(
            "read and decode the whole log",
            value,
            "events/s",
            "select_notifications + to_domain_event",
            value / reference,
            4,
        )
        library.close()


async def _fill(url: str) -> str:
    async with open_log(url) as log:
        for _ in range(STREAMS):
            stream_id = new_id()
            await log.append(Append(stream_id, 0, tuple(task_stream(EVENTS))))
    return stream_id


async def _load(url: str, stream_id: str) -> float:
    async with open_log(url, read_only=True) as log:
        repository = AggregateRepository(log, snapshot_after=None)
        await repository.load(TASK, stream_id)
        began = time.perf_counter()
        for _ in range(REPEATS):
            loaded = await repository.load(TASK, stream_id)
        spent = time.perf_counter() - began
        assert loaded.version == EVENTS
        return EVENTS * REPEATS / spent


async def _read(url: str) -> float:
    async with open_log(url, read_only=True) as log:
        began = time.perf_counter()
        seen = 0
        async for _ in log.read():
            seen += 1
        spent = time.perf_counter() - began
        assert seen == EVENTS * STREAMS
        return seen / spent


if __name__ == "__main__":
    main("Replay from SQLite", measure)
