"""Entry text: an agent's entries as data for programs and as text for people."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aura_contracts import execution
from aura_contracts.events import EventRecord, event_fields
from aura_contracts.permission import subject_of
from aura_contracts.plain_data import short
from aura_contracts.quoting import one_line

_TYPES: Mapping[type[execution.Action], str] = {
    execution.PermissionAsked: "permission_request",
    execution.PermissionAnswered: "permission_answered",
    execution.ConversationReplayed: "replayed",
    execution.ProgressReported: "progress",
}
"""Entry types by logged action."""

SHORT = 300
"""Maximum characters of a text about a tool; the log has all of it."""


def entry_of(record: EventRecord) -> dict[str, Any] | None:
    """Return an agent's entry as data, or None for other events."""
    event = record.event
    about = {"kind": "entry", "position": record.position, "time": record.time, "execution_id": record.stream_id}
    match event:
        case execution.EntryRecorded():
            error = {} if event.error is None else {"message": event.error}
            return {**about, **msgspec.to_builtins(event.entry), **error}
        case execution.Action():
            kind = type(event)
            return {**about, "type": _TYPES[kind], **event_fields(event)} if kind in _TYPES else None
        case execution.SessionRecorded():
            return {**about, "type": "session_started", "session_id": event.session_id}
        case execution.UsageRecorded():
            return {**about, "type": "usage", "usage": event.usage, "model": event.model}
        case _:
            return None


def words_of(entry: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield an entry as lines of text; `aura_cli.streaming.narration` covers questions."""
    if entry is None:
        return
    match entry["type"]:
        case "message":
            yield entry["text"]
        case "tool_call":
            subject = subject_of(entry.get("arguments") or {})
            yield f"uses {one_line(entry['tool'])}{f': {short(subject, SHORT)}' if subject else ''}"
        case "tool_result" if entry.get("message"):
            yield f"failed: {short(entry['message'], SHORT)}"
        case "error":
            yield f"error: {short(entry['message'], SHORT)}"
        case "plan":
            yield from (
                f"plan: [{_MARKS.get(step['status'], ' ')}] {short(step['text'], SHORT)}" for step in entry["steps"]
            )
        case _:
            return


_MARKS = {"completed": "x", "in_progress": ">"}
