"""Schedules: stored definitions of workflows that are started at the moments of a cron expression."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

import attrs

from aura_contracts.aggregate import Command
from aura_contracts.errors import InvalidId
from aura_contracts.events import EventRecord
from aura_contracts.ports.read_models import ScheduleQuery
from aura_contracts.ports.rows import Page
from aura_contracts.workflow_schedule import (
    WORKFLOW_SCHEDULE,
    MissedRuns,
    OverlappingRuns,
    PauseSchedule,
    RemoveSchedule,
    ResumeSchedule,
    SaveSchedule,
    SchedulePlan,
    ScheduleStatus,
    WorkflowSchedule,
    schedule_id,
)
from aura_engine.decisions.workflow_schedule import cron_of
from aura_engine.facade.arguments import Kept, Limit
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import ScheduleFilters
from aura_engine.orchestration.schedule_starts import require_startable
from aura_engine.unit_of_work import not_found


@gated
@attrs.frozen
class Schedules:
    """Schedules of workflows, by name or by id.

    The service of the store starts what is due: `Engine.serve`, or `Timers.fire_due` now and then. Each moment starts
    one workflow, whatever is killed, and however many engines there are.
    """

    _core: Core

    async def save(
        self,
        name: Kept[str],
        workflow: Kept[str],
        cron: Kept[str],
        *,
        zone: Kept[str] = "UTC",
        inputs: Kept[Mapping[str, Any] | None] = None,
        missed: MissedRuns = MissedRuns.ONCE,
        overlap: OverlappingRuns = OverlappingRuns.SKIP,
        by: str | None = None,
    ) -> WorkflowSchedule:
        """Store a schedule under a name, or give the schedule that has the name another plan.

        `workflow` names a stored definition: ``build``, whose newest revision is started each time, or ``build@3``.
        `cron` has five fields (minute, hour, day of the month, month, day of the week) or is a short form such as
        ``@daily``; the reference describes them, and what happens when clocks change in `zone`, a name of the IANA
        database. The workflows are started on behalf of the actor, and find ``schedule`` and ``scheduled_at`` in their
        context.

        `missed` says what happens to moments that came while no engine looked: ``skip``, ``once`` (the latest runs) or
        ``all`` (up to 100). `overlap` says what happens while the workflow before has not ended: ``skip`` or ``allow``.

        An equal plan changes nothing; a paused schedule stays paused, a removed one applies again. Raises
        `InvalidInput` for an expression, a zone or inputs that do not fit, `UnknownDefinition`, and `RuleViolated` for
        ``all`` without ``allow``.
        """
        ident = schedule_id(name)
        actor = await self._core.require_member(WORKFLOW_SCHEDULE.name, ident, "save", by)
        given = dict(inputs or {})
        plan = SchedulePlan(cron=cron, zone=zone, workflow=workflow, inputs=given, missed=missed, overlap=overlap)
        cron_of(plan)
        await require_startable(self._core.bus, plan)
        command = SaveSchedule(workflow_schedule_id=ident, name=name, plan=plan)
        return await self._core.bus.handle(actor, ident, command)

    async def get(self, name: str) -> WorkflowSchedule:
        """Return a schedule, also a removed one. Raises `AggregateNotFound`, `AmbiguousId`."""
        found = await self._core.bus.fetch(WORKFLOW_SCHEDULE, schedule_id(name))
        if found is not None:
            return found
        try:
            return await self._core.load(WORKFLOW_SCHEDULE, name)
        except InvalidId:
            raise not_found(WORKFLOW_SCHEDULE.name, name) from None

    async def list(self, **filters: Unpack[ScheduleFilters]) -> Page[WorkflowSchedule]:
        """Return a page of schedules, newest first; removed ones only if `status` asks for them."""
        return await self._core.reads.list(ScheduleQuery(**filters))

    async def upcoming(self, name: str, *, limit: Limit = 5) -> Sequence[datetime]:
        """Return the next moments of a schedule in UTC, the earliest first; none unless it is active.

        There are fewer than `limit` if its expression names no more of the next 50 years. Raises the errors of `get`.
        """
        found = await self.get(name)
        moments: list[datetime] = []
        moment = found.next_at if found.status is ScheduleStatus.ACTIVE else None
        cron = cron_of(found.plan)
        while moment is not None and len(moments) < limit:
            moments.append(moment)
            moment = cron.next_after(moment)
        return moments

    async def history(self, name: str) -> Sequence[EventRecord]:
        """Return everything that has happened to a schedule, oldest first. Raises the errors of `get`."""
        return await self._core.log.stream((await self.get(name)).id)

    async def pause(self, name: str, reason: Kept[str] = "", *, by: str | None = None) -> WorkflowSchedule:
        """Start nothing until the schedule is resumed. Raises `TransitionRefused` unless it is active."""
        return await self._handle(name, PauseSchedule(reason=reason), by)

    async def resume(self, name: str, *, by: str | None = None) -> WorkflowSchedule:
        """Start workflows again, from the next moment on; those that came while it was paused are left out.

        Raises `TransitionRefused` unless it is paused.
        """
        return await self._handle(name, ResumeSchedule(), by)

    async def remove(self, name: str, reason: Kept[str] = "", *, by: str | None = None) -> WorkflowSchedule:
        """Remove a schedule; what it started continues. Raises the errors of `get`."""
        return await self._handle(name, RemoveSchedule(reason=reason), by)

    async def _handle(self, name: str, command: Command[WorkflowSchedule], by: str | None) -> WorkflowSchedule:
        return await self._core.bus.handle(self._core.actor(by), (await self.get(name)).id, command)
