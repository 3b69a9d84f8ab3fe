"""Joins: whether a step may begin, and how the steps of a block have ended. Pure.

A dependency that failed for good and is not tolerated may still complete, because a human may retry it. So it makes no
join unreachable; it is waited for, unless the join holds without it.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from aura_contracts.failures import Failure
from aura_contracts.workflow import (
    LIVE,
    BlockRole,
    Join,
    LoopStep,
    OnStepFailure,
    Outline,
    StepDefinition,
    StepStatus,
    Workflow,
    WorkflowStatus,
    WorkflowStep,
    children_of,
    descendants,
    outline_of,
)


class JoinVerdict(Enum):
    """What a join says of a step that is pending."""

    WAIT = auto()
    START = auto()
    CANCEL_OTHERS = auto()
    """It holds; the dependencies that are not over have to be cancelled first (`Join.FIRST`)."""
    SKIP = auto()


class JoinResult(NamedTuple):
    """A verdict, and the dependencies that it is about: those to cancel, or because of which the step is skipped."""

    verdict: JoinVerdict
    about: tuple[WorkflowStep, ...] = ()


WAIT = JoinResult(JoinVerdict.WAIT)
START = JoinResult(JoinVerdict.START)


def tolerated(outline: Outline, step: WorkflowStep) -> bool:
    """Whether a step has failed for good, and that is tolerated."""
    if step.status is not StepStatus.FAILED:
        return False
    return outline[step.definition_id].definition.on_failure is OnStepFailure.CONTINUE


def blocks(outline: Outline, step: WorkflowStep) -> bool:
    """Whether a step has failed for good, and that is not tolerated."""
    return step.status is StepStatus.FAILED and not tolerated(outline, step)


def join_of(workflow: Workflow, step: WorkflowStep, definition: StepDefinition) -> JoinResult:
    """Return what the join of a pending step says, at the earliest moment at which that is certain."""
    if not definition.dependencies:
        return START
    prefix = step.prefix
    if definition.join is Join.ALL_SUCCEEDED and (quick := _quick(workflow.steps, prefix, definition.dependencies)):
        return quick
    outline = outline_of(workflow.definition)
    before = [workflow.steps[prefix + name] for name in definition.dependencies]
    completed = [one for one in before if one.status is StepStatus.COMPLETED]
    without = tuple(
        one for one in before if one.status in (StepStatus.SKIPPED, StepStatus.CANCELLED) or tolerated(outline, one)
    )
    match definition.join:
        case Join.ALL_SUCCEEDED:
            needed = len(before)
        case Join.ALL_DONE:
            return START if len(completed) + len(without) == len(before) else WAIT
        case Join.ANY_SUCCEEDED:
            needed = 1
        case Join.N_OF | Join.FIRST:
            needed = definition.n or 1
    if len(completed) >= needed:
        open_ = tuple(one for one in before if one.status is StepStatus.PENDING or one.status in LIVE)
        first = definition.join is Join.FIRST and open_
        return JoinResult(JoinVerdict.CANCEL_OTHERS, open_) if first else START
    return JoinResult(JoinVerdict.SKIP, without) if len(before) - len(without) < needed else WAIT


def _quick(steps: Mapping[str, WorkflowStep], prefix: str, names: Iterable[str]) -> JoinResult | None:
    """Return what a join over all says of dependencies that have completed or are still to; None with any other."""
    verdict = START
    for name in names:
        status = steps[prefix + name].status
        if status is StepStatus.COMPLETED:
            continue
        if status is not StepStatus.PENDING and status not in LIVE:
            return None
        verdict = WAIT
    return verdict


def is_open(workflow: Workflow, step: WorkflowStep) -> bool:
    """Whether the block of a step runs, so that it may start: what it is in runs, or has completed without waiting."""
    if step.parent is None:
        return True
    place = outline_of(workflow.definition)[step.definition_id]
    if place.role is BlockRole.COMPENSATION:
        return workflow.status is WorkflowStatus.COMPENSATING
    around = workflow.steps.get(step.parent)
    if around is None:
        return False
    if place.role is BlockRole.HANDLER:
        return around.status is StepStatus.HANDLING
    if around.status is not StepStatus.RUNNING and not (around.status is StepStatus.COMPLETED and not around.handled):
        return False
    config = outline_of(workflow.definition)[around.definition_id].definition.config
    return not isinstance(config, LoopStep) or step.prefix == f"{around.id}[{around.round}]/"


def may_begin(workflow: Workflow, step: WorkflowStep) -> bool:
    """Whether a pending step is to start, be skipped, or has others cancelled before it starts."""
    if step.status is not StepStatus.PENDING or not is_open(workflow, step):
        return False
    definition = outline_of(workflow.definition)[step.definition_id].definition
    return join_of(workflow, step, definition).verdict is not JoinVerdict.WAIT


def goes_on(workflow: Workflow, steps: Iterable[WorkflowStep]) -> bool:
    """Whether one of these steps runs, or is to start or be skipped."""
    for step in steps:
        status = step.status
        if status in LIVE or (status is StepStatus.PENDING and may_begin(workflow, step)):
            return True
    return False


class BlockEnd(NamedTuple):
    """How the steps of a block have ended: nothing of it runs or can start."""

    failed: WorkflowStep | None
    """The first one that failed, which is not tolerated."""


def block_end(workflow: Workflow, steps: Iterable[WorkflowStep]) -> BlockEnd | None:
    """Return how the steps of a block have ended; None as long as something of it runs or can start."""
    outline = outline_of(workflow.definition)
    members = list(steps)
    if goes_on(workflow, members):
        return None
    failed = next((step for step in members if blocks(outline, step)), None)
    if failed is not None and goes_on_below(workflow, *members):
        return None
    return BlockEnd(failed)


def goes_on_below(workflow: Workflow, *steps: WorkflowStep) -> bool:
    """Whether something within steps still runs or can start, also what a container did not wait for."""
    children = children_of(workflow.steps)
    return goes_on(workflow, (workflow.steps[one] for step in steps for one in descendants(children, step.id)))


def failure_of(step: WorkflowStep) -> Failure:
    """Return the failure of what contains a step that failed: its reason decides whether a retry may help."""
    failure = step.failure
    assert failure is not None, "a step fails with a failure"
    message = f"step {step.id} failed: {failure.reason}" + (f": {failure.message}" if failure.message else "")
    return Failure(failure.reason, message, lasting=failure.lasting)


def outputs_of(workflow: Workflow, prefix: str, block: Iterable[StepDefinition]) -> dict[str, object]:
    """Return the output of each step of a block by its id, None for those without."""
    return {one.id: _output(workflow.steps[prefix + one.id]) for one in block}


def last_output(workflow: Workflow, prefix: str, block: tuple[StepDefinition, ...]) -> object:
    """Return the output of the last step of a block, in the order of the definition; None without one."""
    return _output(workflow.steps[prefix + block[-1].id]) if block else None


def _output(step: WorkflowStep) -> object:
    return step.result if step.status is StepStatus.COMPLETED else None
