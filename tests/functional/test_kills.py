"""Killed at any moment: nothing is lost, nothing is doubled, nothing is left behind.

``AURA_KILLS`` is how often each case is played: 1 by default, 10 for a thorough run.
"""

import os
import random
import signal

import anyio
import attrs
import pytest

from aura_contracts.execution import ExecutionFailed, ProcessStarted
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputRecorded, OutputSource
from repositories import branches, content, git, worktrees
from sites import Site, children_of, made_site, wait

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


KILLS = range(int(os.environ.get("AURA_KILLS", "1")))

LINES = 120
AGENT = f"""
i=0
while [ $i -lt {LINES} ]; do i=$((i + 1)); echo "line $i"; sleep 0.01; done
echo more > new.txt
"""
SCRIPT = 'i=0; while [ $i -lt 20 ]; do i=$((i + 1)); echo "$AURA_STAGE $i"; sleep 0.02; done'


WORDS = ("--executor", "custom", "--prompt", "Say more", "--base-command", "sh", "--param", "-c", "--param", AGENT)


@attrs.define
class KilledSite(Site):
    """A site whose runs are killed, and what is to be there in the end."""

    def run(self, *more, approval="auto"):
        return super().run(*WORDS, "--setup", SCRIPT, "--cleanup", SCRIPT, "--approval", approval, *more)

    async def check_the_end(self, *, executions=1):
        """Everything is as if nothing had happened; with one execution, every line is there just once."""
        records = await self.records()
        await self.is_quiet()
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
    with made_site(tmp_path, kind=KilledSite) as made:
        yield made


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

DEEP = STAGES.keys() - {"merge"}


@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("stage", [pytest.param(one, marks=[pytest.mark.deep] * (one in DEEP)) for one in STAGES])
async def test_aura_run_is_killed_and_goes_on(site, stage, number):
    process = site.run()
    count = 4 if stage == "coding, writing" else 1
    await site.hears_of(STAGES[stage], number=count)
    await anyio.sleep(random.Random(f"{stage}{number}").random() * 0.1 * number)
    process.kill()
    process.wait()
    cleared = "workspace.removed" in {record.event.topic for record in await site.records()}
    if not cleared:  # or it was done before it was killed, and the same words would begin another one
        assert wait(site.run()) == 0, site.said
    await site.check_the_end()


@pytest.mark.deep
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


@pytest.mark.deep
@pytest.mark.parametrize("number", KILLS)
async def test_aura_run_is_started_again_too_late(site, number):
    site.grace = 0.5
    process = site.run()
    started = await site.hears_of("execution.process_started", number=2)
    await site.hears_of("output.recorded", after=started.position)
    process.kill()
    process.wait()
    await site.is_quiet()
    assert wait(site.run()) == 0, site.said
    await site.check_the_end(executions=2)
    failures = [r.event.failure for r in await site.records() if isinstance(r.event, ExecutionFailed)]
    assert [failure.reason for failure in failures] == [FailureReason.WORKER_LOST]


@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize(
    "who", [*(pytest.param(one, marks=pytest.mark.deep) for one in ("supervisor", "agent")), "both"]
)
async def test_what_runs_is_killed(site, who, number):
    process = site.run()
    started = await site.hears_of("execution.process_started", number=2)
    assert isinstance(started.event, ProcessStarted)
    await site.hears_of("output.recorded", after=started.position)
    supervisors = site.supervisors()
    agents = children_of(supervisors)
    assert (len(agents), len(supervisors)) == (1, 1)
    for pid in {"supervisor": supervisors, "agent": agents, "both": supervisors + agents}[who]:
        os.kill(pid, signal.SIGKILL)
    assert wait(process) == 0, site.said
    records = await site.records()
    kinds = [record.event.topic for record in records]
    again = kinds.count("execution.queued") - 1 + kinds.count("execution.stage_retried")
    assert again == 1, "it was tried again"
    await site.is_quiet()
    assert content(site.repository, "main", "new.txt") == "more"
    assert worktrees(site.repository) == []
