"""JSON lines: conversations with one JSON value per line on standard output, and errors on standard error.

`Lines` splits the bytes into lines, in bounded memory. `ReportedTurn` and `SingleTurn` are for agents that run for one
turn and report its outcome.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from aura_contracts.entries import Entry, Finished, SessionStarted, Unknown, Usage, UsageReported
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import Conversation, Send, failure_of
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import Tail, clipped
from aura_executors.adapter.failure_classification import failure_from

# --- Lines ------------------------------------------------------------------------------------------------------------

LINE_LIMIT = 16 * 1024 * 1024
"""Maximum bytes of a line. Agents write whole files in one line; anything longer is not a message."""

TOO_LONG = b"a line that is too long"
"""Replaces a longer line. Not JSON, so that no adapter understands it."""


class Lines:
    r"""Splits bytes that arrive in pieces of any size into lines. Lines that are too long become `TOO_LONG`.

    >>> lines = Lines(limit=8)
    >>> lines.feed(b'{"a":'), lines.feed(b'1}\n\n{"b"'), lines.feed(b':"long"}\n[]')
    ([], [b'{"a":1}', b''], [b'a line that is too long'])
    >>> lines.rest()
    [b'[]']
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._begun = bytearray()
        """The unfinished line: one array, however small its pieces are."""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are now complete, without their line ends."""
        lines = data.split(b"\n")
        last = lines.pop()
        first = []
        if lines and (self._begun or self._skipping):
            self._keep(lines.pop(0))
            first = self.rest()
        if len(data) > self._limit:
            lines = [line if len(line) <= self._limit else TOO_LONG for line in lines]
        if last:
            self._keep(last)
        return first + lines if first else lines

    def rest(self) -> list[bytes]:
        """Return the unfinished line, if any, and start a new one."""
        line = TOO_LONG if self._skipping else bytes(self._begun)
        self._begun, self._skipping = bytearray(), False
        return [line] if line else []

    def _keep(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._begun) + len(piece) > self._limit:
            self._begun, self._skipping = bytearray(), True
        else:
            self._begun += piece


# --- Conversations ----------------------------------------------------------------------------------------------------

Item = Entry | Send

UNKNOWN_LIMIT = 2_000
"""Maximum characters of a line in an `Unknown`; the output has all of it."""

UNKNOWN_ENTRIES = 1_000
"""Maximum `Unknown` entries of one run; further ones are only counted."""

UNFINISHED = "it ended without its final message"
"""The failure of an agent that did not report its outcome, whatever its exit code."""

NOT_UNDERSTOOD = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError, TypeError, KeyError, IndexError)
"""Exceptions from parsing a line. Lines come from outside, so these are not bugs and do not end a conversation."""

_STDOUT = OutputSource.STDOUT

_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"%b|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\." % _PAIR)
"""An escape; its group is a lone surrogate. Agents in JavaScript write one when a model splits a character;
valid text has none."""


_BOM = b"\xef\xbb\xbf"
_CONTROLS = rb"(?:\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]|%b)+" % _BOM
_CONTROLS_AROUND = re.compile(rb"\A%b|%b\r?\Z" % (_CONTROLS, _CONTROLS))
"""Matches what some agents write for a terminal that is not there: its title, the cursor (ECMA-48)."""


class JsonLines(Conversation):
    """Base for agents that write one JSON value per line. `understand` receives each non-empty line.

    If `understand` raises one of `NOT_UNDERSTOOD` or returns None, the line becomes `Unknown`, unless it is understood
    once it is `repaired`. So decode a line before you change any state.
    """

    def __init__(self) -> None:
        self.unknown = 0
        """Number of lines that were not understood."""
        self.errors = Tail()
        """The end of standard error."""
        self._lines = Lines()

    @abstractmethod
    def understand(self, line: bytes) -> Iterable[Item] | None:
        """Return the items of a line, possibly none, or None if it is not understood."""

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
        """Return the failure, given `exit` and the failure that the agent reported; for `judge`."""
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
                    items += meant  # it may be a generator, which raises only here
                    continue
            except NOT_UNDERSTOOD:
                pass
            if (again := self._retry_repaired(line)) is not None:
                items += again
            elif not line.isspace():  # checked late, because nearly all lines are understood
                self._count(items, line.decode("utf-8", "replace"))
        return items

    def _retry_repaired(self, line: bytes) -> list[Item] | None:
        """Return the items of a repaired line, or None if it is still not understood."""
        if (mended := repaired(line)) == line:
            return None
        try:
            return None if (meant := self.understand(mended)) is None else [*meant]
        except NOT_UNDERSTOOD:
            return None

    def _count(self, items: list[Item], text: str) -> None:
        self.unknown += 1
        if self.unknown <= UNKNOWN_ENTRIES:
            items.append(Unknown(text=clipped(text, UNKNOWN_LIMIT)))


def repaired(line: bytes) -> bytes:
    r"""Return a line of JSON with whole characters only, and without control sequences for a terminal around it.

    >>> repaired(rb'"a\ud83d" "\ud83d\ude00" "\\ud83d"')
    b'"a\\ufffd" "\\ud83d\\ude00" "\\\\ud83d"'
    >>> repaired(b'\x1b]0;title\x07\x1b[?25l{"a":1}\x1b[0m')
    b'{"a":1}'
    """
    if b"\x1b" in line or line.startswith(_BOM):
        line = _CONTROLS_AROUND.sub(b"", line)
    if b"\\ud" not in line and b"\\uD" not in line:
        return line
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], line)


def lost_session(session_id: str, message: str) -> Failure:
    """Return the failure of an agent that cannot find the session to resume."""
    return Failure(FailureReason.SESSION_LOST, f"it cannot resume session {session_id}: {clipped(message, 500)}")


# --- Turns ------------------------------------------------------------------------------------------------------------


class ReportedTurn(JsonLines):
    """Base for agents that are judged by the outcome that they report, whatever their exit code."""

    listening: ClassVar[bool] = False
    """Whether standard input stays open until the turn is over."""

    def __init__(self) -> None:
        super().__init__()
        self.finished: Finished | None = None
        """The outcome, once the agent has reported it."""

    def finish(self, failure: Failure | None) -> list[Item]:
        """Record the outcome, once, and return the end of the run."""
        if self.finished is not None:
            return []
        self.finished = Finished(failure=failure)
        return [self.finished, Send(close=True)] if self.listening else [self.finished]

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        """Return why the outcome of an agent that AURA did not end is missing."""
        return self.failed(exit, None) or Failure(FailureReason.AGENT_ERROR, UNFINISHED)

    def judge(self, exit: ProcessExit) -> Failure | None:
        if exit.cause not in (ExitCause.OWN, ExitCause.EXIT_GRACE):
            return failure_of(exit)
        failure = self.unfinished(exit) if self.finished is None else self.finished.failure
        return failure and msgspec.structs.replace(failure, exit_code=exit.exit_code, signal=exit.signal)


class SingleTurn(ReportedTurn):
    """Base for agents whose stream names a session first. `session_id` is the session to resume."""

    unknown_session: ClassVar[re.Pattern[str]]
    """Matches the agent's message for an unknown session."""

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self.failure: Failure | None = None
        """The last failure that the agent mentioned."""
        self._asked = session_id
        self._session = ""
        self._model = ""

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        words = self.errors.text or (self.failure.message if self.failure else "")
        lost = self._asked and not self._session and self.unknown_session.search(words)
        return lost_session(self._asked, words) if lost else self.failure or super().unfinished(exit)

    def take_session(self, session_id: str, model: str | None) -> Iterator[Entry]:
        """Record the session and its model, which are reported once."""
        self._model = self._model or clipped(model or "", 1_000)
        if session_id and not self._session:
            self._session = session_id
            yield SessionStarted(session_id=clipped(session_id, 1_000), model=self._model)

    def take_result(self, usage: Usage, failure: Failure | None) -> Iterator[Item]:
        """Record the outcome and the usage."""
        if usage != Usage():
            yield UsageReported(usage=usage, model=self._model)
        yield from self.finish(failure)
