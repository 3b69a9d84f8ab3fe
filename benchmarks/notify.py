"""Notify: a storm of 10,000 questions with a dead channel among living ones, against the same without notifications.

The questions are appended as fast as the log takes them, by ten writers, ten at a time. One mail server takes the
connection and never answers; a file takes every message. In a last storm, which is not timed, memory is traced until
everyone has been told of every question by the channel that lives: what notifications hold has a limit in bytes, and so
have the notices and messages of each lane.
"""

import gc
import json
import socket
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import attrs

from aura_contracts.actors import system
from aura_contracts.approval import ApprovalKind, ApprovalRequested, Question
from aura_contracts.events import Append, Fact
from aura_engine import open_engine
from aura_engine.notification.notifier import Notifier
from benchmarks._report import Row, alternate, main
from benchmarks._samples import new_id

EVENTS = 10_000
WRITERS = 10
BATCH = 10
PEOPLE = 2
FLOOR = 0.9
"""The engine's speed with notifications, of that without."""

MEMORY = 500_000
"""Bytes that notifications may hold, whatever happens: four lanes with some notices of a few kilobytes."""

MODULES = ("*/aura_engine/notification/*", "*/aura_contracts/notification.py", "*/aura_contracts/outbox.py", "<attrs *")
"""The modules whose allocations count. What the log and the read models keep of events they keep without, too."""

KEPT = 21
"""Notices and messages in memory for a channel and a person: those kept whole, and the message being sent."""

SETTINGS = """\
channels:
  dead: {{smtp: {{host: 127.0.0.1, port: {port}, security: none, from: aura@example.org}}, timeout: 5s}}
  log: {{file: {{path: told.jsonl}}, per_minute: 600}}
people:
  ann: {{channels: {{log: , dead: ann@example.org}}}}
  bob: {{channels: {{log: , dead: bob@example.org}}}}
"""


def measure() -> Iterator[Row]:
    with _dead_server() as port, tempfile.TemporaryDirectory() as folder:
        homes = (Path(folder, str(number)) for number in count())

        def home(*, notify: bool) -> Path:
            made = next(homes)
            made.mkdir()
            if notify:
                (made / "notifications.yaml").write_text(SETTINGS.format(port=port))
            return made

        def speed(*, notify: bool) -> float:
            return EVENTS / anyio.run(partial(_storm, home(notify=notify), notify=notify)).seconds

        with_it, without = alternate(lambda: speed(notify=True), lambda: speed(notify=False))
        yield Row("with notifications", with_it, "events/s", "without", with_it / without, FLOOR)
        last = anyio.run(partial(_storm, home(notify=True), notify=True, traced=True))
    yield Row("memory held", last.held, "bytes", f"at most {MEMORY:,}", last.held / MEMORY, 1.0, ceiling=True)
    yield Row("notices kept, at most", last.kept, "a lane", f"at most {KEPT}", last.kept / KEPT, 1.0, ceiling=True)
    expected = PEOPLE * (1 + EVENTS)
    yield Row("told by the living channel", last.told, "times", f"of {expected:,}", last.told / expected, 1.0)


@contextmanager
def _dead_server() -> Iterator[int]:
    """Take connections and never answer."""
    kept = []

    def serve() -> None:
        try:
            while True:
                kept.append(listener.accept())
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection, _ in kept:
                connection.close()


@attrs.frozen
class Outcome:
    """What was measured in a storm."""

    seconds: float
    held: int = 0
    """Bytes that notifications hold, after it or when all are told."""
    kept: int = 0
    """Notices and messages in memory for one channel and person, the most of what was seen."""
    told: int = 0
    """Questions that people were told of by the channel that lives."""


async def _storm(home: Path, *, notify: bool, traced: bool = False) -> Outcome:
    async with open_engine(f"sqlite:///{home / 'aura.db'}", home=home, user="ann", record_only=True) as engine:
        core = engine._core  # noqa: SLF001 - commands would hide what is measured
        notifier = core.make_notifier()
        core.make_notifier = lambda: notifier
        await engine.notifications.deliver()  # from here on
        async with anyio.create_task_group() as group:
            if notify:
                group.start_soon(engine.notifications.serve)
                await core.log.append(_asked())
                while _told(home) < PEOPLE:  # it is at work  # noqa: ASYNC110 - a file tells of itself
                    await anyio.sleep(0.1)
            with _memory(traced=traced) as held:
                began = time.perf_counter()
                async with anyio.create_task_group() as writers:
                    for _ in range(WRITERS):
                        writers.start_soon(_write, core.log)
                seconds = time.perf_counter() - began
                after, kept = held(), [_kept(notifier)]
                while traced and _told(home) < PEOPLE * (1 + EVENTS):
                    await anyio.sleep(0.2)
                    kept.append(_kept(notifier))
                most = max(after, held())
            group.cancel_scope.cancel()
    return Outcome(seconds, most, max(kept), _told(home))


async def _write(log) -> None:
    for _ in range(EVENTS // WRITERS // BATCH):
        await log.append(*(_asked() for _ in range(BATCH)))


def _asked() -> Append:
    """Return a question of now: one of long ago would be an alert."""
    ident = new_id()
    question = Question(kind=ApprovalKind.PLAN, reviewers=("ann", "bob"), proposed_solution="Do it.")
    event = ApprovalRequested(approval_id=ident, requested_by=system("engine"), question=question)
    return Append(ident, 0, (Fact(event, datetime.now(UTC), system("engine"), "c", "c"),))


@contextmanager
def _memory(*, traced: bool) -> Iterator[Callable[[], int]]:
    """Yield what returns the bytes that notifications hold; 0 if memory is not traced, which takes time."""

    def held() -> int:
        if not traced:
            return 0
        gc.collect()
        found = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, pattern) for pattern in MODULES])
        return sum(one.size for one in found.statistics("filename"))

    if traced:
        tracemalloc.start()
    try:
        yield held
    finally:
        tracemalloc.stop()


def _kept(notifier: Notifier) -> int:
    """Return how much the lane that keeps most has in memory."""
    lanes = notifier.lanes.values()
    return max((sum(len(t.notices) for t in lane.tallies.values()) + len(lane.pending) for lane in lanes), default=0)


def _told(home: Path) -> int:
    """Return how many questions people were told of by the file; the last line may be half written."""
    path = home / "told.jsonl"
    messages = (
        [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    )
    return sum(message["count"] for message in messages)


if __name__ == "__main__":
    main(__doc__.split("\n", 1)[0], measure)
