"""The progress of workflows: how far they are, and what they wait for. Never raises, whatever a log holds."""

from collections.abc import Iterable
from typing import NamedTuple

from aura_contracts.workflow.outline import inner_blocks, outline_of
from aura_contracts.workflow.state import Workflow, is_over
from aura_contracts.workflow.values import OUTSIDE, StepDefinition, StepStatus, StepType


class WorkflowProgress(NamedTuple):
    """How many steps of a definition are over, without handlers and compensations."""

    over: int
    total: int
    """A step of a loop or a for_each counts once, and is over when it is in all rounds and items that have begun."""

    def __str__(self) -> str:
        return f"{self.over} of {self.total}"


def progress_of(workflow: Workflow) -> WorkflowProgress:
    """Return how far a workflow is. It goes back when a loop begins another round, or a step is retried."""
    outline, over = outline_of(workflow.definition), dict[str, bool]()
    for step in workflow.steps.values():
        if step.definition_id in outline:
            over[step.definition_id] = is_over(workflow, step) and over.get(step.definition_id, True)

    def count(block: Iterable[StepDefinition], *, around: bool) -> tuple[int, int]:
        done = total = 0
        for definition in block:
            ended = over.get(definition.id, around)  # one whose block never began is over with what it is in
            inner = [count(members, around=ended) for members in inner_blocks(definition)]
            done += ended + sum(counted[0] for counted in inner)
            total += 1 + sum(counted[1] for counted in inner)
        return done, total

    return WorkflowProgress(*count(workflow.definition.steps, around=False))


def awaiting_of(workflow: Workflow) -> tuple[str, ...]:
    """Return the addresses of the steps that wait for a human, a moment or a signal."""
    if workflow.ended:
        return ()
    return tuple(
        step.id
        for step in workflow.steps.values()
        if step.status is StepStatus.AWAITING_APPROVAL
        or (step.status is StepStatus.RUNNING and type_of(workflow, step.id) is StepType.WAIT)
    )


def working_of(workflow: Workflow) -> tuple[str, ...]:
    """Return the addresses of the steps for which a task, a question or a sub-workflow runs, which no pause ends."""
    return tuple(
        step.id
        for step in workflow.steps.values()
        if step.status in _WORKING and type_of(workflow, step.id) in OUTSIDE and step.ended_at is None
    )


_WORKING = frozenset({StepStatus.RUNNING, StepStatus.AWAITING_APPROVAL, StepStatus.CANCELLING})


def type_of(workflow: Workflow, address: str) -> StepType | None:
    """Return the type of the step of an address, None if the definition has no such step."""
    place = outline_of(workflow.definition).get(address.rpartition("/")[2])
    return None if place is None else place.definition.type
