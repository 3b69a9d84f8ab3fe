"""Timers: the moments at which something is due although nothing happens. Pure.

A timer is not stored by itself: it follows from the state of what waits, as `timers_of` says. The read models keep the
timers of all states in one table, and `aura_engine.clockwork` fires those that are due, with a command that decides
again, on the newest state, whether anything is. So a timer that is fired late, twice, or after it has become pointless
changes nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from aura_contracts.aggregate import State
from aura_contracts.approval import Approval, ApprovalStatus
from aura_contracts.execution import Execution
from aura_contracts.lease import LeaseStatus, WorkerLease
from aura_contracts.task import Task
from aura_contracts.workflow import Workflow, workflow_due
from aura_contracts.workflow_schedule import WorkflowSchedule


class TimerPurpose(StrEnum):
    """What is due."""

    REMIND = "remind"
    """The reviewers of an approval are reminded; also when a delegation ends, for the seat is its owner's again."""
    ESCALATE = "escalate"
    """An approval is put to more people."""
    EXPIRE = "expire"
    """The deadline of an approval passes: the answer is no, or the work continues without one."""
    RETRY = "retry"
    """A stage of an execution, or a whole task, is tried again."""
    LOSE_WORKER = "lose_worker"
    """The grace period of a silent worker is over, and its execution fails."""
    ADVANCE = "advance"
    """A wait, a pause or a limit of a workflow, or of one of its steps, is over."""
    START = "start"
    """A schedule starts a workflow."""


DESTRUCTIVE = frozenset({TimerPurpose.EXPIRE, TimerPurpose.LOSE_WORKER})
"""What cannot be undone: after a jump of the clock it is held for a moment, until those who are alive have said so."""


class Timer(NamedTuple):
    """When something is due."""

    due_at: datetime
    counts_from: datetime | None = None
    """The moment from which the wait counts; None: people chose the moment itself, or a driver checks it."""


Timers = Mapping[TimerPurpose, Timer]
"""When each purpose of one aggregate is due."""


def timers_of(state: State | None) -> Timers:
    """Return what is due for a state, and when; empty for states that wait for nothing. Never raises."""
    find = _TIMERS.get(type(state))
    return _NONE if find is None else find(state)


def timer_id(stream_id: str, purpose: TimerPurpose) -> str:
    """Return the id of a timer: the same as long as the state waits for the same (UUIDv5)."""
    return str(uuid5(UUID(stream_id), purpose))


def _of_approval(approval: Approval) -> Timers:
    if approval.status is not ApprovalStatus.PENDING:
        return _NONE
    deadline = approval.deadline
    times = {
        TimerPurpose.REMIND: (approval.remind_at if approval.open_seats else None, approval.waits_since),
        TimerPurpose.ESCALATE: (approval.escalate_at if approval.escalation else None, approval.level_since),
    }
    found = {
        purpose: Timer(at, since)
        for purpose, (at, since) in times.items()
        if at is not None and (deadline is None or at < deadline)
    }
    return found if deadline is None else {**found, TimerPurpose.EXPIRE: Timer(deadline, approval.open_since)}


def _of_retry(state: Task | Execution) -> Timers:
    return _NONE if state.retry_at is None else {TimerPurpose.RETRY: Timer(state.retry_at)}


def _of_lease(lease: WorkerLease) -> Timers:
    if lease.status is not LeaseStatus.OFFLINE or lease.offline_since is None:
        return _NONE
    try:
        due_at = lease.offline_since + timedelta(seconds=lease.grace)
        return {TimerPurpose.LOSE_WORKER: Timer(due_at, lease.offline_since)}
    except (OverflowError, ValueError):  # a moment that no calendar has, or no number: never
        return _NONE


def _of_workflow(workflow: Workflow) -> Timers:
    due = workflow_due(workflow)
    return _NONE if due is None else {TimerPurpose.ADVANCE: Timer(due)}


def _of_schedule(schedule: WorkflowSchedule) -> Timers:
    if schedule.next_at is None:
        return _NONE
    return {TimerPurpose.START: Timer(schedule.next_at, schedule.counts_from)}


_NONE: Timers = MappingProxyType({})
_TIMERS: Mapping[type, Callable[[Any], Timers]] = MappingProxyType(
    {
        Approval: _of_approval,
        Task: _of_retry,
        Execution: _of_retry,
        WorkerLease: _of_lease,
        Workflow: _of_workflow,
        WorkflowSchedule: _of_schedule,
    }
)
