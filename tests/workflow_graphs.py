"""Random workflows, small and shrinkable, and what the world answers to them.

The answers are written per step of the definition, as lists; which element is meant depends on the attempt and on the
items and rounds of the address alone, so that the same question has the same answer in whatever order things happen.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from aura_contracts.failures import FailureReason
from aura_contracts.workflow import values as v
from aura_contracts.workflow.values import Join, StepDefinition, StepRetry, WorkflowDefinition, WorkflowStatus

OK, AGAIN, FINAL = None, FailureReason.AGENT_ERROR, FailureReason.REFUSED
RETRY_ON = (FailureReason.AGENT_ERROR, FailureReason.TIMEOUT)
MOST_STEPS = 10
WORK = v.AgentTaskStep | v.CommandStep | v.SubWorkflowStep


@dataclass
class Outcomes:
    """What the world answers, by the id of a step's definition; what is missing goes well."""

    answers: dict[str, list[Any]] = field(default_factory=dict)

    def _answer(self, kind: str, address: str, number: int, default: Any) -> Any:
        name = address.rpartition("/")[2]
        answers = self.answers.get(f"{kind} {name}") or [default]
        position = number + sum(map(int, re.findall(r"\[(\d+)\]", address)))
        return answers[position % len(answers)]

    def work(self, address: str, attempt: int) -> FailureReason | None:
        """Return why an attempt fails; None if it completes."""
        return self._answer("work", address, attempt - 1, OK)

    def output(self, address: str, attempt: int) -> Any:
        return {"text": f"{address} {attempt}"}

    def when(self, address: str) -> bool:
        return self._answer("when", address, 0, True)

    def case(self, address: str) -> int | None:
        """Return the number of the first case that is true."""
        return self._answer("case", address, 0, 0)

    def items(self, address: str) -> list[Any]:
        return list(range(self._answer("items", address, 0, 2)))

    def until(self, address: str, rounds: int) -> bool:
        return self._answer("until", address, rounds - 1, True)


@dataclass(frozen=True)
class Story:
    definition: WorkflowDefinition
    outcomes: Outcomes


class _Writer:
    """Draws the steps of one workflow; `left` bounds their number."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.left, self.count, self.answers = draw, MOST_STEPS, 0, {}

    def name(self) -> str:
        self.count += 1
        return f"s{self.count}"

    def choose(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def chance(self, of: int) -> bool:
        """Seldom True; False is simpler."""
        return self.draw(st.integers(0, of - 1)) == of - 1

    def block(self, depth: int, most: int = 4, least: int = 1) -> tuple[StepDefinition, ...]:
        steps: list[StepDefinition] = []
        for _ in range(self.draw(st.integers(least, max(least, min(most, self.left))))):
            steps.append(self.step(depth, [step.id for step in steps]))
        return tuple(steps)

    def step(self, depth: int, before: list[str]) -> StepDefinition:
        self.left -= 1
        name = self.name()
        dependencies = self.draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        join, n = self.join(len(dependencies)) if dependencies else (Join.ALL_SUCCEEDED, None)
        config = self.config(name, depth)
        if isinstance(config, v.EndStep):
            return StepDefinition(id=name, config=config, dependencies=tuple(dependencies), join=join, n=n)
        return StepDefinition(
            id=name,
            config=config,
            dependencies=tuple(dependencies),
            join=join,
            n=n,
            when=self.when(name),
            retry=StepRetry(attempts=2, pause=self.choose(5.0, 0.5), on=RETRY_ON) if self.chance(4) else StepRetry(),
            timeout=7.0 if isinstance(config, v.AgentTaskStep | v.CommandStep) and self.chance(5) else None,
            on_failure=v.OnStepFailure.CONTINUE if self.chance(5) else v.OnStepFailure.FAIL,
            handler=self.block(depth + 1, 2) if self.left > 0 and self.chance(8) else (),
            compensation=self.compensation() if self.chance(4) else None,
            locks=(self.choose("db", "net"),) if isinstance(config, WORK) and self.chance(5) else (),
        )

    def join(self, members: int) -> tuple[Join, int | None]:
        join = self.draw(st.sampled_from(Join))
        counted = join in (Join.N_OF, Join.FIRST)
        return join, self.draw(st.integers(1, members)) if counted else None

    def when(self, name: str) -> str:
        if not self.chance(5):
            return ""
        self.answers[f"when {name}"] = self.draw(st.lists(st.booleans(), min_size=1, max_size=2))
        return "inputs.go"

    def work(self, name: str) -> None:
        if self.chance(3):
            outcomes = st.lists(st.sampled_from([OK, AGAIN, FINAL]), min_size=1, max_size=3)
            self.answers[f"work {name}"] = self.draw(outcomes)

    def config(self, name: str, depth: int) -> Any:
        kinds = ["command", "agent_task", "human_approval", "wait", "workflow", "end"]
        if depth < 3 and self.left > 0:
            kinds += ["parallel", "conditional", "for_each", "loop"] * 2
        kind = self.draw(st.sampled_from(kinds))
        if kind == "end" and not self.chance(2):
            kind = "command"
        return getattr(self, kind)(name, depth)

    def command(self, name: str, _depth: int) -> v.CommandStep:
        self.work(name)
        return v.CommandStep(run="true")

    def agent_task(self, name: str, _depth: int) -> v.AgentTaskStep:
        self.work(name)
        return v.AgentTaskStep(task_template="Do it.")

    def workflow(self, name: str, _depth: int) -> v.SubWorkflowStep:
        self.work(name)
        return v.SubWorkflowStep(workflow="other")

    def human_approval(self, name: str, _depth: int) -> v.ApprovalStep:
        if self.chance(3):
            self.answers[f"work {name}"] = [FailureReason.APPROVAL_REJECTED]
        return v.ApprovalStep(question="Good?")

    def wait(self, _name: str, _depth: int) -> v.WaitStep:
        """Draw a wait; several wait for one signal."""
        if self.chance(2):
            return v.WaitStep(seconds=self.choose(3.0, 11.0))
        return v.WaitStep(signal=self.choose("go", "stop"))

    def end(self, _name: str, _depth: int) -> v.EndStep:
        return v.EndStep(status=self.choose(WorkflowStatus.COMPLETED, WorkflowStatus.FAILED))

    def parallel(self, _name: str, depth: int) -> v.ParallelStep:
        steps = self.block(depth + 1, least=2)
        join, n = self.join(len(steps))
        return v.ParallelStep(steps=steps, join=join, n=n)

    def conditional(self, name: str, depth: int) -> v.ConditionalStep:
        cases = tuple(v.Case(when="inputs.go", steps=self.block(depth + 1, 2)) for _ in range(self.choose(1, 2)))
        otherwise = self.block(depth + 1, 2) if self.chance(2) else ()
        numbers = st.sampled_from([*range(len(cases)), None])
        self.answers[f"case {name}"] = self.draw(st.lists(numbers, min_size=1, max_size=2))
        return v.ConditionalStep(cases=cases, otherwise=otherwise)

    def for_each(self, name: str, depth: int) -> v.ForEachStep:
        steps = self.block(depth + 1, 2)
        join, n = self.join(2)
        self.answers[f"items {name}"] = self.draw(st.lists(st.integers(0, 3), min_size=1, max_size=2))
        concurrency = self.choose(None, 1, 2)
        return v.ForEachStep(
            items="inputs.list", steps=steps, join=join, n=n, concurrency=concurrency, limit=2 + self.choose(1, 0)
        )

    def loop(self, name: str, depth: int) -> v.LoopStep:
        steps = self.block(depth + 1, 2)
        self.answers[f"until {name}"] = self.draw(st.lists(st.booleans(), min_size=1, max_size=3))
        return v.LoopStep(steps=steps, until="inputs.go", limit=self.choose(2, 1))

    def compensation(self) -> StepDefinition:
        name = self.name()
        self.work(name)
        retry = StepRetry(attempts=2, pause=5.0, on=RETRY_ON) if self.chance(3) else StepRetry()
        return StepDefinition(id=name, config=v.CommandStep(run="true"), retry=retry)


@st.composite
def stories(draw: Any) -> Story:
    """Return a workflow with the answers of its world."""
    writer = _Writer(draw)
    steps = writer.block(0, most=5, least=2)
    definition = WorkflowDefinition(
        name="random",
        steps=steps,
        deadline=40.0 if writer.chance(10) else None,
        on_failure=writer.choose(v.OnWorkflowFailure.ASK, v.OnWorkflowFailure.COMPENSATE),
        compensate_on=writer.choose(
            (WorkflowStatus.FAILED, WorkflowStatus.CANCELLED), (WorkflowStatus.FAILED,), (WorkflowStatus.CANCELLED,)
        ),
    )
    return Story(definition, Outcomes(writer.answers))
