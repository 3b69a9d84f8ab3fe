"""Answers: a decision is recorded together with its effect on the task, which the engine then carries out."""

from collections.abc import Iterable, Mapping, Sequence

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.aggregate import Command
from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus
from aura_contracts.execution import ExecutionStatus
from aura_contracts.ids import TaskId, WorkflowId
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.task import TASK, Task, TaskStatus
from aura_contracts.workflow import WORKFLOW
from aura_engine import runtime
from aura_engine.facade.core import Core
from aura_engine.facade.instructions import make_edit
from aura_engine.orchestration.orders import WORKFLOW_KEY
from aura_engine.runtime.views import view_in
from aura_engine.unit_of_work import UnitOfWork

_APPLIED_TO_TASK = (ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION)


async def decide(core: Core, approval: str, command: Command[Approval], by: str | None) -> Approval:
    """Record a decision on the approval that `approval` names, and carry it out; return the approval."""
    return await carry_out(core, await core.find("approval", approval), command, core.actor(by))


async def carry_out(core: Core, approval_id: str, command: Command[Approval], actor: Actor) -> Approval:
    """Record a decision of an actor, and carry it out; return the approval."""
    state, task_id = await record_answer(core, approval_id, command, actor)
    if task_id is not None:
        await core.drive(task_id)
    await drive_workflows(core, [state])
    return state


async def drive_workflows(core: Core, answered: Iterable[Approval]) -> None:
    """Have the workflows continue that have waited for questions which are closed now."""
    closed = [one for one in answered if one.status is not ApprovalStatus.PENDING]
    for workflow_id in dict.fromkeys([ident for one in closed for ident in await workflows_of(core, one)]):
        await core.drive_workflow(workflow_id)


async def workflows_of(core: Core, approval: Approval) -> Sequence[WorkflowId]:
    """Return the workflows that wait for a question of a step, or of its task: each after those that run for it."""
    found: list[WorkflowId] = []
    ident = approval.workflow_id or await _workflow_of_task(core, approval.task_id)
    while ident is not None and (workflow := await core.bus.get(WORKFLOW, ident)) is not None:
        found.append(workflow.id)
        ident = None if workflow.parent is None else workflow.parent.workflow_id
    return found


async def _workflow_of_task(core: Core, task_id: TaskId | None) -> WorkflowId | None:
    """Return the workflow that a task, or the one that it is a part of, was made for: that never changes."""
    task = await _task_row(core, task_id)
    while task is not None and task.parent_id is not None:
        task = await _task_row(core, task.parent_id)
    if task is None or task.created_by != ENGINE:
        return None
    about = task.context.get(WORKFLOW_KEY)
    return WorkflowId(about["id"]) if isinstance(about, Mapping) else None


async def _task_row(core: Core, task_id: TaskId | None) -> Task | None:
    rows = () if task_id is None else (await core.reads.list(TaskQuery(id=task_id))).rows
    return rows[0] if rows else None


async def record_answer(
    core: Core, approval_id: str, command: Command[Approval], actor: Actor
) -> tuple[Approval, TaskId | None]:
    """Record a decision and its effect on the task; return the task, if there is something to drive."""

    async def record(unit: UnitOfWork) -> tuple[Approval, TaskId | None]:
        state = await unit.handle(approval_id, command)
        return state, await _apply(core, unit.acting_as(ENGINE), state)

    return await core.bus.transact(actor, record)


async def _apply(core: Core, unit: UnitOfWork, approval: Approval) -> TaskId | None:
    """Apply the decision to the task, unless its files must be examined first: the task's driver does that.

    Return the task, if there is something to drive."""
    task_id = approval.task_id
    if approval.edit is not None and approval.status is ApprovalStatus.APPROVED:
        await make_edit(unit, approval.edit)
    if approval.status is ApprovalStatus.PENDING or task_id is None:
        return None
    if approval.kind not in _APPLIED_TO_TASK:
        return task_id
    view = await view_in(unit, task_id)
    if view.execution is not None and view.execution.status is ExecutionStatus.CLEANUP:
        return task_id  # no agent is there to hear of it: the review that follows applies it
    if view.task.status is TaskStatus.AWAITING_APPROVAL and view.task.approval_id == approval.id:
        await runtime.decided(core.runtime, unit, view, approval)
    task = await unit.require(TASK, task_id)
    return task_id if task.execution_id is not None or task.pooled else None
