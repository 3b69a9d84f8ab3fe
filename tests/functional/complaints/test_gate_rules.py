"""Complaints 8 to 11, 13, 15, 16 and 22: deadlines, who may answer, and answers that are kept."""

import pytest
from workflow_steps import command, defined, statuses, step

from aura_contracts.approval import APPROVAL, ApprovalStatus, OnExpiry
from aura_contracts.errors import ActorNotAllowed, QuestionExpired, QuestionWithdrawn, StoreUnavailable
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    WORKFLOW,
    AgentTaskStep,
    LoopStep,
    ParallelStep,
    StepStatus,
    SubWorkflowStep,
    WaitStep,
    WorkflowStatus,
    awaiting_of,
)
from aura_store.log._event_log import RecorderEventLog
from complaints.gates import asked, ever_asked, gate, marks, rests, seen, step_reaches
from engines import open_questions, scripted, write
from repositories import make_repository

pytestmark = pytest.mark.anyio

AGENT = "agent:0192f0c1-2d3e-7abc-8def-0123456789ab"
TOPICS = {event.topic for event in WORKFLOW.events}


@pytest.fixture
def witness(tmp_path):
    return tmp_path / "witness"


# --- Deadlines --------------------------------------------------------------------------------------------------------


async def test_08_the_time_of_a_human_is_not_the_time_of_the_step(timed, time):
    """apache/airflow#55866: the wait for the answer and the execution timeout were one setting: too late at once.

    In AURA a timeout stands still while a human is asked, also that of what is around; the question's own deadline
    counts from the question on.
    """
    agent = AgentTaskStep(task_template="Write", requires_approval=True, options=scripted([write("b.txt", "two\n")]))
    pair = ParallelStep(steps=(gate("ask", timeout=60), step("agent", agent, timeout=60)))
    slow = gate("slow", "rest", timeout=60, deadline=7200)
    steps = (step("pair", pair, timeout=60), step("rest", WaitStep(seconds=10_800)), slow)
    async with timed() as engine:
        run = await engine.workflows.start(defined(*steps))
        questions = await asked(engine, 2)
        await step_reaches(engine, run, "agent", "awaiting_approval")
        time.passes(hours=1)
        await engine.workflows.advance(run.id)
        for one in questions:
            await engine.approvals.approve(one.id)
        await step_reaches(engine, run, "pair", "completed")
        time.passes(hours=2)
        (late,) = await asked(engine)
        assert (late.deadline - time.now).total_seconds() == 7200
        time.passes(seconds=7199)
        assert (await engine.workflows.advance(run.id)).steps["slow"].status is StepStatus.AWAITING_APPROVAL
        time.passes(seconds=1)
        failed = await rests(engine, run)
    assert failed.steps["slow"].failure.reason is FailureReason.APPROVAL_EXPIRED


async def test_09_an_answer_that_nobody_gave_is_read_again_without_harm(timed, time, witness):
    """apache/airflow PR #72155 (review): the default answer had no responder, and its trigger crashed at a replay.

    In AURA `by` is null then; later steps, a replay, the lists and a second expiry all live with that.
    """
    ask = gate("ask", deadline=60, on_expiry=OnExpiry.CONTINUE)
    says = marks(witness, "{{ steps.ask.output.decision }}-{{ steps.ask.output.by or 'nobody' }}", "say", "ask")
    async with timed() as engine:
        run = await engine.workflows.start(defined(ask, says))
        (question,) = await asked(engine)
        time.passes(seconds=60)
        done = await run.result()
        assert await engine.timers.fire_due() == ()
        with pytest.raises(QuestionExpired):
            await engine.approvals.approve(question.id)
    assert done.steps["ask"].result == {"decision": "expired", "feedback": None, "by": None}
    assert seen(witness) == ["expired-nobody"]
    async with timed() as engine:
        assert WORKFLOW.fold(await engine._core.log.facts(run.id)) == done
        listed = (await engine.approvals.list()).rows
        assert [(one.status, one.reviewed_by) for one in listed] == [(ApprovalStatus.EXPIRED, None)]
        assert APPROVAL.fold(await engine._core.log.facts(question.id)) == listed[0]


async def test_15_a_question_that_expired_offers_no_answer(timed, time):
    """ansible/awx#13465: approvals that had timed out still offered to approve and to deny.

    In AURA such a question waits for no one, and refuses every answer: from the moment of its deadline on, even if
    nothing has recorded that yet. So does one whose workflow was cancelled.
    """
    async with timed(record_only=True) as recorder:
        async with timed() as engine:
            run = await engine.workflows.start(defined(gate("ask", deadline=60), gate("other")))
            questions = {one.step_id: one for one in await asked(engine, 2)}
        time.passes(seconds=60)
        for answer in (recorder.approvals.approve, recorder.approvals.reject, recorder.approvals.delegate):
            with pytest.raises(QuestionExpired):
                await answer(questions["ask"].id, "late")
        (outcome,) = await recorder.approvals.answer_all("approved", approvals=[questions["ask"].id])
        assert outcome.answered is None
    async with timed(drive_all=True) as engine:
        await step_reaches(engine, run, "ask", "failed")
        assert [one.step_id for one in await open_questions(engine)] == ["other"]
        await engine.workflows.cancel(run.id)
        await rests(engine, run)
        assert not await open_questions(engine)
        with pytest.raises(QuestionWithdrawn):
            await engine.approvals.approve(questions["other"].id)


async def test_16_silence_is_no_approval(timed, time, witness):
    """juspay/clairvoyance PR #769: silence was initialised as "approved".

    In AURA a question without an answer stays one, however long; at its deadline it has failed unless its author wrote
    `on_expiry: continue`, and nothing after it runs.
    """
    behind = (marks(witness, "a", None, "ever"), marks(witness, "b", None, "once"))
    async with timed() as engine:
        run = await engine.workflows.start(defined(gate("ever"), gate("once", deadline=60), *behind))
        await asked(engine, 2)
        time.passes(days=366)
        await step_reaches(engine, run, "once", "failed")
        (still,) = await asked(engine)
        assert (still.step_id, still.status, still.granted) == ("ever", ApprovalStatus.PENDING, False)
        state = await engine.workflows.advance(run.id)
    assert statuses(state) == {"ever": "awaiting_approval", "once": "failed", "a": "pending", "b": "pending"}
    assert seen(witness) == []


async def test_22_a_question_asked_again_after_its_deadline_continues_the_workflow(timed, time, witness):
    """argoproj/argo-workflows#14282: a gate timed out and was retried with another answer: what was behind never began.

    In AURA a retry asks anew, with a deadline of its own, and the answer starts what is behind, in the container too.
    """
    inner = (gate("ask", deadline=60), marks(witness, "inside", None, "ask"))
    steps = (step("group", ParallelStep(steps=inner)), marks(witness, "behind", None, "group"))
    async with timed() as engine:
        run = await engine.workflows.start(defined(*steps))
        (first,) = await asked(engine)
        time.passes(seconds=60)
        assert (await rests(engine, run)).steps["ask"].failure.reason is FailureReason.APPROVAL_EXPIRED
        await engine.workflows.retry(run.id, "ask")
        (second,) = await asked(engine)
        assert second.id != first.id
        assert (second.deadline - time.now).total_seconds() == 60
        await engine.approvals.approve(second.id, "another answer")
        done = await (await engine.workflows.attach(run.id)).result()
    assert done.steps["ask"].result["feedback"] == "another answer"
    assert seen(witness) == ["inside", "behind"]


# --- Who answers, and limits ------------------------------------------------------------------------------------------


async def test_10_only_who_is_asked_answers_and_a_limit_of_rounds_holds(opened, witness):
    """apache/airflow PR #63081 (review): anyone could answer, and an iteration limit was accepted and not enforced.

    In AURA agents, observers and people who were not asked are refused and change nothing; a loop ends at its limit.
    """
    rounds = LoopStep(steps=(marks(witness, "round-{{ round }}", "try"),), until="false", limit=2)
    async with opened() as engine:
        run = await engine.workflows.start(defined(gate("ask", reviewers=("bob",)), step("rework", rounds)))
        (question,) = await asked(engine)
        for by in (AGENT, "observer:bob", "eve"):
            for answer in (engine.approvals.approve, engine.approvals.reject):
                with pytest.raises(ActorNotAllowed):
                    await answer(question.id, "mine", by=by)
            assert [one.answered for one in await engine.approvals.answer_all("approved", by=by)] in ([], [None])
        state = await step_reaches(engine, run, "rework", "failed")
        assert (await engine.approvals.get(question.id)).votes == ()
        assert state.steps["ask"].status is StepStatus.AWAITING_APPROVAL
        await engine.approvals.approve(question.id, by="bob")
        failed = await rests(engine, run)
    assert failed.steps["ask"].result["by"] == "bob"
    assert "2" in failed.steps["rework"].failure.message
    assert seen(witness) == ["round-1", "round-2"]


# --- Answers that are kept --------------------------------------------------------------------------------------------


async def test_11_an_answer_outlives_a_start_that_fails(opened, witness, tmp_path):
    """Agenta-AI/agenta#5592: an answer was used up although the resumed run never started, and could not be repeated.

    In AURA the answer is a fact: given while no engine runs, it continues the workflow later; and where the step behind
    it cannot start, that step alone is retried.
    """
    behind = marks(
        witness, "{{ steps.ask.output.feedback }}", "behind", "ask", options={"repositories": [str(tmp_path / "late")]}
    )
    async with opened() as engine:
        run = await engine.workflows.start(defined(gate("ask"), behind))
        (question,) = await asked(engine)
    async with opened(record_only=True) as recorder:
        await recorder.approvals.approve(question.id, "yes")
    async with opened(drive_all=True) as engine:
        failed = await rests(engine, run)
        assert failed.steps["behind"].failure.reason is FailureReason.WORKSPACE_ERROR
        make_repository(tmp_path / "late")
        await engine.workflows.retry(run.id, "behind")
        await (await engine.workflows.attach(run.id)).result()
        assert await ever_asked(engine) == ["ask"]
    assert seen(witness) == ["yes"]


async def test_13_what_waits_for_an_answer_has_a_question(opened, monkeypatch, tmp_path):
    """respawn-llc/kent#780: shown as waiting for approval without one to answer, after the start behind it had failed.

    In AURA a question and the step's wait for it are recorded in one append: at no position of the log is there one
    without the other, though appends fail; and where a start fails, the step has failed, and waits for no answer.
    """
    append, failures = RecorderEventLog.append, []

    async def unreliable(log, *appends):
        topics = {fact.event.topic for one in appends for fact in one.facts}
        if "approval.requested" in topics and len(failures) < 2:
            failures.append(topics)
            raise StoreUnavailable(store="s", reason="it restarts", waited=1.0, attempts=1)
        return await append(log, *appends)

    monkeypatch.setattr(RecorderEventLog, "append", unreliable)
    agent = AgentTaskStep(task_template="Write", requires_approval=True, options=scripted([write("b.txt", "two\n")]))
    behind = command("behind", "true", "ask", options={"repositories": [str(tmp_path / "nowhere")]})
    async with opened() as engine:
        await engine.workflows.create(defined(gate("inner"), name="called"))
        sub = step("sub", SubWorkflowStep(workflow="called"))
        run = await engine.workflows.start(defined(gate("ask"), behind, sub, step("agent", agent)))
        await step_reaches(engine, run, "sub", "awaiting_approval")
        await step_reaches(engine, run, "agent", "awaiting_approval")
        for one in await asked(engine, 3):
            await engine.approvals.approve(one.id)
        failed = await rests(engine, run)
        assert len(failures) == 2
        assert statuses(failed) == {"ask": "completed", "behind": "failed", "sub": "completed", "agent": "completed"}
        assert (failed.status, awaiting_of(failed)) == (WorkflowStatus.FAILED, ())
        assert not await open_questions(engine)
        waits = [wait async for wait in _waits(engine)]
    assert {step_id for step_id, _, _ in waits} == {"ask", "inner", "sub", "agent"}
    assert all(is_there for _, _, is_there in waits), waits


async def _waits(engine):
    """Yield each step that awaits an approval at a position of the log, and whether the question was there then."""
    states, questions = {}, set()
    async for record in engine._core.log.read():
        if record.event.topic == "approval.requested":
            questions.add(record.stream_id)
        if record.event.topic in TOPICS:
            states[record.stream_id] = WORKFLOW.evolve(states.get(record.stream_id), record)
            for one in states[record.stream_id].steps.values():
                if one.status is StepStatus.AWAITING_APPROVAL:
                    yield one.id, record.position, one.approval_id in questions
