"""Output: what the processes of an execution wrote, in a stream of its own (see `aura_contracts.ids.output_stream`).

    open ──► closed

Apart from the execution, so that replaying its decisions never reads its output, and in the same log, so that whoever
tails the log sees it live. It comes in batches; its chunks are numbered from 1 over the whole execution, without gaps
and without overlaps, so that a worker that is not sure what arrived can find out and go on from there.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event, Instant
from aura_contracts.ids import ExecutionId, StreamId, output_stream


class OutputStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class OutputSource(StrEnum):
    """Who wrote it."""

    STDOUT = "stdout"
    STDERR = "stderr"
    AURA = "aura"
    """AURA itself, about what it did in between."""


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece of output, stored as an array: whence, when it was read, and its text, or its bytes (base64 in JSON).

    `data` is for what is no text that every database can hold: not UTF-8, or with a NUL in it. Exactly one of `text`
    and `data` is given. Chunks of one source, joined, are what was written, byte by byte.
    """

    source: OutputSource
    time: Instant
    text: str | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, source: OutputSource, time: datetime, raw: bytes) -> "Chunk":
        """Return the chunk that holds `raw`, as text where that is possible.

        >>> from datetime import UTC, datetime
        >>> Chunk.of(OutputSource.STDOUT, datetime(2026, 1, 4, tzinfo=UTC), b"done").text
        'done'
        """
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return cls(source, time, data=raw)
        return cls(source, time, data=raw) if "\0" in text else cls(source, time, text)

    @property
    def raw(self) -> bytes:
        """The bytes as they were written."""
        return (self.text or "").encode() if self.data is None else self.data


# --- Events -----------------------------------------------------------------------------------------------------------


class OutputRecorded(Event, frozen=True, kw_only=True):
    """A batch of output arrived; its first chunk has the number `first`, the others follow."""

    topic = "output.recorded"
    execution_id: ExecutionId
    first: int
    chunks: tuple[Chunk, ...]


class OutputClosed(Event, frozen=True, kw_only=True):
    """No more output will come."""

    topic = "output.closed"
    execution_id: ExecutionId


# --- State ------------------------------------------------------------------------------------------------------------


class Output(State, frozen=True, kw_only=True):
    """How much output there is; the output itself is in the events."""

    id: StreamId
    status: OutputStatus
    execution_id: ExecutionId
    next: int = 1
    """The number of the chunk that comes next."""
    size: int = 0
    """Bytes, as they were written."""


# --- Commands ---------------------------------------------------------------------------------------------------------


class RecordOutput(Command[Output], frozen=True, kw_only=True):
    """Add a batch of output, beginning with chunk number `first`."""

    emits = (OutputRecorded,)
    execution_id: ExecutionId
    first: int
    chunks: tuple[Chunk, ...]


class CloseOutput(Command[Output], frozen=True, kw_only=True):
    """Say that no more output will come."""

    emits = (OutputClosed,)
    execution_id: ExecutionId


# --- Table and evolve -------------------------------------------------------------------------------------------------

_TABLE: Table = MappingProxyType(
    {
        None: {OutputRecorded: OutputStatus.OPEN, OutputClosed: OutputStatus.CLOSED},
        OutputStatus.OPEN: {OutputRecorded: OutputStatus.OPEN, OutputClosed: OutputStatus.CLOSED},
    }
)


def _begun(state: Output | None, execution_id: ExecutionId, status: OutputStatus) -> Output:
    return state or Output(id=output_stream(execution_id), status=status, execution_id=execution_id)


def _recorded(state: Output | None, event: OutputRecorded, fact: HappenedFact, status: OutputStatus) -> Output:
    output = _begun(state, event.execution_id, status)
    size = output.size + sum(len(chunk.raw) for chunk in event.chunks)
    return replace(output, status=status, next=event.first + len(event.chunks), size=size)


def _closed(state: Output | None, event: OutputClosed, fact: HappenedFact, status: OutputStatus) -> Output:
    return replace(_begun(state, event.execution_id, status), status=status)


_EVOLVERS: Mapping[type[Event], Evolve[Output]] = MappingProxyType({OutputRecorded: _recorded, OutputClosed: _closed})

OUTPUT = Aggregate(
    name="output",
    state=Output,
    statuses=OutputStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
    commands=(RecordOutput, CloseOutput),
)
