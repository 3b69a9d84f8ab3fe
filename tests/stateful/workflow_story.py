"""What can happen to a workflow next, as the reference sees it: the moves of `test_workflow_machine`."""

from collections.abc import Iterator
from typing import NamedTuple

from aura_contracts.workflow import values as v
from aura_contracts.workflow.values import WorkflowStatus
from workflow_reference import Reference
from workflow_tree import CANCELLED, FAILED, PENDING, RETRYING, RUNNING, SKIPPED, Step


class Move(NamedTuple):
    """A method of a world, and what it is about."""

    act: str
    about: str | float | None = None

    def make(self, world: object) -> None:
        method = getattr(world, self.act)
        return method() if self.about is None else method(self.about)


def moves_of_the_world(world: Reference) -> list[Move]:
    """What goes on by itself: starting, evaluating, ending; and signals, without which it may wait forever."""
    moves = [Move("start", address) for address in world.may_start()]
    moves += [Move("evaluate", address) for address in world.may_evaluate()]
    moves += [Move("end", address) for address in world.working() + world.to_cancel()]
    waits = [step for step in world.all if isinstance(step.config, v.WaitStep) and step.status is RUNNING]
    moves += [Move("signal", step.config.signal) for step in waits if step.config.signal and not step.handler]
    return list(dict.fromkeys(moves))


def moves_of_time(world: Reference) -> list[Move]:
    moment = world.next_moment()
    return [] if moment is None else [Move("advance", moment)]


def late_moves(world: Reference) -> list[Move]:
    """Work that was to be cancelled completes before it is."""
    return [Move("end_in_time", address) for address in world.to_cancel()]


def moves_of_humans(world: Reference) -> list[Move]:
    if world.final or world.ending:
        return []
    waits = (one.config for one in world.definition.walk() if isinstance(one.config, v.WaitStep))
    moves = [Move("cancel")]
    if world.status is not WorkflowStatus.FAILED:  # it takes none until it runs again
        moves += [Move("signal", config.signal) for config in waits if config.signal]
    if world.status is WorkflowStatus.ACTIVE:
        moves.append(Move("pause"))
    if world.status is WorkflowStatus.PAUSED:
        moves.append(Move("resume"))
    return moves + [move for step in world.top.walk() for move in _moves_about(step)]


def _moves_about(step: Step) -> Iterator[Move]:
    if not _is_current(step):
        return
    if step.status in (FAILED, RETRYING, RUNNING, PENDING) and not _passes_by_a_human(step.definition):
        yield Move("skip", step.address)
    if step.status is RUNNING:
        yield Move("cancel_step", step.address)
    if step.status in (FAILED, RETRYING, CANCELLED) or (step.status is SKIPPED and not step.unreached):
        yield Move("retry", step.address)


def _passes_by_a_human(definition: v.StepDefinition) -> bool:
    """Whether it is an approval or contains one; no human skips those, not even with what is around them."""
    inner = (one for block in definition.blocks if block is not definition.handler for one in block)
    return isinstance(definition.config, v.ApprovalStep) or any(map(_passes_by_a_human, inner))


def _is_current(step: Step) -> bool:
    """Whether what contains it runs or failed because of it, and no handler and no later round took its place."""
    owner = step.block.owner
    if owner is None:
        return True
    current = step.block in owner.body if isinstance(owner.config, v.ForEachStep) else step.block in owner.body[-1:]
    return owner.status in (RUNNING, FAILED) and owner.handler is None and current and _is_current(owner)
