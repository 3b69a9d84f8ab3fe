"""Approvals: questions to humans, and their decisions."""

from typing import TYPE_CHECKING, ClassVar, Unpack

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.aggregate import Command
from aura_contracts.approval import (
    APPROVAL,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    Approve,
    DelegateApproval,
    Reject,
    Remember,
    RequestChanges,
)
from aura_contracts.ports.read_models import ApprovalQuery
from aura_contracts.ports.rows import Page
from aura_contracts.secrets import require_no_secret
from aura_contracts.task import TaskStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import runtime
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.facade.options import ApprovalFilters
from aura_engine.runtime.views import view_in
from aura_engine.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from aura_engine.facade.workspaces import Workspaces

_DIFF_LIMIT = 64 * 1024 * 1024
"""Maximum bytes of a diff: a human decides on all of it."""

_CUT_HERE = "\\ The diff is cut here: it is too long to show the rest.\n"
"""The last line of a diff that was cut; a backslash begins remarks in unified diffs."""

_ABOUT_WORK = (ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION)


@gated
@attrs.frozen
class Approvals:
    """Questions to humans, by their own id or their task's; a task's id means its open question, or else its latest.

    A decision and its effect on the task are recorded together, or not at all; the engine then carries it out.
    """

    _core: Core
    _workspaces: ClassVar["Noun[Workspaces]"] = Noun()

    async def get(self, approval: str) -> Approval:
        """Return an approval. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(APPROVAL, approval)

    async def list(self, **filters: Unpack[ApprovalFilters]) -> Page[Approval]:
        """Return a page of approvals, newest first; ``pending=True`` selects the open ones."""
        return await self._core.reads.list(ApprovalQuery(**filters))

    async def diff(self, approval: str) -> str:
        """Return the changes in question as a unified diff: those of a tool call, or those in the task's worktrees.

        A diff of more than 64 MiB is cut, and its last line says so.
        """
        question = await self.get(approval)
        if question.tool_call is not None:
            return question.tool_call.diff or ""
        if question.task_id is None:
            return ""
        workspace = (await self._core.view(question.task_id)).workspace
        if workspace is None or workspace.status is WorkspaceStatus.REMOVED:
            return ""
        diff = await self._workspaces.diff(workspace.id, patch_limit=_DIFF_LIMIT)
        return f"{diff.patch}{_CUT_HERE}" if diff.truncated else diff.patch

    async def approve(
        self,
        approval: str,
        feedback: str | None = None,
        *,
        remember: Remember | str = Remember.ONCE,
        pattern: str | None = None,
        by: str | None = None,
    ) -> Approval:
        """Approve. With a quorum, the last approval decides.

        `remember` extends the answer to later tool calls: ``once`` (none), ``session``, ``task``, or ``pattern`` for
        all calls that the rule `pattern` matches.
        """
        command = Approve(feedback=feedback, remember=Remember(remember), pattern=pattern)
        return await self._decide(approval, command, by)

    async def reject(self, approval: str, feedback: str, *, by: str | None = None) -> Approval:
        """Reject with a reason; the agent revises its work accordingly."""
        return await self._decide(approval, Reject(feedback=feedback), by)

    async def request_changes(self, approval: str, feedback: str, *, by: str | None = None) -> Approval:
        """Ask for changes; the agent revises its work with the feedback."""
        return await self._decide(approval, RequestChanges(feedback=feedback), by)

    async def delegate(self, approval: str, to: str, reason: str = "", *, by: str | None = None) -> Approval:
        """Delegate the decision to another human, by name."""
        return await self._decide(approval, DelegateApproval(delegate=to, reason=reason), by)

    async def _decide(self, approval: str, command: Command[Approval], by: str | None) -> Approval:
        if isinstance(command, Approve | Reject | RequestChanges) and command.feedback:
            require_no_secret(command.feedback, "feedback")
        approval_id = await self._core.find("approval", approval)

        async def decide(unit: UnitOfWork) -> Approval:
            state = await unit.handle(approval_id, command)
            await self._apply(unit.acting_as(ENGINE), state)
            return state

        state = await self._core.bus.transact(self._core.actor(by), decide)
        task_id = state.task_id
        if task_id is not None and state.status is not ApprovalStatus.PENDING:
            await self._core.drive(task_id)
        return state

    async def _apply(self, unit: UnitOfWork, approval: Approval) -> None:
        """Apply the decision to the task, unless its files must be examined first: the task's driver does that."""
        task_id = approval.task_id
        about_work = approval.kind in _ABOUT_WORK
        if approval.status is ApprovalStatus.PENDING or task_id is None or not about_work:
            return
        view = await view_in(unit, task_id)
        if view.task.status is TaskStatus.AWAITING_APPROVAL and view.task.approval_id == approval.id:
            await runtime.decided(self._core.runtime, unit, view, approval)
