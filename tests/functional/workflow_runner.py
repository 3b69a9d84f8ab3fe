"""A process with an engine that drives a workflow, and a human who answers it: ``python workflow_runner.py URL HOME APP``.

It starts the workflow unless it has been started, and ends when it has ended and no task of it is left to clear. It may
be killed at any moment and started again: what it does next follows from what is recorded.
"""

import sys

import anyio

from aura_contracts.errors import AggregateExists, CommandRefused
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import (
    WORKFLOW,
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    ForEachStep,
    OnStepFailure,
    ParallelStep,
    StartWorkflow,
    StepDefinition,
    StepRetry,
    WorkflowDefinition,
)
from aura_engine import open_engine
from aura_engine.facade.engine import Engine
from conditions import until

WORKFLOW_ID = WorkflowId("0192f0c1-2d3e-7abc-8def-0123456789ab")
ITEMS = 3


def step(name, config, *after, **more):
    return StepDefinition(id=name, config=config, dependencies=after, **more)


def marks(witness, text, **more):
    """Return a command that writes a line into the witness, slowly enough to be killed in the middle."""
    return CommandStep(run=f"echo {text} >> {witness}; sleep 0.05; echo '\"{text}\"'", **more)


def definition(app, witness) -> WorkflowDefinition:
    """Return a workflow with a side effect for each of its commands."""
    return WorkflowDefinition(
        name="kills",
        options={"repositories": [app]},
        steps=(
            step("begin", marks(witness, "begin", output={"type": "string"})),
            step(
                "both",
                ParallelStep(steps=(step("left", marks(witness, "left")), step("right", marks(witness, "right")))),
                "begin",
            ),
            step(
                "each",
                ForEachStep(items=f"range({ITEMS}) | list", steps=(step("one", marks(witness, "item-{{ item }}")),)),
                "begin",
            ),
            step("fails", CommandStep(run=f"echo failed >> {witness}; exit 3"), "begin", on_failure=OnStepFailure.CONTINUE),
            step("ask", ApprovalStep(question="Go on after {{ steps.begin.output }}?"), "both", "each"),
            step(
                "choose",
                ConditionalStep(
                    cases=(
                        Case(when="steps.ask.output.decision == 'approved'", steps=(step("yes", marks(witness, "yes")),)),
                    ),
                    otherwise=(step("no", marks(witness, "no")),),
                ),
                "ask",
            ),
            step("end", marks(witness, "end"), "choose", retry=StepRetry(attempts=2, pause=0.01)),
        ),
    )


async def is_done(engine: Engine) -> bool:
    """Answer what is asked; return whether the workflow and its tasks are over."""
    for asked in (await engine.approvals.list(pending=True, descending=False)).rows:
        try:
            await engine.approvals.approve(asked.id, "go on", by="alice")
        except CommandRefused as refused:  # it was answered a moment ago, by what this process was before
            sys.stdout.write(f"{refused}\n")
    workflow = await engine._core.bus.fetch(WORKFLOW, WORKFLOW_ID)
    return workflow is not None and workflow.ended and not (await engine.tasks.list(unfinished=True)).rows


async def work(url: str, home: str, app: str) -> None:
    async with open_engine(url, home=home, user="alice", drive_all=True) as engine:
        core = engine._core
        start = StartWorkflow(workflow_id=WORKFLOW_ID, definition=definition(app, f"{app}/../witness"))

        async def create() -> None:
            try:
                await core.bus.handle(core.user, WORKFLOW_ID, start)
            except AggregateExists:
                pass

        await core.begin_workflow(WORKFLOW_ID, create, await core.log.head())
        await until(lambda: is_done(engine), patience=600)


if __name__ == "__main__":
    anyio.run(work, *sys.argv[1:])
