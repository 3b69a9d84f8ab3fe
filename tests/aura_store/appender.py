"""A process that appends: ``python appender.py URL FIRST_STREAM STREAMS EVENTS``, started by a line on its input.

Each stream has a writer of its own; all write at the same time.
"""

import sys

import anyio

from aura_store import open_log
from aura_store.testing.log_conformance import append


async def main(url: str, first: int, streams: int, events: int) -> None:
    async with open_log(url) as log:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()

        async def write(stream: int) -> None:
            for version in range(events):
                await log.append(append(stream, version, f"{stream}/{version + 1}"))

        async with anyio.create_task_group() as writers:
            for stream in range(first, first + streams):
                writers.start_soon(write, stream)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], *map(int, sys.argv[2:]))
