"""Lock waits: the tasks of the queue of the pool that cannot have their locks yet, so that they keep no agent idle.

A task of the queue gets its agent and its locks in one append: as long as its locks collide, it gets neither. One that
has waited for `AGEING` seconds is given to an agent in any case. It claims its locks like any task that an agent has,
and waits with its agent, so that it starves neither.
"""

from collections.abc import Callable, Collection

import attrs

from aura_contracts.ids import TaskId
from aura_contracts.lock_table import EMPTY, LOCK_TABLE, LOCK_TABLE_ID, LockTable
from aura_contracts.task import CollisionPolicy, Task
from aura_contracts.workspace import WORKSPACE, Workspace
from aura_engine.decisions import claims_before
from aura_engine.runtime.lock_claims import claim, request_of
from aura_engine.runtime.views import View, workspace_of
from aura_engine.scheduling import AGEING
from aura_engine.unit_of_work import CommandBus, UnitOfWork


@attrs.define
class LockWaits:
    """Which tasks of the queue wait for locks. Belongs to one event loop."""

    _bus: CommandBus
    _watch: Callable[[], None]
    """Has the follower look for locks of tasks that have ended, for as long as there are tasks here."""
    _waiting: set[TaskId] = attrs.field(factory=set)
    _table: LockTable | None = None
    """The lock table as it is known, None if it has to be read."""
    _changes: int = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def on_change(self) -> Collection[TaskId]:
        """Note that the lock table has changed, or may have; return the tasks to look at again, and forget them."""
        self._table = None
        self._changes += 1
        waiting, self._waiting = self._waiting, set()
        return waiting

    async def hold_up(self, task: Task) -> bool:
        """Whether a task of the queue has to wait for its locks. It is listened to before the lock table is read."""
        self._waiting.discard(task.id)
        if not task.needs_locks:
            return False
        workspace = await self._bus.fetch(WORKSPACE, workspace_of(task.id))
        locks = View(task=task, workspace=workspace).locks
        if not locks or self._may_wait_with_its_agent(task, workspace):
            return False
        self._waiting.add(task.id)
        self._watch()
        command = request_of(task, locks)
        first = claims_before(await self._current(), command, self._bus.clock())
        if not first:
            self._waiting.discard(task.id)
        return bool(first)

    async def _current(self) -> LockTable:
        while self._table is None:
            changes = self._changes
            table = await self._bus.get(LOCK_TABLE, LOCK_TABLE_ID)
            if changes == self._changes:
                self._table = table or EMPTY
        return self._table

    async def claim(self, unit: UnitOfWork, task: Task, view: View) -> bool:
        """Add to `unit` the claim of a task that is given to an agent; return False if its locks collide by now.

        `view` shows the task as it was in the queue.
        """
        if not view.locks or self._may_wait_with_its_agent(task, view.workspace):
            return True
        return (await claim(unit, task, view.locks)).held

    def _may_wait_with_its_agent(self, task: Task, workspace: Workspace | None) -> bool:
        """Not if the agent is one outside AURA, which begins as soon as it has the task."""
        if workspace is None:
            return False
        queued_at = task.queued_at or task.created_at
        aged = (self._bus.clock() - queued_at).total_seconds() >= AGEING
        return aged or task.on_collision is CollisionPolicy.ASK
