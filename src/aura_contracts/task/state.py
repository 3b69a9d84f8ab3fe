"""The state of tasks, its transition table and its evolvers: see `aura_contracts.task`."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import TIME, Aggregate, Evolve, HappenedFact, State, Table, given, sets, status_only
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId
from aura_contracts.task import event_types as events
from aura_contracts.task.values import Subtask, TaskSpec, TaskStatus


class Task(TaskSpec, State, frozen=True, kw_only=True):
    """The state of a task. Times are aware, and None until they happen."""

    id: TaskId
    status: TaskStatus
    created_by: Actor
    created_at: datetime
    queued: bool = False
    """Ready to be picked up rather than in the backlog."""
    assigned_agent: AgentId | None = None
    approval_id: ApprovalId | None = None
    """The pending approval, or the last one decided."""
    proposed_solution: str | None = None
    confidence: float | None = None
    proposed_subtasks: tuple[Subtask, ...] = ()
    subtask_ids: tuple[TaskId, ...] = ()
    approval_notes: str | None = None
    feedback: str | None = None
    """The human's feedback on the last proposal that was not approved; it goes into the next prompt."""
    rejections: int = 0
    execution_id: ExecutionId | None = None
    """The latest run of the task."""
    executions: int = 0
    attempts_failed: int = 0
    retry_at: datetime | None = None
    failure: Failure | None = None
    blocked_by: str | None = None
    result: dict[str, Any] | None = None
    started_at: datetime | None = None
    submitted_at: datetime | None = None
    approved_at: datetime | None = None
    completed_at: datetime | None = None
    """When the task ended, for whatever reason."""


# --- Table ------------------------------------------------------------------------------------------------------------


_S = TaskStatus

_TABLE: Table = MappingProxyType(
    {
        None: {events.TaskCreated: _S.PENDING},
        _S.PENDING: {
            events.TaskEdited: _S.PENDING,
            events.TaskReparented: _S.PENDING,
            events.TaskQueued: _S.PENDING,
            events.TaskUnqueued: _S.PENDING,
            events.TaskAssigned: _S.IN_PROGRESS,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
            events.TaskDeleted: _S.DELETED,
        },
        _S.IN_PROGRESS: {
            events.TaskEdited: _S.IN_PROGRESS,
            events.TaskReparented: _S.IN_PROGRESS,
            events.TaskAssigned: _S.IN_PROGRESS,
            events.TaskUnassigned: _S.PENDING,
            events.ExecutionStarted: _S.IN_PROGRESS,
            events.AttemptFailed: _S.IN_PROGRESS,
            events.ProposalSubmitted: _S.AWAITING_APPROVAL,
            events.DecompositionProposed: _S.AWAITING_APPROVAL,
            events.TaskBlocked: _S.BLOCKED,
            events.TaskCompleted: _S.COMPLETED,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.AWAITING_APPROVAL: {
            events.TaskReparented: _S.AWAITING_APPROVAL,
            events.TaskApproved: _S.APPROVED,
            events.TaskDecomposed: _S.APPROVED,
            events.TaskRejected: _S.REJECTED,
            events.TaskChangesRequested: _S.IN_PROGRESS,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.APPROVED: {
            events.TaskReparented: _S.APPROVED,
            events.ExecutionStarted: _S.APPROVED,
            events.AttemptFailed: _S.APPROVED,
            events.ProposalSubmitted: _S.AWAITING_APPROVAL,
            events.TaskBlocked: _S.BLOCKED,
            events.TaskCompleted: _S.COMPLETED,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.REJECTED: {
            events.RevisionStarted: _S.IN_PROGRESS,
            events.TaskAssigned: _S.IN_PROGRESS,
            events.TaskCancelled: _S.CANCELLED,
            events.TaskDeleted: _S.DELETED,
        },
        _S.BLOCKED: {
            events.TaskUnblocked: _S.IN_PROGRESS,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.COMPLETED: {
            events.TaskReopened: _S.IN_PROGRESS,
        },
        _S.FAILED: {
            events.TaskAssigned: _S.IN_PROGRESS,
            events.TaskRetried: _S.IN_PROGRESS,
            events.TaskCancelled: _S.CANCELLED,
            events.TaskDeleted: _S.DELETED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: events.TaskCreated, fact: HappenedFact, status: TaskStatus) -> Task:
    return Task(
        id=event.task_id,
        status=status,
        created_by=fact.actor,
        created_at=fact.time,
        **asdict(event.spec),
    )


def _edited(state: Task, event: events.TaskEdited, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, **event.changes.given())


def _assigned(state: Task, event: events.TaskAssigned, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state,
        status=status,
        assigned_agent=event.agent_id,
        agent_type=event.agent_type or state.agent_type,
        started_at=state.started_at or fact.time,
        queued=False,
        attempts_failed=0,
        retry_at=None,
        failure=None,
        completed_at=None,
    )


def _submitted(state: Task, event: events.ProposalSubmitted, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state,
        status=status,
        approval_id=event.approval_id,
        proposed_solution=event.proposal,
        confidence=event.confidence,
        submitted_at=fact.time,
        feedback=None,
    )


def _attempt_failed(state: Task, event: events.AttemptFailed, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, attempts_failed=event.attempt, retry_at=event.retry_at, failure=event.failure)


def _sent_back(
    state: Task, event: events.TaskRejected | events.TaskChangesRequested, fact: HappenedFact, status: TaskStatus
) -> Task:
    return replace(state, status=status, feedback=event.feedback, rejections=state.rejections + 1)


def _execution_started(state: Task, event: events.ExecutionStarted, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state, status=status, execution_id=event.execution_id, executions=state.executions + 1, retry_at=None
    )


_EVOLVERS: Mapping[type[Event], Evolve[Task]] = MappingProxyType(
    {
        events.TaskCreated: _created,
        events.TaskEdited: _edited,
        events.TaskReparented: sets("parent_id"),
        events.TaskQueued: sets(queued=True),
        events.TaskUnqueued: sets(queued=False),
        events.TaskAssigned: _assigned,
        events.TaskUnassigned: sets(assigned_agent=None, queued=True, retry_at=None),
        events.ProposalSubmitted: _submitted,
        events.TaskApproved: sets(approval_notes=given("notes"), approved_at=TIME),
        events.TaskRejected: _sent_back,
        events.RevisionStarted: status_only,
        events.TaskChangesRequested: _sent_back,
        events.ExecutionStarted: _execution_started,
        events.AttemptFailed: _attempt_failed,
        events.TaskBlocked: sets(blocked_by=given("reason")),
        events.TaskUnblocked: sets(blocked_by=None),
        events.DecompositionProposed: sets(
            "approval_id", proposed_subtasks=given("subtasks"), submitted_at=TIME, feedback=None
        ),
        events.TaskDecomposed: sets("subtask_ids", approved_at=TIME),
        events.TaskRetried: sets(attempts_failed=0, retry_at=None, failure=None, completed_at=None),
        events.TaskReopened: sets("feedback", attempts_failed=0, result=None, completed_at=None),
        events.TaskCompleted: sets("result", completed_at=TIME, failure=None),
        events.TaskFailed: sets("failure", completed_at=TIME, retry_at=None, blocked_by=None),
        events.TaskCancelled: sets(completed_at=TIME, retry_at=None, blocked_by=None),
        events.TaskDeleted: sets(completed_at=TIME, retry_at=None, blocked_by=None),
    }
)

TASK = Aggregate(
    name="task",
    state=Task,
    statuses=TaskStatus,
    table=_TABLE,
    restartable=frozenset({TaskStatus.FAILED, TaskStatus.COMPLETED}),
    evolvers=_EVOLVERS,
)
