"""Containers: how the steps in them decide how they end. Pure.

A container never fails while something in it runs or can start. One that needs only some of its members completes as
soon as it has them; what runs in it continues, except with `Join.FIRST`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workflow import (
    LIVE,
    ConditionalStep,
    ForEachStep,
    Join,
    LoopStep,
    ParallelStep,
    StepDefinition,
    StepStatus,
    Workflow,
    WorkflowStep,
    inner_blocks,
    outline_of,
)
from aura_engine.decisions._workflow_joins import (
    block_end,
    failure_of,
    last_output,
    outputs_of,
)


class Completes(NamedTuple):
    """The container completes with a result."""

    result: object


class Fails(NamedTuple):
    """The container fails."""

    failure: Failure


class Cancels(NamedTuple):
    """Some of its members have to be cancelled first."""

    steps: tuple[WorkflowStep, ...]


class BeginsItems(NamedTuple):
    """The next items of a for_each begin."""

    number: int


class BeginsRound(NamedTuple):
    """The next round of a loop begins."""

    round: int


ContainerResult = Completes | Fails | Cancels | BeginsItems | BeginsRound | None
"""None: it waits."""


def container_result(workflow: Workflow, step: WorkflowStep, *, paused: bool) -> ContainerResult:
    """Return what happens next to a container that runs, or to its items that still have to begin."""
    definition = outline_of(workflow.definition)[step.definition_id].definition
    match definition.config:
        case ParallelStep() as config:
            return _of_parallel(workflow, step, config)
        case ConditionalStep():
            return _of_choice(workflow, step, definition)
        case ForEachStep() as config:
            return _of_items(workflow, step, config, paused=paused)
        case LoopStep() as config:
            return _of_loop(workflow, step, config, paused=paused)
        case _:
            return None


def handler_result(workflow: Workflow, step: WorkflowStep) -> Completes | Fails | None:
    """Return how the handler of a step has ended; it fails with the failure of the step."""
    block = outline_of(workflow.definition)[step.definition_id].definition.handler
    end = block_end(workflow, _members(workflow, step.prefix, block))
    if end is None:
        return None
    if end.failed is None:
        return Completes(last_output(workflow, step.prefix, block))
    assert step.failure is not None, "a handler runs because of a failure"
    return Fails(step.failure)


def round_is_over(workflow: Workflow, step: WorkflowStep) -> bool:
    """Whether the round of a running loop has completed, so that its condition must be evaluated."""
    if step.round == 0 or step.done is not None:
        return False
    (block,) = inner_blocks(outline_of(workflow.definition)[step.definition_id].definition)
    end = block_end(workflow, _members(workflow, f"{step.id}[{step.round}]/", block))
    return end is not None and end.failed is None


def _members(workflow: Workflow, prefix: str, block: tuple[StepDefinition, ...]) -> Iterator[WorkflowStep]:
    return (workflow.steps[prefix + one.id] for one in block)


def _of_choice(workflow: Workflow, step: WorkflowStep, definition: StepDefinition) -> ContainerResult:
    if step.outcome is None:
        return None
    blocks_ = inner_blocks(definition)
    block = blocks_[step.outcome]
    end = block_end(workflow, _members(workflow, step.prefix, block))
    if end is None:
        return None
    if end.failed is not None:
        return Fails(failure_of(end.failed))
    case = step.outcome if step.outcome < len(blocks_) - 1 else None
    return Completes({"case": case, "output": last_output(workflow, step.prefix, block)})


def _of_loop(workflow: Workflow, step: WorkflowStep, config: LoopStep, *, paused: bool) -> ContainerResult:
    if step.round == 0:
        return None if paused else BeginsRound(1)
    prefix = f"{step.id}[{step.round}]/"
    if step.done:
        return Completes(last_output(workflow, prefix, config.steps))
    if step.done is None:
        end = block_end(workflow, _members(workflow, prefix, config.steps))
        return None if end is None or end.failed is None else Fails(failure_of(end.failed))
    if step.round >= config.limit:
        message = f"its condition did not hold after {step.round} rounds"
        return Fails(Failure(FailureReason.LIMIT_REACHED, message))
    return None if paused else BeginsRound(step.round + 1)


# --- Joins over members -----------------------------------------------------------------------------------------------


def _needed(join: Join, n: int | None) -> int | None:
    """Return how many have to complete; None if the join is not about a number."""
    match join:
        case Join.ANY_SUCCEEDED:
            return 1
        case Join.N_OF | Join.FIRST:
            return n or 1
        case _:
            return None


def _settled(join: Join, needed: int | None, completed: int, failed: WorkflowStep | None) -> Fails | None:
    """Return the failure of a container that has come to rest without what it needs; None if it completes."""
    if needed is None and (join is Join.ALL_DONE or failed is None):
        return None
    if failed is not None:
        return Fails(failure_of(failed))
    message = f"{completed} of the {needed} completed that it needs"
    return Fails(Failure(FailureReason.PART_FAILED, message))


def _of_parallel(workflow: Workflow, step: WorkflowStep, config: ParallelStep) -> ContainerResult:
    members = list(_members(workflow, step.prefix, config.steps))
    needed = _needed(config.join, config.n)
    completed = sum(one.status is StepStatus.COMPLETED for one in members)
    if needed is not None and completed >= needed:
        others = _not_over(members) if config.join is Join.FIRST else ()
        return Cancels(others) if others else Completes(outputs_of(workflow, step.prefix, config.steps))
    end = block_end(workflow, members)
    if end is None:
        return None
    failed = _settled(config.join, needed, completed, end.failed)
    return failed or Completes(outputs_of(workflow, step.prefix, config.steps))


def _not_over(members: list[WorkflowStep]) -> tuple[WorkflowStep, ...]:
    return tuple(one for one in members if one.status is StepStatus.PENDING or one.status in LIVE)


class _Items(NamedTuple):
    """How far the items of a for_each are."""

    completed: int
    running: list[list[WorkflowStep]]
    """The steps of each item that has begun and not come to rest."""
    failed: WorkflowStep | None
    """What failed in the first item that failed."""


def _items(workflow: Workflow, step: WorkflowStep, config: ForEachStep) -> _Items:
    running: list[list[WorkflowStep]] = []
    completed, failed = 0, None
    for index in range(step.begun):
        members = list(_members(workflow, f"{step.id}[{index}]/", config.steps))
        end = block_end(workflow, members)
        if end is None:
            running.append(members)
        elif end.failed is None:
            completed += 1
        elif failed is None:
            failed = end.failed
    return _Items(completed, running, failed)


def _of_items(workflow: Workflow, step: WorkflowStep, config: ForEachStep, *, paused: bool) -> ContainerResult:
    if step.items is None:
        return None
    needed = _needed(config.join, config.n)
    items = _items(workflow, step, config)
    enough = needed is not None and items.completed >= needed
    if enough and config.join is Join.FIRST:
        if others := tuple(one for members in items.running for one in _not_over(members)):
            return Cancels(others)
    elif (step.status is StepStatus.COMPLETED or not enough) and not paused:
        room = config.concurrency or len(step.items)
        if (more := min(len(step.items) - step.begun, room - len(items.running))) > 0:
            return BeginsItems(more)
    rests = not items.running and step.begun == len(step.items)
    if step.status is StepStatus.COMPLETED or not (enough or rests):
        return None
    failed = None if enough else _settled(config.join, needed, items.completed, items.failed)
    return failed or Completes(_item_outputs(workflow, step, config))


def _item_outputs(workflow: Workflow, step: WorkflowStep, config: ForEachStep) -> list[object]:
    """Return for each item the output of its last step, None where it has none."""
    count = len(step.items or ())
    begun = [last_output(workflow, f"{step.id}[{index}]/", config.steps) for index in range(step.begun)]
    return begun + [None] * (count - step.begun)
