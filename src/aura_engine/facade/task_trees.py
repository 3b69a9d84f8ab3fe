"""Task trees: a task and its parts, cancelled or deleted in one decision."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aura_contracts.actors import ENGINE
from aura_contracts.agent import ReleaseAgent, TaskOutcome
from aura_contracts.aggregate import Aggregate
from aura_contracts.execution import EXECUTION, CancelExecution
from aura_contracts.ids import TaskId
from aura_contracts.quoting import bounded
from aura_contracts.task import TASK, CancelTask, DeleteTask, Task, TaskStatus
from aura_engine import runtime
from aura_engine.runtime.views import View, view_in
from aura_engine.unit_of_work import UnitOfWork

Read = Callable[[Aggregate[Task], TaskId], Awaitable[Task | None]]

_KEPT = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.DELETED})
"""Parts whose history says how they ended; the end of the whole changes nothing about it."""


async def parts_of(read: Read, whole: Task) -> Sequence[Task]:
    """Return the parts of a task and theirs, each after the task above it; without deleted ones."""
    found: list[Task] = []
    ahead = list(reversed(whole.subtask_ids))
    while ahead:
        part = await read(TASK, ahead.pop())
        if part is not None and part.status is not TaskStatus.DELETED:
            found.append(part)
            ahead += reversed(part.subtask_ids)
    return found


async def cancel_tree(unit: UnitOfWork, view: View, reason: str, by: str) -> Sequence[Task]:
    """Add to `unit` the end of a task and of all its parts that have not ended; return them, the task first.

    Permission to cancel the task is permission to cancel its parts: they exist for it alone.
    """
    parts = await parts_of(unit.get, view.task)
    cancelled = [await _cancel(unit, view, reason, by)]
    engine, because = unit.acting_as(ENGINE), f"{by} cancelled task {view.task.id}, which it is a part of"
    for part in (part for part in parts if part.status not in _KEPT):
        cancelled += [await _cancel(engine, await view_in(unit, part.id), because, by)]
    return cancelled


async def _cancel(unit: UnitOfWork, view: View, reason: str, by: str) -> Task:
    task, engine, execution = view.task, unit.acting_as(ENGINE), view.execution
    cancelled = await unit.handle(task.id, CancelTask(reason=reason))
    if execution is not None and not execution.final:
        await unit.handle(execution.id, CancelExecution(reason=reason))
    if not view.leased and view.agent is not None and view.agent.has(task.id):  # else once nothing runs any more
        await engine.handle(view.agent.id, ReleaseAgent(task_id=task.id, outcome=TaskOutcome.CANCELLED))
    if task.next_execution_id is not None and execution is not None:
        if not (await unit.require(EXECUTION, task.next_execution_id)).final:
            await unit.handle(task.next_execution_id, CancelExecution(reason=reason))
        if execution.agent_id is not None:
            await runtime.release_former(engine, task, execution.agent_id)
    why = f": {reason}" if reason else ""
    await runtime.withdraw_questions(engine, view, bounded(f"{by} cancelled the task{why}"))
    return cancelled


async def delete_tree(unit: UnitOfWork, task: Task, reason: str) -> Task:
    """Add to `unit` the deletion of a task and of its parts; those that completed or were cancelled stay.

    Raises `TransitionRefused` for a part that an agent works on, or that a human is asked about.
    """
    parts = await parts_of(unit.get, task)
    deleted = await unit.handle(task.id, DeleteTask(reason=reason))
    engine: Any = unit.acting_as(ENGINE)
    for part in parts:
        if part.status not in _KEPT:
            await engine.handle(part.id, DeleteTask(reason=f"task {task.id} was deleted, which it is a part of"))
    return deleted
