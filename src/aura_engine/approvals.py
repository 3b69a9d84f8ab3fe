"""Approvals: the inbox of a human, and what they say (second seed, "Approval")."""

from collections.abc import Callable, Sequence

import attrs

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Command
from aura_contracts.approval import (
    APPROVAL,
    Approval,
    ApprovalKind,
    ApprovalRequested,
    ApprovalStatus,
    Approve,
    DelegateApproval,
    Reject,
    Remember,
    RequestChanges,
)
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.task import TaskStatus
from aura_engine.runtime.context import ENGINE, Runtime
from aura_engine.runtime.reviewing import decided
from aura_engine.runtime.views import view_in
from aura_engine.unit_of_work import UnitOfWork


@attrs.frozen
class Approvals:
    """What humans are asked. A decision is recorded together with what it means for the task, or not at all."""

    _runtime: Runtime
    _user: Actor

    async def pending(self, task_id: TaskId | None = None) -> Sequence[Approval]:
        """Return what waits for an answer, the oldest first; of one task, or of all."""
        approvals = await self.all(task_id, only=lambda ended: not ended)
        return [approval for approval in approvals if approval.status is ApprovalStatus.PENDING]

    async def all(
        self, task_id: TaskId | None = None, *, only: Callable[[bool], bool] = lambda _: True
    ) -> Sequence[Approval]:
        """Return all approvals, the oldest first; `only` chooses by whether they have ended."""
        asked: dict[str, bool] = {}
        topics = [ApprovalRequested.topic, *(event.topic for event in APPROVAL.endings)]
        async for record in self._runtime.bus.log.read(topics=topics):
            if isinstance(record.event, ApprovalRequested):
                if task_id is None or record.event.task_id == task_id:
                    asked[record.stream_id] = False
            elif record.stream_id in asked:
                asked[record.stream_id] = True
        return [await self.get(ApprovalId(one)) for one, ended in asked.items() if only(ended)]

    async def get(self, approval_id: ApprovalId) -> Approval:
        """Return an approval. Raises `AggregateNotFound`."""
        return await self._runtime.bus.require(APPROVAL, approval_id)

    async def approve(
        self,
        approval_id: ApprovalId,
        feedback: str | None = None,
        *,
        remember: Remember = Remember.ONCE,
        pattern: str | None = None,
        actor: Actor | None = None,
    ) -> Approval:
        """Say yes. With a quorum, the last yes decides."""
        return await self._decide(approval_id, Approve(feedback=feedback, remember=remember, pattern=pattern), actor)

    async def reject(self, approval_id: ApprovalId, feedback: str, *, actor: Actor | None = None) -> Approval:
        """Say no, with the reason; the agent goes on with it."""
        return await self._decide(approval_id, Reject(feedback=feedback), actor)

    async def request_changes(self, approval_id: ApprovalId, feedback: str, *, actor: Actor | None = None) -> Approval:
        """Say what should be different first; the agent goes on with it."""
        return await self._decide(approval_id, RequestChanges(feedback=feedback), actor)

    async def delegate(
        self, approval_id: ApprovalId, to: str, reason: str = "", *, actor: Actor | None = None
    ) -> Approval:
        """Have another human, by name, decide in one's place."""
        return await self._decide(approval_id, DelegateApproval(delegate=to, reason=reason), actor)

    async def _decide(self, approval_id: ApprovalId, command: Command[Approval], actor: Actor | None) -> Approval:
        async def decide(unit: UnitOfWork) -> Approval:
            approval = await unit.handle(approval_id, command)
            await self._apply(unit.acting_as(ENGINE), approval)
            return approval

        return await self._runtime.bus.transact(actor or self._user, decide)

    async def _apply(self, unit: UnitOfWork, approval: Approval) -> None:
        """Add what follows for the task. What needs a look at files first is left to the task's driver."""
        about_work = approval.kind in (ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION)
        if approval.status is ApprovalStatus.PENDING or approval.task_id is None or not about_work:
            return
        view = await view_in(unit, approval.task_id)
        asked = view is not None and view.task.status is TaskStatus.AWAITING_APPROVAL
        if view is not None and asked and view.task.approval_id == approval.id:
            await decided(self._runtime, unit, view, approval)
