"""What opencode writes: JSON lines ``step_start``, ``text``, ``reasoning``, ``tool_use``, ``step_finish``, ``error``.

Parts come whole, never as deltas; a tool is reported once, when it has ended.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Usage,
    UsageReported,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped, clipped_value
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, JsonLines, lost_session
from aura_executors.adapter.plan import plan_of
from aura_executors.adapter.single_shot import without_controls

CUT_OFF_LIMIT = 20
"""Answers in a row that broke off in the middle, after which opencode will not succeed any more."""

_NOT_PERMITTED = re.compile(r"rejected permission|specified a rule which prevents")
_NO_SESSION = re.compile(r"session not found|invalid session|session\S* .{0,200}not found", re.IGNORECASE)

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


# --- Its lines, as far as they are of interest ------------------------------------------------------------------------


class _Line(msgspec.Struct, tag_field="type", gc=False):
    session_id: str = msgspec.field(default="", name="sessionID")


class _StepStart(_Line, tag="step_start", gc=False):
    pass


class _Words(msgspec.Struct, gc=False):
    text: str


class _Text(_Line, kw_only=True, tag="text", gc=False):
    part: _Words


class _Reasoning(_Line, kw_only=True, tag="reasoning", gc=False):
    part: _Words


class _State(msgspec.Struct, gc=False):
    status: str
    input: dict[str, Any] = {}
    output: str = ""
    error: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Tool(msgspec.Struct, gc=False):
    tool: str
    state: _State
    call_id: str = msgspec.field(default="", name="callID")


class _ToolUse(_Line, kw_only=True, tag="tool_use"):
    part: _Tool


class _Cache(msgspec.Struct, frozen=True, gc=False):
    read: _Count = 0
    write: _Count = 0


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    input: _Count = 0
    output: _Count = 0
    reasoning: _Count = 0
    cache: _Cache = _Cache()


class _Finish(msgspec.Struct, gc=False):
    reason: str = ""
    tokens: _Tokens = _Tokens()
    cost: float = 0.0


class _StepFinish(_Line, kw_only=True, tag="step_finish"):
    part: _Finish


class _Particulars(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    message: str = ""
    status_code: int | None = None


class _Error(msgspec.Struct, gc=False):
    name: str = "error"
    data: _Particulars = _Particulars()


class _ErrorLine(_Line, kw_only=True, tag="error"):
    error: _Error


_LINE = json_decoder(_StepStart | _Text | _Reasoning | _ToolUse | _StepFinish | _ErrorLine)


class _Metadata(msgspec.Struct):
    """What opencode's own tools report in addition to their output."""

    exit: int | None = None
    diff: str | None = None
    exists: bool = True


_METADATA = json_decoder(_Metadata)


# --- The conversation -------------------------------------------------------------------------------------------------


class OpencodeConversation(JsonLines):
    """Understands one run of opencode. `session_id` is the session to resume, `model` the requested one."""

    def __init__(self, session_id: str = "", model: str = "") -> None:
        super().__init__()
        self._asked = session_id
        self._model = model
        self._session = ""
        self._ended = ""
        """Why the last step finished; empty: it has not."""
        self._failure: Failure | None = None
        self._cut_off = 0

    def understand(self, line: bytes) -> list[Item]:
        event = _LINE.decode(line)
        if self._cut_off >= CUT_OFF_LIMIT:
            return []
        entries: list[Item] = []
        if event.session_id and not self._session:
            self._session = event.session_id
            entries.append(SessionStarted(session_id=clipped(event.session_id, 1_000), model=self._model))
        match event:
            case _StepStart():
                self._ended, self._failure = "", None
            case _Text():
                entries.append(Message(text=clipped(event.part.text)))
            case _Reasoning():
                entries.append(Thinking(text=clipped(event.part.text)))
            case _ToolUse():
                entries += self._tool(event.part)
            case _StepFinish():
                entries += self._finish(event.part)
            case _ErrorLine():
                entries.append(self._error(event.error))
        return entries

    def judge(self, exit: ProcessExit) -> Failure | None:
        words = without_controls(self.errors.text)
        if self._asked and not self._session and exit.cause is ExitCause.OWN and _NO_SESSION.search(words):
            return self.failed(exit, lost_session(self._asked, words))
        failure = self.failed(exit, self._failure)
        if failure is not None or self.blocked:
            return failure
        if not self._ended or self._ended == "tool-calls":
            message = "it ended in the middle of its work" if self._session else "it ended without a word"
            return Failure(FailureReason.AGENT_ERROR, message, exit_code=exit.exit_code)
        return None

    def _tool(self, part: _Tool) -> Iterator[Entry]:
        state, call = part.state, clipped(part.call_id, 1_000)
        tool = clipped(part.tool, 1_000)
        yield ToolCalled(call_id=call, tool=tool, arguments=clipped_value(state.input))
        if state.status == "error":
            if _NOT_PERMITTED.search(state.error):
                self.blocked = f"{tool}: {clipped(state.error, 500)}"
            yield ToolFinished(call_id=call, success=False, output=clipped(state.error))
            return
        details = _metadata(part)
        yield ToolFinished(
            call_id=call, success=details.exit in (0, None), output=clipped(state.output), exit_code=details.exit
        )
        if isinstance(path := state.input.get("filePath"), str) and part.tool in {"write", "edit", "multiedit"}:
            change = FileChange.MODIFIED if details.exists else FileChange.ADDED
            diff = clipped(details.diff) if details.diff else None
            yield FileChanged(path=clipped(path, 4_096), change=change, call_id=call, diff=diff)
        if part.tool == "todowrite" and (steps := plan_of(state.input.get("todos"))):
            yield PlanUpdated(steps=steps)

    def _finish(self, part: _Finish) -> Iterator[Entry]:
        self._ended = part.reason or "unknown"
        tokens = part.tokens
        usage = Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output + tokens.reasoning,
            cache_read_tokens=tokens.cache.read,
            cache_write_tokens=tokens.cache.write,
            cost=part.cost,
        )
        if usage != _NOTHING:
            yield UsageReported(usage=usage, model=self._model)
        if part.reason == "unknown" and usage == _NOTHING:
            self._cut_off += 1
        else:
            self._cut_off = 0
        match part.reason:
            case "content-filter":
                self._failure = Failure(FailureReason.REFUSED, "the model's service withheld the answer")
            case "length":
                self._failure = Failure(FailureReason.AGENT_ERROR, "the answer was longer than the model may write")
            case "error":
                self._failure = Failure(FailureReason.AGENT_ERROR, "a step failed")
            case _ if self._cut_off == CUT_OFF_LIMIT:
                message = f"the model's answer broke off {CUT_OFF_LIMIT} times in a row"
                self._failure = Failure(FailureReason.AGENT_ERROR, message)
                yield Finished(failure=self._failure)
            case _:
                pass

    def _error(self, error: _Error) -> Entry:
        message = error.data.message or error.name
        self._failure = failure_from(message, error.data.status_code)
        if error.name == "ProviderAuthError":
            self._failure = msgspec.structs.replace(self._failure, reason=FailureReason.AUTHENTICATION)
        return ErrorReported(message=clipped(message, MESSAGE_LIMIT))


_NOTHING = Usage()


def _metadata(part: _Tool) -> _Metadata:
    """Return what a tool of opencode's own says; other tools put anything there."""
    if part.tool not in {"bash", "write", "edit", "multiedit"}:
        return _Metadata()
    try:
        return _METADATA.decode(part.state.metadata)
    except (msgspec.MsgspecError, RecursionError):
        return _Metadata()
