"""Why workflows wait, and what made them take so long: as the facade says it of real ones."""

import pytest

from aura_contracts.errors import AggregateNotFound, InvalidInput
from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    StepDefinition,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
)
from conditions import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def place(repository, monkeypatch):
    """Their tasks work in the repository of the current folder."""
    monkeypatch.chdir(repository)


def step(name, *after, config=None, **fields):
    return StepDefinition(id=name, config=config or CommandStep(run="true"), dependencies=after, **fields)


def definition(*steps, name="ship"):
    return WorkflowDefinition(name=name, steps=steps)


async def ends_with(engine, workflow_id, kind):
    chains = await engine.workflows.why(workflow_id)
    return [chain.links[-1].kind for chain in chains] == [kind]


async def test_a_step_waits_for_the_approval_of_a_sub_workflow(opened):
    ask = step("ask", "build", config=ApprovalStep(question="Good?", reviewers=("bob",)))
    async with opened() as engine:
        await engine.workflows.create(definition(step("build"), ask, name="review"))
        run = await engine.workflows.start(
            definition(step("review", config=SubWorkflowStep(workflow="review")), step("deploy", "review"))
        )
        await until(lambda: ends_with(engine, run.id, "approval"))

        (chain,) = await engine.workflows.why(run.id, "deploy")

        child = (await engine.workflows.get(run.id)).steps["review"].child_id
        assert [(link.kind, link.id) for link in chain.links[:-1]] == [
            ("workflow", run.id),
            ("step", "deploy"),
            ("step", "review"),
            ("workflow", child),
            ("step", "ask"),
        ]
        assert chain.links[-1].people == ("alice", "bob")
        await engine.approvals.approve(chain.links[-1].id)
        done = await run.result()
        assert await engine.workflows.why(run.id) == ()
        path = await engine.workflows.critical_path(run.id)
        assert [one.step_id for one in path.steps] == ["review", "deploy"]
        assert sum(one.waited + one.ran for one in path.steps) + path.rest == pytest.approx(path.length)
        assert path.length == pytest.approx((done.ended_at - done.created_at).total_seconds())


async def test_a_step_waits_for_a_task_in_the_queue_of_the_pool(opened):
    async with opened() as engine:
        run = await engine.workflows.start(definition(step("build", config=AgentTaskStep(task_template="Build it"))))
        await until(lambda: ends_with(engine, run.id, "task"))

        (chain,) = await engine.workflows.why(run.id)

        assert chain.links[-1].id == (await engine.workflows.get(run.id)).steps["build"].task_id
        await engine.workflows.cancel(run.id)


async def test_a_wait_a_signal_and_a_failure(opened):
    async with opened() as engine:
        long = await engine.workflows.start(definition(step("rest", config=WaitStep(seconds=3600))))
        await until(lambda: ends_with(engine, long.id, "moment"))
        hear = await engine.workflows.start(definition(step("hear", config=WaitStep(signal="go"))))
        await until(lambda: ends_with(engine, hear.id, "signal"))
        fails = await engine.workflows.start(
            definition(step("fail", config=CommandStep(run="exit 3")), step("z", "fail"))
        )
        await until(lambda: ends_with(engine, fails.id, "repair"))

        assert "a human, who retries or skips step fail" in str((await engine.workflows.why(fails.id, "z"))[0])
        await engine.workflows.pause(hear.id)
        assert await ends_with(engine, hear.id, "signal")


async def test_what_is_unknown(opened):
    async with opened() as engine:
        run = await engine.workflows.start(definition(step("build")))
        await run.result()
        with pytest.raises(InvalidInput, match="has no step 'biuld'"):
            await engine.workflows.why(run.id, "biuld")
        for question in (engine.workflows.why, engine.workflows.critical_path):
            with pytest.raises(AggregateNotFound):
                await question("0192f0c1-2d3e-7abc-8def-0123456789ab")
