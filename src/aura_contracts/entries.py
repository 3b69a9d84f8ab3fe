"""Entries: what an agent said and did, in one vocabulary for every agent."""

from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.failures import Failure
from aura_contracts.permission.paths import Places


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What a stretch of work consumed, as the agent reports it: tokens by kind, and the cost in US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Base of what an agent says and does, in one vocabulary for every agent.

    Entries are for people and for decisions, and are limited in size (`TEXT_LIMIT`). The agent's complete output is
    stored alongside them.
    """


TEXT_LIMIT = 65_536
"""The most characters of text in an entry. `aura_executors.agents` cuts longer text and marks the cut."""


class SessionStarted(Entry, frozen=True, kw_only=True, tag="session_started", gc=False):
    """The agent named the session that can be resumed. `model` is the model it uses, if it says so."""

    session_id: str
    model: str = ""


class Message(Entry, frozen=True, kw_only=True, tag="message", gc=False):
    """The agent sent a message to the human."""

    text: str


class Thinking(Entry, frozen=True, kw_only=True, tag="thinking", gc=False):
    """The agent shared its thinking."""

    text: str


class ToolCalled(Entry, frozen=True, kw_only=True, tag="tool_call"):
    """The agent called a tool. `call_id` is the agent's own id for the call, empty if it has none."""

    call_id: str
    tool: str
    arguments: dict[str, Any] = {}


class ToolFinished(Entry, frozen=True, kw_only=True, tag="tool_result", gc=False):
    """A tool call of the agent ended."""

    call_id: str
    success: bool = True
    output: str = ""
    exit_code: int | None = None


class FileChange(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"


class FileChanged(Entry, frozen=True, kw_only=True, tag="file_change", gc=False):
    """The agent reports that it changed a file; git knows what really changed. `path` is as the agent gave it."""

    path: str
    change: FileChange = FileChange.MODIFIED
    call_id: str = ""
    diff: str | None = None


class PlanStep(msgspec.Struct, frozen=True, gc=False):
    """A step of a plan; `status` is ``pending``, ``in_progress`` or ``completed``."""

    text: str
    status: str = "pending"


class PlanUpdated(Entry, frozen=True, kw_only=True, tag="plan"):
    """The agent wrote or changed its plan; each update has the whole plan."""

    steps: tuple[PlanStep, ...]


class PermissionRequested(Entry, frozen=True, kw_only=True, tag="permission_request"):
    """The agent waits for permission.

    `fingerprint` is the same if a resumed session makes the same call (`aura_contracts.permission.fingerprint_of`).
    `call_id` links it to the `ToolCalled` and `ToolFinished` entries of the call. The worker adds `places`.
    """

    request_id: str
    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None
    call_id: str = ""
    places: Places | None = None


class PermissionWithdrawn(Entry, frozen=True, kw_only=True, tag="permission_withdrawn", gc=False):
    """The agent no longer waits for this permission."""

    request_id: str


class MessageTaken(Entry, frozen=True, kw_only=True, tag="message_taken", gc=False):
    """The agent has a human's message in the middle of its turn; `answered` once what it did about it is over.

    Only the latter takes the message off the queue: an agent that dies before gets it again.
    """

    message_id: str
    answered: bool = False


class UsageReported(Entry, frozen=True, kw_only=True, tag="usage"):
    """What the agent consumed with one model since its last report."""

    usage: Usage
    model: str = ""
    total: Usage | None = None
    """What its session consumed so far, if the agent reports that; the base of the next run in this session."""
    complete: bool = True
    """False if the agent consumed more: it did not report all of it, or not what it consumed before."""


class ErrorReported(Entry, frozen=True, kw_only=True, tag="error", gc=False):
    """The agent met an error, and may have continued. `retrying` means that it says it will retry by itself."""

    message: str
    retrying: bool = False


class Finished(Entry, frozen=True, kw_only=True, tag="finished"):
    """The agent reported its end in its own protocol; `failure` is None if it succeeded.

    Nothing follows this entry. An agent that does not exit is terminated, see `Launch.exit_grace`.
    """

    failure: Failure | None = None


class Unknown(Entry, frozen=True, kw_only=True, tag="unknown", gc=False):
    """Output that the conversation did not understand; the raw output has all of it."""

    text: str


AnyEntry = (
    SessionStarted
    | Message
    | Thinking
    | ToolCalled
    | ToolFinished
    | FileChanged
    | PlanUpdated
    | PermissionRequested
    | PermissionWithdrawn
    | MessageTaken
    | UsageReported
    | ErrorReported
    | Finished
    | Unknown
)
"""The union of all entries, for decoding."""
