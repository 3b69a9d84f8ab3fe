"""Resets: how steps become pending again, with what follows from it. See `aura_contracts.workflow`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from aura_contracts.aggregate import HappenedFact
from aura_contracts.workflow import _timeouts as timeouts
from aura_contracts.workflow import event_types as events
from aura_contracts.workflow._steps import Steps, children_of, descendants, status_after, top_index
from aura_contracts.workflow.outline import BlockRole, Outline, outline_of
from aura_contracts.workflow.records import WorkflowStep
from aura_contracts.workflow.state import Workflow
from aura_contracts.workflow.values import StepStatus, WorkflowStatus

_S = StepStatus


def _reset(step: WorkflowStep, event: events.StepRetried) -> WorkflowStep:
    """Return a step that is pending again: what is known of its items and its choice stays."""
    same_series = step.status is _S.RETRYING
    return WorkflowStep(
        id=step.id,
        status=_S.PENDING,
        parent=step.parent,
        attempts=step.attempts,
        retries=step.retries if same_series else 0,
        decided=step.decided and same_series,
        items=step.items,
        outcome=None if event.fresh else step.outcome,
        begun=0 if event.fresh else step.begun,
        round=0 if event.fresh else step.round,
        failure=step.failure if same_series else None,
    )


def runs_again(step: WorkflowStep) -> bool:
    """Whether a step within a container runs again when a human retries that: it did not come to an end of its own."""
    stays = step.status is _S.COMPLETED or (step.status is _S.SKIPPED and not step.because)
    return not stays


def _remove(steps: Steps, children: Mapping[str | None, list[str]], step_ids: Iterable[str]) -> dict[str, int]:
    """Remove steps, and all in them, until their blocks begin again; return their attempts."""
    gone: dict[str, int] = {}
    for step_id in step_ids:
        for inner in (step_id, *descendants(children, step_id)):
            if (step := steps.pop(inner, None)) is not None:
                gone[inner] = step.attempts
    return gone


def _handlers(outline: Outline, children: Mapping[str | None, list[str]], step_id: str) -> list[str]:
    """Return the addresses of the steps of the handler of a step, which begins again each time."""
    inner = children.get(step_id, [])
    return [one for one in inner if outline[one.rpartition("/")[2]].role is BlockRole.HANDLER]


def _reset_within(
    state: Workflow, steps: Steps, children: Mapping[str | None, list[str]], event: events.StepRetried
) -> dict[str, int]:
    """Reset what is in the steps that an event names; return the attempts of the steps that are gone."""
    outline = outline_of(state.definition)
    gone: dict[str, int] = {}
    ahead = [event.step_id, *event.resets]
    if event.fresh:
        gone = _remove(steps, children, children.get(event.step_id, []))
    while ahead:
        around = ahead.pop()
        gone |= _remove(steps, children, _handlers(outline, children, around))
        for inner in children.get(around, []):
            if inner in steps and runs_again(steps[inner]):
                steps[inner] = _reset(steps[inner], event)
                ahead.append(inner)
    return gone


def step_retried(state: Workflow, event: events.StepRetried, fact: HappenedFact, status: WorkflowStatus) -> Workflow:
    """Evolve: reset the steps that the event names, and have what had failed of them run again."""
    steps = dict(state.steps)
    children = children_of(steps)
    for step_id in (event.step_id, *event.resets):
        before = steps.get(step_id)
        status_after(before.status if before else None, events.StepRetried)
        assert before is not None, "what is not there has no row"
        steps[step_id] = _reset(before, event)
    gone = _reset_within(state, steps, children, event)
    gone |= _reactivate(state, steps, children, event.step_id, fact.time)
    earlier = {**state.earlier_attempts, **gone} if gone else state.earlier_attempts
    return replace(
        state,
        status=status,
        steps=steps,
        earlier_attempts=earlier,
        current_step_index=top_index(state, steps),
        **active_again(state, fact.time),
    )


def active_again(state: Workflow, now: datetime) -> dict[str, Any]:
    """Return the changes of a failed workflow that is active again; none for others."""
    if state.status is not WorkflowStatus.FAILED:
        return {}
    return {
        "failure": None,
        "ended_at": None,
        "deadline_at": timeouts.later(now, state.time_left),
        "time_left": None,
    }


def enclosing_active_again(state: Workflow, step_id: str, now: datetime) -> Workflow:
    """Return the state in which what encloses a step and had failed runs again: a human skipped the step."""
    steps = dict(state.steps)
    gone = _reactivate(state, steps, children_of(steps), step_id, now)
    earlier = {**state.earlier_attempts, **gone} if gone else state.earlier_attempts
    return replace(state, steps=steps, earlier_attempts=earlier, current_step_index=top_index(state, steps))


def _reactivate(
    state: Workflow, steps: Steps, children: Mapping[str | None, list[str]], step_id: str, now: datetime
) -> dict[str, int]:
    """Have what encloses a step and had failed run again, with the whole of its timeout.

    Return the attempts of the steps that are gone: a handler begins again.
    """
    outline = outline_of(state.definition)
    gone: dict[str, int] = {}
    inner = steps[step_id]
    while inner.parent is not None and outline[inner.definition_id].role is not BlockRole.COMPENSATION:
        around = steps[inner.parent]
        if around.status is _S.FAILED and outline[inner.definition_id].role is BlockRole.HANDLER:
            steps[around.id] = replace(around, status=_S.HANDLING)
        elif around.status is _S.FAILED:
            left = outline[around.definition_id].definition.timeout
            moved = replace(around, status=_S.RUNNING, ended_at=None, failure=None, time_left=left)
            paused = state.status is WorkflowStatus.PAUSED
            steps[around.id] = moved if paused else timeouts.running(moved, now)
            gone |= _remove(steps, children, _handlers(outline, children, around.id))
        inner = around
    return gone
