"""Pump: carries the output of one process to the engine, and answers to the agent.

    spool ──output──► session ──output.append──► engine ──accepted──► acknowledged, deleted from the spool
                                (secrets masked)
                         └────────sends──► agent

Invariants:

- One task reads the output and sends it, another settles what the engine accepted; both belong to `_hand_over` and end
  together. Only the settling task moves `_next` and acknowledges.
- Requests go in the order of the records; up to `IN_FLIGHT` wait for the engine at a time.
- A record is acknowledged to the runner only after the engine has said that it is durable, so that after any failure it
  is handed over again, from `_next` on; the engine skips what it has.
- Sends to the agent are made under `_writing`, first in first out, and leave the queue only after they were written:
  what was cancelled on its way is written again, under the key by which it arrives once. Any task may call `write`.
- `_paused` is the state last set at the runner, and changes under `_timing` only.
- Reading never waits for the agent to read: it may read only after it was read.

A small batch waits until nothing is in flight, and what is written meanwhile makes the next one larger (Nagle's
algorithm, RFC 896): few events for many small writes, and no delay for a lone one.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import attrs
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

from aura_contracts.errors import (
    AuraError,
    CommandRefused,
    DomainRule,
    FrameTooLarge,
    ProcessGone,
    RemoteError,
    RuleViolated,
    StoreError,
)
from aura_contracts.output import Chunk
from aura_contracts.ports.processes import OutputBatch, ProcessExit, RunningProcess
from aura_contracts.secret_mask import OutputMask, SecretMask
from aura_worker._agent_session import AgentSession
from aura_worker_protocol.messages import AppendOutput, OutputAccepted, ParsedRecord, ProcessFinished, StartProcess
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
    """A request that waits for the engine; `expected` is the next record if it accepts all."""

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
        session: AgentSession,
        exit_grace: float,
        mask: SecretMask,
    ) -> None:
        self._peer = peer
        self._exit_grace = exit_grace
        self._mask = mask
        self._order = order
        self._running = running
        self._session = session
        self._next = order.next_record
        self._writing = anyio.Lock()
        self._timing = anyio.Lock()
        self._paused: bool | None = None

    async def run(self) -> ProcessFinished:
        """Return how the process ended, once the engine has everything that it wrote.

        Raises `WorkerUnavailable` when the connection closes; the process continues, and so will another pump. Raises
        `CommandRefused` when the engine does not want this output: the process is then being ended, unless it reports
        to another engine by now. While the engine cannot store anything, retries.
        """
        failures = 0
        while True:
            before = self._next
            try:
                await self._hand_over()
                exit = await self._running.wait()
                return self._finished(exit)
            except (_Rewind, StoreError, RemoteError, CommandRefused) as error:
                if isinstance(error, CommandRefused) and not _violates(error, DomainRule.SEQUENCE_GAP):
                    if not _violates(error, DomainRule.TAKEN_OVER):
                        await self._running.interrupt(str(error))
                    raise
                failures = 1 if self._next > before else failures + 1
                _log.warning("output of %s is handed over again from %d: %s", self._order.token, self._next, error)
                await anyio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])

    async def write(self) -> None:
        """Set its clock, and write the pending sends to the agent; one that has ended no longer needs them."""
        await self._keep_time()
        sends = self._session.sends
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
        """Pause the time limits of the agent while it waits for a human.

        An earlier pump may have left them in either state: the first time they are set in any case.
        """
        async with self._timing:
            while self._paused != (waiting := self._session.waiting):
                await self._running.pause_limits(waiting)
                self._paused = waiting

    def _finished(self, exit: ProcessExit) -> ProcessFinished:
        session = self._session
        entries = session.end(exit)
        failure = session.judge(exit, self._order.stage)
        finished = ProcessFinished(exit=exit, failure=failure, blocked=session.blocked, entries=entries)
        return self._mask.struct(finished)

    # --- Output -------------------------------------------------------------------------------------------------------

    async def _hand_over(self) -> None:
        """Hand over everything from record `_next` on until the process has ended. Raises the engine's errors."""
        trouble: list[Exception] = []
        window = _Window()
        masked = OutputMask(self._mask)
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
                        self._session.take(batch)
                        self._attend(tasks)
                        await self._launch(OutputBatch(batch.first, masked.chunks(batch.chunks)), to_settle, window)
                except AuraError as error:
                    trouble.append(error)
                    tasks.cancel_scope.cancel()
        if trouble:
            raise trouble[0]

    def _attend(self, tasks: TaskGroup) -> None:
        """Start what the output calls for, without waiting for it."""
        if self._session.waiting != self._paused:
            tasks.start_soon(self._keep_time)
        if self._session.sends:
            tasks.start_soon(self.write)
        if self._session.finished:
            tasks.start_soon(self._running.expect_exit, self._exit_grace)

    async def _launch(self, batch: OutputBatch, to_settle: ObjectSendStream[_Flight], window: _Window) -> None:
        small = sum(len(chunk.text or chunk.data or "") for chunk in batch.chunks) < SMALL
        await window.room(1 if small else IN_FLIGHT)
        for flight in await self._send_frames(batch.first, batch.chunks):
            window.count += 1
            await to_settle.send(flight)

    async def _send_frames(self, first: int, chunks: tuple[Chunk, ...]) -> list[_Flight]:
        """Send records with their entries, in several frames if they do not fit into one."""
        try:
            return [await self._append(first, chunks, self._session.parsed(first, first + len(chunks) - 1))]
        except FrameTooLarge:
            if len(chunks) == 1:
                raise
        half = len(chunks) // 2
        return [*await self._send_frames(first, chunks[:half]), *await self._send_frames(first + half, chunks[half:])]

    async def _append(self, first: int, chunks: tuple[Chunk, ...], parsed: tuple[ParsedRecord, ...]) -> _Flight:
        order = self._order
        request = AppendOutput(
            execution_id=order.execution_id,
            epoch=order.epoch,
            token=order.token,
            first=first,
            chunks=chunks,
            parsed=tuple(self._mask.struct(one) for one in parsed),
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
        self._session.forget(self._next - 1)
        await self._running.acknowledge(self._next - 1)
        if next_record < expected:
            raise _Rewind(f"the engine has the records before {next_record} only")


def _violates(error: CommandRefused, rule: DomainRule) -> bool:
    """Whether this rule refused: `SEQUENCE_GAP` if records before these are missing, because they could not be
    stored; `TAKEN_OVER` if the process reports to another engine, to which it is left.
    """
    return isinstance(error, RuleViolated) and error.rule == rule


@asynccontextmanager
async def _closing(batches: AsyncIterator[OutputBatch]) -> AsyncIterator[AsyncIterator[OutputBatch]]:
    """Close an iterator that is left before its end: one that is a generator holds on to what it reads from."""
    try:
        yield batches
    finally:
        if isinstance(batches, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await batches.aclose()
