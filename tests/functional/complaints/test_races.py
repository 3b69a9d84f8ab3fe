"""Complaints 29, 30, 39 and 40: databases that restart in a recovery, stale lists, early signals, losers of races."""

from pathlib import Path

import anyio
import pytest
from workflow_steps import command, defined, ends, statuses, step

from aura_contracts.workflow import Join, ParallelStep, WaitStep, WorkflowStatus
from aura_engine import open_engine
from aura_engine.runtime.locked_drivers import LockedDrivers
from complaints.gates import asked, gate, marks, seen
from databases import new_schema
from engines import open_questions

pytestmark = pytest.mark.anyio


@pytest.fixture
def witness(tmp_path):
    return tmp_path / "witness"


# --- Recovery ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_recovery(monkeypatch):
    """Has something happen while an engine takes on what others have left: before the `number`-th workflow."""

    def have_happen(number, happen):
        take_on, workflows = LockedDrivers.take_on_started, []

        async def take_on_later(drivers, subject):
            if subject.kind.name == "workflow":
                workflows.append(subject.id)
                if len(workflows) == number:
                    await happen()
            await take_on(drivers, subject)

        monkeypatch.setattr(LockedDrivers, "take_on_started", take_on_later)
        return workflows

    return have_happen


@pytest.mark.deep
@pytest.mark.parametrize("moment", [1, 3])
async def test_29_a_database_that_restarts_in_a_recovery_strands_nothing(
    restartable_postgres, in_recovery, tmp_path, witness, moment
):
    """dbos-inc/dbos-transact-py#716: when the database restarted in a recovery, runs stayed pending for ever.

    In AURA the recovery waits until the database is back, and drives all that was left, each once.
    """
    url = new_schema(restartable_postgres)

    def engine_on(**options):
        return open_engine(url, home=tmp_path / "home", user="alice", **options)

    async with engine_on() as engine:
        runs = [
            await engine.workflows.start(defined(gate("ask"), marks(witness, f"run-{number}", "after", "ask")))
            for number in range(4)
        ]
        await asked(engine, 4)
    async with engine_on(record_only=True) as recorder:
        assert len(await recorder.approvals.answer_all("approved")) == 4
    restarts = []

    async def restart():
        await anyio.to_thread.run_sync(restartable_postgres.stop)
        restarts.append(moment)
        group.start_soon(anyio.to_thread.run_sync, restartable_postgres.start)

    in_recovery(moment, restart)
    async with anyio.create_task_group() as group, engine_on(drive_all=True) as engine:
        for run in runs:
            assert (await ends(engine, run.id)).status is WorkflowStatus.COMPLETED
    assert restarts == [moment]
    assert sorted(seen(witness)) == [f"run-{number}" for number in range(4)]


async def test_30_a_stale_list_of_what_to_recover_starts_nothing(opened, in_recovery, witness):
    """dbos-inc/dbos-transact-py#742: by a stale list, work ran after its ownership was given back.

    In AURA the list only says where to look: what has ended since starts nothing, and what another engine drives stays
    with that one.
    """
    async with opened() as engine:
        done, other = [
            await engine.workflows.start(defined(gate("ask"), marks(witness, name, "work", "ask")))
            for name in ("done", "other")
        ]
        questions = {one.workflow_id: one.id for one in await asked(engine, 2)}

        async def finish():
            await engine.approvals.approve(questions[done.id])
            await done.result()

        listed = in_recovery(1, finish)
        async with opened(drive_all=True) as late:
            assert {*listed} >= {done.id, other.id}
            assert (await done.state()).status is WorkflowStatus.COMPLETED
            assert not (await late.workflows.attach(other.id)).driven
            await late.approvals.approve(questions[other.id])
            await other.result()
            assert len((await late.tasks.list()).rows) == 2
    assert sorted(seen(witness)) == ["done", "other"]


# --- Signals ----------------------------------------------------------------------------------------------------------


async def test_39_a_signal_at_the_moment_of_its_wait_is_heard(opened):
    """inngest/inngest#1433, danielgerlag/workflow-core#529: an event just before its wait was registered was lost.

    In AURA a signal is recorded, whoever waits: long before, while the wait begins, or while no engine runs.
    """
    hear = step("hear", WaitStep(signal="go"), "ask")
    async with opened() as engine:
        runs = [await engine.workflows.start(defined(gate("ask"), hear)) for _ in range(8)]
        early = await engine.workflows.start(defined(gate("ask"), hear))
        await engine.workflows.signal(early.id, "go", {"n": -1})
        questions = {one.workflow_id: one.id for one in await asked(engine, 9)}
        async with anyio.create_task_group() as group:
            for number, run in enumerate(runs):
                both = [(engine.approvals.approve, questions[run.id]), (engine.workflows.signal, run.id, "go", number)]
                for call, *arguments in both if number % 2 else reversed(both):
                    group.start_soon(call, *arguments)
        for number, run in enumerate(runs):
            assert (await run.result()).steps["hear"].result == number
    async with opened(record_only=True) as recorder:
        late = await recorder.workflows.start(defined(hear, gate("ask")))
        await recorder.workflows.signal(late.id, "go", {"n": -2})
        await recorder.approvals.approve(questions[early.id])
    async with opened(drive_all=True) as engine:
        (question,) = await asked(engine)
        await engine.approvals.approve(question.id)
        for run, number in ((early, -1), (late, -2)):
            assert (await ends(engine, run.id)).steps["hear"].result == {"n": number}


# --- Losers -----------------------------------------------------------------------------------------------------------


async def test_40_the_losers_of_a_race_hold_up_nothing(opened, tmp_path, witness):
    """inngest/inngest-js#1617: the loser of a race kept the run "Running" until its timeout.

    In AURA the losers are cancelled, and the race is over when none of them runs: no timer, no question, no process.
    """
    slow = command("slow", f"echo $$ > {tmp_path}/pid; exec sleep 600", timeout=600)
    win = command("win", f"until [ -s {tmp_path}/pid ]; do sleep 0.02; done")
    rest = step("rest", WaitStep(seconds=3600))
    hear = step("hear", WaitStep(signal="never"))
    racers = (slow, rest, hear, gate("ask", deadline=3600), win)
    race = step("race", ParallelStep(steps=racers, join=Join.FIRST))
    async with opened() as engine:
        run = await engine.workflows.start(defined(race, marks(witness, "after", None, "race")))
        with anyio.fail_after(60):
            done = await run.result()
        assert statuses(done) == {
            **dict.fromkeys(("slow", "rest", "hear", "ask"), "cancelled"),
            **dict.fromkeys(("win", "race", "after"), "completed"),
        }
        assert not (await engine.timers.list()).rows
        assert not await open_questions(engine)
        assert not is_there(tmp_path / "pid")
    assert seen(witness) == ["after"]


def is_there(file):
    """Whether there is a process whose id stands in a file."""
    return Path("/proc", file.read_text().strip()).exists()
