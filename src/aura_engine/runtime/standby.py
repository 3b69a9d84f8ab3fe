"""Standby: the tasks that other engines drive, and that this engine takes over when those stop.

Invariants:

- A task leaves the standby when it is taken over, or has no work left.
- Only a task whose lock is free is taken over. What another worker has of it is left to the engine of that worker for
  as long as it lives: this engine would have to start it again.
"""

import logging
from collections.abc import Awaitable, Callable

import attrs

from aura_contracts.errors import AuraError
from aura_contracts.ids import TaskId
from aura_contracts.ports.event_log import Locks
from aura_contracts.ports.read_models import TaskQuery
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.views import load_view

_LOG = logging.getLogger(__name__)

_ABSENCES = 3
"""Times in a row that an engine is found without its lock before the work of its worker is taken from it: after an
outage of the database every engine takes its locks again, and for a moment a living one is without."""


def lock_of(task_id: TaskId) -> str:
    """Return the key of the lock under which a task is driven."""
    return f"task:{task_id}"


def lock_of_engine(engine_id: str) -> str:
    """Return the key of the lock that an engine holds while it drives anything."""
    return f"engine:{engine_id}"


@attrs.define(eq=False)
class Standby:
    """Tasks to take over, with the error of the last attempt. Belongs to one event loop."""

    _runtime: Runtime
    _locks: Locks
    _drive: Callable[[TaskId], Awaitable[bool]]
    _notify: Callable[[], None]
    _keep_defect: Callable[[TaskId, Exception], None]
    _tasks: dict[TaskId, AuraError | None] = attrs.field(factory=dict)
    _absences: dict[TaskId, int] = attrs.field(factory=dict)
    """How often in a row the engine that a task is held for was found without its lock."""

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def errors(self) -> dict[TaskId, AuraError | None]:
        """The error of the last attempt to take over each task, None without one."""
        return dict(self._tasks)

    def add(self, task_id: TaskId, error: AuraError | None = None) -> None:
        """Stand by for a task."""
        self._tasks.setdefault(task_id, error)

    def discard(self, task_id: TaskId) -> None:
        """Stand by for a task no longer."""
        self._tasks.pop(task_id, None)
        self._absences.pop(task_id, None)

    async def take_over(self) -> None:
        """Take on each task whose engine has stopped before its end. An error is kept and tried again."""
        for task_id in tuple(self._tasks):
            try:
                await self._take_over(task_id)
            except AuraError as error:
                _LOG.warning("task %s is not taken over: %s", task_id, error)
                self._tasks[task_id] = error
                self._notify()
            except Exception as error:  # noqa: BLE001 - a bug: it concerns only this task
                self._keep_defect(task_id, error)

    async def _take_over(self, task_id: TaskId) -> None:
        if await self._locks.held_elsewhere(lock_of(task_id)):
            self._absences.pop(task_id, None)
            return
        left = await self._runtime.reads.list(TaskQuery(id=task_id, unfinished=True))
        if not left.rows:
            self.discard(task_id)
            self._notify()
        elif await self._is_free(task_id) and await self._drive(task_id):
            _LOG.info("took over task %s from an engine that stopped", task_id)

    async def _is_free(self, task_id: TaskId) -> bool:
        """Whether no other engine with another worker still has what runs of the task."""
        view = await load_view(self._runtime.bus, task_id)
        lease, gateway = view.lease, self._runtime.gateway
        await gateway.connect()
        if lease is None or lease.worker_id in (None, gateway.worker_id):
            return True
        alive = await self._locks.held_elsewhere(lock_of_engine(lease.engine_id))
        self._absences[task_id] = 0 if alive else self._absences.get(task_id, 0) + 1
        return self._absences[task_id] >= _ABSENCES
