"""The state of executions, its transition table and its evolvers: see `aura_contracts.execution`."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import (
    TIME,
    Aggregate,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.entries import Usage
from aura_contracts.events import Event
from aura_contracts.execution import actions
from aura_contracts.execution import event_types as events
from aura_contracts.execution.values import (
    RUNNING_STAGES,
    AgentResult,
    ExecutionSpec,
    ExecutionStatus,
    Outcome,
    ProcessToken,
    SupervisedProcess,
)
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, ExecutionId, LeaseId, WorkerId


class Execution(ExecutionSpec, State, frozen=True, kw_only=True):
    """The state of an execution. Times are aware, and None until they happen."""

    id: ExecutionId
    status: ExecutionStatus
    queued_by: Actor
    queued_at: datetime
    lease_id: LeaseId | None = None
    epoch: int = 0
    """The fencing epoch of the lease; 0 before the first grant."""
    worker_id: WorkerId | None = None
    fork: bool = False
    """Whether to resume a copy of the session, because the original belongs to another run."""
    dropped_session_id: str | None = None
    """The session that could not be resumed, until the agent names another."""
    context_read: bool = False
    """Whether `context` was read for this execution's first prompt."""
    attempts: dict[str, int] = {}
    """Stage -> attempts since it was last entered, counting from 1."""
    retry_at: datetime | None = None
    """When the current stage starts again; None while it runs."""
    failure: Failure | None = None
    """Why the last attempt, or the execution, failed."""
    follow_ups: int = 0
    feedback: str | None = None
    """The latest feedback from the review."""
    processes: tuple[SupervisedProcess, ...] = ()
    """Processes that were started and are not known to have exited; after the end, those to interrupt."""
    interrupted: bool = False
    """Whether the current stage was asked to stop."""
    outcome: Outcome | None = None
    """The changes that coding left in the workspace, from the last coding stage that changed anything."""
    result: AgentResult | None = None
    """What the agent said about the last coding stage."""
    permissions_asked: int = 0
    """The number of permissions that its agents asked for."""
    open_question: ApprovalId | None = None
    """The permission that this attempt's agent asked a human for last, until it receives the answer."""
    awaited: dict[ApprovalId, datetime] = {}
    """The questions and proposals that this attempt's agent waits for with AURA's own tools, and until when."""
    usage: Usage = Usage()
    session_usage: Usage | None = None
    """What the agent's session consumed since it began, as the agent last reported it; None if it did not."""
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    """Bytes, of the largest process."""
    started_at: datetime | None = None
    stage_started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def running(self) -> bool:
        """Whether the execution is in one of the `RUNNING_STAGES`."""
        return self.status in RUNNING_STAGES

    @property
    def attempt(self) -> int:
        """The number of the attempt at the current stage, counting from 1; 0 outside the running stages."""
        return self.attempts.get(self.status, 0)

    @property
    def process_token(self) -> ProcessToken:
        """The token of the process for this attempt at this stage."""
        return ProcessToken(self.id, self.status, self.follow_ups, self.attempt)

    def instructions(self, prompt: str) -> str:
        """Return `prompt` as the agent gets it, in the state in which it is started.

        The documents of the project stand before the first prompt of a task, and before what begins another session.
        """
        first = self.context_read and self.status is ExecutionStatus.CODING_INITIAL
        return f"{self.context}\n\n{prompt}" if self.context and (first or self.session_id is None) else prompt


# --- Table ------------------------------------------------------------------------------------------------------------

_S = ExecutionStatus

_WITHIN_A_STAGE: tuple[type[Event], ...] = (
    events.ExecutionLeased,
    events.StageRetryScheduled,
    events.StageRetried,
    events.ProcessStarted,
    events.ProcessExited,
    events.UsageRecorded,
    events.InterruptRequested,
    *actions.ACTIONS,
)
"""The events that may happen in every running stage without ending it."""


_AFTER_THE_END: tuple[type[Event], ...] = (events.ProcessExited, events.UsageRecorded)
"""The events of a process that was still running when its execution failed or was cancelled."""


def _running(stage: ExecutionStatus, steps: Mapping[type[Event], ExecutionStatus]) -> Mapping[type[Event], StrEnum]:
    """Return the row of a running stage: events within it, its next steps, failure and cancellation."""
    ends: Mapping[type[Event], StrEnum] = {events.ExecutionFailed: _S.FAILED, events.ExecutionCancelled: _S.CANCELLED}
    turn = () if stage is _S.REVIEW else (events.MessageQueued,)  # what waits is delivered when the review begins
    return {**dict.fromkeys((*_WITHIN_A_STAGE, *turn), stage), **steps, **ends}


_TABLE: Table = MappingProxyType(
    {
        None: {events.ExecutionQueued: _S.QUEUED},
        _S.QUEUED: {
            events.ExecutionLeased: _S.QUEUED,
            events.MessageQueued: _S.QUEUED,
            events.PreparationStarted: _S.PREPARE_WORKSPACE,
            events.ExecutionCancelled: _S.CANCELLED,
        },
        _S.PREPARE_WORKSPACE: _running(
            _S.PREPARE_WORKSPACE,
            {events.ContextRead: _S.PREPARE_WORKSPACE, events.PreparationFinished: _S.SETUP},
        ),
        _S.SETUP: _running(_S.SETUP, {events.SetupFinished: _S.CODING_INITIAL}),
        _S.CODING_INITIAL: _running(
            _S.CODING_INITIAL,
            {
                events.SessionRecorded: _S.CODING_INITIAL,
                events.SessionDropped: _S.CODING_INITIAL,
                events.CodingFinished: _S.CLEANUP,
                events.CodingChangedNothing: _S.REVIEW,
            },
        ),
        _S.CLEANUP: _running(_S.CLEANUP, {events.CleanupFinished: _S.REVIEW}),
        _S.REVIEW: _running(
            _S.REVIEW,
            {
                events.SessionRecorded: _S.REVIEW,
                events.FollowUpRequested: _S.CODING_FOLLOW_UP,
                events.ExecutionCompleted: _S.DONE,
            },
        ),
        _S.CODING_FOLLOW_UP: _running(
            _S.CODING_FOLLOW_UP,
            {
                events.SessionRecorded: _S.CODING_FOLLOW_UP,
                events.SessionDropped: _S.CODING_FOLLOW_UP,
                events.CodingFinished: _S.CLEANUP,
                events.CodingChangedNothing: _S.REVIEW,
            },
        ),
        _S.FAILED: dict.fromkeys(_AFTER_THE_END, _S.FAILED),
        _S.CANCELLED: dict.fromkeys(_AFTER_THE_END, _S.CANCELLED),
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _queued(_: None, event: events.ExecutionQueued, fact: HappenedFact, status: ExecutionStatus) -> Execution:
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
        open_question=None,
        awaited={},
        started_at=state.started_at or fact.time,
        stage_started_at=fact.time,
    )


def _prepared(
    state: Execution, event: events.PreparationFinished, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(_entered(state, event, fact, status), workspace_id=event.workspace_id)


def _context_read(
    state: Execution, event: events.ContextRead, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, context=event.context.text, context_read=True)


def _coded(state: Execution, event: events.CodingFinished, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(_entered(state, event, fact, status), outcome=event.outcome, result=event.result)


def _coded_nothing(
    state: Execution, event: events.CodingChangedNothing, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(_entered(state, event, fact, status), result=event.result)


def _followed_up(
    state: Execution, event: events.FollowUpRequested, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    entered = _entered(state, event, fact, status)
    left = state.messages[event.messages :]
    more = {"follow_ups": state.follow_ups + 1, "feedback": event.feedback, "prompt": event.prompt, "messages": left}
    return replace(entered, **more)


def _message_queued(
    state: Execution, event: events.MessageQueued, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, messages=(*state.messages, event.message))


def _message_taken(
    state: Execution, event: actions.HumanMessageTaken, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    """Take a message off the queue that the agent is done with."""
    if not event.entry.answered:
        return replace(state, status=status)
    left = tuple(one for one in state.messages if one.id != event.entry.message_id)
    return replace(state, status=status, messages=left)


def _retried(state: Execution, event: events.StageRetried, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    attempts = {**state.attempts, status: event.attempt}
    again = replace(state, status=status, attempts=attempts, retry_at=None, interrupted=False)
    return replace(again, open_question=None, awaited={})


def _process_started(
    state: Execution, event: events.ProcessStarted, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, processes=(*state.processes, event.process))


def _process_exited(
    state: Execution, event: events.ProcessExited, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(
        state,
        status=status,
        processes=tuple(process for process in state.processes if process.identity.token != event.exit.token),
        cpu_seconds=state.cpu_seconds + (event.exit.cpu_seconds or 0.0),
        peak_memory=max(state.peak_memory, event.exit.peak_memory or 0),
    )


def _used(state: Execution, event: events.UsageRecorded, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    total = state.session_usage if event.total is None else event.total
    return replace(state, status=status, usage=state.usage + event.usage, session_usage=total)


def _permission_asked(
    state: Execution, event: actions.PermissionAsked, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    question = state.open_question if event.automatic else event.approval_id
    return replace(state, status=status, permissions_asked=state.permissions_asked + 1, open_question=question)


def _permission_answered(
    state: Execution, event: actions.PermissionAnswered, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    question = None if state.open_question == event.approval_id else state.open_question
    return replace(state, status=status, open_question=question)


def _inquiry_awaited(
    state: Execution, event: actions.InquiryAwaited, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, awaited={**state.awaited, event.approval_id: event.until})


def _inquiry_answered(
    state: Execution, event: actions.InquiryAnswered, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    others = {one: until for one, until in state.awaited.items() if one != event.approval_id}
    return replace(state, status=status, awaited=others)


_EVOLVERS: Mapping[type[Event], Evolve[Execution]] = MappingProxyType(
    {
        events.ExecutionQueued: _queued,
        events.ExecutionLeased: sets("lease_id", "epoch", "worker_id"),
        events.PreparationStarted: _entered,
        events.PreparationFinished: _prepared,
        events.ContextRead: _context_read,
        events.SetupFinished: _entered,
        events.CodingFinished: _coded,
        events.CodingChangedNothing: _coded_nothing,
        events.CleanupFinished: _entered,
        events.FollowUpRequested: _followed_up,
        events.MessageQueued: _message_queued,
        events.ExecutionCompleted: sets(retry_at=None, ended_at=TIME),
        events.ExecutionFailed: sets("failure", retry_at=None, ended_at=TIME),
        events.ExecutionCancelled: sets(retry_at=None, ended_at=TIME),
        events.StageRetryScheduled: sets("failure", "retry_at"),
        events.StageRetried: _retried,
        events.SessionRecorded: sets("session_id", fork=False, dropped_session_id=None, session_usage=None),
        events.SessionDropped: sets(
            session_id=None, fork=False, dropped_session_id=given("session_id"), session_usage=None
        ),
        events.ProcessStarted: _process_started,
        events.ProcessExited: _process_exited,
        events.UsageRecorded: _used,
        events.InterruptRequested: sets(interrupted=True),
        **dict.fromkeys(actions.ACTIONS, status_only),
        actions.HumanMessageTaken: _message_taken,
        actions.PermissionAsked: _permission_asked,
        actions.PermissionAnswered: _permission_answered,
        actions.InquiryAwaited: _inquiry_awaited,
        actions.InquiryAnswered: _inquiry_answered,
        events.ExecutionCommandRefused: status_only,
    }
)

EXECUTION = Aggregate(
    name="execution",
    state=Execution,
    statuses=ExecutionStatus,
    table=in_every_status(_TABLE, events.ExecutionCommandRefused, ExecutionStatus),
    evolvers=_EVOLVERS,
    after_the_end=frozenset({*_AFTER_THE_END, events.ExecutionCommandRefused}),
)
