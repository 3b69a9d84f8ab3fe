"""A run of ``codex exec --json``: one event per line of standard output, without answers. Pure."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    Message,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    Usage,
    UsageReported,
)
from aura_contracts.failures import Failure
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun
from aura_contracts.ports.processes import ProcessExit
from aura_executors.adapter.bounded_text import clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, ReportedTurn, lost_session
from aura_executors.agents.codex.command import CodexOptions, Sandbox
from aura_executors.agents.codex.failures import no_such_session
from aura_executors.agents.codex.items import (
    AgentMessage,
    CollabAgentToolCall,
    CommandExecution,
    FileChangeItem,
    FileUpdateChange,
    Items,
    Kind,
    McpToolCall,
    WebSearch,
)
from aura_executors.agents.codex.tokens import increase

RETRYING = "Reconnecting... "
"""What the message of an error begins with when codex tries again by itself."""


class _ExecCommand(CommandExecution, frozen=True, tag="command_execution", gc=False):
    aggregated_output: str | None = msgspec.field(name="aggregated_output", default=None)
    exit_code: int | None = msgspec.field(name="exit_code", default=None)


class _Spoken(AgentMessage, frozen=True, tag="agent_message", gc=False):
    pass


class _McpCall(McpToolCall, frozen=True, tag="mcp_tool_call", gc=False):
    pass


class _Collaboration(CollabAgentToolCall, frozen=True, tag="collab_tool_call", gc=False):
    pass


class _Search(WebSearch, frozen=True, tag="web_search", gc=False):
    pass


class _ExecItem(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    id: str


class _Reasoning(_ExecItem, frozen=True, tag="reasoning", gc=False):
    text: str = ""


class _Change(msgspec.Struct, frozen=True, gc=False):
    path: str
    kind: str = "update"


class _Changes(_ExecItem, frozen=True, tag="file_change", gc=False):
    changes: list[_Change] = []
    status: str = ""


class _ExecStep(msgspec.Struct, frozen=True, gc=False):
    text: str
    completed: bool = False


class _Steps(_ExecItem, frozen=True, tag="todo_list", gc=False):
    items: list[_ExecStep] = []


class _ExecWarning(_ExecItem, frozen=True, tag="error", gc=False):
    message: str = ""


_Shared = _ExecCommand | _Spoken | _McpCall | _Collaboration | _Search
"""Items that differ from those of the app-server only in names; only the app-server sends diffs."""

_AnyItem = _Shared | _Reasoning | _Changes | _Steps | _ExecWarning


class _Event(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    pass


class _ThreadStarted(_Event, frozen=True, tag="thread.started", gc=False):
    thread_id: str


class _TurnStarted(_Event, frozen=True, tag="turn.started", gc=False):
    pass


class _ItemStarted(_Event, frozen=True, tag="item.started", gc=False):
    item: _AnyItem


class _ItemUpdated(_Event, frozen=True, tag="item.updated", gc=False):
    item: _AnyItem


class _ItemCompleted(_Event, frozen=True, tag="item.completed", gc=False):
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


class _ExecErrorNotice(_Event, frozen=True, tag="error", gc=False):
    message: str = ""


_read = json_decoder(
    _ThreadStarted
    | _TurnStarted
    | _ItemStarted
    | _ItemUpdated
    | _ItemCompleted
    | _TurnCompleted
    | _TurnFailed
    | _ExecErrorNotice
).decode


class ExecConversation(ReportedTurn):
    """Parses one run of ``codex exec``."""

    def __init__(self, run: AgentRun, options: CodexOptions) -> None:
        super().__init__()
        self._session = run.session_id
        self._forks = run.fork
        self._before = run.session_usage if run.session_id is not None else Usage()
        """What the thread consumed before; None if that is not known."""
        self._uncounted = False
        """Whether codex did something in this turn that it has not counted."""
        self._model = options.model or ""
        self._items = Items(sandboxed=options.sandboxed is not Sandbox.DANGER_FULL_ACCESS)

    def understand(self, line: bytes) -> Iterable[Item] | None:
        event = _read(line)
        return self._HANDLERS[type(event)](self, event)

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        words = self.errors.text
        lost = self._session is not None and no_such_session(words)
        return lost_session(self._session, words) if lost and self._session else super().unfinished(exit)

    def end(self, exit: ProcessExit) -> list[Entry]:
        """Add that the usage of a turn that did not end well is missing: codex counts it at the end."""
        missing = [UsageReported(usage=Usage(), model=self._model, complete=False)] if self._uncounted else []
        return [*super().end(exit), *missing]

    # --- Events

    def _thread_started(self, event: _ThreadStarted) -> Iterable[Item] | None:
        thread = event.thread_id
        if thread != self._session and not self._forks:  # codex began another thread than the one to resume
            self._before = Usage()
        return (SessionStarted(session_id=clipped(thread, 200), model=self._model),) if thread else None

    def _turn_started(self, event: _TurnStarted) -> Iterable[Item]:
        return ()

    def _turn_completed(self, event: _TurnCompleted) -> Iterable[Item]:
        self._uncounted = False
        return (*self._used(event.usage), *self.finish(None))

    def _turn_failed(self, event: _TurnFailed) -> Iterable[Item]:
        words = event.error.message if event.error else ""
        return self.finish(failure_from(words or "codex does not say why"))

    def _error_reported(self, event: _ExecErrorNotice) -> Iterable[Item]:
        message = event.message
        return (ErrorReported(message=clipped(message), retrying=message.startswith(RETRYING)),)

    # --- Items

    def _started(self, event: _ItemStarted) -> Iterable[Item]:
        self._uncounted = True
        match event.item:
            case _ExecCommand() as item:  # the most frequent first
                return self._items.started(item)
            case _Spoken() | _Reasoning() | _ExecWarning():
                return ()
            case _Steps() as item:
                return (_plan(item),)
            case _Changes() as item:
                return self._items.started(_shared(item))
            case item:
                return self._items.started(item)

    def _completed(self, event: _ItemCompleted) -> Iterable[Item]:
        self._uncounted = self._uncounted or not isinstance(event.item, _ExecWarning)
        match event.item:
            case _Spoken(text=text):
                return (Message(text=clipped(text)),) if text else ()
            case _Reasoning(text=text):
                return (Thinking(text=clipped(text)),) if text else ()
            case _ExecWarning(message=message):
                return (ErrorReported(message=clipped(message)),)
            case _Steps() as item:
                return (_plan(item),)
            case item:
                entries = self._items.completed(_shared(item) if isinstance(item, _Changes) else item, own=True)
        self.blocked = self._items.blocked
        return entries

    def _updated(self, event: _ItemUpdated) -> Iterable[Item]:
        return (_plan(event.item),) if isinstance(event.item, _Steps) else ()

    def _used(self, usage: _Tokens | None) -> Iterable[Item]:
        """Return the usage of the turn: the increase of the sum over the whole thread, which is all that codex reports.

        Without what a resumed thread consumed before, the sum cannot be split: nothing is reported rather than too
        much.
        """
        if usage is None:
            return ()
        total = Usage(
            input_tokens=max(0, usage.input_tokens - usage.cached_input_tokens),
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_input_tokens,
        )
        if self._before is None:
            return (UsageReported(usage=Usage(), model=self._model, total=total, complete=False),)
        return (UsageReported(usage=increase(total, self._before), model=self._model, total=total),)

    _HANDLERS: ClassVar[dict[type[_Event], Callable[["ExecConversation", Any], Iterable[Item] | None]]] = {
        _ThreadStarted: _thread_started,
        _TurnStarted: _turn_started,
        _ItemStarted: _started,
        _ItemUpdated: _updated,
        _ItemCompleted: _completed,
        _TurnCompleted: _turn_completed,
        _TurnFailed: _turn_failed,
        _ExecErrorNotice: _error_reported,
    }


def _plan(item: _Steps) -> PlanUpdated:
    done = ("pending", "completed")
    return PlanUpdated(steps=tuple(PlanStep(clipped(step.text, 4_000), done[step.completed]) for step in item.items))


def _shared(item: _Changes) -> FileChangeItem:
    """Return changes in the app-server's form, without diffs."""
    return FileChangeItem(
        item.id, [FileUpdateChange(one.path, Kind(one.kind), None) for one in item.changes], item.status
    )
