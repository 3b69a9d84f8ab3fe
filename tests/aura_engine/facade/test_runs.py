"""Run handles: events, questions, results, keys, dependencies, subscriptions."""

from functools import partial

import anyio
import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import InvalidInput, KeyReused, NoSession, RunCancelled, RunFailed, RunNotDriven
from aura_contracts.task import TaskChanges, TaskCompleted
from aura_engine.facade.watch import Watch
from aura_engine.runtime import leases
from aura_engine.runtime.driver import Driver
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.standby import lock_of
from aura_engine.runtime.steps import Do
from aura_worker_protocol.messages import CheckOptions, ListExecutors
from conditions import until
from engines import ONCE, scripted, write
from repositories import make_repository

pytestmark = pytest.mark.anyio


def ask(command):
    return {"ask": {"tool": "Bash", "arguments": {"command": command}, "then": [write("made.txt", "made\n")]}}


@pytest.mark.deep
async def test_questions_come_as_they_are_asked_until_the_run_has_ended(opened, repository):
    async with opened() as engine:
        steps = scripted([ask("make"), write("b.txt", "two\n")])
        run = await engine.run("Make it", repositories=[str(repository)], **steps)
        kinds = []
        async for question in run.questions():
            kinds.append(question.kind)
            await engine.approvals.approve(question.id)
        assert kinds == [ApprovalKind.TOOL_CALL, ApprovalKind.CHANGES]
        assert (await run.result()).status.value == "completed"


@pytest.mark.deep
async def test_idle_returns_at_a_tool_call_and_again_at_the_review(opened, repository):
    async with opened() as engine:
        run = await engine.run("Make it", repositories=[str(repository)], **scripted([ask("make")]))
        assert (await run.idle()).status.value == "in_progress"
        await engine.approvals.approve(run.id)
        assert (await run.idle()).status.value == "awaiting_approval"
        await run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result()


async def test_a_failure_is_raised_with_its_reason(opened, repository):
    async with opened() as engine:
        run = await engine.run(
            "Fail", repositories=[str(repository)], retry=ONCE, **scripted([{"fail": {"exit_code": 3}}])
        )
        with pytest.raises(RunFailed) as failed:
            await run.result()
        assert failed.value.failure.exit_code == 3
        assert failed.value.code == "run_failed"


@pytest.mark.deep
async def test_the_result_of_a_recorded_run_waits_for_an_engine_that_drives_it(opened, repository):
    async with opened(record_only=True) as recorder:
        options = {"repositories": [str(repository)], "approval": "auto", **scripted([write("b.txt", "two\n")])}
        run = await recorder.run("Later", **options)
        ends = []

        async def wait():
            ends.append((await run.idle()).status.value)
            ends.append((await run.result()).status.value)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await recorder.tasks.create("Something else")
            assert not ends
            async with opened(drive_all=True):
                await until(lambda: len(ends) == 2)
        assert ends == ["completed", "completed"]


@pytest.mark.deep
async def test_the_end_of_a_run_is_seen_in_a_log_that_never_rests(opened, repository, monkeypatch):
    """Other tasks are recorded faster than a handle reads them."""
    async with opened() as engine:
        look = Watch._is_over

        async def slow_look(watch, **options):
            over = await look(watch, **options)
            await engine.tasks.create("Something else")
            return over

        monkeypatch.setattr(Watch, "_is_over", slow_look)
        options = {"repositories": [str(repository)], "approval": "auto", **scripted([write("b.txt", "two\n")])}
        run = await engine.run("Quick", **options)
        with anyio.fail_after(60):
            assert (await run.result()).status.value == "completed"


async def test_a_lock_that_ends_while_its_task_is_taken_on_is_taken_again(opened, repository, monkeypatch):
    async with opened() as engine, opened() as other:
        follower, connect = engine._core.follower, Gateway.connect

        async def lose_the_lock(gateway):
            await connect(gateway)
            if gateway is engine._core.runtime.gateway and not follower.drivers._drivers:
                for held in engine._core.locks._folder.glob("*.lock"):
                    held.unlink()
                await follower.drivers._retake_lost()

        run = await other.run("Later", repositories=[str(repository)], **scripted([ask("make")]))
        await run.idle()
        await other._core.locks.release(lock_of(run.id))
        monkeypatch.setattr(Gateway, "connect", lose_the_lock)
        assert await follower.drive(run.id)
        assert await other._core.locks.held_elsewhere(lock_of(run.id))


async def test_an_engine_whose_task_is_taken_over_does_not_take_it_back(opened, repository, monkeypatch):
    """Not even when it has only just taken it over itself, and has not looked since."""
    async with opened() as engine, opened() as other:
        perform, follower = Driver._perform, engine._core.follower

        async def lose_the_race(driver, step, view, *more):
            await perform(driver, step, view, *more)
            if step.do is Do.TAKE_OVER and driver._runtime is engine._core.runtime:
                view = await engine._core.view(driver.task_id)
                for each in (engine, other):
                    each._core.bus.states.evict(view.streams)
                await leases.take_over(other._core.runtime, view)

        run = await other.run("Later", repositories=[str(repository)], **scripted([ask("make")]))
        await run.idle()
        await other._core.locks.release(lock_of(run.id))
        monkeypatch.setattr(Driver, "_perform", lose_the_race)
        assert await follower.drive(run.id)
        with anyio.fail_after(60):
            await follower.undriven(run.id)
        leased = [record async for record in other.events.read(types=["execution.leased"])]
        assert len(leased) == 3


async def test_a_task_that_was_not_started_is_not_cancelled(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Not yet")
        run = await engine.attach(task.id)
        for waiting in (run.result, run.idle):
            with pytest.raises(RunNotDriven) as raised:
                await waiting()
            assert (raised.value.task_id, raised.value.status) == (task.id, "pending")
        await run.cancel("never")
        with pytest.raises(RunCancelled):
            await run.result()
        assert (await run.idle()).status.value == "cancelled"


async def test_a_decision_starts_no_task_of_an_agent_outside_the_engine(opened):
    async with opened() as engine:
        task = await engine.tasks.create("By hand")
        await engine.tasks.assign(task.id, executor="custom")
        approval = await engine.tasks.submit(task.id, "I would do this")
        run = await engine.resume(task.id)
        assert (await run.idle()).status.value == "awaiting_approval"
        await engine.approvals.approve(approval.id)
        for waiting in (run.result, run.idle):
            with anyio.fail_after(60), pytest.raises(RunNotDriven) as raised:
                await waiting()
            assert (raised.value.task_id, raised.value.status) == (task.id, "approved")


@pytest.mark.deep
async def test_a_run_that_waits_for_a_human_needs_no_engine(opened, repository):
    options = {"repositories": [str(repository)], **scripted([write("b.txt", "two\n")])}
    async with opened() as engine:
        run = await engine.run("Ask", **options)
        await run.idle()
    async with opened() as engine:
        run = await engine.attach(run.id)
        assert (await run.idle()).status.value == "awaiting_approval"
        async with anyio.create_task_group() as group:

            async def approve():
                async for question in run.questions():
                    await engine.approvals.approve(question.id)

            group.start_soon(approve)
            assert (await run.result()).status.value == "completed"


async def test_the_same_key_is_the_same_task_also_after_a_restart(opened, repository):
    request = {"repositories": [str(repository)], "key": "deploy-7", **scripted([write("b.txt", "two\n")])}
    async with opened() as engine:
        run = await engine.run("Deploy", **request)
        assert (await engine.run("Deploy", **request)).id == run.id
        with pytest.raises(KeyReused, match="deploy-7"):
            await engine.run("Deploy something else", **request)
        await run.idle()
    async with opened() as engine:
        again = await engine.run("Deploy", **request)
        assert again.id == run.id
        assert len((await engine.tasks.list()).rows) == 1


async def test_two_engines_that_use_one_key_at_once_start_one_task(opened, repository):
    request = {"repositories": [str(repository)], "key": "once", **scripted([write("b.txt", "two\n")])}
    async with opened() as one, opened() as other:
        ids = []

        async def start(engine):
            ids.append((await engine.run("Once", **request)).id)

        async with anyio.create_task_group() as group:
            for engine in (one, other, one, other):
                group.start_soon(start, engine)
        assert len(set(ids)) == 1
        assert len((await one.tasks.list()).rows) == 1


async def test_rules_are_refused_before_anything_is_made_for_an_agent_that_asks_nothing(opened, repository):
    """By whichever way its option comes: with the run, with the assignment, or with the agent of the pool."""
    place, rules = {"repositories": [str(repository)]}, {"deny": ["Bash(rm *)"]}
    silent = {"executor": "local", "options": {"yolo": True, "endpoint": "http://127.0.0.1:9/v1"}}
    async with opened() as engine:
        agent = await engine.agents.add("free", silent["executor"], options=silent["options"])
        task = await engine.tasks.create("Later", **place)
        before = await engine._core.log.head()
        for refused in (
            partial(engine.run, "Now", **place, **silent, **rules),
            partial(engine.tasks.assign, task.id, **silent, **rules),
            partial(engine.tasks.assign, task.id, agent=agent.id, **rules),
            partial(engine.tasks.assign, task.id, agent_type="developer", **rules),
        ):
            with pytest.raises(InvalidInput, match="with its option yolo the agent asks for nothing"):
                await refused()
        assert await engine._core.log.head() == before


@pytest.mark.deep
async def test_a_run_waits_for_those_that_it_names(opened, repository):
    async with opened() as engine:
        places = {"repositories": [str(repository)]}
        first = await engine.run("First", **places, **scripted([write("a.txt", "first\n")]))
        second = await engine.run("Second", after=[first], **places, **scripted([write("b.txt", "second\n")]))
        await first.idle()
        assert (await engine.tasks.view(second.id)).execution.status.value == "Queued"
        await engine.approvals.approve(first.id)
        await first.result()
        assert (await second.idle()).status.value == "awaiting_approval"


async def test_a_run_fails_with_what_it_waits_for(opened, repository):
    async with opened() as engine:
        places = {"repositories": [str(repository)], "retry": ONCE}
        first = await engine.run("First", **places, **scripted([{"fail": {"exit_code": 1}}]))
        second = await engine.run("Second", after=[first], **places, **scripted([write("b.txt", "second\n")]))
        with pytest.raises(RunFailed) as failed:
            await second.result()
        assert failed.value.failure.reason.value == "DependencyFailed"


@pytest.mark.deep
async def test_run_events_and_listed_events_agree_on_what_belongs_to_a_task(opened, repository):
    places = {"repositories": [str(repository)], "retry": ONCE}
    async with opened() as engine:
        steps = scripted([write("a.txt", "one\n"), {"fail": {"exit_code": 1}}], [ask("make"), write("b.txt", "two\n")])
        first = await engine.run("First", **places, **steps)
        with pytest.raises(RunFailed):
            await first.result()
        await engine.tasks.retry(first.id)
        async for question in first.questions():
            await engine.approvals.approve(question.id)
        other = await engine.run("Other", approval="auto", **places, **scripted([write("c.txt", "three\n")]))
        await other.result()
        for run in (first, other):
            listed = [record.position for record in await engine.events.list(task=run.id)]
            assert [record.position async for record in run.events(after=0)] == listed
            attached = await engine.attach(run.id)
            for since in listed[::4]:
                later = [record.position async for record in attached.events(after=since)]
                assert later == [position for position in listed if position > since]
        records = await engine.events.list(task=first.id)
        runs = {record.stream_id for record in records if record.event.topic == "execution.queued"}
        assert len(runs) == 2
        for execution in runs:
            parts = {record.position for record in await engine.events.list(execution=execution)}
            assert parts < {record.position for record in records}, "what concerns a run concerns its task"
            topics = {record.event.topic for record in records if record.position in parts}
            assert {"lease.granted", "lease.closed", "output.recorded"} <= topics


async def test_a_live_subscription_hears_what_happens_from_now_on(opened, repository):
    heard = []
    async with opened() as engine:
        subscription = engine.on(TaskCompleted, heard.append)
        options = {"repositories": [str(repository)], "approval": "auto", **scripted([write("b.txt", "two\n")])}
        run = await engine.run("Once", **options)
        await run.result()
        await until(lambda: heard)
        assert heard[0].stream_id == run.id
        subscription.cancel()


@pytest.mark.deep
async def test_a_durable_subscription_continues_where_it_was(opened, repository):
    options = {"repositories": [str(repository)], "approval": "auto"}
    heard = []

    async def hear(record):
        heard.append(record.stream_id)

    async with opened() as engine:
        engine.on(TaskCompleted, hear, name="mail")
        one = await engine.run("One", **options, **scripted([write("b.txt", "one\n")]))
        await one.result()
        await until(lambda: len(heard) == 1)
    async with opened() as engine:
        two = await engine.run("Two", **options, **scripted([write("b.txt", "two\n")]))
        await two.result()
    async with opened() as engine:
        engine.on(TaskCompleted, hear, name="mail")
        await until(lambda: len(heard) == 2)
    assert heard == [one.id, two.id]


# --- Keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_belongs_to_the_repository_and_not_to_how_it_is_written(opened, repository, tmp_path, monkeypatch):
    steps = {"key": "n", **scripted([write("b.txt", "two\n")])}
    other = make_repository(tmp_path / "other", {"a.txt": "one\n"})
    (tmp_path / "link").symlink_to(repository)
    async with opened() as engine:
        monkeypatch.chdir(repository)
        run = await engine.run("Same", **steps)
        for written in (["."], [str(repository)], ["../link"], (str(repository) + "/",)):
            assert (await engine.run("Same", repositories=written, **steps)).id == run.id
        monkeypatch.chdir(other)
        with pytest.raises(KeyReused):
            await engine.run("Same", **steps)
        assert (await engine.workspaces.get(run.id)).repositories[0].path == str(repository)


async def test_a_key_belongs_to_what_the_run_waits_for(opened, repository):
    places = {"repositories": [str(repository)]}
    async with opened() as engine:
        first = await engine.run("First", **places, **scripted([write("a.txt", "first\n")]))
        steps = scripted([write("b.txt", "two\n")])
        run = await engine.run("Second", key="k", after=[first], **places, **steps)
        assert (await engine.run("Second", key="k", after=first.id[-12:], **places, **steps)).id == run.id
        assert (await engine.run("Second", key="k", after=(first, first.id), **places, **steps)).id == run.id
        with pytest.raises(KeyReused):
            await engine.run("Second", key="k", **places, **steps)


@pytest.mark.parametrize("key", ["", " ", "k" * 201, "\ud800", "a\0b", 5])
async def test_a_key_that_cannot_be_kept_is_refused(opened, repository, key):
    async with opened() as engine:
        with pytest.raises(InvalidInput) as refused:
            await engine.run("Once", key=key, repositories=[str(repository)], **scripted([]))
        assert refused.value.field == "key"
        assert await engine.events.head() == 0


@pytest.mark.deep
async def test_the_session_that_resume_latest_finds_is_not_part_of_the_request(opened, repository):
    steps = {"executor": "scripted", "options": {"steps": [{"session": "mine"}, write("b.txt", "two\n")]}}
    request = {"repositories": [str(repository)], "approval": "auto", **steps}
    async with opened() as engine:
        with pytest.raises(NoSession):
            await engine.run("Go", resume_latest=True, **request)
        await (await engine.run("Go", **request)).result()
        run = await engine.run("Go", resume_latest=True, key="k", **request)
        await run.result()
        assert (await engine.tasks.view(run.id)).execution.session_id == "mine"
        steps["options"]["steps"][0]["session"] = "newer"
        await (await engine.run("Go", **request | steps)).result()
        steps["options"]["steps"][0]["session"] = "mine"
        assert (await engine.run("Go", resume_latest=True, key="k", **request)).id == run.id


@pytest.mark.parametrize("after", [None, 5, [5], {"a": None}.values()])
async def test_after_names_runs_or_tasks(opened, repository, after):
    async with opened() as engine:
        with pytest.raises(InvalidInput) as refused:
            await engine.run("Once", after=after, repositories=[str(repository)], **scripted([]))
        assert refused.value.field == "after"


async def test_a_run_may_wait_for_one_id(opened, repository):
    async with opened() as engine:
        places = {"repositories": [str(repository)]}
        first = await engine.run("First", **places, **scripted([write("a.txt", "first\n")]))
        second = await engine.run("Second", after=first.id, **places, **scripted([write("b.txt", "second\n")]))
        third = await engine.run("Third", after=first, **places, **scripted([write("b.txt", "second\n")]))
        for run in (second, third):
            assert (await run.task()).after == (first.id,)


@pytest.mark.parametrize("limit", [0, -1, "a", True, None])
async def test_a_list_of_events_has_a_limit(opened, limit):
    async with opened() as engine:
        await engine.tasks.create("One")
        with pytest.raises(InvalidInput) as refused:
            await engine.events.list(limit=limit)
        assert refused.value.field == "limit"
        assert refused.value.remedy


# --- Cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(0, 24, 3))
async def test_a_call_that_is_cancelled_while_the_worker_starts_ends(opened, steps):
    with anyio.fail_after(60):
        async with opened() as engine:
            async with anyio.create_task_group() as group:
                group.start_soon(engine.executors.list)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert await engine.executors.list()


async def test_a_run_asks_once_what_its_executor_can_do(opened, repository, monkeypatch):
    sent, request = [], Gateway.request

    async def record(gateway, message):
        sent.append(type(message))
        return await request(gateway, message)

    monkeypatch.setattr(Gateway, "request", record)
    async with opened() as engine:
        for _ in range(2):
            await engine.run("Make it", repositories=[str(repository)], **scripted([write("b.txt", "two\n")]))
    assert (sent.count(ListExecutors), sent.count(CheckOptions)) == (1, 2)


@pytest.mark.parametrize("agent", ["scripted-agent", None])
async def test_an_assignment_that_others_overtake_examines_its_options_once(opened, repository, monkeypatch, agent):
    examined, request = [], Gateway.request

    async def overtake(gateway, message):
        if isinstance(message, CheckOptions):
            examined.append(message)
            await engine.tasks.edit(task.id, TaskChanges(title=f"Renamed {len(examined)}"))
        return await request(gateway, message)

    async with opened() as engine:
        task = await engine.tasks.create("Make it")
        who = {"agent": (await engine.agents.add(agent, executor="scripted")).id} if agent else {"executor": "scripted"}
        monkeypatch.setattr(Gateway, "request", overtake)
        options = scripted([write("b.txt", "two\n")])["options"]
        given = await engine.tasks.assign(task.id, repositories=[str(repository)], options=options, **who)
    assert (given.title, len(examined)) == ("Renamed 1", 1)
