"""Processes that die while tasks have locks, or wait for them: each goes on alone, and no lock is left behind.

Every engine is an ``aura run`` of its own on one store, SQLite or PostgreSQL. ``AURA_KILLS`` is how often each moment
is played: 1 by default, 10 for a thorough run.
"""

import os
import random
import subprocess
import sys
from functools import partial

import anyio
import attrs
import pytest

from aura_contracts.errors import StoreError
from aura_contracts.lock_table import LOCK_TABLE_ID, LocksReleased, LocksTaken
from aura_contracts.task import TaskCancelled, TaskCompleted, TaskStatus
from aura_engine import open_engine
from aura_engine.runtime.standby import lock_of
from aura_store import locks_for, open_log
from aura_store.audit import verify
from conditions import until
from repositories import content, worktrees
from sites import PATIENCE, Site, made_site, wait

pytestmark = pytest.mark.anyio

KILLS = range(int(os.environ.get("AURA_KILLS", "1")))

AGENT = """
trap 'exit 1' INT TERM
mkdir {folder}/alone || echo {name} >> {folder}/clashes
trap 'rmdir {folder}/alone' EXIT
echo {name} >> {folder}/starts
until [ -e {folder}/{gate} ]; do sleep 0.02; done
echo more > {name}.txt
"""
"""Notes whether another one is at work, too."""

CANCELS_AND_DIES = """
import os, signal, sys, anyio
from aura_engine import open_engine
from aura_engine.facade.core import Core
async def die(core, task_id):
    os.kill(os.getpid(), signal.SIGKILL)
async def main():
    Core.drive = die
    async with open_engine(sys.argv[1], home=sys.argv[2], user="alice") as engine:
        await engine.tasks.cancel(sys.argv[3])
anyio.run(main)
"""
"""Dies between the two things that a cancellation is: the record, and ending what runs."""


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


@attrs.define
class LockSite(Site):
    """A site on any store, whose runs all have the lock ``deploy``."""

    url: str = ""

    @property
    def store(self):
        return self.url

    async def is_made(self):
        try:
            async with open_log(self.store, read_only=True):
                return True
        except StoreError:
            return False

    def begin(self, name, gate="gate", *more):
        """Start a run; the same one again goes on with it."""
        agent = AGENT.format(folder=self.root, name=name, gate=gate)
        options = ("--base-command", "sh", "--param", "-c", "--param", agent)
        given = ("--approval", "auto", "--lock", "deploy", "--attempts", "1")
        return self.run("--executor", "custom", "--prompt", name, *given, *options, *more)

    def open_gate(self, gate="gate"):
        (self.root / gate).touch()

    def read(self, name):
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    def observer(self):
        """Return an engine that only looks."""
        return open_engine(self.store, user="auditor", read_only=True)

    async def claims(self):
        async with self.observer() as engine:
            claims = await engine.tasks.locks()
            titles = {task.id: task.title for task in (await engine.tasks.list(limit=100)).rows}
            return {titles[one.task_id]: one.held for one in claims}

    async def has_claims(self, **claims):
        """Return when the tasks with these titles, and no others, hold a lock (True) or wait for it (False)."""
        await until(self.is_made)

        async def are_there():
            return await self.claims() == claims

        await until(are_there, PATIENCE)

    async def id_of(self, title):
        async with self.observer() as engine:
            (task,) = (await engine.tasks.list(search=title)).rows
            return task.id

    async def kill(self, process, title):
        """Kill an engine; return when the lock under which it drove the task has ended with it."""
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
        task_id, locks = await self.id_of(title), locks_for(self.store)

        async def is_let_go():
            return not await locks.held_elsewhere(lock_of(task_id))

        await until(is_let_go, PATIENCE)
        await locks.aclose()
        return task_id

    def stop(self):
        for process in self.started:
            process.kill()
            process.wait()

    async def ends(self, process):
        assert await anyio.to_thread.run_sync(partial(wait, process, 2 * PATIENCE)) == 0, self.said

    async def check_the_end(self, **statuses):
        """These tasks, and no others, have ended like this; they worked one after the other, and nothing is left."""
        async with open_log(self.store, read_only=True) as log:
            assert (await verify(log)).first_bad is None
            records = [record async for record in log.read()]
        async with self.observer() as engine:
            tasks = (await engine.tasks.list(limit=100)).rows
            assert await engine.tasks.locks() == ()
        assert {task.title: task.status for task in tasks} == statuses
        assert self.read("clashes") == []
        assert sorted(self.read("starts")) == sorted(statuses), "each agent was started once"
        for task in tasks:
            if task.status is TaskStatus.COMPLETED:
                assert content(self.repository, "main", f"{task.title}.txt") == "more"
        turns = [record.event for record in records if record.stream_id == LOCK_TABLE_ID]
        turns = [event for event in turns if isinstance(event, LocksTaken | LocksReleased)]
        for taken, released in zip(turns[::2], turns[1::2], strict=True):
            assert (type(taken), type(released)) == (LocksTaken, LocksReleased)
            assert taken.task_id == released.task_id
        await self.is_quiet()
        await self.check_no_engine_has_a_lock(records)

    async def check_no_engine_has_a_lock(self, records):
        streams = {record.stream_id for record in records}
        engines = {record.event.engine_id for record in records if record.event.topic == "lease.granted"}
        locks = locks_for(self.store)
        keys = [*map(lock_of, streams), *(f"engine:{one}" for one in engines), "queue"]
        held = [key for key in keys if await locks.held_elsewhere(key)]
        await locks.aclose()
        assert held == []


@pytest.fixture
def site(store, request, tmp_path):
    on_sqlite = f"sqlite:///{tmp_path / 'aura.db'}"
    with made_site(tmp_path, kind=LockSite) as made:
        made.url = request.getfixturevalue("postgres_url") if store == "postgres" else on_sqlite
        yield made
        made.stop()


BOTH = pytest.mark.parametrize("store", ["sqlite", "postgres"])
POSTGRES_IF_DEEP = pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.deep)])


@POSTGRES_IF_DEEP
async def test_a_task_keeps_its_lock_when_its_engine_is_killed_until_it_has_gone_on_and_ended(site):
    process = site.begin("first")
    await until(lambda: site.read("starts") == ["first"])
    other = site.begin("second")
    await site.has_claims(first=True, second=False)
    first_id = await site.kill(process, "first")
    assert await site.claims() == {"first": True, "second": False}
    again = site.begin("first")
    site.open_gate()
    await site.ends(again)
    await site.ends(other)
    await site.check_the_end(first=TaskStatus.COMPLETED, second=TaskStatus.COMPLETED)
    await check_order(site, (first_id, TaskCompleted))


async def check_order(site, *steps):
    """The locks of each task were released in the append with which it ended, or after it, and taken after that."""
    async with open_log(site.store, read_only=True) as log:
        records = [record async for record in log.read()]
    for task_id, end in steps:
        ended = next(r.position for r in records if r.stream_id == task_id and isinstance(r.event, end))
        released = next(r for r in records if isinstance(r.event, LocksReleased) and r.event.task_id == task_id)
        assert released.position > ended
        after = next(r for r in records if r.stream_id == LOCK_TABLE_ID and r.version == released.version + 1)
        assert isinstance(after.event, LocksTaken)


@pytest.mark.deep
@BOTH
async def test_the_task_of_a_killed_engine_is_cancelled_and_the_next_one_begins_when_its_agent_has_ended(site):
    process = site.begin("first", "never")
    await until(lambda: site.read("starts") == ["first"])
    other = site.begin("second")
    await site.has_claims(first=True, second=False)
    first_id = await site.kill(process, "first")
    site.open_gate()
    await anyio.to_thread.run_sync(partial(site.aura, "task", "cancel", first_id))
    await site.ends(other)
    await site.check_the_end(first=TaskStatus.CANCELLED, second=TaskStatus.COMPLETED)
    await check_order(site, (first_id, TaskCancelled))


@pytest.mark.deep
@BOTH
@pytest.mark.parametrize("home", ["home", "another home"])
async def test_an_engine_that_waits_for_a_lock_ends_what_a_dead_one_has_left_with_it(site, home):
    """The engine of the first task is killed, and so is the one that cancels it, before it ends what runs."""
    process = site.begin("first", "never")
    await until(lambda: site.read("starts") == ["first"])
    site.variables["AURA_HOME"] = str(site.root / home)
    other = site.begin("second")
    await site.has_claims(first=True, second=False)
    first_id = await site.kill(process, "first")
    site.open_gate()
    await cancel_and_die(site, first_id)
    assert await site.claims() == {"first": True, "second": False}
    if home != "home":  # only an engine at home can end what runs there
        site.open_gate("never")
    await site.ends(other)
    await site.check_the_end(first=TaskStatus.CANCELLED, second=TaskStatus.COMPLETED)
    await check_order(site, (first_id, TaskCancelled))


async def cancel_and_die(site, task_id):
    command = [sys.executable, "-c", CANCELS_AND_DIES, site.store, str(site.root / "home"), task_id]
    done = await anyio.run_process(command, env=site.environment, check=False, stderr=subprocess.STDOUT)
    assert done.returncode == -9, done.stdout.decode()


@pytest.mark.deep
@POSTGRES_IF_DEEP
async def test_a_task_that_waits_gets_its_turn_although_its_engine_was_killed_and_those_behind_it_get_theirs(site):
    holder = site.begin("first")
    await site.has_claims(first=True)
    waiter = site.begin("second")
    await site.has_claims(first=True, second=False)
    last = site.begin("third")
    await site.has_claims(first=True, second=False, third=False)
    await site.kill(waiter, "second")
    site.open_gate()
    await site.ends(holder)
    await site.has_claims(second=True, third=False)
    await site.ends(site.begin("second"))
    await site.ends(last)
    await site.check_the_end(**dict.fromkeys(("first", "second", "third"), TaskStatus.COMPLETED))


MOMENTS = ["lock_table.requested", "execution.leased", "execution.process_started", "workspace.merged"]


@pytest.mark.deep
@BOTH
@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_all_engines_are_killed_at_once_and_go_on(site, moment, number):
    site.open_gate()
    names = ["first", "second", "third"]
    processes = [site.begin(name) for name in names]
    await site.hears_of(moment)
    await anyio.sleep(random.Random(f"{moment}{number}").random() * 0.1 * number)
    for process in processes:
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
    async with site.observer() as engine:
        left = {task.title for task in (await engine.tasks.list(unfinished=True)).rows}
        begun = {task.title for task in (await engine.tasks.list()).rows}
    again = [site.begin(name) for name in names if name in left or name not in begun]
    for process in again:
        await site.ends(process)
    await site.check_the_end(**dict.fromkeys(names, TaskStatus.COMPLETED))
    assert worktrees(site.repository) == []
