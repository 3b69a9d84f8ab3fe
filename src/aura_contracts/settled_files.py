"""Settled files: files that people and their editors write, read only once they are whole.

Programs that save a file empty it first, or write it in parts. What they have written in between may be valid, and say
less than its author means: a person is missing, or a rule that holds back. So a file that changed just now is read
again until it no longer changes.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

SETTLED_AFTER = 0.1
"""Seconds without a change after which a file counts as whole: a program that saves a file takes less between parts."""

_LOOKS = 10
"""The most looks at a file that does not settle: then it is taken as it is."""

sleep = time.sleep


class FileStamp(NamedTuple):
    """What changes with the content of a file."""

    changed_at: int
    """Nanoseconds since the epoch, by the clock of the file system."""
    size: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        return cls(status.st_mtime_ns, status.st_size, status.st_ino)


def stamp_of(path: Path) -> FileStamp | None:
    """Return the stamp of a file, None if it cannot be looked at. Blocks."""
    try:
        return FileStamp.of(path.stat())
    except OSError:
        return None


def read_settled(file: Path | Callable[[], BinaryIO], limit: int) -> bytes:
    """Return up to `limit` bytes (-1: all) of a file, or of what a function opens, once it no longer changes.

    Blocks, for `SETTLED_AFTER` seconds if it was changed just now, and ten times as long if it does not settle. Raises
    `OSError`.
    """
    opened: Callable[[], BinaryIO] = (lambda: file.open("rb")) if isinstance(file, Path) else file
    found = _look(opened, limit)
    for _ in range(_LOOKS):
        before, after, _ = found
        age = time.time_ns() - after.changed_at
        if before == after and age >= SETTLED_AFTER * 1e9:  # one in the future is not old
            break
        sleep(SETTLED_AFTER)
        earlier, found = found, _look(opened, limit)
        if found == earlier:
            break
    return found[2]


def _look(opened: Callable[[], BinaryIO], limit: int) -> tuple[FileStamp, FileStamp, bytes]:
    """Return the stamps of a file before and after it was read, and its content."""
    with opened() as file:
        before = FileStamp.of(os.fstat(file.fileno()))
        content = file.read(limit)
        return before, FileStamp.of(os.fstat(file.fileno())), content
