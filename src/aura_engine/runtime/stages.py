"""Stages: the work of an execution up to its review. Each function performs one repeatable step."""

import anyio
import msgspec
from msgspec.structs import replace

from aura_contracts.actors import ENGINE, WORKER
from aura_contracts.approval import APPROVAL, ApprovalStatus
from aura_contracts.errors import AuraError, ExecutableNotFound, GitError, InvalidInput, NotARepository
from aura_contracts.execution import (
    CODING,
    EXECUTION,
    Execution,
    ExecutionStatus,
    Exit,
    FailExecution,
    FinishCleanup,
    FinishCoding,
    FinishPreparation,
    FinishSetup,
    LoseWorker,
    Outcome,
    RecordProcessExit,
    RecordProcessStart,
    RecordStageFailure,
    Report,
    RetryStage,
    Script,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ExecutionId
from aura_contracts.lease import RecordProcess, RevokeLease
from aura_contracts.ports.processes import ProcessExit
from aura_contracts.quoting import bounded, one_line
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
from aura_engine.permissions.delivery import answer_decided
from aura_engine.permissions.questions import withdraw_all
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.copies import save
from aura_engine.runtime.entries import record_entries
from aura_engine.runtime.session_replay import beginning_of, prompt_of
from aura_engine.runtime.session_usage import session_usage
from aura_engine.runtime.views import View, lease_of, spec_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol import messages
from aura_worker_protocol.messages import (
    AgentWork,
    AwaitProcess,
    ForgetProcess,
    InterruptProcess,
    ProcessFinished,
    StartProcess,
)

_COLLECT_PAUSES = (0.1, 0.5, 2.0)
"""Seconds between attempts to commit the work of an agent that has ended."""

INTERRUPTED = Failure(FailureReason.CANCELLED, "it was interrupted")


def _running(view: View) -> tuple[Execution, Workspace]:
    assert view.execution is not None, "a stage is one of an execution"
    assert view.workspace is not None, "an execution is queued together with its workspace"
    return view.execution, view.workspace


# --- Before the work --------------------------------------------------------------------------------------------------


async def prepare(runtime: Runtime, view: View) -> None:
    """Have the worktrees created, and acquire them for this execution."""
    execution, workspace = _running(view)
    replacing = await _over(runtime, workspace, execution)
    if workspace.status in {WorkspaceStatus.FAILED, WorkspaceStatus.REMOVED}:
        again = RecreateWorkspace(reason="it is needed again", dirty=False)
        workspace = await runtime.bus.handle(ENGINE, workspace.id, again)
    try:
        made = await runtime.gateway.request(messages.PrepareWorkspace(workspace=spec_of(workspace)))
        if workspace.status is not WorkspaceStatus.REQUESTED:
            await save(runtime, workspace, SnapshotReason.RETRY)
    except AuraError as error:
        if error.transient:
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
            await unit.handle(execution.id, _stage_failure(runtime, execution, INTERRUPTED))
            return
        finished = FinishPreparation(epoch=execution.epoch, workspace_id=workspace.id)
        await unit.handle(execution.id, finished)
        if execution.plan.setup is None:
            await unit.handle(execution.id, FinishSetup(epoch=execution.epoch))


async def _over(runtime: Runtime, workspace: Workspace, execution: Execution) -> ExecutionId | None:
    """Return the ended execution that still holds the workspace, if any."""
    if workspace.holder in (None, execution.id):
        return None
    assert workspace.holder is not None, "None is among those above"
    holder = await runtime.bus.get(EXECUTION, workspace.holder)
    return workspace.holder if holder is None or holder.final else None


async def _preparation_failed(runtime: Runtime, execution: Execution, workspace: Workspace, error: AuraError) -> None:
    failure = Failure(FailureReason.WORKSPACE_ERROR, str(error), lasting=error.lasting)
    facts = error.facts()
    async with runtime.bus.unit(WORKER) as unit:
        if workspace.status is WorkspaceStatus.REQUESTED:
            said = RecordPreparationFailure(
                failure=failure,
                cleaned_up=tuple(facts.get("cleaned_up", ())),
                left_behind=tuple(facts.get("left_behind", ())),
            )
            await unit.handle(workspace.id, said)
        await unit.handle(execution.id, _stage_failure(runtime, execution, failure))


# --- Running processes ------------------------------------------------------------------------------------------------


async def run_setup(runtime: Runtime, view: View) -> None:
    """Run the setup script."""
    execution, _ = _running(view)
    finished = await run_process(runtime, view, script=execution.plan.setup)
    if finished is not None:
        await _record_end(runtime, view, finished, FinishSetup(epoch=execution.epoch))


async def run_agent(runtime: Runtime, view: View) -> None:
    """Run the agent, commit what it changed, and count it."""
    execution, workspace = _running(view)
    begun, since = await beginning_of(runtime.bus, execution.id)
    work = AgentWork(
        executor=execution.executor,
        prompt=await prompt_of(runtime, view, begun, since),
        options=view.agent.options if view.agent is not None else {},
        session_id=begun.session_id,
        fork=begun.fork,
        session_usage=await session_usage(runtime.reads, begun),
        task_id=execution.task_id if execution.plan.tools else None,
        review=str(view.task.approval_mode),
    )
    finished = await run_process(runtime, view, agent=work)
    if finished is None:
        return
    if finished.failure is not None:
        await _record_end(runtime, view, finished, None)
        return
    collected = await _collect(runtime, view, finished, f"{one_line(workspace.title)}\n\nBy {execution.executor}.")
    if collected is None:
        return
    changed = _differs(workspace, execution, collected)
    outcome = collected.outcome if changed else Outcome(changed_files=0)
    if finished.blocked and not changed and not view.planning:
        denied = Failure(FailureReason.PERMISSION_DENIED, finished.blocked)
        await _record_end(runtime, view, msgspec.structs.replace(finished, failure=denied), None)
        return
    await _record_end(runtime, view, finished, FinishCoding(epoch=execution.epoch, outcome=outcome), collected)


async def interrupt_unstarted(runtime: Runtime, view: View) -> None:
    """Record that an agent was interrupted before it was started."""
    execution, _ = _running(view)
    await runtime.bus.handle(WORKER, execution.id, _stage_failure(runtime, execution, INTERRUPTED))


async def run_cleanup(runtime: Runtime, view: View) -> None:
    """Run the cleanup script, if there is one, and commit what it changed."""
    execution, workspace = _running(view)
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
    collected = await _collect(runtime, view, finished, f"{one_line(workspace.title)}\n\nCleanup.")
    if collected is not None:
        await _record_end(runtime, view, finished, done, collected)


async def run_process(
    runtime: Runtime, view: View, *, script: Script | None = None, agent: AgentWork | None = None
) -> ProcessFinished | None:
    """Start the process of this stage, or find it running or ended; return how it ended, its output recorded.

    Returns None if it could not be started, after recording that as the failure of the stage."""
    execution, workspace = _running(view)
    gateway, token = runtime.gateway, str(execution.process_token)
    await gateway.require_grant(execution)  # one that is over could be a process that has ended and is forgotten
    gateway.known.add(token)  # if cancelled before its start is recorded, it is still found and ended
    try:
        await _bring_back(runtime, execution, workspace)
        started = await gateway.request(
            StartProcess(
                execution_id=execution.id,
                epoch=execution.epoch,
                token=token,
                stage=str(execution.status),
                directory=workspace.directory,
                next_record=await gateway.outputs.next(execution.id),
                plan=execution.plan,
                script=script,
                agent=agent,
                grace=runtime.grace,
            )
        )
    except AuraError as error:
        if error.transient:
            raise
        failure = Failure(_reason_of(error), str(error), lasting=error.lasting)
        await runtime.bus.handle(WORKER, execution.id, _stage_failure(runtime, execution, failure))
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
    spec = spec_of(workspace)
    found = await runtime.gateway.request(messages.InspectWorkspace(workspace=spec))
    if found.condition.missing:
        await runtime.gateway.request(messages.PrepareWorkspace(workspace=spec))


def _reason_of(error: AuraError) -> FailureReason:
    """Return why a process that did not even start failed."""
    if isinstance(error, ExecutableNotFound):
        return FailureReason.EXECUTABLE_NOT_FOUND
    if error.code in {"working_directory_missing", "workspace", "workspace_obstacle", "not_a_repository"}:
        return FailureReason.WORKSPACE_ERROR
    if isinstance(error, InvalidInput) or error.code in {"unknown_executor", "template"}:
        return FailureReason.REFUSED
    return FailureReason.STAGE_ERROR


async def _record_end(
    runtime: Runtime,
    view: View,
    finished: ProcessFinished,
    done: Report | FailExecution | None,
    collected: messages.WorkCollected | None = None,
) -> None:
    """Record the end of a process with its consequences in one append; then forget its files."""
    execution, workspace = _running(view)
    async with runtime.bus.unit(WORKER) as unit:
        current = await unit.require(EXECUTION, execution.id)
        if any(process.identity.token == finished.exit.token for process in current.processes):
            about = (execution.id, execution.epoch, finished.exit.token, finished.entries)
            await record_entries(unit, *about, runtime.gateway.reviewers)
            await unit.handle(execution.id, _exit_report(execution, finished.exit))
        failure = finished.failure
        if current.final:  # cancelled meanwhile: only the account is settled
            failure = done = None
        elif failure is None and execution.status in CODING:  # including questions of processes that died before
            await withdraw_all(unit, execution.task_id, "the agent has ended without waiting for it")
        if failure is not None and failure.reason is FailureReason.WORKER_LOST:
            await _lose(unit, execution, failure)
        elif failure is not None:
            denied = failure.reason is FailureReason.PERMISSION_DENIED
            unanswered = denied and await _is_unanswered(unit, execution)
            report = _stage_failure(runtime, execution, failure)
            await unit.handle(execution.id, msgspec.structs.replace(report, unanswered=unanswered))
        elif done is not None:
            if collected is not None and is_news(workspace, collected):
                commit = RecordCommit(heads=collected.heads, clean=collected.clean)
                await unit.handle(workspace.id, commit)
            await unit.handle(execution.id, done)
    await runtime.gateway.request(ForgetProcess(token=finished.exit.token))
    runtime.gateway.known.discard(finished.exit.token)


async def _is_unanswered(unit: UnitOfWork, execution: Execution) -> bool:
    """Whether the agent gave up its last question: it is open, or was allowed too late for the agent to hear of it."""
    question = (await unit.require(EXECUTION, execution.id)).open_question
    approval = None if question is None else await unit.get(APPROVAL, question)
    return approval is not None and (approval.status is ApprovalStatus.PENDING or approval.granted)


def is_news(workspace: Workspace, collected: messages.WorkCollected) -> bool:
    """Whether a branch has another head than the one recorded last."""
    had = {tree.repository: tree.head for tree in workspace.worktrees}
    return any(had.get(head.repository) != head.commit for head in collected.heads)


async def _lose(unit: UnitOfWork, execution: Execution, failure: Failure) -> None:
    lease_id = lease_of(execution.id)
    await unit.handle(lease_id, RevokeLease(reason=failure.message))
    await unit.handle(execution.id, LoseWorker(epoch=execution.epoch))


def _exit_report(execution: Execution, exit: ProcessExit) -> RecordProcessExit:
    return RecordProcessExit(
        epoch=execution.epoch,
        exit=Exit(
            token=exit.token,
            exit_code=exit.exit_code,
            signal=exit.signal,
            cpu_seconds=exit.cpu_seconds,
            peak_memory=exit.peak_memory,
        ),
    )


def _stage_failure(runtime: Runtime, execution: Execution, failure: Failure) -> RecordStageFailure:
    delay = runtime.delay(execution.retry, execution.attempt)
    told = replace(failure, message=bounded(failure.message))
    return RecordStageFailure(epoch=execution.epoch, failure=told, delay=delay)


# --- Results ---------------------------------------------------------------------------------------------


async def _collect(
    runtime: Runtime, view: View, finished: ProcessFinished, message: str
) -> messages.WorkCollected | None:
    """Commit everything on the branch and count it. Returns None if that failed, recorded as the stage's failure.

    What git refuses is tried again after short pauses; if it still does, the execution fails. It does not retry the
    stage: the work is done, and running the agent again would not remove what is in the way.
    """
    execution, workspace = _running(view)
    request = messages.CollectWork(workspace=spec_of(workspace), message=message)
    for pause in (*_COLLECT_PAUSES, None):
        try:
            return await runtime.gateway.request(request)
        except GitError as error:
            if pause is not None and not error.lasting and not isinstance(error, NotARepository):
                await anyio.sleep(pause)
                continue
            failure = Failure(FailureReason.WORKSPACE_ERROR, str(error), str(execution.status), lasting=error.lasting)
            gone = isinstance(error, NotARepository)
            end = _stage_failure(runtime, execution, failure) if gone else FailExecution(failure=failure)
            await _record_end(runtime, view, finished, end)
            return None
        except AuraError as error:
            if error.transient:
                raise
            failure = Failure(FailureReason.WORKSPACE_ERROR, str(error), lasting=error.lasting)
            await runtime.bus.handle(WORKER, execution.id, _stage_failure(runtime, execution, failure))
            return None
    raise AssertionError("unreachable: the last attempt returns")


def _differs(workspace: Workspace, execution: Execution, collected: messages.WorkCollected) -> bool:
    """Whether the agent has changed anything since its latest start."""
    if workspace.in_place:
        return collected.outcome != execution.outcome
    before = () if execution.outcome is None else execution.outcome.unrecorded
    return is_news(workspace, collected) or collected.outcome.unrecorded != before


async def retry_stage(runtime: Runtime, view: View) -> None:
    """Retry the failed stage, after saving uncommitted work of the last attempt."""
    execution, workspace = _running(view)
    if execution.interrupted:
        await runtime.bus.handle(ENGINE, execution.id, FailExecution(failure=INTERRUPTED))
        return
    if execution.status in (ExecutionStatus.CODING_INITIAL, ExecutionStatus.CODING_FOLLOW_UP):
        try:
            await save(runtime, workspace, SnapshotReason.RETRY)
        except AuraError as error:  # the worktree is gone: the stage will report it
            if error.transient:
                raise
    await runtime.bus.handle(ENGINE, execution.id, RetryStage())
