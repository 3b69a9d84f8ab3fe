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

from aura_cli._input_text import read_text
from aura_contracts.quoting import cut_to_width, escaped_json, one_line, width_of

T = TypeVar("T")

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_ID_BEGINNING = 13
"""Characters of an id to show when space is short: its timestamp, to the millisecond."""

_READER_CHECK = 0.5
"""Seconds between two looks for the reader of stdout."""

_NARROW = 12
"""Width of a narrowed column, in characters."""

_NARROWEST = 6
"""The same if a line of such columns does not fit; ids keep theirs."""


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
            columns = list(map(_cells, _columns([texts_of(item) for item in items])))
            if self.out.isatty():
                from shutil import get_terminal_size

                rows = [titles, *zip(*columns, strict=True)]
                titles, *rows = fitted(rows, titles, get_terminal_size().columns)
                columns = _columns(rows)
            padded = [_padded([title, *column]) for title, column in zip(titles, columns, strict=True)]
            first, *lines = ("  ".join(row).rstrip() for row in zip(*padded, strict=True))
            self.out.write("\n".join([self.style(first, "dim"), *lines]) + "\n")

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

    def notice(self, data: Any, text: str) -> None:
        """Write what has to be said whatever the output is to stderr: as a line of JSON, or as text of one line."""
        self.show([json_line(data) if self.json else one_line(text)])

    def show(self, lines: Iterable[str]) -> None:
        """Write lines for the human who is asked, to stderr; each has to be quoted already."""
        self.err.writelines(f"{line}\n" for line in lines)
        self.err.flush()

    def read_all(self) -> str:
        """Return all of standard input as text. Raises `InvalidInput`, see `read_text`."""
        return "" if sys.stdin is None else read_text(sys.stdin.buffer, "standard input")

    async def reader_gone(self) -> None:
        """Return when no one reads stdout any more, even if nothing is written. Only a pipe or a socket tells."""
        import select

        import anyio

        poll = select.poll()
        poll.register(self.out.fileno(), 0)
        while True:
            if poll.poll(0):
                return
            await anyio.sleep(_READER_CHECK)

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
    others = [index for index, title in enumerate(titles) if title != "id"]
    while others and (excess := _total(widths) - width) > 0:
        widest = max(others, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] = max(widths[widest] - excess, _NARROWEST)
    clipped = [[cut_to_width(text, size) for text in column] for column, size in zip(columns, widths, strict=True)]
    return [list(row) for row in zip(*clipped, strict=True)]


def _shortened(ids: Sequence[str]) -> list[str]:
    """Return prefixes of the ids, long enough to keep different ids different."""
    size = _ID_BEGINNING
    while len({ident[:size] for ident in ids}) < len(set(ids)):
        size += 1
    return [ident[:size] for ident in ids]


def _columns(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the columns of rows; `zip` takes much longer when there are thousands."""
    return [[row[index] for row in rows] for index in range(len(rows[0]))]


def _padded(texts: Sequence[str]) -> list[str]:
    """Return the texts of a column, all of the same width."""
    if "".join(texts).isascii():
        widest = max(map(len, texts))
        return [text.ljust(widest) for text in texts]
    widths = list(map(width_of, texts))
    widest = max(widths)
    return [text + " " * (widest - width) for text, width in zip(texts, widths, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _styled(text: str, styles: Sequence[str]) -> str:
    return f"\033[{';'.join(_CODES[style] for style in styles)}m{text}\033[0m"
