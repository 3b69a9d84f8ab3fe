"""Understands the output of renamer and judges the result. Pure: bytes in, entries out."""

from collections.abc import Iterable
from typing import Any

import msgspec
from aura_executors import (
    AgentRun,
    Answer,
    Failure,
    FailureReason,
    FileChanged,
    Finished,
    Item,
    JsonLines,
    Message,
    OpenQuestions,
    PermissionRequested,
    ProcessExit,
    Send,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Usage,
    UsageReported,
    clipped,
    clipped_value,
    failure_from,
    fingerprint_of,
    lost_session,
)

_NAME = 1_000
"""Characters of an id or a path."""


class _Line(msgspec.Struct, tag_field="type", tag=str.lower):
    """Base of its lines. Other fields are ignored; other types are `Unknown`."""


class Session(_Line):
    id: str
    model: str = ""


class Text(_Line):
    text: str


class Call(_Line):
    id: str
    tool: str
    arguments: dict[str, Any] = {}


class Permission(_Line):
    id: str
    tool: str
    arguments: dict[str, Any] = {}
    diff: str | None = None
    call: str = ""


class Changed(_Line):
    path: str
    call: str = ""


class Result(_Line):
    call: str
    ok: bool = True
    output: str = ""


class Used(_Line, tag="usage"):
    read: int = 0
    written: int = 0


class Done(_Line):
    ok: bool
    code: str = ""
    message: str = ""
    denied: list[str] = []


Line = Session | Text | Call | Permission | Changed | Result | Used | Done

_LINE: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class RenamerConversation(JsonLines):
    """Understands one run of renamer."""

    def __init__(self, run: AgentRun) -> None:
        super().__init__()
        self._resumed = run.session_id or ""
        self._model = ""
        self._questions = OpenQuestions[PermissionRequested]()
        self._done: Finished | None = None

    def understand(self, line: bytes) -> Iterable[Item]:  # noqa: PLR0911 - one for each type of line
        match _LINE.decode(line):
            case Session(id=id, model=model):
                self._model = clipped(model, _NAME)
                return [SessionStarted(session_id=clipped(id, _NAME), model=self._model)]
            case Text(text=text):
                return [Message(text=clipped(text))]
            case Call(id=id, tool=tool, arguments=arguments):
                called = clipped_value(arguments)
                return [ToolCalled(call_id=clipped(id, _NAME), tool=clipped(tool, _NAME), arguments=called)]
            case Permission() as asked:
                return self._asked(asked)
            case Changed(path=path, call=call):
                return [FileChanged(path=clipped(path, _NAME), call_id=clipped(call, _NAME))]
            case Result(call=call, ok=ok, output=output):
                return [ToolFinished(call_id=clipped(call, _NAME), success=ok, output=clipped(output))]
            case Used(read=read, written=written):
                usage = Usage(input_tokens=read, output_tokens=written)
                return [UsageReported(usage=usage, model=self._model)]
            case Done() as done:
                return self._finished(done)

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        asked = self._questions.answer(request_id, answer)
        return [] if asked is None else [_told(request_id, answer)]

    def interrupt(self) -> Iterable[Send]:
        return [Send(b'{"stop":true}\n')]

    def judge(self, exit: ProcessExit) -> Failure | None:
        failure = self.failed(exit, self._done.failure if self._done else None)
        if failure is None and self._done is None:
            return Failure(FailureReason.AGENT_ERROR, "it ended without a final message", exit_code=exit.exit_code)
        return failure

    def _asked(self, asked: Permission) -> list[Item]:
        request = PermissionRequested(
            request_id=clipped(asked.id, _NAME),
            tool=clipped(asked.tool, _NAME),
            fingerprint=fingerprint_of(asked.tool, asked.arguments),
            arguments=clipped_value(asked.arguments),
            diff=None if asked.diff is None else clipped(asked.diff),
            call_id=clipped(asked.call, _NAME),
        )
        early = self._questions.ask(request.request_id, request)
        return [request] if early is None else [request, _told(request.request_id, early)]

    def _finished(self, done: Done) -> Iterable[Item]:
        if done.denied:
            self.blocked = f"it may not change {clipped(', '.join(done.denied), _NAME)}"
        self._done = Finished(failure=None if done.ok else self._failure(done))
        return [self._done]

    def _failure(self, done: Done) -> Failure:
        message = clipped(done.message or "it failed", _NAME)
        match done.code:
            case "no_session" if self._resumed:
                return lost_session(self._resumed, message)
            case "refused":
                return Failure(FailureReason.REFUSED, message)
        return failure_from(message)


def _told(request_id: str, answer: Answer) -> Send:
    told = {"permission": request_id, "allow": answer.granted, "reason": clipped(answer.feedback)}
    return Send(msgspec.json.encode(told) + b"\n")
