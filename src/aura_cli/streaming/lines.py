"""Lines: the output of agents for people and for programs. Pure: bytes in, split anywhere; bytes out.

It processes whole chunks, never line by line, so a million lines cost little more than a copy. At most `PIECE` bytes
and one chunk of an unfinished line are kept; a longer line is printed in pieces as they arrive. Lines of standard
output and standard error are printed in the order in which they end.

**As text** each line has a prefix that names its source, and only AURA can write ``[aura] ``: a carriage return ends a
line too, with or without a line feed after it, because it would move a terminal's cursor to the start of the line and
because many readers of pipes take it for a line end. A pipe gets everything else as it was written. A terminal gets
unprintable characters escaped, except for tabs. If other output comes between the pieces of a long line, the line is
broken and continues under its prefix. The lines of an agent's own protocol can be hidden (`TextLines.hides_protocol`).

**As JSON** a line only ends at a line feed, and is shown exactly as it was written.
"""

from collections.abc import Iterable

import attrs
import msgspec

from aura_contracts.output import OutputSource
from aura_contracts.quoting import one_line, printable

PIECE = 64 * 1024
"""Maximum bytes of an unfinished line to keep before printing them."""


# --- Text -------------------------------------------------------------------------------------------------------------


@attrs.define
class _Begun:
    """An unfinished line of a source."""

    prefix: bytes
    rest: bytearray = attrs.field(factory=bytearray)
    after_return: bool = False
    """Its last byte was a carriage return, so a line feed that follows does not end another line."""
    hidden: bool = False
    """It is hidden, and its start was already dropped."""


class TextLines:
    """Lines with prefixes, `escaped` for a terminal, or else raw for a pipe or a file."""

    def __init__(self, *, escaped: bool = False, encoding: str = "utf-8") -> None:
        self._escaped = escaped
        self._encoding = encoding
        self._begun = {source: _Begun(f"[{source}] ".encode()) for source in OutputSource}
        self.hides_protocol = False
        """Hide lines of standard output that are JSON objects."""
        self._open: OutputSource | None = None
        """The source whose unfinished line was printed last."""

    def take(self, source: OutputSource, raw: bytes, position: int = 0) -> bytes:
        begun = self._begun[source]
        raw = _with_line_feeds(begun, raw)
        cut = raw.rfind(b"\n") + 1
        parts: list[bytes] = []
        if cut:
            lines = self._visible(source, bytes(begun.rest) + raw[: cut - 1])
            begun.rest.clear()
            if lines is not None:
                shown = self._shown(lines).replace(b"\n", b"\n" + begun.prefix)
                parts += (self._continue(source), shown, b"\n")
                self._open = None
        begun.rest += raw[cut:] if cut else raw
        if len(begun.rest) > PIECE and self._is_hidden(source, begun.rest):
            begun.rest.clear()
            begun.hidden = True
        elif len(begun.rest) > PIECE:
            piece = bytes(begun.rest[: _whole(begun.rest)])
            del begun.rest[: len(piece)]
            parts += (self._continue(source), self._shown(piece))
            self._open = source
        return b"".join(parts)

    def end(self) -> bytes:
        return b"".join(
            self.take(source, b"\n") for source in OutputSource if self._begun[source].rest or self._open is source
        )

    def note(self, text: str, prefix: str = "[aura] ") -> bytes:
        """Return lines under a prefix, with all that cannot be seen escaped.

        What an agent chose must be one line already where the prefix is AURA's.
        """
        lines = [f"{prefix}{one_line(line)}\n" for line in text.split("\n")]
        said = b"".join(line.encode(self._encoding, "backslashreplace") for line in lines)
        broken = b"" if self._open is None else b"\n"
        self._open = None
        return broken + said

    def verbatim(self, text: str) -> bytes:
        """Return a text without prefixes, such as a diff."""
        shown = printable(text, keep="\n\t") if self._escaped else text
        return shown.encode(self._encoding, "backslashreplace") + (b"" if not text or text.endswith("\n") else b"\n")

    def _visible(self, source: OutputSource, lines: bytes) -> bytes | None:
        """Return the lines to show, or None if all are hidden."""
        begun = self._begun[source]
        if not begun.hidden and not (self.hides_protocol and source is OutputSource.STDOUT):
            return lines
        first, *others = lines.split(b"\n")
        kept = [] if self._is_hidden(source, first) else [first]
        begun.hidden = False
        kept += [line for line in others if not self._is_hidden(source, line)]
        return b"\n".join(kept) if kept else None

    def _is_hidden(self, source: OutputSource, line: bytes | bytearray) -> bool:
        begun = self._begun[source]
        protocol = self.hides_protocol and source is OutputSource.STDOUT and self._open is not source
        return begun.hidden or (protocol and line.startswith(b"{"))

    def _continue(self, source: OutputSource) -> bytes:
        """Return the prefix of `source`, or nothing if its unfinished line was printed last."""
        if self._open is source:
            return b""
        return (b"" if self._open is None else b"\n") + self._begun[source].prefix

    def _shown(self, data: bytes) -> bytes:
        if not self._escaped:
            return data
        text = data.decode("utf-8", "backslashreplace")
        return printable(text, keep="\n\t").encode(self._encoding, "backslashreplace")


def _with_line_feeds(begun: _Begun, raw: bytes) -> bytes:
    """Return `raw` with every line end as a line feed."""
    if begun.after_return and raw:
        begun.after_return = False
        raw = raw.removeprefix(b"\n")
    if b"\r" in raw:
        begun.after_return = raw.endswith(b"\r")
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw


def _whole(data: bytearray) -> int:
    """Return how many of the bytes can be shown without splitting a UTF-8 character."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # the first byte of a character gives its length (RFC 3629, section 3)
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if size > back else len(data)
    return len(data)


# --- JSON -------------------------------------------------------------------------------------------------------------


class OutputLine(msgspec.Struct, frozen=True, tag_field="kind", tag="output", omit_defaults=True, gc=False):
    """A line for ``--json``; `position` is that of the event that contains its end."""

    stream: str
    text: str
    position: int
    data: bytes | None = None
    """The raw line in base64, if it is not UTF-8; then `text` has the undecodable bytes escaped."""
    partial: bool = False
    """Whether the line continues in the next object of its stream."""


class JsonOutput:
    """Lines as JSON objects, see `OutputLine`."""

    def __init__(self) -> None:
        self._rest: dict[OutputSource, bytearray] = {source: bytearray() for source in OutputSource}
        self._broken: set[OutputSource] = set()
        self._position = 0
        self._encoder = msgspec.json.Encoder()

    def take(self, source: OutputSource, raw: bytes, position: int) -> bytes:
        self._position = position
        rest = self._rest[source]
        cut = raw.rfind(b"\n") + 1
        said = b""
        if cut:
            lines = bytes(rest) + raw[: cut - 1]
            rest.clear()
            self._broken.discard(source)
            said = self._encoder.encode_lines(_objects(str(source), lines, position))
        rest += raw[cut:] if cut else raw
        if len(rest) > PIECE:
            piece = bytes(rest[: _whole(rest)])
            del rest[: len(piece)]
            self._broken.add(source)
            said += self._encoder.encode_lines([_object(str(source), piece, position, partial=True)])
        return said

    def end(self) -> bytes:
        unfinished = [source for source in OutputSource if self._rest[source] or source in self._broken]
        return b"".join(self.take(source, b"\n", self._position) for source in unfinished)


def _objects(stream: str, lines: bytes, position: int) -> Iterable[OutputLine]:
    try:
        text = lines.decode()
    except UnicodeDecodeError:
        return [_object(stream, line, position) for line in lines.split(b"\n")]
    return [OutputLine(stream, line, position) for line in text.split("\n")]


def _object(stream: str, line: bytes, position: int, *, partial: bool = False) -> OutputLine:
    try:
        return OutputLine(stream, line.decode(), position, partial=partial)
    except UnicodeDecodeError:
        return OutputLine(stream, line.decode("utf-8", "backslashreplace"), position, data=line, partial=partial)
