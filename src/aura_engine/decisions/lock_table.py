"""Decisions about the lock table.

Source: specification, "Concurrent Modifications".

Claims go in the order of age and priority, in which a priority counts as much as ten minutes of waiting, as in the
queue of the pool. The order of two claims never changes, and only finitely many go before any one: no task starves.

Only AURA gives these commands: it claims for tasks that could begin, and releases what has ended.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from aura_contracts.ids import TaskId
from aura_contracts.lock_table import (
    EMPTY,
    LOCK_TABLE,
    AllowCollision,
    CollisionAsked,
    LockClaim,
    LocksReleased,
    LocksRequested,
    LocksTaken,
    LockTable,
    RecordCollisionQuestion,
    ReleaseLocks,
    RequestLocks,
)
from aura_contracts.task import Priority
from aura_engine.decisions._decider import Context, Decider, Events, RuleBroken, only_system, require_zone
from aura_engine.scheduling import AGEING, level_of

_only_aura = only_system("AURA claims locks for tasks, and releases them")


def _request(state: LockTable | None, command: RequestLocks, context: Context) -> Events:
    require_zone("since", command.since)
    table = state or EMPTY
    if table.claim_of(command.task_id) is not None:
        return []
    first = claims_before(table, command, context.now)
    before = {claim.task_id for claim in first}
    others = (claim for claim in table.claims if claim.task_id not in before)
    later = [claim for claim in others if claim.locks.collisions(command.locks)]
    requested = LocksRequested(
        task_id=command.task_id,
        locks=command.locks,
        priority=command.priority,
        since=_since(command, context.now),
        waits_for=tuple(claim.task_id for claim in first),
        overtakes=tuple(claim.task_id for claim in later),
    )
    return [requested] if first else [requested, LocksTaken(task_id=command.task_id)]


def claims_before(table: LockTable, command: RequestLocks, now: datetime) -> Sequence[LockClaim]:
    """Return the claims that a new one would wait for: those that collide with it, and hold or go first."""
    place = _place(_since(command, now).timestamp(), command.priority, command.task_id)
    return [
        claim
        for claim in table.claims
        if claim.task_id != command.task_id
        and (claim.held or _place_of(claim) < place)
        and claim.locks.collisions(command.locks)
    ]


def _since(command: RequestLocks, now: datetime) -> datetime:
    return min(command.since or now, now)


def _place_of(claim: LockClaim) -> tuple[float, TaskId]:
    return _place(claim.since.timestamp(), claim.priority, claim.task_id)


def _place(since: float, priority: Priority, task_id: TaskId) -> tuple[float, TaskId]:
    """Return what the order of claims is made by; the lowest goes first."""
    return since - AGEING * level_of(priority), task_id


def _record_question(state: LockTable, command: RecordCollisionQuestion, context: Context) -> Events:
    _require_waiting(state, command.task_id)
    return [CollisionAsked(task_id=command.task_id, approval_id=command.approval_id)]


def _allow(state: LockTable, command: AllowCollision, context: Context) -> Events:
    _require_waiting(state, command.task_id)
    return [LocksTaken(task_id=command.task_id, allowed_by=command.approval_id)]


def _require_waiting(state: LockTable, task_id: TaskId) -> None:
    claim = state.claim_of(task_id)
    if claim is None or claim.held:
        raise RuleBroken("waiting", f"task {task_id} does not wait for a lock")


def _release(state: LockTable, command: ReleaseLocks, context: Context) -> Events:
    if state.claim_of(command.task_id) is None:
        return []
    released = LocksReleased(task_id=command.task_id, reason=command.reason)
    return [released, *(LocksTaken(task_id=one) for one in _freed(state.claims, command.task_id))]


def _freed(claims: Iterable[LockClaim], task_id: TaskId) -> Collection[TaskId]:
    """Return the tasks that wait for no other one than this."""
    return [claim.task_id for claim in claims if not claim.held and set(claim.waits_for) == {task_id}]


LOCK_TABLE_DECIDER = Decider(
    LOCK_TABLE,
    {
        RequestLocks: (_only_aura, _request),
        RecordCollisionQuestion: (_only_aura, _record_question),
        AllowCollision: (_only_aura, _allow),
        ReleaseLocks: (_only_aura, _release),
    },
)
