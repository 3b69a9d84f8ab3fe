"""Task edits: what changes in the description of a task, and until when its locks may."""

from aura_contracts.execution import ExecutionStatus
from aura_contracts.ids import TaskId
from aura_contracts.task import TASK, EditTask, Task, TaskChanges
from aura_engine.facade.core import Core
from aura_engine.facade.task_refusal import refusal
from aura_engine.runtime.views import View, view_in
from aura_engine.unit_of_work import UnitOfWork

_LOCKS = ("locks", "locked_paths", "on_collision")


async def edit_task(core: Core, task: str, changes: TaskChanges, by: str | None) -> Task:
    """Record the edit of a task; see `Tasks.edit`."""
    command = EditTask(changes=changes)
    if not changes.given().keys() & {*_LOCKS}:
        return await core.handle(TASK, task, command, by)
    task_id = TaskId(await core.find("task", task))

    async def decide(unit: UnitOfWork) -> Task:
        _require_not_begun(await view_in(unit, task_id), changes)
        return await unit.handle(task_id, command)

    return await core.bus.transact(core.actor(by), decide)


def _require_not_begun(view: View, changes: TaskChanges) -> None:
    """Refuse other locks for a task whose agent relies on those that it began with.

    A run in the queue has not begun. It is part of what the decision was made on, and is leased in an append that
    changes it: so either the edit is refused, or the run begins with the locks that the task has then.
    """
    task, run = view.task, view.execution
    same = all(getattr(changes, name) in (None, getattr(task, name)) for name in _LOCKS)
    if same or not task.in_hand or (run is not None and run.status is ExecutionStatus.QUEUED):
        return
    reason = f"its work has begun, with {_described(task)}"
    remedy = "edit them before it begins, or after it has failed; or cancel it and create another task"
    raise refusal(task.id, "edit", reason, remedy)


def _described(task: Task) -> str:
    return f"the locks {', '.join((*task.locks, *task.locked_paths))}" if task.needs_locks else "no locks"
