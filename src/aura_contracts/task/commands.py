"""The commands of tasks: see `aura_contracts.task`."""

from typing import Any

from aura_contracts.aggregate import Command
from aura_contracts.events import CommandRefusal
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId
from aura_contracts.task import event_types as events
from aura_contracts.task.state import Task
from aura_contracts.task.values import (
    AgentType,
    Conflict,
    Feedback,
    PoolRequest,
    Proposal,
    Selection,
    Subtask,
    TaskChanges,
    TaskSpec,
    TaskStatus,
)


class CreateTask(Command[Task], frozen=True, kw_only=True):
    """Request a piece of work."""

    emits = (events.TaskCreated,)
    task_id: TaskId
    spec: TaskSpec

    @property
    def parent_id(self) -> TaskId | None:
        """The task above this one."""
        return self.spec.parent_id


class EditTask(Command[Task], frozen=True, kw_only=True):
    """Edit the task."""

    emits = (events.TaskEdited,)
    changes: TaskChanges


class ReparentTask(Command[Task], frozen=True, kw_only=True):
    """Move the task below another one, or to the top level (None)."""

    emits = (events.TaskReparented,)
    parent_id: TaskId | None


class AddPart(Command[Task], frozen=True, kw_only=True):
    """Record that another task became a part of this one."""

    emits = (events.PartAdded,)
    part_id: TaskId


class RemovePart(Command[Task], frozen=True, kw_only=True):
    """Record that another task is no longer a part of this one."""

    emits = (events.PartRemoved,)
    part_id: TaskId


class RecordDependencyEnd(Command[Task], frozen=True, kw_only=True):
    """Record that a task that had to complete first failed, or was cancelled or deleted."""

    emits = (events.DependencyEnded,)
    dependency_id: TaskId
    outcome: TaskStatus


class QueueTask(Command[Task], frozen=True, kw_only=True):
    """Mark the task as ready to be picked up; with a request, by an agent of the pool."""

    emits = (events.TaskQueued,)
    request: PoolRequest | None = None


class UnqueueTask(Command[Task], frozen=True, kw_only=True):
    """Move the task back to the backlog."""

    emits = (events.TaskUnqueued,)


class AssignTask(Command[Task], frozen=True, kw_only=True):
    """Give the task to an agent, which starts a failed or rejected task over."""

    emits = (events.TaskAssigned,)
    agent_id: AgentId
    agent_type: AgentType | None = None
    reason: str = ""
    """Why an agent of this type."""
    selection: Selection | None = None
    """Why this agent, if AURA chose it."""
    execution_id: ExecutionId | None = None
    """The run that begins once that of the agent before has ended."""


class UnassignTask(Command[Task], frozen=True, kw_only=True):
    """Take the task from its agent."""

    emits = (events.TaskUnassigned,)
    reason: str = ""


class SubmitProposal(Proposal, Command[Task], frozen=True, kw_only=True):
    """Propose a solution (by the assigned agent). `confidence` is between 0 and 1."""

    emits = (events.ProposalSubmitted,)


class ApproveTask(Command[Task], frozen=True, kw_only=True):
    """Record on the task that its proposal was approved."""

    emits = (events.TaskApproved,)
    approval_id: ApprovalId
    notes: str | None = None


class RejectTask(Feedback, Command[Task], frozen=True, kw_only=True):
    """Record on the task that its proposal was rejected; with `revise`, the agent tries again."""

    emits = (events.TaskRejected, events.RevisionStarted)
    revise: bool = True


class RequestTaskChanges(Feedback, Command[Task], frozen=True, kw_only=True):
    """Record on the task that a human asked for changes to the proposal."""

    emits = (events.TaskChangesRequested,)


class StartExecution(Command[Task], frozen=True, kw_only=True):
    """Record that a run was started for the task."""

    emits = (events.ExecutionStarted,)
    execution_id: ExecutionId


class RecordAttemptFailure(Command[Task], frozen=True, kw_only=True):
    """Record a failed attempt; `delay` is the wait before the next one, in seconds.

    Fails the task if the policy allows no further attempt or the failure is not retryable.
    """

    emits = (events.AttemptFailed, events.TaskFailed)
    failure: Failure
    delay: float = 0.0


class BlockTask(Conflict, Command[Task], frozen=True, kw_only=True):
    """Pause the task until a human resolves a conflict."""

    emits = (events.TaskBlocked,)


class UnblockTask(Command[Task], frozen=True, kw_only=True):
    """Resume after a conflict was resolved."""

    emits = (events.TaskUnblocked,)
    resolution: str = ""


class ProposeDecomposition(Command[Task], frozen=True, kw_only=True):
    """Propose to split the task (by the assigned agent)."""

    emits = (events.DecompositionProposed,)
    approval_id: ApprovalId
    subtasks: tuple[Subtask, ...]


class DecomposeTask(Command[Task], frozen=True, kw_only=True):
    """Record that the proposed decomposition was approved and its subtasks exist."""

    emits = (events.TaskDecomposed,)
    approval_id: ApprovalId


class RetryTask(Command[Task], frozen=True, kw_only=True):
    """Retry a failed task with the agent it had."""

    emits = (events.TaskRetried,)


class ReopenTask(Command[Task], frozen=True, kw_only=True):
    """Continue a completed task with feedback."""

    emits = (events.TaskReopened,)
    feedback: str


class CompleteTask(Command[Task], frozen=True, kw_only=True):
    """Record that the task is done."""

    emits = (events.TaskCompleted,)
    result: dict[str, Any] = {}


class FailTask(Command[Task], frozen=True, kw_only=True):
    """Record that the task failed for good."""

    emits = (events.TaskFailed,)
    failure: Failure


class CancelTask(Command[Task], frozen=True, kw_only=True):
    """Cancel the task."""

    emits = (events.TaskCancelled,)
    reason: str = ""


class DeleteTask(Command[Task], frozen=True, kw_only=True):
    """Remove the task from all lists."""

    emits = (events.TaskDeleted,)
    reason: str = ""


class RecordTaskRefusal(Command[Task], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.TaskCommandRefused,)
    refusal: CommandRefusal
