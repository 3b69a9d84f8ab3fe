"""Cleanup: release what an execution held, record its failure, remove what is no longer needed."""

from collections.abc import Collection

import attrs

from aura_contracts.actors import ENGINE, WORKER
from aura_contracts.agent import AGENT, ReleaseAgent, TaskOutcome
from aura_contracts.approval import ApprovalStatus, WithdrawApproval
from aura_contracts.errors import AuraError, NotARepository, Recovery, WorkerUnavailable, WorkspaceObstacle
from aura_contracts.execution import CancelExecution, LoseWorker
from aura_contracts.failures import FailureReason
from aura_contracts.ids import AgentId
from aura_contracts.lease import (
    CloseLease,
    DeclareLost,
    LeaseStatus,
    RecordOffline,
    RecordReturn,
    ReleaseLease,
    RevokeLease,
    WorkerLease,
)
from aura_contracts.task import TASK, FailTask, RecordAttemptFailure, StartExecution, Task, TaskStatus
from aura_contracts.workspace import (
    AbandonMerge,
    KeepWorkspace,
    RecordMerge,
    ReleaseWorkspace,
    RemoveWorkspace,
    SnapshotReason,
    UnrecordedKind,
    Workspace,
    WorkspaceStatus,
    unsaved_text,
)
from aura_engine.lock_releases import release as release_locks
from aura_engine.permissions.inquiries import withdraw_inquiries
from aura_engine.permissions.questions import withdraw_all
from aura_engine.runtime.attempts import requeue
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.copies import take_copy
from aura_engine.runtime.merges import end_of_merge
from aura_engine.runtime.processes import end_processes
from aura_engine.runtime.steps import UNMERGED
from aura_engine.runtime.views import View, spec_of
from aura_engine.runtime.worktrees import inspect_worktrees
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol import messages

_OUTCOMES = {
    TaskStatus.COMPLETED: TaskOutcome.COMPLETED,
    TaskStatus.FAILED: TaskOutcome.FAILED,
    TaskStatus.CANCELLED: TaskOutcome.CANCELLED,
    TaskStatus.PENDING: TaskOutcome.UNASSIGNED,
}


# --- The worker -------------------------------------------------------------------------------------------------------


async def record_offline(runtime: Runtime, view: View) -> None:
    """Record that the worker of a lease has been silent for too long."""
    lease = view.lease
    assert lease is not None, "a worker is offline for a lease"
    last_seen = lease.last_seen or lease.granted_at
    await runtime.bus.handle(ENGINE, lease.id, RecordOffline(epoch=lease.epoch, last_seen=last_seen))


async def record_return(runtime: Runtime, view: View) -> None:
    """Record that the worker of a lease is back."""
    lease, gateway = view.lease, runtime.gateway
    assert lease is not None, "a worker returns to a lease"
    if gateway.worker_id is None or gateway.identity is None:
        raise WorkerUnavailable(reason="no worker is connected")
    back = RecordReturn(
        epoch=lease.epoch, worker_id=gateway.worker_id, identity=gateway.identity, process=lease.process
    )
    await runtime.bus.handle(ENGINE, lease.id, back)


async def lose_worker(runtime: Runtime, view: View) -> None:
    """Declare the worker lost, and with it the execution it was running."""
    execution, lease = view.require_execution(), view.lease
    async with runtime.bus.unit(ENGINE) as unit:
        if lease is not None and lease.status is LeaseStatus.OFFLINE:
            await unit.handle(lease.id, DeclareLost(epoch=lease.epoch))
        await unit.handle(execution.id, LoseWorker(epoch=execution.epoch))


# --- The execution ----------------------------------------------------------------------------------------------------


async def cancel_execution(runtime: Runtime, view: View) -> None:
    """Cancel an execution whose task has ended; one that no worker was given also releases its agent."""
    cancel = CancelExecution(reason=f"the task is {view.task.status}")
    async with runtime.bus.unit(ENGINE) as unit:
        await unit.handle(view.require_execution().id, cancel)
        if not view.leased:
            await _release_agent(unit, view)


async def _release_agent(unit: UnitOfWork, view: View) -> None:
    """Release the agent of a task that it is done with, if it still has it."""
    if view.agent is not None and view.agent.has(view.task.id):
        outcome = _OUTCOMES.get(view.task.status, TaskOutcome.CANCELLED)
        await unit.handle(view.agent.id, ReleaseAgent(task_id=view.task.id, outcome=outcome))


async def release(runtime: Runtime, view: View) -> None:
    """End running processes, release lease, workspace, locks and agent, and withdraw open questions."""
    execution = view.require_execution()
    await end_processes(runtime, view)
    if view.leased:
        await runtime.gateway.outputs.close(execution.id)
    runtime.gateway.forget(execution.id)
    over, workspace = view.given_up, view.workspace
    merge_end: RecordMerge | AbandonMerge | None = None
    if workspace is not None and over and workspace.status in UNMERGED:
        merge_end = await end_of_merge(runtime, workspace, f"the task is {view.task.status}")
    async with runtime.bus.unit(ENGINE) as unit:
        if view.lease is not None and view.lease.status is not LeaseStatus.CLOSED:
            await _give_back(runtime, unit, view.lease, f"the execution is {execution.status}")
            await unit.handle(view.lease.id, CloseLease())
        if workspace is not None and workspace.holder == execution.id:
            await unit.handle(workspace.id, ReleaseWorkspace(execution_id=execution.id))
        if workspace is not None and merge_end is not None:
            await unit.handle(workspace.id, merge_end)
        if view.claim is not None and not (task := await unit.require(TASK, view.task.id)).in_hand:
            await release_locks(unit, task)
        if over:
            await withdraw_questions(unit, view, f"the task is {view.task.status}")
            await _release_agent(unit, view)


async def withdraw_questions(unit: UnitOfWork, view: View, reason: str) -> None:
    """Withdraw every open question about a task that its agent is done with: no one waits for the answers any more."""
    for approval in (view.approval, view.conflict):
        if approval is not None and approval.status is ApprovalStatus.PENDING:
            await unit.handle(approval.id, WithdrawApproval(reason=reason))
    await withdraw_inquiries(unit, view.task.id, reason)
    await withdraw_all(unit, view.task.id, reason)


async def _give_back(runtime: Runtime, unit: UnitOfWork, lease: WorkerLease, reason: str) -> None:
    worker_id = runtime.gateway.worker_id
    if lease.status is LeaseStatus.HELD and lease.worker_id == worker_id and worker_id is not None:
        await unit.handle(lease.id, ReleaseLease(epoch=lease.epoch, worker_id=worker_id))
    elif lease.status is not LeaseStatus.FREE:
        await unit.handle(lease.id, RevokeLease(reason=reason))


async def record_failure(runtime: Runtime, view: View) -> None:
    """Record on the task that its execution failed; if only the worker was lost, schedule another execution."""
    execution, task = view.require_execution(), view.task
    failure = execution.failure
    assert failure is not None, "a failed execution has a failure"
    working = task.status in (TaskStatus.IN_PROGRESS, TaskStatus.APPROVED)
    async with runtime.bus.unit(ENGINE) as unit:
        if failure.reason is FailureReason.WORKER_LOST and working:
            delay = runtime.delay(task.retry, task.attempts_failed + 1)
            task = await unit.handle(task.id, RecordAttemptFailure(failure=failure, delay=delay))
        else:
            task = await unit.handle(task.id, FailTask(failure=failure))
        if task.ended:  # nothing is left of it that would have another engine look after it
            failed = attrs.evolve(view, task=task)
            await withdraw_questions(unit, failed, "the task has failed")
            await _release_agent(unit, failed)


async def run_again(runtime: Runtime, view: View) -> None:
    """Queue an execution in place of a lost one, with the same workspace and the same agent session."""
    async with runtime.bus.unit(ENGINE) as unit:
        await requeue(runtime, unit, view.task, view.require_execution())


async def start_next(runtime: Runtime, view: View) -> None:
    """Start the run of the agent that the task was reassigned to; the agent before, whose run has ended, is free."""
    task, former = view.task, view.require_execution().agent_id
    assert task.next_execution_id is not None, "the step is one of a task that was reassigned"
    async with runtime.bus.unit(ENGINE) as unit:
        await unit.handle(task.id, StartExecution(execution_id=task.next_execution_id))
        if former is not None:
            await release_former(unit, task, former)


async def release_former(unit: UnitOfWork, task: Task, former: AgentId) -> None:
    """Release the agent that had a reassigned task, unless it has another one by now."""
    agent = await unit.require(AGENT, former)
    if former != task.assigned_agent and agent.has(task.id):
        await unit.handle(former, ReleaseAgent(task_id=task.id, outcome=TaskOutcome.UNASSIGNED))


# --- The workspace ----------------------------------------------------------------------------------------------------


async def clear_workspace(runtime: Runtime, view: View) -> None:
    """Remove worktrees whose contents exist elsewhere; anything left in them is saved first.

    Ignored files that no safety copy takes do not keep the worktree of a run with a setup script, which makes them.
    """
    workspace, execution = view.require_workspace(), view.execution
    needless = view.task.status is TaskStatus.COMPLETED or not workspace.worktrees
    made = frozenset({UnrecordedKind.IGNORED} if execution is not None and execution.plan.setup is not None else ())
    try:
        await remove(runtime, workspace, f"the task is {view.task.status}", delete_branch=needless, discard=made)
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        # It holds what no copy can, it is locked, or the repository is gone. This is recorded; a human decides.
        await runtime.bus.handle(ENGINE, workspace.id, _given_up(workspace, error))


def _given_up(workspace: Workspace, error: AuraError) -> KeepWorkspace | RemoveWorkspace:
    if workspace.status is WorkspaceStatus.READY:
        return KeepWorkspace(reason=str(error))
    return RemoveWorkspace(dirty=False, reason="abandoned: its files could not be removed")


async def remove(
    runtime: Runtime,
    workspace: Workspace,
    reason: str,
    *,
    delete_branch: bool,
    discard: Collection[UnrecordedKind] = (),
) -> None:
    """Save what no commit holds, remove the files, then record it; after a crash, all of it is repeated.

    Raises `WorkspaceObstacle`, and removes nothing, if a safety copy cannot hold all of it but what `discard` names.
    """
    if workspace.worktrees and not workspace.in_place:
        found = await inspect_worktrees(runtime, workspace)
        if found.dirty or found.unrecorded:
            await _save_all(runtime, workspace, discard)
    removal = messages.RemoveWorktrees(workspace=spec_of(workspace), delete_branch=delete_branch)
    await runtime.gateway.request(removal)
    await runtime.bus.handle(ENGINE, workspace.id, RemoveWorkspace(dirty=False, reason=reason))


async def _save_all(runtime: Runtime, workspace: Workspace, discard: Collection[UnrecordedKind]) -> None:
    """Take a safety copy of all in the worktrees. Raises `WorkspaceObstacle` if it lacks more than `discard` names."""
    try:
        saved = await take_copy(runtime, workspace.id, SnapshotReason.REMOVE, WORKER, whole=True)
    except NotARepository as error:
        if set(UnrecordedKind) - set(discard):
            raise _not_removed(workspace, f"no safety copy can be made: {error}") from error
        return
    if left_out := [one for one in saved.snapshots[-1].left_out if one.kind not in discard]:
        raise _not_removed(workspace, unsaved_text(left_out))


def _not_removed(workspace: Workspace, reason: str) -> WorkspaceObstacle:
    return WorkspaceObstacle(
        workspace_id=workspace.id,
        path=workspace.root,
        reason=reason,
        remedy=f"take what you need from it, then: aura workspace clean {workspace.id} --discard",
    )
