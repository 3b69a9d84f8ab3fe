"""Workflow waits: looks up all that a workflow may wait for, then says why it waits."""

from collections import deque
from collections.abc import Sequence

import attrs

from aura_contracts.approval import APPROVAL, Approval
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.task import TASK, Task
from aura_contracts.workflow import LIVE, WORKFLOW, Workflow, WorkflowStep, outline_of
from aura_engine.facade.core import Core
from aura_engine.facade.queue_places import places
from aura_engine.orchestration.wait_chains import Lookups, TaskStanding, WaitChain, wait_chains


async def waits_of(core: Core, workflow: Workflow, step: str | None) -> Sequence[WaitChain]:
    """Return why a workflow, or a step of it, waits. Raises `InvalidInput` for a step that it does not have."""
    if step is not None and step.rpartition("/")[2] not in outline_of(workflow.definition):
        remedy = f"name one of those that aura workflow graph {workflow.id} shows"
        raise InvalidInput(field="step", reason=f"workflow {workflow.name} has no step {step!r}", remedy=remedy)
    found = _Found()
    ahead = deque([workflow])
    while ahead:
        for one in ahead.popleft().steps.values():
            if one.status in LIVE:
                child = await _look_up(core, one, found)
                if child is not None:
                    ahead.append(child)
    await _add_places(core, found)
    lookups = Lookups(task=found.standings.get, approval=found.approvals.get, workflow=found.workflows.get)
    return wait_chains(workflow, step, lookups)


@attrs.define
class _Found:
    approvals: dict[ApprovalId, Approval] = attrs.field(factory=dict)
    tasks: dict[TaskId, Task] = attrs.field(factory=dict)
    standings: dict[TaskId, TaskStanding] = attrs.field(factory=dict)
    workflows: dict[WorkflowId, Workflow] = attrs.field(factory=dict)


async def _look_up(core: Core, step: WorkflowStep, found: _Found) -> Workflow | None:
    """Look up what runs for a step; return its sub-workflow if that is a new one."""
    if step.approval_id is not None:
        approval = await core.bus.fetch(APPROVAL, step.approval_id)
        if approval is not None:
            found.approvals[step.approval_id] = approval
    if step.task_id is not None:
        task = await core.bus.fetch(TASK, step.task_id)
        if task is not None:
            found.tasks[task.id] = task
            since = task.queued_at if task.pooled else task.started_at
            asked = tuple(await core.pending(task.id))
            found.standings[task.id] = TaskStanding(status=task.status, ended=task.ended, since=since, approvals=asked)
    if step.child_id is None or step.child_id in found.workflows:
        return None
    child = await core.bus.fetch(WORKFLOW, step.child_id)
    if child is not None:
        found.workflows[step.child_id] = child
    return child


async def _add_places(core: Core, found: _Found) -> None:
    """Add the places in the queue of the pool, which are worth finding if a task is in it."""
    if not any(task.pooled for task in found.tasks.values()):
        return
    for place in await places(core):
        standing = found.standings.get(place.task_id)
        if standing is not None:
            ahead = "" if place.place is None else f"place {place.place} in the queue; "
            found.standings[place.task_id] = TaskStanding(
                status="queued", since=standing.since, reason=f"{ahead}{place.reason}", approvals=standing.approvals
            )
