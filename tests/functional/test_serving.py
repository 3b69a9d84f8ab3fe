"""A service: one at a time, which drives what others left, keeps time, and says when it served."""

from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import APPROVAL, ApprovalKind, Question, RequestApproval
from aura_contracts.errors import InvalidFile, InvalidInput, StoreReadOnly, StoreUnavailable
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.service import (
    SERVICE,
    SERVICE_ID,
    ClockJumped,
    ServiceStarted,
    ServiceStatus,
    ServiceStopped,
    StartService,
    StopService,
)
from aura_contracts.task import TaskStatus
from aura_engine import store_turn
from aura_engine.clockwork import timekeeper, wall_clock
from aura_engine.facade import service_turn
from aura_engine.facade.service_turn import Serving
from aura_engine.host import Host, now
from conditions import until
from engines import events_of, scripted, write

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 0.02)
    monkeypatch.setattr(service_turn, "_PAUSE", 0.02)
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.02)
    monkeypatch.setattr(wall_clock, "HOLD", 0.0)


async def ask(engine):
    """Ask alice something with a reminder after an hour; return the question's id."""
    core = engine._core
    task = await engine.tasks.create("Something")
    about = {"kind": ApprovalKind.QUESTION, "proposed_solution": "May I?", "task_id": task.id}
    question = Question(**about, reviewers=("alice",), remind_after=3600.0)
    approval_id = core.bus.new_id()
    await core.bus.handle(ENGINE, approval_id, RequestApproval(approval_id=approval_id, question=question))
    return approval_id


async def reminders(engine, approval_id):
    return (await engine._core.bus.fetch(APPROVAL, approval_id)).reminders


async def jumped(engine):
    return (await engine._core.bus.fetch(SERVICE, SERVICE_ID)).clock_jumps


async def test_a_service_reminds_and_says_when_it_served(opened):
    passed = timedelta()
    async with opened(host=Host(clock=lambda: now() + passed)) as engine, opened() as other:
        asked = await ask(engine)
        service = engine.serve()
        await service.started()
        assert service.at_work
        assert (await other.service()).status is ServiceStatus.SERVING
        passed = timedelta(hours=2)
        await until(lambda: reminders(engine, asked))
        await until(lambda: jumped(engine))
        await service.stop()
        assert not service.at_work
        assert await other.service() is None
        told = await events_of(engine, SERVICE_ID)
        assert [type(event) for event in told] == [ServiceStarted, ClockJumped, ServiceStopped]
        assert told[1].seconds == pytest.approx(7200, abs=60)
        assert await reminders(engine, asked) == 1


@pytest.mark.parametrize("days", [-365, 365])
async def test_a_clock_that_was_set_while_none_served(opened, days):
    """Behind the log it can only have been set back; ahead of it, so much time may have passed."""
    async with opened() as engine:
        asked = await ask(engine)
        await engine.serve().started()
    passed = timedelta(days=days)
    async with opened(host=Host(clock=lambda: now() + passed)) as engine:
        await engine.serve().started()
        if days < 0:
            await until(lambda: jumped(engine))
            told = (await events_of(engine, SERVICE_ID))[-1]
            assert isinstance(told, ClockJumped)
            assert told.seconds == pytest.approx(passed.total_seconds(), abs=60)
            hour = await due_in(engine, asked, passed)
            assert hour == pytest.approx(3600, abs=60)
            passed += timedelta(hours=1)
        await until(lambda: reminders(engine, asked))
        assert await reminders(engine, asked) == 1
        assert bool(await jumped(engine)) is (days < 0)


async def due_in(engine, approval_id, passed):
    """Return the seconds until the next reminder is due, once it is less than a day away."""

    async def soon():
        at = (await engine._core.bus.fetch(APPROVAL, approval_id)).remind_at
        left = (at - now() - passed).total_seconds()
        return left if left < 86_400 else None

    await until(soon)
    return await soon()


async def test_a_second_one_waits_and_takes_over(opened):
    async with opened() as one, opened() as two:
        first, second = one.serve(), two.serve()
        await until(lambda: first.at_work or second.at_work)
        if second.at_work:
            first, second = second, first
        with anyio.move_on_after(0.2):
            await second.started()
        assert not second.at_work
        await first.stop()
        await second.started()
        assert second.at_work
        await second.stop()
        kinds = [type(event) for event in await events_of(one, SERVICE_ID)]
        assert kinds == [ServiceStarted, ServiceStopped] * 2


async def test_closing_the_engine_ends_the_service_in_order(opened):
    async with opened() as engine:
        await engine.serve().started()
    async with opened(read_only=True) as engine:
        state = await engine._core.bus.fetch(SERVICE, SERVICE_ID)
        assert state.status is ServiceStatus.STOPPED
        assert state.stopped_at is not None


async def test_while_one_serves_others_leave_what_is_due_to_it(opened):
    passed = timedelta()
    host = Host(clock=lambda: now() + passed)
    async with opened() as engine, opened(host=host) as other:
        asked = await ask(engine)
        service = engine.serve()
        await service.started()
        passed = timedelta(hours=2)
        assert await other.timers.fire_due() == ()
        await service.stop()
        assert [timer.stream_id for timer in await other.timers.fire_due()] == [asked]


async def test_a_service_drives_what_others_left_and_what_others_start(opened, repository):
    how = {"repositories": [str(repository)], **scripted([write("a.md", "x\n")]), "approval": "auto"}
    async with opened(record_only=True) as asking, opened() as engine:
        left = await asking.run("One", **how)
        await engine.serve().started()
        begun = await asking.run("Two", **how)

        async def done():
            found = [(await asking.tasks.get(run.id)).status for run in (left, begun)]
            return found == [TaskStatus.COMPLETED] * 2

        await until(done)


def store_away_three_times(core, monkeypatch, away_at):
    """Have the store away at one step of a turn; return a list that grows with each time."""
    outages = []
    bus, reads, locks = core.bus, core.reads, core.locks
    acquire, handle, rows = locks.acquire, bus.handle, reads.rows

    def step(name, matches):
        if name == away_at and matches and len(outages) < 3:
            outages.append(name)
            raise StoreUnavailable(store="s", reason="the server restarts", waited=1.0, attempts=3)

    async def acquire_or_not(_, key):
        step("lock", key == service_turn.SERVICE_LOCK)
        return await acquire(key)

    async def handle_or_not(_, actor, stream, command):
        step("start", isinstance(command, StartService))
        step("stop", isinstance(command, StopService))
        return await handle(actor, stream, command)

    def rows_or_not(_, query):
        step("listing", isinstance(query, TaskQuery))
        return rows(query)

    @asynccontextmanager
    async def part():
        async with anyio.create_task_group():
            step("part", matches=True)
        yield

    parts = Serving._parts

    async def parts_and_one(serving):
        return (*await parts(serving), part())

    monkeypatch.setattr(type(locks), "acquire", acquire_or_not)
    monkeypatch.setattr(type(bus), "handle", handle_or_not)
    monkeypatch.setattr(type(reads), "rows", rows_or_not)
    monkeypatch.setattr(Serving, "_parts", parts_and_one)
    return outages


@pytest.mark.parametrize(("away_at", "times"), [("lock", 3), ("start", 3), ("listing", 3), ("part", 3), ("stop", 1)])
async def test_an_outage_ends_no_service_that_waits_or_begins(opened, repository, monkeypatch, away_at, times):
    """Who waits for the service sees nothing of it, and what was left is driven all the same."""
    how = {"repositories": [str(repository)], **scripted([write("a.md", "x\n")]), "approval": "auto"}
    async with opened(record_only=True) as asking, opened() as engine:
        left = await asking.run("One", **how)
        outages = store_away_three_times(engine._core, monkeypatch, away_at)
        service = engine.serve()
        with anyio.fail_after(60):
            await service.started()
        assert service.at_work

        async def done():
            return (await asking.tasks.get(left.id)).status is TaskStatus.COMPLETED

        await until(done)
        await service.stop()
        await service.wait()
        assert outages == [away_at] * times


async def test_who_cannot_serve_is_told_so(opened):
    async with opened(record_only=True) as engine:
        with pytest.raises(InvalidInput) as refused:
            engine.serve()
        assert refused.value.field == "record_only"
    async with opened(read_only=True) as engine:
        with pytest.raises(StoreReadOnly):
            engine.serve()


async def test_what_ends_a_service_is_raised_to_who_waits_for_it(opened, monkeypatch):
    async def broken(_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(Serving, "_parts", broken)
    async with opened() as engine:
        service = engine.serve()
        for wait in (service.started, service.wait):
            with pytest.raises(RuntimeError, match="a defect"):
                await wait()
        assert [type(event) for event in await events_of(engine, SERVICE_ID)] == [ServiceStarted, ServiceStopped]
        await engine.tasks.create("The engine works on")


def settings(home, path):
    home.mkdir(exist_ok=True)
    text = f"channels: {{log: {{file: {{path: {path}}}}}}}\npeople: {{alice: {{channels: {{log: }}}}}}\n"
    (home / "notifications.yaml").write_text(text)


def break_settings(home):
    home.mkdir(exist_ok=True)
    (home / "notifications.yaml").write_text("channels: {log: {pigeon: }}\n")


async def test_a_mistake_in_the_settings_is_told_before_a_service_waits_for_its_turn(opened, tmp_path):
    async with opened() as one, opened() as two:
        await one.serve().started()
        break_settings(tmp_path / "home")
        with pytest.raises(InvalidFile, match="pigeon"):
            two.serve()
        settings(tmp_path / "home", "told.jsonl")
        service = two.serve()
        await service.stop()
        await service.wait()


@pytest.mark.parametrize("meanwhile", ["broken", "changed"])
async def test_a_service_that_takes_over_has_the_newest_settings_without_faults(opened, tmp_path, caplog, meanwhile):
    """A mistake in a file that was made while it waited ends neither it nor what it does at its times."""
    passed = timedelta()
    home = tmp_path / "home"
    settings(home, "first.jsonl")
    async with opened() as one, opened(host=Host(clock=lambda: now() + passed)) as two:
        first = one.serve()
        await first.started()
        second = two.serve()
        break_settings(home) if meanwhile == "broken" else settings(home, "second.jsonl")
        await first.stop()
        await second.started()
        asked = await ask(two)
        passed = timedelta(hours=2)
        await until(lambda: reminders(two, asked))
        told = home / ("first.jsonl" if meanwhile == "broken" else "second.jsonl")
        await until(lambda: told.exists() and "reminder" in told.read_text())
        assert second.at_work
    assert ("pigeon" in caplog.text) is (meanwhile == "broken")
    assert [one.name for one in home.glob("*.jsonl")] == [told.name]


async def test_a_service_takes_up_a_change_of_the_settings_and_keeps_the_last_good_ones(
    opened, tmp_path, caplog, monkeypatch
):
    """Also one that is half written, and valid as it stands: it counts until the rest is there."""
    monkeypatch.setattr(service_turn, "SETTINGS_CHECK", 0.02)
    passed = timedelta()
    home = tmp_path / "home"
    settings(home, "first.jsonl")

    def told(name):
        return (
            sum("reminder" in line for line in (home / name).read_text().splitlines()) if (home / name).exists() else 0
        )

    async with opened(host=Host(clock=lambda: now() + passed)) as engine:
        service = engine.serve()
        await service.started()
        asked = await ask(engine)
        (home / "notifications.yaml").write_text("channels: {log: {file: {path: half.jsonl}}}\n")
        await until(lambda: not service._notifier.lanes)
        settings(home, "second.jsonl")
        await until(lambda: bool(service._notifier.lanes))
        passed = timedelta(hours=1)
        await until(lambda: told("second.jsonl"))
        notifier = service._notifier
        break_settings(home)
        await until(lambda: "pigeon" in caplog.text)
        passed = timedelta(hours=2)
        await until(lambda: told("second.jsonl") == 2)
        assert service._notifier is notifier
        assert await reminders(engine, asked) == 2
        assert caplog.text.count("pigeon") == 1
    assert not told("first.jsonl"), "only what was asked may have come by the first settings"
    assert not (home / "half.jsonl").exists()
