"""Relatives of complaints 1 to 40, by the number of the complaint that they are kin to."""

import anyio
import pytest
from workflow_steps import command, defined, ends, statuses, step

from aura_contracts.approval import ApprovalStatus
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    AgentTaskStep,
    ForEachStep,
    Join,
    ParallelStep,
    StepRetry,
    StepStatus,
    SubWorkflowStep,
    WaitStep,
    WorkflowStatus,
)
from complaints.gates import asked, ever_asked, gate, marks, rests, seen, step_reaches
from engines import open_questions, scripted, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def witness(tmp_path):
    return tmp_path / "witness"


async def test_kin_of_03_a_retried_group_asks_only_what_was_refused(opened):
    """A no among several answers fails the group; its retry asks that one again, and the other answers stay."""
    each = ForEachStep(items="['a', 'b', 'c']", steps=(gate("ask"),))
    async with opened() as engine:
        run = await engine.workflows.start(defined(step("each", each)))
        questions = {one.step_id: one.id for one in await asked(engine, 3)}
        await engine.approvals.approve(questions["each[0]/ask"], "first")
        await engine.approvals.reject(questions["each[1]/ask"], "no")
        await engine.approvals.approve(questions["each[2]/ask"], "third")
        await rests(engine, run)
        await engine.workflows.retry(run.id, "each")
        (again,) = await asked(engine)
        assert again.step_id == "each[1]/ask"
        await engine.approvals.approve(again.id, "second")
        done = await (await engine.workflows.attach(run.id)).result()
    assert [one["feedback"] for one in done.steps["each"].result] == ["first", "second", "third"]


async def test_kin_of_05_a_fork_of_a_workflow_that_asks_asks_for_itself(opened, witness):
    """The questions of a workflow and of its fork are two, and an answer to one is none to the other."""
    says = marks(witness, "{{ workflow.name }}-{{ steps.ask.output.feedback }}", "say", "ask")
    async with opened() as engine:
        run = await engine.workflows.start(defined(gate("ask"), says))
        (first,) = await asked(engine)
        fork = await engine.workflows.fork(run.id, version=len(await engine.workflows.history(run.id)))
        questions = {one.workflow_id: one.id for one in await asked(engine, 2)}
        await engine.approvals.approve(questions[fork.id], "fork")
        assert (await fork.result()).steps["ask"].result["feedback"] == "fork"
        assert (await engine.approvals.get(first.id)).status is ApprovalStatus.PENDING
        await engine.approvals.approve(first.id, "origin")
        assert (await run.result()).steps["ask"].result["feedback"] == "origin"
    assert seen(witness) == ["test-fork", "test-origin"]


@pytest.mark.deep
@pytest.mark.parametrize("nested", [False, True])
async def test_kin_of_12_an_answer_about_a_task_continues_its_workflow(opened, witness, nested):
    """The engine that records the answer drives the workflow that waits for the task, and those around it."""
    agent = AgentTaskStep(task_template="Write", requires_approval=True, options=scripted([write("b.txt", "two\n")]))
    steps = (step("agent", agent), marks(witness, "inside", None, "agent"))
    async with opened() as engine:
        await engine.workflows.create(defined(*steps, name="inner"))
        around = (step("sub", SubWorkflowStep(workflow="inner")), marks(witness, "outside", None, "sub"))
        run = await engine.workflows.start(defined(*(around if nested else steps)))
        (question,) = await asked(engine)
        assert question.workflow_id is None
    async with opened() as engine:
        await engine.approvals.approve(question.id)
        assert (await ends(engine, run.id)).status is WorkflowStatus.COMPLETED
        assert len(await engine.approvals.workflows(question.id)) == 1 + nested
    assert seen(witness) == (["inside", "outside"] if nested else ["inside"])


async def test_kin_of_23_an_answer_in_a_pause_counts_at_the_resume(opened, witness):
    """The step is completed at once, and what is behind it starts with the resume, in another engine."""
    async with opened() as engine:
        run = await engine.workflows.start(defined(gate("ask"), marks(witness, "behind", None, "ask")))
        (question,) = await asked(engine)
        await engine.workflows.pause(run.id)
        await engine.approvals.approve(question.id, "yes")
        paused = await step_reaches(engine, run, "ask", StepStatus.COMPLETED)
        assert (paused.status, paused.steps["behind"].status) == (WorkflowStatus.PAUSED, StepStatus.PENDING)
    async with opened() as engine:
        resumed = await engine.workflows.resume(run.id)
        assert (await resumed.result()).steps["ask"].result["feedback"] == "yes"
        assert await ever_asked(engine) == ["ask"]
    assert seen(witness) == ["behind"]


async def test_kin_of_34_every_moment_that_passes_in_a_downtime_is_due_at_the_start(timed, time, witness):
    """Sleeps, instants, retries, questions and deadlines: what was due meanwhile happens, and nothing too early."""
    tries = command(
        "tries", f"echo try >> {witness}; exit 3", retry=StepRetry(attempts=2, pause=3600, on=tuple(FailureReason))
    )
    instant = step("instant", WaitStep(until="{{ inputs.at }}"))
    steps = (tries, instant, step("sleep", WaitStep(seconds=1800)), gate("ask", deadline=1800))
    late = step("late", WaitStep(seconds=7200))
    at = {"at": time.now.replace(hour=13).isoformat()}
    async with timed() as engine:
        run = await engine.workflows.start(defined(*steps, late, inputs={"at": {"type": "string"}}), at)
        other = await engine.workflows.start(defined(late, deadline=5400))
        for address, status in (("tries", "retrying"), ("instant", "running"), ("late", "running")):
            await step_reaches(engine, run, address, status)
        await asked(engine)
    time.passes(hours=1)
    async with timed(drive_all=True) as engine:
        await step_reaches(engine, run, "tries", StepStatus.FAILED)
        state = await step_reaches(engine, run, "ask", StepStatus.FAILED)
        assert statuses(state) == {
            **dict.fromkeys(("tries", "ask"), "failed"),
            **dict.fromkeys(("instant", "sleep"), "completed"),
            "late": "running",
        }
        assert (await engine.workflows.get(other.id)).status is WorkflowStatus.ACTIVE
    time.passes(minutes=30)
    async with timed(drive_all=True) as engine:
        assert (await ends(engine, other.id)).failure.reason is FailureReason.TIMEOUT
        assert (await engine.workflows.get(run.id)).steps["late"].status is StepStatus.RUNNING
    assert seen(witness) == ["try", "try"]


async def test_kin_of_39_a_signal_and_its_repetition_are_one_through_restarts(opened):
    """With its key, a signal that is sent again after it was heard does not satisfy the next wait."""
    waits = (step("one", WaitStep(signal="go")), step("two", WaitStep(signal="go"), "one"))
    async with opened() as engine:
        run = await engine.workflows.start(defined(*waits))
        await engine.workflows.signal(run.id, "go", 1, key="first")
        await step_reaches(engine, run, "two", StepStatus.RUNNING)
    async with opened(drive_all=True) as engine:
        await engine.workflows.signal(run.id, "go", 1, key="first")
        assert (await engine.workflows.get(run.id)).steps["two"].status is StepStatus.RUNNING
        await engine.workflows.signal(run.id, "go", 2, key="second")
        done = await (await engine.workflows.attach(run.id)).result()
    assert [done.steps[name].result for name in ("one", "two")] == [1, 2]


async def test_kin_of_40_losers_that_sleep_or_ask_below_hold_up_nothing(opened, tmp_path):
    """A step between two attempts, and a sub-workflow that asks, lose a race: their timer and question are gone."""
    tries = command(
        "tries", f"touch {tmp_path}/tried; exit 3", retry=StepRetry(attempts=5, pause=3600, on=tuple(FailureReason))
    )
    sub = step("sub", SubWorkflowStep(workflow="asks"))
    race = step("race", ParallelStep(steps=(tries, sub, step("win", WaitStep(signal="go"))), join=Join.FIRST))
    async with opened() as engine:
        await engine.workflows.create(defined(gate("ask"), name="asks"))
        run = await engine.workflows.start(defined(race))
        await step_reaches(engine, run, "tries", StepStatus.RETRYING)
        (question,) = await asked(engine)
        await engine.workflows.signal(run.id, "go")
        with anyio.fail_after(60):
            done = await run.result()
        assert statuses(done) == {"race": "completed", "win": "completed", "tries": "cancelled", "sub": "cancelled"}
        assert (await engine.workflows.get(done.steps["sub"].child_id)).status is WorkflowStatus.CANCELLED
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.WITHDRAWN
        assert not await open_questions(engine)
        assert not (await engine.timers.list()).rows
