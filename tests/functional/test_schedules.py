"""Schedules: each moment starts one workflow, by a clock that runs, stands, jumps and changes to summer time."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateNotFound,
    InvalidInput,
    RuleViolated,
    TransitionRefused,
    UnknownDefinition,
)
from aura_contracts.workflow import CommandStep, StepDefinition, WaitStep, WorkflowDefinition
from aura_contracts.workflow_schedule import (
    RUNS_LIMIT,
    MomentsOmitted,
    ScheduleFailed,
    ScheduleFired,
    ScheduleMoved,
    ScheduleStatus,
    schedule_id,
    scheduled_workflow_id,
)
from aura_engine import open_engine
from aura_engine.clockwork import timekeeper, wall_clock
from aura_engine.host import Host, now
from aura_engine.notification.notices import notice_of
from conditions import until
from engines import events_of

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Time:
    """A clock that a test sets."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def passes(self, span):
        self.now += span


@pytest.fixture
def time():
    return Time()


@pytest.fixture(params=["sqlite", "postgres"])
def on_store(request, tmp_path, time):
    """Opens engines that record, by the clock of the test, on a file or on PostgreSQL."""
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    host = Host(clock=time)
    return lambda **given: open_engine(url, home=tmp_path / "home", user="alice", host=host, record_only=True, **given)


@pytest.fixture
def recording(opened, time):
    """Opens engines that record, by the clock of the test."""
    return lambda **given: opened(host=Host(clock=time), record_only=True, **given)


WAITS = StepDefinition(id="wait", config=WaitStep(signal="go"))
TAKES = {"inputs": {"size": {"type": "integer"}}}


async def stored(engine, name="build", **fields):
    """Store a definition whose workflows run until they are cancelled."""
    return await engine.workflows.create(WorkflowDefinition(name=name, steps=(WAITS,), **fields))


async def hourly(engine, name="often", workflow="build", cron="@hourly", **given):
    return await engine.schedules.save(name, workflow, cron, **given)


async def started(engine):
    """The moments for which workflows were started, the earliest first."""
    workflows = await engine.workflows.list(limit=1000)
    return sorted(datetime.fromisoformat(one.context["scheduled_at"]) for one in workflows)


async def happened(engine, name="often"):
    return [type(event) for event in await events_of(engine, schedule_id(name))][1:]


async def fires(engine):
    return [str(timer.purpose) for timer in await engine.timers.fire_due()]


# --- One moment, one workflow -----------------------------------------------------------------------------------------


async def test_each_moment_starts_one_workflow(on_store, time):
    async with on_store() as engine:
        await stored(engine, **TAKES)
        made = await hourly(engine, inputs={"size": 3}, by="bob", overlap="allow")
        assert (made.status, made.next_at) == (ScheduleStatus.ACTIVE, START + 30 * MINUTE)
        assert await fires(engine) == []
        for hour in (1, 2):
            time.now = START - 30 * MINUTE + hour * HOUR
            assert await fires(engine) == ["start"]
            assert await fires(engine) == []
        first = await engine.workflows.get(scheduled_workflow_id(made.id, START + 30 * MINUTE))
        assert (first.revision, first.inputs, first.created_by) == ("build@1", {"size": 3}, "human:bob")
        assert first.context == {"schedule": "often", "scheduled_at": "2026-01-04T13:00:00+00:00"}
        found = await engine.schedules.get("often")
        second = scheduled_workflow_id(made.id, time.now)
        assert (found.last_at, found.last_workflow_id, found.next_at) == (time.now, second, time.now + HOUR)
        assert await started(engine) == [time.now - HOUR, time.now]
        assert [one.due_at for one in await engine.timers.list(purpose="start")] == [time.now + HOUR]


async def test_two_engines_at_once_start_it_once(on_store, time):
    async with on_store() as one, on_store() as other:
        await stored(one)
        for number in range(5):
            await hourly(one, f"s{number}")
        time.passes(HOUR)
        fired = Counter()

        async def fire(engine):
            fired.update(timer.stream_id for timer in await engine.timers.fire_due())

        async with anyio.create_task_group() as group:
            for engine in (one, other, one, other):
                group.start_soon(fire, engine)
        assert sorted(fired) == sorted(schedule_id(f"s{number}") for number in range(5))
        assert await started(other) == [START + 30 * MINUTE] * 5
        for number in range(5):
            assert await happened(one, f"s{number}") == [ScheduleFired]


async def test_a_service_starts_it_and_carries_it_out(opened, repository, monkeypatch):
    monkeypatch.chdir(repository)
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.02)
    ahead = [timedelta()]
    async with opened(host=Host(clock=lambda: now() + ahead[0])) as engine:
        await engine.serve().started()
        work = StepDefinition(id="work", config=CommandStep(run="true"))
        await engine.workflows.create(WorkflowDefinition(name="build", steps=(work,)))
        made = await hourly(engine, cron="0 0 1 1 *")
        ahead[0] = made.next_at - now()

        async def is_completed():
            return [str(one.status) for one in await engine.workflows.list()] == ["completed"]

        await until(is_completed)


async def test_the_newest_revision_starts_unless_one_is_named(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, "newest")
        await hourly(engine, "pinned", "build@1")
        await stored(engine, description="again")
        time.passes(HOUR)
        await fires(engine)
        assert {one.context["schedule"]: one.revision for one in await engine.workflows.list()} == {
            "newest": "build@2",
            "pinned": "build@1",
        }


# --- Missed, overlapping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("missed", "runs"), [("skip", []), ("once", [3]), ("all", [1, 2, 3])])
async def test_what_came_while_no_engine_looked(on_store, time, missed, runs):
    async with on_store() as engine:
        await stored(engine)
        await hourly(engine, missed=missed, overlap="allow")
        time.passes(3 * HOUR)  # half past three
        assert await fires(engine) == ["start"]
        moments = [START - 30 * MINUTE + hour * HOUR for hour in (1, 2, 3)]
        assert await started(engine) == [moments[number - 1] for number in runs]
        events = await events_of(engine, schedule_id("often"))
        assert [one.scheduled_at for one in events if isinstance(one, ScheduleFired)] == await started(engine)
        omitted = [one for one in events if isinstance(one, MomentsOmitted)]
        left = moments[: 3 - len(runs)]
        assert [(one.first_at, one.last_at, str(one.reason)) for one in omitted] == (
            [(left[0], left[-1], "missed")] if left else []
        )
        assert (await engine.schedules.get("often")).next_at == moments[-1] + HOUR
        assert await fires(engine) == []


async def test_a_year_without_an_engine_is_no_storm(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, cron="* * * * *", missed="all", overlap="allow")
        time.passes(365 * DAY)
        await fires(engine)
        moments = await started(engine)
        assert moments == [time.now - number * MINUTE for number in reversed(range(RUNS_LIMIT))]
        assert await fires(engine) == []


async def test_a_look_that_is_a_little_late_misses_nothing(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, missed="skip")
        time.now = START + 30 * MINUTE + timedelta(seconds=59)
        await fires(engine)
        assert await started(engine) == [START + 30 * MINUTE]


@pytest.mark.parametrize("overlap", ["skip", "allow"])
async def test_while_the_workflow_before_runs(recording, time, overlap):
    async with recording() as engine:
        await stored(engine)
        made = await hourly(engine, overlap=overlap)
        moments = [START + 30 * MINUTE + hour * HOUR for hour in range(3)]
        for time.now in moments[:2]:
            assert await fires(engine) == ["start"]
        assert await started(engine) == (moments[:1] if overlap == "skip" else moments[:2])
        if overlap == "skip":
            assert await happened(engine) == [ScheduleFired, MomentsOmitted]
            await engine.workflows.cancel(scheduled_workflow_id(made.id, moments[0]))
            time.now = moments[2]
            await fires(engine)
            assert await started(engine) == [moments[0], moments[2]]


# --- Clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "moments"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=UTC), ["03-29 01:00", "03-30 00:30"]),  # 02:30 is skipped
        (datetime(2026, 10, 24, 12, tzinfo=UTC), ["10-25 00:30", "10-26 01:30"]),  # 02:30 comes twice
    ],
)
async def test_when_clocks_change_a_time_of_day_comes_once(recording, time, day, moments):
    time.now = day
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, cron="30 2 * * *", zone="Europe/Berlin", overlap="allow")
        found = await engine.schedules.upcoming("often", limit=2)
        assert [moment.strftime("%m-%d %H:%M") for moment in found] == moments
        for _ in range(4 * 40):
            time.passes(15 * MINUTE)
            await fires(engine)
        assert [moment.strftime("%m-%d %H:%M") for moment in await started(engine)] == moments


async def test_a_clock_that_was_a_year_ahead_neither_storms_nor_stops_it(on_store, time):
    async with on_store() as engine:
        await stored(engine)
        await hourly(engine, overlap="allow")
        time.passes(365 * DAY)
        assert await fires(engine) == ["start"]
        ahead = await started(engine)
        assert ahead == [time.now - 30 * MINUTE]
    time.passes(-365 * DAY)
    async with on_store() as engine:
        assert await fires(engine) == []
        assert (await happened(engine))[-1] is ScheduleMoved
        assert (await engine.schedules.get("often")).next_at == START + 30 * MINUTE
        for _ in range(3):
            time.passes(HOUR)
            assert await fires(engine) == ["start"]
        moments = [START + 30 * MINUTE + hour * HOUR for hour in range(3)]
        assert await started(engine) == [*moments, *ahead]


async def test_a_moment_that_comes_twice_starts_nothing_twice(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, overlap="allow")
        time.passes(HOUR)
        await fires(engine)
    time.passes(-50 * MINUTE)  # before the moment that has been
    async with recording() as engine:
        assert await fires(engine) == []
        assert (await engine.schedules.get("often")).next_at == START + 30 * MINUTE
        time.passes(HOUR)
        assert await fires(engine) == ["start"]
        assert await started(engine) == [START + 30 * MINUTE]
        assert await happened(engine) == [ScheduleFired, ScheduleMoved, MomentsOmitted]
        time.passes(HOUR)
        await fires(engine)
        assert len(await started(engine)) == 2


# --- Steering ---------------------------------------------------------------------------------------------------------


async def test_a_paused_schedule_starts_nothing_and_makes_up_for_nothing(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, missed="all", overlap="allow")
        paused = await engine.schedules.pause("often", "holidays")
        assert (paused.status, paused.next_at, paused.paused_because) == ("paused", None, "holidays")
        assert await engine.schedules.upcoming("often") == []
        with pytest.raises(TransitionRefused):
            await engine.schedules.pause("often")
        time.passes(DAY)
        assert await fires(engine) == []
        resumed = await engine.schedules.resume("often")
        assert (resumed.next_at, resumed.paused_because) == (time.now + 30 * MINUTE, "")
        time.passes(30 * MINUTE)
        await fires(engine)
        assert await started(engine) == [time.now]


async def test_a_removed_schedule_starts_nothing_until_it_is_saved_again(recording, time):
    async with recording() as engine:
        await stored(engine)
        made = await hourly(engine)
        await engine.schedules.remove(made.id[:13], "no need")
        assert list(await engine.schedules.list()) == []
        assert [one.name for one in await engine.schedules.list(status="removed")] == ["often"]
        time.passes(DAY)
        assert await fires(engine) == []
        with pytest.raises(TransitionRefused):
            await engine.schedules.resume("often")
        again = await hourly(engine)
        assert (again.id, again.status, again.next_at) == (made.id, "active", time.now + 30 * MINUTE)


async def test_another_plan_keeps_what_is_due(recording, time):
    async with recording() as engine:
        await stored(engine)
        made = await hourly(engine)
        assert await hourly(engine) == made
        time.passes(HOUR)
        revised = await hourly(engine, overlap="allow", by="bob")
        assert (revised.next_at, revised.revised_by, revised.created_by) == (made.next_at, "human:bob", "human:alice")
        assert (await hourly(engine, cron="@daily")).next_at == datetime(2026, 1, 5, tzinfo=UTC)
        assert [one.name for one in await engine.schedules.list(definition="build", troubled=False)] == ["often"]


async def test_a_definition_that_is_retired_is_said_once_and_each_moment_is_kept(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine)
        await engine.workflows.retire("build")
        for _ in range(3):
            time.passes(HOUR)
            assert await fires(engine) == ["start"]
        events = [one for one in await events_of(engine, schedule_id("often")) if isinstance(one, ScheduleFailed)]
        assert [event.again for event in events] == [False, True, True]
        found = await engine.schedules.get("often")
        assert found.problem == events[0].reason
        assert "'build' was retired" in found.problem
        assert [one.name for one in await engine.schedules.list(troubled=True)] == ["often"]
        assert (found.status, found.next_at) == ("active", time.now + 30 * MINUTE)
        await engine.workflows.restore("build")
        time.passes(HOUR)
        await fires(engine)
        assert len(await started(engine)) == 1
        assert (await engine.schedules.get("often")).problem == ""


async def test_its_owner_and_operators_are_notified_once(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine, by="bob")
        await engine.workflows.retire("build")
        for _ in range(2):
            time.passes(HOUR)
            await fires(engine)
        records = await engine.schedules.history("often")
        failed = [record for record in records if isinstance(record.event, ScheduleFailed)]
        told = [await notice_of(record, engine._core.bus.fetch) for record in failed]
        assert told[1:] == [None]
        assert (told[0].to, told[0].operators, str(told[0].kind)) == (("bob",), True, "schedule_failed")
        assert "'build' was retired" in told[0].text


async def test_inputs_that_no_longer_fit_are_said(recording, time):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine)
        await stored(engine, **TAKES)
        time.passes(HOUR)
        await fires(engine)
        assert "inputs.size" in (await engine.schedules.get("often")).problem


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"cron": "0 25 * * *"}, InvalidInput, "column 3, hour '25'"),
        ({"cron": "*/5 * * *"}, InvalidInput, "has 4 fields"),
        ({"zone": "Europe/Berln"}, InvalidInput, "no time zone 'Europe/Berln'"),
        ({"workflow": "bild"}, UnknownDefinition, "bild"),
        ({"workflow": "build@7"}, UnknownDefinition, "revisions 1 to 1"),
        ({"workflow": "build@"}, InvalidInput, "names no definition"),
        ({"inputs": {"size": "big"}}, InvalidInput, "inputs.size"),
        ({"inputs": {}}, InvalidInput, "inputs.size"),
        ({"missed": "never"}, InvalidInput, "missed"),
        ({"missed": "all"}, RuleViolated, "overlap"),
        ({"name": "a\nb"}, RuleViolated, "printable"),
        ({"name": "x" * 101}, RuleViolated, "100"),
        ({"by": "agent:0192f0c1-2d3e-7abc-8def-00000000000a"}, ActorNotAllowed, "agents"),
    ],
)
async def test_what_is_refused_leaves_no_schedule(recording, given, error, says):
    async with recording() as engine:
        await stored(engine, **TAKES)
        with pytest.raises(error) as caught:
            await hourly(engine, **{"inputs": {"size": 3}} | given)
        assert says in str(caught.value)
        assert list(await engine.schedules.list()) == []
        with pytest.raises(AggregateNotFound):
            await engine.schedules.get("often")


async def test_an_observer_and_an_agent_change_nothing(recording):
    async with recording() as engine:
        await stored(engine)
        await hourly(engine)
        with pytest.raises(ActorNotAllowed):
            await engine.schedules.remove("often", by="agent:0192f0c1-2d3e-7abc-8def-00000000000a")
        with pytest.raises(ActorNotAllowed):
            await engine.schedules.pause("often", by="observer:eve")
        assert (await engine.schedules.get("often")).status is ScheduleStatus.ACTIVE
