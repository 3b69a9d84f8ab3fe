"""What of a workflow stays in one that continues it from an earlier point, and what runs again."""

from datetime import UTC, datetime

import pytest

from aura_contracts.actors import human
from aura_contracts.errors import AggregateNotFound
from aura_contracts.events import Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import (
    WORKFLOW,
    Case,
    CommandStep,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    ParallelStep,
    StepChosen,
    StepCompensationBegun,
    StepCompleted,
    StepDefinition,
    StepExpanded,
    StepFailed,
    StepHandlerBegun,
    StepItemsBegun,
    StepRoundBegun,
    StepRoundEnded,
    StepSkipped,
    StepStarted,
    WorkflowCancelling,
    WorkflowCompensating,
    WorkflowDefinition,
    WorkflowStarted,
)
from aura_engine.orchestration.forks import past_of

NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ID = WorkflowId("0192f0c1-2d3e-7abc-8def-0123456789ab")
OTHER = WorkflowId("0192f0c1-2d3e-7abc-8def-0123456789ac")
FAILURE = Failure(FailureReason.TIMEOUT, "too long")


def step(name, *after, config=None, **fields):
    return StepDefinition(id=name, config=config or CommandStep(run="true"), dependencies=after, **fields)


def fold(steps, *events, past=(), id_=ID):
    started = WorkflowStarted(workflow_id=id_, definition=WorkflowDefinition(name="w", steps=tuple(steps)), past=past)
    return WORKFLOW.fold(Fact(event, NOW, human("alice"), "", "") for event in (started, *events))


def ran(*names):
    return [event for name in names for event in (StepStarted(step_id=name), StepCompleted(step_id=name, result=name))]


def forked(state, step_id=None):
    """Return the statuses of the steps of a fork, by address."""
    past = past_of(state, step_id)
    fork = fold(state.definition.steps, past=past, id_=OTHER)
    assert set(fork.steps) >= {one.id for one in state.definition.steps}
    assert all(one.parent is None or one.parent in fork.steps for one in fork.steps.values()), (
        "nothing hangs in the air"
    )
    return {address: str(one.status) for address, one in fork.steps.items()}


DIAMOND = (step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"), step("e"))


def test_a_step_runs_again_with_all_that_depends_on_it():
    state = fold(DIAMOND, *ran("a", "b", "c", "d", "e"))
    again = {"a": "completed", "b": "pending", "c": "completed", "d": "pending", "e": "completed"}
    assert forked(state, "b") == again
    kept = {one.id: one for one in past_of(state, "b")}
    assert (kept["c"].result, kept["c"].number) == ("c", 3)
    assert forked(state, "a") == dict.fromkeys("abcd", "pending") | {"e": "completed"}


def test_without_a_step_only_what_is_not_over_runs():
    failed = [StepStarted(step_id="b"), StepFailed(step_id="b", failure=FAILURE), StepStarted(step_id="c")]
    state = fold(DIAMOND, *ran("a", "e"), *failed)
    assert forked(state) == {"a": "completed", "b": "pending", "c": "pending", "d": "pending", "e": "completed"}


def test_a_skipped_step_stays_skipped_unless_it_comes_after():
    state = fold(DIAMOND, *ran("a"), StepSkipped(step_id="b", reason="not needed"), *ran("c", "e"))
    assert forked(state, "c")["b"] == "skipped"
    assert forked(state, "a")["b"] == "pending"


def test_a_container_around_it_runs_and_its_other_members_stay():
    whole = step("whole", config=ParallelStep(steps=(step("x"), step("y"), step("z", "y"))))
    state = fold(
        (whole, step("end", "whole")),
        StepStarted(step_id="whole"),
        *ran("x", "y", "z"),
        StepCompleted(step_id="whole"),
        *ran("end"),
    )
    assert forked(state, "y") == {"whole": "pending", "x": "completed", "end": "pending"}
    assert forked(state, "whole") == {"whole": "pending", "end": "pending"}
    assert forked(state, "end")["whole"] == "completed"


def test_a_loop_goes_back_to_the_round():
    loop = step("loop", config=LoopStep(steps=(step("work"), step("check", "work")), until="x", limit=3))
    events = [StepStarted(step_id="loop")]
    for number in (1, 2, 3):
        events += [StepRoundBegun(step_id="loop", round=number), *ran(f"loop[{number}]/work", f"loop[{number}]/check")]
        events += [StepRoundEnded(step_id="loop", done=number == 3)]
    state = fold((loop,), *events, StepCompleted(step_id="loop"))
    assert forked(state, "loop[2]/check") == {
        "loop": "pending",
        "loop[1]/work": "completed",
        "loop[1]/check": "completed",
        "loop[2]/work": "completed",
    }


def test_an_item_runs_again_and_the_others_stay():
    each = step("each", config=ForEachStep(items="inputs.names", steps=(step("work"), step("check", "work"))))
    state = fold(
        (each,),
        StepStarted(step_id="each"),
        StepExpanded(step_id="each", items=("x", "y")),
        StepItemsBegun(step_id="each", count=2),
        *ran(*(f"each[{n}]/{name}" for n in (0, 1) for name in ("work", "check"))),
        StepCompleted(step_id="each"),
    )
    found = forked(state, "each[1]/work")
    assert found == {
        "each": "pending",
        "each[0]/work": "completed",
        "each[0]/check": "completed",
    }
    (again,) = [one for one in past_of(state, "each[1]/work") if one.id == "each"]
    assert (again.items, again.begun) == (("x", "y"), 0), "the list is not evaluated again"


def test_a_choice_keeps_what_is_over_in_its_case():
    config = ConditionalStep(cases=(Case(when="x", steps=(step("one"), step("two", "one"))),))
    state = fold(
        (step("choice", config=config),),
        StepStarted(step_id="choice"),
        StepChosen(step_id="choice", outcome=0),
        *ran("one", "two"),
        StepCompleted(step_id="choice"),
    )
    assert forked(state, "two") == {"choice": "pending", "one": "completed"}


def test_a_handler_runs_again_with_what_it_handles():
    state = fold(
        (step("work", handler=(step("repair"), step("tell", "repair"))), step("end", "work")),
        StepStarted(step_id="work"),
        StepHandlerBegun(step_id="work", failure=FAILURE),
        *ran("repair", "tell"),
        StepCompleted(step_id="work", handled=True),
        *ran("end"),
    )
    assert forked(state, "work") == {"work": "pending", "end": "pending"}
    assert forked(state, "tell") == {"work": "pending", "end": "pending"}
    assert forked(state, "end")["repair"] == "completed"


def test_what_was_undone_runs_again():
    state = fold(
        (step("book", compensation=step("unbook")), step("pay", "book"), step("look")),
        *ran("book", "look"),
        StepStarted(step_id="pay"),
        StepFailed(step_id="pay", failure=FAILURE),
        WorkflowCancelling(),
        WorkflowCompensating(ends_as="cancelled"),
        StepCompensationBegun(step_id="book"),
        *ran("unbook"),
    )
    assert forked(state, "pay") == {"book": "pending", "pay": "pending", "look": "completed"}


def test_what_ran_when_it_was_left_runs_again():
    whole = step("whole", config=ParallelStep(steps=(step("x"), step("y"))))
    state = fold((whole,), StepStarted(step_id="whole"), *ran("x"), StepStarted(step_id="y"))
    assert forked(state) == {"whole": "pending", "x": "completed"}


def test_a_step_that_there_is_not_is_refused():
    with pytest.raises(AggregateNotFound, match=r"workflow step .*/nothing"):
        past_of(fold(DIAMOND), "nothing")
