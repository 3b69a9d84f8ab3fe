"""Claude Code's ``stream-json``, which several agents write and read. Pure.

A turn consists of ``system/init``, then alternating ``assistant`` and ``user`` messages (with the results of tools),
then ``result``. In between the agent asks for permissions (`aura_executors.agents.claude.permissions`).
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
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
from aura_contracts.ports.executors import Answer, Send
from aura_contracts.ports.processes import ProcessExit
from aura_executors.adapter.bounded_text import clipped, clipped_value
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, ReportedTurn
from aura_executors.adapter.plan import plan_of
from aura_executors.agents.claude.edits import changed
from aura_executors.agents.claude.permissions import Permissions
from aura_executors.agents.claude.wire import (
    DENIALS,
    EDITED,
    Assistant,
    Block,
    CommandLifecycle,
    ControlCancel,
    ControlRequest,
    Line,
    Part,
    RateLimit,
    ResultMessage,
    System,
    Tokens,
    User,
    read,
    read_line,
)

CALLS_LIMIT = 10_000
"""Maximum number of calls to remember until their results arrive."""

MESSAGES_LIMIT = 100_000
"""Maximum number of messages whose tokens are counted until a result reports them."""

_INTERRUPT = b'{"type":"control_request","request_id":"aura-interrupt","request":{"subtype":"interrupt"}}\n'

_NO_USAGE = Usage()

_NO_DENIALS = msgspec.Raw(b"[]")
"""The usual subtype of a result."""

_EXIT_CODE = "Exit code "
"""Matches the output of a failed shell command."""


class StreamJson(ReportedTurn):
    """Base for agents that write ``stream-json``; they differ in names of tools and in how they report failures."""

    edits: ClassVar[frozenset[str]]
    """Tools that change a file."""
    plans: ClassVar[frozenset[str]]
    """Tools that write a plan."""
    listening = True

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        """Whether the agent has reported the end of a turn."""
        self.interrupting = False
        """Whether the agent was asked to stop."""
        self.permissions = Permissions()
        self.session_id = ""
        """The session's id, as reported by the agent."""
        self._calls: dict[str, str] = {}
        """The path changed by each pending call."""
        self._spent: dict[str, tuple[str, Tokens]] = {}
        """Model and tokens by message, not yet reported."""
        self._halted = False
        """Whether AURA ended the turn, so that nothing that follows counts."""

    # --- Differences between agents

    @abstractmethod
    def failure_in(self, result: ResultMessage) -> Failure | None:
        """Return the failure of the turn, if it failed."""

    @abstractmethod
    def usage_in(self, result: ResultMessage) -> Iterable[Item]:
        """Return the usage since the last result."""

    @abstractmethod
    def usage_of(self, tokens: Tokens) -> Usage:
        """Return the usage of a message."""

    def lost(self, words: str) -> Failure | None:
        """Return the failure if this standard error says that the session cannot be resumed."""
        return None

    def waiting(self, result: ResultMessage) -> bool:
        """Return whether the agent continues by itself after this result of a turn."""
        return False

    def note(self, line: System, raw: bytes) -> Iterable[Item]:
        """Process a ``system`` message other than ``init``."""
        return ()

    def confirmed(self, line: CommandLifecycle) -> Iterable[Item]:
        """Process a message about what became of a human's message."""
        return ()

    def limited(self, line: RateLimit) -> Iterable[Item]:
        """Process a message about the limits of the account."""
        return ()

    def special(self, line: Assistant) -> Iterable[Item] | None:
        """Return the items of a message that is not an ordinary one, or None."""
        return None

    def given_up(self, block: Block) -> Failure | None:
        """Return the failure if this result of a tool says that the agent no longer waits for a permission."""
        return None

    # --- The conversation

    def understand(self, line: bytes) -> Iterable[Item] | None:
        if self._halted:
            return ()
        message = read_line(line)
        if type(message) is Assistant:  # it has no subclasses, and `isinstance` is slower when it is False
            special = self.special(message)
            return self._assistant(message) if special is None else special
        if type(message) is User:
            return self._user(message)
        if type(message) is System:
            return self.begun(message) if message.subtype == "init" else self.note(message, line)
        if type(message) is ResultMessage:
            return self._result(message)
        return self._controlled(message)

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        return self.permissions.answer(request_id, answer)

    def interrupt(self) -> Iterable[Send]:
        self.interrupting = True
        return () if self.finished else [Send(_INTERRUPT)]

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        """Add the usage of messages that no result reported."""
        return [*super().end(exit), *self.spent()]

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        if self.ended and exit.exit_code == 0:
            return None
        if self.interrupting:
            return Failure(FailureReason.CANCELLED, "it was asked to stop")
        words = self.errors.text
        if (found := self.lost(words)) is None and exit.signal is None and words:
            found = failure_from(words.partition("\nUsage: ")[0])  # the fallback is not a reason
        return found or super().unfinished(exit)

    def _controlled(self, line: Line) -> Iterable[Item]:
        if type(line) is ControlRequest:
            return self.permissions.asked(line)
        if type(line) is ControlCancel:
            return self.permissions.withdrawn(line.request_id)
        if type(line) is CommandLifecycle:
            return self.confirmed(line)
        return self.limited(line) if type(line) is RateLimit else ()

    def begun(self, line: System) -> Iterable[Item] | None:
        if not isinstance(line.session_id, str) or not line.session_id:
            return None
        session_id = clipped(line.session_id, 1_000)
        if session_id == self.session_id:
            return ()
        self.session_id = session_id
        model = clipped(line.model, 1_000) if isinstance(line.model, str) else ""
        return [SessionStarted(session_id=session_id, model=model)]

    def _result(self, result: ResultMessage) -> Iterable[Item]:
        items = [*self.usage_in(result)]
        self.ended, failure = True, self.failure_in(result)
        self.blocked = self.blocked or self.permissions.denied
        denials = result.permission_denials
        denied = None if denials == _NO_DENIALS else read(DENIALS, denials)
        for denial in denied or ():
            path = denial.tool_input.get("file_path") or denial.tool_input.get("command") or ""
            self.blocked = clipped(f"it was not permitted to use {denial.tool_name} {path}".strip(), 500)
        if self.waiting(result) and not self.interrupting and failure is None:
            return items
        items += self.finish(failure)
        self.finished = Finished(failure=failure)  # the last turn counts, if another comes after the end
        return items

    def spent(self) -> list[Entry]:
        """Return the usage of messages since the last call, by model."""
        if not self._spent:
            return []
        counts: dict[str, Tokens] = {}
        for model, tokens in self._spent.values():
            counts[model] = counts[model] + tokens if model in counts else tokens
        self._spent.clear()
        items: list[Entry] = []
        for model, tokens in counts.items():
            if (usage := self.usage_of(tokens)) != _NO_USAGE:
                items.append(UsageReported(usage=usage, model=clipped(model, 1_000)))
        return items

    # --- Messages

    def _assistant(self, line: Assistant) -> Iterable[Item]:
        message = line.message
        if message.usage is not None and len(self._spent) < MESSAGES_LIMIT:
            self._spent[message.id or str(len(self._spent))] = (message.model or "", message.usage)
        if isinstance(message.content, str):
            return [Message(text=clipped(message.content))] if message.content else ()
        if len(message.content) == 1:
            return self._block(message.content[0])
        return [item for block in message.content for item in self._block(block)]

    def _block(self, block: Block) -> Iterable[Item]:
        match block.type:
            case "text":
                return [Message(text=clipped(block.text))] if block.text else ()
            case "thinking":
                return [Thinking(text=clipped(block.thinking))] if block.thinking else ()
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                return self._called(block)
            case "redacted_thinking" | "image" | "document" | "fallback":
                return ()
        if block.type.endswith("_tool_result"):
            return [self._returned(block)]
        strange: list[Item] = []
        self._count(strange, f"a part of a message, of type {block.type}")
        return strange

    def _called(self, block: Block) -> Iterable[Item]:
        call_id, tool, given = clipped(block.id, 1_000), block.name, block.input or {}
        called = ToolCalled(call_id=call_id, tool=clipped(tool, 1_000), arguments=clipped_value(given))
        if tool in self.edits:
            path = given.get("file_path") or given.get("notebook_path")
            if isinstance(path, str) and len(self._calls) < CALLS_LIMIT:
                self._calls[call_id] = clipped(path, 4_096)
        elif tool in self.plans and (steps := plan_of(given.get("todos"))):
            return [called, PlanUpdated(steps=steps)]
        return [called]

    def _user(self, line: User) -> Iterable[Item]:
        content = line.message.content
        if isinstance(content, str):
            return ()
        items: list[Item] = []
        for block in content:
            if block.type != "tool_result":
                continue
            if (failure := self.given_up(block)) is not None:
                return [*items, *self._stop(failure)]
            returned = self._returned(block)
            items.append(returned)
            path = self._calls.pop(returned.call_id, None)
            if path is not None and returned.success:
                alone = len(content) == 1 or sum(one.type == "tool_result" for one in content) == 1
                edited = read(EDITED, line.tool_use_result) if alone else None
                change = FileChanged(path=path, call_id=returned.call_id)
                items.append(change if edited is None else changed(edited, path, returned.call_id))
        return items

    def _stop(self, failure: Failure) -> list[Item]:
        """End the turn, whatever the agent is about to do."""
        self._halted = True
        return [*self.spent(), Send(_INTERRUPT), *self.finish(failure)]

    def _returned(self, block: Block) -> ToolFinished:
        call_id = clipped(block.tool_use_id, 1_000)
        self.permissions.settled(call_id)
        content = block.content
        output = clipped(content if isinstance(content, str) else _text(content))
        failed = bool(block.is_error)
        code = _exit_code(output) if failed and output.startswith(_EXIT_CODE) else None
        return ToolFinished(call_id=call_id, success=not failed, output=output, exit_code=code)


def report(message: str, *, retrying: bool = False) -> list[Item]:
    """Return an error as an entry."""
    return [ErrorReported(message=clipped(message, 2_000), retrying=retrying)]


def words_of(result: ResultMessage) -> str:
    """Return the agent's message about the end of the turn."""
    found = [result.result, *(result.errors if isinstance(result.errors, list) else [])]
    if isinstance(result.error, dict):
        found.append(result.error.get("message"))
    return "\n".join(text for text in found if isinstance(text, str) and text)


def status_of(result: ResultMessage) -> int | None:
    """Return the HTTP status of the model's service, if it failed."""
    status = result.api_error_status
    return status if isinstance(status, int) and 400 <= status < 600 else None


def failure_of_words(words: str, status: int | None = None) -> Failure:
    """Return the failure described by the agent's message, or a generic one without a message."""
    return failure_from(words or "it failed without saying why", status)


def _text(content: list[Part] | Part | None) -> str:
    parts = content if isinstance(content, list) else [content] if content is not None else []
    return "\n".join(part.text or f"[{part.type}]" for part in parts if part.text or part.type)


def _exit_code(output: str) -> int | None:
    digits = output[len(_EXIT_CODE) : len(_EXIT_CODE) + 6].split(None, 1)
    return int(digits[0]) if digits and digits[0].isdecimal() and digits[0].isascii() else None
