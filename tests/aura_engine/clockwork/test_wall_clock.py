"""The wall clock against the monotonic one: jumps are seen, waits are short, and what cannot be undone is held."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.clockwork.wall_clock import CLOCK_CHECK, HOLD, JUMP, WallClock

START = datetime(2026, 1, 4, 12, tzinfo=UTC)


class Clocks:
    """Both clocks of a machine, as they pass and jump."""

    def __init__(self):
        self.wall, self.monotonic = START, 1000.0
        self.read = WallClock(lambda: self.wall, lambda: self.monotonic)

    def passes(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds

    def jumps(self, seconds):
        self.wall += timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [JUMP, 3600.0, 366 * 86_400.0])
def test_a_forward_jump_is_seen_once_and_holds_for_a_round_of_heartbeats(seconds):
    clocks = Clocks()
    clocks.passes(10_000.0)
    clocks.jumps(seconds)
    assert clocks.read.held() == HOLD
    clocks.read.reached()
    (jump,) = clocks.read.jumps
    assert (jump.before, jump.after) == (START, START + timedelta(seconds=10_000 + seconds))
    assert jump.seconds == pytest.approx(seconds)
    clocks.read.jumps.clear()
    clocks.passes(HOLD - 1)
    assert clocks.read.held() == pytest.approx(1.0)
    clocks.passes(2.0)
    clocks.read.reached()
    assert clocks.read.held() == 0.0
    assert not clocks.read.jumps


@pytest.mark.anyio
async def test_the_hold_begins_when_the_store_is_first_reached_after_the_jump():
    """An outage that lasts longer than the hold does not use it up."""
    clocks, answers = Clocks(), False

    async def look():
        if not answers:
            raise OSError("away")

    clocks.jumps(3600.0)
    for _ in range(3):
        clocks.passes(HOLD * 2)
        with pytest.raises(OSError, match="away"):
            await clocks.read.held_once_reached(look)
        assert clocks.read.held() == HOLD
    answers = True
    assert await clocks.read.held_once_reached(look) == HOLD
    clocks.passes(HOLD - 1)
    clocks.read.reached()
    assert await clocks.read.held_once_reached(look) == pytest.approx(1.0)
    clocks.passes(2.0)
    assert await clocks.read.held_once_reached(look) == 0.0


def test_jumps_are_kept_until_each_was_dealt_with():
    clocks = Clocks()
    for seconds in (3600.0, -7200.0, 600.0):
        clocks.jumps(seconds)
        clocks.passes(1.0)
        clocks.read.now()
    assert [round(jump.seconds) for jump in clocks.read.jumps] == [3600, -7200, 600]


def test_a_clock_that_is_set_back_is_seen_and_holds_nothing():
    clocks = Clocks()
    clocks.jumps(-86_400.0)
    assert clocks.read.held() == 0.0
    assert clocks.read.jumps[0].seconds == pytest.approx(-86_400.0)


def test_a_correction_is_no_jump():
    clocks = Clocks()
    for _ in range(1000):
        clocks.passes(60.0)
        clocks.jumps(JUMP - 1)
        clocks.read.now()
    assert not clocks.read.jumps
    assert clocks.read.held() == 0.0


@given(st.floats(-1e8, 1e8))
def test_a_wait_is_never_longer_than_the_moment_is_away_nor_than_the_next_look(seconds):
    clocks = Clocks()
    wait = clocks.read.until(START + timedelta(seconds=seconds))
    assert 0 < wait <= min(max(seconds, 0.0) + 0.002, CLOCK_CHECK)


def test_without_a_moment_there_is_no_end():
    assert Clocks().read.until(None) is None
