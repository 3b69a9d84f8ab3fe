"""Locks end, and servers restart, while engines drive tasks: each task completes once, and each agent runs once.

Three runs, each with an engine of its own, and an engine that drives all tasks share a home and a store. At random
moments all that holds a lock is taken from them. Every test runs on SQLite and on PostgreSQL.
``AURA_KILLS`` is how often each case is played: 1 by default, 50 for a thorough run.
"""

import os
import random
import subprocess
import sys
from collections import Counter

import anyio
import attrs
import pytest

from aura_contracts.output import OutputRecorded, OutputSource
from aura_engine import open_engine
from aura_store import open_log
from aura_store.audit import verify
from conditions import until
from repositories import content, git, make_repository, worktrees
from sites import PATIENCE, Site, made_site, wait

pytestmark = pytest.mark.anyio

RUNS = range(3)
LINES = 150
AGENT = """
echo started >> {folder}/starts-{number}
i=0
while [ $i -lt {lines} ]; do i=$((i + 1)); echo "line {number} $i"; sleep 0.02; done
echo more > new-{number}.txt
"""
GAPS = (0.0, 3.0)
"""Seconds before each of three losses, which come while a run works or merges, and from the second time that a case is
played also while it begins. An agent works for three seconds, and engines look at their locks each second."""

DRIVES_ALL = """
import sys, anyio
from aura_engine import open_engine
async def main():
    async with open_engine(sys.argv[1], home=sys.argv[2], user="alice", drive_all=True):
        print("ready", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""

OFTEN = range(int(os.environ.get("AURA_KILLS", "1")))


@pytest.fixture
def anyio_backend():
    """The engines run in processes of their own."""
    return "asyncio"


@attrs.define
class SharedSite(Site):
    """A site on any store."""

    url: str = ""

    @property
    def store(self):
        return self.url

    def begin(self, number):
        """Start one of the runs."""
        agent = AGENT.format(folder=self.root, number=number, lines=LINES)
        options = ("--base-command", "sh", "--param", "-c", "--param", agent)
        return self.run("--executor", "custom", "--prompt", f"Say more {number}", "--approval", "auto", *options)

    def drive_all(self):
        """Start an engine that drives all tasks."""
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVES_ALL, self.store, str(self.root / "home")],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        with process.stdout as said:
            assert said.readline() == "ready\n"

    def stop(self):
        for process in self.started:
            process.kill()
            process.wait()

    async def check_the_end(self):
        """Each task has completed once, each agent has run once, and each line of its output is recorded once."""
        async with open_log(self.store, read_only=True) as log:
            assert (await verify(log)).first_bad is None
            records = [record async for record in log.read()]
        kinds = Counter(record.event.topic for record in records)
        assert kinds["task.completed"] == kinds["execution.queued"] == kinds["workspace.merged"] == len(RUNS)
        assert kinds["task.failed"] == kinds["execution.stage_retried"] == kinds["execution.failed"] == 0
        written = Counter(
            line
            for record in records
            if isinstance(record.event, OutputRecorded)
            for chunk in record.event.chunks
            if chunk.source is OutputSource.STDOUT
            for line in chunk.raw.decode().splitlines()
        )
        assert written == Counter(f"line {number} {line}" for number in RUNS for line in range(1, LINES + 1))
        for number in RUNS:
            assert (self.root / f"starts-{number}").read_text() == "started\n"
            assert content(self.repository, "main", f"new-{number}.txt") == "more"
        assert git(self.repository, "status", "--porcelain") == ""


@pytest.fixture
def site(tmp_path):
    with made_site(tmp_path, kind=SharedSite) as made:
        yield made


async def check_runs(site, lose, chance, *, at_once):
    """Start the runs; call `lose` at random moments, `at_once` or once an agent works; check that they end well."""
    site.drive_all()
    processes = [site.begin(number) for number in RUNS]
    await until(lambda: at_once or any(site.root.glob("starts-*")))
    for _ in range(3):
        await anyio.sleep(chance.uniform(*GAPS))
        await anyio.to_thread.run_sync(lose)
    codes = [await anyio.to_thread.run_sync(wait, process, 3 * PATIENCE) for process in processes]
    assert codes == [0] * len(RUNS), site.said
    await until(lambda: worktrees(site.repository) == [])  # the other engine may clear up
    await site.check_the_end()


@pytest.mark.deep
@pytest.mark.parametrize("number", OFTEN)
@pytest.mark.parametrize("how", ["removed", "replaced", "some removed"])
async def test_lock_files_end_while_engines_drive(site, how, number):
    site.url = f"sqlite:///{site.root / 'aura.db'}"
    chance = random.Random(f"{how}{number}")

    def lose():
        for path in (site.root / "aura.db.locks").glob("*.lock"):
            if how == "some removed" and chance.random() < 0.5:
                continue
            path.unlink(missing_ok=True)
            if how == "replaced":
                path.touch()

    await check_runs(site, lose, chance, at_once=number > 0)


@pytest.mark.deep
@pytest.mark.parametrize("number", OFTEN)
@pytest.mark.parametrize("how", ["sessions", "locks", "crash", "restart"])
async def test_sessions_end_while_engines_drive(site, restartable_postgres, how, number):
    server = restartable_postgres
    chance = random.Random(f"{how}{number}")
    with server.database() as database:
        site.url = server.url(database)
        of_aura = f"FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        locking = "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"

        def lose():
            if how in ("crash", "restart"):
                server.stop("immediate" if how == "crash" else "fast")
                server.start()
            else:
                server.execute(f"SELECT pg_terminate_backend(pid) {of_aura} {locking if how == 'locks' else ''}")

        await check_runs(site, lose, chance, at_once=number > 0)
        site.stop()


@pytest.mark.deep
async def test_an_engine_with_another_worker_leaves_what_runs_to_a_living_one(postgres, postgres_url, tmp_path):
    """Engines on two machines: the other one could only start the agent again."""
    repository = make_repository(tmp_path / "app")
    agent = AGENT.format(folder=tmp_path, number=0, lines=LINES)
    options = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", agent]}, "approval": "auto"}
    here, there = {"home": tmp_path / "here"}, {"home": tmp_path / "there", "drive_all": True}
    of_locks = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    async with (
        open_engine(postgres_url, user="alice", **here) as engine,
        open_engine(postgres_url, user="alice", **there) as other,
    ):
        run = await engine.run("Say more", repositories=[str(repository)], **options)
        await until((tmp_path / "starts-0").exists)
        await until(lambda: other._core.follower.stands_by(run.id))
        for _ in range(2):
            await until(lambda: other._core.locks.held_elsewhere(f"task:{run.id}"))
            postgres.execute(of_locks)
        with anyio.fail_after(60):
            assert (await run.result()).status == "completed"
        kinds = Counter(record.event.topic for record in await engine.events.list(limit=1000))
    assert kinds["lease.granted"] == kinds["execution.queued"] == 1
    assert (tmp_path / "starts-0").read_text() == "started\n"
