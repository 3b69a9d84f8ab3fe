"""Questions folded in one pass: the same as looking at every question for every event."""

import attrs
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.approval import Remember
from aura_contracts.entries import ToolFinished
from aura_contracts.execution import (
    Action,
    CallMade,
    CodingChangedNothing,
    CodingFinished,
    Outcome,
    PermissionAnswered,
    PermissionAsked,
    ProgressReported,
)
from aura_contracts.ids import ApprovalId, ExecutionId
from aura_engine.permissions.questions import PermissionQuestion, fold

EXECUTION = ExecutionId("0192f0c1-2d3e-7abc-8def-0123456789ab")
APPROVAL = ApprovalId("0192f0c1-2d3e-7abc-8def-0123456789ac")

tokens, requests, calls = st.sampled_from("ab"), st.sampled_from("12"), st.sampled_from(["", "x", "y"])

asked = st.builds(
    PermissionAsked,
    approval_id=st.just(APPROVAL),
    token=tokens,
    request_id=requests,
    tool=st.just("Bash"),
    fingerprint=st.just("f"),
    call_id=calls,
    session_id=st.none(),
    automatic=st.booleans(),
)
answered = st.builds(
    PermissionAnswered,
    approval_id=st.just(APPROVAL),
    token=tokens,
    request_id=requests,
    granted=st.booleans(),
    remember=st.sampled_from(Remember),
)
made = st.builds(CallMade, entry=st.builds(ToolFinished, call_id=calls))
ended = st.sampled_from([CodingFinished(outcome=Outcome(changed_files=1)), CodingChangedNothing()])
events = st.lists(asked | answered | made | ended | st.just(ProgressReported(message="half")), max_size=30)


def simply(happened):
    """Return the questions, each event looked at for each question."""
    questions = []
    for event in happened:
        if isinstance(event, CodingFinished | CodingChangedNothing):
            questions = [attrs.evolve(one, made=True) for one in questions]
        elif isinstance(event, PermissionAsked):
            questions.append(PermissionQuestion(execution_id=EXECUTION, asked=event))
        elif isinstance(event, Action):
            questions = [later(one, event) for one in questions]
    return questions


def later(one, event):
    if isinstance(event, PermissionAnswered):
        told = one.is_of(event.token, event.request_id)
        remembered = event.remember is not Remember.ONCE
        return attrs.evolve(one, answered=True, remembered=remembered) if told else one
    call_id = one.asked.call_id
    over = isinstance(event, CallMade) and event.entry.call_id == call_id if call_id else one.answered
    return attrs.evolve(one, made=one.made or over)


@given(events)
def test_folding_is_looking_at_every_question_for_every_event(happened):
    assert fold(EXECUTION, happened) == simply(happened)
