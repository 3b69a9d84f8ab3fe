"""Lock table: what tasks need for themselves alone, one stream with a fixed id in every log.

    claim   ──requested──► waits ──taken──► holds ──released──► gone
                             │ └──asked──► waits, and a human is asked
                             └──────────────────── released ────► gone

A task claims all of its locks at once: names, and patterns for paths of repositories. Two claims collide if they have a
name in common, or if a path of one repository matches patterns of both.

Invariants:

- Of two claims that collide, one waits for the other. Only a human can let both hold.
- A claim is taken as soon as nothing that it waits for is left, together with what it was waiting for being released.
  So no claim holds one lock while it waits for another one.
- A claim waits for claims that hold, and for those that go first; no task waits in a circle.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event, Instant
from aura_contracts.ids import ApprovalId, StreamId, TaskId
from aura_contracts.path_patterns import overlap
from aura_contracts.plain_data import Plain
from aura_contracts.quoting import listed, quoted
from aura_contracts.task import Priority

LOCK_TABLE_ID: StreamId = "00000000-0000-7000-8000-000000000001"
"""The id of the lock table's stream, the same in every log."""

_NAMED = 5
"""The most locks that a sentence names."""


class LockTableStatus(StrEnum):
    OPEN = "open"


# --- Values -----------------------------------------------------------------------------------------------------------


class PathLock(msgspec.Struct, frozen=True, gc=False):
    """The paths of a repository that match a pattern, see `aura_contracts.path_patterns`."""

    repository: str
    """Its `Repository.identity`."""
    pattern: str

    def collides(self, other: "PathLock") -> bool:
        """Whether a path matches both."""
        return self.repository == other.repository and overlap(self.pattern, other.pattern)


class TaskLocks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a task needs for itself alone."""

    names: tuple[str, ...] = ()
    paths: tuple[PathLock, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.paths)

    def __str__(self) -> str:
        patterns = dict.fromkeys(quoted(one.pattern) for one in self.paths)
        return listed([*self.names, *patterns], _NAMED)

    def collisions(self, other: "TaskLocks") -> tuple[str, ...]:
        """Return which of these locks collide with another task's, in words."""
        names = (name for name in self.names if name in other.names)
        paths = (quoted(one.pattern) for one in self.paths if any(one.collides(each) for each in other.paths))
        return (*names, *paths)


class LockClaim(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """What a task claims, and whether it has it."""

    task_id: TaskId
    locks: TaskLocks
    priority: Priority
    since: datetime
    """Since when it counts as waiting, for the order."""
    requested_at: datetime
    held_since: datetime | None = None
    """None while it waits."""
    waits_for: tuple[TaskId, ...] = ()
    """Tasks whose claims collide with this one: they hold, or go first."""
    approval_id: ApprovalId | None = None
    """The question to a human about the collision."""
    allowed_by: ApprovalId | None = None
    """The decision by which it holds although it collides."""

    @property
    def held(self) -> bool:
        """Whether the task has all that it claims."""
        return self.held_since is not None


# --- Events -----------------------------------------------------------------------------------------------------------


class LocksRequested(Event, frozen=True, kw_only=True):
    """A task that could begin claimed all the locks that it needs."""

    topic = "lock_table.requested"
    task_id: TaskId
    locks: TaskLocks
    priority: Priority
    since: Instant
    """Since when it counts as waiting, for the order."""
    waits_for: tuple[TaskId, ...] = ()
    """Tasks whose claims collide with this one: they hold, or go first."""
    overtakes: tuple[TaskId, ...] = ()
    """Tasks that wait and collide with this one, which goes first."""


class CollisionAsked(Event, frozen=True, kw_only=True):
    """A human was asked what a task does that would collide."""

    topic = "lock_table.asked"
    task_id: TaskId
    approval_id: ApprovalId


class LocksTaken(Event, frozen=True, kw_only=True):
    """A task has all that it claimed: nothing collides any more, or a human allows it."""

    topic = "lock_table.taken"
    task_id: TaskId
    allowed_by: ApprovalId | None = None
    """The decision by which it holds although it collides."""


class LocksReleased(Event, frozen=True, kw_only=True):
    """A task needs its locks no longer; what waited only for it takes its own in the same append."""

    topic = "lock_table.released"
    task_id: TaskId
    reason: str


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestLocks(Command["LockTable"], frozen=True, kw_only=True):
    """Claim locks for a task, unless it has a claim. `since` is when it began to wait; None: now."""

    emits = (LocksRequested, LocksTaken)
    task_id: TaskId
    locks: TaskLocks
    priority: Priority = Priority.MEDIUM
    since: datetime | None = None


class RecordCollisionQuestion(Command["LockTable"], frozen=True, kw_only=True):
    """Record that a human is asked about the collisions of a task that waits."""

    emits = (CollisionAsked,)
    task_id: TaskId
    approval_id: ApprovalId


class AllowCollision(Command["LockTable"], frozen=True, kw_only=True):
    """Give a task its locks although they collide: a human has decided so."""

    emits = (LocksTaken,)
    task_id: TaskId
    approval_id: ApprovalId


class ReleaseLocks(Command["LockTable"], frozen=True, kw_only=True):
    """End the claim of a task, if it has one; those that waited only for it take their locks."""

    emits = (LocksReleased, LocksTaken)
    task_id: TaskId
    reason: str


# --- State ------------------------------------------------------------------------------------------------------------


class LockTable(State, frozen=True, kw_only=True):
    """The state of the lock table."""

    id: StreamId
    status: LockTableStatus
    claims: tuple[LockClaim, ...] = ()
    """In the order in which they were made."""

    def claim_of(self, task_id: TaskId) -> LockClaim | None:
        """Return the claim of a task, or None."""
        return next((claim for claim in self.claims if claim.task_id == task_id), None)


EMPTY = LockTable(id=LOCK_TABLE_ID, status=LockTableStatus.OPEN)
"""The lock table before the first claim."""

_TABLE: Table = MappingProxyType(
    {
        None: {LocksRequested: LockTableStatus.OPEN},
        LockTableStatus.OPEN: {
            LocksRequested: LockTableStatus.OPEN,
            CollisionAsked: LockTableStatus.OPEN,
            LocksTaken: LockTableStatus.OPEN,
            LocksReleased: LockTableStatus.OPEN,
        },
    }
)


def _requested(
    state: LockTable | None, event: LocksRequested, fact: HappenedFact, status: LockTableStatus
) -> LockTable:
    claim = LockClaim(
        task_id=event.task_id,
        locks=event.locks,
        priority=event.priority,
        since=event.since,
        requested_at=fact.time,
        waits_for=event.waits_for,
    )
    others = (state or EMPTY).claims
    return replace(EMPTY, claims=(*_behind(others, event.overtakes, event.task_id), claim))


def _behind(claims: tuple[LockClaim, ...], those: tuple[TaskId, ...], task_id: TaskId) -> tuple[LockClaim, ...]:
    """Return the claims with those of some tasks waiting for another one, too."""
    return tuple(
        replace(claim, waits_for=(*claim.waits_for, task_id)) if claim.task_id in those else claim for claim in claims
    )


def _asked(state: LockTable, event: CollisionAsked, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    return _changed(state, event.task_id, approval_id=event.approval_id)


def _taken(state: LockTable, event: LocksTaken, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    before = state.claim_of(event.task_id)
    went_first = () if before is None else before.waits_for
    taken = _changed(state, event.task_id, held_since=fact.time, waits_for=(), allowed_by=event.allowed_by)
    waiting = tuple(claim.task_id for claim in taken.claims if claim.task_id in went_first and not claim.held)
    return replace(taken, claims=_behind(taken.claims, waiting, event.task_id))


def _changed(state: LockTable, task_id: TaskId, **changes: object) -> LockTable:
    changed = (replace(claim, **changes) if claim.task_id == task_id else claim for claim in state.claims)
    return replace(state, claims=tuple(changed))


def _released(state: LockTable, event: LocksReleased, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    left = (
        replace(claim, waits_for=tuple(one for one in claim.waits_for if one != event.task_id))
        if event.task_id in claim.waits_for
        else claim
        for claim in state.claims
        if claim.task_id != event.task_id
    )
    return replace(state, claims=tuple(left))


_EVOLVERS: Mapping[type[Event], Evolve[LockTable]] = MappingProxyType(
    {LocksRequested: _requested, CollisionAsked: _asked, LocksTaken: _taken, LocksReleased: _released}
)

LOCK_TABLE = Aggregate(name="lock_table", state=LockTable, statuses=LockTableStatus, table=_TABLE, evolvers=_EVOLVERS)
