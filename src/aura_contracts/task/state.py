"""The state of tasks, its transition table and its evolvers: see `aura_contracts.task`."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor, actor_kind, actor_name
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
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId
from aura_contracts.task import event_types as events
from aura_contracts.task.values import CollisionPolicy, PoolRequest, Subtask, TaskSpec, TaskStatus


class Task(TaskSpec, State, frozen=True, kw_only=True):
    """The state of a task. Times are aware, and None until they happen."""

    id: TaskId
    status: TaskStatus
    created_by: Actor
    created_at: datetime
    queued: bool = False
    """Ready to be picked up rather than in the backlog."""
    queued_at: datetime | None = None
    """When it was last marked ready."""
    request: PoolRequest | None = None
    """What it asks of the pool that it waits for; None for a task that waits for none, or has an agent."""
    assigned_agent: AgentId | None = None
    approval_id: ApprovalId | None = None
    """The pending approval, or the last one decided."""
    proposed_solution: str | None = None
    confidence: float | None = None
    proposed_subtasks: tuple[Subtask, ...] = ()
    subtask_ids: tuple[TaskId, ...] = ()
    """Its parts."""
    decomposed: bool = False
    """An approved decomposition stands for the work of its own."""
    dependencies_ended: tuple[TaskId, ...] = ()
    """Tasks in `after` that ended without completing, as this one has recorded."""
    approval_notes: str | None = None
    feedback: str | None = None
    """The human's feedback on the last proposal that was not approved; it goes into the next prompt."""
    rejections: int = 0
    execution_id: ExecutionId | None = None
    """The latest run of the task."""
    next_execution_id: ExecutionId | None = None
    """The run that begins once the latest has ended, after a reassignment."""
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

    @property
    def requester(self) -> str | None:
        """The name of the human who created it, or on whose behalf it was created; None if no human did."""
        return actor_name(self.created_by) if actor_kind(self.created_by) == "human" else self.on_behalf_of

    @property
    def rolls_up(self) -> bool:
        """Whether it completes with its parts: it was decomposed, or no agent was ever given it."""
        if not self.subtask_ids:
            return False
        return self.decomposed or (self.assigned_agent is None and self.execution_id is None)

    @property
    def in_hand(self) -> bool:
        """Whether an agent has it, or its work waits for a human: while it does, it keeps its locks.

        Not so once it is decomposed: then its parts do the work, each with locks of its own.
        """
        return self.status in _IN_HAND and not self.decomposed

    @property
    def needs_locks(self) -> bool:
        """Whether it needs anything for itself alone."""
        return bool(self.locks or self.locked_paths)

    @property
    def locking(self) -> tuple[tuple[str, ...], tuple[str, ...], CollisionPolicy]:
        """What it needs for itself alone, and what happens if another task has it."""
        return self.locks, self.locked_paths, self.on_collision

    @property
    def pooled(self) -> bool:
        """Whether it waits for an agent of the pool."""
        return self.status is TaskStatus.PENDING and self.queued and self.request is not None


_IN_HAND = frozenset({TaskStatus.IN_PROGRESS, TaskStatus.AWAITING_APPROVAL, TaskStatus.APPROVED, TaskStatus.BLOCKED})


# --- Table ------------------------------------------------------------------------------------------------------------


_S = TaskStatus


def _parts(status: TaskStatus) -> dict[type[Event], TaskStatus]:
    """Return the rows of the events about parts, which leave the status as it is."""
    return {events.PartAdded: status, events.PartRemoved: status}


_TABLE: Table = MappingProxyType(
    {
        None: {events.TaskCreated: _S.PENDING},
        _S.PENDING: {
            events.TaskEdited: _S.PENDING,
            events.TaskReparented: _S.PENDING,
            **_parts(_S.PENDING),
            events.DependencyEnded: _S.PENDING,
            events.TaskQueued: _S.PENDING,
            events.TaskUnqueued: _S.PENDING,
            events.TaskAssigned: _S.IN_PROGRESS,
            events.ExecutionStarted: _S.IN_PROGRESS,
            events.TaskCompleted: _S.COMPLETED,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
            events.TaskDeleted: _S.DELETED,
        },
        _S.IN_PROGRESS: {
            events.TaskEdited: _S.IN_PROGRESS,
            events.TaskReparented: _S.IN_PROGRESS,
            **_parts(_S.IN_PROGRESS),
            events.DependencyEnded: _S.IN_PROGRESS,
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
            events.TaskEdited: _S.AWAITING_APPROVAL,
            events.DecompositionProposed: _S.AWAITING_APPROVAL,
            events.TaskReparented: _S.AWAITING_APPROVAL,
            **_parts(_S.AWAITING_APPROVAL),
            events.TaskAssigned: _S.IN_PROGRESS,
            events.TaskApproved: _S.APPROVED,
            events.TaskDecomposed: _S.APPROVED,
            events.TaskRejected: _S.REJECTED,
            events.TaskChangesRequested: _S.IN_PROGRESS,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.APPROVED: {
            events.TaskEdited: _S.APPROVED,
            events.TaskReparented: _S.APPROVED,
            **_parts(_S.APPROVED),
            events.TaskAssigned: _S.IN_PROGRESS,
            events.ExecutionStarted: _S.APPROVED,
            events.AttemptFailed: _S.APPROVED,
            events.ProposalSubmitted: _S.AWAITING_APPROVAL,
            events.TaskBlocked: _S.BLOCKED,
            events.TaskCompleted: _S.COMPLETED,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.REJECTED: {
            events.TaskEdited: _S.REJECTED,
            **_parts(_S.REJECTED),
            events.RevisionStarted: _S.IN_PROGRESS,
            events.TaskQueued: _S.PENDING,
            events.TaskAssigned: _S.IN_PROGRESS,
            events.TaskCancelled: _S.CANCELLED,
            events.TaskDeleted: _S.DELETED,
        },
        _S.BLOCKED: {
            events.TaskEdited: _S.BLOCKED,
            **_parts(_S.BLOCKED),
            events.TaskUnblocked: _S.IN_PROGRESS,
            events.TaskFailed: _S.FAILED,
            events.TaskCancelled: _S.CANCELLED,
        },
        _S.COMPLETED: {
            **_parts(_S.COMPLETED),
            events.TaskReopened: _S.IN_PROGRESS,
        },
        _S.FAILED: {
            events.TaskEdited: _S.FAILED,
            **_parts(_S.FAILED),
            events.TaskQueued: _S.PENDING,
            events.TaskCompleted: _S.COMPLETED,
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
    changes = event.changes.given()
    if changes.pop("no_due_date", False):
        changes["due_at"] = None
    return replace(state, status=status, **changes)


def _part_added(state: Task, event: events.PartAdded, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, subtask_ids=tuple(dict.fromkeys((*state.subtask_ids, event.part_id))))


def _part_removed(state: Task, event: events.PartRemoved, fact: HappenedFact, status: TaskStatus) -> Task:
    left = tuple(part_id for part_id in state.subtask_ids if part_id != event.part_id)
    return replace(state, status=status, subtask_ids=left)


def _dependency_ended(state: Task, event: events.DependencyEnded, fact: HappenedFact, status: TaskStatus) -> Task:
    ended = dict.fromkeys((*state.dependencies_ended, event.dependency_id))
    return replace(state, status=status, dependencies_ended=tuple(ended))


def _decomposed(state: Task, event: events.TaskDecomposed, fact: HappenedFact, status: TaskStatus) -> Task:
    parts = tuple(dict.fromkeys((*state.subtask_ids, *event.subtask_ids)))
    return replace(state, status=status, subtask_ids=parts, decomposed=True, approved_at=fact.time)


def _queued(state: Task, event: events.TaskQueued, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state,
        status=status,
        queued=True,
        queued_at=fact.time,
        request=event.request,
        attempts_failed=0,
        retry_at=None,
        failure=None,
        completed_at=None,
    )


def _assigned(state: Task, event: events.TaskAssigned, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state,
        status=status,
        assigned_agent=event.agent_id,
        agent_type=event.agent_type or state.agent_type,
        agent_type_reason=event.reason or state.agent_type_reason,
        next_execution_id=event.execution_id,
        decomposed=False,
        started_at=state.started_at or fact.time,
        queued=False,
        request=None,
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
        state,
        status=status,
        execution_id=event.execution_id,
        next_execution_id=None,
        executions=state.executions + 1,
        started_at=state.started_at or fact.time,
        retry_at=None,
    )


_EVOLVERS: Mapping[type[Event], Evolve[Task]] = MappingProxyType(
    {
        events.TaskCreated: _created,
        events.TaskCommandRefused: status_only,
        events.TaskEdited: _edited,
        events.TaskReparented: sets("parent_id"),
        events.PartAdded: _part_added,
        events.PartRemoved: _part_removed,
        events.DependencyEnded: _dependency_ended,
        events.TaskQueued: _queued,
        events.TaskUnqueued: sets(queued=False, request=None),
        events.TaskAssigned: _assigned,
        events.TaskUnassigned: sets(assigned_agent=None, queued=True, queued_at=TIME, retry_at=None),
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
        events.TaskDecomposed: _decomposed,
        events.TaskRetried: sets(attempts_failed=0, retry_at=None, failure=None, completed_at=None),
        events.TaskReopened: sets("feedback", approval_id=None, attempts_failed=0, result=None, completed_at=None),
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
    table=in_every_status(_TABLE, events.TaskCommandRefused, TaskStatus),
    after_the_end=frozenset({events.TaskCommandRefused}),
    restartable=frozenset({TaskStatus.FAILED, TaskStatus.COMPLETED}),
    evolvers=_EVOLVERS,
)
