"""The events of workflows: see `aura_contracts.workflow`."""

from typing import Any

from aura_contracts.events import CommandRefusal, Event
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.workflow.values import WorkflowDefinition


class WorkflowStarted(Event, frozen=True, kw_only=True):
    """A workflow was defined and started; its first steps are ready."""

    topic = "workflow.started"
    workflow_id: WorkflowId
    definition: WorkflowDefinition


class StepEvent(Event, frozen=True, kw_only=True):
    """Base of the events about a step."""

    step_id: str


class StepStarted(StepEvent, frozen=True, kw_only=True):
    """A step was started, with a task for an agent or a question to a human if it needs one."""

    topic = "workflow.step_started"
    task_id: TaskId | None = None
    approval_id: ApprovalId | None = None


class StepAwaitingApproval(StepEvent, frozen=True, kw_only=True):
    """A human was asked to approve the step's proposal."""

    topic = "workflow.step_awaiting_approval"
    approval_id: ApprovalId


class StepResumed(StepEvent, frozen=True, kw_only=True):
    """The approval was decided, and the step resumed: as approved, or with the feedback."""

    topic = "workflow.step_resumed"
    approved: bool


class StepCompleted(StepEvent, frozen=True, kw_only=True):
    """A step completed; `outcome` is the result of the condition of a conditional step."""

    topic = "workflow.step_completed"
    result: dict[str, Any] = {}
    outcome: bool | None = None


class StepFailed(StepEvent, frozen=True, kw_only=True):
    """A step failed, and blocks its dependents until it is retried or skipped."""

    topic = "workflow.step_failed"
    failure: Failure


class StepSkipped(StepEvent, frozen=True, kw_only=True):
    """A step was skipped, because its branch was not taken or because a human decided to continue without it."""

    topic = "workflow.step_skipped"
    reason: str = ""


class StepRetried(StepEvent, frozen=True, kw_only=True):
    """A failed step was made ready to start again, which also reactivates a failed workflow."""

    topic = "workflow.step_retried"


class WorkflowContextUpdated(Event, frozen=True, kw_only=True):
    """Keys of the workflow's context were set or removed."""

    topic = "workflow.context_updated"
    values: dict[str, Any] = {}
    removed: tuple[str, ...] = ()


class WorkflowPaused(Event, frozen=True, kw_only=True):
    """The workflow was paused: running steps finish, and no new ones start."""

    topic = "workflow.paused"
    reason: str = ""


class WorkflowResumed(Event, frozen=True, kw_only=True):
    """The paused or failed workflow was resumed."""

    topic = "workflow.resumed"


class WorkflowCompleted(Event, frozen=True, kw_only=True):
    """Every step was over, which completed the workflow."""

    topic = "workflow.completed"


class WorkflowFailed(Event, frozen=True, kw_only=True):
    """The workflow failed, and AURA cannot continue it; a human is notified."""

    topic = "workflow.failed"
    failure: Failure


class WorkflowCancelled(Event, frozen=True, kw_only=True):
    """The workflow was cancelled, with every step that had not ended."""

    topic = "workflow.cancelled"
    reason: str = ""


class WorkflowCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "workflow.command_refused"
    refusal: CommandRefusal
