"""Complaints 31 to 38: services that die with their workflows, and are started again, later or as another version."""

import pytest
from workflow_steps import command, defined, ends, reaches, step

from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    ForEachStep,
    StepCompleted,
    StepRecovery,
    StepRetried,
    StepStatus,
    WaitStep,
    WorkflowStatus,
)
from complaints.gates import asked, ever_asked, gate, marks, step_reaches
from complaints.services import ServiceSite
from conditions import until
from sites import made_site

pytestmark = pytest.mark.anyio

HOUR = 3600
LONG = 300.0
"""Seconds after which a workflow is taken to hang, however busy the machine is."""


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own."""
    return "asyncio"


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    root.mkdir()
    with made_site(root, kind=ServiceSite) as site:
        site.grace = 300.0
        yield site


def held(site, text, name=None, *after, **more):
    """Return a command that writes a line into the witness, and waits for a file."""
    gate = site.root / "gate"
    script = f"echo {text} >> {site.witness}; until [ -e {gate} ]; do sleep 0.02; done"
    return command(name or text, script, *after, **more)


# --- Between two steps, and in the middle of one ----------------------------------------------------------------------


@pytest.mark.deep
async def test_31_a_crash_between_two_steps_blocks_no_queue(site):
    """dbos-inc/dbos-transact-py#805: recovered between two steps, a run stayed pending and blocked a queue of one.

    In AURA the step behind starts after the restart, and what waits for the same lock, or for its turn among the items,
    gets it.
    """
    one = marks(site.witness, "a-{{ item }}", "a", locks=("prod",))
    two = marks(site.witness, "b-{{ item }}", "b", "a", locks=("prod",))
    each = step("each", ForEachStep(items="[0, 1]", steps=(one, two), concurrency=1))
    async with site.engine() as engine:
        runs = [await engine.workflows.start(defined(each)) for _ in range(2)]
        site.doom(StepCompleted)
        await site.serve()
        await site.dies()
        await site.serve()
        for run in runs:
            done = await ends(engine, run.id, LONG)
            assert (done.status, done.steps["each"].attempts) == (WorkflowStatus.COMPLETED, 1)
    assert sorted(site.seen()) == sorted(["a-0", "b-0", "a-1", "b-1"] * 2)


@pytest.mark.deep
async def test_36_a_step_that_runs_through_a_restart_runs_once_and_ends(site):
    """hatchet-dev/hatchet#552, #211: after a restart a step ran twice; steps stayed "running".

    In AURA a command lives on without its engine; the next one finds it, and its end is the end of the step.
    """
    async with site.engine() as engine:
        run = await engine.workflows.start(defined(held(site, "once"), marks(site.witness, "after", None, "once")))
        await site.serve()
        await until(lambda: site.seen() == ["once"])
        site.kill()
        await site.serve()
        site.kill()
        (site.root / "gate").touch()
        await site.serve()
        done = await ends(engine, run.id, LONG)
    assert (done.status, done.steps["once"].attempts) == (WorkflowStatus.COMPLETED, 1)
    assert site.seen() == ["once", "after"]


@pytest.mark.deep
@pytest.mark.parametrize("again", [None, "begun", "done"])
async def test_37_engine_and_command_die_together(site, again):
    """apache/airflow#7927, #33661: scheduler and task died, and the task was "running" or "restarting" for ever.

    In AURA the next engine sees that both are gone, and does what the author wrote: it runs the command again, or has a
    human decide; also if it dies in the middle of that.
    """
    rerun = held(site, "rerun", recovery=StepRecovery.RERUN)
    async with site.engine() as engine:
        run = await engine.workflows.start(defined(rerun, held(site, "ask", recovery=StepRecovery.ASK)))
        await site.serve()
        await until(lambda: sorted(site.seen()) == ["ask", "rerun"])
        await site.loses_power()
        site.passes(hours=1)
        (site.root / "gate").touch()
        if again is not None:
            site.doom(StepRetried, again)
            await site.serve()
            await site.dies()
        await site.serve()
        failed = await ends(engine, run.id, LONG)
        assert failed.status is WorkflowStatus.FAILED
        assert (failed.steps["rerun"].status, failed.steps["rerun"].attempts) == (StepStatus.COMPLETED, 2)
        assert failed.steps["ask"].failure.reason is FailureReason.WORKER_LOST
        await engine.workflows.retry(run.id, "ask")
        done = await reaches(engine, run.id, lambda one: one.status is WorkflowStatus.COMPLETED, LONG)
    assert done.steps["ask"].attempts == 2
    assert sorted(site.seen()) == ["ask", "ask", "rerun", "rerun"]


@pytest.mark.deep
async def test_38_a_paused_workflow_whose_command_ends_frees_its_lock(site):
    """restatedev/restate#5196: suspended with a side effect under way, it was never resumed, and its key stayed locked.

    In AURA what runs in a pause ends, and frees its lock for others, though the engine dies; the resume does the rest.
    """
    steps = (held(site, "long", locks=("prod",)), marks(site.witness, "after", None, "long", locks=("prod",)))
    async with site.engine() as engine:
        run = await engine.workflows.start(defined(*steps))
        await site.serve()
        await until(lambda: site.seen() == ["long"])
        await engine.workflows.pause(run.id)
        other = await engine.workflows.start(defined(marks(site.witness, "other", locks=("prod",))))
        site.kill()
        (site.root / "gate").touch()
        await site.serve()
        assert (await ends(engine, other.id, LONG)).status is WorkflowStatus.COMPLETED
        paused = await engine.workflows.get(run.id)
        assert (paused.status, paused.steps["after"].status) == (WorkflowStatus.PAUSED, StepStatus.PENDING)
        assert site.seen() == ["long", "other"]
        await engine.workflows.resume(run.id)
        assert (await ends(engine, run.id, LONG)).status is WorkflowStatus.COMPLETED
    assert site.seen() == ["long", "other", "after"]


# --- Sleeping and waiting ---------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_32_a_sleeping_workflow_wakes_in_another_version(site):
    """dbos-inc/dbos-transact-golang#479: a sleeping run was not recovered after a restart of another version.

    In AURA any version continues it, by the definition that it was started with.
    """
    async with site.engine() as engine:
        rest = step("rest", WaitStep(seconds=HOUR))
        await engine.workflows.create(defined(rest, marks(site.witness, "old", None, "rest")))
        run = await engine.workflows.start("test")
        await site.serve(version="1.0")
        await step_reaches(engine, run, "rest", StepStatus.RUNNING)
        site.kill()
        await engine.workflows.create(defined(marks(site.witness, "new")))
        await site.serve(version="2.0")
        site.passes(hours=1)
        assert (await ends(engine, run.id, LONG)).status is WorkflowStatus.COMPLETED
    assert await site.versions() == ["1.0", "2.0"]
    assert site.seen() == ["old"]


@pytest.mark.deep
async def test_33_a_question_answered_across_an_upgrade_continues(site):
    """czpython/druks#619: a run parked at a gate across an upgrade was never resumed, although a human approved.

    In AURA an answer counts whenever it was given: before the upgrade, while nothing ran, or after it.
    """
    async with site.engine() as engine:
        runs = [
            await engine.workflows.start(defined(gate("ask"), marks(site.witness, name, None, "ask")))
            for name in ("before", "meanwhile", "after")
        ]
        await site.serve(version="1.0")
        questions = {one.workflow_id: one.id for one in await asked(engine, 3)}
        site.doom(StepCompleted, "begun")
        await engine.approvals.approve(questions[runs[0].id])
        await site.dies()
        await engine.approvals.approve(questions[runs[1].id])
        await site.serve(version="2.0")
        await engine.approvals.approve(questions[runs[2].id])
        for run in runs:
            assert (await ends(engine, run.id, LONG)).status is WorkflowStatus.COMPLETED
        assert await ever_asked(engine) == ["ask"] * 3
    assert await site.versions() == ["1.0", "2.0"]
    assert sorted(site.seen()) == ["after", "before", "meanwhile"]


@pytest.mark.deep
@pytest.mark.parametrize("step_of_start", ["begun", "done"])
async def test_34_a_sleep_that_ends_in_a_downtime_is_over(site, step_of_start):
    """vercel/workflow#679: a sleep whose end passed while the worker was down never resumed.

    In AURA the next engine finds it over, also if the last one died while the sleep began.
    """
    async with site.engine() as engine:
        rest = step("rest", WaitStep(seconds=HOUR), "first")
        after = marks(site.witness, "after", None, "rest")
        run = await engine.workflows.start(defined(marks(site.witness, "first"), rest, after))
        site.doom(StepCompleted, step_of_start)
        await site.serve()
        await site.dies()
        if step_of_start == "begun":
            await site.serve()
            await step_reaches(engine, run, "rest", StepStatus.RUNNING)
            site.kill()
        site.passes(days=3)
        await site.serve()
        assert (await ends(engine, run.id, LONG)).status is WorkflowStatus.COMPLETED
    assert site.seen() == ["first", "after"]


@pytest.mark.deep
async def test_35_a_sleep_is_as_long_as_it_was_meant_through_restarts(site):
    """mastra-ai/mastra#24591: timers of sleeps lived in the process only.

    In AURA the end is in the log: restarts make the sleep neither longer nor shorter.
    """
    async with site.engine() as engine:
        after = marks(site.witness, "after", None, "rest")
        run = await engine.workflows.start(defined(step("rest", WaitStep(seconds=HOUR)), after))
        due = (await step_reaches(engine, run, "rest", StepStatus.RUNNING)).steps["rest"].due_at
        assert (due - site.time).total_seconds() == HOUR
        for _ in range(3):
            await site.serve()
            site.passes(minutes=19)
            await site.looked()
            site.kill()
        await site.serve()
        site.passes(minutes=3, seconds=-1)
        await site.looked()
        state = await engine.workflows.advance(run.id)
        assert (state.steps["rest"].status, state.steps["rest"].due_at) == (StepStatus.RUNNING, due)
        site.passes(seconds=1)
        assert (await ends(engine, run.id, LONG)).status is WorkflowStatus.COMPLETED
    assert site.seen() == ["after"]
