"""Output: records the output of processes in batches, each durable before it is acknowledged."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime

import anyio
import attrs

from aura_contracts.actors import WORKER
from aura_contracts.aggregate import HappenedFact
from aura_contracts.events import Append, Event, Fact
from aura_contracts.ids import ExecutionId, StreamId, output_stream
from aura_contracts.output import OUTPUT, Chunk, CloseOutput, Output, OutputRecorded, RecordOutput
from aura_contracts.ports import EventLog
from aura_engine.decisions import DECIDERS
from aura_engine.decisions._decider import Context
from aura_engine.unit_of_work import CommandBus, UnitOfWork

_DECIDER = DECIDERS["output"]


PIECE = 8
"""Events of output per read; each may hold a megabyte."""


async def pieces(log: EventLog, stream_id: StreamId) -> AsyncGenerator[Sequence[HappenedFact], None]:
    """Yield all facts of an output stream, a few at a time."""
    after = 0
    while facts := await log.facts(stream_id, after=after, upto=after + PIECE):
        after += len(facts)
        yield facts


@attrs.define
class _StreamTip:
    """How far the output of an execution is recorded. It has no other writer while its engine holds the lease."""

    state: Output | None = None
    version: int = 0
    loaded: bool = False
    lock: anyio.Lock = attrs.field(factory=anyio.Lock)


@attrs.define
class OutputRecorder:
    """Appends output to the log without reading it again for every batch."""

    _bus: CommandBus
    _known: dict[ExecutionId, _StreamTip] = attrs.field(factory=lambda: defaultdict(_StreamTip))

    async def next(self, execution_id: ExecutionId) -> int:
        """Return the number of the next record that is not recorded."""
        known = self._known[execution_id]
        async with known.lock:
            await self._load(known, execution_id)
        return 1 if known.state is None else known.state.next

    async def record(
        self,
        execution_id: ExecutionId,
        first: int,
        chunks: Sequence[Chunk],
        beside: Callable[[UnitOfWork, int], Awaitable[None]] | None = None,
    ) -> int:
        """Record a batch; return the number of the record after it. Skips records that are already recorded.

        The callback adds events to the same append; it receives the number of the first new record, and is called again
        after a conflict with another writer. Raises `RuleViolated` (``sequence_gap``) if records before `first` are
        missing, and `VersionConflict` if another engine records the output too; the next call finds what it recorded.
        """
        known = self._known[execution_id]
        async with known.lock:
            await self._load(known, execution_id)
            expected = 1 if known.state is None else known.state.next
            new = tuple(chunks)[max(expected - first, 0) :]
            if new:
                command = RecordOutput(execution_id=execution_id, first=max(first, expected), chunks=new)
                await self._append(known, execution_id, command, beside)
            return max(expected, first + len(chunks))

    async def close(self, execution_id: ExecutionId) -> None:
        """Record that no more output will come; harmless if repeated."""
        known = self._known[execution_id]
        async with known.lock:
            await self._load(known, execution_id)
            if known.state is not None and not known.state.final:
                await self._append(known, execution_id, CloseOutput(execution_id=execution_id))
        self._known.pop(execution_id, None)

    async def _load(self, known: _StreamTip, execution_id: ExecutionId) -> None:
        """Load how far the output is recorded. Reads in pieces, because all of it may not fit in memory."""
        if known.loaded:
            return
        known.state, known.version = None, 0
        async with aclosing(pieces(self._bus.log, output_stream(execution_id))) as read:
            async for facts in read:
                known.state = OUTPUT.fold(facts, known.state)
                known.version += len(facts)
        known.loaded = True

    async def read(self, execution_id: ExecutionId, after: int) -> tuple[int, Sequence[Chunk], int]:
        """Return the output event after event number `after`: its first record, its chunks, its number.

        No chunks means the end."""
        stream_id = output_stream(execution_id)
        facts = await self._bus.log.facts(stream_id, after=after, upto=after + 1)
        for fact in facts:
            if isinstance(fact.event, OutputRecorded):
                return fact.event.first, fact.event.chunks, after + 1
        return 0, (), after

    async def _append(
        self,
        known: _StreamTip,
        execution_id: ExecutionId,
        command: RecordOutput | CloseOutput,
        beside: Callable[[UnitOfWork, int], Awaitable[None]] | None = None,
    ) -> None:
        stream_id, now = output_stream(execution_id), self._bus.clock()
        decision = _DECIDER.decide(stream_id, known.state, command, Context(actor=WORKER, now=now))
        facts = tuple(self._fact(event, now, execution_id) for event in decision.events)
        known.loaded = False  # until the outcome of the append is known
        append = Append(stream_id, known.version, facts)
        if beside is None or not isinstance(command, RecordOutput):
            await self._bus.log.append(append)
        else:
            await self._append_with(append, command.first, beside)
        known.state, known.version, known.loaded = decision.state, known.version + len(facts), True

    async def _append_with(
        self, append: Append, first: int, beside: Callable[[UnitOfWork, int], Awaitable[None]]
    ) -> None:
        async def decide(unit: UnitOfWork) -> None:
            await beside(unit, first)
            unit.add(append)

        await self._bus.transact(WORKER, decide)

    def _fact(self, event: Event, now: datetime, execution_id: ExecutionId) -> Fact:
        return Fact(event, now, WORKER, execution_id, self._bus.ids())
