"""How far a workflow is, and what it waits for."""

from datetime import UTC, datetime

import pytest

from aura_contracts.actors import human
from aura_contracts.events import Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ApprovalId, WorkflowId
from aura_contracts.workflow import (
    WORKFLOW,
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    LoopStep,
    OnStepFailure,
    StepAwaitingApproval,
    StepChosen,
    StepCompleted,
    StepDefinition,
    StepFailed,
    StepRoundBegun,
    StepSkipped,
    StepStarted,
    WaitStep,
    WorkflowDefinition,
    WorkflowStarted,
    awaiting_of,
    progress_of,
)

NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ID = WorkflowId("0192f0c1-2d3e-7abc-8def-0123456789ab")


def step(name, config=None, **fields):
    return StepDefinition(id=name, config=config or CommandStep(run="true"), **fields)


def after(steps, *events):
    started = WorkflowStarted(workflow_id=ID, definition=WorkflowDefinition(name="w", steps=tuple(steps)))
    return WORKFLOW.fold(Fact(event, NOW, human("alice"), "", "") for event in (started, *events))


def ran(name):
    return StepStarted(step_id=name), StepCompleted(step_id=name)


CHOICE = ConditionalStep(cases=(Case(when="x", steps=(step("one"),)),), otherwise=(step("other"), step("more")))


def test_steps_that_are_over_count_once_each():
    steps = [step("a", handler=(step("repair"),), compensation=step("undo")), step("b"), step("c")]
    assert progress_of(after(steps)) == (0, 3)
    assert progress_of(after(steps, *ran("a"), StepSkipped(step_id="b"))) == (2, 3)
    assert str(progress_of(after(steps, *ran("a"), StepStarted(step_id="b")))) == "1 of 3"


@pytest.mark.parametrize(("tolerated", "over"), [(OnStepFailure.CONTINUE, 1), (OnStepFailure.FAIL, 0)])
def test_a_failure_counts_if_it_is_tolerated(tolerated, over):
    failed = StepFailed(step_id="a", failure=Failure(FailureReason.TIMEOUT, "too long"))
    assert progress_of(after([step("a", on_failure=tolerated)], StepStarted(step_id="a"), failed)) == (over, 1)


def test_branches_that_were_not_chosen_are_over_with_the_choice():
    chosen = (StepStarted(step_id="choice"), StepChosen(step_id="choice", outcome=0))
    assert progress_of(after([step("choice", CHOICE)])) == (0, 4)
    assert progress_of(after([step("choice", CHOICE)], *chosen, *ran("one"))) == (1, 4)
    assert progress_of(after([step("choice", CHOICE)], *chosen, *ran("one"), StepCompleted(step_id="choice"))) == (4, 4)


def test_another_round_begins_the_steps_of_a_loop_again():
    steps = [step("again", LoopStep(steps=(step("work"), step("check")), until="x", limit=3))]
    first = (StepStarted(step_id="again"), StepRoundBegun(step_id="again", round=1))
    first += (*ran("again[1]/work"), *ran("again[1]/check"))
    assert progress_of(after(steps, *first)) == (2, 3)
    assert progress_of(after(steps, *first, StepRoundBegun(step_id="again", round=2))) == (0, 3)


def test_it_waits_for_humans_moments_and_signals():
    steps = [step("ask", ApprovalStep(question="?")), step("hear", WaitStep(signal="go")), step("work"), step("later")]
    asked = StepAwaitingApproval(step_id="ask", approval_id=ApprovalId(ID))
    events = (StepStarted(step_id="ask"), asked, StepStarted(step_id="hear"), StepStarted(step_id="work"))
    assert awaiting_of(after(steps, *events)) == ("ask", "hear")
    assert awaiting_of(after(steps, *events, StepCompleted(step_id="hear"))) == ("ask",)
