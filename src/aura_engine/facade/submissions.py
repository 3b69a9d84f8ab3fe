"""Submissions: what agents hand in from outside a run: proposals, with what a policy decides at once, and results."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from aura_contracts.actors import ENGINE, Actor, actor_kind, agent
from aura_contracts.agent import ReleaseAgent, TaskOutcome
from aura_contracts.approval import Approval, ApprovalStatus
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import ApprovalId
from aura_contracts.task import ApprovalMode, CompleteTask, Subtask, Task
from aura_engine import runtime
from aura_engine.facade.core import Core
from aura_engine.facade.task_refusal import refusal
from aura_engine.runtime.views import View, view_in
from aura_engine.unit_of_work import UnitOfWork


@attrs.frozen
class Submission:
    """A proposal of the agent of a task. See `Tasks.submit`."""

    proposal: str
    confidence: float | None = attrs.field(kw_only=True)
    requires_approval: bool = attrs.field(kw_only=True)

    async def ask(self, core: Core, unit: UnitOfWork, view: View, approval_id: ApprovalId) -> Approval:
        """Add the question about it to `unit`."""
        if not self.requires_approval:
            _require_auto(view.task)
        assigned = view.task.assigned_agent
        approval = await runtime.submit(
            unit if assigned is None else unit.acting_as(agent(assigned)),
            view,
            approval_id,
            self.proposal,
            book=await core.policies.book(view.workspace),
            confidence=self.confidence,
            answered=None if self.requires_approval else "",
        )
        return await _followed(core, unit, view.task, approval)


async def submit_subtasks(
    core: Core, unit: UnitOfWork, view: View, approval_id: ApprovalId, subtasks: Sequence[Subtask], actor: Actor
) -> Approval:
    """Add to `unit` the question whether to split a task. See `Tasks.decompose`."""
    editor = actor if actor_kind(actor) == "human" else None
    approval = await runtime.propose_subtasks(core.runtime, unit, view, approval_id, subtasks, editor=editor)
    return await _followed(core, unit, view.task, approval)


async def complete_task(unit: UnitOfWork, view: View, result: Mapping[str, Any]) -> Task:
    """Add to `unit` that the task is completed with what came of it, and its agent released. See `Tasks.complete`."""
    task = view.task
    if view.worked_on:
        remedy = f"wait for it, or `tasks.cancel({task.id!r})`"
        raise refusal(task.id, "complete", "an agent of AURA works on it", remedy)
    assigned = task.assigned_agent
    worker = unit if assigned is None else unit.acting_as(agent(assigned))
    completed = await worker.handle(task.id, CompleteTask(result=dict(result)))
    if view.agent is not None and view.agent.has(task.id):
        release = ReleaseAgent(task_id=task.id, outcome=TaskOutcome.COMPLETED)
        await unit.acting_as(ENGINE).handle(view.agent.id, release)
    return completed


async def _followed(core: Core, unit: UnitOfWork, task: Task, approval: Approval) -> Approval:
    """Add what follows from a decision, if there is one already."""
    if approval.status is not ApprovalStatus.PENDING:
        await runtime.decided(core.runtime, unit.acting_as(ENGINE), await view_in(unit, task.id), approval)
    return approval


def _require_auto(task: Task) -> None:
    """Refuse to do without an approval that the creator of a task wants."""
    if task.approval_mode is not ApprovalMode.AUTO:
        reason = f"the approval mode of task {task.id} is {task.approval_mode}"
        remedy = "leave it out, and let a human decide"
        raise InvalidInput(field="requires_approval", reason=reason, remedy=remedy)
