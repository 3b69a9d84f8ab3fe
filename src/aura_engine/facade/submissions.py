"""Submissions: proposals that come from outside a run, and what follows where a policy decides at once."""

from collections.abc import Sequence

import attrs

from aura_contracts.actors import ENGINE, Actor, actor_kind, agent
from aura_contracts.approval import Approval, ApprovalStatus
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import ApprovalId
from aura_contracts.task import ApprovalMode, Subtask, Task
from aura_engine import runtime
from aura_engine.facade.core import Core
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
