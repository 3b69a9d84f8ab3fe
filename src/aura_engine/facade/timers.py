"""Timers: what is due, and when, although nothing happens."""

from collections.abc import Sequence
from typing import Unpack

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.read_models import TimerQuery
from aura_contracts.ports.rows import Page, TimerRow
from aura_engine import facade
from aura_engine.clockwork.timekeeper import Timekeeper
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import TimerFilters
from aura_engine.orchestration.schedule_starts import ScheduleFiring


@gated
@attrs.frozen
class Timers:
    """Reminders, escalations, deadlines, retries, grace periods and schedules, each with the moment when it is due.

    They follow from the states of approvals, tasks, executions, leases, workflows and schedules: see
    `aura_contracts.timers`.
    """

    _core: Core

    async def list(self, **filters: Unpack[TimerFilters]) -> Page[TimerRow]:
        """Return a page of timers, the earliest first unless `sort` and `descending` say otherwise.

        ``due_before=now`` gives those that should have fired by now.
        """
        return await self._core.reads.list(TimerQuery(**filters))

    async def fire_due(self, *, limit: int | None = None) -> Sequence[TimerRow]:
        """Remind, escalate, expire and start what is due; return the timers that took effect, the earliest first.

        After `limit` of them, 1 or more, the rest is left to the next call; None: nothing is. Raises `InvalidInput`.

        Retries and grace periods are steps of tasks, and left to the engine that drives these. What is not due any more
        is left out, and twice is harmless. What could not be done is logged, and still due the next time.

        Opening an engine fires nothing by itself: a program calls this now and then, or `Engine.serve` once. While
        another engine serves the store, this leaves everything to it.
        """
        core = self._core
        if limit is not None and limit < 1:
            raise InvalidInput(field="limit", reason=f"{limit} is below 1", remedy="give 1 or more, or None")
        await core.require_member("timers", "due", "fire")
        if await facade.service_of(core) is not None:
            return ()
        start = ScheduleFiring(core.bus).fire
        keeper = Timekeeper(bus=core.bus, reads=core.reads, clock=core.clock, start=start)
        fired, _ = await keeper.look(limit)
        return tuple(fired)
