"""Complaints 1 to 8: what an answer continues, and that nothing before it runs again."""

import pytest
from workflow_steps import defined, statuses, step

from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import AlreadyAnswered
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    Case,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    ParallelStep,
    SubWorkflowStep,
    WorkflowStatus,
)
from complaints.gates import asked, ever_asked, gate, marks, rests, seen, step_reaches

pytestmark = pytest.mark.anyio


@pytest.fixture
def witness(tmp_path):
    return tmp_path / "witness"


@pytest.mark.deep
async def test_01_a_question_in_a_loop_repeats_nothing_before_it(opened, witness):
    """langchain-ai/langgraph#7780: each resume ran the node from its start, with its side effects, for each round.

    AURA runs what is before the question once per round, also if another engine goes on after each answer.
    """
    work = marks(witness, "draft-{{ round }}", "draft")
    until_good = LoopStep(steps=(work, gate("ask", "draft")), until="steps.ask.output.feedback == 'good'", limit=5)
    async with opened() as engine:
        run = await engine.workflows.start(defined(step("rework", until_good)))
        await asked(engine)
    for number, feedback in ((1, "more"), (2, "and more"), (3, "good")):
        async with opened(drive_all=True) as engine:
            (question,) = await asked(engine, step_id=f"rework[{number}]/ask")
            await engine.approvals.approve(question.id, feedback)
            awaited = "rework" if feedback == "good" else f"rework[{number + 1}]/ask"
            await step_reaches(engine, run, awaited, "awaiting_approval", "completed")
    assert seen(witness) == ["draft-1", "draft-2", "draft-3"]
    async with opened() as engine:
        assert await ever_asked(engine) == [f"rework[{number}]/ask" for number in (1, 2, 3)]
        assert (await engine.workflows.get(run.id)).status is WorkflowStatus.COMPLETED


async def test_02_answers_to_parallel_questions_reach_their_own(opened):
    """langchain-ai/langgraph#6533, #6626: questions asked at once shared one id, and answers went to the wrong ones.

    In AURA each question has an id of its own, whatever its words, and answers come in any order.
    """
    each = ForEachStep(items="['a', 'b', 'c']", steps=(gate("ask"),))
    async with opened() as engine:
        run = await engine.workflows.start(defined(step("each", each), gate("also")))
        questions = {one.step_id: one for one in await asked(engine, 4)}
        assert len({one.id for one in questions.values()}) == 4
        for address in ("also", "each[2]/ask", "each[0]/ask", "each[1]/ask"):
            await engine.approvals.approve(questions[address].id, f"for {address}")
        done = await run.result()
    said = [f"for each[{number}]/ask" for number in range(3)]
    assert [one["feedback"] for one in done.steps["each"].result] == said
    assert done.steps["also"].result["feedback"] == "for also"


async def test_03_answered_questions_are_not_asked_again(opened):
    """langchain-ai/langgraph#5952: questions already answered were asked again while a parallel branch waited.

    AURA asks each once, though the other one waits through a restart, a pause and a look at what is due.
    """
    pair = step("pair", ParallelStep(steps=(gate("first"), gate("second"))))
    async with opened() as engine:
        run = await engine.workflows.start(defined(pair))
        await asked(engine, 2)
        (first,) = await asked(engine, step_id="first")
        await engine.approvals.approve(first.id, "once")
        await step_reaches(engine, run, "first", "completed")
    async with opened(drive_all=True) as engine:
        await engine.workflows.pause(run.id)
        await engine.workflows.resume(run.id)
        await engine.workflows.advance(run.id)
        (second,) = await asked(engine)
        await engine.approvals.approve(second.id, "twice")
        done = await (await engine.workflows.attach(run.id)).result()
        assert sorted(await ever_asked(engine)) == ["first", "second"]
    assert [done.steps[name].result["feedback"] for name in ("first", "second")] == ["once", "twice"]


async def test_04_one_answer_serves_the_questions_of_parallel_sub_workflows(opened, witness):
    """langchain-ai/langgraph#4028: with questions in two parallel subgraphs, one resume no longer served both.

    `answer_all` answers both, each is recorded by itself, and both sub-workflows continue.
    """
    left, right = (step(name, SubWorkflowStep(workflow="review", inputs={"name": name})) for name in ("left", "right"))
    inner = (gate("ask"), marks(witness, "{{ inputs.name }}", "tell", "ask"))
    async with opened() as engine:
        await engine.workflows.create(defined(*inner, name="review", inputs={"name": {"type": "string"}}))
        run = await engine.workflows.start(defined(left, right, marks(witness, "after", None, "left", "right")))
        await asked(engine, 2)
        outcomes = await engine.approvals.answer_all("approved", "both")
        assert [one.answered.feedback for one in outcomes] == ["both", "both"]
        assert (await run.result()).status is WorkflowStatus.COMPLETED
        assert await ever_asked(engine) == ["ask", "ask"]
    assert sorted(seen(witness)[:2]) == ["left", "right"]
    assert seen(witness)[2:] == ["after"]


async def test_05_a_question_that_is_asked_again_takes_the_new_answer(opened, witness):
    """langchain-ai/langgraph#6663: the same question, resumed with another answer later, kept its first answer.

    In AURA an answer is final, and to ask again is another question: after a retry, and in a fork from the step.
    """
    says = marks(witness, "{{ steps.ask.output.feedback }}", "say", "ask")
    async with opened() as engine:
        run = await engine.workflows.start(defined(gate("ask"), says))
        (first,) = await asked(engine)
        await engine.approvals.reject(first.id, "no")
        assert (await rests(engine, run)).steps["ask"].failure.reason is FailureReason.APPROVAL_REJECTED
        with pytest.raises(AlreadyAnswered):
            await engine.approvals.approve(first.id, "yes after all")
        await engine.workflows.retry(run.id, "ask")
        (second,) = await asked(engine)
        assert second.id != first.id
        await engine.approvals.approve(second.id, "second")
        done = await run.result()
        assert done.steps["ask"].result["feedback"] == "second"
        fork = await engine.workflows.fork(run.id, "ask")
        (third,) = await asked(engine)
        await engine.approvals.approve(third.id, "third")
        assert (await fork.result()).steps["ask"].result["feedback"] == "third"
        assert (await engine.workflows.get(run.id)) == done
        assert (await engine.approvals.get(first.id)).status is ApprovalStatus.REJECTED
    assert seen(witness) == ["second", "third"]


@pytest.mark.deep
async def test_06_a_sub_workflow_goes_on_behind_its_question(opened, witness):
    """langchain-ai/langgraphjs#1552: after a question in a subgraph, the subgraph started from its beginning.

    In AURA the same sub-workflow goes on, by whichever engine, and what it did before the question is not repeated.
    """
    inner = (marks(witness, "before"), gate("ask", "before"), marks(witness, "behind", None, "ask"))
    async with opened() as engine:
        await engine.workflows.create(defined(*inner, name="inner"))
        run = await engine.workflows.start(defined(step("sub", SubWorkflowStep(workflow="inner"))))
        await asked(engine)
        child = (await run.state()).steps["sub"].child_id
    async with opened(drive_all=True) as engine:
        (question,) = await asked(engine)
        await engine.approvals.approve(question.id)
        done = await (await engine.workflows.attach(run.id)).result()
        assert done.steps["sub"].child_id == child
        assert len((await engine.workflows.list()).rows) == 2
    assert seen(witness) == ["before", "behind"]


@pytest.mark.parametrize(("feedback", "branch"), [("ship", "yes"), pytest.param("hold", "no", marks=pytest.mark.deep)])
async def test_07_an_answer_takes_one_branch_and_runs_nothing_again(opened, witness, feedback, branch):
    """FlowiseAI/Flowise#4848: an answer ran the whole flow again, and took both the yes and the no branch.

    In AURA the branch that the answer chooses runs once; the other one and what was before never do.
    """
    yes = Case(when="steps.ask.output.feedback == 'ship'", steps=(marks(witness, "yes"),))
    choose = step("choose", ConditionalStep(cases=(yes,), otherwise=(marks(witness, "no"),)), "ask")
    async with opened() as engine:
        run = await engine.workflows.start(
            defined(marks(witness, "before"), gate("ask", "before"), choose, marks(witness, "after", None, "choose"))
        )
        await asked(engine)
    async with opened(drive_all=True) as engine:
        (question,) = await asked(engine)
        await engine.approvals.approve(question.id, feedback)
        done = await (await engine.workflows.attach(run.id)).result()
        assert len((await engine.tasks.list()).rows) == 3
    assert seen(witness) == ["before", branch, "after"]
    assert {"yes", "no"} & statuses(done).keys() == {branch}
