"""What time does to whole engines: the clock is set, services begin and end, and channels fail; part of the machine."""

import time
from datetime import timedelta
from unittest.mock import patch

import anyio
from engine_house import FAULTS, HANGS, RECORDER
from hypothesis import strategies as st
from hypothesis.stateful import rule
from post import dead_letters, untold
from timing import undone

from conditions import until

JUMPS = (0.1, 0.1, 3, 25, 24 * 365.0)
"""Hours by which the clock is set: minutes, hours, a day, a year."""

HELD = 3.0
"""Seconds for which engines hold what cannot be undone, where that is looked at."""

some = st.integers(0, 30)
waits = st.sampled_from([True, True, False])


class TimeRules:
    """Rules; mixed into a machine with a house."""

    # --- Rules: the clock ---------------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from(JUMPS), back=st.sampled_from([False, False, True]), wait=waits)
    def set_clock(self, hours, back, wait):
        self.shift(-hours if back else hours)
        if wait:
            self.settle()

    def shift(self, hours):
        self.hours += hours
        self.latest = max(self.latest, self.hours)
        self.judge.shifts.append(timedelta(hours=-hours))

    @rule(hours=st.sampled_from([3, 25, 24 * 365.0]))
    def jump_while_all_is_held(self, hours):
        """Set the clock forward: at first nothing is done that cannot be undone, and then all of it."""
        self.settle()
        before = len(self.judge.history)
        with patch("aura_engine.clockwork.wall_clock.HOLD", HELD):
            began = time.monotonic()
            self.shift(hours)
            for number in self.drivers:
                self.give(number, lambda engine: engine.timers.fire_due(), wait=False)
            self.portal.call(self._look_at_clocks)
            self.catch_up()
            done = [one for one in self.judge.history[before:] if one.event.topic in ("approval.expired", "lease.lost")]
            held = time.monotonic() - began < HELD  # on a machine that is too slow nothing can be said
            assert not (done and held), f"what cannot be undone is held after a jump: {done}"
        self.portal.call(self._hold_ends)
        self.settle()

    async def _look_at_clocks(self):
        """Have each engine look at its clock and at the store, and leave it the time to do what it should not."""
        for one in self._clocks():
            one.now()
            one.reached()
            await anyio.sleep(0.1)

    async def _hold_ends(self):
        with anyio.fail_after(HANGS):
            while any(one.held() for one in self._clocks()):  # noqa: ASYNC110 - engines only look at their clocks
                await anyio.sleep(0.05)

    def _clocks(self):
        return [self.running[number].engine._core.clock for number in self.drivers]

    # --- Rules: services ----------------------------------------------------------------------------------------------

    @rule(number=some)
    def serve(self, number):
        """Have an engine serve, or wait for its turn."""
        idle = [one for one in self.drivers if self.running[one].serving is None]
        if idle:
            self.portal.call(self._serve, self.pick(idle, number))
            self.settle()

    async def _serve(self, number):
        one = self.running[number]
        FAULTS.set(one.faults)
        one.serving = one.engine.serve()

    @rule(number=some)
    def stop_serving(self, number):
        serving = [one for one in self.drivers if self.running[one].serving is not None]
        if serving:
            self.portal.call(self._stop_serving, self.pick(serving, number))

    async def _stop_serving(self, number):
        one = self.running[number]
        with anyio.fail_after(HANGS):
            await one.serving.stop()
        one.serving = None

    # --- Rules: channels ----------------------------------------------------------------------------------------------

    @rule(failures=st.integers(1, 5))
    def fail_to_send(self, failures):
        self.world.post.failures = failures

    @rule(mood=st.sampled_from(["away", "refuses"]))
    def change_dead_channel(self, mood):
        self.world.post.mood = mood

    @rule(number=some)
    def retry_letter(self, number):
        if key := self.pick(dead_letters(self.judge), number):
            self.give(RECORDER, lambda engine: engine.notifications.retry(key))

    @rule(number=some)
    def die_at_a_letter(self, number):
        """Have an engine die once a channel has taken a message, before that can be recorded."""
        if self.drivers:
            self.running[self.pick(self.drivers, number)].faults.kill_at = "taken"

    # --- Judging ------------------------------------------------------------------------------------------------------

    def due(self):
        """Yield what services have to do by now."""
        serving = [self.running[one].serving for one in self.drivers if self.running[one].serving is not None]
        for one in serving:
            assert one._error is None, one._error
        if serving:
            yield from undone(self.judge, self.now())
            yield from untold(self.judge, self.now(), self.world.post.mood)

    # --- The end ------------------------------------------------------------------------------------------------------

    def calm(self):
        """Let time go on where it was furthest, with a service, and channels that take everything."""
        self.require_dead_letters_kept()
        self.shift(self.latest - self.hours)
        self.world.post.failures, self.world.post.mood = 0, "takes"
        for key in dead_letters(self.judge):
            self.give(RECORDER, lambda engine, key=key: engine.notifications.retry(key), wait=False)
        if self.running[self.drivers[0]].serving is None:
            self.portal.call(self._serve, self.drivers[0])
        self.settle()

    def require_dead_letters_kept(self):
        self.catch_up()

        async def kept():
            listed = await self.running[RECORDER].engine.notifications.list()
            return {one.id for one in listed if one.status == "dead"}

        assert dead_letters(self.judge) == self.portal.call(kept), "what could not be sent is kept"

    def all_is_told(self):
        """Two days later nothing is left to be told, and nothing is due."""
        self.shift(48)
        self.settle()

        async def left():
            engine = self.running[RECORDER].engine
            return [*(await engine.timers.list()).rows, *await engine.notifications.list()]

        async def nothing_is_left():
            return not await left()

        try:
            self.portal.call(until, nothing_is_left, HANGS)
        except TimeoutError:
            raise AssertionError(f"no timer and no message outlives what it is for: {self.portal.call(left)}") from None
