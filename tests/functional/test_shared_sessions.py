"""Runs that resume one session of an agent: their agents work in it one after another, whichever engine drives them."""

import json
import subprocess
import sys

import pytest

from aura_contracts.errors import SessionBusy
from aura_contracts.execution import ExecutionStatus
from aura_contracts.failures import FailureReason
from aura_contracts.task import TaskStatus
from aura_engine.runtime.session_runs import others_in_session
from conditions import until
from engines import ONCE, scripted, settled
from repositories import make_repository

pytestmark = pytest.mark.anyio

SESSION = {"session": {"id": "ses-1"}}


def work(folder, name):
    """Return the request of a run that works in the session until a file is there, and leaves a file meanwhile."""
    steps = [SESSION, {"spawn": {"argv": ["touch", str(folder / f"{name}-in")]}}, {"wait_for": str(folder / name)}]
    return {**scripted(steps), "approval": "auto", "retry": ONCE}


@pytest.fixture
def begin(repository, tmp_path):
    """Starts a run that works in a session until `go` of its name; by default in one that it makes."""

    async def begin(engine, name, **more):
        return await engine.run(name, repositories=[str(repository)], **work(tmp_path, name), **more)

    return begin


@pytest.fixture
def works(tmp_path):
    """Whether the agent of this name is at work, or was."""
    return lambda name: (tmp_path / f"{name}-in").exists()


@pytest.fixture
def go(tmp_path):
    return lambda name: (tmp_path / name).touch()


async def waits(run):
    """Return when a run waits for its turn, with the error that says so."""
    await until(lambda: isinstance(run.blocker, SessionBusy))
    return run.blocker


@pytest.mark.deep
async def test_the_second_run_waits_for_its_turn_and_says_so(opened, begin, works, go):
    async with opened(executions=1) as engine, opened() as other:
        first = await begin(engine, "a", session_id="ses-1")
        await until(lambda: works("a"))
        second = await begin(other, "b", session_id="ses-1")
        error = await waits(second)
        assert (error.session, error.executor, error.task_id) == ("ses-1", "scripted", first.id)
        assert "--fork" in error.remedy
        third = await begin(other, "c", session_id="ses-1")
        await waits(third)
        assert not works("b")
        go("a")
        await until(lambda: works("b"))
        assert not works("c")
        go("b")
        go("c")
        for engine_of, run in ((engine, first), (other, second), (other, third)):
            assert (await settled(engine_of, run.id)).status is TaskStatus.COMPLETED
        assert second.blocker is None


@pytest.mark.deep
async def test_a_run_that_waits_for_its_turn_leaves_its_slot_to_others(opened, begin, works, go):
    async with opened() as engine, opened(executions=1) as other:
        first = await begin(engine, "a", session_id="ses-1")
        await until(lambda: works("a"))
        second = await begin(other, "b", session_id="ses-1")
        await waits(second)
        go("c")
        third = await begin(other, "c")
        assert (await settled(other, third.id)).status is TaskStatus.COMPLETED
        go("a")
        go("b")
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED
        assert (await settled(other, second.id)).status is TaskStatus.COMPLETED


async def test_a_run_that_waits_for_its_turn_can_be_called_off(opened, begin, works, go):
    async with opened() as engine:
        first = await begin(engine, "a", session_id="ses-1")
        await until(lambda: works("a"))
        second, third = [await begin(engine, name, session_id="ses-1") for name in ("b", "c")]
        for run in (second, third):
            await waits(run)
        await engine.tasks.cancel(second.id)
        assert (await settled(engine, second.id, 10)).status is TaskStatus.CANCELLED
        await engine.tasks.interrupt(third.id)
        task = await settled(engine, third.id, 10)
        assert (task.status, task.failure.reason) == (TaskStatus.FAILED, FailureReason.CANCELLED)
        assert not works("b")
        assert not works("c")
        go("a")
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED


async def test_sessions_that_agents_make_are_their_own(opened, repository, tmp_path):
    """The names of sessions of the executor `scripted` are the same for all runs."""
    step = [{"wait_for": str(tmp_path / "go")}]
    async with opened() as engine:
        runs = [
            await engine.run(name, repositories=[str(repository)], approval="auto", **scripted(step))
            for name in ("one", "two")
        ]
        for run in runs:
            await until(lambda run=run: _is_in(engine, run.id, ExecutionStatus.CODING_INITIAL))
        assert not any(isinstance(run.blocker, SessionBusy) for run in runs)
        (tmp_path / "go").touch()
        for run in runs:
            assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


async def _is_in(engine, task_id, status):
    execution = (await engine.tasks.view(task_id)).execution
    return execution is not None and execution.status is status and bool(execution.processes)


@pytest.mark.deep
async def test_sessions_of_the_same_name_in_other_places_are_others(opened, begin, works, go, tmp_path, repository):
    """Agents may count their sessions in each folder, and users choose names for their own."""
    elsewhere = make_repository(tmp_path / "other")
    async with opened() as engine:
        first = await begin(engine, "a", session_id="ses-1")
        await until(lambda: works("a"))
        request = {**work(tmp_path, "b"), "session_id": "ses-1"}
        second = await engine.run("b", repositories=[str(elsewhere)], **request)
        go("b")
        assert (await settled(engine, second.id)).status is TaskStatus.COMPLETED
        go("a")
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED
        third = await begin(engine, "a", session_id="ses-1")
        assert (await settled(engine, third.id)).status is TaskStatus.COMPLETED
        execution = (await engine.tasks.view(third.id)).execution
        (other,) = await others_in_session(engine._core.reads, execution, {"ses-1"})
    assert other.task_id == first.id, "what was said and consumed elsewhere does not count"


OTHER = """
import sys, json, anyio
from aura_engine import open_engine
async def main():
    url, home, request = sys.argv[1:]
    async with open_engine(url, home=home, user="alice", grace=0.5) as engine:
        run = await engine.run("Work", **json.loads(request))
        print(run.id, flush=True)
        await run.result()
anyio.run(main)
"""


def other_engine(url, home, request):
    return subprocess.Popen([sys.executable, "-c", OTHER, url, str(home), json.dumps(request)], stdout=subprocess.PIPE)


@pytest.mark.deep
async def test_the_turn_passes_on_when_the_engine_of_its_run_has_died(opened, begin, works, go, tmp_path, repository):

    request = {"repositories": [str(repository)], **work(tmp_path, "a"), "session_id": "ses-1"}
    request["retry"] = {"max_attempts": 1}
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    process = other_engine(url, tmp_path / "home", request)
    try:
        await until(lambda: works("a"))
    finally:
        process.kill()
        process.communicate()
    go("b")
    async with opened() as engine:
        second = await begin(engine, "b", session_id="ses-1")
        assert (await settled(engine, second.id)).status is TaskStatus.COMPLETED
    assert works("b")
