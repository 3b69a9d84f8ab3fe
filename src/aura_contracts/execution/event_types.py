"""The events of executions: see `aura_contracts.execution`.

Longer than other modules, because it is a list: a run has more kinds of event than any other aggregate.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aura_contracts import entries
from aura_contracts.approval import ApprovalStatus, Remember
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
from aura_contracts.ids import ApprovalId, ExecutionId, LeaseId, TaskId, WorkerId, WorkspaceId


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


# --- Events: actions of the agent -------------------------------------------------------------------------------------


class Action(Event, frozen=True, kw_only=True, gc=False):
    """Base of the actions of the agent, or of AURA on its behalf, within a stage."""

    @property
    def error(self) -> str | None:
        """Why it failed; None if it succeeded."""
        return None


class EntryRecorded(Action, frozen=True, kw_only=True, gc=False):
    """Base of the recorded entries of an agent; secrets are redacted."""

    entry: entries.Entry


class MessageSaid(EntryRecorded, frozen=True, kw_only=True):
    """The agent sent a message to the human."""

    topic = "execution.message_said"
    entry: entries.Message


class HumanMessageTaken(EntryRecorded, frozen=True, kw_only=True):
    """The agent took a human's message in the middle of its turn, or is done with it."""

    topic = "execution.message_taken"
    entry: entries.MessageTaken


class ThoughtShared(EntryRecorded, frozen=True, kw_only=True):
    """The agent shared its thinking."""

    topic = "execution.thought_shared"
    entry: entries.Thinking


class CallStarted(EntryRecorded, frozen=True, kw_only=True):
    """The agent started a tool call."""

    topic = "execution.call_started"
    entry: entries.ToolCalled


class CallMade(EntryRecorded, frozen=True, kw_only=True):
    """A tool call of the agent ended."""

    topic = "execution.call_made"
    entry: entries.ToolFinished

    @property
    def error(self) -> str | None:
        """The tool's output, if the call failed."""
        return None if self.entry.success else self.entry.output or "it failed"


class FileChangeReported(EntryRecorded, frozen=True, kw_only=True):
    """The agent reported that it changed a file; git knows what really changed."""

    topic = "execution.file_change_reported"
    entry: entries.FileChanged


class PlanReported(EntryRecorded, frozen=True, kw_only=True):
    """The agent wrote or changed its plan."""

    topic = "execution.plan_reported"
    entry: entries.PlanUpdated


class AgentErrorReported(EntryRecorded, frozen=True, kw_only=True):
    """The agent met an error, or wrote something that could not be recorded; it may have continued."""

    topic = "execution.agent_error_reported"
    entry: entries.ErrorReported

    @property
    def error(self) -> str | None:
        """The agent's error message."""
        return self.entry.message


class AgentFinished(EntryRecorded, frozen=True, kw_only=True):
    """The agent reported its end in its own protocol."""

    topic = "execution.agent_finished"
    entry: entries.Finished

    @property
    def error(self) -> str | None:
        """Why it failed, if it reported a failure."""
        failure = self.entry.failure
        return None if failure is None else failure.message or str(failure.reason)


class EntryNotUnderstood(EntryRecorded, frozen=True, kw_only=True):
    """The agent wrote something that its adapter did not understand; the raw output has all of it."""

    topic = "execution.entry_not_understood"
    entry: entries.Unknown


class PermissionAsked(Action, frozen=True, kw_only=True):
    """A process of the agent asked for permission to make a call; `automatic` means that no human was asked.

    Several processes in turn may ask for the same call, identified by `fingerprint`, under one approval. `request_id`
    and `call_id` are the agent's own ids.
    """

    topic = "execution.permission_asked"
    approval_id: ApprovalId
    token: str
    request_id: str
    tool: str
    fingerprint: str
    call_id: str = ""
    session_id: str | None = None
    automatic: bool = False


class PermissionAnswered(Action, frozen=True, kw_only=True):
    """The process that had asked received the decision; `remember` is which further calls it covers."""

    topic = "execution.permission_answered"
    approval_id: ApprovalId
    token: str
    request_id: str
    granted: bool
    remember: Remember = Remember.ONCE


class ConversationReplayed(Action, frozen=True, kw_only=True):
    """The agent had lost its session, and received the conversation so far in a new one."""

    topic = "execution.conversation_replayed"
    session_id: str
    attempt: int
    prompt: str


class ProgressReported(Action, frozen=True, kw_only=True):
    """The agent reported its progress; `percent` is from 0 to 100."""

    topic = "execution.progress_reported"
    message: str
    step: str | None = None
    percent: float | None = None


class SubtaskCreated(Action, frozen=True, kw_only=True):
    """The agent created a subtask of its task."""

    topic = "execution.subtask_created"
    subtask_id: TaskId
    title: str


class InquiryMade(Action, frozen=True, kw_only=True):
    """The agent asked humans a question, or submitted a proposal."""

    topic = "execution.inquiry_made"
    approval_id: ApprovalId


class InquiryAwaited(Action, frozen=True, kw_only=True):
    """The agent waits for the answer to its question, or the decision about its proposal.

    Its time does not count until it has that, or until `until` unless it waits again.
    """

    topic = "execution.inquiry_awaited"
    approval_id: ApprovalId
    until: Instant


class InquiryAnswered(Action, frozen=True, kw_only=True):
    """The agent received the answer to its question, or the decision about its proposal."""

    topic = "execution.inquiry_answered"
    approval_id: ApprovalId
    status: ApprovalStatus


ENTRY_EVENTS: Mapping[type[entries.Entry], type[EntryRecorded]] = MappingProxyType(
    {
        entries.Message: MessageSaid,
        entries.MessageTaken: HumanMessageTaken,
        entries.Thinking: ThoughtShared,
        entries.ToolCalled: CallStarted,
        entries.ToolFinished: CallMade,
        entries.FileChanged: FileChangeReported,
        entries.PlanUpdated: PlanReported,
        entries.ErrorReported: AgentErrorReported,
        entries.Finished: AgentFinished,
        entries.Unknown: EntryNotUnderstood,
    }
)
"""The entries that are recorded as they are, and their events. The others are recorded by their meaning."""


class ExecutionCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "execution.command_refused"
    refusal: CommandRefusal


ACTIONS: tuple[type[Action], ...] = (
    *ENTRY_EVENTS.values(),
    PermissionAsked,
    PermissionAnswered,
    ConversationReplayed,
    ProgressReported,
    SubtaskCreated,
    InquiryMade,
    InquiryAwaited,
    InquiryAnswered,
)
