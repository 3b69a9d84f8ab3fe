"""The same run from wherever a program calls it: blocking code, a loop that is running, a notebook."""

import asyncio
import gc
import textwrap
import threading
import warnings
from contextlib import suppress

import pytest

from aura_contracts.errors import InvalidInput
from aura_contracts.task import TaskStatus
from aura_engine import open_engine, open_engine_sync
from repositories import content, make_repository

STEPS = [{"print": "working"}, {"write": {"path": "new.txt", "text": "more\n"}}]


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "app")


@pytest.fixture
def place(tmp_path):
    return {"url": f"sqlite:///{tmp_path / 'aura.db'}", "home": tmp_path / "home", "user": "alice"}


def request(repository):
    return {"executor": "scripted", "options": {"steps": STEPS}, "repositories": [str(repository)]}


@pytest.mark.deep
def test_blocking_code(place, repository):
    threads = threading.active_count()
    with open_engine_sync(**place) as engine:
        run = engine.run("Say more", **request(repository))
        topics = [record.event.topic for record in run.events()]
        assert "output.recorded" in topics
        assert topics[-1] == "agent.paused"
        (question,) = engine.approvals.list(pending=True, task=run.id).rows
        with pytest.raises(InvalidInput, match="empty"):
            engine.run(" ", **request(repository))
        engine.approvals.approve(question.id)
        assert run.result().status is TaskStatus.COMPLETED
        assert engine.tasks.view(run.id).task.rejections == 0
    assert content(repository, "main", "new.txt") == "more"
    assert threading.active_count() <= threads + 1, "the loop's thread has ended"


def test_an_error_in_the_body_is_raised_as_it_is(place):
    with pytest.raises(ZeroDivisionError), open_engine_sync(**place):
        raise ZeroDivisionError


@pytest.mark.deep
def test_a_loop_that_is_running_does_other_things_meanwhile(place, repository):
    async def main():
        beats = 0

        async def beat():
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.005)

        async with asyncio.timeout(60):
            other = asyncio.create_task(beat())
            async with open_engine(**place) as engine:
                run = await engine.run("Say more", approval="auto", **request(repository))
                task = await run.result()
            other.cancel()
        return task, beats

    task, beats = asyncio.run(main())
    assert task.status is TaskStatus.COMPLETED
    assert beats > 10, "the loop was never blocked for long"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what is left open
def test_a_host_that_cancels_its_whole_loop_leaves_a_run_which_its_key_continues(place, repository, tmp_path):
    gate, working = tmp_path / "go", "output.recorded"
    steps = [{"print": "working"}, {"wait_for": str(gate)}, STEPS[1]]
    asked = {"key": "one", "approval": "auto", **request(repository), "options": {"steps": steps}}

    async def step(engine, begun):
        run = await engine.run("Say more", **asked)
        begun.set_result(run)
        try:
            await run.result()
        except asyncio.CancelledError:
            await run.cancel("its host was cancelled")  # too late: the engine is cancelled as well
            raise

    async def main():
        async with open_engine(**place) as engine:
            begun = asyncio.get_running_loop().create_future()
            node = asyncio.create_task(step(engine, begun))
            run = await begun
            async for record in run.events():
                if record.event.topic == working:
                    break
            for task in asyncio.all_tasks():
                task.cancel()
            await node

    with suppress(asyncio.CancelledError):
        asyncio.run(main())
    gc.collect()  # what a loop that was cancelled as a whole leaves open, before other tests are blamed
    with open_engine_sync(**place) as engine:
        run = engine.run("Say more", **asked)
        gate.touch()
        assert run.result().status is TaskStatus.COMPLETED
        events = [record.event for record in engine.events.list(limit=1000)]
        started = [event for event in events if event.topic == "lease.process_started"]
        assert len({event.process for event in started}) == 1, "the agent worked on meanwhile"
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep
def test_a_notebook(place, repository, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nbformat
        from nbclient import NotebookClient

        cells = [
            "from aura_engine import open_engine",
            f"place = {dict(place, home=str(place['home']))!r}; request = {request(repository)!r}",
            """
            async with open_engine(**place) as engine:
                run = await engine.run("Say more", approval="auto", **request)
                task = await run.result()
            """,
            "print(task.status.value)",
        ]
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}},
        )
        done = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert done.cells[-1].outputs[0]["text"] == "completed\n"
    assert content(repository, "main", "new.txt") == "more"
