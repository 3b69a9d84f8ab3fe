"""Random definitions with random outcomes and random commands: what every workflow promises, whatever happens.

`Play.do` holds each command against replay and the fixpoint; here are the promises over a whole life.
"""

import itertools
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts import workflow as wf
from aura_contracts.errors import CommandRefused
from aura_contracts.failures import Failure, FailureReason
from aura_engine.orchestration.acts import ActKind, StepInquiry
from workflow_play import Play, ask, choose, command, each, end, loop, together, wait, work

TRANSIENT = Failure(FailureReason.AGENT_ERROR, "once more")
FOR_GOOD = Failure(FailureReason.CONFLICT, "no")

JOINS = st.sampled_from(list(wf.Join))


@st.composite
def blocks(draw: Any, numbers: Any, depth: int, size: int = 4) -> tuple[wf.StepDefinition, ...]:
    made: list[wf.StepDefinition] = []
    for _ in range(draw(st.integers(1, size))):
        made.append(draw(steps(numbers, depth, [one.id for one in made])))
    return tuple(made)


@st.composite
def steps(draw: Any, numbers: Any, depth: int, before: list[str]) -> wf.StepDefinition:
    step_id = f"s{next(numbers)}"
    dependencies = tuple(draw(st.lists(st.sampled_from(before), unique=True, max_size=3))) if before else ()
    join = draw(JOINS) if dependencies else wf.Join.ALL_SUCCEEDED
    fields: dict[str, Any] = {
        "dependencies": dependencies,
        "join": join,
        "when": draw(st.sampled_from(["", "", "x"])),
        "on_failure": draw(st.sampled_from(list(wf.OnStepFailure))),
        "retry": draw(st.sampled_from([wf.StepRetry(), wf.StepRetry(attempts=2, pause=1.0)])),
        "timeout": draw(st.sampled_from([None, None, 5.0])),
        "locks": draw(st.sampled_from([(), (), ("l",)])),
    }
    if join in (wf.Join.N_OF, wf.Join.FIRST):
        fields["n"] = draw(st.integers(1, len(dependencies)))
    if draw(st.integers(0, 4)) == 0:
        fields["compensation"] = command(f"s{next(numbers)}")
    if depth and draw(st.integers(0, 5)) == 0:
        fields["handler"] = draw(blocks(numbers, depth - 1, 2))
    kind = draw(st.sampled_from([*"wwwac", *("pftl" * bool(depth)), "e", "t"]))
    return draw(containers(numbers, depth, kind, step_id, fields))


@st.composite
def containers(  # noqa: PLR0911 - a case for each type
    draw: Any, numbers: Any, depth: int, kind: str, step_id: str, fields: dict[str, Any]
) -> Any:
    dependencies = fields.pop("dependencies")
    join = draw(JOINS)
    members: dict[str, Any] = {"members": join, "dependencies": dependencies, **fields}
    match kind:
        case "a":
            return ask(step_id, *dependencies, **{name: fields[name] for name in fields if name != "timeout"})
        case "e" if draw(st.integers(0, 3)) == 0:
            return end(
                step_id, *dependencies, when=fields["when"], status=draw(st.sampled_from(["completed", "failed"]))
            )
        case "t":
            return wait(step_id, *dependencies, seconds=3.0, **fields)
        case "p":
            inner = draw(blocks(numbers, depth - 1, 3))
            if join in (wf.Join.N_OF, wf.Join.FIRST):
                members["of"] = draw(st.integers(1, len(inner)))
            return together(step_id, *inner, **members | {"locks": ()})
        case "f":
            if join in (wf.Join.N_OF, wf.Join.FIRST):
                members["of"] = draw(st.integers(1, 3))
            members["concurrency"] = draw(st.sampled_from([None, 1, 2]))
            return each(step_id, *draw(blocks(numbers, depth - 1, 2)), **members | {"locks": ()})
        case "l":
            inner = draw(blocks(numbers, depth - 1, 2))
            return loop(step_id, *inner, limit=2, dependencies=dependencies, **fields | {"locks": ()})
        case "c" if depth:
            cases = [draw(blocks(numbers, depth - 1, 2)) for _ in range(draw(st.integers(1, 2)))]
            otherwise = draw(blocks(numbers, depth - 1, 1)) if draw(st.booleans()) else ()
            made = {"otherwise": otherwise, "dependencies": dependencies, **fields, "locks": ()}
            return choose(step_id, *cases, **made)
        case _:
            return work(step_id, *dependencies, **fields)


@st.composite
def plays(draw: Any) -> Play:
    made = draw(blocks(itertools.count(), 2))
    deadline = draw(st.sampled_from([None, None, 20.0]))
    on_failure = draw(st.sampled_from(list(wf.OnWorkflowFailure)))
    return Play(*made, deadline=deadline, on_failure=on_failure)


def answer(draw: Any, play: Play, act: Any) -> None:
    match act.what:
        case StepInquiry.CASE:
            cases = wf.definition_of(play.state, act.step_id).config.cases
            play.evaluate(act, draw(st.integers(0, len(cases))))
        case StepInquiry.ITEMS:
            play.evaluate(act, tuple(range(draw(st.integers(0, 3)))))
        case _:
            play.evaluate(act, draw(st.booleans()))


def follow(draw: Any, play: Play, step_id: str) -> None:
    step = play.state.steps[step_id]
    asks = wf.definition_of(play.state, step_id).type is not wf.StepType.HUMAN_APPROVAL
    match draw(st.integers(0, 9)):
        case 0 | 1:
            play.fail(step_id, failure=FOR_GOOD)
        case 2:
            play.fail(step_id, failure=TRANSIENT)
        case 3 if asks and step.status is wf.StepStatus.RUNNING:
            play.do(wf.AwaitStepApproval(step_id=step_id, approval_id=play.state.id))
        case 4 if asks and step.status is wf.StepStatus.AWAITING_APPROVAL:
            play.do(wf.ResumeStep(step_id=step_id, approved=draw(st.booleans())))
        case _:
            play.complete(step_id)


def act_on(draw: Any, play: Play, act: Any) -> None:
    match act.kind:
        case ActKind.EVALUATE:
            if draw(st.integers(0, 9)) == 0 and act.what is not StepInquiry.OUTPUTS:
                play.do(wf.FailStep(step_id=act.step_id, failure=FOR_GOOD))
            else:
                answer(draw, play, act)
        case ActKind.START:
            play.start(act.step_id)
        case ActKind.FOLLOW:
            follow(draw, play, act.step_id)
        case ActKind.CANCEL_BELOW:
            play.complete(act.step_id) if draw(st.integers(0, 3)) == 0 else play.cancelled(act.step_id)
        case ActKind.ADVANCE:
            play.do(wf.AdvanceWorkflow())


def steer(draw: Any, play: Play) -> None:
    """Let a human do something, whether it is possible or not."""
    step_id = draw(st.sampled_from(sorted(play.state.steps)))
    commands = [
        wf.PauseWorkflow(),
        wf.ResumeWorkflow(),
        wf.RetryStep(step_id=step_id),
        wf.SkipStep(step_id=step_id),
        wf.CancelStep(step_id=step_id),
        wf.SendSignal(name="go"),
    ]
    if draw(st.integers(0, 9)) == 0:
        commands.append(wf.CancelWorkflow(reason="enough"))
    with suppress(CommandRefused):
        play.human(draw(st.sampled_from(commands)))


def completed(play: Play) -> dict[str, tuple[int, Any]]:
    return {one.id: (one.attempts, one.result) for one in play.state.steps.values() if one.status == "completed"}


def look(play: Play, before: dict[str, tuple[int, Any]], known: int) -> None:
    """Hold what has happened since `known` against the promises."""
    fresh = any(isinstance(one, wf.StepRetried) and one.fresh for one in play.events[known:])
    if not fresh:
        assert before.items() <= completed(play).items(), "what completed has changed or runs again"
    statuses = [one.status for one in play.state.steps.values()]
    if play.state.ended:
        assert not set(statuses) & wf.LIVE
        assert play.acts() == ()
    if play.state.status is wf.WorkflowStatus.CANCELLING:
        assert {act.kind for act in play.acts()} <= {ActKind.CANCEL_BELOW}
        assert play.acts(), "nothing is left that could end it"


@settings(max_examples=settings.default.max_examples // 2)
@given(data=st.data())
def test_any_workflow_reaches_an_end_whatever_happens(data):
    play = data.draw(plays())
    turns = 0
    while turns < 1000:
        turns += 1
        before, known = completed(play), len(play.events)
        if turns < 60 and data.draw(st.integers(0, 5)) == 0:
            steer(data.draw, play)
        elif todo := play.acts():
            act_on(data.draw, play, data.draw(st.sampled_from(todo)))
        elif (due := wf.workflow_due(play.state)) is not None:
            play.now = max(due, play.now)
            play.do(wf.AdvanceWorkflow())
        elif play.state.status is wf.WorkflowStatus.PAUSED:
            play.human(wf.ResumeWorkflow())
        else:
            break
        look(play, before, known)
    assert play.state.ended, f"{play.whole}: {play.statuses()} after {turns}, {play.acts()}"
    assert play.replayed() == play.state
