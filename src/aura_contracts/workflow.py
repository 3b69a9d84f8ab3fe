"""Workflow: steps with dependencies, from start to end (specification, "Workflow" and "Workflow Orchestration").

    workflow   active ◄──paused, resumed──► paused
                 │ └──failed──► failed ──step retried, resumed──► active
                 └──► completed                  · any but completed ► cancelled

    step       pending ──started──► running ◄──asks, resumes──► awaiting_approval ──► completed
                 │ ▲                   │  └────────────────────────────────────────────► completed
                 │ └─────retried───── failed
                 └──► skipped ◄────────┘         · any that has not ended ► cancelled, with its workflow

There are two tables: status x event for the workflow, and step status x event for each step. An event about a step
needs a row in both. A step is **over** when it is completed or skipped; only then do the steps that depend on it start.
A failed step is not over: it blocks them until it is retried or skipped.

All steps are in one flat list. A **parallel** step starts before its children and completes after the last of them. A
**conditional** step completes first; its outcome decides which branch may start, and the other branch is skipped.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import TIME, Aggregate, Command, Evolve, HappenedFact, State, Table, given, sets
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.task import AgentType


class WorkflowStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    FAILED = "failed"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


OVER = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
"""The step statuses in which dependent steps may start."""


class StepType(StrEnum):
    AGENT_TASK = "agent_task"
    """A task for an agent, made from the step's template."""
    HUMAN_APPROVAL = "human_approval"
    """A question to a human; the workflow continues once it is approved."""
    CONDITIONAL = "conditional"
    """A choice between two branches, by a condition over the workflow's context."""
    PARALLEL = "parallel"
    """A group of steps that run at the same time; over when all of them are."""


class StepConfig(msgspec.Struct, frozen=True, gc=False):
    """Settings that only some types of steps need. Steps are referred to by id."""

    condition: str = ""
    """A template expression that evaluates to true or false (conditional)."""
    then: tuple[str, ...] = ()
    """The steps of the branch to take when the condition is true (conditional)."""
    otherwise: tuple[str, ...] = ()
    """The steps of the branch to take when it is false (conditional)."""
    children: tuple[str, ...] = ()
    """The steps of the group (parallel)."""
    options: dict[str, Any] = {}
    """Anything for the runner of the step, such as the executor."""

    @property
    def contained(self) -> tuple[str, ...]:
        """The steps that only this one can start."""
        return (*self.children, *self.then, *self.otherwise)


class StepDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a step."""

    id: str
    """A single word, unique within the workflow."""
    type: StepType
    agent_type: AgentType | None = None
    task_template: str = ""
    """The text of the task: a template over the workflow's context (agent_task)."""
    requires_approval: bool = False
    """A human must approve before the step completes (agent_task; human_approval always has one)."""
    dependencies: tuple[str, ...] = ()
    """Ids of the steps that must be over before this one starts."""
    config: StepConfig = StepConfig()


class WorkflowDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a workflow."""

    name: str
    description: str = ""
    steps: tuple[StepDefinition, ...]
    context: dict[str, Any] = {}
    project: str | None = None


class WorkflowStep(StepDefinition, frozen=True, kw_only=True, gc=False):
    """A step and its progress."""

    status: StepStatus
    attempts: int = 0
    """The number of times it was started."""
    task_id: TaskId | None = None
    """The task of the last attempt (agent_task)."""
    approval_id: ApprovalId | None = None
    """The latest approval requested in this attempt."""
    approved: bool = False
    """Whether that approval was granted."""
    result: dict[str, Any] | None = None
    outcome: bool | None = None
    """The result of the condition (conditional)."""
    failure: Failure | None = None
    reason: str = ""
    """Why it was skipped."""


# --- Events -----------------------------------------------------------------------------------------------------------


class WorkflowStarted(Event, frozen=True, kw_only=True):
    """A workflow was defined and started; its first steps are ready."""

    topic = "workflow.started"
    workflow_id: WorkflowId
    definition: WorkflowDefinition


class StepStarted(Event, frozen=True, kw_only=True):
    """A step was started, with a task for an agent or a question to a human if it needs one."""

    topic = "workflow.step_started"
    step_id: str
    task_id: TaskId | None = None
    approval_id: ApprovalId | None = None


class StepAwaitingApproval(Event, frozen=True, kw_only=True):
    """A human was asked to approve the step's proposal."""

    topic = "workflow.step_awaiting_approval"
    step_id: str
    approval_id: ApprovalId


class StepResumed(Event, frozen=True, kw_only=True):
    """The approval was decided, and the step resumed: as approved, or with the feedback."""

    topic = "workflow.step_resumed"
    step_id: str
    approved: bool


class StepCompleted(Event, frozen=True, kw_only=True):
    """A step completed; `outcome` is the result of the condition of a conditional step."""

    topic = "workflow.step_completed"
    step_id: str
    result: dict[str, Any] = {}
    outcome: bool | None = None


class StepFailed(Event, frozen=True, kw_only=True):
    """A step failed, and blocks its dependents until it is retried or skipped."""

    topic = "workflow.step_failed"
    step_id: str
    failure: Failure


class StepSkipped(Event, frozen=True, kw_only=True):
    """A step was skipped, because its branch was not taken or because a human decided to continue without it."""

    topic = "workflow.step_skipped"
    step_id: str
    reason: str = ""


class StepRetried(Event, frozen=True, kw_only=True):
    """A failed step was made ready to start again, which also reactivates a failed workflow."""

    topic = "workflow.step_retried"
    step_id: str


class WorkflowContextUpdated(Event, frozen=True, kw_only=True):
    """Keys of the workflow's context were set or removed."""

    topic = "workflow.context_updated"
    values: dict[str, Any] = {}
    removed: tuple[str, ...] = ()


class WorkflowPaused(Event, frozen=True, kw_only=True):
    """The workflow was paused: running steps finish, and no new ones start."""

    topic = "workflow.paused"
    reason: str = ""


class WorkflowResumed(Event, frozen=True, kw_only=True):
    """The paused or failed workflow was resumed."""

    topic = "workflow.resumed"


class WorkflowCompleted(Event, frozen=True, kw_only=True):
    """Every step was over, which completed the workflow."""

    topic = "workflow.completed"


class WorkflowFailed(Event, frozen=True, kw_only=True):
    """The workflow failed, and AURA cannot continue it; a human is notified."""

    topic = "workflow.failed"
    failure: Failure


class WorkflowCancelled(Event, frozen=True, kw_only=True):
    """The workflow was cancelled, with every step that had not ended."""

    topic = "workflow.cancelled"
    reason: str = ""


# --- State ------------------------------------------------------------------------------------------------------------


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


def ready_steps(workflow: Workflow) -> tuple[WorkflowStep, ...]:
    """Return the steps that may start now, in the order of the definition; empty unless the workflow is active."""
    if workflow.status is not WorkflowStatus.ACTIVE:
        return ()
    waits = _waits(workflow)
    return tuple(step for step in workflow.steps if step.status is StepStatus.PENDING and not waits[step.id])


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


# --- Commands ---------------------------------------------------------------------------------------------------------


class StartWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Define a workflow and start it."""

    emits = (WorkflowStarted,)
    workflow_id: WorkflowId
    definition: WorkflowDefinition


class StartStep(Command[Workflow], frozen=True, kw_only=True):
    """Start a ready step: an agent_task with its task, a human_approval with its approval, others with neither.

    A human_approval starts to wait for its approval at once.
    """

    emits = (StepStarted, StepAwaitingApproval)
    step_id: str
    task_id: TaskId | None = None
    approval_id: ApprovalId | None = None


class AwaitStepApproval(Command[Workflow], frozen=True, kw_only=True):
    """Record that the task of a running step waits for a human."""

    emits = (StepAwaitingApproval,)
    step_id: str
    approval_id: ApprovalId


class ResumeStep(Command[Workflow], frozen=True, kw_only=True):
    """Record that a step's task resumed after its approval was decided: granted, or sent back with feedback."""

    emits = (StepResumed,)
    step_id: str
    approved: bool


class CompleteStep(Command[Workflow], frozen=True, kw_only=True):
    """Record that a step completed. A conditional step completes with its outcome, which skips the other branch."""

    emits = (StepCompleted, StepSkipped)
    step_id: str
    result: dict[str, Any] = {}
    outcome: bool | None = None


class FailStep(Command[Workflow], frozen=True, kw_only=True):
    """Record that a step failed."""

    emits = (StepFailed,)
    step_id: str
    failure: Failure


class SkipStep(Command[Workflow], frozen=True, kw_only=True):
    """Skip a step that has not started or has failed, with everything it contains."""

    emits = (StepSkipped,)
    step_id: str
    reason: str = ""


class RetryStep(Command[Workflow], frozen=True, kw_only=True):
    """Make a failed step ready to start again."""

    emits = (StepRetried,)
    step_id: str


class UpdateWorkflowContext(Command[Workflow], frozen=True, kw_only=True):
    """Set `values` in the workflow's context, and remove the keys in `remove`."""

    emits = (WorkflowContextUpdated,)
    values: dict[str, Any] = {}
    remove: tuple[str, ...] = ()


class PauseWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Let running steps finish and start no new ones."""

    emits = (WorkflowPaused,)
    reason: str = ""


class ResumeWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Resume a paused or failed workflow."""

    emits = (WorkflowResumed,)


class CompleteWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Record that every step is over."""

    emits = (WorkflowCompleted,)


class FailWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Record that the workflow cannot continue without a human."""

    emits = (WorkflowFailed,)
    failure: Failure


class CancelWorkflow(Command[Workflow], frozen=True, kw_only=True):
    """Cancel the workflow."""

    emits = (WorkflowCancelled,)
    reason: str = ""


# --- Tables -----------------------------------------------------------------------------------------------------------

_W = WorkflowStatus
_S = StepStatus

_PROGRESS: tuple[type[Event], ...] = (
    StepAwaitingApproval,
    StepResumed,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepRetried,
    WorkflowContextUpdated,
)
"""The events that may happen whether or not the workflow is active."""

_TABLE: Table = MappingProxyType(
    {
        None: {WorkflowStarted: _W.ACTIVE},
        _W.ACTIVE: {
            StepStarted: _W.ACTIVE,
            **dict.fromkeys(_PROGRESS, _W.ACTIVE),
            WorkflowPaused: _W.PAUSED,
            WorkflowCompleted: _W.COMPLETED,
            WorkflowFailed: _W.FAILED,
            WorkflowCancelled: _W.CANCELLED,
        },
        _W.PAUSED: {
            **dict.fromkeys(_PROGRESS, _W.PAUSED),
            WorkflowResumed: _W.ACTIVE,
            WorkflowFailed: _W.FAILED,
            WorkflowCancelled: _W.CANCELLED,
        },
        _W.FAILED: {  # running steps still report their end; a retry or a human reactivates the workflow
            **dict.fromkeys(_PROGRESS, _W.FAILED),
            StepRetried: _W.ACTIVE,
            WorkflowResumed: _W.ACTIVE,
            WorkflowCancelled: _W.CANCELLED,
        },
    }
)

STEP_TABLE: Mapping[StepStatus | None, Mapping[type[Event], StepStatus]] = MappingProxyType(
    {
        None: {WorkflowStarted: _S.PENDING},
        _S.PENDING: {
            StepStarted: _S.RUNNING,
            StepSkipped: _S.SKIPPED,
            WorkflowCancelled: _S.CANCELLED,
        },
        _S.RUNNING: {
            StepAwaitingApproval: _S.AWAITING_APPROVAL,
            StepCompleted: _S.COMPLETED,
            StepFailed: _S.FAILED,
            WorkflowCancelled: _S.CANCELLED,
        },
        _S.AWAITING_APPROVAL: {
            StepResumed: _S.RUNNING,
            StepCompleted: _S.COMPLETED,
            StepFailed: _S.FAILED,
            WorkflowCancelled: _S.CANCELLED,
        },
        _S.FAILED: {
            StepRetried: _S.PENDING,
            StepSkipped: _S.SKIPPED,
        },
    }
)
"""Step status x event. `WorkflowStarted` creates the steps, `WorkflowCancelled` moves every step with a row for it, and
the other events move the step that they name."""


# --- Evolve -----------------------------------------------------------------------------------------------------------

_StepEvent = StepStarted | StepAwaitingApproval | StepResumed | StepCompleted | StepFailed | StepSkipped | StepRetried


def _started(_: None, event: WorkflowStarted, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    first = STEP_TABLE[None][WorkflowStarted]
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

    def evolve(state: Workflow, event: _StepEvent, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
        step = find_step(state, event.step_id)
        moved = STEP_TABLE.get(step.status, {}).get(type(event)) if step else None
        if step is None or moved is None:
            raise ImpossibleTransition(aggregate="workflow step", status=step.status if step else "", event=event.topic)
        steps = tuple(change(step, event, fact, moved) if each is step else each for each in state.steps)
        index = next((i for i, each in enumerate(steps) if each.status not in OVER), len(steps))
        return replace(state, status=status, steps=steps, current_step_index=index)

    return evolve


def _step_started(step: WorkflowStep, event: StepStarted, fact: HappenedFact, status: StepStatus) -> WorkflowStep:
    attempts = step.attempts + 1
    return replace(step, status=status, task_id=event.task_id, approval_id=event.approval_id, attempts=attempts)


_step_reset = _of_step(sets(task_id=None, approval_id=None, approved=False, failure=None))


def _step_retried(state: Workflow, event: StepRetried, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    return replace(_step_reset(state, event, fact, status), failure=None, ended_at=None)


def _context_updated(
    state: Workflow, event: WorkflowContextUpdated, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    kept = {key: value for key, value in state.context.items() if key not in event.removed}
    return replace(state, status=status, context={**kept, **event.values})


def _cancelled(state: Workflow, event: WorkflowCancelled, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    steps = tuple(
        replace(step, status=STEP_TABLE.get(step.status, {}).get(WorkflowCancelled, step.status))
        for step in state.steps
    )
    return replace(state, status=status, steps=steps, paused_because=None, ended_at=fact.time)


_EVOLVERS: Mapping[type[Event], Evolve[Workflow]] = MappingProxyType(
    {
        WorkflowStarted: _started,
        StepStarted: _of_step(_step_started),
        StepAwaitingApproval: _of_step(sets("approval_id", approved=False)),
        StepResumed: _of_step(sets("approved")),
        StepCompleted: _of_step(sets("result", "outcome")),
        StepFailed: _of_step(sets("failure")),
        StepSkipped: _of_step(sets("reason")),
        StepRetried: _step_retried,
        WorkflowContextUpdated: _context_updated,
        WorkflowPaused: sets(paused_because=given("reason")),
        WorkflowResumed: sets(paused_because=None, failure=None, ended_at=None),
        WorkflowCompleted: sets(ended_at=TIME),
        WorkflowFailed: sets("failure", paused_because=None, ended_at=TIME),
        WorkflowCancelled: _cancelled,
    }
)

WORKFLOW = Aggregate(
    name="workflow",
    state=Workflow,
    statuses=WorkflowStatus,
    table=_TABLE,
    restartable=frozenset({WorkflowStatus.FAILED}),
    evolvers=_EVOLVERS,
)
