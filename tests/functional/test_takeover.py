"""A run whose engine is killed: other engines take it over, or say that no engine drives it, without being asked.

On SQLite the dead engine's lock is released by the kernel, on PostgreSQL by the server: a deep run tries both.
"""

import json
import subprocess
import sys
from contextlib import asynccontextmanager

import anyio
import attrs
import pytest

from aura_contracts.errors import RunNotDriven, WorkerUnavailable
from aura_engine import open_engine
from aura_engine.runtime.standby import lock_of, lock_of_engine
from aura_store import locks_for
from conditions import until
from repositories import content

pytestmark = pytest.mark.anyio

OTHER = """
import sys, json, anyio
from aura_engine import open_engine
async def main():
    url, home, request = sys.argv[1:]
    async with open_engine(url, home=home, user="alice") as engine:
        run = await engine.run("Work", **json.loads(request))
        print(run.id, run.driven, flush=True)
        await run.result()
anyio.run(main)
"""


@pytest.fixture
def anyio_backend():
    """The engines that are killed run in processes of their own."""
    return "asyncio"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.deep)])
def store(request, tmp_path):
    """The URL of an empty store."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/aura.db"


@pytest.fixture
def opened(store, tmp_path):
    """Opens engines on the store, with one home."""
    return lambda **options: open_engine(store, home=tmp_path / "home", user="alice", **options)


@attrs.frozen
class Work:
    """A run whose agent waits at a gate, and leaves a line each time it is started."""

    store: str
    folder: object
    request: dict

    @classmethod
    def at(cls, store, folder, repository):
        agent = (
            f"echo started >> {folder}/starts; until [ -e {folder}/gate ]; do sleep 0.02; done; echo done > done.txt"
        )
        options = {"base_command": "sh", "params": ["-c", agent]}
        places = {"repositories": [str(repository)], "approval": "auto"}
        return cls(store, folder, {"executor": "custom", "options": options, "key": "work", **places})

    def starts(self):
        path = self.folder / "starts"
        return path.read_text().count("started") if path.exists() else 0

    def open_gate(self):
        (self.folder / "gate").touch()

    def other_engine(self):
        """Start a process with an engine that drives the run."""
        arguments = [self.store, str(self.folder / "home"), json.dumps(self.request)]
        return subprocess.Popen([sys.executable, "-c", OTHER, *arguments], stdout=subprocess.PIPE, text=True)

    @asynccontextmanager
    async def driven_elsewhere(self):
        """Yield the process of an engine that drives the run, once its agent works, and the task's id. Kills it."""
        process = self.other_engine()
        try:
            task_id, driven = process.stdout.readline().split()
            assert driven == "True"
            await until(lambda: self.starts() == 1)
            yield process, task_id
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def work(store, tmp_path, repository):
    found = Work.at(store, tmp_path, repository)
    yield found
    found.open_gate()


async def check_that_it_completes(work, run, repository):
    work.open_gate()
    with anyio.fail_after(60):
        assert (await run.result()).status == "completed"
    assert content(repository, "main", "done.txt") == "done"
    assert work.starts() == 1, "its agent went on under its supervisor"


@pytest.mark.deep
async def test_the_engine_of_a_second_call_with_the_same_key_takes_over(opened, work, repository):
    async with work.driven_elsewhere() as (process, task_id), opened() as engine:
        run = await engine.run("Work", **work.request)
        assert run.id == task_id
        assert not run.driven
        process.kill()
        await check_that_it_completes(work, run, repository)


@pytest.mark.deep
async def test_an_engine_that_drives_all_takes_over(opened, work, repository):
    async with opened(drive_all=True) as engine, work.driven_elsewhere() as (process, task_id):
        run = await engine.attach(task_id)
        assert not run.driven
        process.kill()
        await check_that_it_completes(work, run, repository)


@pytest.mark.deep
async def test_an_engine_that_was_asked_to_resume_takes_over_from_one_that_closes(opened, work, repository):
    async with opened() as engine:
        async with opened() as other:
            started = await other.run("Work", **work.request)
            run = await engine.resume(started.id)
            assert not run.driven
            await until(lambda: work.starts() == 1)
        await check_that_it_completes(work, run, repository)


@pytest.mark.deep
async def test_a_waiter_that_may_not_take_over_is_told_that_the_engine_died(opened, work, repository):
    async with work.driven_elsewhere() as (process, task_id), opened() as engine:
        run = await engine.attach(task_id)
        told = []

        async def wait(for_what):
            with pytest.raises(RunNotDriven) as raised:
                await for_what()
            told.append(raised.value)

        async def question():
            return [asked async for asked in run.questions()]

        async def event():
            return [record async for record in run.events()]

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for waiting in (run.result, run.idle, question, event):
                    group.start_soon(wait, waiting)
                process.kill()
        assert {(error.task_id, error.status) for error in told} == {(task_id, "in_progress")}
        await check_that_it_completes(work, await engine.resume(task_id), repository)


@pytest.mark.deep
async def test_events_of_other_tasks_do_not_put_off_that_no_engine_drives_this_one(opened, work):
    async with work.driven_elsewhere() as (process, task_id), opened() as engine:
        run = await engine.attach(task_id)
        process.kill()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:

                async def keep_recording(number=0):
                    while True:
                        number += 1
                        await engine.tasks.create(f"Task {number}")

                group.start_soon(keep_recording)
                with pytest.raises(RunNotDriven):
                    await run.result()
                group.cancel_scope.cancel()


@pytest.mark.deep
async def test_after_the_engine_died_a_wait_in_another_does_not_call_the_run_cancelled(opened, work):
    async with work.driven_elsewhere() as (process, task_id), opened() as engine:
        process.kill()
        process.wait()
        run = await engine.attach(task_id)
        with anyio.fail_after(60):
            with pytest.raises(RunNotDriven, match="resume"):
                await run.result()
            with pytest.raises(RunNotDriven):
                await run.idle()


@pytest.mark.parametrize("reason", ["another engine was faster", "no worker starts"])
async def test_an_engine_that_takes_on_nothing_holds_no_lock(opened, store, monkeypatch, reason):
    """Other engines leave the work of its worker to an engine that holds its own lock."""
    async with opened() as engine:
        task = await engine.tasks.create("Wait")
        follower = engine.tasks._core.follower
        locks, gateway = follower._locks, follower._runtime.gateway
        acquire, taken = locks.acquire, []

        async def lose(_, key):
            taken.append(key)
            return taken.count(lock_of(task.id)) < 2 and await acquire(key)

        async def fail():
            raise WorkerUnavailable(reason=reason)

        monkeypatch.setattr(type(locks), "acquire", lose)
        if reason == "no worker starts":
            monkeypatch.setattr(gateway, "start_worker", fail)
            with pytest.raises(WorkerUnavailable):
                await follower.drive(task.id)
        else:
            assert not await follower.drive(task.id)
        assert lock_of_engine(gateway.engine_id) in taken
        others = locks_for(store)
        for key in set(taken):
            assert not await others.held_elsewhere(key)
        await others.aclose()
