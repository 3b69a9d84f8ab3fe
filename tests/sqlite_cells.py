"""Where the rows of an SQLite table are in its file, down to the byte (https://sqlite.org/fileformat2.html)."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Span(NamedTuple):
    """Bytes of a file that belong to one row; a large row has several spans."""

    rowid: int
    start: int
    length: int


def spans(path: Path, table: str) -> list[Span]:
    """Return where the rows of `table` are, for a database with no write-ahead log."""
    connection = sqlite3.connect(path)
    try:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    finally:
        connection.close()
    return list(_Table(path.read_bytes()).spans(root))


class _Table:
    def __init__(self, data: bytes) -> None:
        self._data = data
        size = self._number(16, 2)
        self._size = 65536 if size == 1 else size
        self._usable = self._size - data[20]

    def spans(self, page: int) -> Iterator[Span]:
        base = (page - 1) * self._size
        header = base + (100 if page == 1 else 0)
        leaf = {0x0D: True, 0x05: False}[self._data[header]]
        cells = header + (8 if leaf else 12)
        for index in range(self._number(header + 3, 2)):
            cell = base + self._number(cells + 2 * index, 2)
            if leaf:
                yield from self._row(cell)
            else:
                yield from self.spans(self._number(cell, 4))
        if not leaf:
            yield from self.spans(self._number(header + 8, 4))

    def _row(self, cell: int) -> Iterator[Span]:
        payload, at = self._varint(cell)
        rowid, at = self._varint(at)
        local = self._local(payload)
        spilled = payload - local
        yield Span(rowid, cell, at + local - cell + (4 if spilled else 0))
        page = self._number(at + local, 4) if spilled else 0
        while spilled:
            start = (page - 1) * self._size
            length = min(spilled, self._usable - 4)
            yield Span(rowid, start, 4 + length)
            spilled -= length
            page = self._number(start, 4)

    def _local(self, payload: int) -> int:
        """Return how many bytes of a payload are on the page itself."""
        most = self._usable - 35
        if payload <= most:
            return payload
        least = (self._usable - 12) * 32 // 255 - 23
        fitting = least + (payload - least) % (self._usable - 4)
        return fitting if fitting <= most else least

    def _number(self, at: int, length: int) -> int:
        return int.from_bytes(self._data[at : at + length])

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for _ in range(8):
            byte = self._data[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, at
        return value << 8 | self._data[at], at + 1
