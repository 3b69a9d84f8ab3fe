"""Slots: how many executions may work at once, in all and for each executor."""

from collections import Counter
from collections.abc import Mapping

import anyio
import attrs

from aura_contracts.ids import ExecutionId


@attrs.define
class Slots:
    """Slots for executions. An execution holds one while it works, not while it waits for a human. None: no limit."""

    total: int | None = None
    by_executor: Mapping[str, int] = attrs.field(factory=dict)
    _held: dict[ExecutionId, str] = attrs.field(factory=dict)
    _freed: anyio.Event = attrs.field(factory=anyio.Event)

    async def take(self, execution_id: ExecutionId, executor: str) -> None:
        """Wait for a free slot, and take it; returns at once if the execution has one."""
        while execution_id not in self._held and not self._has_room(executor):
            await self._freed.wait()
        self._held[execution_id] = executor

    def has(self, execution_id: ExecutionId) -> bool:
        """Whether the execution has a slot."""
        return execution_id in self._held

    def give_back(self, execution_id: ExecutionId) -> None:
        """Release the slot of an execution; harmless if it has none."""
        if self._held.pop(execution_id, None) is not None:
            self._freed.set()
            self._freed = anyio.Event()

    def _has_room(self, executor: str) -> bool:
        limit = self.by_executor.get(executor)
        busy = Counter(self._held.values())[executor]
        return (self.total is None or len(self._held) < self.total) and (limit is None or busy < limit)
