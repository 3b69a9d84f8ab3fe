"""Entries: what an agent was understood to say and do, in the same words for every agent."""

from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.failures import Failure


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What a stretch of work consumed, as the agent reports it: tokens by kind, cost in US dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Base of what an agent says and does, in the same words for every agent.

    Entries are for people and for decisions, and are bounded (`TEXT_LIMIT`); everything that the agent wrote is kept as
    output, beside them.
    """


TEXT_LIMIT = 65_536
"""Characters of a text in an entry; a longer one is cut, with a word about it, by `aura_executors.agents`."""


class SessionStarted(Entry, frozen=True, kw_only=True, tag="session_started", gc=False):
    """The agent named the session by which it can be resumed. `model` is what it works with, if it says so."""

    session_id: str
    model: str = ""


class Message(Entry, frozen=True, kw_only=True, tag="message", gc=False):
    """The agent said something to the human."""

    text: str


class Thinking(Entry, frozen=True, kw_only=True, tag="thinking", gc=False):
    """The agent thought aloud."""

    text: str


class ToolCalled(Entry, frozen=True, kw_only=True, tag="tool_call"):
    """The agent used a tool. `call_id` is its own name for this call, empty where it has none."""

    call_id: str
    tool: str
    arguments: dict[str, Any] = {}


class ToolFinished(Entry, frozen=True, kw_only=True, tag="tool_result", gc=False):
    """A tool call of the agent came to its end."""

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
    """The agent says that it changed a file; what really changed, git tells. `path` is as the agent gave it."""

    path: str
    change: FileChange = FileChange.MODIFIED
    call_id: str = ""
    diff: str | None = None


class PlanStep(msgspec.Struct, frozen=True, gc=False):
    """A step of a plan; `status` is pending, in_progress or completed."""

    text: str
    status: str = "pending"


class PlanUpdated(Entry, frozen=True, kw_only=True, tag="plan"):
    """The agent wrote down, or changed, what it is going to do: the whole plan, each time."""

    steps: tuple[PlanStep, ...]


class PermissionRequested(Entry, frozen=True, kw_only=True, tag="permission_request"):
    """The agent waits for permission.

    `fingerprint` is the same for the same call in a resumed session (`aura_contracts.fingerprint.fingerprint_of`).
    `call_id` is that of the `ToolCalled` and `ToolFinished` which tell what became of it.
    """

    request_id: str
    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None
    call_id: str = ""


class PermissionWithdrawn(Entry, frozen=True, kw_only=True, tag="permission_withdrawn", gc=False):
    """The agent does not wait for this permission any more."""

    request_id: str


class UsageReported(Entry, frozen=True, kw_only=True, tag="usage"):
    """What the agent consumed since it last said so, of one model."""

    usage: Usage
    model: str = ""


class ErrorReported(Entry, frozen=True, kw_only=True, tag="error", gc=False):
    """The agent met an error; it may have gone on. `retrying`: it says that it tries again by itself."""

    message: str
    retrying: bool = False


class Finished(Entry, frozen=True, kw_only=True, tag="finished"):
    """The agent said how it ended, in its own protocol; `failure` None means well.

    After it there is nothing to come: an agent that does not go is ended, see `Launch.farewell`.
    """

    failure: Failure | None = None


class Unknown(Entry, frozen=True, kw_only=True, tag="unknown", gc=False):
    """Something that the conversation did not understand; the raw output has all of it."""

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
    | UsageReported
    | ErrorReported
    | Finished
    | Unknown
)
"""For decoding."""
