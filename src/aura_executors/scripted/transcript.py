"""What a scripted agent writes: entries of the port in marked lines, and plain output. Pure."""

import json
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from aura_contracts.entries import TEXT_LIMIT, AnyEntry, Entry, ErrorReported, Finished, ToolFinished, Unknown
from aura_contracts.failures import Failure
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import Answer, Conversation, Send, failure_of
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import clipped, clipped_value
from aura_executors.adapter.json_lines import UNKNOWN_LIMIT

LINE_LIMIT = 1_048_576
"""Bytes of a line that is looked at; a longer one is plain output."""

_MARK = b'{"aura":'


class ScriptedConversation(Conversation):
    """Reads the marked lines, ``{"aura": {...}}``, of standard output. Everything else is plain output."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._skipping = False
        self._failure: Failure | None = None
        self._last_error = ""

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Entry | Send]:
        return self._entries(data) if source is OutputSource.STDOUT else ()

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        content = {"request_id": request_id, "granted": answer.granted, "feedback": answer.feedback}
        return [Send(json.dumps({"answer": content}).encode() + b"\n")]

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        return [entry for entry in self._entries(b"\n") if isinstance(entry, Entry)] if self._line else ()

    def judge(self, exit: ProcessExit) -> Failure | None:
        failure = failure_of(exit)
        if exit.cause is not ExitCause.OWN:
            return failure
        if self._failure is not None:
            return replace(self._failure, exit_code=exit.exit_code, signal=exit.signal)
        if failure is not None and exit.exit_code is not None and self._last_error:
            return replace(failure, message=self._last_error)
        return failure

    def _entries(self, data: bytes) -> list[Entry | Send]:
        """Take in bytes of standard output; return the entries of the lines that they complete."""
        entries: list[Entry | Send] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if not self._line and not data.startswith(_MARK, start):
                self._skipping = True  # the common case: plain output, which is not copied
            self._keep(data, start, end)
            if not self._skipping and (entry := _understood(bytes(self._line))):
                self._note(entry)
                entries.append(entry)
            self._line.clear()
            self._skipping = False
            start = end + 1
        self._keep(data, start, len(data))
        return entries

    def _keep(self, data: bytes, start: int, end: int) -> None:
        """Keep a piece of the current line, unless it cannot be a marked one any more."""
        if self._skipping or start == end:
            return
        self._line += data[start : min(end, start + LINE_LIMIT + 1)]
        head = bytes(self._line[: len(_MARK)])
        if len(self._line) > LINE_LIMIT or not _MARK.startswith(head):
            self._line.clear()
            self._skipping = True

    def _note(self, entry: Entry) -> None:
        match entry:
            case Finished(failure=failure):
                self._failure = failure
            case ErrorReported(message=message):
                self._last_error = message
            case ToolFinished(success=False, output=output):
                self.blocked = output
            case _:
                pass


class _Marked(msgspec.Struct, frozen=True):
    aura: AnyEntry


_DECODER = msgspec.json.Decoder(_Marked)


def _understood(line: bytes) -> Entry | None:
    """Return the entry in a line without its end; None if it is not marked."""
    if not line.startswith(_MARK):
        return None
    try:
        if b"\\u0000" not in line:  # a NUL, which no log can store
            return _bounded(_DECODER.decode(line).aura, line)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        pass
    return Unknown(text=clipped(line.decode("utf-8", "replace"), UNKNOWN_LIMIT))


def _bounded(entry: AnyEntry, line: bytes) -> Entry:
    """Return an entry whose texts are as long as those of an entry may be."""
    if len(line) <= TEXT_LIMIT:
        return entry
    bounded: Entry = msgspec.convert(clipped_value(msgspec.to_builtins(entry)), AnyEntry)
    return bounded
