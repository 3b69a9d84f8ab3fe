"""What the program writes: entries of the port in lines of JSON, with few exceptions; see `program.chat`. Pure."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from aura_contracts.entries import (
    TEXT_LIMIT,
    Entry,
    ErrorReported,
    FileChanged,
    Message,
    PermissionRequested,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    UsageReported,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import Answer, Send
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped, clipped_value
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, ReportedTurn
from aura_executors.adapter.questions import OpenQuestions

E = TypeVar("E", bound=Entry)

NAME_LIMIT = 1_000
"""Characters of names of tools and calls."""

_NUL = b"\\u0000"


class _Asked(msgspec.Struct, frozen=True, tag_field="type", tag="permission_request"):
    request_id: str
    tool: str
    arguments: dict[str, Any]
    call_id: str
    diff: str | None = None


class _Why(msgspec.Struct, frozen=True):
    message: str
    reason: FailureReason | None = None
    status: int | None = None


class _Done(msgspec.Struct, frozen=True, tag_field="type", tag="finished"):
    failure: _Why | None = None


class _Blocked(msgspec.Struct, frozen=True, tag_field="type", tag="blocked"):
    what: str


class _Working(msgspec.Struct, frozen=True, tag_field="type", tag="working"):
    pass


_DECODER = json_decoder(
    SessionStarted
    | Message
    | Thinking
    | ToolCalled
    | ToolFinished
    | FileChanged
    | UsageReported
    | ErrorReported
    | _Asked
    | _Done
    | _Blocked
    | _Working
)


class LocalConversation(ReportedTurn):
    """Understands one run of the program."""

    def __init__(self) -> None:
        super().__init__()
        self._questions = OpenQuestions[str]()

    def understand(self, line: bytes) -> Iterable[Item] | None:
        event = _DECODER.decode(line)
        match event:
            case Message() | Thinking() | ToolFinished() | FileChanged() | UsageReported() | ErrorReported():
                # in a line as short as this no text is too long for an entry; NUL is all that may not be in it
                return (event if len(line) <= TEXT_LIMIT and _NUL not in line else _clipped(event),)
            case ToolCalled(call_id=call_id, tool=tool, arguments=arguments):
                name, call_id = clipped(tool, NAME_LIMIT), clipped(call_id, NAME_LIMIT)
                return (ToolCalled(call_id=call_id, tool=name, arguments=clipped_value(arguments)),)
            case SessionStarted():
                return (_clipped(event),) if event.session_id else None
            case _Asked():
                return self._asked(event)
            case _Done(failure=why):
                return self.finish(_failure(why))
            case _Blocked(what=what):
                self.blocked = clipped(what, MESSAGE_LIMIT)
            case _Working():
                pass
        return ()

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        asked = self._questions.answer(request_id, answer)
        return () if asked is None else [_answered(asked, answer)]

    def _asked(self, asked: _Asked) -> list[Item]:
        arguments = asked.arguments
        line: list[Item] = [
            PermissionRequested(
                request_id=clipped(asked.request_id, NAME_LIMIT),
                tool=clipped(asked.tool, NAME_LIMIT),
                fingerprint=fingerprint_of(asked.tool, arguments),
                arguments=clipped_value(arguments),
                diff=None if asked.diff is None else clipped(asked.diff),
                call_id=clipped(asked.call_id, NAME_LIMIT),
            )
        ]
        early = self._questions.ask(asked.request_id, asked.request_id)
        return line if early is None else [*line, _answered(asked.request_id, early)]


def _clipped(entry: E) -> E:
    """Return the entry with each of its texts clipped."""
    texts = {name: text for name in entry.__struct_fields__ if isinstance(text := getattr(entry, name), str)}
    return replace(entry, **{name: clipped(text) for name, text in texts.items()})


def _answered(request_id: str, answer: Answer) -> Send:
    content = {"request_id": request_id, "granted": answer.granted, "feedback": clipped(answer.feedback)}
    return Send(msgspec.json.encode(content) + b"\n")


def _failure(why: _Why | None) -> Failure | None:
    if why is None:
        return None
    if why.reason is not None:
        return Failure(why.reason, clipped(why.message, MESSAGE_LIMIT))
    return failure_from(why.message, why.status)
