"""Forks: what of a workflow stays as it was in another one that continues it from an earlier point. Pure.

    over, and not to run again     kept as it is
    a container around what runs   runs, with the items, the round or the case that it has
    all else                       pending, as if its block had just begun

Everything that depends on what runs again runs again too, up to the end: in its own block, and after each container
around it. Later rounds of a loop have not happened. A step that was compensated has been undone, so it runs again, too.
"""

from collections.abc import Iterator

import attrs
from msgspec.structs import replace

from aura_contracts.errors import AggregateNotFound
from aura_contracts.workflow import (
    CONTAINERS,
    LIVE,
    Role,
    StepStatus,
    StepType,
    Workflow,
    WorkflowStep,
    is_over,
    place_of,
)

_RUNNING = frozenset({StepStatus.RUNNING, StepStatus.HANDLING, StepStatus.AWAITING_APPROVAL})


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
        if step.parent is not None and place_of(workflow, step.id).role is Role.COMPENSATION:
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
            self._around.add(around.id)
            if place_of(self._workflow, around.id).definition.type is StepType.LOOP:
                self._rounds[around.id] = _round_of(inner, around)
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
        """Yield the steps that there are from the beginning, those of the top level that are pending left out."""
        gone: set[str] = set()
        for step in self._workflow.steps.values():
            if step.parent in gone or self._is_later(step):
                gone.add(step.id)
                continue
            began = self._began(step)
            if began is None:
                gone.add(step.id)
                if step.parent is not None:
                    yield WorkflowStep(id=step.id, status=StepStatus.PENDING, parent=step.parent)
            else:
                yield began

    def _is_later(self, step: WorkflowStep) -> bool:
        """Whether a step is in a round that has not happened, or is what a container around it began after that."""
        if step.parent is None:
            return False
        role = place_of(self._workflow, step.id).role
        if role is Role.COMPENSATION or (role is Role.HANDLER and self._runs_without_handler(step.parent)):
            return True
        wanted = self._rounds.get(step.parent)
        return wanted is not None and _round_of(step, self._workflow.steps[step.parent]) > wanted

    def _handles(self, address: str) -> bool:
        """Whether something in the handler of a step runs again."""
        again = (self._workflow.steps[one] for one in (*self._again, *self._around))
        return any(one.parent == address and place_of(self._workflow, one.id).role is Role.HANDLER for one in again)

    def _runs_without_handler(self, address: str) -> bool:
        return address in self._around and not self._handles(address)

    def _began(self, step: WorkflowStep) -> WorkflowStep | None:
        """Return a step as the fork begins with it, None if it is pending."""
        if step.id in self._again:
            return None
        if step.id in self._around:
            return self._runs(step, StepStatus.HANDLING if self._handles(step.id) else StepStatus.RUNNING)
        if is_over(self._workflow, step):
            return step
        if step.status in LIVE & _RUNNING and place_of(self._workflow, step.id).definition.type in CONTAINERS:
            return self._runs(step, step.status)
        return None

    def _runs(self, step: WorkflowStep, status: StepStatus) -> WorkflowStep:
        return replace(
            step,
            status=StepStatus.HANDLING if status is StepStatus.HANDLING else StepStatus.RUNNING,
            round=self._rounds.get(step.id, step.round),
            done=None if step.id in self._rounds else step.done,
            result=None,
            handled=False,
            number=0,
            reason="",
            because=(),
            failure=step.failure if status is StepStatus.HANDLING else None,
            ended_at=None,
            ends_as=None,
            due_at=None,
            times_out_at=None,
            time_left=None,
        )


def _round_of(step: WorkflowStep, loop: WorkflowStep) -> int:
    """Return the round that a step in a loop belongs to; 0 for its handler."""
    head = step.prefix.removesuffix("/")
    return int(head.removeprefix(f"{loop.id}[").removesuffix("]")) if head.startswith(f"{loop.id}[") else 0
