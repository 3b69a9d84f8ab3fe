"""What ``codex exec --json`` writes: an event in each line of standard output, and nothing is answered. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import (
    AgentRun,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents._conversation import JsonLines, Said, lost_session
from aura_executors.agents._evidence import failure_from
from aura_executors.agents._texts import clipped
from aura_executors.agents.codex.command import CodexOptions, Sandbox
from aura_executors.agents.codex.failures import forbidden, no_such_session
from aura_executors.agents.codex.items import CHANGES_LIMIT, PATH_LIMIT, arguments_of, require_name, text_of

_KINDS = {"add": FileChange.ADDED, "update": FileChange.MODIFIED, "delete": FileChange.DELETED}

OPEN_LIMIT = 10_000
"""Calls that may be begun and not ended; beyond that the oldest is forgotten."""

RETRYING = "Reconnecting... "
"""What the message of an error begins with when codex tries again by itself."""


class _Item(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    id: str

    def __post_init__(self) -> None:
        require_name(self.id)


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


class _McpError(msgspec.Struct, frozen=True, gc=False):
    message: str = ""


class _McpCall(_Item, frozen=True, tag="mcp_tool_call"):
    server: str = ""
    tool: str = ""
    arguments: Any = None
    result: Any = None
    error: _McpError | None = None
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
        self._sandboxed = options.sandboxed is not Sandbox.DANGER_FULL_ACCESS
        self._begun: dict[str, None] = {}
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
            return Failure(
                FailureReason.AGENT_ERROR, "codex ended without saying how its turn ended", exit_code=exit.exit_code
            )
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

    def _started(self, item: _AnyItem) -> Iterable[Said]:  # noqa: PLR0911 - one for each kind of item
        match item:
            case _Command(command=command):
                return self._begin(item.id, "shell", {"command": clipped(command)})
            case _Changes(changes=changes):
                told = [_told(one) for one in changes[:CHANGES_LIMIT]]
                return self._begin(item.id, "apply_patch", {"changes": told})
            case _McpCall(server=server, tool=tool, arguments=arguments):
                return self._begin(item.id, f"{server}.{tool}", arguments_of(arguments))
            case _Collaboration(tool=tool, prompt=prompt):
                return self._begin(item.id, f"agents.{tool}", {"prompt": clipped(prompt)} if prompt else {})
            case _Search(query=query):
                return self._begin(item.id, "web_search", {"query": clipped(query)} if query else {})
            case _Steps():
                return (_plan(item),)
            case _:
                return ()

    def _completed(self, item: _AnyItem) -> Iterable[Said]:
        match item:
            case _Spoken():
                return (Message(text=clipped(item.text)),) if item.text else ()
            case _Reasoning():
                return (Thinking(text=clipped(item.text)),) if item.text else ()
            case _Steps():
                return (_plan(item),)
            case _Warning():
                return (ErrorReported(message=clipped(item.message)),)
            case _:
                if item.id in self._begun:
                    del self._begun[item.id]
                    return self._ended(item)
                called = self._started(item)
                self._begun.pop(item.id, None)
                return (*called, *self._ended(item))

    def _ended(self, item: _AnyCall) -> Iterable[Said]:
        """Return how a call ended. Quick ones are told of only now."""
        match item:
            case _Command():
                return (self._command(item, item.aggregated_output or "", item.exit_code, item.status),)
            case _Changes(changes=changes, status=status):
                if status == "declined":
                    self.blocked = self.blocked or "it was not permitted to change files"
                success = status == "completed"
                changed = (_changed(one, item.id) for one in changes[:CHANGES_LIMIT]) if success else ()
                return (*changed, ToolFinished(call_id=item.id, success=success))
            case _McpCall(result=result, error=error, status=status):
                success = status == "completed" and error is None
                output = error.message if error else text_of(result)
                return (ToolFinished(call_id=item.id, success=success, output=clipped(output)),)
            case _Collaboration(status=status):
                return (ToolFinished(call_id=item.id, success=status != "failed"),)
            case _Search():
                return (ToolFinished(call_id=item.id),)

    def _command(self, item: _Command, output: str, code: int | None, status: str) -> ToolFinished:
        success = status == "completed" and not code
        if not success and (status == "declined" or (self._sandboxed and forbidden(output))):
            self.blocked = self.blocked or f"it was not permitted to run: {clipped(item.command, 500)}"
        return ToolFinished(call_id=item.id, success=success, output=clipped(output), exit_code=code)

    def _begin(self, id: str, tool: str, arguments: dict[str, Any]) -> Iterable[Said]:  # noqa: A002 - its name
        if id in self._begun:
            return ()
        if len(self._begun) >= OPEN_LIMIT:
            del self._begun[next(iter(self._begun))]
        self._begun[id] = None
        return (ToolCalled(call_id=id, tool=clipped(tool, 500), arguments=arguments),)

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


def _told(change: _Change) -> dict[str, Any]:
    return {"path": clipped(change.path, PATH_LIMIT), "kind": clipped(change.kind, 100)}


def _changed(change: _Change, call_id: str) -> FileChanged:
    kind = _KINDS.get(change.kind, FileChange.MODIFIED)
    return FileChanged(path=clipped(change.path, PATH_LIMIT), change=kind, call_id=call_id)
