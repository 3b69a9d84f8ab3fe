"""Pump: brings what one process writes to the engine, and what the agent is to be told to the process.

    spool ──output──► understood ──agent.entries──► engine
                          └───────output.append──► engine ──accepted──► acknowledged, deleted from the spool

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
from anyio.abc import ObjectReceiveStream, ObjectSendStream

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
from aura_contracts.ports.executors import AnyEntry, Entry, Unknown
from aura_contracts.ports.processes import OutputBatch, RunningProcess
from aura_engine.worker._understanding import Understanding
from aura_worker_protocol.messages import (
    AppendOutput,
    OutputAccepted,
    ProcessFinished,
    ReportEntries,
    Result,
    StartProcess,
)
from aura_worker_protocol.peer import Peer, PendingReply

IN_FLIGHT = 2
"""Batches of one process that wait for the engine at a time: at most about 1 MiB."""

SMALL = 65_536
"""Bytes; a batch below waits until nothing is in flight."""

_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts while the engine cannot store; the last one again and again."""

_log = logging.getLogger(__name__)


class _Rewind(Exception):
    """The engine lacks records that were handed over."""


@attrs.frozen
class _Flight:
    """A request that waits for the engine."""

    reply: PendingReply[OutputAccepted] | PendingReply[Result]
    expected: int = 0
    """Of output: what the engine should say is the next record."""
    report: int | None = None
    """Of entries: which report is settled by it."""


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

    def __init__(self, peer: Peer, order: StartProcess, running: RunningProcess, understanding: Understanding) -> None:
        self._peer = peer
        self._order = order
        self._running = running
        self._understanding = understanding
        self._next = order.next_record
        self._begun: set[int] = set()
        """Reports that are on their way."""
        self._reporting = anyio.Lock()
        self._writing = anyio.Lock()

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
                exit = await self._running.wait()  # noqa: A001 - the word for it
                self._understanding.end(exit)
                await self.follow()
                return ProcessFinished(exit=exit, failure=self._understanding.judge(exit, self._order.stage))
            except (_Rewind, StoreError, RemoteError, CommandRefused) as error:
                if isinstance(error, CommandRefused) and not _is_gap(error):
                    await self._running.interrupt(str(error))
                    raise
                failures = 1 if self._next > before else failures + 1
                _log.warning("output of %s is handed over again from %d: %s", self._order.token, self._next, error)
                await anyio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])

    async def follow(self) -> None:
        """Report and write what came of the conversation; return when the engine has the entries."""
        flights = await self._report()
        await self._write()
        for flight in flights:
            await self._landed(flight)

    # --- Output -------------------------------------------------------------------------------------------------------

    async def _hand_over(self) -> None:
        """Hand over everything from record `_next` on, until the process has ended. Raises what the engine says."""
        self._begun.clear()
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
            async with to_settle, _closing(self._running.output(self._next - 1)) as batches:
                try:
                    async for batch in batches:
                        await self._launch(batch, to_settle, window)
                        if self._understanding.sends:  # beside the output: an agent may read only when it was read
                            tasks.start_soon(self._write)
                except AuraError as error:
                    trouble.append(error)
                    tasks.cancel_scope.cancel()
        if trouble:
            raise trouble[0]

    async def _launch(self, batch: OutputBatch, to_settle: ObjectSendStream[_Flight], window: _Window) -> None:
        small = sum(len(chunk.text or chunk.data or "") for chunk in batch.chunks) < SMALL
        await window.room(1 if small else IN_FLIGHT)
        self._understanding.take(batch)
        after = batch.first + len(batch.chunks)
        for flight in await self._report():
            await to_settle.send(flight)
        append = AppendOutput(
            execution_id=self._order.execution_id, epoch=self._order.epoch, first=batch.first, chunks=batch.chunks
        )
        window.count += 1
        await to_settle.send(_Flight(await self._peer.begin(append), after))

    async def _settle(self, flights: ObjectReceiveStream[_Flight], window: _Window) -> None:
        async with flights:
            async for flight in flights:
                await self._landed(flight)
                if flight.expected:
                    window.land()

    async def _landed(self, flight: _Flight) -> None:
        try:
            result = await flight.reply.wait()
        except AuraError:
            self._begun.discard(-1 if flight.report is None else flight.report)
            raise
        if isinstance(result, OutputAccepted):
            await self._accepted(result.next, flight.expected)
        elif flight.report is not None:
            self._understanding.reports.pop(flight.report, None)

    async def _accepted(self, next_record: int, expected: int) -> None:
        self._next = min(next_record, expected)
        await self._running.acknowledge(self._next - 1)
        if next_record < expected:
            raise _Rewind(f"the engine has the records before {next_record} only")

    # --- Conversation -------------------------------------------------------------------------------------------------

    async def _report(self) -> list[_Flight]:
        """Send the reports that are not on their way, in their order."""
        flights = []
        async with self._reporting:
            for number, understood in tuple(self._understanding.reports.items()):
                if number not in self._begun:
                    self._begun.add(number)
                    replies = await self._send(understood.entries, understood.record)
                    flights += [*(_Flight(reply) for reply in replies[:-1]), _Flight(replies[-1], report=number)]
        return flights

    async def _send(self, entries: tuple[Entry, ...], record: int) -> list[PendingReply[Result]]:
        """Send entries; in several frames if they are too large for one, and without what no frame can hold."""
        try:
            return [await self._peer.begin(self._report_of(entries, record))]
        except (FrameTooLarge, MalformedFrame) as error:
            if len(entries) == 1:
                left_out = Unknown(text=f"{type(entries[0]).__name__} is left out: {error}")
                return [await self._peer.begin(self._report_of((left_out,), record))]
        half = len(entries) // 2
        return [*await self._send(entries[:half], record), *await self._send(entries[half:], record)]

    def _report_of(self, entries: tuple[Entry, ...], record: int) -> ReportEntries:
        order = self._order
        known: tuple[AnyEntry, ...] = entries  # type: ignore[assignment]  # all entries there are
        return ReportEntries(
            execution_id=order.execution_id, epoch=order.epoch, token=order.token, entries=known, record=record
        )

    async def _write(self) -> None:
        """Write to the agent; one that has ended needs it no more, and its exit says the rest.

        At most once: what was cancelled on its way may have arrived, and is not written again.
        """
        sends = self._understanding.sends
        async with self._writing:
            while sends:
                send = sends.popleft()
                try:
                    await self._running.write(send.data, close=send.close)
                except ProcessGone as gone:
                    _log.info("%s takes no input: %s", self._order.token, gone)
                    sends.clear()


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
