"""Workflow commands: what people do to workflows that run."""

from aura_contracts.aggregate import Command
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import WORKFLOW, Workflow
from aura_engine.facade.core import Core


async def steer(core: Core, workflow: str, command: Command[Workflow], by: str | None) -> Workflow:
    """Handle a command, and carry out what follows unless another engine drives the workflow; return the workflow."""
    workflow_id = WorkflowId(await core.find(WORKFLOW.name, workflow))
    await core.bus.handle(core.actor(by), workflow_id, command)
    await core.drive_workflow(workflow_id)
    return await core.stored(WORKFLOW, workflow_id)
