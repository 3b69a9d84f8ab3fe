"""The commands of workflows: see `aura_contracts.workflow`."""

from typing import Any

from aura_contracts.aggregate import Command
from aura_contracts.events import CommandRefusal
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.workflow import event_types as events
from aura_contracts.workflow.state import Workflow
from aura_contracts.workflow.values import WorkflowDefinition


class StartWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Define a workflow and start it."""

    emits = (events.WorkflowStarted,)
    workflow_id: WorkflowId
    definition: WorkflowDefinition


class StepCommand(Command[Workflow], frozen=True, kw_only=True):
    """Base of the commands about a step."""

    step_id: str


class StartStep(StepCommand, frozen=True, kw_only=True):
    """Start a ready step: an agent_task with its task, a human_approval with its approval, others with neither.

    A human_approval starts to wait for its approval at once.
    """

    emits = (events.StepStarted, events.StepAwaitingApproval)
    task_id: TaskId | None = None
    approval_id: ApprovalId | None = None


class AwaitStepApproval(StepCommand, frozen=True, kw_only=True):
    """Record that the task of a running step waits for a human."""

    emits = (events.StepAwaitingApproval,)
    approval_id: ApprovalId


class ResumeStep(StepCommand, frozen=True, kw_only=True):
    """Record that a step's task resumed after its approval was decided: granted, or sent back with feedback."""

    emits = (events.StepResumed,)
    approved: bool


class CompleteStep(StepCommand, frozen=True, kw_only=True):
    """Record that a step completed. A conditional step completes with its outcome, which skips the other branch."""

    emits = (events.StepCompleted, events.StepSkipped)
    result: dict[str, Any] = {}
    outcome: bool | None = None


class FailStep(StepCommand, frozen=True, kw_only=True):
    """Record that a step failed."""

    emits = (events.StepFailed,)
    failure: Failure


class SkipStep(StepCommand, frozen=True, kw_only=True):
    """Skip a step that has not started or has failed, with everything it contains."""

    emits = (events.StepSkipped,)
    reason: str = ""


class RetryStep(StepCommand, frozen=True, kw_only=True):
    """Make a failed step ready to start again."""

    emits = (events.StepRetried,)


class UpdateWorkflowContext(Command[Workflow], frozen=True, kw_only=True):
    """Set `values` in the workflow's context, and remove the keys in `remove`."""

    emits = (events.WorkflowContextUpdated,)
    values: dict[str, Any] = {}
    remove: tuple[str, ...] = ()


class PauseWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Let running steps finish and start no new ones."""

    emits = (events.WorkflowPaused,)
    reason: str = ""


class ResumeWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Resume a paused or failed workflow."""

    emits = (events.WorkflowResumed,)


class CompleteWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Record that every step is over."""

    emits = (events.WorkflowCompleted,)


class FailWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Record that the workflow cannot continue without a human."""

    emits = (events.WorkflowFailed,)
    failure: Failure


class CancelWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Cancel the workflow."""

    emits = (events.WorkflowCancelled,)
    reason: str = ""


class RecordWorkflowRefusal(Command[Workflow], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.WorkflowCommandRefused,)
    refusal: CommandRefusal
