"""Twenty tasks, four agents, two levels of approval and a delegation, killed at random moments: as if nothing had been.

``AURA_KILLS`` is how many moments there are, five for each run: 1 by default, 100 for a thorough run.
"""

import math
import os
import random
import shlex
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import anyio
import attrs
import pytest

from aura_contracts.agent import AgentReleased, TaskTaken
from aura_contracts.approval import Level
from aura_contracts.output import OutputRecorded, OutputSource
from aura_contracts.task import TaskStatus
from aura_engine import open_engine
from aura_store import locks_for
from conditions import until
from repositories import branches, git, worktrees
from sites import Site, made_site, wait

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


MOMENTS = int(os.environ.get("AURA_KILLS", "1"))
A_RUN = 5
"""Moments in one run."""

THOROUGH = MOMENTS > A_RUN
TASKS, AGENTS = (20, 4) if THOROUGH else (6, 2)
DRIVER = Path(__file__).parent / "crew_driver.py"
PATIENCE = 300.0

LINES = 5
SCRIPT = f"""
name=$(printf '%s\\n' "$AURA_PROMPT" | head -n 1)
echo "$name" >> WITNESS
i=0
while [ $i -lt {LINES} ]; do i=$((i + 1)); echo "$name $i"; sleep 0.01; done
echo "$name" > "$name.txt"
"""


@attrs.define
class CrewSite(Site):
    """A site with tasks in the queue of the pool, and the process that works on them."""

    @property
    def witness(self):
        return self.root / "witness"

    async def enqueue(self):
        """Create agents and tasks; every third task waits for the one before it."""
        script = SCRIPT.replace("WITNESS", shlex.quote(str(self.witness)))
        options = {"base_command": "sh", "params": ["-c", script]}
        reviews = {"reviewers": ["bob"], "levels": [Level(reviewers=("dave",))]}
        async with open_engine(self.store, home=self.root / "home", user="alice", record_only=True) as engine:
            for number in range(AGENTS):
                await engine.agents.add(f"agent-{number}", "custom", type="developer", options=options)
            before = []
            for number in range(TASKS):
                place = {"repositories": [str(self.repository)], "after": before if number % 3 == 2 else []}
                task = await engine.tasks.create(f"task-{number}", **place, **reviews)
                await engine.tasks.assign(task.id, agent_type="developer")
                before = [task.id]

    def drive(self):
        """Start the process that drives everything."""
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, str(DRIVER), self.store, str(self.root / "home")],
                cwd=self.repository,
                env={**self.environment, "PYTHONPATH": os.pathsep.join([str(DRIVER.parents[1]), *sys.path])},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    async def head(self):
        async with open_engine(self.store, user="auditor", read_only=True) as engine:
            return await engine.events.head()

    async def reaches(self, position, process):
        """Return when the log has so many events, or the process has ended."""
        async with open_engine(self.store, user="auditor", read_only=True) as engine:

            async def is_there():
                return process.poll() is not None or await engine.events.head() >= position

            await until(is_there, PATIENCE)

    async def account(self):
        """Return what there is in the end: of tasks, answers, files and side effects. Checks what no run may leave."""
        records = await self.records()
        await self.is_quiet()
        async with open_engine(self.store, user="auditor", read_only=True) as engine:
            tasks = (await engine.tasks.list(limit=100)).rows
            asked = (await engine.approvals.list(limit=100)).rows
            executions = (await engine.executions.list(limit=100)).rows
            agents = (await engine.agents.list()).rows
            workspaces = (await engine.workspaces.list(limit=100)).rows
            doctor = [one for one in await engine.doctor.list() if one.kind in ("store", "task") and one.status != "ok"]
        titles = {task.id: task.title for task in tasks}
        self.check_nothing_is_left(agents, workspaces)
        await self.check_no_lock_is_left(titles, records)
        check_capacity(records)
        assert doctor == []
        votes = Counter(
            (titles[one.task_id], vote.level, vote.reviewer, vote.seat, vote.decision)
            for one in asked
            for vote in one.votes
        )
        return {
            "tasks": Counter((task.title, task.status) for task in tasks),
            "questions": Counter((titles[one.task_id], one.status) for one in asked),
            "votes": votes,
            "delegations": Counter((titles[one.task_id], *sorted(one.delegations)) for one in asked),
            "executions": Counter((titles[one.task_id], one.status) for one in executions),
            "lines": lines_of(records),
            "begun": Counter(self.witness.read_text().splitlines()),
            "files": {path.name: path.read_text() for path in self.repository.glob("*.txt")},
            "commits": Counter(commits_of(self.repository)),
        }

    def check_nothing_is_left(self, agents, workspaces):
        assert {(agent.status, agent.tasks) for agent in agents} == {("idle", ())}
        assert {(one.status, one.holder) for one in workspaces} == {("removed", None)}
        assert git(self.repository, "status", "--porcelain") == ""
        git(self.repository, "fsck", "--strict")
        assert worktrees(self.repository) == []
        assert branches(self.repository) == {"main"}
        assert not list((self.root / "home" / "processes").iterdir()), "what was kept of processes is gone"

    async def check_no_lock_is_left(self, titles, records):
        locks = locks_for(self.store)
        engines = {r.event.engine_id for r in records if r.event.topic == "lease.granted"}
        keys = ["queue", *(f"task:{one}" for one in titles), *(f"queue:{one}" for one in titles)]
        try:
            held = [key for key in (*keys, *(f"engine:{one}" for one in engines)) if await locks.held_elsewhere(key)]
        finally:
            await locks.aclose()
        assert held == []


def lines_of(records):
    """Return how often each line of an agent is in the log."""
    written = b"".join(
        chunk.raw
        for record in records
        if isinstance(record.event, OutputRecorded)
        for chunk in record.event.chunks
        if chunk.source is OutputSource.STDOUT
    )
    return Counter(written.decode().splitlines())


def commits_of(repository):
    """Yield the subject of each commit, and how many parents it has: two for a merge."""
    for line in git(repository, "log", "--format=%P\t%s", "main").splitlines():
        parents, subject = line.split("\t")
        yield subject, len(parents.split())


def check_capacity(records):
    """No agent ever had two tasks."""
    held = Counter()
    for record in records:
        held[record.stream_id] += {TaskTaken: 1, AgentReleased: -1}.get(type(record.event), 0)
        assert held[record.stream_id] in (0, 1), record


@contextmanager
def site_in(folder):
    folder.mkdir()
    with made_site(folder, kind=CrewSite) as site:
        yield site


async def undisturbed(folder):
    """Return the account of a run that nothing disturbs, and its first and last events that a kill may come after."""
    with site_in(folder) as site:
        await site.enqueue()
        begin = await site.head()
        assert wait(site.drive(), PATIENCE) == 0, site.said
        return await site.account(), begin, await site.head()


async def killed(folder, moments, pauses):
    """Return the account of a run that is killed after each of these events and pauses (seconds)."""
    with site_in(folder) as site:
        await site.enqueue()
        for position, pause in zip(moments, pauses, strict=True):
            process = site.drive()
            await site.reaches(position, process)
            await anyio.sleep(pause)
            process.kill()
            process.wait()
        assert wait(site.drive(), PATIENCE) == 0, site.said
        return await site.account()


@pytest.mark.deep
async def test_a_crew_that_is_killed_at_random_moments_ends_as_one_that_is_not(tmp_path):
    seed = int(os.environ.get("AURA_SEED", "0")) or random.randrange(1, 2**32)
    chance = random.Random(seed)
    expected, begin, end = await undisturbed(tmp_path / "undisturbed")
    assert expected["tasks"] == {(f"task-{number}", TaskStatus.COMPLETED): 1 for number in range(TASKS)}
    assert set(expected["begun"].values()) == set(expected["lines"].values()) == {1}
    assert len(expected["lines"]) == LINES * TASKS
    assert set(expected["commits"].values()) == {1}
    assert sum(expected["votes"].values()) == 2 * TASKS
    for run in range(math.ceil(MOMENTS / A_RUN)):
        moments = sorted(chance.randrange(begin, end) for _ in range(min(A_RUN, MOMENTS - run * A_RUN)))
        pauses = [chance.random() * 0.05 for _ in moments]
        found = await killed(tmp_path / f"run-{run}", moments, pauses)
        assert found == expected, f"AURA_SEED={seed}, run {run}, killed after {moments} and {pauses}"
