"""Parts: what an event of one task means for the task that it is a part of, recorded in the same unit of work.

    created, moved   the task above knows its parts
    ended            the task above completes with its parts, or fails with one of them, as its policy says

A task completes with its parts if it was decomposed, or if no agent was ever given it; one with work of its own
completes with that work. Recording the unit fails if another part has ended meanwhile, so the last of two that end at
one moment sees the other.
"""

from typing import Any, Protocol, TypeVar

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
)

S = TypeVar("S", bound=State)

_OVER = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.DELETED})
_OPEN = frozenset({TaskStatus.PENDING, TaskStatus.APPROVED})


class Unit(Protocol):
    """A unit of work."""

    def acting_as(self, actor: Actor) -> "Unit": ...
    async def get(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S | None: ...
    async def handle(self, aggregate_id: StreamId, command: Command[S]) -> S: ...


async def follow(unit: Unit, before: Task | None, after: Task) -> None:
    """Add to `unit` what a change of a task means for the task above it."""
    old = None if before is None else before.parent_id
    if old != after.parent_id:
        await _move(unit.acting_as(ENGINE), after, old)
    if after.parent_id is not None and after.ended and (before is None or before.status is not after.status):
        await _roll_up(unit.acting_as(ENGINE), after, after.parent_id)


async def _move(unit: Unit, part: Task, old: TaskId | None) -> None:
    if old is not None and (above := await unit.get(TASK, old)) is not None and not above.final:
        await unit.handle(old, RemovePart(part_id=part.id))
        await _complete_if_over(unit, old)
    if part.parent_id is not None:
        await unit.handle(part.parent_id, AddPart(part_id=part.id))


async def _roll_up(unit: Unit, part: Task, whole_id: TaskId) -> None:
    whole = await unit.get(TASK, whole_id)
    if whole is None or not whole.rolls_up or part.id not in whole.subtask_ids:
        return
    if part.status is TaskStatus.FAILED and whole.on_part_failure is PartPolicy.FAIL and whole.status in _OPEN:
        why = f": {part.failure.message}" if part.failure is not None and part.failure.message else ""
        failure = Failure(FailureReason.PART_FAILED, bounded(f"part {part.id} ({part.title}) has failed{why}"))
        await unit.handle(whole_id, FailTask(failure=failure))
        return
    await _complete_if_over(unit, whole_id)


async def _complete_if_over(unit: Unit, whole_id: TaskId) -> None:
    """Complete a task if all of its parts are over, one of them completed.

    Parts that were cancelled or deleted hold nothing up, nor does a failed one that its policy ignores.
    """
    whole = await unit.get(TASK, whole_id)
    if whole is None or not whole.rolls_up or not _is_open(whole):
        return
    over = _OVER | {TaskStatus.FAILED} if whole.on_part_failure is PartPolicy.IGNORE else _OVER
    statuses: list[Any] = [await _status(unit, part_id) for part_id in whole.subtask_ids]
    if over.issuperset(statuses) and TaskStatus.COMPLETED in statuses:
        await unit.handle(whole_id, CompleteTask(result={"parts": statuses.count(TaskStatus.COMPLETED)}))


def _is_open(whole: Task) -> bool:
    """Whether it waits for its parts, or has failed with one of them."""
    by_part = whole.failure is not None and whole.failure.reason is FailureReason.PART_FAILED
    return whole.status in _OPEN or (whole.status is TaskStatus.FAILED and by_part)


async def _status(unit: Unit, task_id: TaskId) -> TaskStatus | None:
    task = await unit.get(TASK, task_id)
    return None if task is None else task.status
