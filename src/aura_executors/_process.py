"""A process as its worker sees it: the spool for what it writes, the socket for the rest."""

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
from anyio.abc import SocketStream

from aura_contracts.errors import ProcessGone
from aura_contracts.execution import SupervisedProcess
from aura_contracts.lease import ProcessIdentity
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.ports import Clock
from aura_contracts.ports.processes import ExitCause, OutputBatch, ProcessExit, RunningProcess
from aura_executors import _starting
from aura_executors._control import (
    ACKNOWLEDGE,
    CLOSE_INPUT,
    DONE,
    EXIT,
    FAREWELL,
    GONE,
    INTERRUPT,
    NUMBER,
    OUTPUT,
    PAUSE_LIMITS,
    PIECE,
    WANT,
    WRITE,
    Frames,
    keyed,
    numbered,
    split_number,
)
from aura_executors._reaping import reap
from aura_executors._spool import STDERR, STDOUT, SpoolReader, delete_acknowledged
from aura_executors._starting import Alive, Busy, Ended

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCES = {STDOUT: OutputSource.STDOUT, STDERR: OutputSource.STDERR}

BUSY_PAUSE = 0.005
"""Seconds until somebody who is just starting or ending a process is looked at again."""

_REASON_LIMIT = 500
"""Characters of the reason of an interrupt."""


class SupervisedRun(RunningProcess):
    """A process under its supervisor. `follow` runs as long as the process does, in a task of the runner."""

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
        self._exit: ProcessExit | None = None
        self._ended = anyio.Event()
        self._stream: SocketStream | None = None
        self._sending = anyio.Lock()
        self._writing = anyio.Lock()
        self._last = 0
        self._news = anyio.Event()
        self._requests = 0
        self._answers: dict[int, bool] = {}
        self._answered = anyio.Event()

    # --- The port -----------------------------------------------------------------------------------------------------

    def output(self, after: int = 0) -> AsyncIterator[OutputBatch]:
        return _Output(self, SpoolReader(str(self._folder), after + 1))

    async def acknowledge(self, upto: int) -> None:
        if not await self._send(numbered(ACKNOWLEDGE, upto)):
            with suppress(FileNotFoundError):
                await to_thread.run_sync(delete_acknowledged, str(self._folder), upto)

    async def write(self, data: bytes, *, key: str = "", close: bool = False) -> None:
        async with self._writing:
            for start in range(0, len(data), PIECE):
                once = f"{key}/{start}".encode() if key else b""
                await self._ask_for_input(WRITE, keyed(once, data[start : start + PIECE]))
            if close:
                await self._ask(CLOSE_INPUT)  # that of a process which has gone meanwhile is closed

    async def interrupt(self, reason: str = "", *, after: float = 0.0) -> None:
        await self._ask(INTERRUPT, _milliseconds(after) + reason[:_REASON_LIMIT].encode(errors="replace"))

    async def farewell(self, seconds: float) -> None:
        await self._insist(FAREWELL, _milliseconds(seconds))

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
            news = self._news
            await self._send(numbered(WANT, seen))
            await news.wait()

    def end(self, exit_record: dict[str, Any]) -> None:
        """Say how it ended."""
        if self._exit is None:
            self._exit = exit_of(exit_record)
            self._ended.set()
        self._tell_news()

    async def follow(self, connection: socket.socket) -> None:
        """Listen to the supervisor until the process has ended; take its place in the story if it was killed."""
        while self._exit is None:
            await self._listen(connection)
            while self._exit is None:
                state = await to_thread.run_sync(_starting.look, self._folder, self._clock)
                if isinstance(state, Alive):
                    connection = state.stream
                    break
                if isinstance(state, Ended):
                    _starting.release(state)
                    self.end(state.exit)
                elif isinstance(state, Busy):
                    await anyio.sleep(BUSY_PAUSE)
                else:
                    _starting.release(state)
                    records = max(0, self._last - self._running["first_record"] + 1)
                    self.end(await to_thread.run_sync(_starting.bury, self._running, records, self._clock))
        pid, started = self._running["supervisor"]
        while reap(pid, started):  # noqa: ASYNC110 - no event tells
            await anyio.sleep(BUSY_PAUSE)

    # --- The socket ---------------------------------------------------------------------------------------------------

    async def _listen(self, connection: socket.socket) -> None:
        """Take what the supervisor says until it closes the connection."""
        frames = Frames()
        async with await SocketStream.from_socket(connection) as stream:
            self._stream = stream
            self._tell_news()
            try:
                while True:
                    for kind, body in frames.feed(await stream.receive()):
                        self._take(kind, body)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ValueError):
                pass
            finally:
                self._stream = None
                self._tell_answers()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == OUTPUT:
            self._last = max(self._last, split_number(body)[0])
            self._tell_news()
        elif kind in (DONE, GONE):
            self._answers[split_number(body)[0]] = kind == DONE
            self._tell_answers()
        elif kind == EXIT:
            self.end(json.loads(body))

    def _tell_news(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    def _tell_answers(self) -> None:
        answered, self._answered = self._answered, anyio.Event()
        answered.set()

    async def _send(self, data: bytes) -> bool:
        """Send a frame whole, even if cancelled in the middle; False if the process has ended."""
        while self._stream is None and self._exit is None:
            await self._news.wait()
        async with self._sending:
            if self._stream is None:
                return False
            with anyio.CancelScope(shield=True):
                try:
                    await self._stream.send(data)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return False
        return True

    async def _ask(self, kind: int, body: bytes = b"") -> bool:
        """Return whether the supervisor did it; False also if it is not there any more."""
        self._requests += 1
        number = self._requests
        if not await self._send(numbered(kind, number, body)):
            return False
        try:
            while number not in self._answers and self._stream is not None:
                await self._answered.wait()
        finally:
            answer = self._answers.pop(number, False)  # an answer that comes after a cancellation stays: one number
        return answer

    async def _insist(self, kind: int, body: bytes) -> None:
        """Ask for what may be asked for again, until it is done or the process has ended."""
        while not await self._ask(kind, body) and self._exit is None:
            await anyio.lowlevel.checkpoint()

    async def _ask_for_input(self, kind: int, body: bytes = b"") -> None:
        if not await self._ask(kind, body):
            ended = "has ended" if self._exit is not None else "takes no input any more"
            raise ProcessGone(token=self._token, reason=f"process {self._token} {ended}")


class _Output(AsyncIterator[OutputBatch]):
    """What a process writes. No generator, and holds nothing open: whoever has enough may simply stop."""

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
    """Return the exit that a record tells of."""
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
