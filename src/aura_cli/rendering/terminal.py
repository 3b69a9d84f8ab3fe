"""Terminal: the streams of the process. Data on stdout, messages on stderr.

Callers pass everything twice, as data for ``--json`` and as text for people, and the settings choose. Text from people
and agents may contain sequences that move the cursor or forge lines, so unprintable characters are escaped.
"""

import io
import os
import sys
from collections.abc import Callable, Collection, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any, Self, TextIO, TypeVar

import attrs
import msgspec

from aura_contracts.errors import InvalidInput

T = TypeVar("T")

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_ID_BEGINNING = 13
"""Characters of an id to show when space is short: its timestamp, to the millisecond."""

_NARROW = 12
"""Minimum width of a narrowed column, in characters."""


def printable(text: str) -> str:
    """Return `text` with unprintable characters escaped, except line ends."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _printable_row(texts: Sequence[str]) -> Sequence[str]:
    return texts if "".join(texts).isprintable() else [printable(text) for text in texts]


@attrs.define
class Terminal:
    """The two streams of the process and how to write to them."""

    out: TextIO
    err: TextIO
    json: bool = False
    quiet: bool = False
    color: bool = False
    """Whether `out` shows colour."""

    color_err: bool = False

    @classmethod
    def of_process(cls, *, json: bool, quiet: bool, color: bool) -> Self:
        """Return the terminal of this process. Characters missing from its encoding are escaped rather than refused."""
        out, err = sys.stdout or _nowhere(), sys.stderr or _nowhere()  # None if the caller closed them
        for stream in (out, err):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        if json and isinstance(out, io.TextIOWrapper):
            out.reconfigure(encoding="utf-8")  # RFC 8259, section 8.1
        return cls(out, err, json=json, quiet=quiet, color=color and out.isatty(), color_err=color and err.isatty())

    # --- Data ---------------------------------------------------------------------------------------------------------

    def item(self, data: Any, text: str) -> None:
        """Write one item, as a line of JSON or as text."""
        if self.json:
            self.write_json(data)
        else:
            self.out.write(f"{text}\n")

    def write_json(self, data: Any) -> None:
        """Write one line of JSON."""
        self.out.write(f"{msgspec.json.encode(data).decode()}\n")

    def table(
        self,
        items: Collection[T],
        titles: Sequence[str],
        texts_of: Callable[[T], Sequence[str]],
        data_of: Callable[[T], Any] = methodcaller("as_dict"),
    ) -> None:
        """Write a list: each item as data, or its texts in columns under `titles`. Writes nothing for an empty list."""
        if self.json:
            for item in items:
                self.write_json(data_of(item))
        elif items:
            rows = [_printable_row(texts_of(item)) for item in items]
            if self.out.isatty():
                from shutil import get_terminal_size

                rows = fitted(rows, titles, get_terminal_size().columns)
            widths = (max(map(len, column)) for column in zip(titles, *rows, strict=True))
            layout = "  ".join(f"{{:{width}}}" for width in widths)
            lines = [
                self.style(layout.format(*titles).rstrip(), "dim"),
                *(layout.format(*row).rstrip() for row in rows),
            ]
            self.out.write("\n".join(lines) + "\n")

    def style(self, text: str, *styles: str) -> str:
        """Return `text` in colour if stdout shows it."""
        return _styled(text, styles) if self.color else text

    def flush(self) -> None:
        """Flush stdout. Raises `BrokenPipeError` if the reader has gone away."""
        self.out.flush()

    # --- Messages -----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write a message for people to stderr, after the data."""
        if not (self.quiet or self.json):
            self.out.flush()
            self.err.write(f"{_styled(text, ('dim',)) if self.color_err else text}\n")
            self.err.flush()

    def read_all(self) -> str:
        """Return all of standard input as text. Raises `InvalidInput` if it is not UTF-8."""
        if sys.stdin is None:
            return ""
        try:
            return sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(field="standard input", reason=f"it is not UTF-8: {error}") from error

    @property
    def keyboard(self) -> int | None:
        """The descriptor for questions to a human; None if no human is at the terminal."""
        if sys.stdin is None or self.json or self.quiet or not (sys.stdin.isatty() and self.err.isatty()):
            return None
        return sys.stdin.fileno()

    def note(self, text: str) -> None:
        """Write one of AURA's own lines, among the agent's, for people."""
        if not self.json:
            self.out.write(f"[aura] {printable(text)}\n")
            self.out.flush()

    def progress_of(self, what: str) -> Callable[[int, int], None]:
        """Return a callback that shows progress on a terminal, called with the amount done and the total."""

        def show(done: int, total: int) -> None:
            if not (self.quiet or self.json) and self.err.isatty():
                self.err.write(f"\r\033[K{what} {done:,} of {total:,}" if done < total else "\r\033[K")
                self.err.flush()

        return show


def fitted(rows: Sequence[Sequence[str]], titles: Sequence[str], width: int) -> list[Sequence[str]]:
    """Return the rows of a table narrowed to `width` columns, as far as possible.

    Ids are shortened first, to their shortest distinct prefixes, then the widest texts.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    widths = [max(map(len, [title, *column])) for title, column in zip(titles, columns, strict=True)]
    for index, title in enumerate(titles):
        if title == "id" and _total(widths) > width:
            columns[index] = _shortened(columns[index])
            widths[index] = max(map(len, [title, *columns[index]]))
    while (excess := _total(widths) - width) > 0 and max(widths) > _NARROW:
        widest = widths.index(max(widths))
        widths[widest] = max(widths[widest] - excess, _NARROW)
    clipped = [[_clipped(text, size) for text in column] for column, size in zip(columns, widths, strict=True)]
    return [list(row) for row in zip(*clipped, strict=True)]


def _shortened(ids: Sequence[str]) -> list[str]:
    """Return prefixes of the ids, long enough to keep different ids different."""
    size = _ID_BEGINNING
    while len({ident[:size] for ident in ids}) < len(set(ids)):
        size += 1
    return [ident[:size] for ident in ids]


def _clipped(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _styled(text: str, styles: Sequence[str]) -> str:
    return f"\033[{';'.join(_CODES[style] for style in styles)}m{text}\033[0m"
