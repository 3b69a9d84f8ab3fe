"""The parts of a task that completes with them: whether they are over, and which hold it up."""

from collections.abc import Sequence

from aura_contracts.quoting import one_line
from aura_contracts.task.state import Task
from aura_contracts.task.values import PartPolicy, TaskStatus

_OVER = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.DELETED})


def are_over(whole: Task, parts: Sequence[Task]) -> bool:
    """Whether none of its `parts` holds a task up: nor does a failed one that its policy ignores."""
    over = _OVER | {TaskStatus.FAILED} if whole.on_part_failure is PartPolicy.IGNORE else _OVER
    return over.issuperset(part.status for part in parts)


def has_completed(parts: Sequence[Task]) -> bool:
    """Whether one of the parts has completed."""
    return any(part.status is TaskStatus.COMPLETED for part in parts)


def held_up(whole: Task, parts: Sequence[Task]) -> Sequence[str]:
    """Return why a task does not complete with its `parts` before a human acts, a line for each reason.

    `parts` are its own ones, not those of its parts; deleted ones may be left out.
    """
    if whole.ended or not whole.rolls_up:
        return []
    if are_over(whole, parts):
        wanted = "it waits until you add another one, assign it, or cancel it"
        return [] if has_completed(parts) else [f"none of its parts has completed: {wanted}"]
    waits = whole.on_part_failure is not PartPolicy.IGNORE
    failed = [part for part in parts if waits and part.status is TaskStatus.FAILED]
    wanted = "it waits until that is retried and completes, or is cancelled"
    return [one_line(f"part {part.id} ({part.title}) has failed: {wanted}") for part in failed]
