"""The commands of executions: see `aura_contracts.execution`."""

from aura_contracts.aggregate import Command
from aura_contracts.entries import Usage
from aura_contracts.execution.events import (
    ACTIONS,
    Action,
    CleanupFinished,
    CodingChangedNothing,
    CodingFinished,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionLeased,
    ExecutionQueued,
    FollowUpRequested,
    InterruptRequested,
    PreparationStarted,
    ProcessExited,
    ProcessStarted,
    SessionDropped,
    SessionRecorded,
    SetupFinished,
    StageRetried,
    StageRetryScheduled,
    UsageRecorded,
    WorkspacePrepared,
)
from aura_contracts.execution.state import Execution
from aura_contracts.execution.values import ExecutionSpec, Exit, Outcome, SupervisedProcess
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, LeaseId, WorkerId, WorkspaceId


class QueueExecution(Command[Execution], frozen=True, kw_only=True):
    """Ask for a run of an agent. `session_id` is the agent's session to resume, `workspace_id` the one to work in."""

    emits = (ExecutionQueued,)
    execution_id: ExecutionId
    spec: ExecutionSpec


class LeaseExecution(Command[Execution], frozen=True, kw_only=True):
    """Give the execution to a worker: the first one, or the one that takes it over or took it back after a restart."""

    emits = (ExecutionLeased,)
    lease_id: LeaseId
    epoch: int
    worker_id: WorkerId


class Report(Command[Execution], frozen=True, kw_only=True):
    """Base of what a worker reports, under the `epoch` in which it was given the execution."""

    epoch: int


class StartPreparation(Report, frozen=True, kw_only=True):
    """Report that the workspace is being prepared."""

    emits = (PreparationStarted,)


class FinishPreparation(Report, frozen=True, kw_only=True):
    """Report that the workspace is ready."""

    emits = (WorkspacePrepared,)
    workspace_id: WorkspaceId


class FinishSetup(Report, frozen=True, kw_only=True):
    """Report that the setup scripts are done."""

    emits = (SetupFinished,)


class FinishCoding(Report, frozen=True, kw_only=True):
    """Report that the agent is done; whether there was anything to clean up is decided by the files it changed."""

    emits = (CodingFinished, CodingChangedNothing)
    outcome: Outcome


class FinishCleanup(Report, frozen=True, kw_only=True):
    """Report that the cleanup scripts are done."""

    emits = (CleanupFinished,)


class RecordStageFailure(Report, frozen=True, kw_only=True):
    """Report a failed attempt at the current stage; `delay` is the wait before the next one in seconds.

    Fails the execution when the policy allows no further attempt or the failure is none that passes by itself. A
    session that the agent cannot go on with is given up, and the next attempt begins at once, whatever the policy says;
    an agent that says so twice in a row has failed like any other.
    """

    emits = (SessionDropped, StageRetryScheduled, ExecutionFailed)
    failure: Failure
    delay: float = 0.0


class RecordSession(Report, frozen=True, kw_only=True):
    """Report the session id that the agent named."""

    emits = (SessionRecorded,)
    session_id: str


class RecordProcessStart(Report, frozen=True, kw_only=True):
    """Report that a process was started."""

    emits = (ProcessStarted,)
    process: SupervisedProcess


class RecordProcessExit(Report, frozen=True, kw_only=True):
    """Report how a process ended."""

    emits = (ProcessExited,)
    exit: Exit


class RecordUsage(Report, frozen=True, kw_only=True):
    """Report what the agent consumed since the last report, of one model."""

    emits = (UsageRecorded,)
    usage: Usage
    model: str = ""


class RecordAction(Report, frozen=True, kw_only=True):
    """Record what the agent, or AURA for it, did (specification, "Core Tables": execution_logs)."""

    emits = ACTIONS
    action: Action


class LoseWorker(Report, frozen=True, kw_only=True):
    """Report that the worker was silent for too long (specification, "Remote Worker Model"), which fails what it ran.

    In review, with no process running, nothing was lost: what a human is deciding on stays.
    """

    emits = (ExecutionFailed,)


class RetryStage(Command[Execution], frozen=True, kw_only=True):
    """Begin the failed stage again, once it is due."""

    emits = (StageRetried,)


class RequestFollowUp(Command[Execution], frozen=True, kw_only=True):
    """Have the agent go on with the feedback; `prompt` is what it is told, None for the feedback as it is."""

    emits = (FollowUpRequested,)
    feedback: str
    prompt: str | None = None


class CompleteExecution(Command[Execution], frozen=True, kw_only=True):
    """Accept what the run led to."""

    emits = (ExecutionCompleted,)


class FailExecution(Command[Execution], frozen=True, kw_only=True):
    """Fail the run for good, whatever its policy says: the approval expired, the merge is impossible."""

    emits = (ExecutionFailed,)
    failure: Failure


class RequestInterrupt(Command[Execution], frozen=True, kw_only=True):
    """Ask that what is running be stopped at once."""

    emits = (InterruptRequested,)
    reason: str = ""


class CancelExecution(Command[Execution], frozen=True, kw_only=True):
    """Call the run off."""

    emits = (ExecutionCancelled,)
    reason: str = ""
