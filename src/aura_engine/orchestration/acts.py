"""Acts: what a workflow needs from the world now. Pure."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from aura_contracts.workflow import (
    OUTSIDE,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    StepDefinition,
    StepStatus,
    WaitStep,
    Workflow,
    WorkflowStatus,
    WorkflowStep,
    outline_of,
    workflow_due,
)
from aura_contracts.workflow.outline import place_in_order
from aura_engine.decisions._workflow_containers import round_is_over
from aura_engine.decisions._workflow_end import steps_are_over
from aura_engine.decisions._workflow_joins import JoinVerdict, is_open, join_of
from aura_engine.decisions._workflow_locks import is_locked


class ActKind(StrEnum):
    """What must be done, and the command that reports it."""

    EVALUATE = "evaluate"
    """An expression: `Act.what` says which."""
    START = "start"
    """The step: make what runs for it, then `StartStep`."""
    FOLLOW = "follow"
    """Look at what runs for the step, and report how that ended or that it asks."""
    CANCEL_BELOW = "cancel_below"
    """Cancel what runs for the step; once it has ended, `ReportStepCancelled`."""
    ADVANCE = "advance"
    """Something is due: `AdvanceWorkflow`."""


class StepInquiry(StrEnum):
    """Which expression must be evaluated."""

    WHEN = "when"
    """`DecideStep`."""
    CASE = "case"
    """`ChooseCase`."""
    ITEMS = "items"
    """`ExpandStep`."""
    UNTIL = "until"
    """`EndRound`."""
    OUTPUTS = "outputs"
    """Of the whole: `CompleteWorkflow`, or `FailWorkflow`. In other cases `FailStep`."""


class Act(NamedTuple):
    """Something to do for a step."""

    kind: ActKind
    step_id: str
    """Its address; empty for the whole."""
    what: StepInquiry | None = None
    """For `ActKind.EVALUATE`."""


_S = StepStatus
_NOT_MOVING = frozenset({WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED})


def acts(workflow: Workflow, now: datetime) -> tuple[Act, ...]:
    """Return what must be done now, in the order of the definition; items and rounds one after the other.

    All of it can be done at the same time. Of several steps that need the same lock only one is started.
    """
    if workflow.status in _NOT_MOVING:
        return ()
    found = list(_Acts(workflow).all())
    due = workflow_due(workflow)
    if due is not None and due <= now:
        found.insert(0, Act(ActKind.ADVANCE, ""))
    return tuple(found)


def evaluation(workflow: Workflow) -> Act | None:
    """Return an expression that can be evaluated now, if there is one."""
    if workflow.status in _NOT_MOVING:
        return None
    return next((act for act in _Acts(workflow).all(ordered=False) if act.kind is ActKind.EVALUATE), None)


class _Acts:
    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._outline = outline_of(workflow.definition)
        self._starts = workflow.status in (WorkflowStatus.ACTIVE, WorkflowStatus.COMPENSATING)
        self._taken: set[str] = set()
        """The locks of steps that will be started."""

    def all(self, *, ordered: bool = True) -> Iterator[Act]:
        candidates = self._candidates()
        if ordered:
            candidates = iter(sorted(candidates, key=lambda step: place_in_order(self._outline, step.id)))
        for step in candidates:
            act = self._of(step, self._outline[step.definition_id].definition)
            if act is not None:
                yield act
        workflow = self._workflow
        if workflow.status is WorkflowStatus.ACTIVE and workflow.definition.outputs and steps_are_over(workflow):
            yield Act(ActKind.EVALUATE, "", StepInquiry.OUTPUTS)

    def _candidates(self) -> Iterator[WorkflowStep]:
        moving = (_S.PENDING, _S.RUNNING, _S.AWAITING_APPROVAL, _S.CANCELLING)
        return (step for step in self._workflow.steps.values() if step.status in moving)

    def _of(self, step: WorkflowStep, definition: StepDefinition) -> Act | None:
        outside = definition.type in OUTSIDE and step.ended_at is None
        match step.status:
            case _S.PENDING:
                return self._of_pending(step, definition) if self._starts else None
            case _S.CANCELLING if outside:
                return Act(ActKind.CANCEL_BELOW, step.id)
            case _S.RUNNING | _S.AWAITING_APPROVAL if outside:
                return Act(ActKind.FOLLOW, step.id)
            case _S.RUNNING if self._starts:
                return self._of_container(step, definition)
            case _:
                return None

    def _of_pending(self, step: WorkflowStep, definition: StepDefinition) -> Act | None:
        workflow = self._workflow
        if not is_open(workflow, step) or join_of(workflow, step, definition).verdict is not JoinVerdict.START:
            return None
        if definition.when and not step.decided:
            return Act(ActKind.EVALUATE, step.id, StepInquiry.WHEN)
        starts = definition.type in OUTSIDE or (isinstance(definition.config, WaitStep) and definition.config.until)
        if not starts or is_locked(workflow, step, definition) or not self._taken.isdisjoint(definition.locks):
            return None
        self._taken.update(definition.locks)
        return Act(ActKind.START, step.id)

    def _of_container(self, step: WorkflowStep, definition: StepDefinition) -> Act | None:
        match definition.config:
            case ConditionalStep() if step.outcome is None:
                return Act(ActKind.EVALUATE, step.id, StepInquiry.CASE)
            case ForEachStep() if step.items is None:
                return Act(ActKind.EVALUATE, step.id, StepInquiry.ITEMS)
            case LoopStep() if round_is_over(self._workflow, step):
                return Act(ActKind.EVALUATE, step.id, StepInquiry.UNTIL)
            case _:
                return None
