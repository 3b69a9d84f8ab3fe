"""The end of a workflow: when it has completed, failed or been cancelled, and what is compensated before. Pure."""

from aura_contracts.events import Event
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workflow import (
    LIVE,
    BlockRole,
    OnWorkflowFailure,
    StepCompensationBegun,
    StepStatus,
    Workflow,
    WorkflowCancelled,
    WorkflowCancelling,
    WorkflowCompensating,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowStatus,
    WorkflowStep,
    outline_of,
)
from aura_engine.decisions._workflow_joins import BlockEnd, block_end, blocks, failure_of, goes_on, outputs_of

_W = WorkflowStatus


def whole_result(workflow: Workflow) -> Event | None:
    """Return what follows for the whole, once nothing else follows; None if it continues or waits."""
    match workflow.status:
        case _W.ACTIVE | _W.PAUSED:
            return _of_running(workflow)
        case _W.CANCELLING:
            if any(step.status in LIVE for step in workflow.steps.values()):
                return None
            assert workflow.ends_as is not None, "it is being cancelled to some end"
            return _compensating(workflow, workflow.ends_as, workflow.failure) or _ended(workflow)
        case _W.COMPENSATING:
            return _of_compensating(workflow)
        case _:
            return None


def steps_are_over(workflow: Workflow) -> bool:
    """Whether all steps are over and nothing runs or can start, so that a workflow completes with its outputs."""
    end = _end(workflow)
    return end is not None and end.failed is None


def _end(workflow: Workflow) -> BlockEnd | None:
    if goes_on(workflow, workflow.steps.values()):
        return None
    return block_end(workflow, (workflow.steps[one.id] for one in workflow.definition.steps))


def _of_running(workflow: Workflow) -> Event | None:
    end = _end(workflow)
    if end is None:
        return None
    if end.failed is None:
        if workflow.definition.outputs:
            return None
        return WorkflowCompleted(outputs=outputs_of(workflow, "", workflow.definition.steps))
    failure = failure_of(end.failed)
    if workflow.definition.on_failure is OnWorkflowFailure.ASK:
        return WorkflowFailed(failure=failure)
    if workflow.status is _W.PAUSED:
        return None
    return WorkflowCancelling(reason=failure.message, ends_as=_W.FAILED, failure=failure)


def _to_compensate(workflow: Workflow) -> WorkflowStep | None:
    """Return the step that completed last of those whose compensation has not begun."""
    outline = outline_of(workflow.definition)
    left = (
        step
        for step in workflow.steps.values()
        if step.status is StepStatus.COMPLETED
        and (undo := outline[step.definition_id].definition.compensation) is not None
        and step.prefix + undo.id not in workflow.steps
    )
    return max(left, key=lambda step: step.number, default=None)


def _compensating(workflow: Workflow, ends_as: WorkflowStatus, failure: Failure | None) -> Event | None:
    if ends_as not in workflow.definition.compensate_on or _to_compensate(workflow) is None:
        return None
    return WorkflowCompensating(ends_as=ends_as, failure=failure)


def _of_compensating(workflow: Workflow) -> Event | None:
    outline = outline_of(workflow.definition)
    undoing = [step for step in workflow.steps.values() if outline[step.definition_id].role is BlockRole.COMPENSATION]
    if any(step.status in LIVE or step.status is StepStatus.PENDING for step in undoing):
        return None
    if (following := _to_compensate(workflow)) is not None:
        return StepCompensationBegun(step_id=following.id)
    failed = next((step for step in undoing if blocks(outline, step)), None)
    if failed is None:
        return _ended(workflow)
    failure = failure_of(failed)
    message = f"compensation {failure.message}"
    return WorkflowFailed(failure=Failure(failure.reason, message, lasting=True), lasting=True)


def _ended(workflow: Workflow) -> Event:
    match workflow.ends_as:
        case _W.COMPLETED:
            return WorkflowCompleted(outputs=outputs_of(workflow, "", workflow.definition.steps))
        case _W.FAILED:
            failure = workflow.failure or Failure(FailureReason.PART_FAILED, workflow.reason)
            return WorkflowFailed(failure=failure, lasting=True)
        case _:
            return WorkflowCancelled(reason=workflow.reason)
