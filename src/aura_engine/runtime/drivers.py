"""Drivers: what drives the tasks that the pool has given to agents; the follower."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from aura_contracts.ids import TaskId


class Drivers(Protocol):
    """What drives the tasks that were given to agents; the follower."""

    async def begin(self, task_id: TaskId, create: Callable[[], Awaitable[object]]) -> bool:
        """Run `create` under the task's lock, then drive the task."""
        ...

    async def take_on_started(self, task_id: TaskId) -> None:
        """Drive the task, or take it over when the engine stops that drives it."""
        ...

    async def keep_places(self) -> None:
        """Tell other engines that this one keeps places in line for locks."""
        ...

    def watch(self) -> None:
        """Look at the locks at intervals, for as long as there is one that matters."""
        ...

    def notify(self) -> None:
        """Wake those who wait for a task: one has changed hands."""
        ...
