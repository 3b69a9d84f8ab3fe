"""Random definitions with random outcomes and random commands: what every workflow promises, whatever happens.

`Play.do` holds each command against replay and the fixpoint; here are the promises over a whole life.
"""

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

TWICE = wf.StepRetry(attempts=2, pause=1.0)

JOINS = st.sampled_from(wf.Join)
TOLERANCES = st.sampled_from(wf.OnStepFailure)
CONCURRENCIES = st.sampled_from([None, 1, 2])
ENDS = st.sampled_from([wf.WorkflowStatus.COMPLETED, wf.WorkflowStatus.FAILED])


MOST_STEPS = 12


class _Writer:
    """Draws the steps of one definition; `left` bounds their number.

    Its methods draw in place: a strategy of its own for each block, made anew for each example, costs a second.
    """

    def __init__(self, draw: Any) -> None:
        self.draw, self.left, self.count = draw, MOST_STEPS, 0

    def name(self) -> str:
        self.count += 1
        return f"s{self.count}"

    def chance(self, of: int) -> bool:
        """Seldom True; False is simpler."""
        return self.draw(st.integers(0, of - 1)) == of - 1

    def block(self, depth: int, size: int = 4) -> tuple[wf.StepDefinition, ...]:
        made: list[wf.StepDefinition] = []
        for _ in range(self.draw(st.integers(1, max(1, min(size, self.left))))):
            made.append(self.step(depth, [one.id for one in made]))
        return tuple(made)

    def step(self, depth: int, before: list[str]) -> wf.StepDefinition:
        self.left -= 1
        step_id = self.name()
        dependencies = [one for one in before if self.chance(3)]
        join = self.draw(JOINS) if dependencies else wf.Join.ALL_SUCCEEDED
        fields: dict[str, Any] = {
            "join": join,
            "when": "x" if self.chance(3) else "",
            "on_failure": self.draw(TOLERANCES),
            "retry": TWICE if self.chance(2) else wf.StepRetry(),
            "timeout": 5.0 if self.chance(3) else None,
            "locks": ("l",) if self.chance(3) else (),
        }
        if join in (wf.Join.N_OF, wf.Join.FIRST):
            fields["n"] = self.draw(st.integers(1, len(dependencies)))
        if self.chance(5):
            fields["compensation"] = command(self.name())
        inside = depth > 0 and self.left > 0
        if inside and self.chance(6):
            fields["handler"] = self.block(depth - 1, 2)
        kind = self.draw(st.sampled_from("wwwaetcpftl" if inside else "wwwaet"))
        return self.of_kind(kind, depth - 1, step_id, fields | {"dependencies": tuple(dependencies)})

    def of_kind(self, kind: str, depth: int, step_id: str, fields: dict[str, Any]) -> wf.StepDefinition:  # noqa: PLR0911 - a case for each type
        dependencies = fields.pop("dependencies")
        around: dict[str, Any] = {**fields, "dependencies": dependencies, "locks": ()}
        match kind:
            case "a":
                return ask(step_id, *dependencies, **{name: fields[name] for name in fields if name != "timeout"})
            case "e" if self.chance(4):
                return end(step_id, *dependencies, when=fields["when"], status=self.draw(ENDS))
            case "t":
                return wait(step_id, *dependencies, seconds=3.0, **fields)
            case "p":
                inner = self.block(depth, 3)
                return together(step_id, *inner, **around | self.members(len(inner)))
            case "f":
                concurrency = self.draw(CONCURRENCIES)
                return each(step_id, *self.block(depth, 2), concurrency=concurrency, **around | self.members(3))
            case "l":
                return loop(step_id, *self.block(depth, 2), limit=2, **around)
            case "c":
                cases = [self.block(depth, 2) for _ in range(self.draw(st.integers(1, 2)))]
                return choose(step_id, *cases, otherwise=self.block(depth, 1) if self.chance(2) else (), **around)
            case _:
                return work(step_id, *dependencies, **fields)

    def members(self, size: int) -> dict[str, Any]:
        """Draw when a container of so many is completed."""
        join = self.draw(JOINS)
        counted = join in (wf.Join.N_OF, wf.Join.FIRST)
        return {"members": join, "of": self.draw(st.integers(1, size)) if counted else None}


@st.composite
def plays(draw: Any) -> Play:
    writer = _Writer(draw)
    steps = writer.block(2)
    deadline = 20.0 if writer.chance(3) else None
    return Play(*steps, deadline=deadline, on_failure=draw(st.sampled_from(wf.OnWorkflowFailure)))


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
