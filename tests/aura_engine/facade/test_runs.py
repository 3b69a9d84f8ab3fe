"""Run handles: events, questions, results, keys, dependencies, subscriptions."""

import anyio
import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import KeyReused, RunCancelled, RunFailed, RunNotDriven
from aura_contracts.task import TaskCompleted
from conditions import until
from engines import ONCE, scripted, write

pytestmark = pytest.mark.anyio


def ask(command):
    return {"ask": {"tool": "Bash", "arguments": {"command": command}, "then": [write("made.txt", "made\n")]}}


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
