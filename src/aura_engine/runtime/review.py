"""Review: proposes finished work, applies the decision, and merges or continues it."""

from typing import Any

from aura_contracts.actors import ENGINE
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import AgentStatus, PauseAgent, ReleaseAgent, ResumeAgent, TaskOutcome
from aura_contracts.approval import (
    Approval,
    ApprovalKind,
    ApprovalStatus,
    ExpireApproval,
    Question,
    RequestApproval,
)
from aura_contracts.errors import (
    AuraError,
    GitError,
    NotARepository,
    TemplateError,
    WorkspaceError,
)
from aura_contracts.execution import (
    CompleteExecution,
    Execution,
    ExecutionStatus,
    FailExecution,
    RequestFollowUp,
    RunPlan,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ApprovalId
from aura_contracts.quoting import one_line, quoted
from aura_contracts.task import (
    ApproveTask,
    CompleteTask,
    CreateTask,
    DecomposeTask,
    FailTask,
    RejectTask,
    RequestTaskChanges,
    SubmitProposal,
    Task,
    UnblockTask,
)
from aura_contracts.workspace import (
    AbandonMerge,
    AcquireWorkspace,
    ConflictedFiles,
    RecordCommit,
    RecordMerge,
    ReleaseWorkspace,
    ResolveConflict,
    SnapshotReason,
    StartMerge,
    Workspace,
    WorkspaceStatus,
)
from aura_engine.runtime.attempts import continuation_of, queue
from aura_engine.runtime.context import Runtime, reviewers_of, subtask_spec
from aura_engine.runtime.copies import save
from aura_engine.runtime.obstacles import REJECT, TRY_AGAIN, ask_about, files_of, is_done
from aura_engine.runtime.parts import complete_whole
from aura_engine.runtime.proposals import summary_of, words_of
from aura_engine.runtime.stages import is_news
from aura_engine.runtime.views import View, spec_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol import messages


def _parts(view: View) -> tuple[Task, Execution]:
    assert view.execution is not None, "the review is a stage of an execution"
    return view.task, view.execution


# --- Proposing --------------------------------------------------------------------------------------------------------


async def propose_plan(runtime: Runtime, view: View) -> None:
    """Ask a human to approve the agent's plan."""
    _, execution = _parts(view)
    words = await words_of(runtime.bus, execution.id)
    await _propose(runtime, view, ApprovalKind.PLAN, words, {})


async def propose_changes(runtime: Runtime, view: View) -> None:
    """Ask a human to approve the agent's changes. Changes made since are committed and included."""
    workspace = view.workspace
    assert workspace is not None, "there are changes in a workspace"
    spec = spec_of(workspace)
    collected = await _collect(runtime, workspace)
    diff = await runtime.gateway.request(messages.DiffWork(workspace=spec, patch_limit=0))
    heads = {head.repository: head.commit for head in collected.heads}
    text = summary_of(diff, collected.outcome.unrecorded)
    await _propose(runtime, view, ApprovalKind.CHANGES, text, heads)


async def _collect(runtime: Runtime, workspace: Workspace) -> messages.WorkCollected:
    """Commit changes made since the agent finished, and record the heads of the branches."""
    message = f"{one_line(workspace.title)}\n\nDuring review."
    collect = messages.CollectWork(workspace=spec_of(workspace), message=message, from_branch=True)
    collected = await runtime.gateway.request(collect)
    if is_news(workspace, collected):
        commit = RecordCommit(heads=collected.heads, clean=collected.clean)
        await runtime.bus.handle(ENGINE, workspace.id, commit)
    return collected


async def _propose(runtime: Runtime, view: View, kind: ApprovalKind, text: str, commits: dict[str, str]) -> None:
    task, execution = _parts(view)
    approval_id = ApprovalId(runtime.bus.ids())
    asking = ENGINE if task.assigned_agent is None else agent_actor(task.assigned_agent)
    async with runtime.bus.unit(ENGINE) as unit:
        await unit.handle(task.id, SubmitProposal(approval_id=approval_id, proposal=text))
        question = RequestApproval(
            approval_id=approval_id,
            requested_by=asking,
            question=Question(
                kind=kind,
                reviewers=reviewers_of(task),
                task_id=task.id,
                execution_id=execution.id,
                proposed_solution=text,
                commits=commits,
            ),
        )
        await unit.handle(approval_id, question)
        if _is_on_it(view, AgentStatus.WORKING):
            assert view.agent is not None, "it has a status"
            await unit.handle(view.agent.id, PauseAgent(task_id=task.id, approval_id=approval_id))


def _is_on_it(view: View, status: AgentStatus) -> bool:
    """Whether the task's agent has this status because of the task: a released agent may have another task by now."""
    return view.agent is not None and view.agent.current_task_id == view.task.id and view.agent.status is status


# --- Deciding ---------------------------------------------------------------------------------------------------------


async def expire_approval(runtime: Runtime, view: View) -> None:
    """Close a question whose deadline has passed."""
    assert view.approval is not None, "only an existing approval expires"
    await runtime.bus.handle(ENGINE, view.approval.id, ExpireApproval())


async def apply_decision(runtime: Runtime, view: View) -> None:
    """Record the decision on the task and its consequences."""
    async with runtime.bus.unit(ENGINE) as unit:
        approval = view.approval
        assert approval is not None, "only an existing approval is decided"
        await decided(runtime, unit, view, approval)


async def decided(runtime: Runtime, unit: UnitOfWork, view: View, approval: Approval) -> None:
    """Add the consequences of `approval` to `unit`, which may itself have decided it."""
    task, approval_id = view.task, approval.id
    match approval.status:
        case ApprovalStatus.APPROVED | ApprovalStatus.EXPIRED if approval.granted and _splits(approval):
            await _split(unit, view, approval_id)
            return
        case ApprovalStatus.APPROVED | ApprovalStatus.EXPIRED if approval.granted:
            await unit.handle(task.id, ApproveTask(approval_id=approval_id, notes=approval.feedback))
            if approval.kind is ApprovalKind.PLAN:
                prompt = await _prompt(runtime, view, "implement", plan=approval.proposed_solution)
                await _request_follow_up(runtime, unit, view, approval.feedback or "approved", prompt)
        case ApprovalStatus.REJECTED:
            await unit.handle(task.id, RejectTask(approval_id=approval_id, feedback=approval.feedback or ""))
            await _revise(runtime, unit, view, approval)
        case ApprovalStatus.NEEDS_CHANGES:
            changes = RequestTaskChanges(approval_id=approval_id, feedback=approval.feedback or "")
            await unit.handle(task.id, changes)
            await _revise(runtime, unit, view, approval)
        case ApprovalStatus.EXPIRED:
            await _give_up(unit, view, Failure(FailureReason.APPROVAL_EXPIRED, "the approval expired"))
        case _:
            await _give_up(unit, view, Failure(FailureReason.APPROVAL_REJECTED, "the question was withdrawn"))
    if _is_on_it(view, AgentStatus.WAITING_FOR_APPROVAL):
        assert view.agent is not None, "it has a status"
        await unit.handle(view.agent.id, ResumeAgent(task_id=task.id))


def _splits(approval: Approval) -> bool:
    return approval.kind is ApprovalKind.DECOMPOSITION


async def _split(unit: UnitOfWork, view: View, approval_id: ApprovalId) -> None:
    """Create the approved subtasks and release the agent."""
    task, agent = view.task, view.agent
    await unit.handle(task.id, DecomposeTask(approval_id=approval_id))
    for part in task.proposed_subtasks:
        spec = subtask_spec(task, part.title, part.description, priority=part.priority, agent_type=part.agent_type)
        await unit.handle(part.task_id, CreateTask(task_id=part.task_id, spec=spec))
    if agent is not None and agent.current_task_id == task.id:
        await unit.handle(agent.id, ReleaseAgent(task_id=task.id, outcome=TaskOutcome.UNASSIGNED))


async def _revise(runtime: Runtime, unit: UnitOfWork, view: View, approval: Approval) -> None:
    feedback = approval.feedback or ""
    name = "plan_follow_up" if approval.kind is ApprovalKind.PLAN else "follow_up"
    prompt = await _prompt(runtime, view, name, feedback=feedback, proposal=approval.proposed_solution)
    await _request_follow_up(runtime, unit, view, feedback, prompt)


async def _prompt(runtime: Runtime, view: View, name: str, **known: Any) -> str:
    variables = view.execution.plan.variables if view.execution else {}
    return await runtime.prompts.make(name, view.task, variables, **known)


async def _request_follow_up(runtime: Runtime, unit: UnitOfWork, view: View, feedback: str, prompt: str) -> None:
    """Have the agent continue: in the execution that is in review, or else in a new one."""
    execution, agent = view.execution, view.agent
    if execution is not None and execution.status is ExecutionStatus.REVIEW:
        await unit.handle(execution.id, RequestFollowUp(feedback=feedback, prompt=prompt))
        return
    if execution is not None and not execution.final:
        return  # the agent continues where it waited, and reads the decision
    if agent is None or view.workspace is None:
        return  # an agent outside AURA proposed it, and will read the decision
    session_id, plan = (None, RunPlan()) if execution is None else continuation_of(execution)
    variant = execution.variant if execution is not None else agent.variant or None
    await queue(runtime, unit, view.task, agent, prompt, plan, session_id=session_id, variant=variant)


async def fail_dependent(runtime: Runtime, view: View) -> None:
    """Fail a task whose dependency has failed or was cancelled."""
    lost = next(task for task in view.unmet if task.ended)
    failure = Failure(
        FailureReason.DEPENDENCY_FAILED, f"it waits for task {lost.id} ({lost.title}), which is {lost.status}"
    )
    async with runtime.bus.unit(ENGINE) as unit:
        await _give_up(unit, view, failure)


async def give_up(runtime: Runtime, view: View, error: AuraError) -> None:
    """Ask a human about finished work that something keeps from being reviewed or merged; nothing runs again for it.

    Fails a task whose work is not done, or is gone with its repository or its worktree.
    """
    workspace = view.workspace
    obstacle = isinstance(error, GitError) and not isinstance(error, NotARepository)
    if obstacle and workspace is not None and is_done(view, workspace):
        await ask_about(runtime, view, workspace, files_of(workspace, error), f"The work waits: {error}", TRY_AGAIN)
        return
    reason = FailureReason.STAGE_ERROR
    if isinstance(error, GitError | WorkspaceError):
        reason = FailureReason.WORKSPACE_ERROR
    elif isinstance(error, TemplateError):
        reason = FailureReason.REFUSED
    async with runtime.bus.unit(ENGINE) as unit:
        await _give_up(unit, view, Failure(reason, str(error)))


async def _give_up(unit: UnitOfWork, view: View, failure: Failure) -> None:
    if view.execution is not None and view.execution.running:
        await unit.handle(view.execution.id, FailExecution(failure=failure))
    await unit.handle(view.task.id, FailTask(failure=failure))


# --- Merging ----------------------------------------------------------------------------------------------------------


async def complete(runtime: Runtime, view: View) -> None:
    """Complete a task with nothing to merge: it changed nothing, or it worked in place."""
    task, execution = _parts(view)
    async with runtime.bus.unit(ENGINE) as unit:
        await _complete(
            unit, task, execution, {"changed_files": execution.outcome.changed_files if execution.outcome else 0}
        )


async def _complete(unit: UnitOfWork, task: Task, execution: Execution, result: dict[str, Any]) -> None:
    await unit.handle(execution.id, CompleteExecution())
    await complete_whole(unit, await unit.handle(task.id, CompleteTask(result=result)))


async def merge(runtime: Runtime, view: View) -> None:
    """Merge the work into its targets; if that is not possible, ask a human."""
    task, execution = _parts(view)
    workspace = view.workspace
    assert workspace is not None, "the work is in a workspace"
    if workspace.status is not WorkspaceStatus.MERGING:
        await save(runtime, workspace, SnapshotReason.MERGE)
        if is_news(workspace, await _collect(runtime, workspace)):
            return  # look again: changes that need a review are not merged without one
        async with runtime.bus.unit(ENGINE) as unit:
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
        if error.transient or isinstance(error, NotARepository):
            raise  # the target has moved, or no worker is connected: merge again
        await ask_about(runtime, view, workspace, files_of(workspace, error), one_line(f"{error}"), TRY_AGAIN)
        return
    if merged.conflicts:
        trees = ", ".join(tree.path for tree in workspace.worktrees)
        remedy = f"Resolve it on {workspace.branch} (in {trees}) and approve, or {REJECT}."
        text = _conflict_text(workspace, merged.conflicts)
        await ask_about(runtime, view, workspace, merged.conflicts, text, remedy)
        return
    async with runtime.bus.unit(ENGINE) as unit:
        if merged.commits:
            await unit.handle(workspace.id, RecordMerge(commits=merged.commits))
        else:
            await unit.handle(workspace.id, AbandonMerge(reason="the target has it already"))
        commits = {commit.repository: commit.commit for commit in merged.commits}
        changed = execution.outcome.changed_files if execution.outcome else 0
        await _complete(unit, task, execution, {"changed_files": changed, "merged": commits})


def _merge_message(view: View) -> str:
    task, workspace = view.task, view.workspace
    assert workspace is not None, "the work is in a workspace"
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
    task, execution = _parts(view)
    workspace, approval = view.workspace, view.conflict
    assert workspace is not None, "the conflict is in a workspace"
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
    async with runtime.bus.unit(ENGINE) as unit:
        await unit.handle(workspace.id, AbandonMerge(reason=approval.feedback or str(approval.status)))
        if approval.feedback is None:
            failure = Failure(FailureReason.CONFLICT, f"the conflict was not resolved: {approval.status}")
            await _give_up(unit, view, failure)
            return
        targets = {r.name: r.target_branch for r in workspace.repositories}
        prompt = await _prompt(
            runtime,
            view,
            "conflict",
            feedback=approval.feedback,
            conflicts=[
                {"repository": files.repository, "target": targets.get(files.repository, ""), "paths": files.paths}
                for files in workspace.conflicts
            ],
        )
        await unit.handle(workspace.id, taken)
        await unit.handle(task.id, UnblockTask(resolution=approval.feedback))
        await unit.handle(execution.id, RequestFollowUp(feedback=approval.feedback, prompt=prompt))
