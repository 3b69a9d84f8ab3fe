"""A process that appends until it is killed: ``python crash_writer.py URL RUN BACKEND``.

Several tasks append at the same time, to streams of this run, and now and then to streams that all runs share, in one
append with their own. What was acknowledged is said on the standard output, one line per event and only after `append`
has returned: stream, version, digest of the text. Each text is said once in the life of the log.
"""

import os
import sys
from datetime import UTC, datetime
from hashlib import sha256
from random import Random

import anyio

from aura_contracts.actors import system
from aura_contracts.errors import VersionConflict
from aura_contracts.events import Append, Fact
from aura_contracts.ports import EventLog
from aura_contracts.task import TaskBlocked
from aura_store import open_log

WRITERS = 6
SHARED = 3
PATIENCE = 120.0
NOW = datetime(2026, 1, 4, tzinfo=UTC)


def stream_id(number: int) -> str:
    return f"0192f0c1-2d3e-7abc-8def-{number:012x}"


def fact(text: str) -> Fact:
    return Fact(TaskBlocked(reason=text, resource="", conflicting_task_id=None), NOW, system("writer"), "", "")


def digest(text: str) -> str:
    """Return what is said about a text."""
    return sha256(text.encode()).hexdigest()[:16]


def say(appends: list[Append]) -> None:
    """Report an acknowledged append, at once and as a whole: a pipe does not tear up to 4096 bytes."""
    lines = [
        f"{append.stream_id} {append.expected_version + number} {digest(fact.event.reason)}\n"  # type: ignore[attr-defined]
        for append in appends
        for number, fact in enumerate(append.facts, 1)
    ]
    os.write(1, "".join(lines).encode())


async def write(log: EventLog, run: int, writer: int, shared: dict[int, int]) -> None:
    dice = Random(f"{run} {writer}")
    mine = 1000 + run * WRITERS + writer
    version = serial = 0

    def facts() -> tuple[Fact, ...]:
        nonlocal serial
        serial += 1
        many = dice.choice([1, 1, 2, 5])
        return tuple(fact(f"{run}/{writer}/{serial}/{n} {'x' * dice.randrange(300)}") for n in range(many))

    while True:
        appends = [Append(stream_id(mine), version, facts())]
        if other := dice.choice([0] * 6 + list(range(1, SHARED + 1))):
            appends.append(Append(stream_id(other), shared.get(other, 0), facts()))
        try:
            await log.append(*appends)
        except VersionConflict as conflict:
            shared[other] = conflict.actual
            continue
        say(appends)
        version += len(appends[0].facts)
        if other:
            shared[other] = max(shared.get(other, 0), appends[1].expected_version + len(appends[1].facts))


async def main(url: str, run: int) -> None:
    shared: dict[int, int] = {}
    os.write(1, b"begin\n")
    async with open_log(url, outage_timeout=PATIENCE) as log, anyio.create_task_group() as tasks:
        for writer in range(WRITERS):
            tasks.start_soon(write, log, run, writer, shared)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), backend=sys.argv[3])
