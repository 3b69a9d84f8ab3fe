"""Stranded locks: those that no one would release any more, while a task of this engine waits for them.

Either their task has ended, and its engine died before it released them: this engine stands by to do so. Or their task
waits in the queue of the pool and has no agent yet, and no engine keeps its place any more: it gives that back. So it
does while it waits for its locks itself: those that need only some of them wait behind it as well.
"""

from collections.abc import Awaitable, Callable, Sequence

import attrs

from aura_contracts.ids import TaskId
from aura_contracts.lock_table import LOCK_TABLE, LOCK_TABLE_ID, LockClaim
from aura_contracts.ports.read_models import LIMIT, TaskQuery
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.lock_claims import give_up_place
from aura_engine.runtime.pages import parts_of

_ABSENCES = 3
"""Times in a row that a task of the queue is found without an engine before it gives its place back: after an outage of
the database every engine takes its locks again, and for a moment a living one is without."""


@attrs.define(eq=False)
class StrandedLocks:
    """Looks for them. Belongs to one event loop."""

    _runtime: Runtime
    _is_kept: Callable[[LockClaim], Awaitable[bool]]
    """Whether an engine keeps the place of a task of the queue."""
    _absences: dict[TaskId, int] = attrs.field(factory=dict)
    """How often in a row a task of the queue was found without an engine."""

    async def find(self) -> Sequence[TaskId]:
        """Return the tasks to stand by for: they have ended, and have locks all the same. Give back places."""
        table = await self._runtime.bus.get(LOCK_TABLE, LOCK_TABLE_ID)
        claims = {made.task_id: made for made in (() if table is None else table.claims)}
        ended, absences = list[TaskId](), dict[TaskId, int]()
        for part in parts_of(claims):
            for task in (await self._runtime.reads.list(TaskQuery(id=part, limit=LIMIT))).rows:
                if not (task.in_hand or task.pooled):
                    ended.append(task.id)
                elif task.pooled and not await self._is_kept(claims[task.id]):
                    absences[task.id] = self._absences.get(task.id, 0) + 1
        self._absences = absences
        for task_id, times in absences.items():
            if times >= _ABSENCES:
                await give_up_place(self._runtime, task_id, "no engine keeps its place")
        return ended
