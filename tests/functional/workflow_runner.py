"""A process with an engine that drives a workflow, and a human who answers it: ``workflow_runner.py URL HOME APP``.

It starts the workflow unless it has been started, and ends when it has ended and no task of it is left to clear. It may
be killed at any moment and started again: what it does next follows from what is recorded.
"""

import sys

import anyio

from aura_contracts.approval import Approval
from aura_contracts.errors import CommandRefused
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import (
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    OnStepFailure,
    OnWorkflowFailure,
    ParallelStep,
    StepDefinition,
    StepRecovery,
    StepRetry,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
)
from aura_engine import open_engine
from aura_engine.facade.engine import Engine
from aura_engine.facade.workflow_start import workflow_of_key
from conditions import until

KEY = "kills"
WORKFLOW_ID: WorkflowId = workflow_of_key(KEY)
ITEMS = 3
TOLERATED = OnStepFailure.CONTINUE

EFFECTS = frozenset(
    {
        *("begin", "left", "one", "two", "three", "right", "failed", "corrected", "yes", "end"),
        *("item-0", "item-1", "item-2", "even-0", "odd-1", "even-2", "try-1", "try-2"),
        *("book", "pay", "ship", "refund", "unbook"),
    }
)
"""What the steps leave outside of AURA, each once."""


def step(name: str, config: object, *after: str, **more: object) -> StepDefinition:
    return StepDefinition(id=name, config=config, dependencies=after, **more)


class Steps:
    """The steps of both workflows. Each command writes a line into the witness."""

    def __init__(self, witness: str) -> None:
        self._witness = witness

    def marks(self, text: str, **more: object) -> CommandStep:
        """Return a command that takes long enough to be killed in the middle."""
        return CommandStep(run=f"echo {text} >> {self._witness}; sleep 0.05; echo '\"{text}\"'", **more)

    def fails(self, text: str) -> CommandStep:
        return CommandStep(run=f"echo {text} >> {self._witness}; exit 3")

    def one(self, name: str, *after: str, mark: str = "", **more: object) -> StepDefinition:
        return step(name, self.marks(mark or name), *after, **more)

    def delivery(self) -> tuple[StepDefinition, ...]:
        """Two steps that can be undone, and one that fails: both are undone, the later one first."""
        return (
            self.one("book", compensation=self.one("unbook")),
            self.one("pay", "book", compensation=self.one("refund")),
            step("ship", self.fails("ship"), "pay"),
        )

    def whole(self) -> tuple[StepDefinition, ...]:
        inner = ParallelStep(steps=(self.one("two"), self.one("three")))
        deep = ParallelStep(steps=(self.one("one"), step("inner", inner)))
        both = ParallelStep(steps=(self.one("left"), step("deep", deep), self.one("right")))
        odd = Case(when="item % 2 == 1", steps=(self.one("odd", mark="odd-{{ item }}"),))
        parity = ConditionalStep(cases=(odd,), otherwise=(self.one("even", mark="even-{{ item }}"),))
        each = ForEachStep(
            items=f"range({ITEMS}) | list",
            steps=(self.one("item", mark="item-{{ item }}"), step("parity", parity, "item")),
            concurrency=2,
        )
        correction = (self.one("corrected"), step("again", ApprovalStep(question="And now?"), "corrected"))
        yes = Case(when="steps.begin.output == 'begin'", steps=(self.one("yes"),))
        choose = ConditionalStep(cases=(yes,), otherwise=(self.one("no"),))
        attempts = LoopStep(until="round >= 2", limit=3, steps=(self.one("try", mark="try-{{ round }}"),))
        return (
            step("begin", self.marks("begin", output={"type": "string"}, recovery=StepRecovery.RERUN)),
            step("both", both, "begin"),
            step("each", each, "begin"),
            step("fails", self.fails("failed"), "begin", on_failure=TOLERATED),
            step(
                "ask", ApprovalStep(question="Good after {{ steps.begin.output }}?"), "both", "each", handler=correction
            ),
            step("choose", choose, "ask"),
            step("attempts", attempts, "ask"),
            step("hear", WaitStep(signal="go"), "begin"),
            step("rest", WaitStep(seconds=0.05), "hear"),
            step("deliver", SubWorkflowStep(workflow="delivery"), "ask", on_failure=TOLERATED),
            step("join", ParallelStep(steps=(step("short", WaitStep(seconds=0.01)),)), "choose", "attempts", "rest"),
            self.one("end", "join", retry=StepRetry(attempts=2, pause=0.01)),
        )


def definitions(app: str, witness: str) -> tuple[WorkflowDefinition, WorkflowDefinition]:
    """Return a workflow, and one that is a step of it: 34 steps with a side effect for each of the commands."""
    steps, options = Steps(witness), {"repositories": [app]}
    delivery = WorkflowDefinition(
        name="delivery", options=options, steps=steps.delivery(), on_failure=OnWorkflowFailure.COMPENSATE
    )
    return WorkflowDefinition(name="kills", options=options, steps=steps.whole()), delivery


async def answer(engine: Engine, asked: Approval) -> None:
    """Reject the first proposal, and approve the corrected one."""
    try:
        if (asked.proposed_solution or "").startswith("Good"):
            await engine.approvals.reject(asked.id, "not yet", by="alice")
        else:
            await engine.approvals.approve(asked.id, "go on", by="alice")
    except CommandRefused as refused:  # it was answered a moment ago, by what this process was before
        sys.stdout.write(f"{refused}\n")


async def is_done(engine: Engine) -> bool:
    """Answer what is asked; return whether the workflow and its tasks are over."""
    for asked in (await engine.approvals.list(pending=True, descending=False)).rows:
        await answer(engine, asked)
    workflow = await engine.workflows.get(WORKFLOW_ID)
    return workflow.ended and not (await engine.tasks.list(unfinished=True)).rows


async def work(url: str, home: str, app: str) -> None:
    whole, delivery = definitions(app, f"{app}/../witness")
    async with open_engine(url, home=home, user="alice", drive_all=True) as engine:
        await engine.workflows.create(delivery)
        run = await engine.workflows.start(whole, key=KEY)
        if not (await run.state()).ended:
            await engine.workflows.signal(run.id, "go", key="go")
        await until(lambda: is_done(engine), patience=600)


if __name__ == "__main__":
    anyio.run(work, *sys.argv[1:])
