"""Conversations with one JSON value in a line on standard output, and errors on standard error."""

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

UNFINISHED = "it ended without its final message"
"""The failure of an agent that did not report its outcome, whatever its exit code."""

NOT_UNDERSTOOD = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError, TypeError, KeyError, IndexError)
"""What reading a line may raise. Lines come from outside: none of these is a bug here, and none ends a conversation."""

_STDOUT = OutputSource.STDOUT

_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"%b|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\." % _PAIR)
"""An escape; its group is half of a surrogate pair. Agents in JavaScript write one where a model cuts a character in two;
valid text has none."""


class JsonLines(Conversation):
    """Base for agents that write one JSON value in a line. `understand` is given each line that is not empty.

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
        return [items for items in self._understood(rest) if isinstance(items, Entry)] if rest else []

    def failed(self, exit: ProcessExit, reported: Failure | None) -> Failure | None:
        """Return what `exit` means given what the agent reported; for `judge`, where a plain exit code decides."""
        if exit.cause not in (ExitCause.OWN, ExitCause.EXIT_GRACE):
            return failure_of(exit)
        failure = failure_of(exit)
        if reported is not None:
            return msgspec.structs.replace(reported, exit_code=exit.exit_code, signal=exit.signal)
        if failure is not None and exit.signal is None and (words := self.errors.text):
            return msgspec.structs.replace(failure_from(words), exit_code=exit.exit_code)
        return failure

    def _understood(self, lines: list[bytes]) -> list[Item]:
        items: list[Item] = []
        understand = self.understand
        for line in lines:
            if not line:
                continue
            try:
                if (meant := understand(line)) is not None:
                    items += meant  # may be a generator, and raise only here
                    continue
            except NOT_UNDERSTOOD:
                if (repaired := self._retry_repaired(line)) is not None:
                    items += repaired
                    continue
            if not line.isspace():  # checked here and not before, because nearly all lines are understood
                self._count(items, line.decode("utf-8", "replace"))
        return items

    def _retry_repaired(self, line: bytes) -> list[Item] | None:
        """Return what a line means once it is repaired; None if that does not help."""
        if (repaired := _repaired(line)) == line:
            return None
        try:
            return None if (meant := self.understand(repaired)) is None else [*meant]
        except NOT_UNDERSTOOD:
            return None

    def _count(self, items: list[Item], text: str) -> None:
        self.unknown += 1
        if self.unknown <= UNKNOWN_ENTRIES:
            items.append(Unknown(text=clipped(text, UNKNOWN_LIMIT)))


def _repaired(line: bytes) -> bytes:
    r"""Return a line of JSON with whole characters only.

    >>> _repaired(rb'"a\ud83d" "\ud83d\ude00" "\\ud83d"')
    b'"a\\ufffd" "\\ud83d\\ude00" "\\\\ud83d"'
    """
    if b"\\ud" not in line and b"\\uD" not in line:
        return line
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], line)


def lost_session(session_id: str, message: str) -> Failure:
    """Return the failure of an agent that does not know the session it should resume."""
    return Failure(FailureReason.SESSION_LOST, f"it cannot resume session {session_id}: {clipped(message, 500)}")
