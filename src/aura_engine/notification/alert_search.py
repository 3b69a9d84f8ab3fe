"""Alert search: finds what people should know although nothing happened, and records it as alerts.

    stuck       an agent works and has said nothing for 30 minutes in which someone could hear it: not while the machine
                slept, or no one looked; one that waits for a human is not stuck
    waiting     a question has waited for 24 hours, from the moment from which its deadline counts: a clock that was
                ahead and was set back makes no one wait longer
    error_rate  more than 10 % of the runs that were queued in the last hour and have ended failed, of at least 10;
                until at most 5 % have, of however few, so that a rate about the limit is one alert

Each is a query, so nothing is remembered between two looks but the alerts that are open. An alert is cleared once the
query finds it no longer.
"""

from collections.abc import Collection, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.alerts import ALERTS, ALERTS_ID, ClearAlert, RaiseAlert
from aura_contracts.approval import MoveApprovalTimes
from aura_contracts.clocks import CLOCK_TOLERANCE
from aura_contracts.errors import CommandRefused, LogDamaged
from aura_contracts.execution import CODING, ExecutionStatus
from aura_contracts.ports.read_models import LIMIT, ApprovalQuery, ExecutionLogQuery, ExecutionQuery, ReadModels
from aura_contracts.task import TASK
from aura_engine.notification.kinds import NoticeKind
from aura_engine.unit_of_work import CommandBus

LOOK_EVERY = 60.0
"""Seconds between two looks, and before the first one."""

ASLEEP = timedelta(seconds=2 * LOOK_EVERY)
"""Between two looks, time beyond which the machine must have slept, or its clock was set."""

SILENCE = timedelta(minutes=30)
WAITING = timedelta(hours=24)
WINDOW = timedelta(hours=1)

FAILED_SHARE = 0.1
MINIMUM = 10
"""Runs below which their share of failures says nothing."""

ENDED_SHARE = 0.05
"""The share at which an alert ends."""


@attrs.define
class AlertSearch:
    """Looks now and then, and knows since when it could have heard agents."""

    bus: CommandBus
    reads: ReadModels
    _since: datetime = attrs.field(init=False)
    _looked: datetime = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._since = self._looked = self.bus.clock()

    async def look(self) -> None:
        """Look once; see the function."""
        now = self.bus.clock()
        if now - self._looked > ASLEEP:
            self._since = now
        try:
            await look(self.bus, self.reads, self._since)
        finally:
            self._looked = self.bus.clock()


async def look(bus: CommandBus, reads: ReadModels, since: datetime) -> None:
    """Raise the alerts that are new, and clear those that are over. Agents could be heard since then."""
    alerts = await bus.fetch(ALERTS, ALERTS_ID)
    known = {(one.kind, one.about) for one in alerts.open} if alerts is not None else set()
    stuck = {about for kind, about in known if kind == NoticeKind.STUCK}
    listed = [*await _stuck(bus, reads, since, stuck), *await _waiting(bus, reads)]
    found = {(alert.kind, alert.about): alert for alert in listed}
    is_open = (NoticeKind.ERROR_RATE, "") in known
    found |= {(alert.kind, alert.about): alert for alert in await _error_rate(bus, reads, is_open=is_open)}
    for kind, about in known - found.keys():
        await bus.handle(ENGINE, ALERTS_ID, ClearAlert(kind=kind, about=about))
    for key, alert in found.items():
        if key not in known:
            await bus.handle(ENGINE, ALERTS_ID, alert)


async def _stuck(bus: CommandBus, reads: ReadModels, since: datetime, known: Collection[str]) -> Sequence[RaiseAlert]:
    now = bus.clock()
    alerts = []
    query = ExecutionQuery(ended=False, status=CODING, queued_before=now - SILENCE)
    async with aclosing(reads.rows(query)) as executions:
        async for execution in executions:
            if execution.open_question is not None or execution.awaited:
                continue
            newest = await reads.list(ExecutionLogQuery(execution=execution.id, limit=1))
            last = max([execution.queued_at, *(row.executed_at for row in newest.rows)])
            heard = last if execution.id in known else max(last, since)  # what is known ends with a word of the agent
            if now - heard < SILENCE:
                continue
            task = await bus.fetch(TASK, execution.task_id)
            if task is None:
                continue
            to = task.reviewers if task.requester is None else (task.requester,)
            subject = f"{task.title}: the agent has said nothing since {last:%Y-%m-%d %H:%M} UTC"
            alerts.append(RaiseAlert(kind=NoticeKind.STUCK, about=execution.id, subject=subject, to=to))
    return alerts


async def _waiting(bus: CommandBus, reads: ReadModels) -> Sequence[RaiseAlert]:
    now = bus.clock()
    ahead = ApprovalQuery(pending=True, waits_after=now + timedelta(seconds=CLOCK_TOLERANCE), limit=LIMIT)
    for approval in (await reads.list(ahead)).rows:  # also one for which nothing is due, which no timekeeper looks at
        with suppress(CommandRefused, LogDamaged):  # it was answered meanwhile; or damaged, which concerns no other
            await bus.handle(ENGINE, approval.id, MoveApprovalTimes())
    query = ApprovalQuery(pending=True, waits_before=now - WAITING)
    async with aclosing(reads.rows(query)) as approvals:
        return [
            RaiseAlert(
                kind=NoticeKind.WAITING,
                about=approval.id,
                subject=f"a question waits since {approval.open_since:%Y-%m-%d %H:%M} UTC: {approval.id}",
                to=approval.awaited,
            )
            async for approval in approvals
        ]


async def _error_rate(bus: CommandBus, reads: ReadModels, *, is_open: bool) -> Sequence[RaiseAlert]:
    query = ExecutionQuery(ended=True, queued_after=bus.clock() - WINDOW, limit=LIMIT)
    counts = await reads.counts(query)
    failed, total = counts.get(ExecutionStatus.FAILED, 0), sum(counts.values())
    minimum, share = (0, ENDED_SHARE) if is_open else (MINIMUM, FAILED_SHARE)
    if total < minimum or failed <= share * total:
        return []
    subject = f"{failed} of the last {total} runs within an hour failed"
    return [RaiseAlert(kind=NoticeKind.ERROR_RATE, about="", subject=subject)]
