"""Decomposition: a task is split into parts, after a human has approved them."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from aura_contracts.actors import ENGINE, Actor, actor_name
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import PauseAgent, ReleaseAgent, TaskOutcome
from aura_contracts.approval import (
    Approval,
    ApprovalKind,
    ApprovalStatus,
    Question,
    RequestApproval,
    WithdrawApproval,
)
from aura_contracts.execution import CompleteExecution, ExecutionStatus
from aura_contracts.ids import ApprovalId
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import CreateTask, DecomposeTask, PoolRequest, ProposeDecomposition, QueueTask, Subtask
from aura_engine.decomposition_plan import plan_text, read_plan
from aura_engine.policy import evidence_of, pose
from aura_engine.runtime.context import Runtime, review_of, subtask_spec
from aura_engine.runtime.proposals import last_message
from aura_engine.runtime.task_project import agent_type_of
from aura_engine.runtime.views import View, another_workspace
from aura_engine.unit_of_work import UnitOfWork


async def propose_parts(runtime: Runtime, view: View) -> None:
    """Ask a human to approve the plan in the agent's last message, which was checked when the agent ended."""
    message = await last_message(runtime.bus, view.require_execution().id)
    subtasks = read_plan(message, runtime.bus.ids)
    approval_id = ApprovalId(runtime.bus.ids())
    async with runtime.bus.unit(ENGINE) as unit:
        await propose_subtasks(runtime, unit, view, approval_id, subtasks)


async def propose_subtasks(
    runtime: Runtime,
    unit: UnitOfWork,
    view: View,
    approval_id: ApprovalId,
    subtasks: Sequence[Subtask],
    *,
    editor: Actor | None = None,
) -> Approval:
    """Add to `unit` a proposal to split the task, and the question about it, in place of an earlier one.

    `editor` is the human who wrote the parts, and asks; without one, the agent did. The policies may answer.
    """
    task, agent, before = view.task, view.agent, view.approval
    run = view.execution if view.execution is not None and view.execution.plan.decomposes else None
    if before is not None and before.status is ApprovalStatus.PENDING:
        reason = f"{'the agent' if editor is None else actor_name(editor)} has proposed other parts"
        await unit.acting_as(ENGINE).handle(before.id, WithdrawApproval(reason=reason))
    agents = unit if task.assigned_agent is None else unit.acting_as(agent_actor(task.assigned_agent))
    await agents.handle(task.id, ProposeDecomposition(approval_id=approval_id, subtasks=tuple(subtasks)))
    question = Question(
        kind=ApprovalKind.DECOMPOSITION,
        **review_of(task, author=None if editor is None else actor_name(editor)),
        task_id=task.id,
        execution_id=None if run is None else run.id,
        proposed_solution=plan_text(subtasks),
        evidence=evidence_of(task, agent=agent, execution=run, workspace=view.workspace),
    )
    book = await runtime.policies.book(view.workspace)
    asking = agents if editor is None else unit.acting_as(editor)
    asked = await pose(asking, book, RequestApproval(approval_id=approval_id, question=question))
    if run is not None and agent is not None and view.is_in_hand(waiting=False):
        await unit.acting_as(ENGINE).handle(agent.id, PauseAgent(task_id=task.id, approval_id=approval_id))
    return asked


async def split(runtime: Runtime, unit: UnitOfWork, view: View, approval_id: ApprovalId) -> None:
    """Create the approved subtasks, queue them for agents of the pool, and release the agent.

    They work in the same repositories, each in worktrees of its own, and like the run that proposed them; options are
    those of each agent. Where there are no worktrees, a human assigns them.
    """
    task, agent, execution = view.task, view.agent, view.execution
    plan = RunPlan() if execution is None else replace(execution.plan, decomposes=False, options={})
    await unit.handle(task.id, DecomposeTask(approval_id=approval_id))
    for part in task.proposed_subtasks:
        chosen = await agent_type_of(runtime, part.agent_type, (), task.project)
        about: Any = {"agent_type": chosen.type, "agent_type_reason": chosen.reason, "after": part.after}
        spec = subtask_spec(task, part.title, part.description, priority=part.priority, **about)
        await unit.handle(part.task_id, CreateTask(task_id=part.task_id, spec=spec))
        request = None
        if view.workspace is not None and not view.workspace.in_place:
            workspace = another_workspace(part.task_id, part.title, view.workspace)
            await unit.handle(workspace.workspace_id, workspace)
            request = PoolRequest(agent_type=chosen.type, agent_type_reason=chosen.reason, plan=plan)
        await unit.handle(part.task_id, QueueTask(request=request))
    if execution is not None and execution.status is ExecutionStatus.REVIEW:
        await unit.handle(execution.id, CompleteExecution())
    if agent is not None and agent.has(task.id):
        await unit.handle(agent.id, ReleaseAgent(task_id=task.id, outcome=TaskOutcome.UNASSIGNED))
