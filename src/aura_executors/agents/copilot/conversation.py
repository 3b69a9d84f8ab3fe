"""What the GitHub Copilot CLI writes, understood. Pure and incremental."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Message,
    SessionStarted,
    Thinking,
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
from aura_executors.agents.copilot.events import (
    UNINTERESTING,
    Abort,
    CallFailure,
    Complete,
    Content,
    Delta,
    Error,
    Reasoning,
    ResultEvent,
    Retry,
    SessionEvent,
    Spoken,
    Start,
    Updated,
    decoder_of,
    type_of,
)

MODELS = 100
"""Models whose usage is counted."""

OPEN_CALLS = 1_000
"""Calls of tools that are remembered until they finish."""

EDITS = 1_000
"""Files that one call of a tool may have changed."""

_CHANGES = {"create": FileChange.ADDED, "edit": FileChange.MODIFIED, "delete": FileChange.DELETED}

_DENIALS = frozenset({"denied", "rejected"})

_REASONS = {
    "authentication": FailureReason.AUTHENTICATION,
    "authorization": FailureReason.AUTHENTICATION,
    "rate_limit": FailureReason.RATE_LIMITED,
    "quota": FailureReason.RATE_LIMITED,
    "policy": FailureReason.REFUSED,
    "content_filter": FailureReason.REFUSED,
}

_LOST = "No session, task, or name matched"


class CopilotConversation(ReportedTurn):
    """One run of the GitHub Copilot CLI."""

    def __init__(self, run: AgentRun) -> None:
        super().__init__()
        self._resumed = run.session_id
        self._session = run.session_id or run.new_session_id
        """The session by which it is known to be, once there is one."""
        self._announced = False
        self._begun = False
        self._words = Pieces()
        """The message that is being said, in deltas; the whole one follows unless something comes between."""
        self._thought = ""
        self._calls: dict[str, str] = {}
        """The tools of the calls that have not finished."""
        self._used: dict[str, int] = {}
        """Tokens of answers by model."""
        self._call_failure = CallFailure()
        self._failure: Failure | None = None
        self._aborted = ""

    def understand(self, line: bytes) -> Sequence[Item] | None:
        kind = type_of(line)
        self._begun = True
        if kind in UNINTERESTING:
            return self._session_started("") if self._is_news(kind) else []
        if (known := self._EVENTS.get(kind)) is None:
            return None
        decode, take = known
        entries = take(self, decode(line))
        return [*self._session_started(""), *entries] if self._is_news(kind) else entries

    def end(self, exit: ProcessExit) -> list[Entry]:
        return [*super().end(exit), *self._flush(), *self._spent()]

    def unfinished(self, exit: ProcessExit) -> Failure:
        words = self.errors.text
        if not self._begun and self._resumed is not None and _LOST in words:
            return lost_session(self._resumed, words.splitlines()[0])
        if self._failure is not None or self._aborted:
            return self._failure or _aborted(self._aborted)
        if not self._begun and words:
            return failure_from(words)
        return failure_of(exit) or Failure(FailureReason.AGENT_ERROR, UNFINISHED)

    # --- The session

    def _is_news(self, kind: bytes) -> bool:
        """Say whether there is an unreported session. It first lists what it loaded, then names its model."""
        return not self._announced and (not kind.startswith(b"session.") or kind == b"session.error")

    def _session_started(self, model: str) -> list[Entry]:
        self._announced = bool(self._session)
        return [SessionStarted(session_id=self._session, model=clipped(model, 200))] if self._session else []

    def _tools_updated(self, event: SessionEvent[Updated]) -> list[Entry]:
        return [] if self._announced else self._session_started(event.data.model)

    # --- Words of the model

    def _delta(self, event: SessionEvent[Delta]) -> list[Entry]:
        text = event.data.delta_content
        if event.data.parent_tool_call_id is None and text:
            self._words.add(text)
        return []

    def _flush(self) -> list[Entry]:
        """Return what was said of a message that does not follow whole, because something came between."""
        text = self._words.take()
        return [Message(text=text)] if text else []

    def _message_started(self, event: SessionEvent[msgspec.Raw]) -> list[Entry]:
        return self._flush() if event.agent_id is None else []

    def _retried(self, event: SessionEvent[Retry]) -> list[Entry]:
        """Forget the beginning of an answer: it is given again, from the start."""
        if event.agent_id is None:
            self._words.clear()
        failure = self._call_failure
        words = [
            event.data.reason,
            f"status {failure.status_code}" if failure.status_code else "",
            failure.error_message,
        ]
        return [ErrorReported(message=clipped(": ".join(word for word in words if word)), retrying=True)]

    def _message(self, event: SessionEvent[Spoken]) -> list[Entry]:
        spoken = event.data
        model = clipped(spoken.model, 200)
        if spoken.output_tokens > 0 and (model in self._used or len(self._used) < MODELS):
            self._used[model] = self._used.get(model, 0) + spoken.output_tokens
        if event.agent_id is not None or spoken.parent_tool_call_id is not None:
            return []
        self._words.clear()
        message = [Message(text=clipped(spoken.content))] if spoken.content.strip() else []
        return [*self._think(spoken.reasoning_text), *message]

    def _reasoning(self, event: SessionEvent[Reasoning]) -> list[Entry]:
        return self._think(event.data.content) if event.agent_id is None else []

    def _think(self, thought: str) -> list[Entry]:
        """Return the thought, unless it was just reported: some models also send it in an event of its own."""
        thought = clipped(thought)
        if not thought.strip() or thought == self._thought:
            return []
        self._thought = thought
        return [Thinking(text=thought)]

    # --- Tools

    def _called(self, event: SessionEvent[Start]) -> list[Entry]:
        start = event.data
        call_id, tool = clipped(start.tool_call_id, 200), clipped(start.tool_name, 200)
        put(self._calls, call_id, tool, OPEN_CALLS)
        arguments = clipped_value(start.arguments)
        if not isinstance(arguments, dict):
            arguments = {} if arguments is None else {"input": arguments}
        return [*self._flush(), ToolCalled(call_id=call_id, tool=tool, arguments=arguments)]

    def _tool_finished(self, event: SessionEvent[Complete]) -> list[Entry]:
        complete = event.data
        call_id = clipped(complete.tool_call_id, 200)
        tool = self._calls.pop(call_id, "a tool")
        error, result = complete.error or Error(message=""), complete.result or Content()
        if not complete.success and error.code in _DENIALS:
            self.blocked = clipped(f"{tool}: {error.message}", 1_000)
        diff = result.detailed_content.lstrip("\n")
        alone = len(complete.file_edits) == 1 and diff.startswith("diff --git")
        changes: list[Entry] = [
            FileChanged(
                path=clipped(edit.path, 4_096),
                change=_CHANGES.get(edit.kind, FileChange.MODIFIED),
                call_id=call_id,
                diff=clipped(diff) if alone else None,
            )
            for edit in complete.file_edits[:EDITS]
        ]
        shell = complete.shell_execution
        finished = ToolFinished(
            call_id=call_id,
            success=complete.success,
            output=clipped(result.content or error.message),
            exit_code=shell.exit_code if shell else None,
        )
        return [*changes, finished]

    # --- Trouble, and the end

    def _call_failed(self, event: SessionEvent[CallFailure]) -> list[Entry]:
        message = clipped(event.data.error_message, MESSAGE_LIMIT)
        self._call_failure = CallFailure(error_message=message, status_code=event.data.status_code)
        return []

    def _warned(self, event: SessionEvent[Error]) -> list[Entry]:
        return [ErrorReported(message=clipped(event.data.message))]

    def _failed(self, event: SessionEvent[Error]) -> list[Entry]:
        error = event.data
        if (reason := _REASONS.get(error.error_type)) is not None:
            self._failure = Failure(reason, clipped(error.message, MESSAGE_LIMIT))
        else:
            self._failure = failure_from(error.message, error.status_code)
        return [*self._flush(), ErrorReported(message=clipped(error.message))]

    def _abort(self, event: SessionEvent[Abort]) -> list[Entry]:
        if event.agent_id is None:
            self._aborted = clipped(event.data.reason, 200) or "no reason"
        return self._flush() if event.agent_id is None else []

    def _spent(self) -> list[Entry]:
        """Return the usage that was not reported yet; copilot counts what the model writes, not what it reads."""
        used = self._used.items()
        spent = [UsageReported(usage=Usage(output_tokens=count), model=model, complete=False) for model, count in used]
        self._used.clear()
        return [*spent]

    def _ended(self, result: ResultEvent) -> list[Item]:
        entries: list[Item] = [*self._flush()]
        if result.session_id and result.session_id != self._session:
            self._session = clipped(result.session_id, 200)
            entries += self._session_started("")
        entries += self._spent()
        failure = _aborted(self._aborted) if self._aborted else None
        if result.exit_code != 0:
            message = f"it says that it ends with exit code {result.exit_code}"
            failure = self._failure or failure or Failure(FailureReason.AGENT_ERROR, message)
        return [*entries, *self.finish(failure)]

    _EVENTS: ClassVar[dict[bytes, tuple[Callable[[bytes], Any], Callable[..., Sequence[Item]]]]] = {
        b"assistant.message": (decoder_of(Spoken), _message),
        b"assistant.message_delta": (decoder_of(Delta), _delta),
        b"assistant.message_start": (decoder_of(msgspec.Raw), _message_started),
        b"assistant.reasoning": (decoder_of(Reasoning), _reasoning),
        b"assistant.turn_retry": (decoder_of(Retry), _retried),
        b"tool.execution_start": (decoder_of(Start), _called),
        b"tool.execution_complete": (decoder_of(Complete), _tool_finished),
        b"model.call_failure": (decoder_of(CallFailure), _call_failed),
        b"session.tools_updated": (decoder_of(Updated), _tools_updated),
        b"session.warning": (decoder_of(Error), _warned),
        b"session.error": (decoder_of(Error), _failed),
        b"abort": (decoder_of(Abort), _abort),
        b"result": (json_decoder(ResultEvent).decode, _ended),
    }
    """What is understood, by the type of the event: its decoder and what becomes of it."""


def _aborted(reason: str) -> Failure:
    return Failure(FailureReason.AGENT_ERROR, f"it was stopped in the middle of its work: {reason}")
