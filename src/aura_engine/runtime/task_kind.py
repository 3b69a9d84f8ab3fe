"""Task kind: how tasks are driven, and what is left of them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import attrs
from anyio.abc import TaskGroup

from aura_contracts.ids import StreamId, TaskId
from aura_contracts.ports.read_models import TaskQuery
from aura_engine.permissions.delivery import Deliveries
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.driver import Driver, Parts
from aura_engine.runtime.session_turns import SessionTurns
from aura_engine.runtime.subjects import Listeners, SubjectKind
from aura_engine.runtime.views import load_view


@attrs.frozen(eq=False)
class TaskKind(SubjectKind):
    """Tasks, as subjects of drivers."""

    _runtime: Runtime
    _turns: SessionTurns
    _deliveries: Deliveries
    _take_on_part: Parts
    _require_open: Callable[[], TaskGroup]
    name = "task"
    needs_worker = True

    def driver(self, subject_id: StreamId, listeners: Listeners, *, starts: bool) -> Driver:
        return Driver(self._runtime, TaskId(subject_id), listeners, self._turns, self._take_on_part, starts=starts)

    async def has_work(self, subject_id: StreamId) -> bool:
        return bool((await self._runtime.reads.list(TaskQuery(id=TaskId(subject_id), unfinished=True))).rows)

    async def unfinished(self) -> AsyncGenerator[StreamId, None]:
        rows = self._runtime.reads.rows(TaskQuery(unfinished=True, descending=False))
        async with aclosing(rows) as tasks:
            async for task in tasks:
                yield task.id

    async def left_to(self, subject_id: StreamId) -> str | None:
        gateway = self._runtime.gateway
        lease = (await load_view(self._runtime.bus, TaskId(subject_id))).lease
        await gateway.connect()
        return None if lease is None or lease.worker_id in (None, gateway.worker_id) else lease.engine_id

    def taken(self, subject_id: StreamId) -> None:
        """Answer the open calls of its agents."""
        group = self._require_open()
        group.start_soon(self._deliveries.attend_open, TaskId(subject_id), group)
