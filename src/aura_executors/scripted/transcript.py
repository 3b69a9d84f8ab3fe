"""What a scripted agent writes: entries of the port in marked lines, and plain output. Pure."""

import json
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from aura_contracts.entries import TEXT_LIMIT, AnyEntry, Entry, ErrorReported, Finished, ToolFinished
from aura_contracts.failures import Failure
from aura_contracts.first_use import convert, json_decoder
from aura_contracts.ports.executors import Answer, Send, failure_of
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import clipped_value
from aura_executors.adapter.json_lines import JsonLines, Lines

LINE_LIMIT = 1_048_576
"""Bytes of a line that is looked at; a longer one is plain output."""

_MARK = b'{"aura":'


class _Marked(msgspec.Struct, frozen=True):
    aura: AnyEntry


_DECODER = json_decoder(_Marked)


class ScriptedConversation(JsonLines):
    """Reads the marked lines, ``{"aura": {...}}``, of standard output. Everything else is plain output."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = Lines(LINE_LIMIT)
        self._failure: Failure | None = None
        self._last_error = ""

    def understand(self, line: bytes) -> Iterable[Entry] | None:
        if not line.startswith(_MARK):
            return ()
        if b"\\u0000" in line:  # a NUL, which no log can store
            return None
        entry = _bounded(_DECODER.decode(line).aura, line)
        self._note(entry)
        return (entry,)

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        content = {"request_id": request_id, "granted": answer.granted, "feedback": answer.feedback}
        return [Send(json.dumps({"answer": content}).encode() + b"\n")]

    def judge(self, exit: ProcessExit) -> Failure | None:
        failure = failure_of(exit)
        if exit.cause is not ExitCause.OWN:
            return failure
        if self._failure is not None:
            return replace(self._failure, exit_code=exit.exit_code, signal=exit.signal)
        if failure is not None and exit.exit_code is not None and self._last_error:
            return replace(failure, message=self._last_error)
        return failure

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


def _bounded(entry: AnyEntry, line: bytes) -> Entry:
    """Return an entry whose texts are as long as those of an entry may be."""
    if len(line) <= TEXT_LIMIT:
        return entry
    bounded: Entry = convert(clipped_value(msgspec.to_builtins(entry)), AnyEntry)
    return bounded
