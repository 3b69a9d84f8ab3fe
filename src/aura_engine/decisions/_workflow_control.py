"""What people do with single steps of a workflow: retry, skip, cancel. Pure."""

from collections.abc import Iterator

from aura_contracts.errors import AggregateNotFound, TransitionRefused
from aura_contracts.events import Event
from aura_contracts.workflow import (
    CONTAINERS,
    LIVE,
    STEP_TABLE,
    BlockRole,
    CancelStep,
    ConditionalStep,
    LoopStep,
    RetryStep,
    SkipStep,
    StepCancelled,
    StepCancelling,
    StepCommand,
    StepDefinition,
    StepRetried,
    StepSkipped,
    StepStatus,
    StepType,
    Workflow,
    WorkflowStatus,
    WorkflowStep,
    inner_blocks,
    outline_of,
    runs_again,
)
from aura_engine.decisions._decider import Context, Events, RuleBroken, is_human

_S = StepStatus


def require_step(state: Workflow, command: StepCommand) -> WorkflowStep:
    """Return the step that the command names."""
    if (step := state.steps.get(command.step_id)) is not None:
        return step
    known = command.step_id.rpartition("/")[2] in outline_of(state.definition)
    remedy = "what it is in has not begun" if known else f"its steps are {', '.join(list(state.steps)[:50])}"
    raise AggregateNotFound(
        aggregate="workflow step",
        aggregate_id=f"{state.id}/{command.step_id}",
        command=type(command).__name__,
        remedy=remedy,
    )


def require_step_table(
    state: Workflow, step: WorkflowStep, command: StepCommand, events: tuple[type[Event], ...] = ()
) -> None:
    """Refuse a command if none of its events, or of `events`, has a row in the step's table."""
    events = events or command.emits
    if not STEP_TABLE.get(step.status, {}).keys().isdisjoint(events):
        return
    raise TransitionRefused(
        aggregate="workflow step",
        aggregate_id=f"{state.id}/{step.id}",
        command=type(command).__name__,
        status=step.status,
        allowed_in=tuple(
            str(status) for status, row in STEP_TABLE.items() if status and not row.keys().isdisjoint(events)
        ),
    )


def require_possible_step(state: Workflow, command: StepCommand) -> tuple[WorkflowStep, StepDefinition]:
    """Return the step that the command names, and its definition."""
    step = require_step(state, command)
    require_step_table(state, step, command)
    return step, outline_of(state.definition)[step.definition_id].definition


# --- Cancel and skip --------------------------------------------------------------------------------------------------


def cancel_step(state: Workflow, command: CancelStep, context: Context) -> Events:
    """Cancel what runs; what does not run is cancelled at once."""
    step, _ = require_possible_step(state, command)
    if step.status is _S.CANCELLING:
        return []
    if step.status in LIVE and step.status is not _S.RETRYING:
        return [StepCancelling(step_id=step.id, reason=command.reason)]
    return [StepCancelled(step_id=step.id, reason=command.reason)]


def skip_step(state: Workflow, command: SkipStep, context: Context) -> Events:
    """Skip what does not run; what runs is cancelled first."""
    step, definition = require_possible_step(state, command)
    _require_may_continue(state, step)
    _require_no_approval(state, step, definition, context)
    if step.status is _S.CANCELLING:
        return []
    if step.status in LIVE and step.status is not _S.RETRYING:
        return [StepCancelling(step_id=step.id, reason=command.reason, ends_as=_S.SKIPPED)]
    return [StepSkipped(step_id=step.id, reason=command.reason)]


def _require_may_continue(state: Workflow, step: WorkflowStep) -> None:
    """Refuse to continue what has failed for good, or is being undone: then only compensations run."""
    if state.lasting:
        raise RuleBroken("lasting", "the workflow has failed for good", "start it again")
    undoes = outline_of(state.definition)[step.definition_id].role is BlockRole.COMPENSATION
    if state.status is WorkflowStatus.COMPENSATING and not undoes:
        reason = f"what the workflow has done is being undone, and step {step.id!r} undoes nothing"
        raise RuleBroken("compensating", reason, "wait until it has ended, then fork it or start it again")


def _require_no_approval(state: Workflow, step: WorkflowStep, definition: StepDefinition, context: Context) -> None:
    """A human does not pass by an approval, not even by skipping what contains it."""
    asks = (one.id for one in _members(definition) if one.type is StepType.HUMAN_APPROVAL)
    first = next(asks, None)
    if first is not None and is_human(context):
        reason = f"step {first!r} is a human approval; to skip {step.id!r} would pass it by"
        raise RuleBroken("approval_required", reason, "approve it, or cancel the workflow")


def _members(definition: StepDefinition) -> Iterator[StepDefinition]:
    yield definition
    for block in inner_blocks(definition):
        for one in block:
            yield from _members(one)


# --- Retry ------------------------------------------------------------------------------------------------------------


def retry_step(state: Workflow, command: RetryStep, context: Context) -> Events:
    """Make a step pending again, with what was skipped because of it."""
    step, definition = require_possible_step(state, command)
    _require_may_continue(state, step)
    reactivated = list(_require_around(state, step))
    fresh = definition.type in CONTAINERS and not _has_more(state, step)
    return [StepRetried(step_id=step.id, resets=_skipped_because(state, [step, *reactivated]), fresh=fresh)]


def _require_around(state: Workflow, step: WorkflowStep) -> Iterator[WorkflowStep]:
    """Yield the failed steps around a step, which run again; refuse if something around it is not of the present."""
    outline = outline_of(state.definition)
    inner = step
    while inner.parent is not None:
        around, place = state.steps[inner.parent], outline[inner.definition_id]
        runs = _S.HANDLING if place.role is BlockRole.HANDLER else _S.RUNNING
        if place.role is BlockRole.COMPENSATION:
            return
        if around.status not in (runs, _S.FAILED) or not _is_present(
            outline[around.definition_id].definition, around, inner
        ):
            reason = f"step {step.id!r} is in {around.id!r}, which is {around.status} or has continued without it"
            raise RuleBroken("container", reason, f"retry {around.id}")
        if around.status is _S.FAILED:
            yield around
        inner = around


def _is_present(definition: StepDefinition, around: WorkflowStep, inner: WorkflowStep) -> bool:
    """Whether the round or case of a step is the one that its container is at."""
    match definition.config:
        case LoopStep():
            handled = any(inner.definition_id == one.id for one in definition.handler)
            return handled or inner.prefix == f"{around.id}[{around.round}]/"
        case ConditionalStep():
            return around.outcome is not None or around.status is _S.FAILED
        case _:
            return True


def _has_more(state: Workflow, step: WorkflowStep) -> bool:
    """Whether something in a container did not complete, so that only that runs again."""
    outline = outline_of(state.definition)
    return any(
        one.parent == step.id and outline[one.definition_id].role is BlockRole.MEMBER and runs_again(one)
        for one in state.steps.values()
    )


def _skipped_because(state: Workflow, causes: list[WorkflowStep]) -> tuple[str, ...]:
    """Return the addresses of the steps that were skipped because of others, directly or not."""
    outline = outline_of(state.definition)
    found: dict[str, None] = {}
    ahead = list(causes)
    while ahead:
        cause = ahead.pop()
        for name in outline[cause.definition_id].dependents:
            step = state.steps.get(cause.prefix + name)
            if step is not None and step.status is _S.SKIPPED and cause.id in step.because and step.id not in found:
                found[step.id] = None
                ahead.append(step)
    return tuple(found)
