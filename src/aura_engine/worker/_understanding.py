"""Understanding: the conversation with one agent, told each byte once, and never in the way of its output."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import TypeVar

import attrs
from msgspec.structs import replace

from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.ports.executors import (
    Answer,
    AnyEntry,
    Conversation,
    Entry,
    ErrorReported,
    Finished,
    PermissionRequested,
    PermissionWithdrawn,
    Send,
    ToolFinished,
)
from aura_contracts.ports.processes import OutputBatch, ProcessExit
from aura_worker_protocol.messages import Understood

_log = logging.getLogger(__name__)
T = TypeVar("T")

WORDS_LIMIT = 10_000
"""Characters of why a process failed."""


@attrs.frozen
class KeyedSend:
    """Something to be written to the agent once, whoever asks for it: the same words always have the same key."""

    key: str
    send: Send


@attrs.define
class Understanding:
    """Feeds a conversation, which is code of others. One that raises is not asked again; the output goes on, and the
    agent, with whom nobody can talk any more, hears no more.

    What comes of it waits until somebody has taken care of it: it outlives connections. After a restart of the worker
    the conversation is told all that the agent has written before; the entries of what the engine has are left out then
    (`recorded`: the number of its last record), what was to be written is written again under the same keys.
    """

    _conversation: Conversation
    _judge: Callable[[ProcessExit], Failure | None]
    _fed: int
    """The number of the last record that the conversation was told."""
    _recorded: int
    sends: deque[KeyedSend] = attrs.field(factory=deque)
    finished: bool = False
    """Whether the agent has said that it is done."""
    _understood: dict[int, tuple[AnyEntry, ...]] = attrs.field(factory=dict)
    """By the number of the record that completed them."""
    _last: tuple[AnyEntry, ...] = ()
    _broken: str = ""
    _answered: set[str] = attrs.field(factory=set)
    _asking: dict[str, str] = attrs.field(factory=dict)
    """The call that each open question is about."""
    _interrupted: bool = False
    _ended: bool = False

    def take(self, batch: OutputBatch) -> None:
        """Tell what the agent wrote; records that were told before are left out."""
        for number, chunk in enumerate(batch.chunks, batch.first):
            if number > self._fed:
                self._fed = number
                self._tell(number, chunk)

    def understood(self, first: int, last: int) -> tuple[Understood, ...]:
        """Return what was understood from the records between these numbers, these included."""
        found = sorted(number for number in self._understood if first <= number <= last)
        return tuple(Understood(record=number, entries=self._understood[number]) for number in found)

    def forget(self, upto: int) -> None:
        """Forget what the engine has: what was understood from the records up to this number."""
        for number in [number for number in self._understood if number <= upto]:
            del self._understood[number]

    def answer(self, request_id: str, answer: Answer) -> None:
        """Tell what was decided about a question of the agent; the second time nothing comes of it."""
        if request_id not in self._answered:
            self._answered.add(request_id)
            self._asking.pop(request_id, None)
            said = self._asked(partial(self._conversation.answer, request_id, answer))
            self._put_sends(_key("answer", request_id), said)

    def interrupt(self) -> None:
        """Have the agent asked to stop, if its protocol has words for that; the second time nothing comes of it."""
        if not self._interrupted and not self._ended:
            self._interrupted = True
            self._put_sends("interrupt", self._asked(self._conversation.interrupt))

    def end(self, exit: ProcessExit) -> tuple[AnyEntry, ...]:
        """Tell that the agent has ended; return what was understood last, the same each time."""
        if not self._ended:
            self._ended = True
            said = self._asked(partial(self._conversation.end, exit))
            self._last = _entries(said)
        return self._last

    def judge(self, exit: ProcessExit, stage: str) -> Failure | None:
        """Say whether the process failed; an executor that cannot be asked is a failure of its own."""
        try:
            failure = self._judge(exit)
        except Exception as error:  # noqa: BLE001 - a plugin's fault is its own
            self._break(error)
            failure = None
        if failure is None and self._broken:
            reason = f"what the agent wrote could not be understood: {self._broken}"
            failure = Failure(FailureReason.AGENT_ERROR, reason, exit_code=exit.exit_code, signal=exit.signal)
        if failure is None:
            return None
        return replace(failure, message=_words(failure.message), stage=failure.stage or stage)

    @property
    def waiting(self) -> bool:
        """Whether the agent waits for somebody to answer a question."""
        return bool(self._asking) and not self.finished and not self._ended and not self._broken

    @property
    def blocked(self) -> str:
        """What the agent was not permitted to do."""
        return _words(str(self._conversation.blocked))

    def _tell(self, number: int, chunk: Chunk) -> None:
        if chunk.source is OutputSource.AURA:
            return
        said = self._asked(partial(self._conversation.receive, chunk.source, chunk.raw))
        if not said:
            return
        entries = _entries(said)
        self.finished = self.finished or any(isinstance(entry, Finished) for entry in entries)
        self._note_questions(entries)
        if entries and number > self._recorded:
            self._understood[number] = entries
        self._put_sends(str(number), said)

    def _note_questions(self, entries: Iterable[AnyEntry]) -> None:
        """Note which questions are open; one whose call came to its end was answered, whenever that was."""
        for entry in entries:
            match entry:
                case PermissionRequested() if entry.request_id not in self._answered:
                    self._asking[entry.request_id] = entry.call_id
                case PermissionWithdrawn():
                    self._asking.pop(entry.request_id, None)
                case ToolFinished() if self._asking:
                    self._asking = {one: call for one, call in self._asking.items() if call not in ("", entry.call_id)}

    def _asked(self, ask: Callable[[], Iterable[T]]) -> Sequence[T | ErrorReported]:
        if self._broken:
            return ()
        try:
            return tuple(ask())
        except Exception as error:  # noqa: BLE001 - a plugin's fault is its own
            self._break(error)
            return (ErrorReported(message=f"the executor failed on what the agent wrote: {self._broken}"),)

    def _break(self, error: Exception) -> None:
        _log.error("an executor failed on what its agent wrote: %r", error, exc_info=error)
        self._broken = self._broken or repr(error)
        self.sends.append(KeyedSend("broken", Send(close=True)))

    def _put_sends(self, key: str, said: Iterable[object]) -> None:
        sends = (one for one in said if isinstance(one, Send))
        self.sends.extend(KeyedSend(f"{key}:{place}", send) for place, send in enumerate(sends))


def _entries(said: Iterable[object]) -> tuple[AnyEntry, ...]:
    return tuple(one for one in said if isinstance(one, Entry))  # type: ignore[misc]  # all entries there are


def _words(text: str) -> str:
    """Return what an executor says as the log can store it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:WORDS_LIMIT]


def _key(kind: str, name: str) -> str:
    """Return a key for something that an agent gave a name of any length."""
    return f"{kind}:{name}" if len(name) < 100 and name.isascii() else f"{kind}:{sha256(name.encode()).hexdigest()}"
