"""Wall clock: how long to wait for a moment, although the clock may be set and the machine may sleep.

A moment is a time of the wall clock, but a wait is one of the monotonic clock, which stands still while a machine
sleeps. So each wait is short, and then the wall clock is read again. Where the two clocks disagree about how much time
has passed, the wall clock has jumped:

    forward     the machine has slept, or the clock was set. All that is due is done, once. What cannot be undone is
                held for one round of heartbeats: those who are alive have to be able to say so first. The round begins
                when the store is first reached after the jump: before, no one could say anything.
    backward    the clock was set. Nothing is done twice, because what was done has left no timer behind. What was set
                by the clock as it was before comes earlier, see `aura_contracts.approval.ApprovalTimesMoved`.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import attrs

from aura_contracts.clocks import CLOCK_TOLERANCE, is_ahead
from aura_contracts.lease import OFFLINE_AFTER
from aura_contracts.ports import Clock

CLOCK_CHECK = 30.0
"""Seconds at most that a wait lasts before the clock is read again."""

JUMP = CLOCK_TOLERANCE
"""Seconds by which the clocks must disagree to count as a jump: more than any correction of a clock that is kept."""

HOLD = OFFLINE_AFTER
"""Seconds for which what cannot be undone is held after a forward jump: the heartbeats of a worker that lives."""


@attrs.frozen
class ClockJump:
    """The wall clock showed `before`, and then `after`, where `seconds` more or fewer have passed."""

    before: datetime
    after: datetime
    seconds: float
    """How far it jumped; below zero if it was set back."""


@attrs.define(eq=False)
class WallClock:
    """The clock of an engine. Belongs to one event loop."""

    _clock: Clock
    _monotonic: Callable[[], float] = anyio.current_time
    jumps: deque[ClockJump] = attrs.field(factory=deque, init=False)
    """The jumps that were noticed, the earliest first; who has dealt with one takes it away."""
    _last: tuple[datetime, float] = attrs.field(init=False)
    _held_until: float | None = attrs.field(default=None, init=False)
    _unreached: bool = attrs.field(default=False, init=False)
    """Whether the store has not been reached since the latest forward jump."""

    def __attrs_post_init__(self) -> None:
        self._last = (self._clock(), self._monotonic())

    def now(self) -> datetime:
        """Read the clock, and notice whether it has jumped since it was read last."""
        wall, monotonic = self._clock(), self._monotonic()
        moved = (wall - self._last[0]).total_seconds() - (monotonic - self._last[1])
        if abs(moved) >= JUMP:
            self.jumps.append(ClockJump(self._last[0], wall, moved))
        if moved >= JUMP:
            self._unreached = True
        self._last = (wall, monotonic)
        return wall

    def compare(self, recorded: datetime) -> bool:
        """Return whether the clock is behind what was recorded: it was set back while no one looked. Note the jump."""
        now = self.now()
        if not is_ahead(recorded, now):
            return False
        self.jumps.append(ClockJump(recorded, now, (now - recorded).total_seconds()))
        return True

    def held(self) -> float:
        """Return the seconds for which what cannot be undone is still held; 0 if it may be done."""
        self.now()
        if self._unreached:
            return HOLD
        if self._held_until is None:
            return 0.0
        return max(self._held_until - self._monotonic(), 0.0)

    def reached(self) -> None:
        """Note that the store has answered: if it is the first time after a forward jump, the hold begins."""
        if self._unreached:
            self._unreached = False
            self._held_until = self._monotonic() + HOLD

    async def held_once_reached(self, look: Callable[[], Awaitable[object]]) -> float:
        """Return what `held` does, after a look at the store if none has succeeded since a forward jump.

        Raises what `look` does; then all is still held.
        """
        if self.held() and self._unreached:
            await look()
            self.reached()
        return self.held()

    def until(self, moment: datetime | None) -> float | None:
        """Return the seconds to wait before the clock is read again, for a moment; None without one: forever."""
        if moment is None:
            return None
        left = (moment - self.now()).total_seconds()
        return min(max(left, 0.0) + 0.001, CLOCK_CHECK)
