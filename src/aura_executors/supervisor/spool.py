"""The spool: the output of a process in numbered records, kept until it is acknowledged.

A record is a header (`HEADER`: mark, source, length, nanoseconds since 1970, number; little-endian) and up to 64 KiB of
bytes, as they were read in one go. Records stand in segments of about 4 MiB, files named for the number of their first
record, so that a reader that knows the next record's number knows its segment. The supervisor appends records and
deletes segments; readers in other processes need no lock: reading stops at a record that is not whole yet.

Standard library only: the supervisor loads this module.
"""

import os
from collections import deque
from contextlib import suppress
from itertools import pairwise
from struct import Struct

HEADER = Struct("<BBxxIqQ")
MARK = 0xA6
"""First byte of every record; a spool that a power cut filled with zeros is not taken for records."""

STDOUT = 1
STDERR = 2

RECORD_LIMIT = 64 * 1024
SEGMENT_SIZE = 4 * 1024 * 1024
READ_SIZE = 512 * 1024
RECORDS_PER_READ = 4096

_PREFIX = "spool-"

Record = tuple[int, int, bytes]
"""Source, nanoseconds since 1970, bytes."""


def segment_name(first: int) -> str:
    """Return the name of the segment whose first record has the number `first`.

    >>> segment_name(12)
    'spool-000000000000012'
    """
    return f"{_PREFIX}{first:015d}"


def segments(folder: str) -> list[int]:
    """Return the numbers of the first records of all segments in `folder`, in order."""
    names = (name.removeprefix(_PREFIX) for name in os.listdir(folder) if name.startswith(_PREFIX))
    return sorted(int(number) for number in names if number.isdecimal())


def delete_acknowledged(folder: str, upto: int) -> None:
    """Delete the segments whose records all have numbers up to `upto`; the last one stays."""
    first = segments(folder)
    for number, following in pairwise(first):
        if following <= upto + 1:
            _delete(folder, number)


def _delete(folder: str, first: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, segment_name(first)))


class _Backlog:
    """How much is not acknowledged, to the accuracy of a sixteenth of the limit: not every record has a mark."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._written = 0
        self._acknowledged = 0
        self._marks: deque[tuple[int, int]] = deque()
        """Numbers of records, and the bytes up to and including each."""
        self._mark_every = min(RECORD_LIMIT, limit // 16)
        self._next_mark = 0

    @property
    def full(self) -> bool:
        return self._written - self._acknowledged > self._limit

    def add(self, number: int, length: int) -> None:
        self._written += length
        if self._written >= self._next_mark:
            self._marks.append((number, self._written))
            self._next_mark = self._written + self._mark_every

    def acknowledge(self, upto: int, last: int) -> None:
        while self._marks and self._marks[0][0] <= upto:
            self._acknowledged = self._marks.popleft()[1]
        if upto >= last:
            self._acknowledged = self._written


class SpoolWriter:
    """Appends records. Raises `OSError` when they cannot be stored; what was appended before stays readable."""

    def __init__(self, folder: str, first: int, *, limit: int, segment_size: int = SEGMENT_SIZE) -> None:
        self.last = first - 1
        """The number of the last record."""
        self._folder = folder
        self._backlog = _Backlog(limit)
        self._segment_size = segment_size
        self._segments: deque[int] = deque()
        self._file = -1
        """The segment that is written; `_size` bytes of it are whole records."""
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether more than the limit is not acknowledged."""
        return self._backlog.full

    def append(self, source: int, time: int, data: bytes) -> None:
        """Append one record."""
        if self._file < 0 or self._size >= self._segment_size:
            self._begin_segment()
        header = HEADER.pack(MARK, source, len(data), time, self.last + 1)
        length = len(header) + len(data)
        try:
            written = os.writev(self._file, (header, data))
            if written < length:
                self._write_rest((header + data)[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self.last += 1
        self._size += length
        self._backlog.add(self.last, length)

    def acknowledge(self, upto: int) -> None:
        """Forget the records up to number `upto`."""
        self._backlog.acknowledge(upto, self.last)
        while len(self._segments) > 1 and self._segments[1] <= upto + 1:
            _delete(self._folder, self._segments.popleft())

    def close(self) -> None:
        """Close the file. Without effect when done before."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin_segment(self) -> None:
        first = self.last + 1
        path = os.path.join(self._folder, segment_name(first))
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.close()
        self._file = file
        self._size = 0
        self._segments.append(first)

    def _write_rest(self, rest: bytes) -> None:
        """Write what a write cut short, which is how a disk that runs full shows first."""
        while rest:
            rest = rest[os.write(self._file, rest) :]


class SpoolReader:
    """Reads records from number `first` on, while they are written or afterwards; keeps no file open in between.

    Begins with the oldest record that is left, should that be a later one; after a gap, too.
    """

    def __init__(self, folder: str, first: int) -> None:
        self.next = first
        """The number of the record that is read next."""
        self._folder = folder
        self._segment = -1
        """The number by which the segment is named, and those of the place in it: bytes, and the record there."""
        self._offset = 0
        self._number = 0

    def read(self, limit: int = READ_SIZE) -> list[Record]:
        """Return the records that are available, as many as fit into `limit` bytes (one at least), or none.

        They have the numbers before `next`, which moves on.
        """
        while self._segment >= 0 or self._begin():
            offset = self._offset
            records = self._records(self._block(max(limit, RECORD_LIMIT + HEADER.size)))
            if records or (self._offset == offset and not self._next_segment()):
                return records
        return []

    def _begin(self) -> bool:
        """Find the first segment to read; return False if no segment exists yet."""
        kept = self._kept()
        if kept:
            self.next = max(self.next, kept[0])
            self._enter(max(number for number in kept if number <= self.next))
        return bool(kept)

    def _next_segment(self) -> bool:
        """Enter the segment after this one, if there is one: the next, or the oldest if that was deleted."""
        if self._number != self._segment and os.path.exists(os.path.join(self._folder, segment_name(self._number))):
            self._enter(self._number)
            return True
        kept = self._kept()
        if not kept or kept[0] <= self._number:
            return False
        self.next = max(self.next, kept[0])
        self._enter(kept[0])
        return True

    def _kept(self) -> list[int]:
        try:
            return segments(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _enter(self, segment: int) -> None:
        self._segment, self._offset, self._number = segment, 0, segment

    def _block(self, limit: int) -> bytes:
        """Return up to `limit` bytes from the place on; none if the segment was deleted."""
        try:
            file = os.open(os.path.join(self._folder, segment_name(self._segment)), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        try:
            return os.pread(file, limit, self._offset)
        finally:
            os.close(file)

    def _records(self, block: bytes) -> list[Record]:
        """Return the whole records of `block` that are wanted, and move on."""
        records: list[Record] = []
        at, end, size = 0, len(block), HEADER.size
        while at + size <= end and len(records) < RECORDS_PER_READ:
            mark, source, length, time, number = HEADER.unpack_from(block, at)
            if mark != MARK or number != self._number or at + size + length > end:
                break
            if number >= self.next:
                records.append((source, time, block[at + size : at + size + length]))
                self.next = number + 1
            self._number += 1
            at += size + length
        self._offset += at
        return records
