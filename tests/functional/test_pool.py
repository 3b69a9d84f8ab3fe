"""The pool, for real: tasks that wait for an agent get one as soon as one that suits is free, whoever frees it."""

import anyio
import pytest

from aura_contracts.agent import AgentChanges
from aura_contracts.task import TaskAssigned, TaskStatus
from engines import events_of, write

pytestmark = pytest.mark.anyio


async def make_agent(engine, name="Tess", *, steps=None, **profile):
    given = {"type": "tester", "options": {"steps": steps or [write("made.txt", "hello\n")]}} | profile
    return await engine.agents.add(name, "scripted", **given)


async def create(engine, repository, title="Say hello", **options):
    return await engine.tasks.create(title, repositories=[str(repository)], approval="auto", **options)


async def enqueued(engine, repository, title="Say hello", **options):
    task = await create(engine, repository, title, **options)
    return await engine.tasks.assign(task.id, agent_type="tester")


async def ended(engine, task_id):
    with anyio.fail_after(60):
        return await (await engine.attach(task_id)).result()


async def test_tasks_wait_for_the_one_agent_in_the_order_of_their_priority(opened, repository, tmp_path):
    """The first occupies the agent until all three are queued; then the urgent one goes before the older one."""
    gate = tmp_path / "gate"
    async with opened() as engine:
        agent = await make_agent(engine, steps=[{"wait_for": str(gate)}, {"say": "done"}])
        first = await enqueued(engine, repository, "first")
        assert (first.status, first.assigned_agent) == (TaskStatus.IN_PROGRESS, agent.id)
        older = await enqueued(engine, repository, "older", priority="low")
        urgent = await enqueued(engine, repository, "urgent", priority="high")
        assert older.pooled
        places = await engine.tasks.queue()
        assert [place.task_id for place in places] == [urgent.id, older.id]
        assert {place.reason for place in places} == {"Tess, which suits it, is busy"}
        gate.touch()
        done = [await ended(engine, task.id) for task in (first, urgent, older)]
        assert done[1].started_at < done[2].started_at
        (assigned,) = [event for event in await events_of(engine, urgent.id) if isinstance(event, TaskAssigned)]
        assert assigned.selection.reason == "it is the only suitable agent with room"
        assert [candidate.agent_id for candidate in assigned.selection.candidates] == [agent.id]


async def test_an_agent_with_capacity_works_on_that_many_at_once(opened, repository, tmp_path):
    """Each of two tasks waits for what the test writes only once both are at work."""
    gate = tmp_path / "gate"
    async with opened() as engine:
        agent = await make_agent(engine, steps=[{"wait_for": str(gate)}], capacity=2)
        tasks = [await enqueued(engine, repository, str(number)) for number in range(3)]
        assert [task.status for task in tasks] == ["in_progress", "in_progress", "pending"]
        busy = await engine.agents.get(agent.id)
        assert [held.task_id for held in busy.tasks] == [task.id for task in tasks[:2]]
        assert busy.current_task_id == tasks[0].id
        gate.touch()
        for task in tasks:
            await ended(engine, task.id)
        assert (await engine.agents.get(agent.id)).tasks == ()


@pytest.mark.deep_but_first
@pytest.mark.parametrize("frees", ["add", "enable", "capacity"])
async def test_whatever_makes_room_starts_the_task_at_once(opened, repository, tmp_path, frees):
    """Another engine on the log makes it: the one that waits hears of it from the log."""
    gate = tmp_path / "gate"
    async with opened() as engine, opened() as other:
        agent = await make_agent(engine, steps=[{"wait_for": str(gate)}], type="tester" if frees != "add" else "dba")
        if frees == "enable":
            await engine.agents.disable(agent.id)
        if frees == "capacity":
            await enqueued(engine, repository, "the agent is busy with this one")
        task = await enqueued(engine, repository)
        assert task.pooled
        gate.touch() if frees != "capacity" else None
        match frees:
            case "add":
                await make_agent(other, "Ada")
            case "enable":
                await other.agents.enable(agent.id)
            case "capacity":
                await other.agents.edit(agent.id, AgentChanges(capacity=2))
                with anyio.fail_after(30):
                    while (await engine.tasks.get(task.id)).pooled:
                        await engine._core.log.wait(await engine.events.head())
                gate.touch()
        assert (await ended(engine, task.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_two_engines_never_give_one_slot_twice(opened, repository):
    """Both hear of each end of a task at the same moment, and both want the agent for a task of their own."""
    async with opened() as one, opened() as other:
        agent = await make_agent(one, steps=[{"say": "done"}])
        await one.agents.disable(agent.id)
        tasks = [await enqueued(engine, repository) for engine in (one, other) * 2]
        await one.agents.enable(agent.id)
        for task in tasks:
            await ended(one, task.id)
        held = 0
        for event in await events_of(one, agent.id):
            held += {"agent.task_taken": 1, "agent.released": -1}.get(event.topic, 0)
            assert held in (0, 1)


@pytest.mark.deep
async def test_a_task_whose_engine_is_gone_keeps_no_agent_from_others(opened, repository):
    """The older task goes first, but no engine works for it; the younger one gets the agent all the same."""
    async with opened() as gone:
        left = await enqueued(gone, repository, "left behind")
    async with opened() as engine:
        await make_agent(engine, steps=[{"say": "done"}])
        task = await enqueued(engine, repository)
        await ended(engine, task.id)
        assert (await engine.tasks.get(left.id)).pooled
        (place,) = await engine.tasks.queue()
        assert "aura task resume" in place.reason
        await engine.resume(left.id)
        await ended(engine, left.id)


@pytest.mark.deep
async def test_an_engine_that_drives_all_works_on_the_whole_queue(opened, repository):
    async with opened(record_only=True) as recording:
        task = await enqueued(recording, repository)
        await make_agent(recording)
    async with opened(drive_all=True) as engine:
        assert (await ended(engine, task.id)).status is TaskStatus.COMPLETED


async def test_a_run_that_names_an_executor_does_not_wait_for_the_pool(opened, repository, tmp_path):
    """It gets an agent of its own, which takes no task from the queue; the limit of runs at once holds for both."""
    gate = tmp_path / "gate"
    async with opened(executions=1) as engine:
        agent = await make_agent(engine, steps=[{"wait_for": str(gate)}])
        pooled = await enqueued(engine, repository)
        options = {"steps": [{"say": "hello"}]}
        run = await engine.run(
            "Hello", executor="scripted", options=options, repositories=[str(repository)], approval="auto"
        )
        view = await engine.tasks.view(run.id)
        assert (view.agent.ad_hoc, view.agent.id != agent.id) == (True, True)
        assert view.execution.status == "Queued", "one run works at a time"
        waiting = await enqueued(engine, repository)
        gate.touch()
        for task in (pooled.id, run.id, waiting.id):
            await ended(engine, task)
        assert (await engine.tasks.get(waiting.id)).assigned_agent == agent.id


async def test_the_profile_of_the_agent_reaches_its_process(opened, repository):
    """Its own instructions come first in the prompt that the process got; its rules and limits are those of the run."""
    async with opened() as engine:
        agent = await make_agent(
            engine,
            steps=[{"expect_prompt": "You test everything.\n\nSay hello"}, {"ask": "Read"}, {"say": "done"}],
            prompt="You test everything.\n",
            allow=["Read"],
            timeout=50.0,
        )
        task = await enqueued(engine, repository)
        await ended(engine, task.id)
        execution = (await engine.tasks.view(task.id)).execution
        assert execution.agent_id == agent.id
        assert (execution.plan.timeout, execution.plan.permissions.allow) == (50.0, ("Read",))


async def test_a_task_that_waits_can_be_cancelled(opened, repository):
    async with opened() as engine:
        task = await enqueued(engine, repository)
        (place,) = await engine.tasks.queue()
        assert place.reason == "no agent of the pool is a tester; add one: aura agent add"
        assert (await engine.tasks.cancel(task.id)).status is TaskStatus.CANCELLED
        assert await engine.tasks.queue() == []
