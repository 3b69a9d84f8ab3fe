"""A process as its worker sees it: the spool for what it writes, the socket for everything else.

`SupervisedRun.follow` is the one task that changes what is known of the process (`_last`, `_exit`); everything else
waits for it. It runs in the task group of the runner, until the process has ended.
"""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio import to_thread

from aura_contracts.errors import ProcessGone
from aura_contracts.execution import SupervisedProcess
from aura_contracts.ids import ProcessIdentity
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.ports import Clock
from aura_contracts.ports.processes import ExitCause, OutputBatch, ProcessExit, RunningProcess
from aura_contracts.process_table import reap
from aura_executors.runner import custody
from aura_executors.runner.control_client import ControlClient, Pulse
from aura_executors.runner.custody import Alive, Busy, Ended
from aura_executors.supervisor.control_protocol import (
    ACKNOWLEDGE,
    CLOSE_INPUT,
    EXIT,
    EXPECT_EXIT,
    INTERRUPT,
    NUMBER,
    OUTPUT,
    PAUSE_LIMITS,
    PIECE,
    WANT,
    WRITE,
    keyed,
    numbered,
    split_number,
)
from aura_executors.supervisor.spool import STDERR, STDOUT, SpoolReader, delete_acknowledged

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCES = {STDOUT: OutputSource.STDOUT, STDERR: OutputSource.STDERR}

BUSY_PAUSE = 0.005
"""Seconds until a process that is just starting or ending is probed again."""

_REASON_LIMIT = 500
"""Characters of the reason of an interrupt."""


class SupervisedRun(RunningProcess):
    """A process under its supervisor."""

    def __init__(self, token: str, folder: Path, running: dict[str, Any], clock: Clock) -> None:
        pid, started = running["agent"]
        self.process = SupervisedProcess(
            identity=ProcessIdentity(pid=pid, started=started, token=token), socket=str(folder / running["socket"])
        )
        self.first_record = int(running["first_record"])
        self._token = token
        self._folder = folder
        self._running = running
        self._clock = clock
        self._client = ControlClient()
        self._writing = anyio.Lock()
        self._last = 0
        self._exit: ProcessExit | None = None
        self._ended = anyio.Event()
        self._progress = Pulse()
        """Fires at new output, and at the end."""

    # --- The port -----------------------------------------------------------------------------------------------------

    def output(self, after: int = 0) -> AsyncIterator[OutputBatch]:
        return _Output(self, SpoolReader(str(self._folder), after + 1))

    async def acknowledge(self, upto: int) -> None:
        if not await self._client.send(numbered(ACKNOWLEDGE, upto)):
            with suppress(FileNotFoundError):
                await to_thread.run_sync(delete_acknowledged, str(self._folder), upto)

    async def write(self, data: bytes, *, key: str = "", close: bool = False) -> None:
        async with self._writing:
            for start in range(0, len(data), PIECE):
                once = f"{key}/{start}".encode() if key else b""
                await self._ask_for_input(WRITE, keyed(once, data[start : start + PIECE]))
            if close:
                await self._client.ask(CLOSE_INPUT)  # if the process is gone, its input is closed

    async def interrupt(self, reason: str = "", *, after: float = 0.0) -> None:
        await self._client.ask(INTERRUPT, _milliseconds(after) + reason[:_REASON_LIMIT].encode(errors="replace"))

    async def expect_exit(self, seconds: float) -> None:
        await self._insist(EXPECT_EXIT, _milliseconds(seconds))

    async def pause_limits(self, paused: bool) -> None:  # noqa: FBT001 - as in the port
        await self._insist(PAUSE_LIMITS, NUMBER.pack(int(paused)))

    async def wait(self) -> ProcessExit:
        await self._ended.wait()
        assert self._exit is not None, "set before the event"
        return self._exit

    # --- For `output` and the runner ----------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self._exit is not None

    async def output_after(self, seen: int) -> None:
        """Return when there is a record after number `seen`, or the process has ended."""
        while self._exit is None and self._last <= seen:
            progress = self._progress.event
            await self._client.send(numbered(WANT, seen))
            await progress.wait()

    def end(self, exit_record: dict[str, Any]) -> None:
        """Take in how it ended."""
        if self._exit is None:
            self._exit = exit_of(exit_record)
            self._ended.set()
        self._client.close()
        self._progress.fire()

    async def follow(self, connection: socket.socket) -> None:
        """Listen to the supervisor until the process has ended; record its end if the supervisor was killed."""
        while self._exit is None:
            await self._client.listen(connection, self._take)
            self._progress.fire()
            while self._exit is None:
                state = await to_thread.run_sync(custody.probe, self._folder, self._clock)
                if isinstance(state, Alive):
                    connection = state.stream
                    break
                if isinstance(state, Ended):
                    self.end(state.exit)
                elif isinstance(state, Busy):
                    await anyio.sleep(BUSY_PAUSE)
                else:
                    records = max(0, self._last - self._running["first_record"] + 1)
                    self.end(await to_thread.run_sync(custody.record_vanished, self._running, records, self._clock))
        pid, started = self._running["supervisor"]
        while reap(pid, started):  # noqa: ASYNC110 - the system has no event for it
            await anyio.sleep(BUSY_PAUSE)

    # --- The socket ---------------------------------------------------------------------------------------------------

    def _take(self, kind: int, body: bytes) -> None:
        if kind == OUTPUT:
            self._last = max(self._last, split_number(body)[0])
            self._progress.fire()
        elif kind == EXIT:
            self.end(json.loads(body))

    async def _insist(self, kind: int, body: bytes) -> None:
        """Ask for what may be asked for again, until it is done or the process has ended."""
        while not await self._client.ask(kind, body) and self._exit is None:
            await anyio.lowlevel.checkpoint()

    async def _ask_for_input(self, kind: int, body: bytes = b"") -> None:
        if not await self._client.ask(kind, body):
            ended = "has ended" if self._exit is not None else "does not accept input any more"
            raise ProcessGone(token=self._token, reason=f"process {self._token} {ended}")


class _Output(AsyncIterator[OutputBatch]):
    """What a process writes. Not a generator, and holds nothing open: a caller that has enough simply stops."""

    def __init__(self, run: SupervisedRun, reader: SpoolReader) -> None:
        self._run = run
        self._reader = reader

    async def __anext__(self) -> OutputBatch:
        while True:
            all_written = self._run.ended
            batch = await to_thread.run_sync(_read_batch, self._reader)
            if batch is not None:
                return batch
            if all_written:
                raise StopAsyncIteration
            await self._run.output_after(self._reader.next - 1)


def exit_of(record: dict[str, Any]) -> ProcessExit:
    """Return the exit that a record describes."""
    times = {name: _instant(record[name]) for name in ("started_at", "ended_at") if record.get(name) is not None}
    return ProcessExit(**{**record, **times, "cause": ExitCause(record["cause"])})


def _read_batch(reader: SpoolReader) -> OutputBatch | None:
    records = reader.read()
    if not records:
        return None
    chunks = tuple(Chunk.of(_SOURCES[source], _instant(time), data) for source, time, data in records)
    return OutputBatch(reader.next - len(chunks), chunks)


def _milliseconds(seconds: float) -> bytes:
    return NUMBER.pack(max(0, round(seconds * 1000)))


def _instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
