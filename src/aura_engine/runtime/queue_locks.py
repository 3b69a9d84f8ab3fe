"""Queue locks: tell other engines on which tasks of the queue this one works.

Each task that an engine waits for has a lock, and the whole queue has one for the engines that drive all tasks. Of
several engines one holds it; when that one stops, another has it within `CHECK`, as long as it still works on the task.
An engine that keeps places in line for locks has a lock of its own as long as it lives, since claims name it.

A lock costs an open file, or room in the server, so an engine has those of `NAMED` tasks at most. One more lock stands
for all the others, of any engine: who waits for one of these waits until no engine has more tasks than it names.
"""

import logging
from collections.abc import Callable, Collection

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError
from aura_contracts.ids import TaskId
from aura_contracts.lock_table import LockClaim
from aura_contracts.ports.event_log import Locks

_LOG = logging.getLogger(__name__)

_QUEUE = "queue"

CHECK = 1.0
"""Seconds between two attempts to take the locks that other engines hold."""

NAMED = 16
"""The most tasks for which an engine has a lock each."""

_MORE = f"{_QUEUE}:more"


@attrs.define(eq=False)
class QueueLocks:
    """The locks of one engine. Belongs to one event loop."""

    _locks: Locks
    _engine_id: str
    _waiting: Callable[[], Collection[TaskId]]
    """Returns the tasks that this engine waits for."""
    _all: bool
    """Whether it works on all tasks."""
    _holds: bool = False
    _keeps_places: bool = False

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
        return await self._any_held_elsewhere(_QUEUE, _lock_of(task_id), _MORE)

    async def keep_places(self) -> None:
        """Tell other engines, until this one ends, that it keeps the places in line for locks that it takes."""
        self._keeps_places = True
        await self._locks.acquire(_lock_of_engine(self._engine_id))

    async def is_kept_elsewhere(self, claim: LockClaim) -> bool:
        """Whether another engine keeps the place of a task of the queue, or works on the task."""
        engines = (_lock_of_engine(claim.engine_id),) if claim.engine_id else ()
        return await self._any_held_elsewhere(*engines, _QUEUE, _lock_of(claim.task_id))

    async def _any_held_elsewhere(self, *keys: str) -> bool:
        for key in keys:
            if await self._locks.held_elsewhere(key):
                return True
        return False

    async def _keep(self) -> None:
        held = frozenset[str]()
        while wanted := self._wanted():
            try:
                for key in wanted:
                    await self._locks.acquire(key)
                if self._keeps_places:  # it may have ended with the session
                    await self.keep_places()
            except AuraError as error:  # the next look tries again
                _LOG.warning("the locks of the queue cannot be taken: %s", error)
            await self._release(held - wanted)
            held = wanted
            await anyio.sleep(CHECK)
        self._holds = False
        await self._release(held)

    async def _release(self, keys: Collection[str]) -> None:
        for key in keys:
            await self._locks.release(key)

    def _wanted(self) -> frozenset[str]:
        if self._all:
            return frozenset({_QUEUE})
        waiting = sorted(self._waiting())
        return frozenset({*map(_lock_of, waiting[:NAMED]), *([_MORE] if len(waiting) > NAMED else [])})


def _lock_of(task_id: TaskId) -> str:
    return f"{_QUEUE}:{task_id}"


def _lock_of_engine(engine_id: str) -> str:
    return f"{_QUEUE}:engine:{engine_id}"
