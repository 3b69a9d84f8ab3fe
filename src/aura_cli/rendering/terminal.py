"""Terminal: the streams of the process. Data on stdout, messages on stderr.

Callers pass everything twice, as data for ``--json`` and as text for people, and the settings choose. The cells of
tables and the messages are made one line each here; of an item, callers quote what people and agents chose (see
`aura_contracts.quoting`).
"""

import io
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any, Self, TextIO, TypeVar

import attrs
import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.quoting import cut_to_width, escaped_json, one_line, width_of

T = TypeVar("T")

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_ID_BEGINNING = 13
"""Characters of an id to show when space is short: its timestamp, to the millisecond."""

_NARROW = 12
"""Minimum width of a narrowed column, in characters."""


def _cells(texts: Sequence[str]) -> Sequence[str]:
    return texts if (whole := "".join(texts)).isascii() and whole.isprintable() else [one_line(text) for text in texts]


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
        self.out.write(f"{json_line(data)}\n")

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
            rows = [_cells(texts_of(item)) for item in items]
            if self.out.isatty():
                from shutil import get_terminal_size

                rows = fitted(rows, titles, get_terminal_size().columns)
            widths = [max(map(width_of, column)) for column in zip(titles, *rows, strict=True)]
            lines = [self.style(_padded(titles, widths), "dim"), *(_padded(row, widths) for row in rows)]
            self.out.write("\n".join(lines) + "\n")

    def style(self, text: str, *styles: str) -> str:
        """Return `text` in colour if stdout shows it."""
        return _styled(text, styles) if self.color else text

    def flush(self) -> None:
        """Flush stdout. Raises `BrokenPipeError` if the reader has gone away."""
        self.out.flush()

    # --- Messages -----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write a message for people to stderr, after the data: one line, whatever the text contains."""
        if not (self.quiet or self.json):
            self.out.flush()
            line = one_line(text)
            self.err.write(f"{_styled(line, ('dim',)) if self.color_err else line}\n")
            self.err.flush()

    def show(self, lines: Iterable[str]) -> None:
        """Write lines for the human who is asked, to stderr; each has to be quoted already."""
        self.err.writelines(f"{line}\n" for line in lines)
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

    def progress_of(self, what: str) -> Callable[[int, int], None]:
        """Return a callback that shows progress on a terminal, called with the amount done and the total."""

        def show(done: int, total: int) -> None:
            if not (self.quiet or self.json) and self.err.isatty():
                self.err.write(f"\r\033[K{what} {done:,} of {total:,}" if done < total else "\r\033[K")
                self.err.flush()

        return show


def json_line(data: Any) -> str:
    """Return data as one line of JSON, also for readers to whom more characters than a line feed end a line."""
    return escaped_json(msgspec.json.encode(data).decode())


def fitted(rows: Sequence[Sequence[str]], titles: Sequence[str], width: int) -> list[Sequence[str]]:
    """Return the rows of a table narrowed to `width` columns, as far as possible.

    Ids are shortened first, to their shortest distinct prefixes, then the widest texts.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    widths = [max(map(width_of, [title, *column])) for title, column in zip(titles, columns, strict=True)]
    for index, title in enumerate(titles):
        if title == "id" and _total(widths) > width:
            columns[index] = _shortened(columns[index])
            widths[index] = max(map(width_of, [title, *columns[index]]))
    while (excess := _total(widths) - width) > 0 and max(widths) > _NARROW:
        widest = widths.index(max(widths))
        widths[widest] = max(widths[widest] - excess, _NARROW)
    clipped = [[cut_to_width(text, size) for text in column] for column, size in zip(columns, widths, strict=True)]
    return [list(row) for row in zip(*clipped, strict=True)]


def _shortened(ids: Sequence[str]) -> list[str]:
    """Return prefixes of the ids, long enough to keep different ids different."""
    size = _ID_BEGINNING
    while len({ident[:size] for ident in ids}) < len(set(ids)):
        size += 1
    return [ident[:size] for ident in ids]


def _padded(texts: Sequence[str], widths: Sequence[int]) -> str:
    cells = (text + " " * (width - width_of(text)) for text, width in zip(texts, widths, strict=True))
    return "  ".join(cells).rstrip()


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _styled(text: str, styles: Sequence[str]) -> str:
    return f"\033[{';'.join(_CODES[style] for style in styles)}m{text}\033[0m"
