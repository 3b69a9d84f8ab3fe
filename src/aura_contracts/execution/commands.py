"""The commands of executions: see `aura_contracts.execution`."""

from aura_contracts.aggregate import Command
from aura_contracts.context_documents import AgentContext
from aura_contracts.entries import Usage
from aura_contracts.events import CommandRefusal, Instant
from aura_contracts.execution import event_types as events
from aura_contracts.execution.actions import ACTIONS, Action
from aura_contracts.execution.state import Execution
from aura_contracts.execution.values import AgentResult, ExecutionSpec, Exit, Outcome, SupervisedProcess
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, LeaseId, WorkerId, WorkspaceId


class QueueExecution(Command[Execution], frozen=True, kw_only=True):
    """Request a run of an agent, in the given session and workspace if there are any."""

    emits = (events.ExecutionQueued,)
    execution_id: ExecutionId
    spec: ExecutionSpec


class LeaseExecution(Command[Execution], frozen=True, kw_only=True):
    """Give the execution to a worker: the first one, one that takes over, or one that took it back after a restart."""

    emits = (events.ExecutionLeased,)
    lease_id: LeaseId
    epoch: int
    worker_id: WorkerId


class Report(Command[Execution], frozen=True, kw_only=True):
    """Base of a worker's reports; `epoch` is that of the lease under which the worker was given the execution."""

    epoch: int


class StartPreparation(Report, frozen=True, kw_only=True):
    """Report that the workspace is being prepared."""

    emits = (events.PreparationStarted,)


class FinishPreparation(Report, frozen=True, kw_only=True):
    """Report that the workspace is ready."""

    emits = (events.PreparationFinished,)
    workspace_id: WorkspaceId


class RecordContext(Report, frozen=True, kw_only=True):
    """Report what was read of the documents of the task's project."""

    emits = (events.ContextRead,)
    context: AgentContext


class FinishSetup(Report, frozen=True, kw_only=True):
    """Report that the setup scripts finished."""

    emits = (events.SetupFinished,)


class FinishCoding(Report, frozen=True, kw_only=True):
    """Report that the agent finished. The files it changed decide whether cleanup follows."""

    emits = (events.CodingFinished, events.CodingChangedNothing)
    outcome: Outcome
    result: AgentResult | None = None
    empty_folders: tuple[str, ...] = ()


class FinishCleanup(Report, frozen=True, kw_only=True):
    """Report that the cleanup scripts finished."""

    emits = (events.CleanupFinished,)


class RecordStageFailure(Report, frozen=True, kw_only=True):
    """Report a failed attempt at the current stage; `delay` is the wait before the next one, in seconds.

    Fails the execution if the policy allows no further attempt or the failure is not retryable. A session that the
    agent cannot resume is dropped, and the next attempt starts at once, whatever the policy says; if that attempt loses
    its session too, it counts as an ordinary failure.
    """

    emits = (events.SessionDropped, events.StageRetryScheduled, events.ExecutionFailed)
    failure: Failure
    delay: float = 0.0
    answer_by: Instant | None = None
    """Until when a question may be answered that the agent gave up: the stage waits for the answer, then starts again.

    None if it gave up none.
    """


class RecordSession(Report, frozen=True, kw_only=True):
    """Report the session id that the agent named."""

    emits = (events.SessionRecorded,)
    session_id: str


class RecordProcessStart(Report, frozen=True, kw_only=True):
    """Report that a process was started."""

    emits = (events.ProcessStarted,)
    process: SupervisedProcess


class RecordProcessExit(Report, frozen=True, kw_only=True):
    """Report how a process ended."""

    emits = (events.ProcessExited,)
    exit: Exit


class RecordUsage(Report, frozen=True, kw_only=True):
    """Report what the agent consumed with one model since the last report."""

    emits = (events.UsageRecorded,)
    usage: Usage
    model: str = ""
    total: Usage | None = None
    complete: bool = True


class RecordAction(Report, frozen=True, kw_only=True):
    """Record an action of the agent, or of AURA on its behalf (specification, "Core Tables": execution_logs)."""

    emits = ACTIONS
    action: Action


class LoseWorker(Report, frozen=True, kw_only=True):
    """Report that the worker was silent for too long (specification, "Remote Worker Model"), which fails its execution.

    An execution in review has no process running and loses nothing: it waits for its reviewer as before.
    """

    emits = (events.ExecutionFailed,)


class RetryStage(Command[Execution], frozen=True, kw_only=True):
    """Start the failed stage again, once its delay is over."""

    emits = (events.StageRetried,)


class RequestFollowUp(Command[Execution], frozen=True, kw_only=True):
    """Resume the agent with the feedback. `prompt` is the text for the agent; None sends the feedback as it is."""

    emits = (events.FollowUpRequested,)
    feedback: str
    prompt: str | None = None
    messages: int = 0


class QueueMessage(Command[Execution], frozen=True, kw_only=True):
    """Write to the working agent; possible until its turn has ended. `message_id` is a UUID."""

    emits = (events.MessageQueued,)
    message_id: str
    text: str


class CompleteExecution(Command[Execution], frozen=True, kw_only=True):
    """Accept the result of the run."""

    emits = (events.ExecutionCompleted,)


class FailExecution(Command[Execution], frozen=True, kw_only=True):
    """Fail the run for good, regardless of its policy: the approval expired, the merge is impossible."""

    emits = (events.ExecutionFailed,)
    failure: Failure


class RequestInterrupt(Command[Execution], frozen=True, kw_only=True):
    """Ask for the running process to be stopped at once."""

    emits = (events.InterruptRequested,)
    reason: str = ""


class CancelExecution(Command[Execution], frozen=True, kw_only=True):
    """Cancel the run."""

    emits = (events.ExecutionCancelled,)
    reason: str = ""


class RecordExecutionRefusal(Command[Execution], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.ExecutionCommandRefused,)
    refusal: CommandRefusal
