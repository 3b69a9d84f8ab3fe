"""Decisions about the lock table.

Source: specification, "Concurrent Modifications".

Claims go in the order of age and priority, in which a priority counts as much as ten minutes of waiting, as in the
queue of the pool. The order of two claims changes only if a human edits the priority of a task, and only finitely many
go before any one: no task starves.

Only AURA gives these commands: it claims for tasks that could begin, and releases what has ended.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from aura_contracts.ids import TaskId
from aura_contracts.lock_table import (
    EMPTY,
    LOCK_TABLE,
    AllowCollision,
    ClaimMoved,
    CollisionAsked,
    LockClaim,
    LocksReleased,
    LocksRequested,
    LocksTaken,
    LockTable,
    MoveClaim,
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
    claim = claim_for(command, context.now)
    first = table.before(claim)
    requested = LocksRequested(
        task_id=claim.task_id,
        locks=claim.locks,
        priority=claim.priority,
        since=claim.since,
        place=claim.place,
        ahead=len(first),
        last_ahead=max(first, key=_turn).task_id if first else None,
        engine_id=claim.engine_id,
    )
    allowed_by = table.allowing(claim) if first else None
    if first and allowed_by is None:
        return [requested]
    return [requested, LocksTaken(task_id=command.task_id, allowed_by=allowed_by)]


def claims_before(table: LockTable, command: RequestLocks, now: datetime) -> Sequence[LockClaim]:
    """Return the claims that a new one would wait for: those that collide with it, and hold or go first.

    None if a human has allowed it to hold alongside them.
    """
    claim = claim_for(command, now)
    return () if table.allowing(claim) is not None else table.before(claim)


def claim_for(command: RequestLocks, now: datetime) -> LockClaim:
    """Return the claim that a command would make."""
    since = min(command.since or now, now)
    return LockClaim(
        task_id=command.task_id,
        locks=command.locks,
        priority=command.priority,
        since=since,
        place=_place(since, command.priority),
        requested_at=now,
        engine_id=command.engine_id,
    )


def _place(since: datetime, priority: Priority) -> datetime:
    return since - timedelta(seconds=AGEING * level_of(priority))


def _turn(claim: LockClaim) -> tuple[bool, datetime, TaskId]:
    """Return the order in which claims have their turn: those that hold have it already."""
    return not claim.held, claim.place, claim.task_id


def _move(state: LockTable, command: MoveClaim, context: Context) -> Events:
    claim = state.claim_of(command.task_id)
    if claim is None or claim.held or claim.priority is command.priority:
        return []
    moved = replace(claim, priority=command.priority, place=_place(claim.since, command.priority))
    table = replace(state, claims=tuple(moved if one is claim else one for one in state.claims))
    passed = [moved, *(one for one in state.claims if one.is_behind(claim))]
    taken = sorted((one for one in passed if not table.before(one)), key=_turn)
    event = ClaimMoved(task_id=moved.task_id, priority=moved.priority, place=moved.place)
    return [event, *(LocksTaken(task_id=one.task_id) for one in taken)]


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
    claim = state.claim_of(command.task_id)
    if claim is None:  # what a human has allowed it ends with the task
        ends = not command.unused and state.allowance_of(command.task_id) is not None
        return [LocksReleased(task_id=command.task_id, reason=command.reason)] if ends else []
    allowed_by = claim.allowed_by if command.unused else None
    released = LocksReleased(task_id=command.task_id, reason=command.reason, allowed_by=allowed_by)
    return [released, *(LocksTaken(task_id=one) for one in _freed(state, command.task_id))]


def _freed(table: LockTable, task_id: TaskId) -> Collection[TaskId]:
    """Return the tasks that wait for no other one than this."""
    gone = table.claim_of(task_id)
    assert gone is not None, "it is released"
    waiting = sorted((claim for claim in table.claims if claim.is_behind(gone)), key=_turn)
    others = sorted((claim for claim in table.claims if claim.task_id != task_id), key=_turn)
    return [claim.task_id for claim in waiting if not any(map(claim.is_behind, others))]


LOCK_TABLE_DECIDER = Decider(
    LOCK_TABLE,
    {
        RequestLocks: (_only_aura, _request),
        RecordCollisionQuestion: (_only_aura, _record_question),
        MoveClaim: (_only_aura, _move),
        AllowCollision: (_only_aura, _allow),
        ReleaseLocks: (_only_aura, _release),
    },
)
