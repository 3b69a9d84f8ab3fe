"""The state of workflows, its transition table and its evolvers: see `aura_contracts.workflow`."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import (
    TIME,
    Aggregate,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import event_types as events
from aura_contracts.workflow.values import (
    OVER,
    StepDefinition,
    StepStatus,
    StepType,
    WorkflowDefinition,
    WorkflowStatus,
    WorkflowStep,
)


class Workflow(WorkflowDefinition, State, frozen=True, kw_only=True):
    """The state of a workflow. Times are aware, and None until they happen."""

    id: WorkflowId
    status: WorkflowStatus
    steps: tuple[WorkflowStep, ...]
    created_by: Actor
    created_at: datetime
    current_step_index: int = 0
    """The first step that is not over, counting from 0; the number of steps when all are over."""
    paused_because: str | None = None
    failure: Failure | None = None
    ended_at: datetime | None = None
    """When the workflow ended, for whatever reason."""


def find_step(workflow: Workflow, step_id: str) -> WorkflowStep | None:
    """Return the step with this id, or None."""
    return next((step for step in workflow.steps if step.id == step_id), None)


def waits_for(workflow: Workflow, step_id: str) -> tuple[str, ...]:
    """Return the ids of the steps that a step still waits for before it can start.

    These are dependencies that are not over, an enclosing parallel step that has not started, and a conditional step
    that has not chosen its branch.
    """
    return _waits(workflow)[step_id]


def _waits(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    over = {step.id for step in workflow.steps if step.status in OVER}
    shut = {  # containers that do not let the step start yet
        inner: step.id
        for step in workflow.steps
        for inner in step.config.contained
        if step.status is not (StepStatus.RUNNING if step.type is StepType.PARALLEL else StepStatus.COMPLETED)
    }
    return {
        step.id: (
            *(name for name in step.dependencies if name not in over),
            *((shut[step.id],) if step.id in shut else ()),
        )
        for step in workflow.steps
    }


def find_cycle(steps: Iterable[StepDefinition]) -> tuple[str, ...]:
    """Return a cycle of steps that wait for each other, ``("a", "b", "a")``; empty if there are no cycles.

    Each step has a start and an end in the graph, because a parallel step waits for its children and they wait for its
    start. Every step referred to must exist.
    """
    steps = tuple(steps)
    before: dict[tuple[str, str], list[tuple[str, str]]] = {
        (step.id, "start"): [(name, "end") for name in step.dependencies] for step in steps
    }
    for step in steps:
        before[step.id, "end"] = [(step.id, "start"), *((child, "end") for child in step.config.children)]
        for child in step.config.children:
            before[child, "start"].append((step.id, "start"))
        for inner in (*step.config.then, *step.config.otherwise):
            before[inner, "start"].append((step.id, "end"))
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        ids = [step_id for step_id, _ in reversed(error.args[1])]
        changes = (name for previous, name in pairwise(ids) if name != previous)
        return (ids[0], *changes) if len(set(ids)) > 1 else (ids[0], ids[0])
    return ()


# --- Tables -----------------------------------------------------------------------------------------------------------


_W = WorkflowStatus
_S = StepStatus

_PROGRESS: tuple[type[Event], ...] = (
    events.StepAwaitingApproval,
    events.StepResumed,
    events.StepCompleted,
    events.StepFailed,
    events.StepSkipped,
    events.StepRetried,
    events.WorkflowContextUpdated,
)
"""The events that may happen whether or not the workflow is active."""

_TABLE: Table = MappingProxyType(
    {
        None: {events.WorkflowStarted: _W.ACTIVE},
        _W.ACTIVE: {
            events.StepStarted: _W.ACTIVE,
            **dict.fromkeys(_PROGRESS, _W.ACTIVE),
            events.WorkflowPaused: _W.PAUSED,
            events.WorkflowCompleted: _W.COMPLETED,
            events.WorkflowFailed: _W.FAILED,
            events.WorkflowCancelled: _W.CANCELLED,
        },
        _W.PAUSED: {
            **dict.fromkeys(_PROGRESS, _W.PAUSED),
            events.WorkflowResumed: _W.ACTIVE,
            events.WorkflowFailed: _W.FAILED,
            events.WorkflowCancelled: _W.CANCELLED,
        },
        _W.FAILED: {  # running steps still report their end; a retry or a human reactivates the workflow
            **dict.fromkeys(_PROGRESS, _W.FAILED),
            events.StepRetried: _W.ACTIVE,
            events.WorkflowResumed: _W.ACTIVE,
            events.WorkflowCancelled: _W.CANCELLED,
        },
    }
)

STEP_TABLE: Mapping[StepStatus | None, Mapping[type[Event], StepStatus]] = MappingProxyType(
    {
        None: {events.WorkflowStarted: _S.PENDING},
        _S.PENDING: {
            events.StepStarted: _S.RUNNING,
            events.StepSkipped: _S.SKIPPED,
            events.WorkflowCancelled: _S.CANCELLED,
        },
        _S.RUNNING: {
            events.StepAwaitingApproval: _S.AWAITING_APPROVAL,
            events.StepCompleted: _S.COMPLETED,
            events.StepFailed: _S.FAILED,
            events.WorkflowCancelled: _S.CANCELLED,
        },
        _S.AWAITING_APPROVAL: {
            events.StepResumed: _S.RUNNING,
            events.StepCompleted: _S.COMPLETED,
            events.StepFailed: _S.FAILED,
            events.WorkflowCancelled: _S.CANCELLED,
        },
        _S.FAILED: {
            events.StepRetried: _S.PENDING,
            events.StepSkipped: _S.SKIPPED,
        },
    }
)
"""Step status x event. `WorkflowStarted` creates the steps, `WorkflowCancelled` moves every step with a row for it, and
the other events move the step that they name."""


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _started(_: None, event: events.WorkflowStarted, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    first = STEP_TABLE[None][events.WorkflowStarted]
    steps = tuple(WorkflowStep(**asdict(step), status=first) for step in event.definition.steps)
    return Workflow(
        id=event.workflow_id,
        status=status,
        created_by=fact.actor,
        created_at=fact.time,
        **{**asdict(event.definition), "steps": steps},
    )


def _of_step(change: Callable[[WorkflowStep, Any, HappenedFact, Any], WorkflowStep]) -> Evolve[Workflow]:
    """Move the step that the event names along its own table. Raises `ImpossibleTransition` if it has no row."""

    def evolve(state: Workflow, event: events.StepEvent, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
        step = find_step(state, event.step_id)
        moved = STEP_TABLE.get(step.status, {}).get(type(event)) if step else None
        if step is None or moved is None:
            raise ImpossibleTransition(aggregate="workflow step", status=step.status if step else "", event=event.topic)
        steps = tuple(change(step, event, fact, moved) if each is step else each for each in state.steps)
        index = next((i for i, each in enumerate(steps) if each.status not in OVER), len(steps))
        return replace(state, status=status, steps=steps, current_step_index=index)

    return evolve


def _step_started(
    step: WorkflowStep, event: events.StepStarted, fact: HappenedFact, status: StepStatus
) -> WorkflowStep:
    attempts = step.attempts + 1
    return replace(step, status=status, task_id=event.task_id, approval_id=event.approval_id, attempts=attempts)


_step_reset = _of_step(sets(task_id=None, approval_id=None, approved=False, failure=None))


def _step_retried(state: Workflow, event: events.StepRetried, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    return replace(_step_reset(state, event, fact, status), failure=None, ended_at=None)


def _context_updated(
    state: Workflow, event: events.WorkflowContextUpdated, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    kept = {key: value for key, value in state.context.items() if key not in event.removed}
    return replace(state, status=status, context={**kept, **event.values})


def _cancelled(
    state: Workflow, event: events.WorkflowCancelled, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    steps = tuple(
        replace(step, status=STEP_TABLE.get(step.status, {}).get(events.WorkflowCancelled, step.status))
        for step in state.steps
    )
    return replace(state, status=status, steps=steps, paused_because=None, ended_at=fact.time)


_EVOLVERS: Mapping[type[Event], Evolve[Workflow]] = MappingProxyType(
    {
        events.WorkflowStarted: _started,
        events.StepStarted: _of_step(_step_started),
        events.StepAwaitingApproval: _of_step(sets("approval_id", approved=False)),
        events.StepResumed: _of_step(sets("approved")),
        events.StepCompleted: _of_step(sets("result", "outcome")),
        events.StepFailed: _of_step(sets("failure")),
        events.StepSkipped: _of_step(sets("reason")),
        events.StepRetried: _step_retried,
        events.WorkflowContextUpdated: _context_updated,
        events.WorkflowPaused: sets(paused_because=given("reason")),
        events.WorkflowResumed: sets(paused_because=None, failure=None, ended_at=None),
        events.WorkflowCompleted: sets(ended_at=TIME),
        events.WorkflowFailed: sets("failure", paused_because=None, ended_at=TIME),
        events.WorkflowCancelled: _cancelled,
        events.WorkflowCommandRefused: status_only,
    }
)

WORKFLOW = Aggregate(
    name="workflow",
    state=Workflow,
    statuses=WorkflowStatus,
    table=in_every_status(_TABLE, events.WorkflowCommandRefused, WorkflowStatus),
    restartable=frozenset({WorkflowStatus.FAILED}),
    after_the_end=frozenset({events.WorkflowCommandRefused}),
    evolvers=_EVOLVERS,
)
