"""Processes under supervisors for tests, and the proof that none of them is left."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from aura_contracts.output import OutputSource
from aura_contracts.ports.processes import InterruptPlan, ProcessSpec, RunningProcess
from aura_contracts.process_table import kill_processes_with_token, processes_with_token
from aura_executors.runner.supervised_runner import SupervisedRunner
from conditions import until

HASTY = InterruptPlan(after_interrupt=0.2, after_terminate=0.2)
PATH = os.environ["PATH"]

_tokens: list[str] = []


def now() -> datetime:
    return datetime.now(UTC)


def spec(*argv: str, **fields: Any) -> ProcessSpec:
    """A specification with a token of its own, which is remembered for `runner`."""
    given = {"token": str(uuid4()), "cwd": "/", "env": {"PATH": PATH}, "interrupt": HASTY, **fields}
    _tokens.append(given["token"])
    return ProcessSpec(argv=argv, **given)


def shell(script: str, **fields: Any) -> ProcessSpec:
    return spec("sh", "-c", script, **fields)


def program(source: str, **fields: Any) -> ProcessSpec:
    return spec(sys.executable, "-I", "-S", "-c", source, **fields)


def make_runner(home: Path, **settings: Any) -> SupervisedRunner:
    return SupervisedRunner(home, **{"clock": now, "python": sys.executable, "drain_time": 0.3, **settings})


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[SupervisedRunner]:
    """A runner; afterwards nothing of what was started may be there, after being told to end where necessary."""
    _tokens.clear()
    try:
        async with make_runner(tmp_path) as made:
            yield made
            for token in await made.tokens():
                await made.forget(token)
        await until(lambda: not supervisors(tmp_path))
        left = {token: found for token in _tokens if (found := processes_with_token(token))}
        assert not left
    finally:
        for pid in supervisors(tmp_path):
            os.kill(pid, signal.SIGKILL)
        for token in _tokens:
            kill_processes_with_token(token, timeout=1)


def supervisors(home: Path) -> list[int]:
    """Return the pids of the supervisors of the processes of `home`, or of a folder above it."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            arguments = process.joinpath("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            len(arguments) > 5
            and arguments[5].endswith(b"/supervisor/__main__.py")
            and os.fsencode(home) in arguments[6]
        ):
            found.append(int(process.name))
    return found


async def read(process: RunningProcess, after: int = 0, *, acknowledge: bool = True) -> dict[OutputSource, bytes]:
    """Return all that the process writes; check that the records have the numbers that they should."""
    written = {OutputSource.STDOUT: b"", OutputSource.STDERR: b""}
    async for batch in process.output(after):
        assert batch.first == after + 1
        after += len(batch.chunks)
        for chunk in batch.chunks:
            written[chunk.source] += chunk.raw
        if acknowledge:
            await process.acknowledge(after)
    return written


async def stdout(process: RunningProcess) -> bytes:
    return (await read(process))[OutputSource.STDOUT]


async def first_line(process: RunningProcess, after: int = 0) -> bytes:
    """Return the first line of its standard output, acknowledging nothing."""
    line = b""
    async for batch in process.output(after):
        line += b"".join(chunk.raw for chunk in batch.chunks if chunk.source == OutputSource.STDOUT)
        if b"\n" in line:
            break
    return line.partition(b"\n")[0]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
