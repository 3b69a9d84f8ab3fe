"""The state of workflows and its aggregate: see `aura_contracts.workflow`."""

from datetime import datetime
from typing import Any

from aura_contracts.actors import Actor
from aura_contracts.aggregate import State
from aura_contracts.failures import Failure
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow.outline import StepPlace, outline_of
from aura_contracts.workflow.records import ParentStep, Signal, WorkflowStep
from aura_contracts.workflow.values import (
    LIVE,
    OVER,
    OnStepFailure,
    StepDefinition,
    StepStatus,
    WorkflowDefinition,
    WorkflowStatus,
)


class Workflow(State, frozen=True, kw_only=True):
    """The state of a workflow. Times are aware, and None until they happen."""

    id: WorkflowId
    status: WorkflowStatus
    definition: WorkflowDefinition
    steps: dict[str, WorkflowStep]
    """By address, the steps whose block has begun, in the order in which they came to be."""
    created_by: Actor
    created_at: datetime
    inputs: dict[str, Any] = {}
    context: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    """What it completed with."""
    parent: ParentStep | None = None
    pins: dict[str, str] = {}
    revision: str | None = None
    forked_from: ParentStep | None = None
    current_step_index: int = 0
    """The first step of the top level that is not over, counting from 0; their number when all are over."""
    completed_steps: int = 0
    """The number of completions so far."""
    earlier_attempts: dict[str, int] = {}
    """The attempts of steps that their container has reset, by address."""
    signals: tuple[Signal, ...] = ()
    """The signals that no wait has consumed, oldest first."""
    signal_keys: tuple[str, ...] = ()
    """The keys of all signals that came."""
    paused_because: str | None = None
    reason: str = ""
    """Why it is being cancelled, or was."""
    ends_as: WorkflowStatus | None = None
    """What it becomes after `CANCELLING` and `COMPENSATING`."""
    failure: Failure | None = None
    lasting: bool = False
    """It failed, and no retry or skip reactivates it."""
    ended_at: datetime | None = None
    """When the workflow ended, for whatever reason."""
    deadline_at: datetime | None = None
    """When the whole has run too long; None without a deadline, or while it stands still in a pause."""
    time_left: float | None = None
    """Seconds until the deadline, while it stands still."""

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def description(self) -> str:
        return self.definition.description

    @property
    def project(self) -> str | None:
        return self.definition.project


def find_step(workflow: Workflow, step_id: str) -> WorkflowStep | None:
    """Return the step with this address, or None: its block has not begun, or there is no such step."""
    return workflow.steps.get(step_id)


def place_of(workflow: Workflow, step_id: str) -> StepPlace:
    """Return where the step of an address is in the definition. Raises KeyError for unknown ids."""
    return outline_of(workflow.definition)[step_id.rpartition("/")[2]]


def definition_of(workflow: Workflow, step_id: str) -> StepDefinition:
    """Return the definition of the step of an address. Raises KeyError for unknown ids."""
    return place_of(workflow, step_id).definition


def is_over(workflow: Workflow, step: WorkflowStep) -> bool:
    """Whether a step has ended and blocks nothing: completed, skipped, cancelled, or a failure that is tolerated."""
    if step.status is StepStatus.FAILED:
        return definition_of(workflow, step.id).on_failure is OnStepFailure.CONTINUE
    return step.status in OVER


def status_of(workflow: Workflow, step_id: str) -> StepStatus:
    """Return the status of the step of an address, also of one whose block has not begun: pending, or skipped.

    It is skipped if what it is in has ended without it. Raises KeyError for ids that the definition does not have.
    """
    step = workflow.steps.get(step_id)
    if step is not None:
        return step.status
    head, _, _ = step_id.rpartition("/")
    around = place_of(workflow, step_id).parent
    if around is None:
        return StepStatus.PENDING
    prefix = f"{head}/" if head else ""
    if head.rpartition("/")[2].startswith(f"{around}["):  # a member of an item or round
        prefix = prefix[: head.rfind("/") + 1]
    container = workflow.steps.get(prefix + around)
    above = status_of(workflow, prefix + around) if container is None else container.status
    return StepStatus.PENDING if above is StepStatus.PENDING or above in LIVE else StepStatus.SKIPPED


def workflow_due(workflow: Workflow) -> datetime | None:
    """Return the earliest moment at which something is due although nothing happens; None if nothing is.

    That is the end of a wait, the next attempt of a step, a timeout, and the deadline of the whole.
    """
    if workflow.ended or workflow.status is WorkflowStatus.CANCELLING:
        return None
    paused = workflow.status is WorkflowStatus.PAUSED
    moments = [workflow.deadline_at] if workflow.status is WorkflowStatus.ACTIVE else []
    for step in workflow.steps.values():
        if step.due_at is not None and (
            (step.status is StepStatus.RETRYING and not paused) or step.status is StepStatus.RUNNING
        ):
            moments.append(step.due_at)
        if step.times_out_at is not None and step.status is StepStatus.RUNNING:
            moments.append(step.times_out_at)
    return min((moment for moment in moments if moment is not None), default=None)
