"""Audit: events verified per second on a log of 100,000 events, and the memory it takes.

The reference is the least that any audit must do: read every row and take one SHA-256 over its bytes.
"""

import sqlite3
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import anyio

from aura_contracts.events import Append
from aura_store import open_log
from aura_store.audit import verify
from benchmarks._report import Row, alternate, main
from benchmarks._samples import new_id, task_stream

EVENTS = 100_000
STREAMS = 2_000
FLOOR = 300_000
"""Events per second."""
GROWTH_CEILING = 1.5
"""Peak memory of auditing the whole log, relative to auditing a log a tenth as long."""


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "aura.db", Path(folder) / "small.db"
        anyio.run(_fill, path, EVENTS, STREAMS)
        anyio.run(_fill, small, EVENTS // 10, STREAMS)

        def plain() -> float:
            began = time.perf_counter()
            connection = sqlite3.connect(path)
            for _, *_, state, previous, _ in connection.execute("SELECT * FROM stored_events ORDER BY rowid"):
                sha256(previous + state).digest()
            connection.close()
            return EVENTS / (time.perf_counter() - began)

        aura, reference = alternate(lambda: anyio.run(_verify, path, EVENTS), plain)
        yield Row("verify 100,000 events", aura, "events/s", f"floor of {FLOOR:,} events/s", aura / FLOOR, 1)
        yield Row("verify 100,000 events", aura, "events/s", "SELECT and one SHA-256 per row", aura / reference, None)
        peak, small_peak = anyio.run(_peak, path, EVENTS), anyio.run(_peak, small, EVENTS // 10)
        yield Row(
            "peak memory", peak / 1024, "KiB", "a log a tenth as long", peak / small_peak, GROWTH_CEILING, ceiling=True
        )


async def _fill(path: Path, events: int, streams: int) -> None:
    async with open_log(f"sqlite:///{path}") as log:
        each = events // streams
        lives = [(new_id(), task_stream(each)) for _ in range(streams)]
        for version in range(each):
            for start in range(0, streams, 500):
                await log.append(*[Append(sid, version, (next(life),)) for sid, life in lives[start : start + 500]])


async def _verify(path: Path, events: int) -> float:
    async with open_log(f"sqlite:///{path}", read_only=True) as log:
        began = time.perf_counter()
        report = await verify(log)
        spent = time.perf_counter() - began
        assert report.first_bad is None
        assert report.events == events
        return events / spent


async def _peak(path: Path, events: int) -> int:
    tracemalloc.start()
    await _verify(path, events)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main("Audit of a log on SQLite", measure)
