"""A workflow whose engine is killed at random moments ends as one that is not: each side effect once.

``AURA_KILLS`` is how many moments there are, five for each run: 1 by default, 100 for a thorough run.
"""

import math
import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import anyio
import attrs
import pytest
from workflow_runner import EFFECTS, WORKFLOW_ID

from aura_contracts.errors import StoreError
from aura_engine import open_engine
from aura_store import locks_for
from conditions import until
from sites import Site, made_site, wait

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


MOMENTS = int(os.environ.get("AURA_KILLS", "1"))
A_RUN = 5
"""Moments in one run."""

RUNNER = Path(__file__).parent / "workflow_runner.py"
PATIENCE = 300.0


@attrs.define
class WorkflowSite(Site):
    """A site with a workflow, and the process that works on it."""

    url: str = ""

    @property
    def store(self):
        return self.url or super().store

    @property
    def witness(self):
        return self.root / "witness"

    def drive(self):
        """Start the process that drives the workflow."""
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, str(RUNNER), self.store, str(self.root / "home"), str(self.repository)],
                cwd=self.repository,
                env={**self.environment, "PYTHONPATH": os.pathsep.join([str(RUNNER.parents[1]), *sys.path])},
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

        async def is_there():
            if process.poll() is not None:
                return True
            try:
                return await self.head() >= position
            except StoreError:  # it has not been made yet
                return False

        await until(is_there, PATIENCE)

    async def account(self):
        """Return what there is in the end. Checks what no run may leave."""
        records = await self.records()
        await self.is_quiet()
        async with open_engine(self.store, user="auditor", read_only=True) as engine:
            workflow = await engine.workflows.get(WORKFLOW_ID)
            part = await engine.workflows.get(workflow.steps["deliver"].child_id)
            tasks = (await engine.tasks.list(limit=100)).rows
            asked = (await engine.approvals.list(limit=100)).rows
            agents = (await engine.agents.list()).rows
        assert {(agent.status, agent.tasks) for agent in agents} == {("idle", ())}
        assert {task.requester for task in tasks} == {"alice"}
        await self.check_no_lock_is_left([workflow.id, part.id, *(task.id for task in tasks)])
        started = Counter(r.event.step_id for r in records if r.event.topic == "workflow.step_started")
        steps = [*workflow.steps.values(), *part.steps.values()]
        return {
            "status": (workflow.status, part.status),
            "steps": {one.id: (one.status, one.attempts, one.result) for one in steps},
            "failures": {one.id: (one.failure.reason, one.failure.message) for one in steps if one.failure is not None},
            "started": started,
            "tasks": Counter((task.title, task.status) for task in tasks),
            "questions": Counter((one.proposed_solution, one.status) for one in asked),
            "effects": Counter(self.witness.read_text().split()),
        }

    async def check_no_lock_is_left(self, ids):
        locks = locks_for(self.store)
        try:
            held = [one for one in ids for kind in ("workflow", "task") if await locks.held_elsewhere(f"{kind}:{one}")]
        finally:
            await locks.aclose()
        assert held == []


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request):
    """What returns the URL of an empty database of its own; empty: the site's own file."""
    if request.param == "sqlite":
        return lambda: ""
    from databases import new_schema

    server = request.getfixturevalue("postgres")
    return lambda: new_schema(server)


@contextmanager
def site_in(folder, url):
    folder.mkdir()
    with made_site(folder, kind=WorkflowSite) as site:
        site.url = url
        yield site


async def undisturbed(folder, url):
    """Return the account of a run that nothing disturbs, and the position of its last event."""
    with site_in(folder, url) as site:
        assert wait(site.drive(), PATIENCE) == 0, site.said
        return await site.account(), await site.head()


async def killed(folder, url, moments, pauses):
    """Return the account of a run that is killed after each of these events and pauses (seconds)."""
    with site_in(folder, url) as site:
        for position, pause in zip(moments, pauses, strict=True):
            process = site.drive()
            await site.reaches(position, process)
            await anyio.sleep(pause)
            process.kill()
            process.wait()
        assert wait(site.drive(), PATIENCE) == 0, site.said
        return await site.account()


async def test_a_workflow_that_is_killed_at_random_moments_ends_as_one_that_is_not(tmp_path, new_url):
    seed = int(os.environ.get("AURA_SEED", "0")) or random.randrange(1, 2**32)
    chance = random.Random(seed)
    expected, end = await undisturbed(tmp_path / "undisturbed", new_url())
    assert expected["status"] == ("completed", "failed"), expected
    assert len(expected["steps"]) >= 30
    assert expected["effects"] == dict.fromkeys(EFFECTS, 1)
    outcomes = {name: status for name, (status, _, _) in expected["steps"].items()}
    assert outcomes["fails"] == outcomes["deliver"] == outcomes["ship"] == "failed"
    assert outcomes["unbook"] == outcomes["refund"] == outcomes["ask"] == "completed"
    assert set(expected["questions"].values()) == {1}
    assert set(expected["started"].values()) == {1}
    for run in range(math.ceil(MOMENTS / A_RUN)):
        moments = sorted(chance.randrange(1, end) for _ in range(min(A_RUN, MOMENTS - run * A_RUN)))
        pauses = [chance.random() * 0.05 for _ in moments]
        found = await killed(tmp_path / f"run-{run}", new_url(), moments, pauses)
        for part, what in expected.items():  # what differs is shown whole
            assert found[part] == what, f"AURA_SEED={seed}, run {run}, killed after {moments} and {pauses}"
