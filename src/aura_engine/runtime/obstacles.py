"""Obstacles: what keeps finished work from being reviewed or merged, and the question to a human about it.

The task is blocked until a human has decided. If the obstacle is still there after that, the question comes back: no
decision is used up by a step that failed, and no agent runs again whose work is done.
"""

from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalKind, Question, RequestApproval
from aura_contracts.errors import AuraError, GitError, WorkspaceError
from aura_contracts.execution import Execution, ExecutionStatus
from aura_contracts.ids import ApprovalId
from aura_contracts.quoting import one_line, quoted
from aura_contracts.task import BlockTask, TaskStatus, UnblockTask
from aura_contracts.workspace import (
    AbandonMerge,
    ConflictedFiles,
    RecordConflict,
    ReleaseWorkspace,
    StartMerge,
    Workspace,
    WorkspaceStatus,
)
from aura_engine.policy.consultation import pose
from aura_engine.policy.evidence import evidence_of
from aura_engine.runtime.context import Runtime, reviewers_of
from aura_engine.runtime.failures import fail, failure_from_error
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork


def is_done(view: View, workspace: Workspace) -> bool:
    """Whether there is work in worktrees, of which no human is asked at the moment."""
    execution = view.execution
    reviewed = execution is not None and execution.status is ExecutionStatus.REVIEW and execution.outcome is not None
    asks = view.task.status not in (TaskStatus.IN_PROGRESS, TaskStatus.APPROVED, TaskStatus.BLOCKED)
    return reviewed and bool(workspace.worktrees) and not workspace.in_place and not asks


REJECT = "reject with what the agent should do about it"
TRY_AGAIN = f"Approve to try again when it is out of the way, or {REJECT}."


def files_of(workspace: Workspace, error: AuraError) -> tuple[ConflictedFiles, ...]:
    """Return the files that prevent a merge; the repository itself (``.``) if no file does."""
    names = {repository.path: repository.name for repository in workspace.repositories}
    path = error.repository if isinstance(error, GitError) else ""
    name = names.get(path, workspace.repositories[0].name)
    paths = tuple(str(path) for path in error.facts().get("paths") or (".",))
    return (ConflictedFiles(repository=name, paths=paths),)


async def ask_about(
    runtime: Runtime,
    view: View,
    workspace: Workspace,
    files: tuple[ConflictedFiles, ...],
    text: str,
    remedy: str,
) -> None:
    """Block the task until a human has removed what is in the way, or given the merge up."""
    task, execution = view.task, view.require_execution()
    approval_id = ApprovalId(runtime.bus.ids())
    book = await runtime.policies.book(workspace)
    async with runtime.bus.unit(ENGINE) as unit:
        question = RequestApproval(
            approval_id=approval_id,
            question=Question(
                kind=ApprovalKind.MERGE_CONFLICT,
                reviewers=reviewers_of(task),
                task_id=task.id,
                execution_id=execution.id,
                proposed_solution=f"{text}\n\n{remedy}",
                evidence=evidence_of(task, agent=view.agent, execution=execution, workspace=workspace),
            ),
        )
        await pose(unit, book, question)
        await _hold_merge(unit, workspace, execution)
        await unit.handle(workspace.id, RecordConflict(files=files, approval_id=approval_id))
        resource = ", ".join(f"{quoted(part.repository)}: {quoted(path)}" for part in files for path in part.paths[:10])
        if task.status is TaskStatus.BLOCKED:  # the question before was decided, and comes back
            await unit.handle(task.id, UnblockTask(resolution="it is still in the way"))
        await unit.handle(task.id, BlockTask(reason=text.partition("\n")[0], resource=resource))


async def _hold_merge(unit: UnitOfWork, workspace: Workspace, execution: Execution) -> None:
    """Bring a workspace in any status of the review to the merge that a human is asked about."""
    if workspace.status is WorkspaceStatus.MERGING:
        return
    if workspace.holder is not None:
        await unit.handle(workspace.id, ReleaseWorkspace(execution_id=workspace.holder))
    if workspace.status is WorkspaceStatus.CONFLICTED:
        await unit.handle(workspace.id, AbandonMerge(reason="it is still in the way"))
    await unit.handle(workspace.id, StartMerge(style=execution.plan.merge_style, dirty=False))


async def give_up(runtime: Runtime, view: View, error: AuraError) -> None:
    """Ask a human about finished work that something keeps from being reviewed or merged; nothing runs again for it.

    Fails a task whose work is not done.
    """
    workspace = view.workspace
    obstacle = isinstance(error, GitError | WorkspaceError)  # what is gone may have been moved, or not be mounted
    if obstacle and workspace is not None and is_done(view, workspace):
        await ask_about(
            runtime, view, workspace, files_of(workspace, error), f"The work waits: {one_line(str(error))}", TRY_AGAIN
        )
        return
    async with runtime.bus.unit(ENGINE) as unit:
        await fail(unit, view, failure_from_error(error))
