"""The rounds of the pool: what happens while it decides or records is never missed, and no agent is kept from work."""

from contextlib import asynccontextmanager

import anyio
import pytest

from aura_contracts.actors import agent as the_agent
from aura_contracts.agent import AgentChanges, AgentEdited
from aura_contracts.task import CompleteTask, PoolRequest, QueueTask, TaskCompleted, TaskStatus
from aura_engine.runtime import courtesy
from aura_engine.runtime import pool as pools
from aura_engine.runtime.assignments import Assignments
from aura_engine.runtime.pool import Pool
from backends import asyncio_unless_deep
from conditions import until
from engines import opened

__all__ = ["asyncio_unless_deep", "opened"]

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def working(opened):
    """Open an engine that works on the queue, because it waits for an agent that never comes."""
    async with opened() as engine:
        task = await engine.tasks.create("Wait")
        await engine.tasks.assign(task.id, agent_type="nobody")
        yield engine


async def add(engine, name="Tess", **profile):
    return await engine.agents.add(name, "custom", type="tester", **profile)


async def enqueued(engine, title, **options):
    task = await engine.tasks.create(title, approval="auto", **options)
    return await engine.tasks.assign(task.id, agent_type="tester")


async def enqueued_elsewhere(engine, title):
    """Queue a task for which this engine does not wait."""
    task = await engine.tasks.create(title)
    await engine._core.bus.handle("human:alice", task.id, QueueTask(request=PoolRequest(agent_type="tester")))
    return task


async def has_agent(engine, task):
    return (await engine.tasks.get(task.id)).assigned_agent is not None


# --- Agents that are left to other engines ----------------------------------------------------------------------------


async def test_an_agent_that_was_left_to_a_task_is_free_when_the_task_is_cancelled(opened):
    async with working(opened) as engine:
        await add(engine)
        other = await enqueued_elsewhere(engine, "of another engine")
        pool = engine._core.follower.pool
        await until(lambda: other.id in pool._courtesy._left, 2)
        await engine.tasks.cancel(other.id)
        task = await enqueued(engine, "mine")
        await until(lambda: has_agent(engine, task), 2)


async def test_an_agent_that_was_left_to_a_task_stays_so_when_it_changes(opened, monkeypatch):
    monkeypatch.setattr(courtesy, "COURTESY", 60)
    async with working(opened) as engine:
        agent = await add(engine)
        other = await enqueued_elsewhere(engine, "of another engine")
        pool = engine._core.follower.pool
        await until(lambda: other.id in pool._courtesy._left, 2)
        await engine.agents.edit(agent.id, AgentChanges(capabilities=("sql",)))
        assert (await enqueued(engine, "mine")).pooled


async def test_no_agent_is_left_again_to_a_task_when_the_locks_of_others_change(opened, monkeypatch):
    """Its engine may be gone, and locks change all the time."""
    monkeypatch.setattr(courtesy, "COURTESY", 0.05)
    async with working(opened) as engine:
        await add(engine)
        outside = await engine.agents.add("Ada", "custom")
        pool = engine._core.follower.pool
        other = await engine.tasks.create("of another engine", locks=["a"])
        await engine._core.bus.handle("human:alice", other.id, QueueTask(request=PoolRequest(agent_type="tester")))
        await until(lambda: other.id in pool._courtesy._ends and other.id not in pool._courtesy._left, 2)
        monkeypatch.setattr(courtesy, "COURTESY", 60)
        claiming = await engine.tasks.create("Claim", locks=["b"], approval="auto")
        await engine.tasks.assign(claiming.id, agent=outside.id)
        assert [one.task_id for one in await engine.tasks.locks()] == [claiming.id]
        task = await enqueued(engine, "mine")
        await until(lambda: has_agent(engine, task), 2)


# --- What happens meanwhile -------------------------------------------------------------------------------------------


@pytest.fixture
def delivered(monkeypatch):
    """Return when the pool was told of the first event of a type."""
    told, note = {}, Pool.on_record

    def noting(pool, record):
        note(pool, record)
        told.setdefault(type(record.event), anyio.Event()).set()

    monkeypatch.setattr(Pool, "on_record", noting)

    async def wait(event_type):
        with anyio.fail_after(5):
            await told.setdefault(event_type, anyio.Event()).wait()

    return wait


async def test_a_task_that_is_completed_while_one_that_waits_for_it_is_read_is_not_missed(
    opened, monkeypatch, delivered
):
    async with working(opened) as engine:
        await add(engine)
        one = await engine.agents.add("Ada", "custom")
        first = await engine.tasks.create("First", approval="auto")
        await engine.tasks.assign(first.id, agent=one.id)
        load = pools.load_view

        async def and_it_completes(bus, task_id):
            view = await load(bus, task_id)
            if view.unmet and (await engine.tasks.get(first.id)).status is TaskStatus.IN_PROGRESS:
                await bus.handle(the_agent(one.id), first.id, CompleteTask())
                await delivered(TaskCompleted)
            return view

        monkeypatch.setattr(pools, "load_view", and_it_completes)
        task = await enqueued(engine, "Second", after=[first.id])
        await until(lambda: has_agent(engine, task), 2)


async def test_room_that_is_made_while_an_assignment_is_recorded_is_not_missed(opened, monkeypatch, delivered):
    async with working(opened) as engine:
        agent, record = await add(engine), Assignments.record

        async def and_room_is_made(assignments, chosen):
            await record(assignments, chosen)
            monkeypatch.setattr(Assignments, "record", record)
            await engine.agents.edit(agent.id, AgentChanges(capacity=2))
            await delivered(AgentEdited)

        monkeypatch.setattr(Assignments, "record", and_room_is_made)
        assert not (await enqueued(engine, "first")).pooled
        assert not (await enqueued(engine, "second")).pooled


async def test_the_time_that_an_agent_is_left_to_another_engine_ends_by_itself(opened, monkeypatch):
    """The round that leaves it is the one in which the engine begins to wait for a task; nothing happens after that."""
    monkeypatch.setattr(courtesy, "COURTESY", 0.05)
    async with working(opened) as engine:
        agent, pool = await add(engine), engine._core.follower.pool
        await until(lambda: agent.id in pool._schedule._free, 2)
        monkeypatch.setattr(Pool, "on_record", lambda *_: None)
        other = await enqueued_elsewhere(engine, "of another engine")
        pool._stale_tasks.add(other.id)
        task = await enqueued(engine, "mine")
        assert task.pooled
        await until(lambda: has_agent(engine, task), 2)


async def test_a_task_for_any_agent_is_one_for_any_agent_when_it_is_queued_again(opened):
    async with opened() as engine:
        await add(engine)
        task = await engine.tasks.create("Hello")
        assigned = await engine.tasks.assign(task.id)
        assert (assigned.assigned_agent is not None, assigned.agent_type) == (True, None)
