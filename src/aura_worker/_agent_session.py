"""Agent session: the conversation with one agent, fed each byte once, without delaying its output."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import TypeVar

import attrs
import msgspec
from msgspec.structs import replace

from aura_contracts.entries import (
    AnyEntry,
    Entry,
    ErrorReported,
    Finished,
    PermissionRequested,
    PermissionWithdrawn,
    ToolFinished,
    Unknown,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.ports.executors import Answer, Conversation, Send
from aura_contracts.ports.processes import OutputBatch, ProcessExit
from aura_worker_protocol.messages import ParsedRecord

_log = logging.getLogger(__name__)
T = TypeVar("T")

REASON_LIMIT = 10_000
"""Characters of why a process failed."""

ENTRIES_LIMIT = 8 * 1024 * 1024
"""Bytes of the entries of one record as JSON: together with the record itself they fit into a frame."""

_decode_entry = json_decoder(AnyEntry).decode


@attrs.frozen
class KeyedSend:
    """Something to write to the agent once: the same data always has the same key."""

    key: str
    send: Send


@attrs.define
class AgentSession:
    """Feeds a conversation, which is third-party code. After it has raised it is not called again: the output still
    flows, and the agent's input is closed, since there is nothing left that could answer it.

    Outlives connections: entries are kept until the engine has them, sends until they are written. After a restart of
    the worker the conversation is fed everything that the agent wrote before. Entries that the engine has (`recorded`
    is the number of its last record) are left out then, and sends are repeated under the same keys.
    """

    _conversation: Conversation
    _judge: Callable[[ProcessExit], Failure | None]
    fed: int
    """The number of the last record that the conversation was fed."""
    _recorded: int
    _locate: Callable[[AnyEntry], AnyEntry] = lambda entry: entry
    """Adds to a permission request where its paths lead."""
    sends: deque[KeyedSend] = attrs.field(factory=deque)
    finished: bool = False
    """Whether the agent has reported that it is done."""
    tool_wait: object = None
    """The wait for a human with AURA's own tools, while there is one."""
    _parsed: dict[int, tuple[AnyEntry, ...]] = attrs.field(factory=dict)
    """By the number of the record that completed them."""
    _last: tuple[AnyEntry, ...] = ()
    _broken: str = ""
    _answered: set[str] = attrs.field(factory=set)
    _told: set[str] = attrs.field(factory=set)
    _asking: dict[str, str] = attrs.field(factory=dict)
    """The call that each open question is about."""
    _interrupted: bool = False
    _ended: bool = False

    def take(self, batch: OutputBatch) -> None:
        """Feed the conversation with output; records that it had before are left out."""
        for number, chunk in enumerate(batch.chunks, batch.first):
            if number > self.fed:
                self.fed = number
                self._feed(number, chunk)

    def parsed(self, first: int, last: int) -> tuple[ParsedRecord, ...]:
        """Return the entries of the records from `first` to `last`, both included."""
        found = sorted(number for number in self._parsed if first <= number <= last)
        return tuple(ParsedRecord(record=number, entries=self._parsed[number]) for number in found)

    def forget(self, upto: int) -> None:
        """Drop the entries that the engine has: those of the records up to this number."""
        for number in [number for number in self._parsed if number <= upto]:
            del self._parsed[number]

    def answer(self, request_id: str, answer: Answer) -> None:
        """Answer a question of the agent; the second time has no effect."""
        if request_id not in self._answered:
            self._answered.add(request_id)
            self._asking.pop(request_id, None)
            said = self._asked(partial(self._conversation.answer, request_id, answer))
            self._put_sends(_key("answer", request_id), said)

    def tell(self, message_id: str, text: str) -> None:
        """Give a message to the agent, if it takes it now; once it was given, the next time has no effect."""
        if message_id not in self._told and not self._ended:
            said = self._asked(partial(self._conversation.tell, message_id, text))
            self._put_sends(_key("message", message_id), said)
            if said:
                self._told.add(message_id)

    def interrupt(self) -> None:
        """Ask the agent to stop, if its protocol has a message for that; the second time has no effect."""
        if not self._interrupted and not self._ended:
            self._interrupted = True
            self._put_sends("interrupt", self._asked(self._conversation.interrupt))

    def end(self, exit: ProcessExit) -> tuple[AnyEntry, ...]:
        """End the conversation; return its last entries, the same each time."""
        if not self._ended:
            self._ended = True
            said = self._asked(partial(self._conversation.end, exit))
            self._last = self._entries(said)
        return self._last

    def judge(self, exit: ProcessExit, stage: str) -> Failure | None:
        """Return why the process failed, None if it did not; a broken conversation is a failure too."""
        try:
            failure = self._judge(exit)
        except Exception as error:  # noqa: BLE001 - a bug of a plugin ends its conversation only
            self._break(error)
            failure = None
        if failure is None and self._broken:
            reason = f"the output of the agent could not be parsed: {self._broken}"
            failure = Failure(FailureReason.AGENT_ERROR, reason, exit_code=exit.exit_code, signal=exit.signal)
        if failure is None:
            return None
        return replace(failure, message=_storable(failure.message), stage=failure.stage or stage)

    @property
    def waiting(self) -> bool:
        """Whether the agent waits for a human: for the answer to a question of its protocol, or with AURA's tools."""
        waits = bool(self._asking) or self.tool_wait is not None
        return waits and not (self.finished or self._ended or self._broken)

    @property
    def blocked(self) -> str:
        """What the agent was not permitted to do, in words."""
        return _storable(str(self._conversation.blocked))

    def _feed(self, number: int, chunk: Chunk) -> None:
        if chunk.source is OutputSource.AURA:
            return
        said = self._asked(partial(self._conversation.receive, chunk.source, chunk.raw))
        if not said:
            return
        entries = self._entries(said)
        self.finished = self.finished or any(isinstance(entry, Finished) for entry in entries)
        self._note_questions(entries)
        if entries and number > self._recorded:
            self._parsed[number] = entries
        self._put_sends(str(number), said)

    def _entries(self, said: Iterable[object]) -> tuple[AnyEntry, ...]:
        return tuple(map(self._locate, _entries(said)))

    def _note_questions(self, entries: Iterable[AnyEntry]) -> None:
        """Note which questions are open; one whose call has finished was answered, whenever that was."""
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
        except Exception as error:  # noqa: BLE001 - a bug of a plugin ends its conversation only
            self._break(error)
            return (ErrorReported(message=f"the executor failed on the output of the agent: {self._broken}"),)

    def _break(self, error: Exception) -> None:
        _log.error("an executor failed on the output of its agent: %r", error, exc_info=error)
        self._broken = self._broken or repr(error)
        self.sends.append(KeyedSend("broken", Send(close=True)))

    def _put_sends(self, key: str, said: Iterable[object]) -> None:
        sends = (one for one in said if isinstance(one, Send))
        self.sends.extend(KeyedSend(f"{key}:{place}", send) for place, send in enumerate(sends))


def _entries(said: Iterable[object]) -> tuple[AnyEntry, ...]:
    """Return the entries in `said`, checked and copied: third-party code made them, and wire and log must hold them.

    An entry that does not pass is replaced by one that says so; the output itself has the rest.
    """
    entries: list[AnyEntry] = []
    room = ENTRIES_LIMIT
    for one in said:
        if isinstance(one, Entry):
            entry, size = _checked(one, room)
            entries.append(entry)
            room -= size
    return tuple(entries)


def _checked(entry: Entry, room: int) -> tuple[AnyEntry, int]:
    """Return what may be kept of `entry`, and how much of `room` it takes, in bytes."""
    try:
        encoded = msgspec.json.encode(entry)
        if len(encoded) <= room:
            return _decode_entry(encoded), len(encoded)
        reason = f"its {len(encoded)} bytes are more than a record may have"
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        reason = str(error)
    return Unknown(text=f"{type(entry).__name__} is left out: {reason}"), 0


def _storable(text: str) -> str:
    """Return text of an executor as the log can store it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:REASON_LIMIT]


def _key(kind: str, name: str) -> str:
    """Return a key for something that an agent gave a name of any length."""
    return f"{kind}:{name}" if len(name) < 100 and name.isascii() else f"{kind}:{sha256(name.encode()).hexdigest()}"
