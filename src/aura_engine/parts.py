"""Parts: what an event of one task means for the task that it is a part of, recorded in the same unit of work.

    created, moved   the task above knows its parts
    ended            the task above completes with its parts, or fails with one of them, as its policy says
    edited           a task whose policy changes does so with parts that had ended before; so does one that its agent
                     gave back

A task completes with its parts if it was decomposed, or if no agent was ever given it; one with work of its own
completes with that work. Recording the unit fails if another part has ended meanwhile, so the last of two that end at
one moment sees the other.
"""

from typing import Protocol, TypeVar

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.aggregate import Aggregate, Command, State
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import StreamId, TaskId
from aura_contracts.quoting import bounded
from aura_contracts.task import (
    TASK,
    AddPart,
    CompleteTask,
    FailTask,
    PartPolicy,
    RemovePart,
    Task,
    TaskStatus,
    are_over,
    has_completed,
)

S = TypeVar("S", bound=State)

_OPEN = frozenset({TaskStatus.PENDING, TaskStatus.APPROVED})


class Unit(Protocol):
    """A unit of work."""

    def acting_as(self, actor: Actor) -> "Unit": ...
    async def get(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S | None: ...
    async def handle(self, aggregate_id: StreamId, command: Command[S]) -> S: ...


async def follow(unit: Unit, before: Task | None, after: Task) -> None:
    """Add to `unit` what a change of a task means for the task above it, and for itself if it completes with parts."""
    old = None if before is None else before.parent_id
    if old != after.parent_id:
        await _move(unit.acting_as(ENGINE), after, old)
    if after.parent_id is not None and after.ended and (before is None or before.status is not after.status):
        await _judge(unit.acting_as(ENGINE), after.parent_id)
    if before is not None and after.rolls_up and _terms(before) != _terms(after):
        await _judge(unit.acting_as(ENGINE), after.id)


def _terms(whole: Task) -> tuple[bool, PartPolicy]:
    """Return what decides about a task that completes with its parts, besides these."""
    return whole.rolls_up, whole.on_part_failure


async def _move(unit: Unit, part: Task, old: TaskId | None) -> None:
    if old is not None and (above := await unit.get(TASK, old)) is not None and not above.final:
        await unit.handle(old, RemovePart(part_id=part.id))
        await _judge(unit, old)
    if part.parent_id is not None:
        await unit.handle(part.parent_id, AddPart(part_id=part.id))


async def _judge(unit: Unit, whole_id: TaskId) -> None:
    """Complete a task if all of its parts are over, one of them completed; or fail it with one of them."""
    whole = await unit.get(TASK, whole_id)
    if whole is None or not whole.rolls_up or not _is_open(whole):
        return
    parts = [part for part_id in whole.subtask_ids if (part := await unit.get(TASK, part_id)) is not None]
    if len(parts) < len(whole.subtask_ids):  # they are about to be created
        return
    failed = next((part for part in parts if part.status is TaskStatus.FAILED), None)
    if failed is not None and whole.on_part_failure is PartPolicy.FAIL:
        if whole.status in _OPEN:
            await unit.handle(whole_id, FailTask(failure=_failure_of(failed)))
    elif are_over(whole, parts) and has_completed(parts):
        completed = sum(part.status is TaskStatus.COMPLETED for part in parts)
        await unit.handle(whole_id, CompleteTask(result={"parts": completed}))


def _failure_of(part: Task) -> Failure:
    why = f": {part.failure.message}" if part.failure is not None and part.failure.message else ""
    return Failure(FailureReason.PART_FAILED, bounded(f"part {part.id} ({part.title}) has failed{why}"))


def _is_open(whole: Task) -> bool:
    """Whether it waits for its parts, or has failed with one of them."""
    by_part = whole.failure is not None and whole.failure.reason is FailureReason.PART_FAILED
    return whole.status in _OPEN or (whole.status is TaskStatus.FAILED and by_part)
