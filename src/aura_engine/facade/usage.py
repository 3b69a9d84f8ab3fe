"""Usage: the tokens that agents consumed, and their cost."""

from collections.abc import Sequence
from typing import Unpack

import attrs

from aura_contracts.ports.archive import UsageCost, UsageKey
from aura_contracts.ports.read_models import UsageQuery
from aura_contracts.ports.rows import Page, UsageRow
from aura_contracts.ports.time_arguments import Moment
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import UsageFilters


@gated
@attrs.frozen
class Usage:
    """Usage reports and their cost at list prices; ``prices.toml`` in AURA's home overrides prices."""

    _core: Core

    async def get(self, task: str) -> UsageCost:
        """Return the usage and cost of one task; all zero if its agents reported nothing."""
        task_id = await self._core.find("task", task)
        sums = await self._core.reads.usage(task=task_id)
        costs = await self._core.archive.costs(sums, UsageKey.TASK)
        return costs[0] if costs else UsageCost(id=task_id)

    async def list(self, **filters: Unpack[UsageFilters]) -> Page[UsageRow]:
        """Return a page of usage reports, newest first."""
        return await self._core.reads.list(UsageQuery(**filters))

    async def costs(
        self, *, by: UsageKey | str = UsageKey.TASK, task: str | None = None, since: Moment | None = None
    ) -> Sequence[UsageCost]:
        """Return usage and cost, summed by task, run, session, agent, model or day.

        `since` is a log position (exclusive) or an aware datetime (inclusive)."""
        task_id = None if task is None else await self._core.find("task", task)
        sums = await self._core.reads.usage(task=task_id, since=since)
        return await self._core.archive.costs(sums, UsageKey(by))
