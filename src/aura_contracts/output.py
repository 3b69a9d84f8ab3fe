"""Output: what the processes of an execution wrote, in a stream of its own (see `aura_contracts.ids.output_stream`).

    open ──► closed

It is separate from the execution, so replaying decisions never reads output, but in the same log, so tailing the log
shows it live. Output arrives in batches. Chunks are numbered from 1 over the whole execution, without gaps or overlaps,
so a worker that is unsure what arrived can ask and resume from there.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event, Instant
from aura_contracts.ids import ExecutionId, StreamId, output_stream
from aura_contracts.plain_data import Plain


class OutputStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class OutputSource(StrEnum):
    """The source of a chunk."""

    STDOUT = "stdout"
    STDERR = "stderr"
    AURA = "aura"
    """AURA itself, reporting its own actions."""


class Chunk(msgspec.Struct, Plain, frozen=True, array_like=True, gc=False):
    """A piece of output, stored as an array: source, time of reading, and text or bytes (base64 in JSON).

    `data` holds what is not text that every database can store: invalid UTF-8, or a NUL. Exactly one of `text` and
    `data` is given. The joined chunks of a source are exactly the bytes that it wrote.
    """

    source: OutputSource
    time: Instant
    text: str | None = None
    data: bytes | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, not as the array that is stored."""
        return dict(zip(self.__struct_fields__, msgspec.to_builtins(self), strict=True))

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:
        """Return the chunk for its fields by name."""
        named = isinstance(fields, Mapping)
        return super()._of([fields.get(name) for name in cls.__struct_fields__] if named else fields, kind)

    @classmethod
    def of(cls, source: OutputSource, time: datetime, raw: bytes) -> "Chunk":
        """Return the chunk that holds `raw`, as text if possible.

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
        """The bytes as written."""
        return (self.text or "").encode() if self.data is None else self.data


# --- Events -----------------------------------------------------------------------------------------------------------


class OutputRecorded(Event, frozen=True, kw_only=True):
    """A batch of output arrived; its first chunk has the number `first`."""

    topic = "output.recorded"
    execution_id: ExecutionId
    first: int
    chunks: tuple[Chunk, ...]


class OutputClosed(Event, frozen=True, kw_only=True):
    """The output was complete."""

    topic = "output.closed"
    execution_id: ExecutionId


# --- State ------------------------------------------------------------------------------------------------------------


class Output(State, frozen=True, kw_only=True):
    """The amount of output; the output itself is in the events."""

    id: StreamId
    status: OutputStatus
    execution_id: ExecutionId
    next: int = 1
    """The number of the next chunk."""
    size: int = 0
    """Bytes as written."""


# --- Commands ---------------------------------------------------------------------------------------------------------


class RecordOutput(Command[Output], frozen=True, kw_only=True):
    """Add a batch of output, starting with chunk number `first`."""

    emits = (OutputRecorded,)
    execution_id: ExecutionId
    first: int
    chunks: tuple[Chunk, ...]


class CloseOutput(Command[Output], frozen=True, kw_only=True):
    """Declare the output complete."""

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
)
