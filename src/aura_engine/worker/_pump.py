"""Pump: brings what one process writes to the engine, and what the agent is to be told to the process.

    spool ──output──► understood ──output.append──► engine ──accepted──► acknowledged, deleted from the spool
                          └───────what it is answered──► agent

Requests go in the order of the records; up to `IN_FLIGHT` wait for the engine at a time. A record is acknowledged to
the runner when the engine has said that it is durable, so that whatever happens in between it is handed over again;
the engine passes over what it has. A small batch waits until nothing is in flight, and what is written meanwhile makes
the next one larger (Nagle's algorithm, RFC 896): few events for many small writes, and no delay for a lone one.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import attrs
import msgspec
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

from aura_contracts.errors import (
    AuraError,
    CommandRefused,
    FrameTooLarge,
    MalformedFrame,
    ProcessGone,
    RemoteError,
    RuleViolated,
    StoreError,
)
from aura_contracts.output import Chunk
from aura_contracts.ports.executors import AnyEntry, Unknown
from aura_contracts.ports.processes import OutputBatch, ProcessExit, RunningProcess
from aura_engine.worker._understanding import Understanding
from aura_worker_protocol.messages import (
    AppendOutput,
    OutputAccepted,
    ProcessFinished,
    StartProcess,
    Understood,
)
from aura_worker_protocol.peer import Peer, PendingReply

IN_FLIGHT = 2
"""Batches of one process that wait for the engine at a time: at most about 1 MiB."""

SMALL = 65_536
"""Bytes; a batch below waits until nothing is in flight."""

ENTRIES_LIMIT = 8 * 1024 * 1024
"""Bytes of what was understood from one record, at most: beside the record itself it fits into a frame."""

_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts while the engine cannot store; the last one again and again."""

_log = logging.getLogger(__name__)


class _Rewind(Exception):
    """The engine lacks records that were handed over."""


@attrs.frozen
class _Flight:
    """A request that waits for the engine; `expected` is what it should say is the next record."""

    reply: PendingReply[OutputAccepted]
    expected: int


@attrs.define
class _Window:
    """How much is in flight."""

    count: int = 0
    _landed: anyio.Event = attrs.field(factory=anyio.Event)

    async def room(self, limit: int) -> None:
        while self.count >= limit:
            await self._landed.wait()

    def land(self) -> None:
        self.count -= 1
        self._landed.set()
        self._landed = anyio.Event()


class Pump:
    """The pump of the process that `order` started, over one connection."""

    def __init__(
        self,
        peer: Peer,
        order: StartProcess,
        running: RunningProcess,
        understanding: Understanding,
        exit_grace: float,
    ) -> None:
        self._peer = peer
        self._exit_grace = exit_grace
        self._order = order
        self._running = running
        self._understanding = understanding
        self._next = order.next_record
        self._writing = anyio.Lock()
        self._timing = anyio.Lock()
        self._paused: bool | None = None

    async def run(self) -> ProcessFinished:
        """Return how the process ended, once the engine has everything that it wrote.

        Raises `WorkerUnavailable` when the connection closes; the process goes on, and so will another pump. Raises
        `CommandRefused` when the engine does not want this output: the process is being ended then. While the engine
        cannot store anything, tries again.
        """
        failures = 0
        while True:
            before = self._next
            try:
                await self._hand_over()
                exit = await self._running.wait()
                return self._finished(exit)
            except (_Rewind, StoreError, RemoteError, CommandRefused) as error:
                if isinstance(error, CommandRefused) and not _is_gap(error):
                    await self._running.interrupt(str(error))
                    raise
                failures = 1 if self._next > before else failures + 1
                _log.warning("output of %s is handed over again from %d: %s", self._order.token, self._next, error)
                await anyio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])

    async def write(self) -> None:
        """Write to the agent what it is to be told; one that has ended needs it no more, and its exit says the rest.

        What was cancelled on its way is written again, under the key by which it arrives once.
        """
        await self._keep_time()
        sends = self._understanding.sends
        async with self._writing:
            while sends:
                keyed = sends[0]
                try:
                    await self._running.write(keyed.send.data, key=keyed.key, close=keyed.send.close)
                except ProcessGone as gone:
                    _log.info("%s takes no input: %s", self._order.token, gone)
                    sends.clear()
                    return
                sends.popleft()

    async def _keep_time(self) -> None:
        """Have the limits in time of the agent stand still while it waits for an answer.

        Those who wrote to it before may have said otherwise, and be gone: the first time it is said in any case.
        """
        async with self._timing:
            while self._paused != (waiting := self._understanding.waiting):
                await self._running.pause_limits(waiting)
                self._paused = waiting

    def _finished(self, exit: ProcessExit) -> ProcessFinished:
        understanding = self._understanding
        last = _fitting(Understood(record=0, entries=understanding.end(exit)), "no frame can hold it")
        failure = understanding.judge(exit, self._order.stage)
        return ProcessFinished(exit=exit, failure=failure, blocked=understanding.blocked, entries=last.entries)

    # --- Output -------------------------------------------------------------------------------------------------------

    async def _hand_over(self) -> None:
        """Hand over everything from record `_next` on, until the process has ended. Raises what the engine says."""
        trouble: list[Exception] = []
        window = _Window()
        async with anyio.create_task_group() as tasks:
            to_settle, flights = anyio.create_memory_object_stream[_Flight](float("inf"))

            async def settle() -> None:
                try:
                    await self._settle(flights, window)
                except (AuraError, _Rewind) as error:
                    trouble.append(error)
                    tasks.cancel_scope.cancel()

            tasks.start_soon(settle)
            self._attend(tasks)
            async with to_settle, _closing(self._running.output(self._next - 1)) as batches:
                try:
                    async for batch in batches:
                        self._understanding.take(batch)
                        self._attend(tasks)
                        await self._launch(batch, to_settle, window)
                except AuraError as error:
                    trouble.append(error)
                    tasks.cancel_scope.cancel()
        if trouble:
            raise trouble[0]

    def _attend(self, tasks: TaskGroup) -> None:
        """Have the agent told what it is to be told, beside its output: it may read only when it was read."""
        if self._understanding.waiting != self._paused:
            tasks.start_soon(self._keep_time)
        if self._understanding.sends:
            tasks.start_soon(self.write)
        if self._understanding.finished:
            tasks.start_soon(self._running.expect_exit, self._exit_grace)

    async def _launch(self, batch: OutputBatch, to_settle: ObjectSendStream[_Flight], window: _Window) -> None:
        small = sum(len(chunk.text or chunk.data or "") for chunk in batch.chunks) < SMALL
        await window.room(1 if small else IN_FLIGHT)
        for flight in await self._begin(batch.first, batch.chunks):
            window.count += 1
            await to_settle.send(flight)

    async def _begin(self, first: int, chunks: tuple[Chunk, ...]) -> list[_Flight]:
        """Hand over records with what was understood from them: in several frames if they do not fit into one."""
        last = first + len(chunks) - 1
        understood = self._understanding.understood(first, last)
        try:
            return [await self._append(first, chunks, understood)]
        except (FrameTooLarge, MalformedFrame) as error:
            if not understood:
                raise
            if len(chunks) == 1:
                return [await self._append(first, chunks, (_fitting(understood[0], str(error)),))]
        half = len(chunks) // 2
        return [*await self._begin(first, chunks[:half]), *await self._begin(first + half, chunks[half:])]

    async def _append(self, first: int, chunks: tuple[Chunk, ...], understood: tuple[Understood, ...]) -> _Flight:
        order = self._order
        request = AppendOutput(
            execution_id=order.execution_id,
            epoch=order.epoch,
            token=order.token,
            first=first,
            chunks=chunks,
            understood=understood,
        )
        return _Flight(await self._peer.begin(request), first + len(chunks))

    async def _settle(self, flights: ObjectReceiveStream[_Flight], window: _Window) -> None:
        async with flights:
            async for flight in flights:
                accepted = await flight.reply.wait()
                await self._accepted(accepted.next, flight.expected)
                window.land()

    async def _accepted(self, next_record: int, expected: int) -> None:
        self._next = min(next_record, expected)
        self._understanding.forget(self._next - 1)
        await self._running.acknowledge(self._next - 1)
        if next_record < expected:
            raise _Rewind(f"the engine has the records before {next_record} only")


def _fitting(understood: Understood, reason: str) -> Understood:
    """Return what a frame can hold of what was understood from one record; the output has the rest."""
    entries: list[AnyEntry] = []
    room = ENTRIES_LIMIT
    for entry in understood.entries:
        size = _size_of(entry)
        if size is None or size > room:
            entries.append(Unknown(text=f"{type(entry).__name__} is left out: {reason}"))
        else:
            entries.append(entry)
            room -= size
    return Understood(record=understood.record, entries=tuple(entries))


def _size_of(entry: AnyEntry) -> int | None:
    """Return the bytes that an entry takes in a frame; None for one that no frame can hold."""
    try:
        return len(msgspec.json.encode(entry))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


def _is_gap(error: CommandRefused) -> bool:
    """Whether records before these are missing: what came before them could not be stored."""
    return isinstance(error, RuleViolated) and error.rule == "sequence_gap"


@asynccontextmanager
async def _closing(batches: AsyncIterator[OutputBatch]) -> AsyncIterator[AsyncIterator[OutputBatch]]:
    """Close an iterator that is left before its end: one that is a generator holds on to what it reads from."""
    try:
        yield batches
    finally:
        if isinstance(batches, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await batches.aclose()
