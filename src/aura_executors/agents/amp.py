"""Executor `amp`: Sourcegraph's Amp, by ``amp --execute --stream-json``. Its own service runs the model.

Measured with 0.0.1790142911 without an account: its options, what it says without a key and without its service. What a
run writes is from its documentation (ampcode.com/manual/appendix, "Stream JSON Output"), and is read tolerantly. The
prompt goes by standard input. How its ends are told apart:

- **success**: a ``result`` without ``is_error``;
- **failure, rate limit, authentication**: a ``result`` with ``is_error`` and its ``error``, or words on standard error.
  Without a key it begins a login on standard output and waits for a code: that is `Authentication` at once;
- **refusal**: the ``stop_reason`` of the last message is ``refusal``;
- **interrupted**: a signal; no ``result``;
- **lack of permission**: ``permission_denials`` of the ``result``;
- **session lost**: it ends without a ``system`` line, and says that there is no such thread.

Quirks: there is no option for the model; `mode` chooses it. ``input_tokens`` holds the cached ones in the documented
streams, so they are taken off where that is possible. Threads are kept, and can be read, at the service.
"""

import re
from collections.abc import Iterator, Mapping
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
    Executor,
    Finished,
    Launch,
    Message,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors._options import read_options
from aura_executors.agents._command import AgentOptions, program_of, prompt_of, require_clean, with_params
from aura_executors.agents._conversation import (
    NOT_UNDERSTOOD,
    UNKNOWN_ENTRIES,
    UNKNOWN_LIMIT,
    JsonLines,
    Said,
    lost_session,
)
from aura_executors.agents._evidence import failure_from
from aura_executors.agents._finding import Program
from aura_executors.agents._texts import clipped, clipped_value

__all__ = ["AmpExecutor", "AmpOptions"]

PROGRAM = Program(
    name="amp",
    tested=("0.0.1790142911",),
    install="npm install -g @sourcegraph/amp@0.0.1790142911",
    package="@sourcegraph/amp@0.0.1790142911",
    variables=("AMP_API_KEY",),
    files=("~/.local/share/amp/secrets.json",),
    log_in="run `amp login`, or set AMP_API_KEY",
)

_NO_KEY = b"No API key found"
_NO_THREAD = re.compile(r"thread\b.{0,200}(?:not found|not exist|invalid|no access)|no such thread", re.IGNORECASE)

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


# --- The command ------------------------------------------------------------------------------------------------------


class AmpOptions(AgentOptions, frozen=True, kw_only=True):
    """What `amp` can be set to. `model` cannot be chosen."""

    mode: str | None = None
    """Which agent: low, medium, high, ultra, or one of a plugin; sets the model, too. None: as configured."""
    dangerously_allow_all: bool = False
    """All tools without asking. What is asked for otherwise, is configured in Amp; nobody answers in a run."""
    settings_file: str | None = None
    """Instead of the user's settings."""


class AmpExecutor(Executor):
    """Runs amp."""

    name = "amp"
    summary = "Sourcegraph's Amp (--execute --stream-json)"
    capability = Capability(resume=True, tool_servers=True, plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = _options_of(run)
        thread = () if run.session_id is None else ("threads", "continue", run.session_id)
        program = program_of(PROGRAM, options, run.environment)
        argv = (*program, *thread, *with_params([*_flags(run, options)], options))
        return Launch(argv=argv, env=dict(options.env), stdin=prompt_of(run, options).encode("utf-8", "replace"))

    def converse(self, run: AgentRun) -> Conversation:
        return AmpConversation(run.session_id or "")

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.availability(environment)


def _options_of(run: AgentRun) -> AmpOptions:
    options = read_options("amp", run.options, AmpOptions)
    require_clean(options)
    if options.model is not None:
        remedy = "set option mode: low, medium, high, ultra"
        raise InvalidInput(field="option model", reason="amp chooses the model by itself", remedy=remedy)
    for field in ("mode", "settings_file"):
        if (text := getattr(options, field)) is not None and (not text.strip() or "\0" in text):
            raise InvalidInput(
                field=f"option {field}", reason="is empty or holds a NUL character", remedy="leave it out"
            )
    if run.session_id is not None and run.session_id.startswith("-"):
        raise InvalidInput(field="session", reason=f"{run.session_id!r} is no thread of amp's")
    if run.fork:
        raise InvalidInput(field="fork", reason="amp cannot fork a thread", remedy="begin a new session")
    return options


def _flags(run: AgentRun, options: AmpOptions) -> Iterator[str]:
    yield from ("--no-ide", "--no-notifications", "--no-color")
    if options.mode:
        yield f"--mode={options.mode}"
    if options.settings_file:
        yield f"--settings-file={options.settings_file}"
    if options.dangerously_allow_all:
        yield "--dangerously-allow-all"
    if run.tool_servers:
        servers = {one.name: {"command": one.command[0], "args": one.command[1:]} for one in run.tool_servers}
        yield f"--mcp-config={msgspec.json.encode(servers).decode()}"
    yield from ("--execute", "--stream-json", "--stream-json-thinking")


# --- Its lines, as far as they are of interest ------------------------------------------------------------------------


class _System(msgspec.Struct, tag_field="type", tag="system", gc=False):
    session_id: str = ""
    subtype: str = ""


class _Tokens(msgspec.Struct, gc=False):
    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None


class _Text(msgspec.Struct, tag_field="type", tag="text", gc=False):
    text: str


class _Thinking(msgspec.Struct, tag_field="type", tag="thinking", gc=False):
    thinking: str


class _Hidden(msgspec.Struct, tag_field="type", tag="redacted_thinking", gc=False):
    pass


class _Use(msgspec.Struct, tag_field="type", tag="tool_use", gc=False):
    id: str
    name: str
    input: dict[str, Any] = {}


class _Done(msgspec.Struct, tag_field="type", tag="tool_result", gc=False):
    tool_use_id: str
    content: Any = ""
    is_error: bool | None = False


_Block = _Text | _Thinking | _Hidden | _Use | _Done


class _Content(msgspec.Struct, gc=False):
    content: list[_Block] | str = ""
    model: str | None = None
    stop_reason: str | None = None
    usage: _Tokens | None = None


class _User(msgspec.Struct, tag_field="type", tag="user", gc=False):
    message: _Content


class _Assistant(msgspec.Struct, tag_field="type", tag="assistant", gc=False):
    message: _Content


class _LooseContent(msgspec.Struct, gc=False):
    content: list[msgspec.Raw]
    model: str | None = None
    stop_reason: str | None = None
    usage: _Tokens | None = None


class _LooseLine(msgspec.Struct, gc=False):
    """A message with blocks of kinds that are not known."""

    type: str
    message: _LooseContent


class _Result(msgspec.Struct, tag_field="type", tag="result", gc=False):
    subtype: str = ""
    is_error: bool = False
    error: str | None = None
    result: str | None = None
    permission_denials: list[Any] | None = None


_LINE = msgspec.json.Decoder(_System | _User | _Assistant | _Result)
_LOOSE_LINE = msgspec.json.Decoder(_LooseLine)
_BLOCK = msgspec.json.Decoder(_Block)
_KINDS: dict[str, type[_User | _Assistant]] = {"user": _User, "assistant": _Assistant}


class AmpConversation(JsonLines):
    """Understands one run of amp. `session_id` is the thread to be gone on with."""

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self._asked = session_id
        self._session = ""
        self._stopped = ""
        """Why the last message of the model stopped."""
        self._over: Finished | None = None

    def understand(self, line: bytes) -> list[Said]:
        if self._over is not None and not line.startswith(b"{"):
            return []  # the address for a login, say
        if line.startswith(_NO_KEY):
            return [self._finished(Failure(FailureReason.AUTHENTICATION, "it has no API key, and asks for a login"))]
        try:
            return [*self._understood_line(_LINE.decode(line))]
        except msgspec.ValidationError:
            return [*self._loosely(_LOOSE_LINE.decode(line))]

    def judge(self, exit: ProcessExit) -> Failure | None:  # noqa: A002 - the word for it
        told = self._over.failure if self._over else None
        if self._asked and not self._session and exit.cause is ExitCause.OWN:
            words = self.errors.text or (told.message if told else "")
            if _NO_THREAD.search(words):
                return self.failed(exit, lost_session(self._asked, words))
        failure = self.failed(exit, told)
        if failure is None and self._over is None:
            return Failure(FailureReason.AGENT_ERROR, "it ended without its result", exit_code=exit.exit_code)
        return failure

    def _understood_line(self, said: _System | _User | _Assistant | _Result) -> Iterator[Entry]:
        match said:
            case _System():
                if said.session_id and not self._session:
                    self._session = said.session_id
                    yield SessionStarted(session_id=clipped(said.session_id, 1_000))
            case _User():  # the prompt, and what tools answered
                yield from (one for one in self._blocks(said.message.content) if not isinstance(one, Message))
            case _Assistant():
                yield from self._blocks(said.message.content)
                yield from self._used(said.message)
            case _Result():
                yield self._result(said)

    def _loosely(self, line: _LooseLine) -> Iterator[Entry]:
        """Yield what the blocks mean that are known, and the others as they are."""
        kind = _KINDS[line.type]
        for raw in line.message.content:
            try:
                yield from self._understood_line(kind(_Content([_BLOCK.decode(raw)])))
            except NOT_UNDERSTOOD:
                self.unknown += 1
                if self.unknown <= UNKNOWN_ENTRIES:
                    yield Unknown(text=clipped(bytes(raw).decode("utf-8", "replace"), UNKNOWN_LIMIT))
        told = line.message
        if kind is _Assistant:
            yield from self._used(_Content(model=told.model, stop_reason=told.stop_reason, usage=told.usage))

    def _blocks(self, content: list[_Block] | str) -> Iterator[Entry]:
        if isinstance(content, str):
            if content:
                yield Message(text=clipped(content))
            return
        for block in content:
            match block:
                case _Text():
                    yield Message(text=clipped(block.text))
                case _Thinking():
                    yield Thinking(text=clipped(block.thinking))
                case _Use():
                    call, tool = clipped(block.id, 1_000), clipped(block.name, 1_000)
                    yield ToolCalled(call_id=call, tool=tool, arguments=clipped_value(block.input))
                case _Done():
                    call = clipped(block.tool_use_id, 1_000)
                    yield ToolFinished(call_id=call, success=not block.is_error, output=clipped(_words(block.content)))
                case _Hidden():
                    pass

    def _used(self, message: _Content) -> Iterator[Entry]:
        self._stopped = message.stop_reason or ""
        if (tokens := message.usage) is None:
            return
        read, written = tokens.cache_read_input_tokens or 0, tokens.cache_creation_input_tokens or 0
        fresh = tokens.input_tokens - read - written
        usage = Usage(
            input_tokens=fresh if fresh >= 0 else tokens.input_tokens,
            output_tokens=tokens.output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )
        yield UsageReported(usage=usage, model=clipped(message.model or "", 1_000))

    def _result(self, result: _Result) -> Finished:
        if result.permission_denials:
            self.blocked = clipped(", ".join(map(_words, result.permission_denials)), 500)
        if result.is_error or result.subtype.startswith("error"):
            return self._finished(failure_from(result.error or result.result or result.subtype or "it failed"))
        if self._stopped == "refusal":
            return self._finished(Failure(FailureReason.REFUSED, clipped(result.result or "it refused", 2_000)))
        return self._finished(None)

    def _finished(self, failure: Failure | None) -> Finished:
        self._over = Finished(failure=failure)
        return self._over


def _words(content: Any) -> str:
    """Return what a result of a tool says: a text, blocks with a text each, or any value."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_words(one["text"] if isinstance(one, dict) and "text" in one else one) for one in content)
    return msgspec.json.encode(content).decode()
