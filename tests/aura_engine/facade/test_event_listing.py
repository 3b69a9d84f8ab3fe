"""Listing events of one task, run or stream: what is selected, and how little of the log is read for it."""

from contextlib import aclosing

import anyio
import pytest

from engines import scripted, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def read_positions(monkeypatch):
    """Returns the positions of all events that an engine's log has returned since."""

    def watched(engine):
        log, positions = engine._core.log, []
        page = type(log).page

        async def watch(self, *args, **options):
            records = await page(self, *args, **options)
            positions.extend(record.position for record in records)
            return records

        monkeypatch.setattr(type(log), "page", watch)
        return positions

    return watched


@pytest.mark.deep
async def test_nothing_is_read_before_the_first_event_of_a_task(opened, repository, read_positions):
    async with opened() as engine:
        for number in range(50):
            await engine.tasks.create(f"Task {number}")
        before = await engine.events.head()
        options = scripted([write("a.txt", "one\n")])
        run = await engine.run("Say more", approval="auto", repositories=[str(repository)], **options)
        task = await run.result()
        read = read_positions(engine)
        for filters in ({"task": run.id}, {"execution": task.execution_id}):
            del read[:]
            listed = await engine.events.list(**filters)
            assert len(listed) > 5
            assert min(read) == before + 1
        assert await engine.events.list(execution=task.execution_id, types=["task"]), "the task's events name its run"


async def test_one_stream_is_read_alone(opened, read_positions):
    async with opened() as engine:
        task = await engine.tasks.create("One")
        for number in range(50):
            await engine.tasks.create(f"Task {number}")
        await engine.tasks.cancel(task.id)
        await engine.tasks.list()  # brings the read models up to date
        read = read_positions(engine)
        listed = await engine.events.list(stream=task.id)
        assert [record.event.topic for record in listed] == ["task.created", "task.cancelled"]
        assert read == [record.position for record in listed]
        (last,) = await engine.events.list(stream=task.id, since=listed[0].position)
        assert last == listed[1]
        assert await engine.events.list(stream=task.id, task=task.id) == listed
        following = engine.events.read(stream=task.id, follow=True)
        with anyio.fail_after(60):
            async with aclosing(following) as records:
                assert [await anext(records) for _ in listed] == listed
