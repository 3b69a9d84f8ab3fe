"""The events of executions: see `aura_contracts.execution`. Those of what an agent does are in `actions`."""

from aura_contracts import entries
from aura_contracts.context_documents import AgentContext
from aura_contracts.events import CommandRefusal, Event, Instant
from aura_contracts.execution.values import (
    AgentResult,
    ExecutionSpec,
    Exit,
    HumanMessage,
    Outcome,
    ProcessToken,
    SupervisedProcess,
)
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, LeaseId, TaskId, WorkerId, WorkspaceId


class ExecutionQueued(Event, frozen=True, kw_only=True):
    """A run was requested and waits for a worker."""

    topic = "execution.queued"
    execution_id: ExecutionId
    spec: ExecutionSpec

    @property
    def task_id(self) -> TaskId:
        """The task that the run is for."""
        return self.spec.task_id


class ExecutionLeased(Event, frozen=True, kw_only=True):
    """A worker was given the execution; reports under earlier epochs no longer count."""

    topic = "execution.leased"
    lease_id: LeaseId
    epoch: int
    worker_id: WorkerId


class PreparationStarted(Event, frozen=True, kw_only=True):
    """The worker started to prepare the workspace."""

    topic = "execution.preparation_started"


class PreparationFinished(Event, frozen=True, kw_only=True):
    """The workspace was ready, and setup started."""

    topic = "execution.workspace_prepared"
    workspace_id: WorkspaceId


class ContextRead(Event, frozen=True, kw_only=True):
    """The documents of the task's project were read for the agent."""

    topic = "execution.context_read"
    context: AgentContext


class SetupFinished(Event, frozen=True, kw_only=True):
    """The setup scripts finished, and the agent started coding."""

    topic = "execution.setup_finished"


class CodingFinished(Event, frozen=True, kw_only=True):
    """The agent finished with changes, and cleanup started."""

    topic = "execution.coding_finished"
    outcome: Outcome
    result: AgentResult | None = None
    """What the agent says about it."""


class CodingChangedNothing(Event, frozen=True, kw_only=True):
    """The agent finished without changes; cleanup was skipped and review started."""

    topic = "execution.coding_changed_nothing"
    result: AgentResult | None = None
    """What the agent says about it."""
    empty_folders: tuple[str, ...] = ()
    """Folders in its worktree without a file, which git does not keep; only the first of many."""


class CleanupFinished(Event, frozen=True, kw_only=True):
    """The cleanup scripts finished, and review started."""

    topic = "execution.cleanup_finished"


class FollowUpRequested(Event, frozen=True, kw_only=True):
    """The review asked for more, and the agent resumed its session with the feedback."""

    topic = "execution.follow_up_requested"
    feedback: str
    prompt: str
    messages: int = 0
    """How many of the messages that waited for the agent it receives with this."""


class MessageQueued(Event, frozen=True, kw_only=True):
    """A human wrote to the working agent, which gets it when its turn ends, if it did not take it before."""

    topic = "execution.message_queued"
    message: HumanMessage


class ExecutionCompleted(Event, frozen=True, kw_only=True):
    """The review accepted the result of the run."""

    topic = "execution.completed"


class ExecutionFailed(Event, frozen=True, kw_only=True):
    """The run failed in the stage that the failure names."""

    topic = "execution.failed"
    failure: Failure


class ExecutionCancelled(Event, frozen=True, kw_only=True):
    """The run was cancelled; any processes still running are interrupted."""

    topic = "execution.cancelled"
    reason: str = ""


# --- Events within a stage --------------------------------------------------------------------------------------------


class StageRetryScheduled(Event, frozen=True, kw_only=True):
    """An attempt at a stage failed and will be retried at `retry_at`."""

    topic = "execution.stage_retry_scheduled"
    failure: Failure
    attempt: int
    retry_at: Instant


class StageRetried(Event, frozen=True, kw_only=True):
    """A stage was started again; `attempt` counts from 1."""

    topic = "execution.stage_retried"
    attempt: int


class SessionRecorded(Event, frozen=True, kw_only=True):
    """The agent named its session, or continued in a fork of it; follow-ups resume the newest."""

    topic = "execution.session_recorded"
    session_id: str
    previous_session_id: str | None = None


class SessionDropped(Event, frozen=True, kw_only=True):
    """The agent could not resume its session and gets the conversation so far in a new one."""

    topic = "execution.session_dropped"
    session_id: str


class ProcessStarted(Event, frozen=True, kw_only=True):
    """A process was started for the current stage, under a supervisor."""

    topic = "execution.process_started"
    process: SupervisedProcess

    @property
    def token(self) -> ProcessToken:
        """The token of the process."""
        return ProcessToken.parse(self.process.identity.token)


class ProcessExited(Event, frozen=True, kw_only=True):
    """A process ended, by itself or by a signal; a process that vanished with its supervisor has neither."""

    topic = "execution.process_exited"
    exit: Exit


class UsageRecorded(Event, frozen=True, kw_only=True):
    """The agent reported what it consumed since its last report."""

    topic = "execution.usage_recorded"
    usage: entries.Usage
    model: str = ""
    total: entries.Usage | None = None
    """What the agent's session consumed so far, if the agent reports that."""
    complete: bool = True
    """False if the agent consumed more than its reports say."""


class InterruptRequested(Event, frozen=True, kw_only=True):
    """A stop of the running process was requested; the execution itself continues."""

    topic = "execution.interrupt_requested"
    reason: str = ""


class ExecutionCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "execution.command_refused"
    refusal: CommandRefusal
