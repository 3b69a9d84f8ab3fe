"""Executor `droid`: Factory's Droid, by ``droid exec --output-format stream-json``.

Not run here: it needs an account. From its documentation (docs.factory.ai, "Droid Exec") and from streams that others
published of versions 0.22 to 0.57; read tolerantly. The prompt goes by standard input. How its ends are told apart:

- **success**: a ``completion``, or a ``result`` without ``is_error``;
- **failure, rate limit, authentication**: an ``error``, a ``result`` with ``is_error``, or words on standard error;
- **interrupted**: a signal; no ``completion``;
- **lack of permission**: what `auto` does not cover ends the run at once, with exit code 1 and "insufficient
  permission to proceed": that is `PermissionDenied`, and `blocked` tells;
- **session lost**: it ends without having begun, and says that there is no such session;
- **refusals** are not told apart from answers.

Quirks: thoughts may be written twice under one id; the last message may be written again after the ``completion``;
results of tools came without the id of their call in early versions, and belong to the oldest that is open then.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import (
    AgentRun,
    Availability,
    Capability,
    Conversation,
    Entry,
    ErrorReported,
    Executor,
    FileChange,
    FileChanged,
    Finished,
    Launch,
    Message,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors._options import read_options
from aura_executors.agents._command import AgentOptions, program_of, prompt_of, require_clean, with_params
from aura_executors.agents._conversation import JsonLines, Said, lost_session
from aura_executors.agents._evidence import failure_from
from aura_executors.agents._finding import Program
from aura_executors.agents._texts import MESSAGE_LIMIT, clipped, clipped_value

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
    """What droid does without asking, which it cannot in a run; its own words."""

    READ_ONLY = "read-only"
    """Reads, and nothing else: no ``--auto`` at all."""
    LOW = "low"
    """Files of the project, harmless commands."""
    MEDIUM = "medium"
    """Installing, building, testing, committing as well."""
    HIGH = "high"
    """Pushing, deploying as well."""


class DroidOptions(AgentOptions, frozen=True, kw_only=True):
    """What `droid` can be set to."""

    auto: Autonomy = Autonomy.MEDIUM
    skip_permissions_unsafe: bool = False
    """Everything, without any check; instead of `auto`."""
    reasoning_effort: str | None = None
    """off, low, medium, high, or what the model has."""


class DroidExecutor(Executor):
    """Runs droid."""

    name = "droid"
    summary = "Factory's Droid (exec --output-format stream-json)"
    capability = Capability(resume=True, plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = _options_of(run)
        argv = (*program_of(PROGRAM, options, run.environment), "exec", *with_params([*_flags(run, options)], options))
        return Launch(argv=argv, env=dict(options.env), stdin=prompt_of(run, options).encode("utf-8", "replace"))

    def converse(self, run: AgentRun) -> Conversation:
        return DroidConversation(run.session_id or "")

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.availability(environment)


def _options_of(run: AgentRun) -> DroidOptions:
    options = read_options("droid", run.options, DroidOptions)
    require_clean(options)
    if options.skip_permissions_unsafe and "auto" in run.options:
        reason = "it says what auto says too"
        raise InvalidInput(field="option skip_permissions_unsafe", reason=reason, remedy="give one of them")
    effort = options.reasoning_effort
    if effort is not None and (not effort.strip() or "\0" in effort):
        reason = "is empty or holds a NUL character"
        raise InvalidInput(field="option reasoning_effort", reason=reason, remedy="leave it out")
    if run.fork:
        raise InvalidInput(field="fork", reason="droid cannot fork a session", remedy="begin a new session")
    return options


def _flags(run: AgentRun, options: DroidOptions) -> Iterator[str]:
    yield from ("--output-format", "stream-json")
    if options.skip_permissions_unsafe:
        yield "--skip-permissions-unsafe"
    elif options.auto is not Autonomy.READ_ONLY:
        yield f"--auto={options.auto}"
    if options.model:
        yield f"--model={options.model}"
    if options.reasoning_effort:
        yield f"--reasoning-effort={options.reasoning_effort}"
    if run.session_id is not None:
        yield f"--session-id={run.session_id}"


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


class _Call(msgspec.Struct, tag_field="type", tag="tool_call", gc=False):
    id: str = ""
    toolName: str = ""  # noqa: N815 - its name
    toolId: str = ""  # noqa: N815 - its name
    parameters: dict[str, Any] = {}


class _Done(msgspec.Struct, tag_field="type", tag="tool_result", gc=False):
    id: str = ""
    isError: bool = False  # noqa: N815 - its name
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


class _Completion(msgspec.Struct, tag_field="type", tag="completion", gc=False):
    finalText: str | None = None  # noqa: N815 - its name
    usage: _Tokens | None = None


class _Result(msgspec.Struct, tag_field="type", tag="result", gc=False):
    is_error: bool = False
    result: str | None = None
    usage: _Tokens | None = None


_LINE = msgspec.json.Decoder(_System | _Message | _Reasoning | _Call | _Done | _Error | _Completion | _Result)


class DroidConversation(JsonLines):
    """Understands one run of droid. `session_id` is the one to be gone on with."""

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self._asked = session_id
        self._session = ""
        self._model = ""
        self._thought = ""
        self._open: dict[str, FileChanged | None] = {}
        """The calls that have no result yet, oldest first, and what file each changes."""
        self._failure: Failure | None = None
        self._over = False

    def understand(self, line: bytes) -> list[Said]:
        return [*self._understood_line(_LINE.decode(line))]

    def judge(self, exit: ProcessExit) -> Failure | None:  # noqa: A002 - the word for it
        words = self.errors.text
        if self._asked and not self._session and exit.cause is ExitCause.OWN:
            told = words or (self._failure.message if self._failure else "")
            if _NO_SESSION.search(told):
                return self.failed(exit, lost_session(self._asked, told))
        if self._failure is None and not self._over and exit.cause is ExitCause.OWN and _NOT_PERMITTED.search(words):
            self._failure = self._failed(words)
        failure = self.failed(exit, self._failure)
        if failure is None and not self._over:
            return Failure(FailureReason.AGENT_ERROR, "it ended without its completion", exit_code=exit.exit_code)
        return failure

    def _understood_line(
        self, said: _System | _Message | _Reasoning | _Call | _Done | _Error | _Completion | _Result
    ) -> Iterator[Entry]:
        match said:
            case _System():
                yield from self._begun(said)
            case _Message() | _Reasoning():
                yield from self._spoken(said)
            case _Call():
                yield self._called(said)
            case _Done():
                yield from self._done(said)
            case _Error():
                message = _words(said.message) or _words(said.error) or "error"
                self._failure = self._failed(message)
                yield ErrorReported(message=clipped(message, MESSAGE_LIMIT))
            case _Completion():
                yield from self._ended(said.usage, None)
            case _Result():
                yield from self._ended(said.usage, self._failed(said.result or "it failed") if said.is_error else None)

    def _begun(self, system: _System) -> Iterator[Entry]:
        self._model = self._model or clipped(system.model or "", 1_000)
        if system.session_id and not self._session:
            self._session = system.session_id
            yield SessionStarted(session_id=clipped(system.session_id, 1_000), model=self._model)

    def _spoken(self, said: _Message | _Reasoning) -> Iterator[Entry]:
        if isinstance(said, _Message):
            if said.role == "assistant" and said.text and not self._over:
                yield Message(text=clipped(said.text))
            return
        if not said.id or said.id != self._thought:
            yield Thinking(text=clipped(said.text))
        self._thought = said.id

    def _called(self, call: _Call) -> Entry:
        name, tool = clipped(call.id, 1_000), clipped(call.toolName or call.toolId, 1_000)
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
        success = not done.isError and done.error is None
        if not success and _NOT_PERMITTED.search(words):
            self.blocked = clipped(words, 500)
        yield ToolFinished(call_id=name, success=success, output=clipped(words))
        if success and change is not None:
            yield change

    def _ended(self, tokens: _Tokens | None, failure: Failure | None) -> Iterator[Entry]:
        self._over, self._failure = True, failure
        if tokens is not None and tokens != _Tokens():
            usage = Usage(
                input_tokens=tokens.input_tokens,
                output_tokens=tokens.output_tokens,
                cache_read_tokens=tokens.cache_read_input_tokens,
                cache_write_tokens=tokens.cache_creation_input_tokens,
            )
            yield UsageReported(usage=usage, model=self._model)
        yield Finished(failure=failure)

    def _failed(self, message: str) -> Failure:
        if _NOT_PERMITTED.search(message):
            self.blocked = clipped(message, 500)
            return Failure(FailureReason.PERMISSION_DENIED, clipped(message, MESSAGE_LIMIT))
        return failure_from(message)


def _words(value: Any) -> str:
    """Return what a value says: a text, the message in a table, or any value as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return msgspec.json.encode(value).decode()
