"""Timers: what is due, and when, although nothing happens."""

from typing import Unpack

import attrs

from aura_contracts.ports.read_models import TimerQuery
from aura_contracts.ports.rows import Page, TimerRow
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import TimerFilters


@gated
@attrs.frozen
class Timers:
    """Reminders, escalations, deadlines, retries and grace periods, each with the moment at which it is due.

    They follow from the states of approvals, tasks, executions and leases: see `aura_contracts.timers`.
    """

    _core: Core

    async def list(self, **filters: Unpack[TimerFilters]) -> Page[TimerRow]:
        """Return a page of timers, the earliest first unless `sort` and `descending` say otherwise.

        ``due_before=now`` gives those that should have fired by now.
        """
        return await self._core.reads.list(TimerQuery(**filters))
