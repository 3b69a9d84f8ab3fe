"""Waiting circles: tasks that would wait for one another after a command, so that none of them could ever start.

A task waits for those that must complete first (`TaskSpec.after`), and one that completes with its parts for these.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from aura_contracts.aggregate import AnyCommand
from aura_contracts.ids import TaskId
from aura_contracts.task import CreateTask, EditTask, ReparentTask, Task, TaskStatus

Read = Callable[[TaskId], Awaitable[Task | None]]

_DONE = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.DELETED})
"""Tasks that wait for nothing any more."""


async def waiting_circle(read: Read, task_id: TaskId, command: AnyCommand, before: Task | None) -> tuple[TaskId, ...]:
    """Return the path from the task back to itself that `command` would make; empty without one."""
    match command:
        case CreateTask(spec=spec) if spec.after:
            goals = {task_id} if spec.parent_id is None else {task_id, spec.parent_id}
            return await _path(read, task_id, spec.after, goals)
        case EditTask(changes=changes) if changes.after:
            return await _path(read, task_id, changes.after, {task_id})
        case ReparentTask(parent_id=parent_id) if parent_id is not None and before is not None:
            return await _path(read, task_id, (*before.after, *before.subtask_ids), {task_id, parent_id})
    return ()


async def _path(read: Read, start: TaskId, first: Iterable[TaskId], goals: set[TaskId]) -> tuple[TaskId, ...]:
    """Return the shortest path from `start` over one of `first` to one of `goals`, and on to `start`."""
    came_from = dict.fromkeys(first, start)
    ahead = deque(came_from)
    while ahead:
        found = ahead.popleft()
        if found in goals:
            return (*_back(came_from, found, start), *(() if found == start else (start,)))
        task = await read(found)
        if task is None or task.status in _DONE:
            continue
        for other in (*task.after, *task.subtask_ids):
            if other not in came_from:
                came_from[other] = found
                ahead.append(other)
    return ()


def _back(came_from: dict[TaskId, TaskId], end: TaskId, start: TaskId) -> tuple[TaskId, ...]:
    path = [end]
    while True:
        path.append(came_from[path[-1]])
        if path[-1] == start:
            return tuple(reversed(path))
