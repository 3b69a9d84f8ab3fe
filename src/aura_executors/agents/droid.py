"""Executor `droid`: Factory's Droid.

    droid exec --output-format stream-json ...

Not run here: it needs an account. From its documentation (docs.factory.ai, "Droid Exec") and from streams that others
published of versions 0.22 to 0.57; read tolerantly. The prompt goes by standard input.

======================  ================================================================================================
success                 a ``completion``, or a ``result`` without is_error
failure                 an ``error``, a ``result`` with is_error, or words on standard error
no final word           the stream ends without either: a failure, whatever the exit code is
rate limit              the words of the failure
authentication          the words of the failure
refused                 not distinguished from other answers
session lost            it ends without having begun and says that the session does not exist
interrupted             not visible: the stream just ends
lack of permission      what `autonomy` does not cover ends the run at once, with exit code 1 and "insufficient
                        permission to proceed": that is `PermissionDenied`
======================  ================================================================================================

Quirks, as others saw them:

- Thoughts may be written twice under one id.
- The last message may be written again after the ``completion``.
- Results of tools came without the id of their call in early versions, and belong to the oldest that is open then.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Message,
    Thinking,
    ToolCalled,
    ToolFinished,
    Usage,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun, Capability
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.agent_executor import AgentExecutor, flags
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped, clipped_value
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, SingleTurn
from aura_executors.adapter.options import ActingOptions, require_consistent_options
from aura_executors.adapter.program_lookup import Program

__all__ = ["DroidExecutor", "DroidOptions"]

PROGRAM = Program(
    name="droid",
    tested=(),
    install="see docs.factory.ai/cli/getting-started",
    variables=("FACTORY_API_KEY",),
    files=("~/.factory/auth.json", "~/.factory/auth.encrypted", "~/.factory/auth.v2.file"),
    log_in="run `droid` once and log in, or set FACTORY_API_KEY",
)

_NOT_PERMITTED = re.compile(r"insufficient permission", re.IGNORECASE)
_NO_SESSION = re.compile(r"session\b.{0,200}(?:not found|not exist|invalid|fail\w* to load)|no session", re.IGNORECASE)
_WRITES = {"Create": FileChange.ADDED, "Edit": FileChange.MODIFIED, "MultiEdit": FileChange.MODIFIED}

_OPEN_CALLS = 1_000
"""Calls without a result that are remembered."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


# --- The command ------------------------------------------------------------------------------------------------------


class Autonomy(StrEnum):
    """What droid does without asking, which it cannot do in a run; its own terms."""

    READ_ONLY = "read-only"
    """Reads, and nothing else: no ``--auto`` at all."""
    LOW = "low"
    """Files of the project, harmless commands."""
    MEDIUM = "medium"
    """Installing, building, testing, committing as well."""
    HIGH = "high"
    """Pushing, deploying as well."""


class DroidOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `droid`."""

    yolo: bool = False
    """Everything, without any check; excludes `autonomy`."""
    autonomy: Autonomy | None = None
    """None: medium."""
    reasoning_effort: str | None = None
    """off, low, medium, high, or what the model has."""


class DroidExecutor(AgentExecutor[DroidOptions]):
    """Runs droid."""

    name = "droid"
    summary = "Factory's Droid (exec --output-format stream-json)"
    capability = Capability(resume=True, plan=True, protocol=True)

    program = PROGRAM
    reads = ("AGENTS.md",)
    options = DroidOptions

    def arguments(self, run: AgentRun, options: DroidOptions) -> Iterator[str]:
        require_consistent_options(options, "autonomy")
        autonomy = options.autonomy or Autonomy.MEDIUM
        yield from ("exec", "--output-format", "stream-json")
        yield from flags(
            {
                "--skip-permissions-unsafe": options.free,
                "--auto": None if options.free or autonomy is Autonomy.READ_ONLY else autonomy,
                "--model": options.model,
                "--reasoning-effort": options.reasoning_effort,
                "--session-id": run.session_id,
            }
        )

    def converse(self, run: AgentRun) -> "DroidConversation":
        return DroidConversation(run.session_id or "")


# --- Its lines, as far as they are of interest ------------------------------------------------------------------------


class _System(msgspec.Struct, tag_field="type", tag="system", gc=False):
    session_id: str = ""
    model: str | None = None


class _Message(msgspec.Struct, tag_field="type", tag="message", gc=False):
    role: str
    text: str = ""


class _Reasoning(msgspec.Struct, tag_field="type", tag="reasoning", gc=False):
    text: str
    id: str = ""


class _Call(msgspec.Struct, tag_field="type", tag="tool_call", gc=False, rename="camel"):
    id: str = ""
    tool_name: str = ""
    tool_id: str = ""
    parameters: dict[str, Any] = {}


class _Done(msgspec.Struct, tag_field="type", tag="tool_result", gc=False, rename="camel"):
    id: str = ""
    is_error: bool = False
    value: Any = None
    error: Any = None


class _Error(msgspec.Struct, tag_field="type", tag="error", gc=False):
    message: Any = None
    error: Any = None


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_read_input_tokens: _Count = 0
    cache_creation_input_tokens: _Count = 0


class _Completion(msgspec.Struct, tag_field="type", tag="completion", gc=False, rename="camel"):
    usage: _Tokens | None = None


class _Result(msgspec.Struct, tag_field="type", tag="result", gc=False):
    is_error: bool = False
    result: str | None = None
    usage: _Tokens | None = None


_LINE = json_decoder(_System | _Message | _Reasoning | _Call | _Done | _Error | _Completion | _Result)


class DroidConversation(SingleTurn):
    """Understands one run of droid. `session_id` is the session to resume."""

    unknown_session = _NO_SESSION

    def __init__(self, session_id: str = "") -> None:
        super().__init__(session_id)
        self._thought = ""
        self._open: dict[str, FileChanged | None] = {}
        """The calls that have no result yet, oldest first, and what file each changes."""

    def understand(self, line: bytes) -> list[Item]:
        return [*self._understood_line(_LINE.decode(line))]

    def judge(self, exit: ProcessExit) -> Failure | None:
        words = self.errors.text
        if self.failure is None and not self.finished and exit.cause is ExitCause.OWN and _NOT_PERMITTED.search(words):
            self.failure = self._failed(words)
        return super().judge(exit)

    def _understood_line(
        self, line: _System | _Message | _Reasoning | _Call | _Done | _Error | _Completion | _Result
    ) -> Iterator[Item]:
        match line:
            case _System():
                yield from self.take_session(line.session_id, line.model)
            case _Message() | _Reasoning():
                yield from self._spoken(line)
            case _Call():
                yield self._called(line)
            case _Done():
                yield from self._done(line)
            case _Error():
                message = _words(line.message) or _words(line.error) or "error"
                self.failure = self._failed(message)
                yield ErrorReported(message=clipped(message, MESSAGE_LIMIT))
            case _Completion():
                yield from self.take_result(_usage(line.usage), None)
            case _Result():
                failure = self._failed(line.result or "it failed") if line.is_error else None
                yield from self.take_result(_usage(line.usage), failure)

    def _spoken(self, line: _Message | _Reasoning) -> Iterator[Entry]:
        if isinstance(line, _Message):
            if line.role == "assistant" and line.text and not self.finished:
                yield Message(text=clipped(line.text))
            return
        if not line.id or line.id != self._thought:
            yield Thinking(text=clipped(line.text))
        self._thought = line.id

    def _called(self, call: _Call) -> Entry:
        name, tool = clipped(call.id, 1_000), clipped(call.tool_name or call.tool_id, 1_000)
        path = call.parameters.get("file_path")
        change = None
        if tool in _WRITES and isinstance(path, str):
            change = FileChanged(path=clipped(path, 4_096), change=_WRITES[tool], call_id=name)
        if len(self._open) < _OPEN_CALLS:
            self._open[name] = change
        return ToolCalled(call_id=name, tool=tool, arguments=clipped_value(call.parameters))

    def _done(self, done: _Done) -> Iterator[Entry]:
        name = clipped(done.id, 1_000) or next(iter(self._open), "")
        change = self._open.pop(name, None)
        words = _words(done.value) or _words(done.error)
        success = not done.is_error and done.error is None
        if not success and _NOT_PERMITTED.search(words):
            self.blocked = clipped(words, 500)
        yield ToolFinished(call_id=name, success=success, output=clipped(words))
        if success and change is not None:
            yield change

    def _failed(self, message: str) -> Failure:
        if _NOT_PERMITTED.search(message):
            self.blocked = clipped(message, 500)
            return Failure(FailureReason.PERMISSION_DENIED, clipped(message, MESSAGE_LIMIT))
        return failure_from(message)


def _usage(tokens: _Tokens | None) -> Usage:
    tokens = tokens or _Tokens()
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=tokens.cache_read_input_tokens,
        cache_write_tokens=tokens.cache_creation_input_tokens,
    )


def _words(value: object) -> str:
    """Return what a value says: a text, the message in a table, or any value as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return msgspec.json.encode(value).decode()
