"""Task: a unit of work with one clear objective, from request to result (specification, "Task").

    pending ──assigned──► in_progress ──proposal──► awaiting_approval ──approved──► approved ──► completed
                               ▲                          │ rejected / changes requested
                               └──────── feedback ◄───────┘

A rejected task passes through ``rejected``. Normally the revision starts at once, and the task is ``in_progress``
again, with the feedback; after a final rejection it stays there until it is assigned again. ``blocked`` means paused by
a conflict, over a shared resource or a merge, until a human resolves it. It leads back to ``in_progress``, because what
was approved is no longer what would be merged.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NewType

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Aggregate, Changes, Command, Evolve, HappenedFact, State, Table, status_only
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Event, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId


class TaskStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ApprovalMode(StrEnum):
    """What a human approves: the plan, the changes, both, or neither (a policy decides)."""

    PLAN = "plan"
    CHANGES = "changes"
    BOTH = "both"
    AUTO = "auto"


AgentType = NewType("AgentType", str)
"""An agent's speciality: one of `AGENT_TYPES`, or any other word that `parse_agent_type` accepts."""

AGENT_TYPES = tuple(map(AgentType, ("architect", "developer", "database", "tester", "reviewer", "devops")))
"""The types of the specification, section "Agent"."""

DEVELOPER = AgentType("developer")
"""The default agent type."""

AGENT_TYPE_LIMIT = 40
"""The most characters in an agent type; it is a column in lists."""

_AGENT_TYPE = re.compile(rf"[a-z][a-z0-9_-]{{0,{AGENT_TYPE_LIMIT - 1}}}")


def parse_agent_type(text: str, field: str = "type") -> AgentType:
    """Parse an agent type. Raises `InvalidInput` unless `text` is one lower-case word.

    >>> parse_agent_type("data-scientist")
    'data-scientist'
    """
    if not _AGENT_TYPE.fullmatch(text):
        reason = f"{text!r} is not one word of up to {AGENT_TYPE_LIMIT} lower-case letters, digits, '-' and '_'"
        raise InvalidInput(field=field, reason=reason, remedy=f"write it like {', '.join(AGENT_TYPES)}")
    return AgentType(text)


class RetryPolicy(msgspec.Struct, frozen=True, gc=False):
    """How often and how soon a failed attempt is repeated (specification, "Agent Failures").

    The delay before attempt n + 1 is ``base_delay * 2 ** (n - 1)`` seconds, at most `max_delay`, plus or minus a random
    share of `jitter` (0 to 1).
    """

    max_attempts: int = 3
    base_delay: float = 1.0
    max_delay: float = 60.0
    jitter: float = 0.2


class Subtask(msgspec.Struct, frozen=True, gc=False):
    """A part of a proposed decomposition. `task_id` is chosen with the proposal, so that creation is repeatable."""

    task_id: TaskId
    title: str
    description: str = ""
    agent_type: AgentType | None = None
    priority: Priority = Priority.MEDIUM


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The description of a task, as its creator gave it."""

    title: str
    description: str = ""
    priority: Priority = Priority.MEDIUM
    parent_id: TaskId | None = None
    project: str | None = None
    agent_type: AgentType | None = None
    """The type of agent that the task is for; once assigned, the type of its agent."""
    approval_mode: ApprovalMode = ApprovalMode.CHANGES
    reviewers: tuple[str, ...] = ()
    """Names of the humans who may decide besides the creator."""
    retry: RetryPolicy = RetryPolicy()
    context: dict[str, Any] = {}
    after: tuple[TaskId, ...] = ()
    """Tasks that must complete before this one starts."""
    key: str | None = None
    """The caller's own key for the request; a key starts only one task."""
    request_digest: str = ""
    """The digest of the request that started the task, which recognises the same request again."""


class TaskChanges(Changes, frozen=True, kw_only=True):
    """An edit of a task; fields that are None stay unchanged."""

    title: str | None = None
    description: str | None = None
    priority: Priority | None = None
    approval_mode: ApprovalMode | None = None
    reviewers: tuple[str, ...] | None = None
    context: dict[str, Any] | None = None


# --- Events -----------------------------------------------------------------------------------------------------------


class TaskCreated(Event, frozen=True, kw_only=True):
    """A human or an agent requested a piece of work."""

    topic = "task.created"
    task_id: TaskId
    spec: TaskSpec


class TaskEdited(Event, frozen=True, kw_only=True):
    """The task was edited."""

    topic = "task.edited"
    changes: TaskChanges


class TaskReparented(Event, frozen=True, kw_only=True):
    """The task was moved below another task, or to the top level."""

    topic = "task.reparented"
    parent_id: TaskId | None


class TaskQueued(Event, frozen=True, kw_only=True):
    """The task was marked ready; an agent may pick it up."""

    topic = "task.queued"


class TaskUnqueued(Event, frozen=True, kw_only=True):
    """The task was moved back to the backlog."""

    topic = "task.unqueued"


class TaskAssigned(Event, frozen=True, kw_only=True):
    """An agent was given the task and starts working on it."""

    topic = "task.assigned"
    agent_id: AgentId
    agent_type: AgentType | None = None


class TaskUnassigned(Event, frozen=True, kw_only=True):
    """The task was taken from its agent and waits for another."""

    topic = "task.unassigned"
    reason: str = ""


class ProposalSubmitted(Event, frozen=True, kw_only=True):
    """The agent proposed a solution, as a plan or as changes, and a human was asked."""

    topic = "task.proposal_submitted"
    approval_id: ApprovalId
    proposal: str
    confidence: float | None = None


class TaskApproved(Event, frozen=True, kw_only=True):
    """The proposal was approved; the solution may be executed."""

    topic = "task.approved"
    approval_id: ApprovalId
    notes: str | None = None


class TaskRejected(Event, frozen=True, kw_only=True):
    """The proposal was rejected, with a reason."""

    topic = "task.rejected"
    approval_id: ApprovalId
    feedback: str


class RevisionStarted(Event, frozen=True, kw_only=True):
    """The agent started to revise its rejected proposal with the feedback."""

    topic = "task.revision_started"


class TaskChangesRequested(Event, frozen=True, kw_only=True):
    """A human asked for changes to the proposal; the agent continues with the feedback."""

    topic = "task.changes_requested"
    approval_id: ApprovalId
    feedback: str


class ExecutionStarted(Event, frozen=True, kw_only=True):
    """A run of an agent was started for the task."""

    topic = "task.execution_started"
    execution_id: ExecutionId


class AttemptFailed(Event, frozen=True, kw_only=True):
    """An attempt failed and will be repeated at `retry_at`."""

    topic = "task.attempt_failed"
    failure: Failure
    attempt: int
    retry_at: Instant


class TaskBlocked(Event, frozen=True, kw_only=True):
    """The task is paused until a human has resolved a conflict."""

    topic = "task.blocked"
    reason: str
    resource: str = ""
    conflicting_task_id: TaskId | None = None


class TaskUnblocked(Event, frozen=True, kw_only=True):
    """A human resolved the conflict that blocked the task."""

    topic = "task.unblocked"
    resolution: str = ""


class DecompositionProposed(Event, frozen=True, kw_only=True):
    """The agent proposed to split the task, and a human was asked."""

    topic = "task.decomposition_proposed"
    approval_id: ApprovalId
    subtasks: tuple[Subtask, ...]


class TaskDecomposed(Event, frozen=True, kw_only=True):
    """The decomposition was approved; its subtasks exist, and this task completes when they do."""

    topic = "task.decomposed"
    approval_id: ApprovalId
    subtask_ids: tuple[TaskId, ...]


class TaskRetried(Event, frozen=True, kw_only=True):
    """A failed task was retried with the same agent and a fresh count of attempts."""

    topic = "task.retried"


class TaskCompleted(Event, frozen=True, kw_only=True):
    """The task is done."""

    topic = "task.completed"
    result: dict[str, Any] = {}


class TaskFailed(Event, frozen=True, kw_only=True):
    """The task failed, and AURA cannot retry it; a human is notified."""

    topic = "task.failed"
    failure: Failure


class TaskCancelled(Event, frozen=True, kw_only=True):
    """The task was cancelled."""

    topic = "task.cancelled"
    reason: str = ""


class TaskDeleted(Event, frozen=True, kw_only=True):
    """The task was removed from all lists. Its events stay."""

    topic = "task.deleted"
    reason: str = ""


# --- State ------------------------------------------------------------------------------------------------------------


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


# --- Commands ---------------------------------------------------------------------------------------------------------


class CreateTask(Command[Task], frozen=True, kw_only=True):
    """Request a piece of work."""

    emits = (TaskCreated,)
    task_id: TaskId
    spec: TaskSpec

    @property
    def parent_id(self) -> TaskId | None:
        """The task above this one."""
        return self.spec.parent_id


class EditTask(Command[Task], frozen=True, kw_only=True):
    """Edit the task."""

    emits = (TaskEdited,)
    changes: TaskChanges


class ReparentTask(Command[Task], frozen=True, kw_only=True):
    """Move the task below another one, or to the top level (None)."""

    emits = (TaskReparented,)
    parent_id: TaskId | None


class QueueTask(Command[Task], frozen=True, kw_only=True):
    """Mark the task as ready to be picked up."""

    emits = (TaskQueued,)


class UnqueueTask(Command[Task], frozen=True, kw_only=True):
    """Move the task back to the backlog."""

    emits = (TaskUnqueued,)


class AssignTask(Command[Task], frozen=True, kw_only=True):
    """Give the task to an agent, which starts a failed or rejected task over."""

    emits = (TaskAssigned,)
    agent_id: AgentId
    agent_type: AgentType | None = None


class UnassignTask(Command[Task], frozen=True, kw_only=True):
    """Take the task from its agent."""

    emits = (TaskUnassigned,)
    reason: str = ""


class SubmitProposal(Command[Task], frozen=True, kw_only=True):
    """Propose a solution (by the assigned agent). `confidence` is between 0 and 1."""

    emits = (ProposalSubmitted,)
    approval_id: ApprovalId
    proposal: str
    confidence: float | None = None


class ApproveTask(Command[Task], frozen=True, kw_only=True):
    """Record on the task that its proposal was approved."""

    emits = (TaskApproved,)
    approval_id: ApprovalId
    notes: str | None = None


class RejectTask(Command[Task], frozen=True, kw_only=True):
    """Record on the task that its proposal was rejected; with `revise`, the agent tries again."""

    emits = (TaskRejected, RevisionStarted)
    approval_id: ApprovalId
    feedback: str
    revise: bool = True


class RequestTaskChanges(Command[Task], frozen=True, kw_only=True):
    """Record on the task that a human asked for changes to the proposal."""

    emits = (TaskChangesRequested,)
    approval_id: ApprovalId
    feedback: str


class StartExecution(Command[Task], frozen=True, kw_only=True):
    """Record that a run was started for the task."""

    emits = (ExecutionStarted,)
    execution_id: ExecutionId


class RecordAttemptFailure(Command[Task], frozen=True, kw_only=True):
    """Record a failed attempt; `delay` is the wait before the next one, in seconds.

    Fails the task if the policy allows no further attempt or the failure is not retryable.
    """

    emits = (AttemptFailed, TaskFailed)
    failure: Failure
    delay: float = 0.0


class BlockTask(Command[Task], frozen=True, kw_only=True):
    """Pause the task until a human resolves a conflict."""

    emits = (TaskBlocked,)
    reason: str
    resource: str = ""
    conflicting_task_id: TaskId | None = None


class UnblockTask(Command[Task], frozen=True, kw_only=True):
    """Resume after a conflict was resolved."""

    emits = (TaskUnblocked,)
    resolution: str = ""


class ProposeDecomposition(Command[Task], frozen=True, kw_only=True):
    """Propose to split the task (by the assigned agent)."""

    emits = (DecompositionProposed,)
    approval_id: ApprovalId
    subtasks: tuple[Subtask, ...]


class DecomposeTask(Command[Task], frozen=True, kw_only=True):
    """Record that the proposed decomposition was approved and its subtasks exist."""

    emits = (TaskDecomposed,)
    approval_id: ApprovalId


class RetryTask(Command[Task], frozen=True, kw_only=True):
    """Retry a failed task with the agent it had."""

    emits = (TaskRetried,)


class CompleteTask(Command[Task], frozen=True, kw_only=True):
    """Record that the task is done."""

    emits = (TaskCompleted,)
    result: dict[str, Any] = {}


class FailTask(Command[Task], frozen=True, kw_only=True):
    """Record that the task failed for good."""

    emits = (TaskFailed,)
    failure: Failure


class CancelTask(Command[Task], frozen=True, kw_only=True):
    """Cancel the task."""

    emits = (TaskCancelled,)
    reason: str = ""


class DeleteTask(Command[Task], frozen=True, kw_only=True):
    """Remove the task from all lists."""

    emits = (TaskDeleted,)
    reason: str = ""


# --- Table ------------------------------------------------------------------------------------------------------------

_S = TaskStatus

_TABLE: Table = MappingProxyType(
    {
        None: {TaskCreated: _S.PENDING},
        _S.PENDING: {
            TaskEdited: _S.PENDING,
            TaskReparented: _S.PENDING,
            TaskQueued: _S.PENDING,
            TaskUnqueued: _S.PENDING,
            TaskAssigned: _S.IN_PROGRESS,
            TaskFailed: _S.FAILED,
            TaskCancelled: _S.CANCELLED,
            TaskDeleted: _S.DELETED,
        },
        _S.IN_PROGRESS: {
            TaskEdited: _S.IN_PROGRESS,
            TaskReparented: _S.IN_PROGRESS,
            TaskAssigned: _S.IN_PROGRESS,
            TaskUnassigned: _S.PENDING,
            ExecutionStarted: _S.IN_PROGRESS,
            AttemptFailed: _S.IN_PROGRESS,
            ProposalSubmitted: _S.AWAITING_APPROVAL,
            DecompositionProposed: _S.AWAITING_APPROVAL,
            TaskBlocked: _S.BLOCKED,
            TaskCompleted: _S.COMPLETED,
            TaskFailed: _S.FAILED,
            TaskCancelled: _S.CANCELLED,
        },
        _S.AWAITING_APPROVAL: {
            TaskReparented: _S.AWAITING_APPROVAL,
            TaskApproved: _S.APPROVED,
            TaskDecomposed: _S.APPROVED,
            TaskRejected: _S.REJECTED,
            TaskChangesRequested: _S.IN_PROGRESS,
            TaskFailed: _S.FAILED,
            TaskCancelled: _S.CANCELLED,
        },
        _S.APPROVED: {
            TaskReparented: _S.APPROVED,
            ExecutionStarted: _S.APPROVED,
            AttemptFailed: _S.APPROVED,
            ProposalSubmitted: _S.AWAITING_APPROVAL,
            TaskBlocked: _S.BLOCKED,
            TaskCompleted: _S.COMPLETED,
            TaskFailed: _S.FAILED,
            TaskCancelled: _S.CANCELLED,
        },
        _S.REJECTED: {
            RevisionStarted: _S.IN_PROGRESS,
            TaskAssigned: _S.IN_PROGRESS,
            TaskCancelled: _S.CANCELLED,
            TaskDeleted: _S.DELETED,
        },
        _S.BLOCKED: {
            TaskUnblocked: _S.IN_PROGRESS,
            TaskFailed: _S.FAILED,
            TaskCancelled: _S.CANCELLED,
        },
        _S.FAILED: {
            TaskAssigned: _S.IN_PROGRESS,
            TaskRetried: _S.IN_PROGRESS,
            TaskCancelled: _S.CANCELLED,
            TaskDeleted: _S.DELETED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: TaskCreated, fact: HappenedFact, status: TaskStatus) -> Task:
    return Task(
        id=event.task_id,
        status=status,
        created_by=fact.actor,
        created_at=fact.time,
        **asdict(event.spec),
    )


def _edited(state: Task, event: TaskEdited, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, **event.changes.given())


def _reparented(state: Task, event: TaskReparented, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, parent_id=event.parent_id)


def _queued(state: Task, event: TaskQueued, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, queued=True)


def _unqueued(state: Task, event: TaskUnqueued, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, queued=False)


def _assigned(state: Task, event: TaskAssigned, fact: HappenedFact, status: TaskStatus) -> Task:
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


def _unassigned(state: Task, event: TaskUnassigned, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, assigned_agent=None, queued=True, retry_at=None)


def _submitted(state: Task, event: ProposalSubmitted, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state,
        status=status,
        approval_id=event.approval_id,
        proposed_solution=event.proposal,
        confidence=event.confidence,
        submitted_at=fact.time,
        feedback=None,
    )


def _approved(state: Task, event: TaskApproved, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, approval_notes=event.notes, approved_at=fact.time)


def _sent_back(state: Task, event: TaskRejected | TaskChangesRequested, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, feedback=event.feedback, rejections=state.rejections + 1)


def _execution_started(state: Task, event: ExecutionStarted, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state, status=status, execution_id=event.execution_id, executions=state.executions + 1, retry_at=None
    )


def _attempt_failed(state: Task, event: AttemptFailed, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, attempts_failed=event.attempt, retry_at=event.retry_at, failure=event.failure)


def _blocked(state: Task, event: TaskBlocked, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, blocked_by=event.reason)


def _unblocked(state: Task, event: TaskUnblocked, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, blocked_by=None)


def _decomposition_proposed(state: Task, event: DecompositionProposed, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(
        state,
        status=status,
        approval_id=event.approval_id,
        proposed_subtasks=event.subtasks,
        submitted_at=fact.time,
        feedback=None,
    )


def _decomposed(state: Task, event: TaskDecomposed, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, subtask_ids=event.subtask_ids, approved_at=fact.time)


def _retried(state: Task, event: TaskRetried, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, attempts_failed=0, retry_at=None, failure=None, completed_at=None)


def _completed(state: Task, event: TaskCompleted, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, result=event.result, completed_at=fact.time, failure=None)


def _failed(state: Task, event: TaskFailed, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, failure=event.failure, completed_at=fact.time, retry_at=None, blocked_by=None)


def _ended(state: Task, event: TaskCancelled | TaskDeleted, fact: HappenedFact, status: TaskStatus) -> Task:
    return replace(state, status=status, completed_at=fact.time, retry_at=None, blocked_by=None)


_EVOLVERS: Mapping[type[Event], Evolve[Task]] = MappingProxyType(
    {
        TaskCreated: _created,
        TaskEdited: _edited,
        TaskReparented: _reparented,
        TaskQueued: _queued,
        TaskUnqueued: _unqueued,
        TaskAssigned: _assigned,
        TaskUnassigned: _unassigned,
        ProposalSubmitted: _submitted,
        TaskApproved: _approved,
        TaskRejected: _sent_back,
        RevisionStarted: status_only,
        TaskChangesRequested: _sent_back,
        ExecutionStarted: _execution_started,
        AttemptFailed: _attempt_failed,
        TaskBlocked: _blocked,
        TaskUnblocked: _unblocked,
        DecompositionProposed: _decomposition_proposed,
        TaskDecomposed: _decomposed,
        TaskRetried: _retried,
        TaskCompleted: _completed,
        TaskFailed: _failed,
        TaskCancelled: _ended,
        TaskDeleted: _ended,
    }
)

TASK = Aggregate(
    name="task",
    state=Task,
    statuses=TaskStatus,
    table=_TABLE,
    restartable=frozenset({TaskStatus.FAILED}),
    evolvers=_EVOLVERS,
    commands=(
        CreateTask,
        EditTask,
        ReparentTask,
        QueueTask,
        UnqueueTask,
        AssignTask,
        UnassignTask,
        SubmitProposal,
        ApproveTask,
        RejectTask,
        RequestTaskChanges,
        StartExecution,
        RecordAttemptFailure,
        BlockTask,
        UnblockTask,
        ProposeDecomposition,
        DecomposeTask,
        RetryTask,
        CompleteTask,
        FailTask,
        CancelTask,
        DeleteTask,
    ),
)
