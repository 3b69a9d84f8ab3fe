"""What the Gemini CLI writes, understood. Pure and incremental."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChanged,
    Message,
    PlanUpdated,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Usage,
    UsageReported,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun, failure_of
from aura_contracts.ports.processes import ProcessExit
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, Pieces, clipped, clipped_value, put
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import UNFINISHED, Item, ReportedTurn, lost_session
from aura_executors.adapter.plan import plan_of

WRITERS = frozenset({"write_file", "replace"})
"""Its tools that change the file they name as ``file_path``."""

OPEN_CALLS = 1_000
"""Calls of tools that are remembered until they finish."""

_TOOLS = WRITERS | {"run_shell_command", "web_fetch", "google_web_search", "save_memory", "write_todos"}
"""Its tools that need permission: one that is said not to exist was not offered, for lack of it."""

_REFUSED = "response was blocked due to"
"""Safety settings, recitation filters, other policies."""


_EXITS = {41: FailureReason.AUTHENTICATION, 55: FailureReason.PERMISSION_DENIED}
"""Exit codes of one that did not begin: no login, no trust in the folder. Only then are they what they seem."""

_NOTES = ("Warning:", "[STARTUP]", "Ripgrep", "YOLO mode", "Approval mode overridden")

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Init(msgspec.Struct, tag_field="type", tag="init", gc=False):
    session_id: str
    model: str = ""


class _Message(msgspec.Struct, tag_field="type", tag="message", gc=False):
    role: str
    content: str = ""
    delta: bool = False


class _ToolUse(msgspec.Struct, tag_field="type", tag="tool_use"):
    tool_name: str
    tool_id: str
    parameters: dict[str, Any] = {}


class _Reason(msgspec.Struct, gc=False):
    type: str = ""
    message: str = ""


class _ToolResult(msgspec.Struct, tag_field="type", tag="tool_result"):
    tool_id: str
    status: str
    output: str | None = None
    error: _Reason | None = None


class _Error(msgspec.Struct, tag_field="type", tag="error", gc=False):
    message: str
    severity: str = "error"


class _Tokens(msgspec.Struct, gc=False):
    """What one model used. `input_tokens` counts cached ones, `output_tokens` no thoughts, `total_tokens` all."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached: int = 0


class _Stats(msgspec.Struct):
    models: dict[str, _Tokens] = {}


class _Result(msgspec.Struct, tag_field="type", tag="result"):
    status: str
    error: _Reason | None = None
    stats: _Stats | None = None


_Event = _Init | _ToolUse | _ToolResult | _Error | _Result

_DECODER = json_decoder(_Message | _Event)


class GeminiConversation(ReportedTurn):
    """One run of the Gemini CLI."""

    def __init__(self, run: AgentRun) -> None:
        super().__init__()
        self._resumed = run.session_id
        self._begun = False
        self._answered = False
        self._model = ""
        self._words = Pieces()
        self._calls: dict[str, tuple[str, str]] = {}
        """The tool, and the file it changes, of the calls that have not finished."""
        self._error = ""

    def understand(self, line: bytes) -> Sequence[Item]:
        event = _DECODER.decode(line)
        if isinstance(event, _Message):
            return self._add_piece(event) if event.role == "assistant" else []
        return [*self._flush(), *self._happened(event)]

    def _happened(self, event: _Event) -> Iterable[Item]:
        match event:
            case _Init(session_id=session_id, model=model):
                self._begun, self._model = True, clipped(model, 200)
                return [SessionStarted(session_id=clipped(session_id, 200), model=self._model)]
            case _ToolUse():
                return self._called(event)
            case _ToolResult():
                return self._tool_finished(event)
            case _Error(message=message, severity=severity):
                if severity == "error":
                    self._error = clipped(message, MESSAGE_LIMIT)
                return [ErrorReported(message=clipped(message))]
            case _Result():
                return self._ended(event)

    def end(self, exit: ProcessExit) -> list[Entry]:
        """Add that the usage of a turn that did not end is missing: gemini counts it at the end."""
        items = [*super().end(exit), *self._flush()]
        missing = self._answered and self.finished is None
        return [*items, UsageReported(usage=Usage(), model=self._model, complete=False)] if missing else items

    def judge(self, exit: ProcessExit) -> Failure | None:
        return _with_status(super().judge(exit), self.errors.text)

    def unfinished(self, exit: ProcessExit) -> Failure:
        words = self.errors.text
        if not self._begun and self._resumed is not None and "resuming session" in words:
            return lost_session(self._resumed, words[words.find("Error resuming session") :])
        if not self._begun and (message := _without_notes(words)):
            reason = _EXITS.get(exit.exit_code or 0)
            if reason is FailureReason.PERMISSION_DENIED:
                message = f"option trust is not set: {message}"
            return Failure(reason, clipped(message, MESSAGE_LIMIT)) if reason else failure_from(message)
        if self._error:
            return failure_from(self._error)
        return failure_of(exit) or Failure(FailureReason.AGENT_ERROR, UNFINISHED)

    # --- Words of the model: deltas until something else happens

    def _add_piece(self, message: _Message) -> list[Entry]:
        entries = [] if message.delta else self._flush()
        self._answered = True
        if message.content:
            self._words.add(message.content)
        return entries if message.delta else [*entries, *self._flush()]

    def _flush(self) -> list[Entry]:
        text = self._words.take()
        return [Message(text=text)] if text else []

    # --- Tools

    def _called(self, call: _ToolUse) -> Iterator[Entry]:
        call_id, tool = clipped(call.tool_id, 200), clipped(call.tool_name, 200)
        path = call.parameters.get("file_path") if tool in WRITERS else None
        put(self._calls, call_id, (tool, clipped(path, 4_096) if isinstance(path, str) else ""), OPEN_CALLS)
        arguments = clipped_value(call.parameters)
        self._answered = True
        yield ToolCalled(call_id=call_id, tool=tool, arguments=arguments)
        if tool == "write_todos":
            yield PlanUpdated(steps=plan_of(arguments.get("todos")))

    def _tool_finished(self, result: _ToolResult) -> Iterator[Entry]:
        call_id = clipped(result.tool_id, 200)
        tool, path = self._calls.pop(call_id, ("", ""))
        success = result.status == "success"
        error = result.error or _Reason()
        if not success and _is_denied(tool, error):
            self.blocked = clipped(f"{tool or 'a tool'}: {error.message or error.type}", 1_000)
        if success and path:
            yield FileChanged(path=path, call_id=call_id)
        yield ToolFinished(call_id=call_id, success=success, output=clipped(result.output or error.message))

    # --- The end

    def _ended(self, result: _Result) -> Iterator[Item]:
        for model, used in (result.stats or _Stats()).models.items():
            usage = Usage(
                input_tokens=max(0, used.input_tokens - used.cached),
                output_tokens=max(used.output_tokens, used.total_tokens - used.input_tokens),
                cache_read_tokens=used.cached,
            )
            if usage != Usage():
                yield UsageReported(usage=usage, model=clipped(model, 200))
        yield from self.finish(None if result.status == "success" else self._failure(result.error))

    def _failure(self, error: _Reason | None) -> Failure:
        message = (error.message if error else "") or self._error or "it says that it failed, and not why"
        failure = failure_from(message)
        if failure.reason is FailureReason.AGENT_ERROR and _REFUSED in message:
            return msgspec.structs.replace(failure, reason=FailureReason.REFUSED)
        return failure


def _is_denied(tool: str, error: _Reason) -> bool:
    if error.type == "policy_violation" or "requires user confirmation" in error.message:
        return True
    return error.type == "tool_not_registered" and tool in _TOOLS


def _with_status(failure: Failure | None, words: str) -> Failure | None:
    """Return `failure` with the reason that standard error gives, if its own message gives none.

    There a failed request is shown as an error of JavaScript: with ``status: 429`` in it.
    """
    if failure is None or failure.reason is not FailureReason.AGENT_ERROR or "  status: " not in words:
        return failure
    status = words.rsplit("  status: ", 1)[1][:3]
    if not status.isascii() or not status.isdigit():
        return failure
    return msgspec.structs.replace(failure, reason=failure_from(failure.message, int(status)).reason)


def _without_notes(words: str) -> str:
    """Return standard error without colours, and the notes about the terminal and the start."""
    lines = _COLOUR.sub("", words).splitlines()
    return "\n".join(line for line in lines if not line.startswith(_NOTES)).strip()
