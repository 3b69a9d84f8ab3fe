"""Workflows as a user meets them: what starts when, what stands in the way, what follows, what is refused and why."""

import itertools

import pytest

from aura_contracts import workflow as wf
from aura_contracts.actors import agent
from aura_contracts.errors import ActorNotAllowed, AggregateExists, AggregateNotFound, RuleViolated, TransitionRefused
from aura_contracts.failures import Failure, FailureReason
from aura_engine.orchestration.acts import Act, ActKind, StepInquiry
from workflow_play import (
    ALICE,
    ENGINE,
    FAILURE,
    ID,
    NOW,
    Play,
    an_id,
    ask,
    choose,
    command,
    each,
    end,
    loop,
    together,
    wait,
    work,
)

TRANSIENT = Failure(FailureReason.AGENT_ERROR, "no diff")
CONTINUE = wf.OnStepFailure.CONTINUE


def refusal(error, play, command, actor=ENGINE):
    before = play.state
    with pytest.raises(error) as caught:
        play.do(command, actor)
    assert play.state is before
    return caught.value


# --- Start and order --------------------------------------------------------------------------------------------------


def test_a_started_workflow_has_its_first_steps_ready():
    play = Play(work("plan"), work("build", "plan"), work("docs"), context={"goal": "x"}, project="dieta")
    assert (play.whole, play.state.name, play.state.project) == ("active", "play", "dieta")
    assert (play.state.created_by, play.state.created_at, play.state.context) == (ALICE, NOW, {"goal": "x"})
    assert play.acts() == (Act(ActKind.START, "plan"), Act(ActKind.START, "docs"))
    play.complete("docs", "plan")
    assert play.ready == ["build"]
    assert [play.state.current_step_index, play.complete("build").state.current_step_index] == [1, 3]
    assert play.state.outputs == {name: {"of": name} for name in ("plan", "build", "docs")}
    assert play.acts() == ()


def test_a_definition_that_cannot_run_is_refused_with_what_is_wrong():
    broken = wf.WorkflowDefinition(name="x", steps=(work("a", "ghost"), work("a")))
    play = Play(work("a"))
    play.state = None
    error = refusal(RuleViolated, play, wf.StartWorkflow(workflow_id=ID, definition=broken), ALICE)
    assert error.rule == "definition"
    assert "ghost" in error.reason


def test_a_workflow_is_started_once_and_must_exist_for_the_rest():
    play = Play(work("a"))
    refusal(AggregateExists, play, wf.StartWorkflow(workflow_id=ID, definition=play.state.definition), ALICE)
    play.state = None
    refusal(AggregateNotFound, play, wf.PauseWorkflow(), ALICE)


def test_starting_a_step_again_with_the_same_task_changes_nothing_and_with_another_is_refused():
    play = Play(work("a")).start("a")
    known = len(play.events)
    play.do(wf.StartStep(step_id="a", task_id=an_id(ID, "a", 1)))
    assert len(play.events) == known
    error = refusal(TransitionRefused, play, wf.StartStep(step_id="a", task_id=an_id("other")))
    assert (error.aggregate_id, error.status, error.allowed_in) == (f"{ID}/a", "running", ("pending",))


def test_a_step_that_is_not_there_is_named_with_those_that_are():
    play = Play(work("a"), choose("c", (work("in"),), dependencies=("a",)))
    assert "a, c" in str(refusal(AggregateNotFound, play, wf.CompleteStep(step_id="z")))
    assert "has not begun" in str(refusal(AggregateNotFound, play, wf.SkipStep(step_id="in"), ALICE))


@pytest.mark.parametrize(
    ("step", "given", "says"),
    [
        (work("s"), {}, "starts with task_id"),
        (work("s"), {"task_id": ID, "approval_id": ID}, "starts with task_id"),
        (ask("s"), {"task_id": ID}, "starts with approval_id"),
        (wait("s", signal="x"), {}, "starts by itself"),
        (wait("s", until="{{ x }}"), {"task_id": ID}, "starts with until"),
    ],
)
def test_a_step_starts_with_what_its_type_waits_for(step, given, says):
    error = refusal(RuleViolated, Play(step, work("x")), wf.StartStep(step_id="s", **given))
    assert error.rule == "step_subject"
    assert says in error.reason


def test_who_may_do_what():
    play = Play(work("a"))
    refusal(ActorNotAllowed, play, wf.StartStep(step_id="a", task_id=ID), ALICE)
    refusal(ActorNotAllowed, play, wf.CancelWorkflow(), agent(ID))


# --- Joins ------------------------------------------------------------------------------------------------------------

OUTCOMES = ("completed", "skipped", "cancelled", "tolerated", "failed", "running")


def end_as(play, step_id, outcome):
    match outcome:
        case "completed":
            play.complete(step_id)
        case "skipped":
            play.human(wf.SkipStep(step_id=step_id))
        case "cancelled":
            play.human(wf.CancelStep(step_id=step_id))
        case "tolerated" | "failed":
            play.fail(step_id)
        case "running":
            play.start(step_id)


def expected(join, n, outcomes):
    """The truth table, as the documentation has it."""
    completed, open_ = outcomes.count("completed"), outcomes.count("failed") + outcomes.count("running")
    without = 3 - completed - open_
    if join is wf.Join.ALL_DONE:
        return "ready" if not open_ else "waits"
    needed = {wf.Join.ALL_SUCCEEDED: 3, wf.Join.ANY_SUCCEEDED: 1}.get(join, n)
    if completed >= needed:
        return "cancels" if join is wf.Join.FIRST and "running" in outcomes else "ready"
    return "skipped" if 3 - without < needed else "waits"


CASES = [(join, n) for join in wf.Join for n in ((1, 2, 3) if join in (wf.Join.N_OF, wf.Join.FIRST) else (None,))]


@pytest.mark.parametrize(("join", "n"), CASES)
def test_every_join_over_every_outcome_of_three_dependencies(join, n):
    for outcomes in itertools.product(OUTCOMES, repeat=3):
        names = ("a", "b", "c")
        before = [
            work(name, on_failure=CONTINUE if outcome == "tolerated" else wf.OnStepFailure.FAIL)
            for name, outcome in zip(names, outcomes, strict=True)
        ]
        play = Play(*before, work("keep"), work("last", *names, join=join, n=n)).start("keep")
        ended = []
        for name, outcome in sorted(zip(names, outcomes, strict=True), key=lambda pair: pair[1] != "running"):
            if play.status(name) != "pending":
                continue  # the first ones were enough, and the others were cancelled
            ended.append(outcome)
            end_as(play, name, outcome)
        if len(ended) < 3:
            assert join is wf.Join.FIRST
            continue
        match expected(join, n, outcomes):
            case "ready":
                assert "last" in play.ready, outcomes
            case "skipped":
                assert play.status("last") == "skipped", outcomes
            case "cancels":
                losers = [name for name, outcome in zip(names, outcomes, strict=True) if outcome == "running"]
                assert play.todo(ActKind.CANCEL_BELOW) == losers
                assert "last" not in play.ready
                assert "last" in play.cancelled(*losers).ready
            case "waits":
                assert play.status("last") == "pending", outcomes
                assert "last" not in play.ready, outcomes


def container_expected(join, n, outcomes):
    completed, failed = outcomes.count("completed"), "failed" in outcomes
    if join is wf.Join.ALL_DONE:
        return "completed"
    if join is wf.Join.ALL_SUCCEEDED:
        return "failed" if failed else "completed"
    return "completed" if completed >= (n or 1) else "failed"


@pytest.mark.parametrize(("join", "n"), CASES)
@pytest.mark.parametrize("kind", ["parallel", "for_each"])
def test_every_join_of_a_container_over_every_outcome_of_three_members(kind, join, n):
    for outcomes in itertools.product(OUTCOMES[:5], repeat=3):
        if kind == "parallel":
            members = [
                work(name, on_failure=CONTINUE if outcome == "tolerated" else wf.OnStepFailure.FAIL)
                for name, outcome in zip("abc", outcomes, strict=True)
            ]
            play, names = Play(together("p", *members, members=join, of=n)), list("abc")
        else:
            if {"tolerated", "skipped", "cancelled"} & set(outcomes):
                continue  # of these an item consists, which completes
            play = Play(each("p", work("m"), members=join, of=n)).answer("p", (1, 2, 3))
            names = [f"p[{index}]/m" for index in range(3)]
        for name, outcome in zip(names, outcomes, strict=True):
            if play.status(name) == "pending":
                end_as(play, name, outcome)
        assert play.status("p") == container_expected(join, n, outcomes), outcomes


def test_a_container_that_needs_only_some_completes_early_and_the_others_go_on():
    play = Play(together("p", work("a"), work("b"), work("c", "b"), members="any_succeeded"))
    play.start("b").complete("a")
    assert (play.status("p"), play.whole) == ("completed", "active")
    assert play.complete("b").ready == ["c"]
    assert play.fail("c").whole == "completed"


def test_a_container_that_takes_the_first_cancels_the_others_and_completes_when_they_have_ended():
    play = Play(each("e", work("m"), members="first", concurrency=2)).answer("e", (1, 2, 3))
    play.start("e[0]/m", "e[1]/m").complete("e[1]/m")
    assert (play.status("e"), play.todo(ActKind.CANCEL_BELOW)) == ("running", ["e[0]/m"])
    play.cancelled("e[0]/m")
    assert play.state.outputs == {"e": [None, {"of": "e[1]/m"}, None]}


# --- The holes of before ----------------------------------------------------------------------------------------------


def test_a_step_after_a_branch_not_taken_does_not_run_without_its_output():
    play = Play(work("a", when="x"), work("b", "a"), work("c", "a", join=wf.Join.ALL_DONE))
    play.answer("a", False)
    assert (play.status("a"), play.status("b"), play.ready) == ("skipped", "skipped", ["c"])
    assert play.state.steps["b"].reason == "a was skipped"


def test_cancelled_is_said_only_when_nothing_runs_and_late_reports_have_a_place():
    play = Play(work("a"), work("b"), work("c", "a")).start("a", "b").human(wf.CancelWorkflow(reason="enough"))
    assert play.whole == "cancelling"
    assert play.acts() == (Act(ActKind.CANCEL_BELOW, "a"), Act(ActKind.CANCEL_BELOW, "b"))
    play.complete("a", result={"pr": 7})
    assert (play.whole, play.status("a"), play.status("c")) == ("cancelling", "completed", "cancelled")
    play.cancelled("b")
    assert (play.whole, play.state.reason, play.state.steps["a"].result) == ("cancelled", "enough", {"pr": 7})
    assert refusal(TransitionRefused, play, wf.CancelWorkflow(), ALICE).status == "cancelled"


def test_timeouts_stand_still_in_a_pause_and_while_a_human_is_asked():
    play = Play(work("a", timeout=10.0), deadline=100.0).start("a")
    play.later(4).human(wf.PauseWorkflow())
    assert wf.workflow_due(play.state) is None
    play.later(1000).human(wf.ResumeWorkflow())
    assert (play.state.steps["a"].times_out_at - play.now).total_seconds() == 6
    assert (play.state.deadline_at - play.now).total_seconds() == 96
    play.do(wf.AwaitStepApproval(step_id="a", approval_id=ID)).later(50)
    assert play.status("a") == "awaiting_approval"
    play.do(wf.ResumeStep(step_id="a", approved=False)).later(5)
    assert play.status("a") == "running"
    assert play.later(1).status("a") == "cancelling"
    play.cancelled("a")
    assert (play.status("a"), play.state.steps["a"].failure.reason) == ("failed", FailureReason.TIMEOUT)


def test_the_clock_of_a_container_stands_still_while_anything_in_it_asks():
    play = Play(together("p", ask("q"), work("a"), timeout=10.0)).later(4).start("q")
    play.later(1000).complete("q").later(5)
    assert play.status("p") == "running"
    play.start("a").later(1)
    assert (play.status("p"), play.status("a")) == ("cancelling", "cancelling")
    assert play.cancelled("a").status("p") == "failed"


def test_a_loop_ends_by_its_condition_or_fails_at_its_limit():
    play = Play(loop("l", work("m"), limit=2)).complete("l[1]/m").answer("l", False).complete("l[2]/m")
    assert Play(loop("l", work("m"))).complete("l[1]/m").answer("l", True).whole == "completed"
    play.answer("l", False)
    assert (play.whole, play.state.failure.reason) == ("failed", FailureReason.LIMIT_REACHED)
    assert play.human(wf.RetryStep(step_id="l")).ready == ["l[1]/m"]
    assert play.start("l[1]/m").state.steps["l[1]/m"].attempts == 2


# --- Pause ------------------------------------------------------------------------------------------------------------


def test_nothing_starts_and_nothing_is_evaluated_in_a_pause_but_what_runs_finishes():
    play = Play(work("a"), work("b", "a", when="x"), choose("c", (work("k"),)), wait("w", seconds=5.0), work("r"))
    play = play.start("a", "r").human(wf.PauseWorkflow(reason="lunch"))
    assert play.acts() == (Act(ActKind.FOLLOW, "a"), Act(ActKind.FOLLOW, "r"))
    play.complete("a").later(5)
    assert (play.status("w"), play.status("b"), play.running) == ("completed", "pending", ["r"])
    assert refusal(RuleViolated, play, wf.DecideStep(step_id="b", runs=True)).rule == "paused"
    play.human(wf.ResumeWorkflow())
    assert {act.what for act in play.acts() if act.kind is ActKind.EVALUATE} == {StepInquiry.WHEN, StepInquiry.CASE}


def test_a_retry_that_is_due_waits_for_the_resume():
    play = Play(work("a", retry=wf.StepRetry(attempts=2, pause=1.0))).fail("a", failure=TRANSIENT)
    play.human(wf.PauseWorkflow()).later(9)
    assert (play.status("a"), wf.workflow_due(play.state)) == ("retrying", None)
    assert play.human(wf.ResumeWorkflow()).ready == ["a"]


# --- Failure ----------------------------------------------------------------------------------------------------------


def test_an_attempt_is_retried_with_growing_pauses_for_the_named_reasons_only():
    play = Play(work("a", retry=wf.StepRetry(attempts=3, pause=2.0, factor=3.0, longest=5.0)))
    pauses = []
    for _ in range(2):
        play.fail("a", failure=TRANSIENT)
        pauses.append((play.state.steps["a"].due_at - play.now).total_seconds())
        play.later(pauses[-1])
    assert (pauses, play.ready) == ([2.0, 5.0], ["a"])
    play.fail("a", failure=TRANSIENT)
    assert (play.status("a"), play.whole, play.state.steps["a"].attempts) == ("failed", "failed", 3)
    assert Play(work("a", retry=wf.StepRetry(attempts=3))).fail("a").status("a") == "failed"


def test_a_failed_step_blocks_only_what_needs_it_and_the_whole_fails_last():
    play = Play(work("a"), work("b"), work("c", "a"), work("d", "b")).fail("a")
    assert (play.whole, play.ready) == ("active", ["b"])
    play.complete("b", "d")
    assert (play.whole, play.state.failure.message) == ("failed", "step a failed: Conflict: no")
    play.human(wf.RetryStep(step_id="a"))
    assert (play.whole, play.state.failure, play.ready) == ("active", None, ["a"])
    assert play.complete("a", "c").whole == "completed"
    assert [one.attempts for one in play.state.steps.values()] == [2, 1, 1, 1]


def test_a_handler_takes_the_place_of_a_step_and_its_own_failure_is_that_of_the_step():
    steps = (work("a", handler=(work("h"), work("i", "h"))), work("b", "a"))
    play = Play(*steps).fail("a")
    assert (play.status("a"), play.ready) == ("handling", ["h"])
    play.complete("h", "i")
    assert (play.status("a"), play.state.steps["a"].handled, play.ready) == ("completed", True, ["b"])
    assert play.state.steps["a"].result == {"of": "i"}
    play = Play(*steps).fail("a", "h")
    assert (play.status("a"), play.whole, play.state.steps["a"].failure) == ("failed", "failed", FAILURE)
    play.human(wf.RetryStep(step_id="a")).fail("a").complete("h")
    assert play.state.steps["h"].attempts == 2


def test_a_container_with_a_retry_policy_runs_all_its_steps_again():
    play = Play(together("p", work("a"), work("b"), retry=wf.StepRetry(attempts=2, pause=1.0)))
    play.complete("a").fail("b", failure=TRANSIENT)
    assert play.status("p") == "retrying"
    assert play.later(1).ready == ["a", "b"]
    play.complete("a", "b")
    assert (play.whole, play.state.steps["a"].attempts, play.state.steps["p"].attempts) == ("completed", 2, 2)


def test_a_human_who_retries_a_container_has_only_what_did_not_complete_run_again():
    play = Play(each("e", work("m"), work("n", "m"))).answer("e", ("x", "y"))
    play.complete("e[0]/m", "e[0]/n").fail("e[1]/m")
    assert play.whole == "failed"
    play.human(wf.RetryStep(step_id="e"))
    assert (play.ready, play.state.steps["e"].items) == (["e[1]/m"], ("x", "y"))
    play.complete("e[1]/m", "e[1]/n")
    assert (play.whole, play.state.outputs) == ("completed", {"e": [{"of": "e[0]/n"}, {"of": "e[1]/n"}]})


def test_a_retry_inside_a_failed_container_has_that_run_again():
    play = Play(together("p", together("i", work("a"), work("b", "a"))), work("z", "p")).fail("a")
    assert (play.status("i"), play.status("p"), play.whole) == ("failed", "failed", "failed")
    play.human(wf.RetryStep(step_id="a"))
    assert (play.status("i"), play.status("p"), play.whole) == ("running", "running", "active")
    assert play.complete("a", "b").ready == ["z"]


def test_retrying_a_skipped_step_resets_what_was_skipped_because_of_it():
    play = Play(work("a"), work("b", "a"), work("c", "b"), work("k")).human(wf.SkipStep(step_id="a", reason="no"))
    assert (play.status("b"), play.status("c"), play.state.steps["c"].because) == ("skipped", "skipped", ("b",))
    play.human(wf.RetryStep(step_id="a"))
    assert play.statuses() == dict.fromkeys("abck", "pending")
    assert play.complete("a", "b", "c", "k").whole == "completed"


def test_what_completed_never_runs_again():
    play = Play(work("a"), work("b")).complete("a")
    assert refusal(TransitionRefused, play, wf.RetryStep(step_id="a"), ALICE).status == "completed"
    refusal(TransitionRefused, play, wf.SkipStep(step_id="a"), ALICE)
    refusal(TransitionRefused, play, wf.StartStep(step_id="a", task_id=an_id("again")))


# --- Skip and cancel of steps -----------------------------------------------------------------------------------------


def test_a_running_step_is_cancelled_before_it_is_skipped():
    play = Play(work("a"), work("b", "a", join=wf.Join.ALL_DONE)).start("a").human(wf.SkipStep(step_id="a", reason="x"))
    assert (play.status("a"), play.ready) == ("cancelling", [])
    play.cancelled("a")
    assert (play.status("a"), play.state.steps["a"].reason, play.ready) == ("skipped", "x", ["b"])


def test_a_human_does_not_skip_past_an_approval_not_even_inside_a_group():
    play = Play(together("p", ask("q"), work("a")), work("b"))
    for step_id in ("q", "p"):
        assert refusal(RuleViolated, play, wf.SkipStep(step_id=step_id), ALICE).rule == "approval_required"
    assert play.do(wf.SkipStep(step_id="q")).status("q") == "skipped"


def test_an_approval_waits_from_its_start_and_rejection_fails_it():
    play = Play(ask("q"), work("a", "q")).start("q")
    assert (play.status("q"), play.running) == ("awaiting_approval", ["q"])
    rejected = Failure(FailureReason.APPROVAL_REJECTED, "no")
    assert play.fail("q", failure=rejected).state.failure.reason is FailureReason.APPROVAL_REJECTED


# --- Cancel wins ------------------------------------------------------------------------------------------------------


def test_cancel_wins_over_joins_handlers_and_retries():
    steps = (
        work("a", handler=(work("h"),), retry=wf.StepRetry(attempts=3)),
        work("b", "a", join=wf.Join.ALL_DONE),
        together("p", work("m"), handler=(work("k"),)),
    )
    play = Play(*steps).start("a", "m").human(wf.CancelWorkflow())
    play.fail("a", failure=TRANSIENT).cancelled("m")
    assert play.whole == "cancelled"
    assert {step_id: status for step_id, status in play.statuses().items() if status != "cancelled"} == {}


def test_a_paused_workflow_can_be_cancelled_and_a_wait_is_cancelled_at_once():
    play = Play(wait("w", signal="x"), together("p", wait("v", seconds=9.0))).human(wf.PauseWorkflow())
    assert play.human(wf.CancelWorkflow()).whole == "cancelled"


def test_an_end_step_cancels_the_rest_and_ends_the_whole_as_it_says():
    play = Play(work("a"), work("b"), end("z", "a")).start("b").complete("a")
    assert (play.whole, play.todo(ActKind.CANCEL_BELOW)) == ("cancelling", ["b"])
    assert play.cancelled("b").whole == "completed"
    play = Play(end("z", status="failed"))
    assert (play.whole, play.state.lasting) == ("failed", True)
    assert refusal(RuleViolated, play, wf.CancelWorkflow(), ALICE).rule == "lasting"


def test_the_deadline_of_the_whole_cancels_what_runs_and_is_final():
    play = Play(work("a"), deadline=10.0).start("a").later(10)
    assert (play.whole, play.todo(ActKind.CANCEL_BELOW)) == ("cancelling", ["a"])
    play.cancelled("a")
    assert (play.whole, play.state.failure.reason, play.state.lasting) == ("failed", FailureReason.TIMEOUT, True)


def test_the_deadline_of_the_whole_stands_still_while_it_has_failed_and_resumes_with_a_retry():
    play = Play(work("a"), deadline=10.0).start("a").later(4).fail("a").later(100)
    assert (play.whole, play.state.deadline_at) == ("failed", None)
    play.human(wf.RetryStep(step_id="a"))
    assert (play.state.deadline_at - play.now).total_seconds() == 6
    assert play.later(6).whole == "failed"
    assert play.state.failure.reason is FailureReason.TIMEOUT


# --- Compensation -----------------------------------------------------------------------------------------------------


def undone(step_id, *dependencies, **fields):
    return work(step_id, *dependencies, compensation=command(f"undo-{step_id}"), **fields)


def test_compensations_run_one_by_one_from_the_last_completion_back_and_are_not_cancelled():
    play = Play(undone("a"), undone("b"), undone("c", "a"), together("p", undone("m")), work("z", "c"))
    play.complete("b", "a", "m", "c").start("z").human(wf.CancelWorkflow())
    assert (play.whole, play.todo(ActKind.CANCEL_BELOW)) == ("cancelling", ["z"])
    play.cancelled("z")
    order = []
    while play.whole == "compensating":
        (step_id,) = play.ready
        refusal(TransitionRefused, play, wf.CancelWorkflow(), ALICE)
        order.append(step_id)
        play.complete(step_id)
    assert (play.whole, order) == ("cancelled", ["undo-c", "undo-m", "undo-a", "undo-b"])


def test_a_failed_workflow_compensates_when_a_human_gives_up_or_at_once_if_it_says_so():
    play = Play(undone("a"), work("b", "a")).complete("a").fail("b")
    assert play.whole == "failed"
    assert play.human(wf.CancelWorkflow()).ready == ["undo-a"]
    play = Play(undone("a"), work("b", "a"), on_failure=wf.OnWorkflowFailure.COMPENSATE).complete("a").fail("b")
    assert (play.whole, play.ready) == ("compensating", ["undo-a"])
    play.complete("undo-a")
    assert (play.whole, play.state.lasting, play.state.failure.reason) == ("failed", True, FailureReason.CONFLICT)
    assert refusal(RuleViolated, play, wf.RetryStep(step_id="b"), ALICE).rule == "lasting"


def test_a_compensation_that_fails_is_named_and_the_rest_still_run():
    play = Play(undone("a"), undone("b"), work("z"))
    play.complete("a", "b").human(wf.CancelWorkflow()).fail("undo-b")
    assert (play.whole, play.ready) == ("compensating", ["undo-a"])
    play.complete("undo-a")
    assert play.whole == "failed"
    assert play.state.failure.message.startswith("compensation step undo-b failed")


def test_only_the_ends_that_the_definition_names_are_compensated():
    play = Play(undone("a"), work("z"), compensate_on=(wf.WorkflowStatus.FAILED,)).complete("a")
    assert play.human(wf.CancelWorkflow()).whole == "cancelled"


# --- Waits and signals ------------------------------------------------------------------------------------------------


def test_of_several_waits_for_a_signal_the_one_that_began_first_has_it():
    late = wait("late", "a", signal="go")
    play = Play(late, work("a"), work("b", handler=(wait("early", signal="go"),)))
    play.fail("b").later(1).complete("a")
    assert (play.status("early"), play.status("late")) == ("running", "running")
    play.human(wf.SendSignal(name="go", data=1))
    assert (play.status("early"), play.state.steps["early"].result, play.status("late")) == ("completed", 1, "running")
    play.human(wf.SendSignal(name="go", data=2))
    assert play.state.steps["late"].result == 2


def test_waits_that_begin_together_have_signals_in_the_order_of_the_definition():
    items = each("e", wait("w", signal="go"), concurrency=2)
    play = Play(items, wait("x", signal="go"))
    for number in range(2):
        play.human(wf.SendSignal(name="go", data=number))
    play.answer("e", (1, 2))
    assert play.statuses() == {"e": "running", "x": "completed", "e[0]/w": "completed", "e[1]/w": "running"}
    play = Play(together("p", work("a"), wait("b", "a", signal="go")), wait("c", "a2", signal="go"), work("a2"))
    play.complete("a", "a2").human(wf.SendSignal(name="go"))
    assert (play.status("b"), play.status("c")) == ("completed", "running")


def test_a_signal_that_comes_before_its_wait_is_kept_and_each_is_consumed_once():
    play = Play(work("a"), wait("w", "a", signal="go"), wait("v", "w", signal="go"))
    play.human(wf.SendSignal(name="go", data=1, key="k")).human(wf.SendSignal(name="go", data=2, key="k"))
    play.complete("a")
    assert (play.state.steps["w"].result, play.status("v"), play.state.signals) == (1, "running", ())
    play.human(wf.SendSignal(name="go"))
    assert (play.state.steps["v"].result, play.whole) == ({}, "completed")
    refusal(TransitionRefused, play, wf.SendSignal(name="go"), ALICE)


def test_a_wait_ends_at_its_moment_even_if_nothing_looked_for_long():
    play = Play(wait("w", seconds=60.0), wait("u", until="{{ x }}"))
    play.do(wf.StartStep(step_id="u", until=play.now.replace(year=2027)))
    assert play.later(3600).status("w") == "completed"
    assert wf.workflow_due(play.state) == NOW.replace(year=2027)


# --- for_each, locks, outputs -----------------------------------------------------------------------------------------


def test_at_most_as_many_items_run_as_permitted_and_an_empty_list_is_no_failure():
    play = Play(each("e", work("m"), concurrency=2)).answer("e", tuple(range(5)))
    started = []
    while play.whole == "active":
        assert len(play.ready) <= 2
        started += play.ready
        play.complete(play.ready[0])
    assert (len(set(started)), play.whole) == (5, "completed")
    assert Play(each("e", work("m"))).answer("e", ()).state.outputs == {"e": []}


def test_more_items_than_the_limit_fail_the_step():
    play = Play(each("e", work("m"), limit=2)).answer("e", (1, 2, 3))
    assert (play.whole, play.state.failure.reason) == ("failed", FailureReason.LIMIT_REACHED)


def test_a_lock_lets_one_step_run_at_a_time():
    play = Play(work("a", locks=("db",)), work("b", locks=("db",)), work("c"))
    assert play.ready == ["a", "c"]
    play.start("a")
    assert refusal(RuleViolated, play, wf.StartStep(step_id="b", task_id=ID)).rule == "locked"
    assert play.complete("a").ready == ["b", "c"]


def test_declared_outputs_are_asked_for_when_all_is_over():
    play = Play(work("a"), outputs={"x": "1"})
    refusal(RuleViolated, play, wf.CompleteWorkflow(outputs={}))
    assert play.complete("a").acts() == (Act(ActKind.EVALUATE, "", StepInquiry.OUTPUTS),)
    assert play.do(wf.CompleteWorkflow(outputs={"x": 1})).state.outputs == {"x": 1}


def test_an_expression_that_cannot_be_evaluated_fails_the_step():
    broken = Failure(FailureReason.EXPRESSION_ERROR, "no boolean")
    for step in (work("s", when="x"), choose("s", (work("k"),)), each("s", work("k"))):
        assert Play(step).do(wf.FailStep(step_id="s", failure=broken)).whole == "failed"
    error = refusal(RuleViolated, Play(together("p", work("a"))), wf.FailStep(step_id="p", failure=broken))
    assert error.rule == "step_type"


def test_the_past_of_a_fork_does_not_run_again():
    before = Play(work("a"), work("b", "a"), work("c", "b")).complete("a", "b")
    past = tuple(before.state.steps[name] for name in ("a",))
    play = Play(work("a"), work("b", "a"), work("c", "b"), past=past)
    assert (play.ready, play.state.current_step_index) == (["b"], 1)
    assert play.complete("b", "c").whole == "completed"


# --- Size -------------------------------------------------------------------------------------------------------------


def test_a_long_chain_is_skipped_in_one_append():
    steps = [work("s0"), *(work(f"s{n}", f"s{n - 1}") for n in range(1, 400))]
    play = Play(*steps).human(wf.SkipStep(step_id="s0"))
    assert (play.whole, len(play.events)) == ("completed", 402)


def test_a_thousand_items_take_a_thousand_commands_of_the_same_size():
    play = Play(each("e", work("m"), limit=1000)).answer("e", tuple(range(1000)))
    assert len(play.ready) == 1000
    play.complete("e[500]/m")
    assert len(play.ready) == 999
    assert play.human(wf.CancelWorkflow()).whole == "cancelled"
