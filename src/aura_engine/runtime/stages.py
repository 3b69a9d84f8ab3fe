"""Stages: the work of an execution up to its review. Each function performs one repeatable step."""

from datetime import datetime, timedelta

import msgspec

from aura_contracts.actors import ENGINE, WORKER
from aura_contracts.approval import APPROVAL, ApprovalStatus
from aura_contracts.errors import AuraError, InvalidInput, Recovery
from aura_contracts.execution import (
    CODING,
    EXECUTION,
    AgentResult,
    Execution,
    ExecutionStatus,
    FailExecution,
    FinishCleanup,
    FinishCoding,
    FinishPreparation,
    FinishSetup,
    LoseWorker,
    Outcome,
    RecordProcessStart,
    Report,
    RetryStage,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ExecutionId, lease_of
from aura_contracts.lease import RecordProcess, RevokeLease
from aura_contracts.ports.workspaces import CollectedWork
from aura_contracts.quoting import bounded
from aura_contracts.run_plan import Script
from aura_contracts.workspace import (
    AcquireWorkspace,
    RecordCommit,
    RecordPreparation,
    RecordPreparationFailure,
    RecreateWorkspace,
    SnapshotReason,
    Workspace,
    WorkspaceStatus,
)
from aura_engine.agent_results import read_result
from aura_engine.decomposition_plan import read_plan
from aura_engine.permissions.delivery import answer_decided
from aura_engine.permissions.questions import withdraw_all
from aura_engine.runtime.attempts import stage_failure
from aura_engine.runtime.collection import collect, differs, is_news
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.copies import save
from aura_engine.runtime.entries import record_entries
from aura_engine.runtime.failures import failure_from_error
from aura_engine.runtime.processes import agent_work, exit_report, start_request
from aura_engine.runtime.project_context import context_report
from aura_engine.runtime.proposals import last_message
from aura_engine.runtime.reverts import run_revert
from aura_engine.runtime.views import View, spec_of
from aura_engine.runtime.worktrees import inspect_worktrees
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol import messages
from aura_worker_protocol.messages import AgentWork, AwaitProcess, ForgetProcess, InterruptProcess, ProcessFinished

INTERRUPTED = Failure(FailureReason.CANCELLED, "it was interrupted")


# --- Before the work --------------------------------------------------------------------------------------------------


async def prepare(runtime: Runtime, view: View) -> None:
    """Have the worktrees created, and acquire them for this execution."""
    execution, workspace = view.working()
    replacing = await _over(runtime, workspace, execution)
    if workspace.status in {WorkspaceStatus.FAILED, WorkspaceStatus.REMOVED}:
        again = RecreateWorkspace(reason="it is needed again", dirty=False)
        workspace = await runtime.bus.handle(ENGINE, workspace.id, again)
    try:
        made = await runtime.gateway.request(messages.PrepareWorkspace(workspace=spec_of(workspace)))
        if workspace.status is not WorkspaceStatus.REQUESTED:
            await save(runtime, workspace, SnapshotReason.RETRY)
        context = await context_report(runtime, view.task, execution, made)
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        await _preparation_failed(runtime, execution, workspace, error)
        return
    async with runtime.bus.unit(WORKER) as unit:
        if workspace.status is WorkspaceStatus.REQUESTED:
            assert runtime.gateway.worker_id is not None, "the worker has just answered"
            prepared = RecordPreparation(
                worker_id=runtime.gateway.worker_id,
                root=made.root,
                worktrees=made.worktrees,
                empty_submodules=made.empty_submodules,
            )
            await unit.handle(workspace.id, prepared)
        taken = AcquireWorkspace(execution_id=execution.id, replacing=replacing)
        await unit.handle(workspace.id, taken)
        if (await unit.require(EXECUTION, execution.id)).interrupted:
            await unit.handle(execution.id, stage_failure(runtime, execution, INTERRUPTED))
            return
        if context is not None:
            await unit.handle(execution.id, context)
        finished = FinishPreparation(epoch=execution.epoch, workspace_id=workspace.id)
        await unit.handle(execution.id, finished)
        if execution.plan.setup is None or execution.work_done:
            await unit.handle(execution.id, FinishSetup(epoch=execution.epoch))


async def _over(runtime: Runtime, workspace: Workspace, execution: Execution) -> ExecutionId | None:
    """Return the ended execution that still holds the workspace, if any."""
    if workspace.holder in (None, execution.id):
        return None
    assert workspace.holder is not None, "None is among those above"
    holder = await runtime.bus.get(EXECUTION, workspace.holder)
    return workspace.holder if holder is None or holder.final else None


async def _preparation_failed(runtime: Runtime, execution: Execution, workspace: Workspace, error: AuraError) -> None:
    failure, facts = failure_from_error(error), error.facts()
    async with runtime.bus.unit(WORKER) as unit:
        if workspace.status is WorkspaceStatus.REQUESTED:
            said = RecordPreparationFailure(
                failure=failure,
                cleaned_up=tuple(facts.get("cleaned_up", ())),
                left_behind=tuple(facts.get("left_behind", ())),
            )
            await unit.handle(workspace.id, said)
        await unit.handle(execution.id, stage_failure(runtime, execution, failure))


# --- Running processes ------------------------------------------------------------------------------------------------


async def run_setup(runtime: Runtime, view: View) -> None:
    """Run the setup script."""
    execution = view.require_execution()
    finished = await run_process(runtime, view, script=execution.plan.setup)
    if finished is not None:
        await _record_end(runtime, view, finished, FinishSetup(epoch=execution.epoch))


async def run_agent(runtime: Runtime, view: View) -> None:
    """Run the agent, commit what it changed, and count it."""
    execution, workspace = view.working()
    if execution.plan.reverts:
        await run_revert(runtime, view)
        return
    if execution.work_done and execution.outcome is None:
        await _collect_earlier(runtime, view)
        return
    finished = await run_process(runtime, view, agent=await agent_work(runtime, view))
    if finished is None:
        return
    message = await last_message(runtime.bus, execution.id, finished.entries)
    result = None if execution.plan.decomposes else read_result(message)
    finished = _with_error(finished, result)
    if execution.plan.decomposes:
        finished = _with_plan(finished, message)
    if finished.failure is not None:
        await _record_end(runtime, view, finished, None)
        return
    collected = await collect(runtime, view, f"By {execution.executor}.")
    if not isinstance(collected, CollectedWork):
        await _record_end(runtime, view, finished, collected)
        return
    changed = execution.has_work or differs(workspace, execution, collected)
    outcome = collected.outcome if changed else Outcome(changed_files=0)
    if finished.blocked and not changed and not view.planning:
        denied = Failure(FailureReason.PERMISSION_DENIED, finished.blocked)
        await _record_end(runtime, view, msgspec.structs.replace(finished, failure=denied), None)
        return
    empty = collected.empty_folders
    done = FinishCoding(epoch=execution.epoch, outcome=outcome, result=result, empty_folders=empty)
    await _record_end(runtime, view, finished, done, collected)


def _with_error(finished: ProcessFinished, result: AgentResult | None) -> ProcessFinished:
    """Return the end of an agent, which is a failure if the agent says so."""
    if finished.failure is not None or result is None or result.error is None:
        return finished
    failed = Failure(FailureReason.AGENT_ERROR, bounded(f"the agent reports: {result.error}"))
    return msgspec.structs.replace(finished, failure=failed)


def _with_plan(finished: ProcessFinished, message: str) -> ProcessFinished:
    """Return the end of an agent, which is a failure unless its last message holds a valid plan."""
    if finished.failure is not None:
        return finished
    try:
        read_plan(message, lambda: "")
    except InvalidInput as error:
        failed = Failure(FailureReason.AGENT_ERROR, bounded(f"its plan is not valid: {error}"))
        return msgspec.structs.replace(finished, failure=failed)
    return finished


async def _collect_earlier(runtime: Runtime, view: View) -> None:
    """Commit and count what an agent changed in an execution that failed after it; the agent does not run."""
    execution, workspace = view.working()
    collected = await collect(runtime, view, f"By {execution.executor}.")
    async with runtime.bus.unit(WORKER) as unit:
        if not isinstance(collected, CollectedWork):
            await unit.handle(execution.id, collected)
            return
        if is_news(workspace, collected):
            await unit.handle(workspace.id, RecordCommit(heads=collected.heads, clean=collected.clean))
        await unit.handle(execution.id, FinishCoding(epoch=execution.epoch, outcome=collected.outcome))


async def interrupt_unstarted(runtime: Runtime, view: View) -> None:
    """Record that an agent was interrupted before it was started."""
    execution = view.require_execution()
    await runtime.bus.handle(WORKER, execution.id, stage_failure(runtime, execution, INTERRUPTED))


async def run_cleanup(runtime: Runtime, view: View) -> None:
    """Run the cleanup script, if there is one, and commit what it changed."""
    execution = view.require_execution()
    done = FinishCleanup(epoch=execution.epoch)
    if execution.plan.cleanup is None:
        await runtime.bus.handle(WORKER, execution.id, done)
        return
    finished = await run_process(runtime, view, script=execution.plan.cleanup)
    if finished is None:
        return
    if finished.failure is not None:
        await _record_end(runtime, view, finished, None)
        return
    collected = await collect(runtime, view, "Cleanup.")
    if isinstance(collected, CollectedWork):
        await _record_end(runtime, view, finished, done, collected)
    else:
        await _record_end(runtime, view, finished, collected)


async def run_process(
    runtime: Runtime, view: View, *, script: Script | None = None, agent: AgentWork | None = None
) -> ProcessFinished | None:
    """Start the process of this stage, or find it running or ended; return how it ended, its output recorded.

    Returns None if it could not be started, after recording that as the failure of the stage."""
    execution, workspace = view.working()
    gateway, token = runtime.gateway, str(execution.process_token)
    await gateway.require_grant(execution)  # one that is over could be a process that has ended and is forgotten
    gateway.known.add(token)  # if cancelled before its start is recorded, it is still found and ended
    try:
        await _bring_back(runtime, execution, workspace)
        request = await start_request(runtime, view, execution, script=script, agent=agent)
        started = await gateway.request(request)
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        await runtime.bus.handle(WORKER, execution.id, stage_failure(runtime, execution, failure_from_error(error)))
        return None
    async with runtime.bus.unit(WORKER) as unit:
        record = RecordProcessStart(epoch=execution.epoch, process=started.process)
        recorded = await unit.handle(execution.id, record)
        process = RecordProcess(epoch=execution.epoch, process=started.process.identity)
        await unit.handle(lease_of(execution.id), process)
    if recorded.interrupted:  # perhaps requested before there was a process to interrupt
        await gateway.request(InterruptProcess(token=token, reason="requested"))
    elif agent is not None:
        await answer_decided(gateway, execution, token)
    awaited = AwaitProcess(execution_id=execution.id, epoch=execution.epoch, token=token)
    return await gateway.request(awaited)


async def _bring_back(runtime: Runtime, execution: Execution, workspace: Workspace) -> None:
    """Make worktrees again that have gone since the stage before: while a human was asked, or between two attempts."""
    has_waited = execution.status is ExecutionStatus.CODING_FOLLOW_UP or execution.attempt > 1
    if workspace.in_place or not has_waited or execution.processes:
        return
    if (await inspect_worktrees(runtime, workspace)).missing:
        await runtime.gateway.request(messages.PrepareWorkspace(workspace=spec_of(workspace)))


async def _record_end(
    runtime: Runtime,
    view: View,
    finished: ProcessFinished,
    done: Report | FailExecution | None,
    collected: CollectedWork | None = None,
) -> None:
    """Record the end of a process with its consequences in one append; then forget its files."""
    execution, workspace = view.working()
    async with runtime.bus.unit(WORKER) as unit:
        current = await unit.require(EXECUTION, execution.id)
        if any(process.identity.token == finished.exit.token for process in current.processes):
            about = (execution.id, execution.epoch, finished.exit.token, finished.entries)
            await record_entries(unit, *about, runtime.gateway.reviewers)
            await unit.handle(execution.id, exit_report(execution, finished.exit))
        failure = finished.failure
        if current.final:  # cancelled meanwhile: only the account is settled
            failure = done = None
        elif failure is None and execution.status in CODING:  # including questions of processes that died before
            await withdraw_all(unit, execution.task_id, "the agent has ended without waiting for it")
        if failure is not None and failure.reason is FailureReason.WORKER_LOST:
            await _lose(unit, execution, failure)
        elif failure is not None:
            denied = failure.reason is FailureReason.PERMISSION_DENIED
            answer_by = await _answer_by(runtime, unit, execution) if denied else None
            report = stage_failure(runtime, execution, failure)
            await unit.handle(execution.id, msgspec.structs.replace(report, answer_by=answer_by))
        elif done is not None:
            if collected is not None and is_news(workspace, collected):
                commit = RecordCommit(heads=collected.heads, clean=collected.clean)
                await unit.handle(workspace.id, commit)
            await unit.handle(execution.id, done)
    await runtime.gateway.request(ForgetProcess(token=finished.exit.token))
    runtime.gateway.known.discard(finished.exit.token)


async def _answer_by(runtime: Runtime, unit: UnitOfWork, execution: Execution) -> datetime | None:
    """Return the deadline of the question that the agent gave up, None if it gave up none.

    It is open, or was allowed too late for the agent to hear of it.
    """
    question = (await unit.require(EXECUTION, execution.id)).open_question
    approval = None if question is None else await unit.get(APPROVAL, question)
    if approval is None or not (approval.status is ApprovalStatus.PENDING or approval.granted):
        return None
    return approval.deadline or unit.bus.clock() + timedelta(seconds=runtime.policies.waiting.answer_within)


async def _lose(unit: UnitOfWork, execution: Execution, failure: Failure) -> None:
    lease_id = lease_of(execution.id)
    await unit.handle(lease_id, RevokeLease(reason=failure.message))
    await unit.handle(execution.id, LoseWorker(epoch=execution.epoch))


# --- Retrying ---------------------------------------------------------------------------------------------------------


async def retry_stage(runtime: Runtime, view: View) -> None:
    """Retry the failed stage, after saving uncommitted work of the last attempt."""
    execution, workspace = view.working()
    if execution.interrupted:
        await runtime.bus.handle(ENGINE, execution.id, FailExecution(failure=INTERRUPTED))
        return
    if execution.status in (ExecutionStatus.CODING_INITIAL, ExecutionStatus.CODING_FOLLOW_UP):
        try:
            await save(runtime, workspace, SnapshotReason.RETRY)
        except AuraError as error:  # the worktree is gone: the stage will report it
            if error.recovery is Recovery.LATER:
                raise
    await runtime.bus.handle(ENGINE, execution.id, RetryStage())
