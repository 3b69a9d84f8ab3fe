"""Archive: what can be done with a log as a whole: prove it, look into its past, add it up, keep its read models right.

An auditor needs nothing else. The engine offers these as its nouns `audit`, `history`, `usage` and `store`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import msgspec

from aura_contracts.actors import Actor
from aura_contracts.aggregate import State
from aura_contracts.events import EventRecord, SealedRow
from aura_contracts.ids import StreamId
from aura_contracts.ledger import Checkpointed
from aura_contracts.ports.read_models import Moment, UsageSum

Progress = Callable[[int, int], None]
"""Called with the events done so far and the events in all."""


# --- Proof ------------------------------------------------------------------------------------------------------------


class AuditFinding(msgspec.Struct, frozen=True):
    """The first event that is not as it was written. `stream_id` is empty where only the position is known."""

    position: int
    stream_id: StreamId
    reason: str


class AuditReport(msgspec.Struct, frozen=True):
    """The result of an audit: `events` up to the head, `checkpoints` that held, the Merkle `root` over all (hex).

    `unread` counts checkpoints in the log that could not be read for want of the encryption key.
    """

    events: int
    checkpoints: int
    root: str
    first_bad: AuditFinding | None
    unread: int = 0


class SealedEvent(msgspec.Struct, frozen=True):
    """A row of the log as stored, and the event it holds; None where it does not decode."""

    row: SealedRow
    record: EventRecord | None


# --- The past ---------------------------------------------------------------------------------------------------------


class Change(msgspec.Struct, frozen=True):
    """A field that differs between two moments; JSON-ready values, None where there was nothing."""

    field: str
    before: Any
    after: Any


class HistoryLine(msgspec.Struct, frozen=True):
    """One event of an aggregate, for people: what happened and what it changed. `str()` makes one line of it."""

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
        details = ", ".join(f"{name}={_short(value)}" for name, value in given.items())
        return "  ".join(part for part in (f"#{self.position}", when, self.actor, self.topic, status, details) if part)


class Past(msgspec.Struct, frozen=True):
    """One aggregate as of a moment, and the events that led there. `state` is None before its first event."""

    aggregate: str
    id: StreamId
    state: State | None
    version: int
    lines: tuple[HistoryLine, ...]


class World(msgspec.Struct, frozen=True):
    """Every aggregate as of a moment: kind -> id -> state. `position` is that of the last event in it."""

    position: int
    states: Mapping[str, Mapping[StreamId, State]]


class AggregateChange(msgspec.Struct, frozen=True):
    """What changed about one aggregate between two moments."""

    aggregate: str
    id: StreamId
    changes: tuple[Change, ...]


# --- Usage ------------------------------------------------------------------------------------------------------------


class UsageKey(StrEnum):
    """What costs are added up by."""

    RUN = "run"
    SESSION = "session"
    TASK = "task"
    AGENT = "agent"
    """The agent of the pool; runs without one by their executor."""
    MODEL = "model"
    DAY = "day"


class UsageCost(msgspec.Struct, frozen=True, kw_only=True):
    """What everything with the same `id` consumed and cost, in US dollars."""

    id: str
    """Of the run, session, task or agent; the model; the day. Empty where the agent named no session, or no model."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: Decimal
    """By the table of prices; tokens without a price count with what the agent reported."""
    reported: Decimal
    """What agents reported as cost, priced or not. Many report nothing."""
    unpriced: tuple[str, ...]
    """Models in it whose tokens have no price; an empty name for a model that the agent did not name."""
    models: tuple[str, ...]
    executors: tuple[str, ...]
    task_ids: tuple[str, ...]
    first_day: date | None
    last_day: date | None
    """None where nothing was reported."""
    reports: int

    @classmethod
    def nothing(cls, ident: str) -> "UsageCost":
        """Return the cost of what reported nothing."""
        nothing = Decimal(0)
        return cls(
            id=ident,
            input_tokens=0,
            output_tokens=0,
            cache_read_tokens=0,
            cache_write_tokens=0,
            cost=nothing,
            reported=nothing,
            unpriced=(),
            models=(),
            executors=(),
            task_ids=(),
            first_day=None,
            last_day=None,
            reports=0,
        )


# --- Read models ------------------------------------------------------------------------------------------------------


class RowDifference(msgspec.Struct, frozen=True):
    """A row of the read models that differs from what the log says; values are JSON-ready."""

    table: str
    id: str
    kind: Literal["missing", "extra", "different", "added", "removed", "changed"]
    changes: tuple[Change, ...]


class BadSnapshot(msgspec.Struct, frozen=True):
    """A snapshot that its stream does not fold to. It is a cache: deleting it is safe."""

    aggregate: str
    stream_id: StreamId
    version: int
    reason: str


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """Read models and snapshots compared with the log, up to `position` of `events`."""

    events: int
    position: int
    rows: int
    snapshots: int
    differences: tuple[RowDifference, ...] = ()
    bad_snapshots: tuple[BadSnapshot, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything says what the log says."""
        return not self.differences and not self.bad_snapshots


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds: events, aggregates by kind, bytes of its files (none on a server)."""

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
    """A log as a whole. Every method may read all of it: minutes for millions of events; cancelling is harmless."""

    @abstractmethod
    async def verify(self, roots: Mapping[int, str], on_progress: Progress | None = None) -> AuditReport:
        """Check every event against its seal, its neighbours, the checkpoints in the log, and `roots` kept elsewhere.

        `roots` are Merkle roots in hexadecimal by position. Damage is reported, not raised.
        """

    @abstractmethod
    async def checkpoint(self, actor: Actor) -> Checkpointed:
        """Verify the log, then record the Merkle root over all of it. Raises `LogDamaged`."""

    @abstractmethod
    def export(self, since: int, upto: int | None) -> AsyncGenerator[SealedEvent, None]:
        """Yield the rows after position `since` up to `upto` (None: the end), as stored and decoded."""

    @abstractmethod
    async def past(self, aggregate_id: StreamId, at: Moment | None) -> Past:
        """Return an aggregate as of a moment (None: now). Raises `AggregateNotFound`, `InvalidInput`."""

    @abstractmethod
    async def world(self, at: Moment | None, on_progress: Progress | None = None) -> World:
        """Return every aggregate as of a moment (None: now). Raises `InvalidInput` for a moment beyond the end."""

    @abstractmethod
    async def costs(self, sums: Sequence[UsageSum], by: UsageKey) -> Sequence[UsageCost]:
        """Price sums of usage and add them up. Raises `InvalidInput` for a price file that means nothing."""

    @abstractmethod
    async def info(self, on_progress: Progress | None = None) -> StoreInfo:
        """Describe the store."""

    @abstractmethod
    async def damage(self) -> str | None:
        """Have the database check its own files; return what is wrong, or None."""

    @abstractmethod
    async def check(self) -> StoreReport:
        """Compare the read models and the snapshots with the log; change nothing."""

    @abstractmethod
    async def rebuild(self) -> StoreReport:
        """Fold the read models again from the log, and repair snapshots; return how everything compares then."""


def _short(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    return f"{text[: limit - 1]}…" if len(text) > limit else text
