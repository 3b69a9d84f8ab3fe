"""Queue locks: tell other engines on which tasks of the queue this one works.

Each task that an engine waits for has a lock, and the whole queue has one for the engines that drive all tasks. Of
several engines one holds it; when that one stops, another has it within `CHECK`, as long as it still works on the task.
"""

import logging
from collections.abc import Callable, Collection

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError
from aura_contracts.ids import TaskId
from aura_contracts.ports.event_log import Locks

_LOG = logging.getLogger(__name__)

_QUEUE = "queue"

CHECK = 1.0
"""Seconds between two attempts to take the locks that other engines hold."""


@attrs.define(eq=False)
class QueueLocks:
    """The locks of one engine. Belongs to one event loop."""

    _locks: Locks
    _waiting: Callable[[], Collection[TaskId]]
    """Returns the tasks that this engine waits for."""
    _all: bool
    """Whether it works on all tasks."""
    _holds: bool = False

    def hold(self, group: TaskGroup) -> None:
        """Take the locks, and keep them in `group` for as long as this engine works on the tasks."""
        if not self._holds:
            self._holds = True
            group.start_soon(self._keep)

    def hold_all(self) -> None:
        """Work on all tasks from now on; `hold` takes their lock."""
        self._all = True

    async def is_worked_on(self, task_id: TaskId) -> bool:
        """Whether an engine works on a task that is in the queue."""
        if self._all or task_id in self._waiting():
            return True
        keys = (_QUEUE, _lock_of(task_id))
        return any([await self._locks.held_elsewhere(key) for key in keys])

    async def _keep(self) -> None:
        held = frozenset[str]()
        while wanted := self._wanted():
            try:
                for key in wanted:
                    await self._locks.acquire(key)
            except AuraError as error:  # the next look tries again
                _LOG.debug("the locks of the queue cannot be taken: %s", error)
            await self._release(held - wanted)
            held = wanted
            await anyio.sleep(CHECK)
        self._holds = False
        await self._release(held)

    async def _release(self, keys: Collection[str]) -> None:
        for key in keys:
            await self._locks.release(key)

    def _wanted(self) -> frozenset[str]:
        return frozenset({_QUEUE} if self._all else map(_lock_of, self._waiting()))


def _lock_of(task_id: TaskId) -> str:
    return f"{_QUEUE}:{task_id}"
