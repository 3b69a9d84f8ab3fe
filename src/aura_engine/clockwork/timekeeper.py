"""Timekeeper: looks for what is due, fires it, and waits for the next.

Invariants:

- It remembers nothing that matters: what is due is asked of the read models each time. After one was killed, before,
  while or after it fired, the next one continues, and each timer takes effect once: firing decides on the newest state.
- A timer that could not be fired, or that is still there after it was, is left alone for a while, so that it keeps
  neither the others nor the machine busy.
- Of several that keep time for a store, one fires: each asks `confirm` before it fires anything.
- What was set by a clock that was ahead, and has been set back since, is moved before anything is looked for: see
  `ApprovalTimesMoved` and `ScheduleMoved`. Looked for are such clocks when a timekeeper begins, and after a jump: one
  query finds what counts from a future moment.
- What cannot be undone is held for a moment after the clock has jumped forward: see `WallClock`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import datetime, timedelta

import anyio
import attrs

from aura_contracts.approval import APPROVAL, ApprovalDelegated, ApprovalRequested, LevelApproved
from aura_contracts.clocks import CLOCK_TOLERANCE, is_ahead
from aura_contracts.errors import AuraError, StoreUnavailable
from aura_contracts.execution import StageRetryScheduled
from aura_contracts.lease import WorkerWentOffline
from aura_contracts.ports import EventLog
from aura_contracts.ports.read_models import ReadModels, TimerQuery
from aura_contracts.ports.rows import TimerRow
from aura_contracts.task import AttemptFailed
from aura_contracts.timers import DESTRUCTIVE
from aura_contracts.workflow import StepResumed, StepRetryScheduled, StepStarted, WorkflowResumed, WorkflowStarted
from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE, ScheduleCreated, ScheduleResumed, ScheduleRevised
from aura_engine.clockwork.effects import Drive, StartScheduled, fire, move
from aura_engine.clockwork.wall_clock import CLOCK_CHECK, ClockJump, WallClock
from aura_engine.unit_of_work import CommandBus

_LOG = logging.getLogger(__name__)

_PAUSE = 1.0
"""Seconds before the timers are looked at again that could not be, because the store is away."""

_RETRY_AFTER = 5.0
"""Seconds before a timer is fired again that could not be, or that is still due."""

_PAGE = 100

_SETTING = (
    *(ApprovalRequested, ApprovalDelegated, LevelApproved, AttemptFailed, StageRetryScheduled, WorkerWentOffline),
    *(WorkflowStarted, WorkflowResumed, StepStarted, StepResumed, StepRetryScheduled),
    *(ScheduleCreated, ScheduleRevised, ScheduleResumed),
)
"""The events after which something may be due earlier than anything before. `ReminderSent` moves a timer away."""


async def last_time(log: EventLog) -> datetime | None:
    """Return when the newest event was recorded; None for a log without events. Raises the errors of the log."""
    newest = await log.page(max(await log.head() - 1, 0), limit=1)
    return newest[-1].time if newest else None


@contextmanager
def _logged(timer: TimerRow, done: str, but: type[AuraError] | tuple[()] = ()) -> Iterator[None]:
    """Log what fails for one timer, `but` one kind of error: it keeps no other timer waiting."""
    try:
        yield
    except but:
        raise
    except AuraError as error:
        _LOG.warning("%s of %s %s could not be %s: %s", timer.purpose, timer.kind, timer.stream_id, done, error)
    except Exception:  # noqa: BLE001 - a bug: it concerns only this timer
        _LOG.exception("%s of %s %s could not be %s", timer.purpose, timer.kind, timer.stream_id, done)


@attrs.define(eq=False, kw_only=True)
class Timekeeper:
    """Fires timers. Belongs to one event loop."""

    _bus: CommandBus = attrs.field(alias="bus")
    _reads: ReadModels = attrs.field(alias="reads")
    _clock: WallClock = attrs.field(alias="clock")
    _start: StartScheduled = attrs.field(alias="start")
    _drive: Drive | None = attrs.field(default=None, alias="drive")
    """None: steps of tasks are left to the engines that drive these."""
    _on_jump: Callable[[ClockJump], Awaitable[None]] | None = attrs.field(default=None, alias="on_jump")
    _confirm: Callable[[], Awaitable[bool]] | None = attrs.field(default=None, alias="confirm")
    """Tells whether it is still the one that fires. None: it is not known to be the only one."""
    _monotonic: Callable[[], float] = attrs.field(default=anyio.current_time, alias="monotonic")
    _left: dict[str, tuple[datetime, float]] = attrs.field(factory=dict, init=False)
    """By id, the timers that are left alone: when they were due, and until when (monotonic)."""
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _set_back: bool | None = attrs.field(default=None, init=False)
    """Whether the clock may have been set back since timers were last moved; None: that is not known."""

    async def run(self) -> None:
        """Fire what is due, for as long as it is not cancelled, through outages of the store."""
        self._set_back = True  # others may have recorded since, with a clock that is right
        async with anyio.create_task_group() as group:
            await group.start(self._follow)
            while True:
                self._changed = anyio.Event()
                with anyio.move_on_after(await self._round()):
                    await self._changed.wait()

    async def _round(self) -> float:
        """Fire what is due; return the seconds until the next look."""
        try:
            await self._note_jump()
            _, seconds = await self.look()
        except AuraError as error:
            _LOG.warning("what is due cannot be looked for: %s", error)
            return _PAUSE
        except Exception:  # noqa: BLE001 - a bug: the drivers of tasks continue
            _LOG.exception("what is due cannot be looked for")
            return CLOCK_CHECK
        return seconds

    async def look(self, limit: int | None = None) -> tuple[list[TimerRow], float]:
        """Fire what is due now; return the timers that took effect, and the seconds until the next look.

        After `limit` of them it stops, None: never.
        """
        await self._move_timers()
        fired: list[TimerRow] = []
        pauses = [CLOCK_CHECK]
        now = self._clock.now()
        query = TimerQuery(limit=_PAGE)
        seen: set[str] = set()
        async with aclosing(self._reads.rows(query)) as timers:
            async for timer in timers:
                self._clock.reached()
                if timer.due_at > now:
                    pauses.append(self._clock.until(timer.due_at) or CLOCK_CHECK)
                    break
                if limit is not None and len(fired) >= limit:
                    break
                seen.add(timer.id)
                pause = self._pause(timer)
                if pause <= 0:
                    if await self._fire(timer):
                        fired.append(timer)
                    pause = _RETRY_AFTER
                    self._left[timer.id] = (timer.due_at, self._monotonic() + pause)
                pauses.append(pause)
        self._clock.reached()
        self._left = {one: since for one, since in self._left.items() if one in seen}
        return fired, min(pauses)

    async def _move_timers(self) -> None:
        """Move what was set by a clock that was ahead, if the clock may have been set back."""
        if self._set_back is None:
            self._set_back = await self._is_behind_log()
        if self._set_back:
            ahead = self._clock.now() + timedelta(seconds=CLOCK_TOLERANCE)
            query = TimerQuery(limit=_PAGE, kind=(APPROVAL.name, WORKFLOW_SCHEDULE.name), counts_after=ahead)
            moved: set[str] = set()
            async with aclosing(self._reads.rows(query)) as timers:
                async for timer in timers:
                    if timer.stream_id not in moved:
                        moved.add(timer.stream_id)
                        with _logged(timer, "moved", but=StoreUnavailable):
                            await move(self._bus, timer)
            self._set_back = False

    async def _is_behind_log(self) -> bool:
        newest = await last_time(self._bus.log)
        return newest is not None and is_ahead(newest, self._clock.now())

    def _pause(self, timer: TimerRow) -> float:
        """Return the seconds for which a timer that is due is left alone; 0 if it may be fired."""
        held = self._clock.held() if timer.purpose in DESTRUCTIVE else 0.0
        due_at, until = self._left.get(timer.id, (None, 0.0))
        return max(held, until - self._monotonic() if due_at == timer.due_at else 0.0)

    async def _fire(self, timer: TimerRow) -> bool:
        with _logged(timer, "done"):
            if self._confirm is None or await self._confirm():
                return await fire(self._bus, timer, self._start, self._drive)
        return False

    async def _note_jump(self) -> None:
        """Report the jumps of the clock, each until it was recorded: the store may be away right after a sleep."""
        self._clock.now()
        while self._clock.jumps and self._on_jump is not None:
            self._set_back = self._set_back or self._clock.jumps[0].seconds < 0
            try:
                await self._on_jump(self._clock.jumps[0])
            except StoreUnavailable:
                raise
            except Exception:  # noqa: BLE001 - it will not pass: what is due matters more
                _LOG.exception("a jump of the clock is not recorded")
            self._clock.jumps.popleft()

    async def _follow(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Have the timekeeper look again when something may be due earlier."""
        topics = tuple(event.topic for event in _SETTING)
        after = await self._bus.log.head()
        task_status.started()
        while True:
            try:
                async with aclosing(self._bus.log.tail(after, topics=topics)) as records:
                    async for record in records:
                        after = record.position
                        self._changed.set()
            except StoreUnavailable as error:
                _LOG.warning("the log cannot be followed: %s", error)
                await anyio.sleep(_PAUSE)
