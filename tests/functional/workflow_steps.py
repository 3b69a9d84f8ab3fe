"""Workflows in tests: shorthand for their definitions, and starting and watching them in an engine."""

import uuid

import anyio

from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import WORKFLOW, CommandStep, StartWorkflow, StepDefinition, StepRecovery, WorkflowDefinition
from conditions import until


def step(name, config, *after, **more):
    return StepDefinition(id=name, config=config, dependencies=after, **more)


def command(name, script, *after, output=None, recovery=StepRecovery.ASK, options=None, **more):
    config = CommandStep(run=script, output=output, recovery=recovery, options=options or {})
    return step(name, config, *after, **more)


def defined(*steps, name="test", **more):
    return WorkflowDefinition(name=name, steps=steps, **more)


async def start(engine, definition, workflow_id=None, **more):
    """Start a workflow, and have the engine drive it; return its id, and whether it drives it."""
    workflow_id = workflow_id or WorkflowId(str(uuid.uuid4()))
    core = engine._core

    async def create():
        command = StartWorkflow(workflow_id=workflow_id, definition=definition, **more)
        await core.bus.handle(core.user, workflow_id, command)

    await core.begin_workflow(workflow_id, create, await core.log.head())
    return workflow_id


async def state_of(engine, workflow_id):
    return await engine._core.stored(WORKFLOW, workflow_id)


async def tell(engine, workflow_id, command, by=None):
    """Give a workflow a command of a human, and have this engine drive it."""
    state = await engine._core.handle(WORKFLOW, workflow_id, command, by)
    await engine._core.drive_workflow(workflow_id)
    return state


async def reaches(engine, workflow_id, test, seconds=60):
    """Return the state of a workflow as soon as `test` holds for it."""
    found = []

    async def holds():
        found[:] = [await state_of(engine, workflow_id)]
        return test(found[0])

    with anyio.fail_after(seconds):
        await until(holds, seconds)
    return found[0]


async def ends(engine, workflow_id, seconds=60):
    """Return the state of a workflow as soon as it has ended."""
    return await reaches(engine, workflow_id, lambda one: one.ended, seconds)


def statuses(workflow):
    return {one.id: str(one.status) for one in workflow.steps.values()}
