"""Workflows played without a world: decisions and acts alone, with outcomes and a clock that tests choose.

Each command is held against what every workflow promises: replay gives the state that was decided, a settled state is
a fixpoint, and nothing runs in what has ended.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from aura_contracts import workflow as wf
from aura_contracts.actors import human, system
from aura_contracts.aggregate import Command
from aura_contracts.events import Fact
from aura_contracts.failures import Failure, FailureReason
from aura_engine.decisions import Context
from aura_engine.decisions.workflow import WORKFLOW_DECIDER
from aura_engine.decisions.workflow_settlement import settle
from aura_engine.orchestration.acts import Act, ActKind, StepInquiry, acts

ID = "0192f0c1-2d3e-7abc-8def-000000000001"
NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, ALICE = system("engine"), human("alice")
FAILURE = Failure(FailureReason.CONFLICT, "no")
ENDED = {wf.WorkflowStatus.COMPLETED, wf.WorkflowStatus.CANCELLED}


def an_id(*parts: object) -> str:
    return str(uuid5(NAMESPACE_URL, "/".join(map(str, parts))))


class Play:
    """A workflow from its start on."""

    def __init__(self, *steps: wf.StepDefinition, **fields: Any) -> None:
        self.now = NOW
        self.events: list[Any] = []
        self.facts: list[Fact] = []
        self.state: Any = None
        start = {name: fields.pop(name) for name in ("inputs", "past", "parent") if name in fields}
        definition = wf.WorkflowDefinition(name="play", steps=steps, **fields)
        self.do(wf.StartWorkflow(workflow_id=ID, definition=definition, **start), ALICE)

    def do(self, command: Command[Any], actor: str = ENGINE) -> "Play":
        """Give a command, and hold what comes of it against the promises."""
        before = self.state
        decision = WORKFLOW_DECIDER.decide(ID, before, command, Context(actor=actor, now=self.now))
        facts = [Fact(event, self.now, actor, "", "") for event in decision.events]
        stored = [
            Fact(msgspec.json.decode(msgspec.json.encode(one.event), type=type(one.event)), one.time, actor, "", "")
            for one in facts
        ]
        assert wf.WORKFLOW.fold(stored, before) == decision.state
        self.facts += stored
        self.events += decision.events
        self.state = decision.state
        more, _ = settle(self.state, self.now)
        assert list(more) == [], f"not settled: {more}"
        if self.state.status in ENDED:
            assert not [one for one in self.state.steps.values() if one.status in wf.LIVE or one.status == "pending"]
        return self

    def human(self, command: Command[Any]) -> "Play":
        return self.do(command, ALICE)

    def replayed(self) -> Any:
        return wf.WORKFLOW.fold(self.facts)

    # --- What a driver does -------------------------------------------------------------------------------------------

    def acts(self) -> tuple[Act, ...]:
        return acts(self.state, self.now)

    def todo(self, kind: ActKind) -> list[str]:
        return [act.step_id for act in self.acts() if act.kind is kind]

    @property
    def ready(self) -> list[str]:
        return self.todo(ActKind.START)

    @property
    def running(self) -> list[str]:
        return self.todo(ActKind.FOLLOW)

    def start(self, *step_ids: str) -> "Play":
        for step_id in step_ids:
            definition = wf.definition_of(self.state, step_id)
            subject = an_id(ID, step_id, self.state.steps[step_id].attempts + 1)
            name = {"human_approval": "approval_id", "workflow": "child_id"}.get(definition.type, "task_id")
            self.do(wf.StartStep(step_id=step_id, **{name: subject}))
        return self

    def complete(self, *step_ids: str, result: Any = None) -> "Play":
        """Complete steps, started before if they are not."""
        for step_id in step_ids:
            if self.status(step_id) == "pending":
                self.start(step_id)
            self.do(wf.CompleteStep(step_id=step_id, result={"of": step_id} if result is None else result))
        return self

    def fail(self, *step_ids: str, failure: Failure = FAILURE) -> "Play":
        for step_id in step_ids:
            if self.status(step_id) == "pending":
                self.start(step_id)
            self.do(wf.FailStep(step_id=step_id, failure=failure))
        return self

    def cancelled(self, *step_ids: str) -> "Play":
        """Report that what ran for steps has ended."""
        for step_id in step_ids:
            self.do(wf.ReportStepCancelled(step_id=step_id))
        return self

    def later(self, seconds: float) -> "Play":
        self.now += timedelta(seconds=seconds)
        return self.do(wf.AdvanceWorkflow())

    def evaluate(self, act: Act, answer: Any) -> "Play":
        """Report the value of an expression."""
        match act.what:
            case StepInquiry.WHEN:
                return self.do(wf.DecideStep(step_id=act.step_id, runs=answer))
            case StepInquiry.CASE:
                return self.do(wf.ChooseCase(step_id=act.step_id, outcome=answer))
            case StepInquiry.ITEMS:
                return self.do(wf.ExpandStep(step_id=act.step_id, items=answer))
            case StepInquiry.UNTIL:
                return self.do(wf.EndRound(step_id=act.step_id, done=answer))
            case _:
                return self.do(wf.CompleteWorkflow(outputs=answer))

    def answer(self, step_id: str, answer: Any) -> "Play":
        """Report the value of the expression that a step asks for."""
        act = next(act for act in self.acts() if act.kind is ActKind.EVALUATE and act.step_id == step_id)
        return self.evaluate(act, answer)

    # --- What there is to see -----------------------------------------------------------------------------------------

    def status(self, step_id: str) -> str:
        return str(wf.status_of(self.state, step_id))

    def statuses(self) -> dict[str, str]:
        return {step.id: str(step.status) for step in self.state.steps.values()}

    @property
    def whole(self) -> str:
        return str(self.state.status)

    def run(self, outcome: Callable[[str, int], Failure | None] = lambda _step_id, _attempt: None) -> "Play":
        """Do everything to the end with the given outcomes of work; expressions are true, the first, two items."""
        answers = {StepInquiry.WHEN: True, StepInquiry.CASE: 0, StepInquiry.ITEMS: (1, 2), StepInquiry.UNTIL: True}
        while todo := self.acts():
            act = todo[0]
            match act.kind:
                case ActKind.EVALUATE:
                    self.evaluate(act, answers.get(act.what, {}))
                case ActKind.START:
                    self.start(act.step_id)
                case ActKind.FOLLOW:
                    failure = outcome(act.step_id, self.state.steps[act.step_id].attempts)
                    self.fail(act.step_id, failure=failure) if failure else self.complete(act.step_id)
                case ActKind.CANCEL_BELOW:
                    self.cancelled(act.step_id)
                case ActKind.ADVANCE:
                    self.do(wf.AdvanceWorkflow())
        return self


# --- Definitions ------------------------------------------------------------------------------------------------------


def work(step_id: str, *dependencies: str, **fields: Any) -> wf.StepDefinition:
    config = wf.AgentTaskStep(task_template="do it")
    return wf.StepDefinition(id=step_id, config=config, dependencies=dependencies, **fields)


def command(step_id: str, *dependencies: str, **fields: Any) -> wf.StepDefinition:
    return wf.StepDefinition(id=step_id, config=wf.CommandStep(run="true"), dependencies=dependencies, **fields)


def ask(step_id: str, *dependencies: str, **fields: Any) -> wf.StepDefinition:
    return wf.StepDefinition(id=step_id, config=wf.ApprovalStep(question="?"), dependencies=dependencies, **fields)


def together(
    step_id: str, *steps: wf.StepDefinition, members: Any = "all_succeeded", **fields: Any
) -> wf.StepDefinition:
    count = fields.pop("of", None)
    return wf.StepDefinition(id=step_id, config=wf.ParallelStep(steps=steps, join=wf.Join(members), n=count), **fields)


def each(step_id: str, *steps: wf.StepDefinition, members: Any = "all_succeeded", **fields: Any) -> wf.StepDefinition:
    names = {name: fields.pop(name) for name in ("limit", "concurrency") if name in fields}
    count = fields.pop("of", None)
    config = wf.ForEachStep(items="x", steps=steps, join=wf.Join(members), n=count, **names)
    return wf.StepDefinition(id=step_id, config=config, **fields)


def choose(
    step_id: str, *cases: tuple[wf.StepDefinition, ...], otherwise: Any = (), **fields: Any
) -> wf.StepDefinition:
    made = tuple(wf.Case(when="x", steps=case) for case in cases)
    return wf.StepDefinition(id=step_id, config=wf.ConditionalStep(cases=made, otherwise=otherwise), **fields)


def loop(step_id: str, *steps: wf.StepDefinition, limit: int = 3, **fields: Any) -> wf.StepDefinition:
    return wf.StepDefinition(id=step_id, config=wf.LoopStep(steps=steps, until="x", limit=limit), **fields)


def wait(
    step_id: str, *dependencies: str, seconds: float | None = None, signal: str = "", until: str = "", **fields: Any
) -> Any:
    config = wf.WaitStep(seconds=seconds, signal=signal, until=until)
    return wf.StepDefinition(id=step_id, config=config, dependencies=dependencies, **fields)


def end(step_id: str, *dependencies: str, status: str = "completed", **fields: Any) -> wf.StepDefinition:
    config = wf.EndStep(status=wf.WorkflowStatus(status))
    return wf.StepDefinition(id=step_id, config=config, dependencies=dependencies, **fields)
