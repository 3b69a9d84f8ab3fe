"""The transition table and the evolvers of executions: see `aura_contracts.execution`."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.aggregate import TIME, Aggregate, Evolve, HappenedFact, Table, given, sets, status_only
from aura_contracts.events import Event
from aura_contracts.execution.event_types import (
    ACTIONS,
    CleanupFinished,
    CodingChangedNothing,
    CodingFinished,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionLeased,
    ExecutionQueued,
    FollowUpRequested,
    InterruptRequested,
    PermissionAsked,
    PreparationFinished,
    PreparationStarted,
    ProcessExited,
    ProcessStarted,
    SessionDropped,
    SessionRecorded,
    SetupFinished,
    StageRetried,
    StageRetryScheduled,
    UsageRecorded,
)
from aura_contracts.execution.state import Execution
from aura_contracts.execution.values import ExecutionStatus

_S = ExecutionStatus

_WITHIN_A_STAGE: tuple[type[Event], ...] = (
    ExecutionLeased,
    StageRetryScheduled,
    StageRetried,
    ProcessStarted,
    ProcessExited,
    UsageRecorded,
    InterruptRequested,
    *ACTIONS,
)
"""The events that may happen in every running stage without ending it."""


def _running(stage: ExecutionStatus, steps: Mapping[type[Event], ExecutionStatus]) -> Mapping[type[Event], StrEnum]:
    """Return the row of a running stage: events within it, its next steps, failure and cancellation."""
    ends: Mapping[type[Event], StrEnum] = {ExecutionFailed: _S.FAILED, ExecutionCancelled: _S.CANCELLED}
    return {**dict.fromkeys(_WITHIN_A_STAGE, stage), **steps, **ends}


_TABLE: Table = MappingProxyType(
    {
        None: {ExecutionQueued: _S.QUEUED},
        _S.QUEUED: {
            ExecutionLeased: _S.QUEUED,
            PreparationStarted: _S.PREPARE_WORKSPACE,
            ExecutionCancelled: _S.CANCELLED,
        },
        _S.PREPARE_WORKSPACE: _running(_S.PREPARE_WORKSPACE, {PreparationFinished: _S.SETUP}),
        _S.SETUP: _running(_S.SETUP, {SetupFinished: _S.CODING_INITIAL}),
        _S.CODING_INITIAL: _running(
            _S.CODING_INITIAL,
            {
                SessionRecorded: _S.CODING_INITIAL,
                SessionDropped: _S.CODING_INITIAL,
                CodingFinished: _S.CLEANUP,
                CodingChangedNothing: _S.REVIEW,
            },
        ),
        _S.CLEANUP: _running(_S.CLEANUP, {CleanupFinished: _S.REVIEW}),
        _S.REVIEW: _running(
            _S.REVIEW,
            {
                SessionRecorded: _S.REVIEW,
                FollowUpRequested: _S.CODING_FOLLOW_UP,
                ExecutionCompleted: _S.DONE,
            },
        ),
        _S.CODING_FOLLOW_UP: _running(
            _S.CODING_FOLLOW_UP,
            {
                SessionRecorded: _S.CODING_FOLLOW_UP,
                SessionDropped: _S.CODING_FOLLOW_UP,
                CodingFinished: _S.CLEANUP,
                CodingChangedNothing: _S.REVIEW,
            },
        ),
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _queued(_: None, event: ExecutionQueued, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    spec = event.spec
    return Execution(
        id=event.execution_id,
        status=status,
        queued_by=fact.actor,
        queued_at=fact.time,
        fork=spec.plan.fork and spec.session_id is not None,
        **asdict(spec),
    )


def _entered(state: Execution, event: Event, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    """Enter a stage: its attempts count from 1 again, and requests to the previous stage are over."""
    return replace(
        state,
        status=status,
        attempts={**state.attempts, status: 1},
        retry_at=None,
        failure=None,
        interrupted=False,
        started_at=state.started_at or fact.time,
        stage_started_at=fact.time,
    )


def _prepared(state: Execution, event: PreparationFinished, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(_entered(state, event, fact, status), workspace_id=event.workspace_id)


def _coded(state: Execution, event: CodingFinished, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(_entered(state, event, fact, status), outcome=event.outcome)


def _followed_up(state: Execution, event: FollowUpRequested, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    entered = _entered(state, event, fact, status)
    return replace(entered, follow_ups=state.follow_ups + 1, feedback=event.feedback, prompt=event.prompt)


def _retried(state: Execution, event: StageRetried, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    attempts = {**state.attempts, status: event.attempt}
    return replace(state, status=status, attempts=attempts, retry_at=None, interrupted=False)


def _process_started(state: Execution, event: ProcessStarted, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, processes=(*state.processes, event.process))


def _process_exited(state: Execution, event: ProcessExited, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(
        state,
        status=status,
        processes=tuple(process for process in state.processes if process.identity.token != event.exit.token),
        cpu_seconds=state.cpu_seconds + (event.exit.cpu_seconds or 0.0),
        peak_memory=max(state.peak_memory, event.exit.peak_memory or 0),
    )


def _used(state: Execution, event: UsageRecorded, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, usage=state.usage + event.usage)


def _permission_asked(
    state: Execution, event: PermissionAsked, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, permissions_asked=state.permissions_asked + 1)


_EVOLVERS: Mapping[type[Event], Evolve[Execution]] = MappingProxyType(
    {
        ExecutionQueued: _queued,
        ExecutionLeased: sets("lease_id", "epoch", "worker_id"),
        PreparationStarted: _entered,
        PreparationFinished: _prepared,
        SetupFinished: _entered,
        CodingFinished: _coded,
        CodingChangedNothing: _entered,
        CleanupFinished: _entered,
        FollowUpRequested: _followed_up,
        ExecutionCompleted: sets(retry_at=None, ended_at=TIME),
        ExecutionFailed: sets("failure", retry_at=None, ended_at=TIME),
        ExecutionCancelled: sets(retry_at=None, ended_at=TIME),
        StageRetryScheduled: sets("failure", "retry_at"),
        StageRetried: _retried,
        SessionRecorded: sets("session_id", fork=False, dropped_session_id=None),
        SessionDropped: sets(session_id=None, fork=False, dropped_session_id=given("session_id")),
        ProcessStarted: _process_started,
        ProcessExited: _process_exited,
        UsageRecorded: _used,
        InterruptRequested: sets(interrupted=True),
        **dict.fromkeys(ACTIONS, status_only),
        PermissionAsked: _permission_asked,
    }
)

EXECUTION = Aggregate(
    name="execution",
    state=Execution,
    statuses=ExecutionStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
