"""Archive: operations on a log as a whole: audits, history, costs, and maintenance of the read models.

Auditors need nothing else. The engine offers these as its nouns `audit`, `history`, `usage` and `store`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Self

import msgspec

from aura_contracts.actors import Actor
from aura_contracts.aggregate import State
from aura_contracts.errors import InvalidInput
from aura_contracts.events import EventRecord, SealedRow
from aura_contracts.ids import StreamId
from aura_contracts.ledger import Checkpointed
from aura_contracts.plain_data import Plain, short
from aura_contracts.ports.rows import UsageSum
from aura_contracts.ports.time_arguments import Moment

Progress = Callable[[int, int], None]
"""Called with the number of events done and the total."""


# --- Proof ------------------------------------------------------------------------------------------------------------


class AuditFinding(msgspec.Struct, Plain, frozen=True):
    """The first event that is not as it was written. `stream_id` is empty if only the position is known."""

    position: int
    stream_id: StreamId
    reason: str


class AuditReport(msgspec.Struct, Plain, frozen=True):
    """The result of an audit: `events` up to the head, `checkpoints` that held, the Merkle `root` over all (hex).

    `unread` counts checkpoints in the log that could not be read without the encryption key.
    """

    events: int
    checkpoints: int
    root: str
    first_bad: AuditFinding | None
    unread: int = 0


class SealedEvent(msgspec.Struct, Plain, frozen=True):
    """A row of the log as stored, with its event; None if it does not decode."""

    row: SealedRow
    record: EventRecord | None

    def as_dict(self) -> dict[str, Any]:
        """Return the row, its bytes as base64, and the record as a dictionary."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {**fields, "record": None if self.record is None else self.record.as_dict()}

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:
        """Return the sealed event, with an event of the class that its topic names."""
        record = fields.get("record")
        from aura_contracts.catalogue import EventRecord  # noqa: PLC0415 - only to read dictionaries

        made = super()._of({**fields, "record": None}, kind)
        return made if record is None else cls(made.row, EventRecord.from_dict(record))


# --- The past ---------------------------------------------------------------------------------------------------------


class Change(msgspec.Struct, Plain, frozen=True):
    """A field that differs between two moments; values are JSON-ready, and None means absent."""

    field: str
    before: Any
    after: Any


class HistoryLine(msgspec.Struct, Plain, frozen=True):
    """One event of an aggregate, for people: what happened and what it changed. `str()` renders one line."""

    position: int
    version: int
    time: datetime
    actor: Actor
    topic: str
    fields: dict[str, Any]
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        when = self.time.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
        status = next((f"{c.before or '·'} → {c.after}" for c in self.changes if c.field == "status"), "")
        given = {name: value for name, value in self.fields.items() if value is not None and value not in ("", [], {})}
        details = ", ".join(f"{name}={short(value)}" for name, value in given.items())
        return "  ".join(part for part in (f"#{self.position}", when, self.actor, self.topic, status, details) if part)


class Past(msgspec.Struct, Plain, frozen=True):
    """One aggregate at a moment, and the events that led there. `state` is None before its first event."""

    aggregate: str
    id: StreamId
    state: State | None
    version: int
    lines: tuple[HistoryLine, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {**fields, "state": None if self.state is None else self.state.as_dict()}

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:
        """Return the past of an aggregate, with a state of the class that its name says."""
        state = fields.get("state")
        made = super()._of({**fields, "state": None}, kind)
        found = None if state is None else _state_class(made.aggregate).from_dict(state)
        return msgspec.structs.replace(made, state=found)


class World(msgspec.Struct, Plain, frozen=True):
    """Every aggregate at a moment: kind -> id -> state. `position` is that of the last event included."""

    position: int
    states: Mapping[str, Mapping[StreamId, State]]

    def as_dict(self) -> dict[str, Any]:
        """Return the states as dictionaries, by kind and id."""
        states = {kind: {ident: state.as_dict() for ident, state in each.items()} for kind, each in self.states.items()}
        return {"position": self.position, "states": states}

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:
        """Return the world, with states of the classes that their kinds say."""
        made = super()._of({**fields, "states": {}}, kind)
        states = {
            name: {ident: _state_class(name).from_dict(state) for ident, state in each.items()}
            for name, each in fields.get("states", {}).items()
        }
        return msgspec.structs.replace(made, states=states)


class AggregateChange(msgspec.Struct, Plain, frozen=True):
    """The changes of one aggregate between two moments."""

    aggregate: str
    id: StreamId
    changes: tuple[Change, ...]


# --- Usage ------------------------------------------------------------------------------------------------------------


class UsageKey(StrEnum):
    """The dimension by which costs are added up."""

    RUN = "run"
    SESSION = "session"
    TASK = "task"
    AGENT = "agent"
    """The agent of the pool, or the executor for runs without one."""
    MODEL = "model"
    DAY = "day"


class UsageCost(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Consumption and cost of everything with the same `id`, in US dollars."""

    id: str
    """Of the run, session, task or agent; the model; or the day. Empty if the agent named no session or model."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: Decimal = Decimal(0)
    """By the price table; tokens without a price count with the cost that the agent reported."""
    reported: Decimal = Decimal(0)
    """The cost reported by agents, priced or not. Many report nothing."""
    unpriced: tuple[str, ...] = ()
    """Models whose tokens have no price; an empty name stands for a model that the agent did not name."""
    models: tuple[str, ...] = ()
    executors: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    first_day: date | None = None
    last_day: date | None = None
    """None if nothing was reported."""
    reports: int = 0
    incomplete: int = 0
    """How many of the reports leave out some of what the agent consumed: the true figures are higher."""


# --- Read models ------------------------------------------------------------------------------------------------------


class RowDifference(msgspec.Struct, Plain, frozen=True):
    """A row of the read models that differs from the log; values are JSON-ready."""

    table: str
    id: str
    kind: Literal["missing", "extra", "different"]
    changes: tuple[Change, ...]


class BadSnapshot(msgspec.Struct, Plain, frozen=True):
    """A snapshot that differs from the fold of its stream. It is a cache: deleting it is safe."""

    aggregate: str
    stream_id: StreamId
    version: int
    reason: str


class StoreReport(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The result of comparing read models and snapshots with the log, up to `position` of `events`."""

    events: int
    position: int
    rows: int
    snapshots: int
    differences: tuple[RowDifference, ...] = ()
    bad_snapshots: tuple[BadSnapshot, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything matches the log."""
        return not self.differences and not self.bad_snapshots


class StoreInfo(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The contents of a store: events, aggregates by kind, and the size of its files in bytes (none on a server)."""

    name: str
    """Its URL without passwords."""
    events: int
    aggregates: Mapping[str, int]
    compression: str
    encryption: str
    bytes: Mapping[str, int]
    read_models: int
    """The position that the read models have reached."""


# --- Port -------------------------------------------------------------------------------------------------------------


class Archive(ABC):
    """A log as a whole. Any method may read all of it: minutes for millions of events. Cancelling is harmless."""

    @abstractmethod
    async def verify(self, roots: Mapping[int, str], on_progress: Progress | None = None) -> AuditReport:
        """Check every event against its seal, its neighbours, the checkpoints in the log and the external `roots`.

        `roots` are Merkle roots in hexadecimal, by position. Damage is reported, not raised.
        """

    @abstractmethod
    async def checkpoint(self, actor: Actor) -> Checkpointed:
        """Verify the log, then record its Merkle root. Raises `LogDamaged`."""

    @abstractmethod
    def export(self, since: int, upto: int | None) -> AsyncGenerator[SealedEvent, None]:
        """Yield the rows after position `since`, up to `upto` (None: the end), as stored and decoded."""

    @abstractmethod
    async def past(self, aggregate_id: StreamId, at: Moment | None) -> Past:
        """Return an aggregate at a moment (None: now). Raises `AggregateNotFound`, `InvalidInput`."""

    @abstractmethod
    async def world(self, at: Moment | None, on_progress: Progress | None = None) -> World:
        """Return every aggregate at a moment (None: now). Raises `InvalidInput` for a moment beyond the end."""

    @abstractmethod
    async def costs(self, sums: Sequence[UsageSum], by: UsageKey) -> Sequence[UsageCost]:
        """Price sums of usage and add them up. Raises `InvalidInput` for an invalid price file."""

    @abstractmethod
    async def info(self, on_progress: Progress | None = None) -> StoreInfo:
        """Describe the store."""

    @abstractmethod
    async def damage(self) -> str | None:
        """Let the database check its own files; return what is wrong, else the first damaged aggregate, or None."""

    @abstractmethod
    async def check(self) -> StoreReport:
        """Compare the read models and the snapshots with the log; change nothing."""

    @abstractmethod
    async def rebuild(self) -> StoreReport:
        """Rebuild the read models from the log, and repair snapshots; return a new comparison."""


def _state_class(aggregate: str) -> type[State]:
    """Return the class of an aggregate's states."""
    from aura_contracts.catalogue import AGGREGATES  # noqa: PLC0415 - only to read dictionaries

    found: type[State] | None = next((each.state for each in AGGREGATES if each.name == aggregate), None)
    if found is None:
        remedy = f"give one of {', '.join(each.name for each in AGGREGATES)}"
        raise InvalidInput(field="aggregate", reason=f"{aggregate!r} is not an aggregate", remedy=remedy)
    return found
