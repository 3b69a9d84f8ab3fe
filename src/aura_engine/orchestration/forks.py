"""Forks: what of a workflow stays as it was in another one that continues it from an earlier point. Pure.

    over, and not to run again     kept as it is
    a container around what runs   pending with the items that it has, so that what is kept in it stays completed
    all else                       left out: it is pending once its block begins

Everything that depends on what runs again runs again too, up to the end: in its own block, and after each container
around it. Later rounds of a loop have not happened. A step that was compensated has been undone, so it runs again, and
so does one whose handler is to continue.
"""

from collections.abc import Iterator

import attrs

from aura_contracts.errors import AggregateNotFound
from aura_contracts.workflow import (
    CONTAINERS,
    LIVE,
    BlockRole,
    StepStatus,
    StepType,
    Workflow,
    WorkflowStep,
    is_over,
    place_of,
)


def past_of(workflow: Workflow, step_id: str | None = None) -> tuple[WorkflowStep, ...]:
    """Return the steps with which a fork begins; without `step_id`, only what is not over runs.

    Raises `AggregateNotFound` for a step whose block has not begun, or that there is not.
    """
    if step_id is not None and step_id not in workflow.steps:
        known = ", ".join(workflow.steps)
        raise AggregateNotFound(
            aggregate="workflow step",
            aggregate_id=f"{workflow.id}/{step_id}",
            command="fork",
            remedy=f"its steps are {known}",
        )
    fork = _Fork(workflow)
    if step_id is not None:
        fork.repeat_from(workflow.steps[step_id])
    for step in workflow.steps.values():
        if step.parent is not None and place_of(workflow, step.id).role is BlockRole.COMPENSATION:
            fork.repeat_from(workflow.steps[step.parent])
    return tuple(fork.past())


@attrs.define
class _Fork:
    _workflow: Workflow
    _again: set[str] = attrs.field(factory=set, init=False)
    """The addresses of steps that run again; what is in them is gone."""
    _around: set[str] = attrs.field(factory=set, init=False)
    """The addresses of the containers around them."""
    _rounds: dict[str, int] = attrs.field(factory=dict, init=False)
    """The round to which loops go back, by address."""

    def repeat_from(self, step: WorkflowStep) -> None:
        """Have a step run again, and everything after it."""
        self._again.add(step.id)
        inner = step
        while True:
            self._again.update(self._dependents(inner))
            if inner.parent is None:
                return
            around = self._workflow.steps[inner.parent]
            place = place_of(self._workflow, inner.id)
            (self._around if place.role is BlockRole.MEMBER else self._again).add(around.id)
            if place_of(self._workflow, around.id).definition.type is StepType.LOOP:
                back_to = min(_round_of(inner, around), self._rounds.get(around.id, around.round))
                self._rounds[around.id] = back_to
            inner = around

    def _dependents(self, step: WorkflowStep) -> Iterator[str]:
        """Yield the steps of the same block that depend on a step, directly or not."""
        ahead, seen = [step.id], {step.id}
        while ahead:
            address = ahead.pop()
            for name in place_of(self._workflow, address).dependents:
                dependent = step.prefix + name
                if dependent not in seen and dependent in self._workflow.steps:
                    seen.add(dependent)
                    ahead.append(dependent)
                    yield dependent

    def past(self) -> Iterator[WorkflowStep]:
        """Yield the steps that are there from the beginning, each after what it is in."""
        gone: set[str] = set()
        for step in self._workflow.steps.values():
            kept = None if step.parent in gone or self._is_left_out(step) else self._kept(step)
            if kept is None:
                gone.add(step.id)
            else:
                yield kept

    def _is_left_out(self, step: WorkflowStep) -> bool:
        """Whether a step runs again, or is in a round that has not happened, or came after an end that has not."""
        if step.id in self._again:
            return True
        if step.parent is None:
            return False
        role = place_of(self._workflow, step.id).role
        if role is BlockRole.COMPENSATION or (role is BlockRole.HANDLER and step.parent in self._around):
            return True
        wanted = self._rounds.get(step.parent)
        return wanted is not None and _round_of(step, self._workflow.steps[step.parent]) > wanted

    def _kept(self, step: WorkflowStep) -> WorkflowStep | None:
        """Return a step as the fork begins with it, None if it is left out."""
        runs = step.status in LIVE and place_of(self._workflow, step.id).definition.type in CONTAINERS
        if step.id in self._around or (runs and step.status is not StepStatus.HANDLING):
            return WorkflowStep(id=step.id, status=StepStatus.PENDING, parent=step.parent, items=step.items)
        return step if is_over(self._workflow, step) else None


def _round_of(step: WorkflowStep, loop: WorkflowStep) -> int:
    """Return the round that a step in a loop belongs to; 0 for its handler."""
    head = step.prefix.removesuffix("/")
    return int(head.removeprefix(f"{loop.id}[").removesuffix("]")) if head.startswith(f"{loop.id}[") else 0
