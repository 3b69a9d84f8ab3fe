"""Lock table: what tasks need for themselves alone, one stream with a fixed id in every log.

    claim   ──requested──► waits ──taken──► holds ──released──► gone
                             │ ├──asked──► waits, and a human is asked
                             │ └──moved──► waits, and goes before or after others than it did
                             └──────────────────── released ────► gone

A task claims all of its locks at once: names, and patterns for paths of repositories. Two claims collide if they have a
name in common, or if a path of one repository matches patterns of both.

Invariants:

- Of two claims that collide, one waits for the other. Only a human can let both hold.
- A claim is taken as soon as nothing that it waits for is left, together with what it was waiting for being released.
  So no claim holds one lock while it waits for another one.
- A claim waits for claims that hold, and for those that go first; no task waits in a circle.
- A claim that waits moves in line when a human gives its task another priority. What nothing goes before any more is
  taken in the same append.
- What a human has allowed is used once: a claim that is given back before a run of its task has begun leaves it to the
  next claim of the same locks, if that one collides with none but the same tasks.
- What a claim waits for follows from the claims that are there (`LockTable.before`). Neither an event nor the state
  names all of it, so the size of an event does not depend on how many wait.
"""

from collections.abc import Iterable, Mapping
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

    def collides(self, other: "TaskLocks") -> bool:
        """Whether any of these locks collides with another task's."""
        if not set(self.names).isdisjoint(other.names):
            return True
        return any(one.collides(each) for one in self.paths for each in other.paths)


class LockClaim(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """What a task claims, and whether it has it."""

    task_id: TaskId
    locks: TaskLocks
    priority: Priority
    since: datetime
    """Since when it counts as waiting, for the order."""
    place: datetime
    """What the order is made by: the earliest goes first, and of the same the lowest task id."""
    requested_at: datetime
    held_since: datetime | None = None
    """None while it waits."""
    approval_id: ApprovalId | None = None
    """The question to a human about the collision."""
    allowed_by: ApprovalId | None = None
    """The decision by which it holds although it collides."""
    alongside: tuple[TaskId, ...] = ()
    """The tasks that the decision is about: what they claim collided when it was followed."""
    engine_id: str = ""
    """The engine that keeps the place of a task of the queue in line. Empty if an agent has the task already."""

    @property
    def held(self) -> bool:
        """Whether the task has all that it claims."""
        return self.held_since is not None

    def is_behind(self, other: "LockClaim") -> bool:
        """Whether it waits for another claim: that one collides with it, and holds, or goes first."""
        if self.held or not (other.held or (other.place, other.task_id) < (self.place, self.task_id)):
            return False
        return other.task_id != self.task_id and self.locks.collides(other.locks)


# --- Events -----------------------------------------------------------------------------------------------------------


class LocksRequested(Event, frozen=True, kw_only=True):
    """A task that could begin claimed all the locks that it needs."""

    topic = "lock_table.requested"
    task_id: TaskId
    locks: TaskLocks
    priority: Priority
    since: Instant
    """Since when it counts as waiting, for the order."""
    place: Instant
    """What the order is made by: `since`, and earlier for a higher priority. The earliest goes first."""
    ahead: int = 0
    """How many claims it waits for: they collide with this one, and hold, or go first."""
    last_ahead: TaskId | None = None
    """The task whose claim is the last of these in line."""
    engine_id: str = ""
    """The engine that keeps the place of a task of the queue in line. Empty if an agent has the task already."""


class CollisionAsked(Event, frozen=True, kw_only=True):
    """A human was asked what a task does that would collide."""

    topic = "lock_table.asked"
    task_id: TaskId
    approval_id: ApprovalId


class ClaimMoved(Event, frozen=True, kw_only=True):
    """A task that waits has another priority, and so another place in line."""

    topic = "lock_table.moved"
    task_id: TaskId
    priority: Priority
    place: Instant
    """What the order is made by, as in `LocksRequested`."""


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
    allowed_by: ApprovalId | None = None
    """The decision by which it held although it collided, if it is left to the task's next claim."""


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestLocks(Command["LockTable"], frozen=True, kw_only=True):
    """Claim locks for a task, unless it has a claim. `since` is when it began to wait; None: now.

    `engine_id` is the engine that keeps the place of a task that has no agent yet.
    """

    emits = (LocksRequested, LocksTaken)
    task_id: TaskId
    locks: TaskLocks
    priority: Priority = Priority.MEDIUM
    since: datetime | None = None
    engine_id: str = ""


class RecordCollisionQuestion(Command["LockTable"], frozen=True, kw_only=True):
    """Record that a human is asked about the collisions of a task that waits."""

    emits = (CollisionAsked,)
    task_id: TaskId
    approval_id: ApprovalId


class MoveClaim(Command["LockTable"], frozen=True, kw_only=True):
    """Give the claim of a task the place in line of another priority, if it has one that waits."""

    emits = (ClaimMoved, LocksTaken)
    task_id: TaskId
    priority: Priority


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
    unused: bool = False
    """Whether no run of the task has begun under the claim: what a human has allowed is left to its next one."""


# --- State ------------------------------------------------------------------------------------------------------------


class LockTable(State, frozen=True, kw_only=True):
    """The state of the lock table."""

    id: StreamId
    status: LockTableStatus
    claims: tuple[LockClaim, ...] = ()
    """In the order in which they were made."""
    unused: tuple[LockClaim, ...] = ()
    """Those that held because a human allowed it, and were given back before a run of their tasks had begun."""

    def claim_of(self, task_id: TaskId) -> LockClaim | None:
        """Return the claim of a task, or None."""
        return next((claim for claim in self.claims if claim.task_id == task_id), None)

    def before(self, claim: LockClaim) -> tuple[LockClaim, ...]:
        """Return the claims that one waits for, in the order in which they were made; it need not be in the table."""
        return tuple(one for one in self.claims if claim.is_behind(one))

    def allowance_of(self, task_id: TaskId) -> LockClaim | None:
        """Return the claim of a task that was given back unused, or None."""
        return next((claim for claim in self.unused if claim.task_id == task_id), None)

    def allowing(self, claim: LockClaim) -> ApprovalId | None:
        """Return the decision by which a new claim may hold alongside all that it would wait for, or None."""
        unused = self.allowance_of(claim.task_id)
        if unused is None or unused.locks != claim.locks:
            return None
        return unused.allowed_by if {one.task_id for one in self.before(claim)} <= set(unused.alongside) else None


EMPTY = LockTable(id=LOCK_TABLE_ID, status=LockTableStatus.OPEN)
"""The lock table before the first claim."""

_TABLE: Table = MappingProxyType(
    {
        None: {LocksRequested: LockTableStatus.OPEN},
        LockTableStatus.OPEN: {
            LocksRequested: LockTableStatus.OPEN,
            CollisionAsked: LockTableStatus.OPEN,
            ClaimMoved: LockTableStatus.OPEN,
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
        place=event.place,
        requested_at=fact.time,
        engine_id=event.engine_id,
    )
    table = state or EMPTY
    return replace(table, claims=(*table.claims, claim), unused=_without(table.unused, claim.task_id))


def _asked(state: LockTable, event: CollisionAsked, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    return _changed(state, event.task_id, approval_id=event.approval_id)


def _moved(state: LockTable, event: ClaimMoved, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    return _changed(state, event.task_id, priority=event.priority, place=event.place)


def _taken(state: LockTable, event: LocksTaken, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    claim = state.claim_of(event.task_id)
    alongside = () if claim is None or event.allowed_by is None else tuple(one.task_id for one in state.before(claim))
    return _changed(state, event.task_id, held_since=fact.time, allowed_by=event.allowed_by, alongside=alongside)


def _changed(state: LockTable, task_id: TaskId, **changes: object) -> LockTable:
    changed = (replace(claim, **changes) if claim.task_id == task_id else claim for claim in state.claims)
    return replace(state, claims=tuple(changed))


def _released(state: LockTable, event: LocksReleased, fact: HappenedFact, status: LockTableStatus) -> LockTable:
    claim, unused = state.claim_of(event.task_id), _without(state.unused, event.task_id)
    if claim is not None and event.allowed_by is not None:
        unused = (*unused, claim)
    return replace(state, claims=_without(state.claims, event.task_id), unused=unused)


def _without(claims: Iterable[LockClaim], task_id: TaskId) -> tuple[LockClaim, ...]:
    return tuple(claim for claim in claims if claim.task_id != task_id)


_EVOLVERS: Mapping[type[Event], Evolve[LockTable]] = MappingProxyType(
    {
        LocksRequested: _requested,
        CollisionAsked: _asked,
        ClaimMoved: _moved,
        LocksTaken: _taken,
        LocksReleased: _released,
    }
)

LOCK_TABLE = Aggregate(name="lock_table", state=LockTable, statuses=LockTableStatus, table=_TABLE, evolvers=_EVOLVERS)
