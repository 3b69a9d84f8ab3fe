"""Actions: the events of what an agent does while it works, which are its entries in the execution log.

An action changes no stage, and is recorded by one command, `RecordAction`. Most hold an entry that the agent wrote.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aura_contracts import entries
from aura_contracts.approval import ApprovalStatus, Remember
from aura_contracts.events import Event, Instant
from aura_contracts.ids import ApprovalId, TaskId


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
