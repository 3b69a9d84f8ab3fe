"""Workflows to draw: definitions of every shape, random ones, and states for their steps."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from aura_contracts.actors import human
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    EndStep,
    ForEachStep,
    Join,
    LoopStep,
    ParallelStep,
    StepConfig,
    StepDefinition,
    StepStatus,
    SubWorkflowStep,
    WaitStep,
    Workflow,
    WorkflowDefinition,
    WorkflowStatus,
    WorkflowStep,
)

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
WORKFLOW_ID = WorkflowId("0192f0c1-2d3e-7abc-8def-000000000001")


def step(name: str, *after: str, config: StepConfig | None = None, **fields) -> StepDefinition:
    """Return a step, a command unless `config` says otherwise, that depends on the steps in `after`."""
    return StepDefinition(id=name, config=config or CommandStep(run="true"), dependencies=after, **fields)


def definition(*steps: StepDefinition, name: str = "release", **fields) -> WorkflowDefinition:
    return WorkflowDefinition(name=name, steps=steps, **fields)


def workflow(
    of: WorkflowDefinition, *steps: WorkflowStep, status: WorkflowStatus = WorkflowStatus.ACTIVE, **fields
) -> Workflow:
    """Return the state of a workflow with these steps."""
    made = {"id": WORKFLOW_ID, "created_by": human("ann"), "created_at": START, **fields}
    return Workflow(status=status, definition=of, steps={one.id: one for one in steps}, **made)


FEATURE = definition(
    step("plan", config=AgentTaskStep(task_template="Plan it"), title="Plan the feature"),
    step("approve", "plan", config=ApprovalStep(question="Good?", reviewers=("alice", "bob"))),
    step(
        "implement",
        "approve",
        config=ParallelStep(steps=(step("backend"), step("frontend"), step("migrate", "backend"))),
        handler=(step("repair"), step("verify", "repair")),
    ),
    step(
        "kind",
        "implement",
        config=ConditionalStep(
            cases=(
                Case(when="inputs.public", steps=(step("docs"), step("announce", "docs"))),
                Case(when="inputs.size > 3", steps=(step("split"),)),
            ),
            otherwise=(step("note"),),
        ),
    ),
    step(
        "each",
        "implement",
        config=ForEachStep(items="steps.plan.output.files", steps=(step("lint"), step("test", "lint")), concurrency=2),
    ),
    step("rework", "each", config=LoopStep(steps=(step("review"), step("fix", "review")), until="ok", limit=5)),
    step("deploy", "rework", "kind", "plan", join=Join.ANY_SUCCEEDED, compensation=step("rollback")),
    step("quiet", "deploy", config=WaitStep(seconds=3600)),
    step("publish", "quiet", config=SubWorkflowStep(workflow="publish@3")),
    step("stop", "quiet", config=EndStep(), when="inputs.stop"),
    name="build-feature",
)
"""One of each type, as people write them."""


def fan(count: int) -> WorkflowDefinition:
    """Return a start, many steps after it, and an end after all of them."""
    shards = [f"shard-{number}" for number in range(count - 2)]
    inner = (step(name, "start") for name in shards)
    return definition(step("start"), *inner, step("merge", *shards, join=Join.ALL_DONE), name="fan")


def stages(depth: int, width: int) -> WorkflowDefinition:
    """Return stages of steps that wait for every step of the stage before."""
    return definition(
        *(
            step(f"s{row}-{place}", *(f"s{row - 1}-{other}" for other in range(width) if row))
            for row in range(depth)
            for place in range(width)
        ),
        name="stages",
    )


def full(count: int, join: Join = Join.ALL_DONE) -> WorkflowDefinition:
    """Return steps of which each waits for all before it."""
    names = [f"s{number}" for number in range(count)]
    return definition(*(step(name, *names[:place], join=join) for place, name in enumerate(names)), name="full")


def nested(count: int, chance: random.Random) -> WorkflowDefinition:
    """Return a random definition of about so many steps, containers within containers."""
    numbers = iter(range(10 * count + 10))

    def block(budget: int, depth: int) -> Iterator[StepDefinition]:
        names: list[str] = []
        while budget > 0:
            name, budget, config = f"step-{next(numbers)}", budget - 1, None
            if budget > 2 and depth < 4 and chance.random() < 0.25:
                size = chance.randint(2, max(2, budget // 3))
                budget, inner = budget - size, tuple(block(size, depth + 1))
                config = chance.choice(_CONTAINERS)(inner)
            attached = {}
            if chance.random() < 0.08:
                attached["handler"] = (step(f"step-{next(numbers)}"),)
            if chance.random() < 0.08:
                attached["compensation"] = step(f"step-{next(numbers)}")
            after = chance.sample(names[-6:], min(len(names), chance.choice((0, 1, 1, 1, 2, 3))))
            title = chance.choice(("", "", "Build it", "Check what came out of the long run", "総合テスト"))
            join = chance.choice((*[Join.ALL_SUCCEEDED] * 5, *Join))
            yield step(name, *after, config=config, title=title, join=join, n=1, **attached)
            names.append(name)

    return definition(*block(count, 0), name=f"nested-{count}")


_CONTAINERS = (
    lambda inner: ParallelStep(steps=inner, join=Join.ANY_SUCCEEDED),
    lambda inner: ForEachStep(items="inputs.files", steps=inner),
    lambda inner: LoopStep(steps=inner, until="steps.x.output.ok", limit=3),
    lambda inner: ConditionalStep(
        cases=(Case(when="inputs.fast", steps=inner),), otherwise=(step(f"{inner[0].id}-not"),)
    ),
)


def definitions(most: int = 40) -> SearchStrategy[WorkflowDefinition]:
    """Random nested definitions."""
    return st.builds(nested, st.integers(1, most), st.randoms(use_true_random=False))


def states(of: WorkflowDefinition, chance: random.Random) -> list[WorkflowStep]:
    """Return a random state for each step of a definition, without items and rounds."""
    return [WorkflowStep(id=one.id, status=chance.choice([*StepStatus])) for one in of.walk()]
