"""The events of tasks: see `aura_contracts.task`."""

from typing import Any

from aura_contracts.events import CommandRefusal, Event, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId
from aura_contracts.task.values import (
    AgentType,
    Conflict,
    DependencyPolicy,
    Feedback,
    PoolRequest,
    Proposal,
    Selection,
    Subtask,
    TaskChanges,
    TaskSpec,
    TaskStatus,
)


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


class PartAdded(Event, frozen=True, kw_only=True):
    """Another task became a part of this one."""

    topic = "task.part_added"
    part_id: TaskId


class PartRemoved(Event, frozen=True, kw_only=True):
    """Another task is no longer a part of this one."""

    topic = "task.part_removed"
    part_id: TaskId


class DependencyEnded(Event, frozen=True, kw_only=True):
    """A task that had to complete first failed, or was cancelled or deleted; `policy` says what that means."""

    topic = "task.dependency_ended"
    dependency_id: TaskId
    outcome: TaskStatus
    policy: DependencyPolicy


class TaskQueued(Event, frozen=True, kw_only=True):
    """The task was marked ready; an agent may pick it up. With a request, it waits for one of the pool."""

    topic = "task.queued"
    request: PoolRequest | None = None


class TaskUnqueued(Event, frozen=True, kw_only=True):
    """The task was moved back to the backlog."""

    topic = "task.unqueued"


class TaskAssigned(Event, frozen=True, kw_only=True):
    """An agent was given the task and starts working on it."""

    topic = "task.assigned"
    agent_id: AgentId
    agent_type: AgentType | None = None
    reason: str = ""
    """Why an agent of this type."""
    selection: Selection | None = None
    """Why this agent, if AURA chose it."""
    execution_id: ExecutionId | None = None
    """The run that begins once that of the agent before has ended; None if nothing has to end first."""


class TaskUnassigned(Event, frozen=True, kw_only=True):
    """The task was taken from its agent and waits for another."""

    topic = "task.unassigned"
    reason: str = ""


class ProposalSubmitted(Proposal, Event, frozen=True, kw_only=True):
    """The agent proposed a solution, as a plan or as changes, and a human was asked."""

    topic = "task.proposal_submitted"


class TaskApproved(Event, frozen=True, kw_only=True):
    """The proposal was approved; the solution may be executed."""

    topic = "task.approved"
    approval_id: ApprovalId
    notes: str | None = None


class TaskRejected(Feedback, Event, frozen=True, kw_only=True):
    """The proposal was rejected, with a reason."""

    topic = "task.rejected"


class RevisionStarted(Event, frozen=True, kw_only=True):
    """The agent started to revise its rejected proposal with the feedback."""

    topic = "task.revision_started"


class TaskChangesRequested(Feedback, Event, frozen=True, kw_only=True):
    """A human asked for changes to the proposal; the agent continues with the feedback."""

    topic = "task.changes_requested"


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


class TaskBlocked(Conflict, Event, frozen=True, kw_only=True):
    """The task is paused until a human has resolved a conflict."""

    topic = "task.blocked"


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


class TaskReopened(Event, frozen=True, kw_only=True):
    """A completed task was continued with feedback, by an agent of the same executor and in its session."""

    topic = "task.reopened"
    feedback: str


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


class TaskCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "task.command_refused"
    refusal: CommandRefusal
