"""Parts: a task that was split completes with its parts."""

from aura_contracts.actors import ENGINE
from aura_contracts.ids import TaskId
from aura_contracts.task import TASK, CompleteTask, Task, TaskStatus
from aura_engine.unit_of_work import UnitOfWork

_OVER = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.DELETED})


async def complete_whole(unit: UnitOfWork, part: Task) -> None:
    """Complete the task that `part` is a part of, in the unit that ends `part`, if it was the last one; and so on up.

    Parts that were cancelled or deleted hold nothing up, but one at least has to be completed. A failed part may be
    retried. Recording the unit fails if another part has ended meanwhile, so the last of two sees the other.
    """
    while part.parent_id is not None:
        whole = await unit.get(TASK, part.parent_id)
        if whole is None or whole.status is not TaskStatus.APPROVED or part.id not in whole.subtask_ids:
            return
        statuses = [await _status(unit, task_id) for task_id in whole.subtask_ids]
        if not set(statuses) <= _OVER or TaskStatus.COMPLETED not in statuses:
            return
        result = {"parts": statuses.count(TaskStatus.COMPLETED)}
        part = await unit.acting_as(ENGINE).handle(whole.id, CompleteTask(result=result))


async def _status(unit: UnitOfWork, task_id: TaskId) -> TaskStatus | None:
    task = await unit.get(TASK, task_id)
    return None if task is None else task.status
