"""The functions of workflows in the specification: each test walks the logic steps of one, by number, for real."""

import pytest

from aura_contracts.errors import InvalidDefinition, TransitionRefused, UnknownDefinition
from aura_contracts.task import TaskStatus
from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    StepDefinition,
    StepStatus,
    SubWorkflowStep,
    WorkflowDefinition,
    WorkflowStatus,
)
from conditions import until
from engines import events_of

pytestmark = pytest.mark.anyio


def step(name, *after, config):
    return StepDefinition(id=name, config=config, dependencies=after)


def command(script):
    return CommandStep(run=script)


def definition(*steps, **fields):
    return WorkflowDefinition(name="ship", steps=steps, **fields)


async def statuses(engine, workflow_id):
    return {address: str(one.status) for address, one in (await engine.workflows.get(workflow_id)).steps.items()}


def holds(path):
    """Return a script that waits for a file."""
    return f"while [ ! -e '{path}' ]; do sleep 0.02; done"


async def test_start_workflow(opened, tmp_path):
    async with opened() as engine:
        wait = step("build", config=command(holds(tmp_path / "go")))
        work = definition(wait, step("test", "build", config=command("true")), step("lint", config=command("true")))
        run = await engine.workflows.start(work, {})
        (record, *_) = await engine.workflows.history(run.id)  # 1. a workflow record
        assert record.event.topic == "workflow.started"
        assert record.event.definition == work
        assert [row.id for row in (await engine.workflows.list()).rows] == [run.id]
        for wrong, error in (  # 2. dependencies are resolved, and what a step calls
            (definition(step("test", "nothing", config=command("true"))), InvalidDefinition),
            (
                definition(step("a", "b", config=command("true")), step("b", "a", config=command("true"))),
                InvalidDefinition,
            ),
            (definition(step("call", config=SubWorkflowStep(workflow="nothing"))), UnknownDefinition),
        ):
            with pytest.raises(error):
                await engine.workflows.start(wrong)
        assert len((await engine.workflows.list()).rows) == 1, "a refused one leaves nothing"
        await until(lambda: both_started(engine, run.id))  # 3. the first tasks, and no other
        first = [task.id for task in (await engine.tasks.list()).rows]
        state = await run.state()
        assert {state.steps["build"].task_id, state.steps["lint"].task_id} == set(first)
        assert state.steps["test"].task_id is None
        assert (state.status, state.name, state.created_by) == (WorkflowStatus.ACTIVE, "ship", "human:alice")  # 4.
        (tmp_path / "go").touch()
        done = await run.result()
        assert set((await statuses(engine, done.id)).values()) == {"completed"}


async def both_started(engine, workflow_id):
    found = await statuses(engine, workflow_id)
    return found["build"] == "running" and found["lint"] in {"running", "completed"}


async def test_advance_workflow(opened, tmp_path):
    """An engine that only records starts nothing by itself; each call of another one moves the workflow on."""
    agent = {"base_command": "sh", "params": ["-c", "true"]}
    async with opened() as engine:
        await engine.agents.add("Ada", "custom", type="architect", options=agent)
        dev = await engine.agents.add("Dev", "custom", type="developer", options=agent)
        work = definition(
            step("ask", config=ApprovalStep(question="Shall we?")),
            step("code", "ask", config=AgentTaskStep(task_template="Code it.", agent_type="developer")),
        )
        async with opened(record_only=True) as recorder:
            run = await recorder.workflows.start(work)
            assert await statuses(recorder, run.id) == {"ask": "pending", "code": "pending"}
            assert (await recorder.workflows.advance(run.id)).current_step_index == 0
        await engine.workflows.advance(run.id)
        await until(lambda: asks(engine, run.id))  # 1. the current step
        state = await engine.workflows.advance(run.id)
        assert (state.current_step_index, state.steps["code"].status) == (0, StepStatus.PENDING)  # 2. is not over
        assert not (await engine.tasks.list()).rows
        await engine.approvals.approve(state.steps["ask"].approval_id)
        await engine.workflows.advance(run.id)
        await until(lambda: has_task(engine, run.id))
        task_id = (await engine.workflows.get(run.id)).steps["code"].task_id
        task = await engine.tasks.get(task_id)  # 3. a task for the next step
        assert (task.description, task.agent_type) == ("Code it.", "developer")
        await until(lambda: taken_by(engine, dev.id, task_id))  # 4. for the agent of its type
        await until(lambda: is_at(engine, run.id, 1, 2))  # 5. the index


async def asks(engine, workflow_id):
    return (await engine.workflows.get(workflow_id)).steps["ask"].status is StepStatus.AWAITING_APPROVAL


async def has_task(engine, workflow_id):
    return (await engine.workflows.get(workflow_id)).steps["code"].task_id is not None


async def taken_by(engine, agent_id, task_id):
    events = await events_of(engine, agent_id)
    return any(event.topic == "agent.task_taken" and event.task_id == task_id for event in events)


async def is_at(engine, workflow_id, *indices):
    return (await engine.workflows.get(workflow_id)).current_step_index in indices


async def test_pause_and_resume_workflow(opened, tmp_path):
    async with opened() as engine:
        held = step("build", config=command(holds(tmp_path / "go")))
        run = await engine.workflows.start(definition(held, step("test", "build", config=command("true"))))
        await until(lambda: runs(engine, run.id))
        paused = await engine.workflows.pause(run.id, "lunch")
        assert (paused.status, paused.paused_because) == (WorkflowStatus.PAUSED, "lunch")
        assert paused.steps["build"].status is StepStatus.RUNNING, "it tells what still runs"
        (tmp_path / "go").touch()
        await until(lambda: build_is_over(engine, run.id))  # what runs finishes
        assert await statuses(engine, run.id) == {"build": "completed", "test": "pending"}  # and nothing new starts
        with pytest.raises(TransitionRefused):
            await engine.workflows.pause(run.id)
        again = await engine.workflows.resume(run.id)
        done = await again.result()
        assert (done.status, done.current_step_index) == (WorkflowStatus.COMPLETED, 2)
        with pytest.raises(TransitionRefused):
            await engine.workflows.resume(run.id)
        assert all(task.status is TaskStatus.COMPLETED for task in (await engine.tasks.list()).rows)


async def runs(engine, workflow_id):
    task_id = (await engine.workflows.get(workflow_id)).steps["build"].task_id
    execution = None if task_id is None else (await engine.tasks.view(task_id)).execution
    return execution is not None and bool(execution.processes)


async def build_is_over(engine, workflow_id):
    return (await statuses(engine, workflow_id))["build"] == "completed"
