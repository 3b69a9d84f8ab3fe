"""What is due is done once: late, twice, after a jump of the clock, by several engines, and after the answer."""

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import tzset

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import (
    APPROVAL,
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalKind,
    ApprovalStatus,
    OnExpiry,
    Question,
    ReminderSent,
    RequestApproval,
)
from aura_contracts.errors import InvalidInput, StoreReadOnly, StoreUnavailable
from aura_contracts.timers import TimerPurpose
from aura_engine.clockwork import effects, timekeeper, wall_clock
from aura_engine.clockwork.timekeeper import Timekeeper
from aura_engine.host import Host
from aura_engine.orchestration.schedule_starts import ScheduleFiring
from conditions import until
from engines import events_of

pytestmark = pytest.mark.anyio

HOUR = 3600.0
START = datetime(2026, 1, 4, 12, tzinfo=UTC)


class Time:
    """A clock that a test sets."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def passes(self, hours):
        self.now += timedelta(hours=hours)


@pytest.fixture
def time():
    return Time()


@pytest.fixture(autouse=True)
def no_hold(monkeypatch):
    monkeypatch.setattr(wall_clock, "HOLD", 0.0)


async def ask(engine, **fields):
    """Ask alice, who is reminded after a day; after two eve is asked as well, and after three it expires."""
    core = engine._core
    given = {
        "kind": ApprovalKind.QUESTION,
        "reviewers": ("alice",),
        "escalate_to": ("eve",),
        "proposed_solution": "May I?",
    }
    given["task_id"] = (await engine.tasks.create("Something")).id
    given |= {"deadline": core.bus.clock() + timedelta(hours=72)} | fields
    approval_id = core.bus.new_id()
    await core.bus.handle(ENGINE, approval_id, RequestApproval(approval_id=approval_id, question=Question(**given)))
    return approval_id


def purposes(timers):
    return [str(timer.purpose) for timer in timers]


async def happened(engine, approval_id):
    """What timers have done to an approval."""
    kinds = (ReminderSent, ApprovalEscalated, ApprovalExpired)
    return [type(event).__name__ for event in await events_of(engine, approval_id) if isinstance(event, kinds)]


async def test_each_is_done_when_it_is_due_and_once(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine)
        assert await engine.timers.fire_due() == ()
        due = await engine.timers.list()
        assert purposes(due) == ["remind", "escalate", "expire"]
        assert [timer.due_at for timer in due] == [START + timedelta(hours=hours) for hours in (24, 48, 72)]
        for hours, done in ((24, ["remind"]), (24, ["escalate", "remind"]), (23, []), (1, ["expire"])):
            time.passes(hours)
            assert sorted(purposes(await engine.timers.fire_due())) == done
            assert await engine.timers.fire_due() == ()
        assert (await engine.approvals.get(approval)).status is ApprovalStatus.EXPIRED
        assert not (await engine.timers.list()).rows


async def test_not_a_moment_too_early(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        await ask(engine)
        time.now += timedelta(hours=24) - timedelta(microseconds=1)
        assert await engine.timers.fire_due() == ()
        time.now += timedelta(microseconds=1)
        assert purposes(await engine.timers.fire_due()) == ["remind"]


async def test_after_a_year_each_is_done_once_and_reminders_are_one(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine, deadline=None)
        time.passes(24 * 365)
        assert purposes(await engine.timers.fire_due()) == ["remind", "escalate"]
        assert await engine.timers.fire_due() == ()
        assert await happened(engine, approval) == ["ReminderSent", "ApprovalEscalated"]
        (next_one,) = await engine.timers.list()
        assert next_one.due_at == time.now + timedelta(hours=24)
        time.passes(-24 * 365)
        assert await engine.timers.fire_due() == ()


async def test_after_the_deadline_no_one_is_reminded_any_more(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine, deadline=time.now + timedelta(hours=36))
        time.passes(40)
        assert purposes(await engine.timers.fire_due()) == ["expire"]
        assert await happened(engine, approval) == ["ApprovalExpired"]


async def test_expiry_may_mean_to_continue(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine, on_expiry=OnExpiry.CONTINUE)
        time.passes(72)
        await engine.timers.fire_due()
        assert (await engine.approvals.get(approval)).granted


async def test_a_timer_that_was_read_before_the_answer_does_nothing(opened, time):
    """Stale, double and late: whoever has read the timer, and whatever has happened since."""
    async with opened(host=Host(clock=time)) as engine:
        approval, bus = await ask(engine), engine._core.bus
        time.passes(72)
        stale = (await engine.timers.list()).rows
        await engine._core.bus.handle(ENGINE, approval, effects.ExpireApproval())
        before = await engine.events.head()
        assert [await effects.fire(bus, timer, ScheduleFiring(bus).fire, None) for timer in stale] == [
            False,
            False,
            False,
        ]
        assert await engine.events.head() == before


async def test_engines_at_once_do_each_once(opened, time):
    async with opened(host=Host(clock=time)) as one, opened(host=Host(clock=time)) as two:
        approvals = [await ask(one) for _ in range(5)]
        time.passes(50)
        done = []

        async def fire_all(engine):
            done.extend(await engine.timers.fire_due())

        async with anyio.create_task_group() as group:
            for engine in (one, two, one, two):
                group.start_soon(fire_all, engine)
        for approval in approvals:
            assert sorted(await happened(one, approval)) == ["ApprovalEscalated", "ReminderSent"]
        assert len(done) == 10


async def test_no_more_are_done_at_once_than_asked_for_and_the_rest_next_time(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        asked = [await ask(engine, deadline=START + timedelta(hours=hours)) for hours in (1, 2, 3)]
        time.passes(5)
        done = [[one.stream_id for one in await engine.timers.fire_due(limit=2)] for _ in range(3)]
        assert done == [asked[:2], asked[2:], []]
        with pytest.raises(InvalidInput) as refused:
            await engine.timers.fire_due(limit=0)
        assert refused.value.field == "limit"


async def test_who_only_reads_fires_nothing(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        await ask(engine)
    time.passes(50)
    async with opened(host=Host(clock=time), read_only=True) as engine:
        assert purposes(await engine.timers.list(due_before=time.now)) == ["remind", "escalate"]
        with pytest.raises(StoreReadOnly):
            await engine.timers.fire_due()


async def test_what_cannot_be_fired_keeps_nothing_else_waiting(opened, time, monkeypatch):
    """A timer that fails each time, and one that is still due after it was fired, are left alone for a while."""
    fire, calls = effects.fire, []

    async def fails_at_first(bus, timer, start, drive):
        calls.append(timer.stream_id)
        if timer.stream_id == first:
            raise RuntimeError("a defect")
        return await fire(bus, timer, start, drive)

    monkeypatch.setattr(timekeeper, "fire", fails_at_first)
    async with opened(host=Host(clock=time)) as engine:
        first, second = await ask(engine), await ask(engine)
        time.passes(24)
        core = engine._core
        keeper = Timekeeper(bus=core.bus, reads=core.reads, clock=core.clock, start=ScheduleFiring(core.bus).fire)
        assert [timer.stream_id for timer in (await keeper.look())[0]] == [second]
        assert (await keeper.look())[0] == []
        assert sorted(calls) == sorted([first, second])
        assert (await core.bus.get(APPROVAL, first)).reminders == 0


async def test_a_running_timekeeper_fires_what_becomes_due_and_what_is_asked_meanwhile(opened, time, monkeypatch):
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.01)
    async with opened(host=Host(clock=time)) as engine:
        core, first = engine._core, await ask(engine)
        keeper = Timekeeper(bus=core.bus, reads=core.reads, clock=core.clock, start=ScheduleFiring(core.bus).fire)
        async with anyio.create_task_group() as group:
            group.start_soon(keeper.run)

            async def reminded(approval, times=1):
                return (await core.bus.fetch(APPROVAL, approval)).reminders == times

            time.passes(24)
            await until(lambda: reminded(first))
            second = await ask(engine)
            time.passes(24)
            await until(lambda: reminded(second))
            await until(lambda: reminded(first, 2))
            group.cancel_scope.cancel()
        assert [one for one in await happened(engine, first) if one == "ReminderSent"] == ["ReminderSent"] * 2


async def test_an_outage_after_a_jump_loses_neither_its_record_nor_the_hold(opened, time, monkeypatch):
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.01)
    monkeypatch.setattr(timekeeper, "_PAUSE", 0.01)
    monkeypatch.setattr(wall_clock, "HOLD", 1000.0)
    machine, tried, told = [0.0], [], []

    async def on_jump(jump):
        tried.append(jump)
        machine[0] += 2000.0  # longer than the hold
        if len(tried) < 5:
            raise StoreUnavailable(store="s", reason="the network is not up yet", waited=1.0, attempts=1)
        told.append(jump)

    async with opened(host=Host(clock=time)) as engine:
        approval, core = await ask(engine, deadline=time.now + timedelta(hours=2)), engine._core
        clock = wall_clock.WallClock(lambda: time.now + timedelta(seconds=machine[0]), lambda: machine[0])
        keeper = Timekeeper(
            bus=core.bus, reads=core.reads, clock=clock, on_jump=on_jump, start=ScheduleFiring(core.bus).fire
        )
        time.passes(3)
        async with anyio.create_task_group() as group:
            group.start_soon(keeper.run)
            await until(lambda: told)
            for _ in range(3):
                await keeper.look()
            assert (await core.bus.fetch(APPROVAL, approval)).status is ApprovalStatus.PENDING
            machine[0] += 1001.0
            await until(lambda: happened(engine, approval))
            group.cancel_scope.cancel()
        assert len(tried) == 5
        assert [jump.seconds for jump in told] == [pytest.approx(3 * HOUR)]
        assert await happened(engine, approval) == ["ApprovalExpired"]


async def test_a_forward_jump_holds_what_cannot_be_undone(opened, time, monkeypatch):
    monkeypatch.setattr(wall_clock, "HOLD", 1000.0)
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine, deadline=time.now + timedelta(hours=50))
        await engine.timers.fire_due()
        time.passes(49)
        assert purposes(await engine.timers.fire_due()) == ["remind", "escalate"]
        time.passes(2)
        assert await engine.timers.fire_due() == ()
        monkeypatch.setattr(wall_clock, "HOLD", 0.0)
        time.passes(1)
        assert purposes(await engine.timers.fire_due()) == [TimerPurpose.EXPIRE]
        assert (await engine.approvals.get(approval)).status is ApprovalStatus.EXPIRED


# --- A clock that is set back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 365])
async def test_after_the_clock_was_set_back_a_question_waits_no_longer_than_it_would_have(opened, time, days):
    """It was set back before anything looked again: across a restart, and behind the log."""
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine)
    time.passes(-24 * days)
    now = time.now
    async with opened(host=Host(clock=time)) as engine:
        assert await engine.timers.fire_due() == ()
        due = await engine.timers.list()
        assert [timer.due_at - now for timer in due] == [timedelta(hours=hours) for hours in (24, 48, 72)]
        for hours, done in ((23, []), (1, ["remind"]), (23, []), (1, ["escalate", "remind"]), (24, ["expire"])):
            time.passes(hours)
            assert sorted(purposes(await engine.timers.fire_due())) == done
        counts = Counter(await happened(engine, approval))
        assert counts == {"ReminderSent": 2, "ApprovalEscalated": 1, "ApprovalExpired": 1}


async def test_a_clock_that_goes_to_and_fro_fires_nothing_twice(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine, deadline=None)
        for hours in (24, -24, 23, -47, 47, 1):
            time.passes(hours)
            await engine.timers.fire_due()
            assert await engine.timers.fire_due() == ()
        counts = Counter(await happened(engine, approval))
        assert counts["ApprovalEscalated"] == 1


async def test_what_was_asked_after_the_clock_was_set_back_is_not_moved(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        old = await ask(engine)
        time.passes(-24)
        new = await ask(engine)
        core = engine._core
        keeper = Timekeeper(bus=core.bus, reads=core.reads, clock=core.clock, start=ScheduleFiring(core.bus).fire)
        keeper._set_back = True
        for _ in range(2):
            await keeper.look()
        at = [(await core.bus.fetch(APPROVAL, one)).remind_at for one in (old, new)]
        assert at == [time.now + timedelta(hours=24)] * 2


async def test_a_reminder_while_the_clock_was_ahead_takes_nothing_from_the_deadline(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine)
        time.passes(47)
        assert purposes(await engine.timers.fire_due()) == ["remind"]
        time.passes(-46)
        assert await engine.timers.fire_due() == ()
        due = await engine.timers.list()
        assert purposes(due) == ["remind", "escalate", "expire"]
        assert [timer.due_at for timer in due] == [START + timedelta(hours=hours) for hours in (25, 48, 72)]
        time.now = START + timedelta(hours=72) - timedelta(microseconds=1)
        await engine.timers.fire_due()
        assert (await engine.approvals.get(approval)).status is ApprovalStatus.PENDING
        time.now += timedelta(microseconds=1)
        assert purposes(await engine.timers.fire_due()) == ["expire"]


async def test_a_damaged_question_keeps_no_timer_of_others_waiting(opened, time, tmp_path, caplog):
    """A service looks at all that waits when it begins: what cannot be read is said, and left alone."""
    async with opened(host=Host(clock=time)) as engine:
        due = await ask(engine)
        time.passes(96)
        damaged, ahead = await ask(engine), await ask(engine)
        time.passes(24 - 96)
        assert len(await engine.timers.list()) == 9
    with closing(sqlite3.connect(tmp_path / "aura.db")) as database, database:
        damage = "UPDATE stored_events SET state = x'00' WHERE originator_id = ?"
        assert database.execute(damage, (damaged,)).rowcount
    caplog.set_level("WARNING")
    async with opened(host=Host(clock=time)) as engine:
        core = engine._core
        keeper = Timekeeper(bus=core.bus, reads=core.reads, clock=core.clock, start=ScheduleFiring(core.bus).fire)
        keeper._set_back = True  # as a service begins
        fired, _ = await keeper.look()
        assert [timer.stream_id for timer in fired] == [due]
        assert (await core.bus.fetch(APPROVAL, ahead)).remind_at == time.now + timedelta(hours=24)
        assert keeper._set_back is False
    assert f"approval {damaged} could not be moved" in caplog.text


async def test_a_timekeeper_that_begins_sends_no_command_for_a_question_that_is_right(opened, time, monkeypatch):
    """However many wait: one query finds those that a clock that was ahead has set."""
    async with opened(host=Host(clock=time)) as engine:
        for _ in range(5):
            await ask(engine)
        time.passes(96)
        ahead = [await ask(engine), await ask(engine, deadline=None)]
        time.passes(-96)
        moved = []

        async def move(bus, timer):
            moved.append(timer.stream_id)
            await move_for_real(bus, timer)

        move_for_real = timekeeper.move
        monkeypatch.setattr(timekeeper, "move", move)
        core = engine._core
        for _ in range(2):
            keeper = Timekeeper(bus=core.bus, reads=core.reads, clock=core.clock, start=ScheduleFiring(core.bus).fire)
            keeper._set_back = True  # as a service begins
            await keeper.look()
            assert sorted(moved) == sorted(ahead)
        rows = (await engine.timers.list(limit=100)).rows
        assert len(rows) == 6 * 3 + 2
        assert {row.counts_from for row in rows} == {START}
        assert not (await engine.timers.list(counts_after=START + timedelta(seconds=1))).rows


async def test_a_running_timekeeper_sees_that_the_clock_was_set_back(opened, time, monkeypatch):
    """The log is not behind: others have recorded since, with a clock that is right."""
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.01)
    told = []

    async def on_jump(jump):
        told.append(jump.seconds)

    async with opened(host=Host(clock=time)) as engine:
        core, approval = engine._core, await ask(engine)
        keeper = Timekeeper(
            bus=core.bus, reads=core.reads, clock=core.clock, on_jump=on_jump, start=ScheduleFiring(core.bus).fire
        )
        async with anyio.create_task_group() as group:
            group.start_soon(keeper.run)
            await until(lambda: keeper._set_back is False)
            time.passes(-365 * 24)

            async def moved():
                return (await core.bus.fetch(APPROVAL, approval)).remind_at == time.now + timedelta(hours=24)

            await until(moved)
            time.passes(24)

            async def reminded():
                return await happened(engine, approval) == ["ReminderSent"]

            await until(reminded)
            await until(lambda: len(told) == 2)
            group.cancel_scope.cancel()
        assert told == [pytest.approx(-365 * 86_400.0, abs=60), pytest.approx(86_400.0, abs=60)]  # or time that passed


async def test_a_zone_that_changes_does_nothing(opened, monkeypatch):
    """Moments are in UTC, whatever the machine shows to people."""
    async with opened() as engine:
        await ask(engine)
        before = [timer.due_at for timer in await engine.timers.list()]
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            monkeypatch.setenv("TZ", zone)
            tzset()
            assert await engine.timers.fire_due() == ()
        assert [timer.due_at for timer in await engine.timers.list()] == before
        assert not engine._core.clock.jumps
    monkeypatch.undo()
    tzset()


async def test_who_is_needed_for_the_quorum_is_asked_before_anything_is_due(opened, time):
    async with opened(host=Host(clock=time)) as engine:
        approval = await ask(engine, quorum=2)
        assert (await engine.approvals.get(approval)).awaited == ("alice", "eve")
        assert purposes(await engine.timers.list()) == ["remind", "expire"]
        await engine.approvals.approve(approval, by="eve")
        assert (await engine.approvals.approve(approval, by="alice")).status is ApprovalStatus.APPROVED
        assert await happened(engine, approval) == ["ApprovalEscalated"]
