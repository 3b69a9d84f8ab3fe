"""Killed at any moment: nothing is lost, nothing is doubled, nothing is left behind.

``AURA_KILLS`` is how often each case is played: 1 by default, 10 for a thorough run. Every process that a run starts
carries a mark in its environment, by which it is found wherever it went.
"""

import os
import random
import signal
import subprocess
import sysconfig
import uuid
from contextlib import aclosing
from pathlib import Path

import anyio
import attrs
import pytest

from aura_contracts.errors import StoreError
from aura_contracts.execution import ExecutionFailed, ProcessStarted
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputRecorded, OutputSource
from aura_store import open_log
from aura_store.audit import verify
from conditions import until
from repositories import branches, content, git, make_repository, worktrees

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


KILLS = range(int(os.environ.get("AURA_KILLS", "1")))
AURA = str(Path(sysconfig.get_path("scripts")) / "aura")
PATIENCE = 60.0

LINES = 120
AGENT = f"""
i=0
while [ $i -lt {LINES} ]; do i=$((i + 1)); echo "line $i"; sleep 0.01; done
echo more > new.txt
"""
SCRIPT = 'i=0; while [ $i -lt 20 ]; do i=$((i + 1)); echo "$AURA_STAGE $i"; sleep 0.02; done'


@attrs.define
class Site:
    """A repository, a store, a home, and `aura run` on them."""

    root: Path
    mark: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    grace: float = 30.0
    started: list = attrs.field(factory=list)

    @property
    def repository(self):
        return self.root / "app"

    @property
    def environment(self):
        own = {"AURA_HOME": str(self.root / "home"), "AURA_USER": "alice", "AURA_TEST_MARK": self.mark}
        return {**os.environ, **own, "AURA_STORE": self.store, "AURA_GRACE": str(self.grace)}

    @property
    def store(self):
        return f"sqlite:///{self.root / 'aura.db'}"

    def run(self, *more, approval="auto"):
        """Start `aura run`; the same words each time, so that it goes on where it was."""
        words = [AURA, "run", "--no-tui", "--executor", "custom", "--prompt", "Say more", "--base-command", "sh"]
        words += ["--param", "-c", "--param", AGENT, "--setup", SCRIPT, "--cleanup", SCRIPT, "--approval", approval]
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(
                [*words, *more],
                cwd=self.repository,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def aura(self, *words):
        done = subprocess.run(
            [AURA, *words],
            cwd=self.repository,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def processes(self):
        """Return the ids of all processes that carry the mark, and of the supervisors of this home."""
        return [*self.carriers(), *self.supervisors()]

    def carriers(self):
        return [pid for pid in _pids() if self.mark in _read(pid, "environ")]

    def supervisors(self):
        home = str(self.root / "home")
        return [pid for pid in _pids() if "supervisor.py" in (words := _read(pid, "cmdline")) and home in words]

    async def hears_of(self, topic, after=0, number=1):
        """Return the record of the `number`-th event of this topic, as soon as it is there."""
        with anyio.fail_after(PATIENCE):
            await until(self.is_made)
            async with (
                open_log(self.store, read_only=True) as log,
                aclosing(log.tail(after, topics=[topic])) as records,
            ):
                async for record in records:
                    number -= 1
                    if not number:
                        return record
        raise AssertionError("unreachable")

    async def is_made(self):
        if not (self.root / "aura.db").exists():
            return False
        try:
            async with open_log(self.store, read_only=True):
                return True
        except StoreError:
            return False

    async def records(self):
        async with open_log(self.store, read_only=True) as log:
            assert (await verify(log)).first_bad is None
            return [record async for record in log.read()]

    async def check_the_end(self, *, executions=1):
        """Everything is as if nothing had happened; with one execution, every line is there just once."""
        records = await self.records()
        with anyio.fail_after(PATIENCE):
            await until(lambda: not self.processes())
        assert content(self.repository, "main", "new.txt") == "more"
        assert git(self.repository, "rev-list", "--count", "main") == "3", "the work and its merge, once"
        assert git(self.repository, "status", "--porcelain") == ""
        git(self.repository, "fsck", "--strict")
        assert worktrees(self.repository) == []
        assert branches(self.repository) == {"main"}
        assert not [one for one in (self.root / "home").rglob("*") if one.name.startswith("say-more")]
        assert not list((self.root / "home" / "processes").iterdir()), "what was kept of processes is gone"
        written = b"".join(
            chunk.raw
            for record in records
            if isinstance(record.event, OutputRecorded)
            for chunk in record.event.chunks
            if chunk.source is OutputSource.STDOUT
        )
        lines = [line for line in written.decode().splitlines() if line.startswith("line ")]
        assert sum(record.event.topic == "execution.queued" for record in records) == executions
        if executions == 1:
            assert lines == [f"line {number}" for number in range(1, LINES + 1)]
        assert lines[-LINES:] == [f"line {number}" for number in range(1, LINES + 1)]


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    make_repository(made.repository)
    yield made
    for process in made.started:
        process.kill()
        process.wait()
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


def wait(process):
    """Wait for a process to end by itself."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


STAGES = {
    "queue": "execution.queued",
    "prepare": "execution.preparation_started",
    "prepared": "workspace.prepared",
    "setup": "execution.workspace_prepared",
    "setup, running": "execution.process_started",
    "coding": "execution.setup_finished",
    "coding, writing": "output.recorded",
    "cleanup": "execution.coding_finished",
    "review": "execution.cleanup_finished",
    "merge": "workspace.merge_started",
    "merged": "workspace.merged",
}


@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("stage", STAGES)
async def test_aura_run_is_killed_and_goes_on(site, stage, number):
    process = site.run()
    count = 4 if stage == "coding, writing" else 1
    await site.hears_of(STAGES[stage], number=count)
    await anyio.sleep(random.Random(f"{stage}{number}").random() * 0.1 * number)
    process.kill()
    process.wait()
    cleared = "workspace.removed" in {record.event.topic for record in await site.records()}
    if not cleared:  # or it was done before it was killed, and the same words would begin another one
        assert wait(site.run()) == 0, (site.root / "out").read_text()
    await site.check_the_end()


@pytest.mark.parametrize("number", KILLS)
async def test_aura_run_is_killed_while_a_human_decides(site, number):
    process = site.run("--wait", approval="changes")
    await site.hears_of("approval.requested")
    process.kill()
    process.wait()
    (line,) = site.aura("approval", "list", "--json").splitlines()
    assert '"status":"pending"' in line.replace(" ", "")
    again = site.run("--wait", "--fresh", approval="auto")  # another one, in the meantime
    again.kill()
    again.wait()
    approval_id = line.split('"id":"')[1].split('"')[0]
    site.aura("approval", "approve", approval_id)
    assert content(site.repository, "main", "new.txt") == "more"


@pytest.mark.parametrize("number", KILLS)
async def test_aura_run_is_started_again_too_late(site, number):
    site.grace = 0.5
    process = site.run()
    started = await site.hears_of("execution.process_started", number=2)
    await site.hears_of("output.recorded", after=started.position)
    process.kill()
    process.wait()
    with anyio.fail_after(PATIENCE):
        await until(lambda: not site.processes())
    assert wait(site.run()) == 0, (site.root / "out").read_text()
    await site.check_the_end(executions=2)
    failures = [r.event.failure for r in await site.records() if isinstance(r.event, ExecutionFailed)]
    assert [failure.reason for failure in failures] == [FailureReason.WORKER_LOST]


@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("who", ["supervisor", "agent", "both"])
async def test_what_runs_is_killed(site, who, number):
    process = site.run()
    started = await site.hears_of("execution.process_started", number=2)
    assert isinstance(started.event, ProcessStarted)
    await site.hears_of("output.recorded", after=started.position)
    supervisors = site.supervisors()
    agents = [pid for pid in site.carriers() if f"PPid:\t{supervisors[0]}\n" in _read(pid, "status")]
    assert (len(agents), len(supervisors)) == (1, 1)
    for pid in {"supervisor": supervisors, "agent": agents, "both": supervisors + agents}[who]:
        os.kill(pid, signal.SIGKILL)
    assert wait(process) == 0, (site.root / "out").read_text()
    records = await site.records()
    kinds = [record.event.topic for record in records]
    again = kinds.count("execution.queued") - 1 + kinds.count("execution.stage_retried")
    assert again == 1, "it was tried again"
    with anyio.fail_after(PATIENCE):
        await until(lambda: not site.processes())
    assert content(site.repository, "main", "new.txt") == "more"
    assert worktrees(site.repository) == []


def _pids():
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _read(pid, name):
    """Return what the system tells of a process, its words parted by spaces; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
