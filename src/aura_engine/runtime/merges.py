"""Merges: takes approved work into its targets; if that is not possible, asks a human."""

from collections.abc import Sequence
from typing import Any

from aura_contracts.actors import ENGINE
from aura_contracts.errors import AuraError, Recovery
from aura_contracts.execution import EXECUTION, CompleteExecution, Execution
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.quoting import one_line, quoted
from aura_contracts.task import TASK, CompleteTask, Task, UnblockTask
from aura_contracts.workspace import (
    AbandonMerge,
    AcquireWorkspace,
    ConflictedFiles,
    RecordMerge,
    ReleaseWorkspace,
    RepositoryCommit,
    ResolveConflict,
    SnapshotReason,
    StartMerge,
    Workspace,
    WorkspaceStatus,
)
from aura_engine.runtime.attempts import continue_with
from aura_engine.runtime.collection import collect_since, is_news
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.copies import save
from aura_engine.runtime.failures import fail
from aura_engine.runtime.obstacles import REJECT, TRY_AGAIN, ask_about, files_of
from aura_engine.runtime.review import is_withheld
from aura_engine.runtime.views import View, spec_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol import messages


async def complete(runtime: Runtime, view: View) -> None:
    """Complete a task with nothing to merge: it changed nothing, or it worked in place."""
    task, execution = view.task, view.require_execution()
    if await is_withheld(runtime, view):
        return
    async with runtime.bus.unit(ENGINE) as unit:
        await _complete(unit, task, execution, {})


async def _complete(unit: UnitOfWork, task: Task, execution: Execution, result: dict[str, Any]) -> None:
    changed = execution.outcome.changed_files if execution.outcome else 0
    await unit.handle(execution.id, CompleteExecution())
    await unit.handle(task.id, CompleteTask(result={"changed_files": changed, **result}))


async def merge(runtime: Runtime, view: View) -> None:
    """Merge the work into its targets; if that is not possible, ask a human."""
    task, execution = view.task, view.require_execution()
    workspace = view.require_workspace()
    if workspace.status is not WorkspaceStatus.MERGING:
        await save(runtime, workspace, SnapshotReason.MERGE)
        if is_news(workspace, await collect_since(runtime, workspace)):
            return  # look again: changes that need a review are not merged without one
        if await is_withheld(runtime, view):
            return
        async with runtime.bus.unit(ENGINE) as unit:
            if (await unit.require(TASK, task.id)).ended:
                return  # cancelled since the last look
            if workspace.holder is not None:
                await unit.handle(workspace.id, ReleaseWorkspace(execution_id=workspace.holder))
            start = StartMerge(style=execution.plan.merge_style, dirty=False)
            workspace = await unit.handle(workspace.id, start)
    assert workspace.merge_style is not None, "a merge is made in some style"
    request = messages.MergeWork(
        workspace=spec_of(workspace), style=workspace.merge_style, message=_merge_message(view)
    )
    try:
        merged = await runtime.gateway.request(request)
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise  # the target has moved, or no worker is connected: merge again
        await ask_about(runtime, view, workspace, files_of(workspace, error), one_line(f"{error}"), TRY_AGAIN)
        return
    if merged.conflicts:
        trees = ", ".join(tree.path for tree in workspace.worktrees)
        remedy = f"Resolve it on {workspace.branch} (in {trees}) and approve, or {REJECT}."
        text = _conflict_text(workspace, merged.conflicts)
        await ask_about(runtime, view, workspace, merged.conflicts, text, remedy)
        return
    await runtime.bus.transact(ENGINE, lambda unit: _record_merge(unit, view, merged.commits))


async def _record_merge(unit: UnitOfWork, view: View, commits: Sequence[RepositoryCommit]) -> None:
    """Record a merge and complete its task, unless the task was cancelled during the merge."""
    task, execution = view.task, view.require_execution()
    workspace_id = view.require_workspace().id
    if commits:
        await unit.handle(workspace_id, RecordMerge(commits=tuple(commits)))
    else:
        await unit.handle(workspace_id, AbandonMerge(reason="the target has it already"))
    await unit.require(EXECUTION, execution.id)  # what is loaded first is recorded first: its end, then the task's
    if (await unit.require(TASK, task.id)).ended:
        return
    await _complete(unit, task, execution, {"merged": {commit.repository: commit.commit for commit in commits}})


def _merge_message(view: View) -> str:
    task, workspace = view.task, view.require_workspace()
    lines = [f"Aura-Task: {task.id}"]
    if view.approval is not None and view.approval.granted and view.approval.reviewed_by is not None:
        lines.append(f"Approved-by: {one_line(view.approval.reviewed_by.partition(':')[2])}")
    trailers = "\n".join(lines)  # one line each: a title or a name with a line end must not forge one
    return f"{one_line(task.title)}\n\nMerged from {workspace.branch}.\n\n{trailers}\n"


def _conflict_text(workspace: Workspace, conflicts: tuple[ConflictedFiles, ...]) -> str:
    targets = {repository.name: repository.target_branch for repository in workspace.repositories}
    lines = [
        f"{quoted(files.repository)}: {', '.join(map(quoted, files.paths))}"
        f" changed on {targets.get(files.repository)} as well"
        for files in conflicts
    ]
    return "\n".join(["The work cannot be merged:", *lines])


async def resolve_conflict(runtime: Runtime, view: View) -> None:
    """Continue after a human has decided about the conflict."""
    task, execution = view.task, view.require_execution()
    workspace, approval = view.require_workspace(), view.conflict
    assert approval is not None, "the conflict was asked about"
    taken = AcquireWorkspace(execution_id=execution.id)
    if approval.granted:
        spec = spec_of(workspace)
        request = messages.CollectWork(workspace=spec, message="Resolve the conflict", from_branch=True)
        collected = await runtime.gateway.request(request)
        async with runtime.bus.unit(ENGINE) as unit:
            resolution = approval.feedback or "resolved on the branch"
            await unit.handle(workspace.id, ResolveConflict(resolution=resolution, heads=collected.heads))
            await unit.handle(workspace.id, taken)
            await unit.handle(task.id, UnblockTask(resolution=resolution))
        return
    end = await end_of_merge(runtime, workspace, approval.feedback or str(approval.status))
    async with runtime.bus.unit(ENGINE) as unit:
        await unit.handle(workspace.id, end)
        if approval.feedback is None:
            failure = Failure(FailureReason.CONFLICT, f"the conflict was not resolved: {approval.status}")
            await fail(unit, view, failure)
            return
        targets = {r.name: r.target_branch for r in workspace.repositories}
        conflicts = [
            {"repository": files.repository, "target": targets.get(files.repository, ""), "paths": files.paths}
            for files in workspace.conflicts
        ]
        feedback = approval.feedback
        await unit.handle(workspace.id, taken)
        await unit.handle(task.id, UnblockTask(resolution=feedback))
        await continue_with(runtime, unit, view, "conflict", feedback, conflicts=conflicts)


async def end_of_merge(runtime: Runtime, workspace: Workspace, reason: str) -> RecordMerge | AbandonMerge:
    """Return what ends a merge before it is complete: the record of what it has merged by then, if anything.

    An engine may have stopped between the merge and its record, or after some of it. Where the worker cannot tell, the
    reason says so.
    """
    assert workspace.merge_style is not None, "a merge is made in some style"
    spec, style = spec_of(workspace), workspace.merge_style
    finishing = messages.MergeWork(workspace=spec, style=style, message="", finish_only=True)
    try:
        commits = (await runtime.gateway.request(finishing)).commits
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        return AbandonMerge(reason=f"{reason}; whether it has merged anything is not known: {error.message()}")
    return RecordMerge(commits=commits) if commits else AbandonMerge(reason=reason)
