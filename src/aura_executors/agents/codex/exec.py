"""What ``codex exec --json`` writes: an event in each line of standard output, and nothing is answered. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import (
    AgentRun,
    ErrorReported,
    Finished,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents._conversation import UNFINISHED, JsonLines, Said, lost_session
from aura_executors.agents._evidence import failure_from
from aura_executors.agents._texts import clipped
from aura_executors.agents.codex.command import CodexOptions, Sandbox
from aura_executors.agents.codex.failures import no_such_session
from aura_executors.agents.codex.items import (
    AgentMessage,
    AnyItem,
    CallError,
    Change,
    CollabAgentToolCall,
    CommandExecution,
    FileChangeItem,
    Items,
    Kind,
    McpToolCall,
    Reasoning,
    WebSearch,
)

RETRYING = "Reconnecting... "
"""What the message of an error begins with when codex tries again by itself."""


class _Item(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    id: str


class _Spoken(_Item, frozen=True, tag="agent_message", gc=False):
    text: str = ""


class _Reasoning(_Item, frozen=True, tag="reasoning", gc=False):
    text: str = ""


class _Command(_Item, frozen=True, tag="command_execution", gc=False):
    command: str = ""
    aggregated_output: str | None = None
    exit_code: int | None = None
    status: str = ""


class _Change(msgspec.Struct, frozen=True, gc=False):
    path: str
    kind: str = "update"


class _Changes(_Item, frozen=True, tag="file_change"):
    changes: list[_Change] = []
    status: str = ""


class _McpCall(_Item, frozen=True, tag="mcp_tool_call"):
    server: str = ""
    tool: str = ""
    arguments: Any = None
    result: Any = None
    error: CallError | None = None
    status: str = ""


class _Collaboration(_Item, frozen=True, tag="collab_tool_call", gc=False):
    tool: str = ""
    prompt: str | None = None
    status: str = ""


class _Search(_Item, frozen=True, tag="web_search", gc=False):
    query: str = ""


class _Step(msgspec.Struct, frozen=True, gc=False):
    text: str
    completed: bool = False


class _Steps(_Item, frozen=True, tag="todo_list"):
    items: list[_Step] = []


class _Warning(_Item, frozen=True, tag="error", gc=False):
    message: str = ""


_AnyCall = _Command | _Changes | _McpCall | _Collaboration | _Search
_AnyItem = _AnyCall | _Spoken | _Reasoning | _Steps | _Warning


class _Event(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    pass


class _ThreadStarted(_Event, frozen=True, tag="thread.started", gc=False):
    thread_id: str


class _TurnStarted(_Event, frozen=True, tag="turn.started", gc=False):
    pass


class _ItemStarted(_Event, frozen=True, tag="item.started"):
    item: _AnyItem


class _ItemUpdated(_Event, frozen=True, tag="item.updated"):
    item: _AnyItem


class _ItemCompleted(_Event, frozen=True, tag="item.completed"):
    item: _AnyItem


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0


class _TurnCompleted(_Event, frozen=True, tag="turn.completed", gc=False):
    usage: _Tokens | None = None


class _Why(msgspec.Struct, frozen=True, gc=False):
    message: str = ""


class _TurnFailed(_Event, frozen=True, tag="turn.failed", gc=False):
    error: _Why | None = None


class _Trouble(_Event, frozen=True, tag="error", gc=False):
    message: str = ""


_EVENTS = msgspec.json.Decoder(
    _ThreadStarted
    | _TurnStarted
    | _ItemStarted
    | _ItemUpdated
    | _ItemCompleted
    | _TurnCompleted
    | _TurnFailed
    | _Trouble
)


class ExecConversation(JsonLines):
    """Understands one run of ``codex exec``."""

    def __init__(self, run: AgentRun, options: CodexOptions) -> None:
        super().__init__()
        self._session = run.session_id
        self._model = options.model or ""
        self._items = Items(sandboxed=options.sandboxed is not Sandbox.DANGER_FULL_ACCESS)
        self._finished: Finished | None = None
        self._on: dict[type[_Event], Callable[[Any], Iterable[Said] | None]] = {
            _ThreadStarted: self._thread_started,
            _TurnStarted: lambda _: (),
            _ItemStarted: lambda event: self._started(event.item),
            _ItemUpdated: lambda event: (_plan(event.item),) if isinstance(event.item, _Steps) else (),
            _ItemCompleted: lambda event: self._completed(event.item),
            _TurnCompleted: lambda event: self._finish(None, self._used(event.usage)),
            _TurnFailed: self._turn_failed,
            _Trouble: self._trouble,
        }

    def understand(self, line: bytes) -> Iterable[Said] | None:
        event = _EVENTS.decode(line)
        return self._on[type(event)](event)

    def judge(self, exit: ProcessExit) -> Failure | None:  # noqa: A002 - the word for it
        """Go by how the turn ended. An exit code of 0 without that means nothing; codex has been cut off."""
        finished = self._finished
        if exit.cause in (ExitCause.OWN, ExitCause.FAREWELL):
            if finished is not None and finished.failure is None:
                return None
            if finished is None and self._session is not None and no_such_session(self.errors.text):
                return msgspec.structs.replace(
                    lost_session(self._session, self.errors.text), exit_code=exit.exit_code, signal=exit.signal
                )
        failure = self.failed(exit, finished.failure if finished else None)
        if failure is None and finished is None:
            return Failure(FailureReason.AGENT_ERROR, UNFINISHED, exit_code=exit.exit_code)
        return failure

    # --- Events

    def _thread_started(self, event: _ThreadStarted) -> Iterable[Said] | None:
        thread = event.thread_id
        return (SessionStarted(session_id=clipped(thread, 200), model=self._model),) if thread else None

    def _turn_failed(self, event: _TurnFailed) -> Iterable[Said]:
        return self._finish(event.error.message if event.error and event.error.message else "codex does not say why")

    def _trouble(self, event: _Trouble) -> Iterable[Said]:
        message = event.message
        return (ErrorReported(message=clipped(message), retrying=message.startswith(RETRYING)),)

    def _finish(self, why: str | None, used: Iterable[Said] = ()) -> Iterable[Said]:
        """Return the end of the run, which comes once."""
        if self._finished is not None:
            return ()
        self._finished = Finished(failure=failure_from(why) if why else None)
        return (*used, self._finished)

    # --- Items

    def _started(self, item: _AnyItem) -> Iterable[Said]:
        match item:
            case _Steps():
                return (_plan(item),)
            case _Spoken() | _Reasoning() | _Warning():
                return ()
        return self._items.started(_shared(item))

    def _completed(self, item: _AnyItem) -> Iterable[Said]:
        match item:
            case _Steps():
                return (_plan(item),)
            case _Warning():
                return (ErrorReported(message=clipped(item.message)),)
        said = self._items.completed(_shared(item), own=True)
        self.blocked = self._items.blocked
        return said

    def _used(self, usage: _Tokens | None) -> Iterable[Said]:
        """Return what the turn consumed.

        Codex tells the sum over the whole thread. Of a thread that was gone on with, nobody here knows what it was
        before, so nothing is said rather than something that is too much; the app-server tells both.
        """
        if usage is None or self._session is not None:
            return ()
        used = Usage(
            input_tokens=max(0, usage.input_tokens - usage.cached_input_tokens),
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_input_tokens,
        )
        return (UsageReported(usage=used, model=self._model),)


def _plan(item: _Steps) -> PlanUpdated:
    done = ("pending", "completed")
    return PlanUpdated(steps=tuple(PlanStep(clipped(step.text, 4_000), done[step.completed]) for step in item.items))


def _shared(item: _AnyCall | _Spoken | _Reasoning) -> AnyItem:  # noqa: PLR0911 - one for each kind of item
    """Return an item as the app-server tells it; diffs are told by that alone."""
    match item:
        case _Spoken(id=id, text=text):
            return AgentMessage(id, text)
        case _Reasoning(id=id, text=text):
            return Reasoning(id, [text])
        case _Command(id=id, status=status):
            return CommandExecution(id, item.command, None, status, item.aggregated_output, item.exit_code)
        case _Changes(id=id, changes=changes, status=status):
            return FileChangeItem(id, [Change(one.path, Kind(one.kind), None) for one in changes], status)
        case _McpCall(id=id, status=status):
            return McpToolCall(id, item.server, item.tool, status, item.arguments, item.result, item.error)
        case _Collaboration(id=id, tool=tool, prompt=prompt, status=status):
            return CollabAgentToolCall(id, tool, prompt, status)
        case _Search(id=id, query=query):
            return WebSearch(id, query)
