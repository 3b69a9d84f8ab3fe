"""The commands of workflows: see `aura_contracts.workflow`.

After its own events each command records everything that follows from them without the world, in the same append:
`aura_engine.decisions.workflow_settlement`. `emits` names only a command's own events.
"""

from typing import Any

from aura_contracts.aggregate import Command
from aura_contracts.events import CommandRefusal, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.workflow import event_types as events
from aura_contracts.workflow.records import ParentStep, WorkflowStep
from aura_contracts.workflow.state import Workflow
from aura_contracts.workflow.values import WorkflowDefinition

_ATTEMPT_FAILED = (events.StepFailed, events.StepRetryScheduled, events.StepHandlerBegun)


class StartWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Start a workflow. The fields are those of `WorkflowStarted`."""

    emits = (events.WorkflowStarted,)
    workflow_id: WorkflowId
    definition: WorkflowDefinition
    inputs: dict[str, Any] = {}
    context: dict[str, Any] = {}
    parent: ParentStep | None = None
    pins: dict[str, str] = {}
    revision: str | None = None
    forked_from: ParentStep | None = None
    past: tuple[WorkflowStep, ...] = ()


class StepCommand(Command[Workflow], frozen=True, kw_only=True):
    """Base of the commands about a step."""

    step_id: str
    """Its address."""


# --- What the driver reports ------------------------------------------------------------------------------------------


class DecideStep(StepCommand, frozen=True, kw_only=True):
    """Report whether the condition (`when`) of a ready step holds: it starts next, or is skipped."""

    emits = (events.StepDecided, events.StepSkipped)
    runs: bool


class StartStep(StepCommand, frozen=True, kw_only=True):
    """Start a ready step with what runs for it.

    An agent_task and a command have a task, a human_approval its approval (it awaits it at once), a workflow its
    sub-workflow; a wait for an instant names that in `until`. All other steps start by themselves.
    """

    emits = (events.StepStarted, events.StepAwaitingApproval)
    task_id: TaskId | None = None
    approval_id: ApprovalId | None = None
    child_id: WorkflowId | None = None
    until: Instant | None = None


class ChooseCase(StepCommand, frozen=True, kw_only=True):
    """Report the first case of a running conditional whose condition is true; `otherwise` follows the last case."""

    emits = (events.StepChosen,)
    outcome: int


class ExpandStep(StepCommand, frozen=True, kw_only=True):
    """Report the items of a running for_each step. More than its limit fail it."""

    emits = (events.StepExpanded, *_ATTEMPT_FAILED)
    items: tuple[Any, ...]


class EndRound(StepCommand, frozen=True, kw_only=True):
    """Report whether the condition (`until`) of a running loop holds after its round."""

    emits = (events.StepRoundEnded,)
    done: bool


class AwaitStepApproval(StepCommand, frozen=True, kw_only=True):
    """Record that what runs for a step (its task, its sub-workflow) waits for a human."""

    emits = (events.StepAwaitingApproval,)
    approval_id: ApprovalId


class ResumeStep(StepCommand, frozen=True, kw_only=True):
    """Record that a step resumed after its approval was decided: granted, or sent back with feedback."""

    emits = (events.StepResumed,)
    approved: bool


class CompleteStep(StepCommand, frozen=True, kw_only=True):
    """Report that what ran for a step completed. It counts even if the step was being cancelled."""

    emits = (events.StepCompleted,)
    result: Any = None


class FailStep(StepCommand, frozen=True, kw_only=True):
    """Report that an attempt failed, or that a step cannot start: it is tried again, handled, or failed for good."""

    emits = (*_ATTEMPT_FAILED, events.StepCancelled, events.StepSkipped)
    failure: Failure


class ReportStepCancelled(StepCommand, frozen=True, kw_only=True):
    """Report that nothing runs any more for a step that is being cancelled, or whose task others have cancelled."""

    emits = (events.StepCancelled, events.StepSkipped, *_ATTEMPT_FAILED)
    reason: str = ""


class AdvanceWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Record what is due by now: a wait, the next attempt, a timeout, the deadline. Else nothing."""

    emits = (events.StepCompleted, events.StepRetried, events.StepCancelling, events.WorkflowCancelling)


class CompleteWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Report the outputs of a workflow whose steps are over; without declared outputs it completes by itself."""

    emits = (events.WorkflowCompleted,)
    outputs: dict[str, Any] = {}


class FailWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Report that the outputs of a workflow whose steps are over cannot be evaluated."""

    emits = (events.WorkflowFailed,)
    failure: Failure


# --- What people do ---------------------------------------------------------------------------------------------------


class RetryStep(StepCommand, frozen=True, kw_only=True):
    """Make a failed, skipped or cancelled step pending again, with all that was skipped because of it.

    A retrying step does not wait any longer. Of a container only what did not complete runs again.
    """

    emits = (events.StepRetried,)


class SkipStep(StepCommand, frozen=True, kw_only=True):
    """Continue without a step that has not completed. What it runs is cancelled first."""

    emits = (events.StepSkipped, events.StepCancelling)
    reason: str = ""


class CancelStep(StepCommand, frozen=True, kw_only=True):
    """Cancel a step that has not ended, with everything in it."""

    emits = (events.StepCancelling, events.StepCancelled)
    reason: str = ""


class SendSignal(Command[Workflow], frozen=True, kw_only=True):
    """Send a signal; the same `key` again changes nothing."""

    emits = (events.WorkflowSignalReceived,)
    name: str
    data: Any = None
    key: str | None = None


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
    """Resume a paused workflow."""

    emits = (events.WorkflowResumed,)


class CancelWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Cancel the workflow: what runs is cancelled, then completed steps are compensated."""

    emits = (events.WorkflowCancelling,)
    reason: str = ""


class RecordWorkflowRefusal(Command[Workflow], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.WorkflowCommandRefused,)
    refusal: CommandRefusal
