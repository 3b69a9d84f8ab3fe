"""What most conversations have in common: JSON lines on standard output, words of trouble on standard error."""

import re
from abc import abstractmethod
from collections.abc import Iterable

import msgspec

from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import Conversation, Entry, Send, Unknown, failure_of
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import Tail, clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.line_splitter import Lines

Item = Entry | Send

UNKNOWN_LIMIT = 2_000
"""Characters that an `Unknown` shows of a line; the output has all of it."""

UNKNOWN_ENTRIES = 1_000
"""`Unknown` entries of one run; what comes after them is counted only."""

UNFINISHED = "it ended without its final word"
"""The message of the failure of an agent that did not say how it went, whatever its exit code."""

NOT_UNDERSTOOD = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError, TypeError, KeyError, IndexError)
"""What reading a line may raise. Lines come from outside: none of these is our fault, and none ends a conversation."""

_STDOUT = OutputSource.STDOUT
_SPACE = ord(" ")

_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|%b)++|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})" % _PAIR)
"""What stands in front of half of a surrogate pair, or the half. Agents in JavaScript write one where a model cuts a
character in two; no text has it."""


class JsonLines(Conversation):
    """Base for agents that write one JSON value in a line. `understand` is given each line that is not blank.

    What `understand` raises of `NOT_UNDERSTOOD` makes the line `Unknown`, and so does returning None. A line that holds
    half a character is given to it again with a replacement character, so decode first, and take in then.
    """

    def __init__(self) -> None:
        self.unknown = 0
        """How many lines were not understood."""
        self.errors = Tail()
        """The end of standard error."""
        self._lines = Lines()

    @abstractmethod
    def understand(self, line: bytes) -> Iterable[Item] | None:
        """Return what a line means, which may be nothing; None if it is not understood."""

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Item]:
        if source is _STDOUT:
            return self._understood(self._lines.feed(data))
        if source is OutputSource.STDERR:
            self.errors.feed(data)
        return ()

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        rest = self._lines.rest()
        return [said for said in self._understood(rest) if isinstance(said, Entry)] if rest else []

    def failed(self, exit: ProcessExit, told: Failure | None) -> Failure | None:
        """Return what `exit` means beside what the agent told itself; for `judge`, where a plain exit code decides."""
        if exit.cause not in (ExitCause.OWN, ExitCause.EXIT_GRACE):
            return failure_of(exit)
        failure = failure_of(exit)
        if told is not None:
            return msgspec.structs.replace(told, exit_code=exit.exit_code, signal=exit.signal)
        if failure is not None and exit.signal is None and (words := self.errors.text):
            said = failure_from(words)
            return msgspec.structs.replace(said, exit_code=exit.exit_code)
        return failure

    def _understood(self, lines: list[bytes]) -> list[Item]:
        said: list[Item] = []
        understand = self.understand
        for line in lines:
            if not line or (line[0] <= _SPACE and line.isspace()):
                continue
            try:
                if (meant := understand(line)) is not None:
                    said += meant  # may be a generator, and raise only here
                    continue
            except NOT_UNDERSTOOD:
                if (mended := self._once_more(line)) is not None:
                    said += mended
                    continue
            self._count(said, line.decode("utf-8", "replace"))
        return said

    def _once_more(self, line: bytes) -> list[Item] | None:
        """Return what a line means once it is mended; None if it needs no mending, or is not understood even so."""
        if (mended := _mended(line)) == line:
            return None
        try:
            return None if (meant := self.understand(mended)) is None else [*meant]
        except NOT_UNDERSTOOD:
            return None

    def _count(self, said: list[Item], text: str) -> None:
        self.unknown += 1
        if self.unknown <= UNKNOWN_ENTRIES:
            said.append(Unknown(text=clipped(text, UNKNOWN_LIMIT)))


def _mended(line: bytes) -> bytes:
    r"""Return a line of JSON with whole characters only.

    >>> _mended(rb'"a\ud83d" "\ud83d\ude00" "\\ud83d"')
    b'"a\\ufffd" "\\ud83d\\ude00" "\\\\ud83d"'
    """
    if b"\\ud" not in line and b"\\uD" not in line:
        return line
    return _HALF.sub(lambda found: rb"\ufffd" if found[1] else found[0], line)


def lost_session(session_id: str, message: str) -> Failure:
    """Return the failure of an agent that does not know the session which it was to resume."""
    return Failure(FailureReason.SESSION_LOST, f"it cannot resume session {session_id}: {clipped(message, 500)}")
