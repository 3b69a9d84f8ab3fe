"""How events change workflows: see `aura_contracts.workflow`.

Each evolver copies the table of steps once and changes the steps that its event moves, along `STEP_TABLE`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from aura_contracts.aggregate import TIME, Aggregate, Evolve, HappenedFact, next_statuses, sets, status_only
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event
from aura_contracts.workflow import _timeouts as timeouts
from aura_contracts.workflow import event_types as events
from aura_contracts.workflow._resets import active_again, enclosing_active_again, step_retried
from aura_contracts.workflow._steps import (
    Steps,
    children_of,
    descendants,
    ended,
    open_block,
    status_after,
    top_index,
)
from aura_contracts.workflow._tables import TABLE
from aura_contracts.workflow.outline import inner_blocks, outline_of
from aura_contracts.workflow.records import WorkflowStep
from aura_contracts.workflow.state import Workflow, is_over
from aura_contracts.workflow.values import (
    OVER,
    ParallelStep,
    StepStatus,
    WorkflowStatus,
)

_S = StepStatus

_Change = Callable[[Workflow, Steps, WorkflowStep, Any, datetime], WorkflowStep]
"""``(workflow before, steps to change, step with its next status, event, time) -> step``."""


def _of_step(change: _Change) -> Evolve[Workflow]:
    """Move the step that the event names along the table. Raises `ImpossibleTransition` if it has no row."""

    def evolve(state: Workflow, event: events.StepEvent, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
        before = state.steps.get(event.step_id)
        (moved, *_) = next_statuses(status_after(before.status if before else None, type(event)))
        if before is None:  # its block has not begun
            raise ImpossibleTransition(aggregate="workflow step", status="", event=event.topic)
        steps = dict(state.steps)
        after = change(state, steps, replace(before, status=moved), event, fact.time)
        steps[after.id] = after
        if _S.AWAITING_APPROVAL in (before.status, after.status):
            timeouts.set_around(state, steps, after, fact.time)
        changes: dict[str, Any] = {"steps": steps, "status": status}
        if after.status is _S.COMPLETED and before.status is not _S.COMPLETED:
            changes["completed_steps"] = state.completed_steps + 1
        if after.parent is None and (over := is_over(state, after)) is not is_over(state, before):
            changes["current_step_index"] = top_index(state, steps, state.current_step_index if over else 0)
        return replace(state, **changes)

    return evolve


def _decided(_: Workflow, __: Steps, step: WorkflowStep, ___: events.StepDecided, ____: datetime) -> WorkflowStep:
    return replace(step, decided=True)


def _started(
    state: Workflow, steps: Steps, step: WorkflowStep, event: events.StepStarted, now: datetime
) -> WorkflowStep:
    definition = outline_of(state.definition)[step.definition_id].definition
    if isinstance(definition.config, ParallelStep):
        open_block(steps, state.earlier_attempts, definition.config.steps, step.prefix, step.id)
    return replace(
        step,
        attempts=step.attempts + 1,
        task_id=event.task_id,
        approval_id=event.approval_id,
        child_id=event.child_id,
        approved=False,
        failure=None,
        reason="",
        because=(),
        started_at=now,
        ended_at=None,
        due_at=event.due_at,
        times_out_at=timeouts.later(now, definition.timeout),
        time_left=None,
    )


def _awaiting(
    _: Workflow, __: Steps, step: WorkflowStep, event: events.StepAwaitingApproval, now: datetime
) -> WorkflowStep:
    return replace(timeouts.stopped(step, now), approval_id=event.approval_id, approved=False)


def _resumed(state: Workflow, __: Steps, step: WorkflowStep, event: events.StepResumed, now: datetime) -> WorkflowStep:
    paused = state.status is WorkflowStatus.PAUSED
    return replace(step if paused else timeouts.running(step, now), approved=event.approved)


def _chosen(state: Workflow, steps: Steps, step: WorkflowStep, event: events.StepChosen, _: datetime) -> WorkflowStep:
    blocks = inner_blocks(outline_of(state.definition)[step.definition_id].definition)
    open_block(steps, state.earlier_attempts, blocks[event.outcome], step.prefix, step.id)
    return replace(step, outcome=event.outcome)


def _expanded(_: Workflow, __: Steps, step: WorkflowStep, event: events.StepExpanded, ___: datetime) -> WorkflowStep:
    return replace(step, items=event.items)


def _items_begun(
    state: Workflow, steps: Steps, step: WorkflowStep, event: events.StepItemsBegun, _: datetime
) -> WorkflowStep:
    (block,) = inner_blocks(outline_of(state.definition)[step.definition_id].definition)
    for index in range(step.begun, step.begun + event.count):
        open_block(steps, state.earlier_attempts, block, f"{step.id}[{index}]/", step.id)
    return replace(step, begun=step.begun + event.count)


def _round_begun(
    state: Workflow, steps: Steps, step: WorkflowStep, event: events.StepRoundBegun, _: datetime
) -> WorkflowStep:
    (block,) = inner_blocks(outline_of(state.definition)[step.definition_id].definition)
    open_block(steps, state.earlier_attempts, block, f"{step.id}[{event.round}]/", step.id)
    return replace(step, round=event.round, done=None)


def _round_ended(
    _: Workflow, __: Steps, step: WorkflowStep, event: events.StepRoundEnded, ___: datetime
) -> WorkflowStep:
    return replace(step, done=event.done)


def _completed(
    state: Workflow, _: Steps, step: WorkflowStep, event: events.StepCompleted, now: datetime
) -> WorkflowStep:
    number = state.completed_steps + 1
    failure = step.failure if event.handled else None
    return ended(step, now, result=event.result, handled=event.handled, number=number, failure=failure, reason="")


def _retry_scheduled(
    _: Workflow, __: Steps, step: WorkflowStep, event: events.StepRetryScheduled, now: datetime
) -> WorkflowStep:
    return ended(step, now, failure=event.failure, due_at=event.retry_at, retries=step.retries + 1)


def _handler_begun(
    state: Workflow, steps: Steps, step: WorkflowStep, event: events.StepHandlerBegun, now: datetime
) -> WorkflowStep:
    definition = outline_of(state.definition)[step.definition_id].definition
    open_block(steps, state.earlier_attempts, definition.handler, step.prefix, step.id)
    return ended(step, now, failure=event.failure)


def _failed(_: Workflow, __: Steps, step: WorkflowStep, event: events.StepFailed, now: datetime) -> WorkflowStep:
    return ended(step, now, failure=event.failure)


def _without(_: Workflow, __: Steps, step: WorkflowStep, event: Any, now: datetime) -> WorkflowStep:
    return ended(step, now, reason=event.reason, because=event.because)


def _compensation_begun(
    state: Workflow, steps: Steps, step: WorkflowStep, _: events.StepCompensationBegun, __: datetime
) -> WorkflowStep:
    compensation = outline_of(state.definition)[step.definition_id].definition.compensation
    assert compensation is not None, "only a step that has one is compensated"
    open_block(steps, state.earlier_attempts, (compensation,), step.prefix, step.id)
    return step


# --- Several steps ----------------------------------------------------------------------------------------------------


def _cancel(steps: Steps, step_ids: Iterable[str], event: type[Event], reason: str, now: datetime) -> None:
    """Move those steps that have not ended: what runs is being cancelled, the others are cancelled."""
    for step_id in step_ids:
        step = steps[step_id]
        if step.status in OVER or step.status is _S.FAILED:
            continue
        status = status_after(step.status, event)
        if status is _S.CANCELLED:
            steps[step_id] = ended(replace(step, status=status), now, reason=reason)
        else:
            ends_as = _S.CANCELLED
            moved = replace(step, status=status)
            steps[step_id] = ended(moved, step.ended_at, ends_as=ends_as, failure=None, reason=reason)


def _cancelling(
    _: Workflow, steps: Steps, step: WorkflowStep, event: events.StepCancelling, now: datetime
) -> WorkflowStep:
    inner = descendants(children_of(steps), step.id)
    _cancel(steps, inner, events.StepCancelling, event.reason, now)
    if step.status is _S.CANCELLED:
        return ended(step, now, reason=event.reason, because=event.because)
    still = {"ends_as": event.ends_as, "failure": event.failure, "reason": event.reason, "because": event.because}
    return ended(step, step.ended_at, **still)


def _step_cancelling(
    state: Workflow, event: events.StepCancelling, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    after = _one_cancelling(state, event, fact, status)
    steps = dict(after.steps)
    timeouts.set_around(after, steps, steps[event.step_id], fact.time)
    return replace(after, steps=steps)


_one_cancelling = _of_step(_cancelling)


def _workflow_cancelling(
    state: Workflow, event: events.WorkflowCancelling, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    steps = dict(state.steps)
    _cancel(steps, list(steps), events.WorkflowCancelling, event.reason, fact.time)
    return replace(
        state,
        status=status,
        steps=steps,
        current_step_index=top_index(state, steps),
        ends_as=event.ends_as,
        reason=event.reason,
        failure=event.failure,
        paused_because=None,
        ended_at=None,
        deadline_at=None,
        time_left=None,
    )


def _workflow_completed(
    state: Workflow, event: events.WorkflowCompleted, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    reason = "the workflow did not need it"
    steps = {
        step.id: ended(replace(step, status=status_after(step.status, type(event))), fact.time, reason=reason)
        if step.status is _S.PENDING
        else step
        for step in state.steps.values()
    }
    return replace(
        state,
        status=status,
        steps=steps,
        current_step_index=top_index(state, steps),
        outputs=event.outputs,
        ended_at=fact.time,
        ends_as=None,
        paused_because=None,
        deadline_at=None,
        time_left=None,
    )


_one_skipped = _of_step(_without)


def _step_skipped(state: Workflow, event: events.StepSkipped, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    after = _one_skipped(state, event, fact, status)
    if state.steps[event.step_id].status is _S.FAILED:
        after = enclosing_active_again(after, event.step_id, fact.time)
    again = active_again(state, fact.time)
    return replace(after, **again) if again else after


# --- The whole --------------------------------------------------------------------------------------------------------


def _workflow_started(_: None, event: events.WorkflowStarted, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    definition = event.definition
    steps = {step.id: step for step in event.past}
    open_block(steps, {}, definition.steps, "", None)
    state = Workflow(
        id=event.workflow_id,
        status=status,
        definition=definition,
        steps=steps,
        created_by=fact.actor,
        created_at=fact.time,
        inputs=event.inputs,
        context={**definition.context, **event.context},
        parent=event.parent,
        pins=event.pins,
        revision=event.revision,
        forked_from=event.forked_from,
        completed_steps=max((step.number for step in event.past), default=0),
        deadline_at=timeouts.later(fact.time, definition.deadline),
    )
    return replace(state, current_step_index=top_index(state, steps)) if event.past else state


def _workflow_failed(
    state: Workflow, event: events.WorkflowFailed, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    left = state.time_left if state.deadline_at is None else timeouts.left(state.deadline_at, fact.time)
    clock = {"deadline_at": None, "time_left": None if event.lasting else left}
    return replace(
        state,
        status=status,
        failure=event.failure,
        lasting=event.lasting,
        ends_as=None,
        paused_because=None,
        ended_at=fact.time,
        **clock,
    )


def _context_updated(
    state: Workflow, event: events.WorkflowContextUpdated, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    kept = {key: value for key, value in state.context.items() if key not in event.removed}
    return replace(state, status=status, context={**kept, **event.values})


def _signal_received(
    state: Workflow, event: events.WorkflowSignalReceived, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    key = event.signal.key
    keys = state.signal_keys if key is None else (*state.signal_keys, key)
    return replace(state, status=status, signals=(*state.signals, event.signal), signal_keys=keys)


_one_completed = _of_step(_completed)


def _step_completed(
    state: Workflow, event: events.StepCompleted, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    after = _one_completed(state, event, fact, status)
    if event.signal is None:
        return after
    index = next(index for index, signal in enumerate(state.signals) if signal.name == event.signal)
    return replace(after, signals=(*state.signals[:index], *state.signals[index + 1 :]))


def _paused(state: Workflow, event: events.WorkflowPaused, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    steps = {step.id: timeouts.stopped(step, fact.time) for step in state.steps.values()}
    left = timeouts.left(state.deadline_at, fact.time)
    reason = event.reason
    return replace(state, status=status, steps=steps, paused_because=reason, deadline_at=None, time_left=left)


def _workflow_resumed(
    state: Workflow, event: events.WorkflowResumed, fact: HappenedFact, status: WorkflowStatus
) -> Workflow:
    held = timeouts.held(state.steps)
    steps = {step.id: step if step.id in held else timeouts.running(step, fact.time) for step in state.steps.values()}
    deadline = timeouts.later(fact.time, state.time_left)
    return replace(state, status=status, steps=steps, paused_because=None, deadline_at=deadline, time_left=None)


_EVOLVERS: Mapping[type[Event], Evolve[Workflow]] = MappingProxyType(
    {
        events.WorkflowStarted: _workflow_started,
        events.StepDecided: _of_step(_decided),
        events.StepStarted: _of_step(_started),
        events.StepAwaitingApproval: _of_step(_awaiting),
        events.StepResumed: _of_step(_resumed),
        events.StepChosen: _of_step(_chosen),
        events.StepExpanded: _of_step(_expanded),
        events.StepItemsBegun: _of_step(_items_begun),
        events.StepRoundBegun: _of_step(_round_begun),
        events.StepRoundEnded: _of_step(_round_ended),
        events.StepCompleted: _step_completed,
        events.StepRetryScheduled: _of_step(_retry_scheduled),
        events.StepHandlerBegun: _of_step(_handler_begun),
        events.StepFailed: _of_step(_failed),
        events.StepCancelling: _step_cancelling,
        events.StepCancelled: _of_step(_without),
        events.StepSkipped: _step_skipped,
        events.StepRetried: step_retried,
        events.StepCompensationBegun: _of_step(_compensation_begun),
        events.WorkflowContextUpdated: _context_updated,
        events.WorkflowSignalReceived: _signal_received,
        events.WorkflowPaused: _paused,
        events.WorkflowResumed: _workflow_resumed,
        events.WorkflowCancelling: _workflow_cancelling,
        events.WorkflowCompensating: sets("ends_as", "failure"),
        events.WorkflowCompleted: _workflow_completed,
        events.WorkflowFailed: _workflow_failed,
        events.WorkflowCancelled: sets("reason", ended_at=TIME, ends_as=None, deadline_at=None, time_left=None),
        events.WorkflowCommandRefused: status_only,
    }
)

WORKFLOW = Aggregate(
    name="workflow",
    state=Workflow,
    statuses=WorkflowStatus,
    table=TABLE,
    restartable=frozenset({WorkflowStatus.FAILED}),
    after_the_end=frozenset({events.WorkflowCommandRefused}),
    evolvers=_EVOLVERS,
)
