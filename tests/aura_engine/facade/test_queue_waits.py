"""Waiting for a task in the queue: for as long as an engine works on it, and not for ever if none does."""

import anyio
import pytest

from aura_contracts.errors import RunNotDriven
from aura_engine import runtime
from aura_engine.runtime import queue_locks
from backends import asyncio_unless_deep
from conditions import until
from engines import opened

__all__ = ["asyncio_unless_deep", "opened"]

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Look at the locks often."""
    monkeypatch.setattr(runtime, "LOCK_CHECK", 0.02)
    monkeypatch.setattr(queue_locks, "CHECK", 0.02)


async def enqueued(engine):
    task = await engine.tasks.create("Hello")
    return await engine.tasks.assign(task.id, agent_type="nobody")


async def test_the_wait_for_a_task_whose_engine_is_gone_ends_with_an_error(opened):
    async with opened() as gone:
        task = await enqueued(gone)
    async with opened() as engine:
        run = await engine.attach(task.id)
        with anyio.fail_after(5), pytest.raises(RunNotDriven):
            await run.result()


@pytest.mark.parametrize("drive_all", [False, True])
async def test_the_wait_lasts_for_as_long_as_another_engine_works_on_the_task(opened, drive_all):
    async with opened() as engine:
        async with opened(record_only=True) as recording:
            task = None if not drive_all else await enqueued(recording)
        async with opened(drive_all=drive_all) as other:
            task = task or await enqueued(other)
            run = await engine.attach(task.id)
            with anyio.move_on_after(0.3) as waiting:
                await run.result()
            assert waiting.cancelled_caught
        with anyio.fail_after(5), pytest.raises(RunNotDriven):
            await run.result()


async def test_another_engine_that_waits_for_the_task_takes_the_lock_on(opened):
    async with opened() as engine, opened() as heir:
        async with opened() as first:
            task = await enqueued(first)
            await heir.resume(task.id)
        run = await engine.attach(task.id)
        with anyio.move_on_after(0.3) as waiting:
            await run.result()
        assert waiting.cancelled_caught


async def test_an_engine_names_few_of_many_tasks_and_is_waited_for_about_the_others(opened, monkeypatch):
    monkeypatch.setattr(queue_locks, "NAMED", 2)
    async with opened() as engine:
        async with opened() as other:
            tasks = [await enqueued(other) for _ in range(4)]
            await until(lambda: len(other._core.locks._held) == 3)
            runs = [await engine.attach(task.id) for task in (tasks[0], tasks[-1])]
            for run in runs:
                with anyio.move_on_after(0.3) as waiting:
                    await run.result()
                assert waiting.cancelled_caught
        for run in runs:
            with anyio.fail_after(30), pytest.raises(RunNotDriven):
                await run.result()
