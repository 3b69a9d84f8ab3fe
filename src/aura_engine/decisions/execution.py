"""Decisions about executions.

Source: specification, "Execution Model", "Remote Worker Model"; "Agent Failures", "Authorization".

Who may do what: the worker that holds the lease (as ``system:``) and the agent of the execution report on it, both
under the current epoch. Humans and AURA steer: follow up, complete, retry, interrupt, cancel.
"""

from datetime import timedelta
from math import isfinite

from msgspec.structs import replace

from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.errors import DomainRule
from aura_contracts.execution import (
    CODING,
    EXECUTION,
    CancelExecution,
    CleanupFinished,
    CodingChangedNothing,
    CodingFinished,
    CompleteExecution,
    ContextRead,
    Execution,
    ExecutionCancelled,
    ExecutionCommandRefused,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionLeased,
    ExecutionQueued,
    ExecutionStatus,
    FailExecution,
    FinishCleanup,
    FinishCoding,
    FinishPreparation,
    FinishSetup,
    FollowUpRequested,
    HumanMessage,
    InterruptRequested,
    LeaseExecution,
    LoseWorker,
    MessageQueued,
    PreparationFinished,
    PreparationStarted,
    ProcessExited,
    ProcessStarted,
    QueueExecution,
    QueueMessage,
    RecordAction,
    RecordContext,
    RecordExecutionRefusal,
    RecordProcessExit,
    RecordProcessStart,
    RecordSession,
    RecordStageFailure,
    RecordUsage,
    Report,
    RequestFollowUp,
    RequestInterrupt,
    RetryStage,
    SessionDropped,
    SessionRecorded,
    SetupFinished,
    StageRetried,
    StageRetryScheduled,
    StartPreparation,
    UsageRecorded,
)
from aura_contracts.failures import Failure, FailureReason
from aura_engine.decisions._decider import (
    DELAY_LIMIT,
    Context,
    Decider,
    Events,
    NotAllowed,
    RuleBroken,
    becomes,
    is_agent,
    is_human,
    is_system,
    no_agent,
    only_system,
    require_agent_type,
    require_limits,
    require_share,
    require_zone,
    retry_problem,
)


def _is_amount(value: float) -> bool:
    """Whether `value` is finite and not negative."""
    return isfinite(value) and value >= 0


def _require_current_epoch(state: Execution, command: Report) -> None:
    """A report counts only under the epoch of the latest grant."""
    if state.lease_id is None:
        raise RuleBroken("no_lease", "no worker has been granted the execution")
    reason = f"the lease is in epoch {state.epoch}, the report came from epoch {command.epoch}"
    if command.epoch < state.epoch:
        remedy = "the worker ends what it still runs of it, or is given the lease again"
        raise RuleBroken(DomainRule.STALE_EPOCH, reason, remedy)
    if command.epoch > state.epoch:
        raise RuleBroken("unknown_epoch", reason, "record the new grant first")


def _require_reporter(state: Execution, command: Report, context: Context) -> None:
    if not (is_agent(context, state.agent_id) or is_system(context)):
        raise NotAllowed("only_worker", "only its worker and its agent report on it", "leave the report to them")
    _require_current_epoch(state, command)


def _require_attempt(state: Execution, command: Report, context: Context) -> None:
    """Results are reported while an attempt runs, not between a failed attempt and the next one."""
    _require_reporter(state, command, context)
    if state.retry_at is not None:
        reason = f"attempt {state.attempt} at {state.status} failed, the next begins at {state.retry_at.isoformat()}"
        raise RuleBroken("retry_pending", reason, "record that the stage is tried again first")


MESSAGE_LIMIT = 100
"""The most messages that wait for an agent at once."""

_no_agent = no_agent("only a human or AURA may")


_only_system = only_system("only AURA may")


# --- Before the run ---------------------------------------------------------------------------------------------------


def _require_own_run(_: None, command: QueueExecution, context: Context) -> None:
    """Agents ask for runs of their own only; humans and AURA may always ask."""
    if actor_kind(context.actor) == "agent" and not is_agent(context, command.spec.agent_id):
        raise NotAllowed("own_runs", "an agent asks for runs of its own only", "ask a human to start the other one")


def _queue(_: None, command: QueueExecution, context: Context) -> Events:
    spec = command.spec
    for name, text in (("executor", spec.executor), ("prompt", spec.prompt)):
        if not text.strip():
            raise RuleBroken(name, f"the {name} is empty")
    require_agent_type(spec.agent_type)
    if problem := retry_problem(spec.retry):
        raise RuleBroken("retry", problem)
    require_limits(spec.plan)
    return [ExecutionQueued(execution_id=command.execution_id, spec=spec)]


def _lease(state: Execution, command: LeaseExecution, context: Context) -> Events:
    if command.epoch < 1:
        raise RuleBroken("epoch", f"epochs count from 1, this is {command.epoch}")
    if state.lease_id not in (None, command.lease_id):
        raise RuleBroken("other_lease", f"the execution has lease {state.lease_id}, and never another")
    if (command.epoch, command.worker_id) == (state.epoch, state.worker_id):
        return []
    if command.epoch <= state.epoch:
        reason = f"epoch {state.epoch} was granted to worker {state.worker_id} already, this grant is {command.epoch}"
        raise RuleBroken(DomainRule.STALE_EPOCH, reason)
    return [ExecutionLeased(lease_id=command.lease_id, epoch=command.epoch, worker_id=command.worker_id)]


# --- Steps ------------------------------------------------------------------------------------------------------------


def _finish_preparation(state: Execution, command: FinishPreparation, context: Context) -> Events:
    if state.workspace_id not in (None, command.workspace_id):
        reason = f"the execution is to work in workspace {state.workspace_id}, not in {command.workspace_id}"
        raise RuleBroken("other_workspace", reason, "prepare the workspace that was asked for")
    return [PreparationFinished(workspace_id=command.workspace_id)]


def _finish_coding(state: Execution, command: FinishCoding, context: Context) -> Events:
    outcome = command.outcome
    if min(outcome.changed_files, outcome.lines_added, outcome.lines_removed) < 0:
        raise RuleBroken("outcome", f"files and lines are counted, these are not counts: {outcome}")
    if command.result is not None:
        require_share("confidence", command.result.confidence)
    if outcome.changed_files or outcome.unrecorded:
        return [CodingFinished(outcome=outcome, result=command.result)]
    return [CodingChangedNothing(result=command.result, empty_folders=command.empty_folders)]


def _request_follow_up(state: Execution, command: RequestFollowUp, context: Context) -> Events:
    prompt = command.feedback if command.prompt is None else command.prompt
    if not command.feedback.strip() or not prompt.strip():
        raise RuleBroken("feedback_required", "say what should be different")
    if not 0 <= command.messages <= len(state.messages):
        raise RuleBroken("messages", f"{len(state.messages)} messages wait, not {command.messages}")
    return [FollowUpRequested(feedback=command.feedback, prompt=prompt, messages=command.messages)]


def _queue_message(state: Execution, command: QueueMessage, context: Context) -> Events:
    if not command.text.strip():
        raise RuleBroken("text", "the message is empty")
    if len(state.messages) >= MESSAGE_LIMIT:
        raise RuleBroken("limit", f"{MESSAGE_LIMIT} messages wait for the agent already", "wait until its turn ends")
    return [
        MessageQueued(message=HumanMessage(author=actor_name(context.actor), text=command.text, id=command.message_id))
    ]


def _fail(state: Execution, command: FailExecution, context: Context) -> Events:
    return [ExecutionFailed(failure=_in_stage(state, command.failure))]


# --- Failing and trying again -----------------------------------------------------------------------------------------


def _in_stage(state: Execution, failure: Failure) -> Failure:
    return failure if failure.stage else replace(failure, stage=str(state.status))


def _record_stage_failure(state: Execution, command: RecordStageFailure, context: Context) -> Events:
    if not 0 <= command.delay <= DELAY_LIMIT:
        raise RuleBroken("delay", f"{command.delay} seconds is not between 0 and {DELAY_LIMIT:.0f}")
    require_zone("answer_by", command.answer_by)
    failure = _in_stage(state, command.failure)
    lost = failure.reason is FailureReason.SESSION_LOST and state.status in CODING
    again_lost = state.failure is not None and state.failure.reason is FailureReason.SESSION_LOST  # the attempt before
    if lost and state.session_id is not None and not again_lost:
        again = StageRetryScheduled(failure=failure, attempt=state.attempt, retry_at=context.now)
        return [SessionDropped(session_id=state.session_id), again]
    if command.answer_by is not None and state.open_question is not None and not state.interrupted:
        retry_at = max(command.answer_by, context.now)  # or when it is answered: not an attempt that failed
        return [StageRetryScheduled(failure=failure, attempt=state.attempt, retry_at=retry_at)]
    if state.attempt >= state.retry.max_attempts or not failure.retryable:
        return [ExecutionFailed(failure=failure)]
    retry_at = context.now + timedelta(seconds=command.delay)
    return [StageRetryScheduled(failure=failure, attempt=state.attempt, retry_at=retry_at)]


def _retry_stage(state: Execution, command: RetryStage, context: Context) -> Events:
    if state.retry_at is None:
        raise RuleBroken("nothing_to_retry", f"no attempt at {state.status} has failed")
    answered = state.open_question is not None  # the engine retries once a human has decided
    over = answered or state.retry.is_over(state.retry_at, context.now)
    if not over and not is_human(context):  # a human need not wait
        raise RuleBroken("not_due", f"the next attempt begins at {state.retry_at.isoformat()}")
    return [StageRetried(attempt=state.attempt + 1)]


def _lose_worker(state: Execution, command: LoseWorker, context: Context) -> Events:
    _require_current_epoch(state, command)
    if state.status is ExecutionStatus.REVIEW and not state.processes:
        return []
    lost = Failure(FailureReason.WORKER_LOST, f"worker {state.worker_id} did not come back", str(state.status))
    return [ExecutionFailed(failure=lost)]


def _request_interrupt(state: Execution, command: RequestInterrupt, context: Context) -> Events:
    return [] if state.interrupted else [InterruptRequested(reason=command.reason)]


# --- What happens within a stage --------------------------------------------------------------------------------------


def _record_session(state: Execution, command: RecordSession, context: Context) -> Events:
    if not command.session_id.strip():
        raise RuleBroken(DomainRule.SESSION, "the session id is empty")
    if command.session_id == state.session_id:
        return []
    return [SessionRecorded(session_id=command.session_id, previous_session_id=state.session_id)]


def _record_process_start(state: Execution, command: RecordProcessStart, context: Context) -> Events:
    process = command.process
    if process in state.processes:
        return []
    identity = process.identity
    if identity.pid < 1 or not identity.started.strip() or not identity.token.strip():
        reason = "a process is recognised by a pid above 0, its start time and its token"
        raise RuleBroken("process_identity", reason)
    for other in state.processes:
        if other.identity.token == identity.token:
            reason = f"process {other.identity.pid} has the token of process {identity.pid}"
            raise RuleBroken("process_identity", reason, "give each process a token of its own")
    return [ProcessStarted(process=process)]


def _record_process_exit(state: Execution, command: RecordProcessExit, context: Context) -> Events:
    ended = command.exit
    if all(process.identity.token != ended.token for process in state.processes):
        raise RuleBroken("unknown_process", f"no process with the token {ended.token!r} is running")
    if ended.exit_code is not None and ended.signal is not None:
        raise RuleBroken("exit", "a process ends with an exit code or by a signal, not with both")
    if not _is_amount(ended.cpu_seconds or 0.0) or not _is_amount(ended.peak_memory or 0):
        reason = f"{ended.cpu_seconds} s of CPU time and {ended.peak_memory} bytes of memory are not amounts"
        raise RuleBroken("exit", reason)
    return [ProcessExited(exit=ended)]


def _record_usage(state: Execution, command: RecordUsage, context: Context) -> Events:
    for usage in filter(None, (command.usage, command.total)):
        if not all(_is_amount(getattr(usage, name)) for name in usage.__struct_fields__):
            raise RuleBroken(DomainRule.USAGE, f"tokens and cost are amounts, these are not: {usage}")
    return [UsageRecorded(usage=command.usage, model=command.model, total=command.total, complete=command.complete)]


def _record_action(state: Execution, command: RecordAction, context: Context) -> Events:
    return [command.action]


EXECUTION_DECIDER = Decider(
    EXECUTION,
    {
        QueueExecution: (_require_own_run, _queue),
        LeaseExecution: (_only_system, _lease),
        StartPreparation: (_require_reporter, becomes(PreparationStarted)),
        RecordContext: (_require_attempt, becomes(ContextRead)),
        FinishPreparation: (_require_attempt, _finish_preparation),
        FinishSetup: (_require_attempt, becomes(SetupFinished)),
        FinishCoding: (_require_attempt, _finish_coding),
        FinishCleanup: (_require_attempt, becomes(CleanupFinished)),
        RecordStageFailure: (_require_attempt, _record_stage_failure),
        RecordSession: (_require_reporter, _record_session),
        RecordProcessStart: (_require_attempt, _record_process_start),
        RecordProcessExit: (_require_reporter, _record_process_exit),
        RecordUsage: (_require_reporter, _record_usage),
        RecordAction: (_require_reporter, _record_action),
        LoseWorker: (_only_system, _lose_worker),
        RetryStage: (_no_agent, _retry_stage),
        RequestFollowUp: (_no_agent, _request_follow_up),
        QueueMessage: (_no_agent, _queue_message),
        CompleteExecution: (_no_agent, becomes(ExecutionCompleted)),
        FailExecution: (_no_agent, _fail),
        RequestInterrupt: (_no_agent, _request_interrupt),
        CancelExecution: (_no_agent, becomes(ExecutionCancelled)),
        RecordExecutionRefusal: (only_system("AURA records refusals"), becomes(ExecutionCommandRefused)),
    },
)
