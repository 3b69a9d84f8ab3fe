"""The events of workflows: see `aura_contracts.workflow`.

Steps are named by their addresses. Events that follow from others without the world (a join, a skip, the end) are
recorded together with those.
"""

from typing import Any

from aura_contracts.events import CommandRefusal, Event, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.workflow.records import ParentStep, Signal, WorkflowStep
from aura_contracts.workflow.values import (
    StepStatus,
    WorkflowDefinition,
    WorkflowStatus,
)


class WorkflowStarted(Event, frozen=True, kw_only=True):
    """A workflow was started, with its definition, which never changes; its first steps are pending."""

    topic = "workflow.started"
    workflow_id: WorkflowId
    definition: WorkflowDefinition
    inputs: dict[str, Any] = {}
    context: dict[str, Any] = {}
    parent: ParentStep | None = None
    """The step of another workflow that it is."""
    pins: dict[str, str] = {}
    """For each sub-workflow, as its step names it: the revision that runs, ``build@3``."""
    revision: str | None = None
    """The stored definition that it was started from, ``build@3``."""
    forked_from: ParentStep | None = None
    """The workflow that it continues, and the step from which on it differs."""
    past: tuple[WorkflowStep, ...] = ()
    """The steps of that workflow that do not run again."""


class StepEvent(Event, frozen=True, kw_only=True):
    """Base of the events about a step."""

    step_id: str
    """Its address."""


class StepDecided(StepEvent, frozen=True, kw_only=True):
    """The condition of a step holds: it starts next. One that does not hold skips the step instead."""

    topic = "workflow.step_decided"


class StepStarted(StepEvent, frozen=True, kw_only=True):
    """An attempt of a step was started, with the task, approval or sub-workflow that it needs, if any."""

    topic = "workflow.step_started"
    task_id: TaskId | None = None
    approval_id: ApprovalId | None = None
    child_id: WorkflowId | None = None
    due_at: Instant | None = None
    """When a wait is over."""


class StepAwaitingApproval(StepEvent, frozen=True, kw_only=True):
    """A human was asked about the step."""

    topic = "workflow.step_awaiting_approval"
    approval_id: ApprovalId


class StepResumed(StepEvent, frozen=True, kw_only=True):
    """The approval was decided, and the step resumed: as approved, or with the feedback."""

    topic = "workflow.step_resumed"
    approved: bool


class StepChosen(StepEvent, frozen=True, kw_only=True):
    """The case of a conditional step was chosen: `outcome` counts from 0, that of `otherwise` follows the last case."""

    topic = "workflow.step_chosen"
    outcome: int


class StepExpanded(StepEvent, frozen=True, kw_only=True):
    """The list of a for_each step was evaluated; it never changes."""

    topic = "workflow.step_expanded"
    items: tuple[Any, ...]


class StepItemsBegun(StepEvent, frozen=True, kw_only=True):
    """The next `count` items of a for_each step began."""

    topic = "workflow.step_items_begun"
    count: int


class StepRoundBegun(StepEvent, frozen=True, kw_only=True):
    """A round of a loop began; the first one is 1."""

    topic = "workflow.step_round_begun"
    round: int


class StepRoundEnded(StepEvent, frozen=True, kw_only=True):
    """The condition of a loop was evaluated after a round: `done` ends the loop."""

    topic = "workflow.step_round_ended"
    done: bool


class StepCompleted(StepEvent, frozen=True, kw_only=True):
    """A step completed, by itself or through its handler; `result` is its output."""

    topic = "workflow.step_completed"
    result: Any = None
    handled: bool = False
    signal: str | None = None
    """The name of the signal that a wait has consumed: the oldest one."""


class StepRetryScheduled(StepEvent, frozen=True, kw_only=True):
    """An attempt failed, and the step is tried again at `retry_at`."""

    topic = "workflow.step_retry_scheduled"
    failure: Failure
    retry_at: Instant


class StepHandlerBegun(StepEvent, frozen=True, kw_only=True):
    """A step failed for good, and its handler began."""

    topic = "workflow.step_handler_begun"
    failure: Failure


class StepFailed(StepEvent, frozen=True, kw_only=True):
    """A step failed for good; unless that is tolerated, it blocks its dependents until it is retried or skipped."""

    topic = "workflow.step_failed"
    failure: Failure


class StepCancelling(StepEvent, frozen=True, kw_only=True):
    """What a step runs, and everything in it, is being cancelled; then the step ends as `ends_as`.

    That is cancelled, skipped by a human, or failed with `failure`: it ran for too long.
    """

    topic = "workflow.step_cancelling"
    reason: str = ""
    ends_as: StepStatus = StepStatus.CANCELLED
    failure: Failure | None = None
    because: tuple[str, ...] = ()


class StepCancelled(StepEvent, frozen=True, kw_only=True):
    """A step was cancelled: nothing of it runs."""

    topic = "workflow.step_cancelled"
    reason: str = ""
    because: tuple[str, ...] = ()


class StepSkipped(StepEvent, frozen=True, kw_only=True):
    """A step was skipped: its condition is false, its join cannot hold, or a human decided to continue without it."""

    topic = "workflow.step_skipped"
    reason: str = ""
    because: tuple[str, ...] = ()
    """The addresses of the steps because of which its join cannot hold."""


class StepRetried(StepEvent, frozen=True, kw_only=True):
    """A step is pending again, with those that were skipped because of it; a failed workflow is active again.

    What encloses it and had failed runs again. In a container, completed steps stay completed unless it is `fresh`:
    all of it runs again, as its retry policy says.
    """

    topic = "workflow.step_retried"
    resets: tuple[str, ...] = ()
    """The addresses of other steps that are pending again."""
    fresh: bool = False


class StepCompensationBegun(StepEvent, frozen=True, kw_only=True):
    """The compensation of a completed step began."""

    topic = "workflow.step_compensation_begun"


class WorkflowContextUpdated(Event, frozen=True, kw_only=True):
    """Keys of the workflow's context were set or removed."""

    topic = "workflow.context_updated"
    values: dict[str, Any] = {}
    removed: tuple[str, ...] = ()


class WorkflowSignalReceived(Event, frozen=True, kw_only=True):
    """A signal came, for a wait that runs or for one that is still to come."""

    topic = "workflow.signal_received"
    signal: Signal


class WorkflowPaused(Event, frozen=True, kw_only=True):
    """The workflow was paused: running steps finish, no new ones start, and timeouts stand still."""

    topic = "workflow.paused"
    reason: str = ""


class WorkflowResumed(Event, frozen=True, kw_only=True):
    """The paused workflow was resumed."""

    topic = "workflow.resumed"


class WorkflowCancelling(Event, frozen=True, kw_only=True):
    """Everything that runs is being cancelled; then the workflow ends as `ends_as`.

    That is cancelled (someone cancelled it), failed (its deadline has passed, or an end step says so) or completed (an
    end step says so).
    """

    topic = "workflow.cancelling"
    reason: str = ""
    ends_as: WorkflowStatus = WorkflowStatus.CANCELLED
    failure: Failure | None = None


class WorkflowCompensating(Event, frozen=True, kw_only=True):
    """Nothing runs any more, and completed steps are being compensated; then the workflow ends as `ends_as`."""

    topic = "workflow.compensating"
    ends_as: WorkflowStatus
    failure: Failure | None = None


class WorkflowCompleted(Event, frozen=True, kw_only=True):
    """The workflow completed, with its outputs."""

    topic = "workflow.completed"
    outputs: dict[str, Any] = {}


class WorkflowFailed(Event, frozen=True, kw_only=True):
    """The workflow failed, and AURA cannot continue it; a human is notified."""

    topic = "workflow.failed"
    failure: Failure
    lasting: bool = False
    """No retry or skip reactivates it."""


class WorkflowCancelled(Event, frozen=True, kw_only=True):
    """The workflow was cancelled: nothing of it runs."""

    topic = "workflow.cancelled"
    reason: str = ""


class WorkflowCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "workflow.command_refused"
    refusal: CommandRefusal
