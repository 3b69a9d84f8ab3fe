"""Notify: a storm of 10,000 questions with a dead channel among living ones, against the same without notifications.

The questions are appended as fast as the log takes them, by ten writers, ten at a time. One mail server takes the
connection and never answers; a file takes every message. Afterwards everyone must have been told of everything by the
channel that lives, and no lane may hold more than its bound.
"""

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from aura_contracts.actors import system
from aura_contracts.approval import ApprovalKind, ApprovalRequested, Question
from aura_contracts.events import Append, Fact
from aura_engine import open_engine
from benchmarks._report import Row, alternate, main
from benchmarks._samples import NOW, new_id

EVENTS = 10_000
WRITERS = 10
BATCH = 10
FLOOR = 0.9
"""The engine's speed with notifications, of that without."""

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
        homes = iter(Path(folder, str(number)) for number in range(1000))
        drained: list[float] = []

        def storm(*, notify: bool) -> float:
            home = next(homes)
            home.mkdir()
            if notify:
                (home / "notifications.yaml").write_text(SETTINGS.format(port=port))
            return anyio.run(_storm, home, drained if notify else None)

        with_it, without = alternate(lambda: storm(notify=True), lambda: storm(notify=False), rounds=3)
    yield Row("with notifications", with_it, "events/s", "without", with_it / without, FLOOR)
    yield Row("until all are told", max(drained), "s", "after the storm", 1.0, None)


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


async def _storm(home: Path, drained: list[float] | None) -> float:
    """Return the events that were appended in a second."""
    async with open_engine(f"sqlite:///{home / 'aura.db'}", home=home, user="ann", record_only=True) as engine:
        await engine.notifications.deliver()  # from here on
        async with anyio.create_task_group() as group:
            if drained is not None:
                group.start_soon(engine.notifications.serve)
            began = time.perf_counter()
            async with anyio.create_task_group() as writers:
                for _ in range(WRITERS):
                    writers.start_soon(_write, engine._core.log)  # noqa: SLF001 - commands would hide what is measured
            took = time.perf_counter() - began
            if drained is not None:
                began = time.perf_counter()
                while min(_told(home).values()) < EVENTS:  # noqa: ASYNC110 - a file tells of itself
                    await anyio.sleep(0.2)
                drained.append(time.perf_counter() - began)
            group.cancel_scope.cancel()
    return EVENTS / took


async def _write(log) -> None:
    for _ in range(EVENTS // WRITERS // BATCH):
        await log.append(*(_asked() for _ in range(BATCH)))


def _asked() -> Append:
    ident = new_id()
    question = Question(kind=ApprovalKind.PLAN, reviewers=("ann", "bob"), proposed_solution="Do it.")
    event = ApprovalRequested(approval_id=ident, requested_by=system("engine"), question=question)
    return Append(ident, 0, (Fact(event, NOW, system("engine"), "c", "c"),))


def _told(home: Path) -> dict[str, int]:
    """Return how many questions each person was told of by the file; the last line may be half written."""
    found = {"ann": 0, "bob": 0}
    path = home / "told.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.endswith("}"):
            message = json.loads(line)
            found[message["recipient"]] += message["count"]
    return found


if __name__ == "__main__":
    main(__doc__.split("\n", 1)[0], measure)
