"""A worker that can be killed: ``supervised_worker.py HOME TOKEN KEPT [COMMAND...]``.

Starts the command under its token, or takes it over, and appends what it writes to the file KEPT, each record as
number, length and bytes, before it acknowledges it. A record that a kill has cut short is cut off first.
"""

# ruff: noqa: T201 - this is how it is seen what it does

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct

import anyio

from aura_contracts.ports.processes import ProcessSpec
from aura_executors.runner.supervised_runner import SupervisedRunner

HEAD = Struct("<QI")


def kept(file: Path) -> tuple[int, int, bytes]:
    """Return the number of the last whole record, where it ends, and all bytes."""
    content = file.read_bytes() if file.exists() else b""
    last, at = 0, 0
    written: list[bytes] = []
    while at + HEAD.size <= len(content):
        number, length = HEAD.unpack_from(content, at)
        end = at + HEAD.size + length
        if end > len(content):
            break
        assert number == last + 1, f"record {number} after {last}"
        written.append(content[at + HEAD.size : end])
        last, at = number, end
    return last, at, b"".join(written)


async def main(home: str, token: str, file: str, *argv: str) -> None:
    last, end, _ = kept(Path(file))
    output = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    os.ftruncate(output, end)
    os.lseek(output, end, os.SEEK_SET)
    async with SupervisedRunner(Path(home), clock=lambda: datetime.now(UTC), python=sys.executable) as runner:
        print("starting", flush=True)
        process = await runner.start(ProcessSpec(token=token, argv=argv, cwd="/", env={"PATH": os.environ["PATH"]}))
        print("started", flush=True)
        async for batch in process.output(last):
            for number, chunk in enumerate(batch.chunks, batch.first):
                os.write(output, HEAD.pack(number, len(chunk.raw)) + chunk.raw)
                last = number
            await process.acknowledge(last)
        ended = await process.wait()
    print(ended.cause.value, ended.exit_code, flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
