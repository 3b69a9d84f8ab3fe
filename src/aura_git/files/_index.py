"""What an index cannot hold, told without git: most have no submodules and no marks (gitformat-index(5))."""

import glob
import os
from collections.abc import Iterator

from aura_git.commandline._output import GITLINK
from aura_git.repository._paths import read_file

_GITLINK = int(GITLINK, 8).to_bytes(4, "big")
_MARKS = 0xC000
"""The flags of an entry that is assumed to be unchanged, or that has more flags, such as skip-worktree."""
_LENGTH = 0x0FFF
"""The flags that are the length of the path, or say that it is at least that long."""
_HEADER, _STATE = 12, 40
"""The bytes before the first entry, and those of an entry before its object name."""
_MOST_BYTES = 1 << 18
"""Of an index that is read here entry by entry; git is faster from here on."""


def may_have_gitlinks(git_dir: str) -> bool:
    """Whether there may be entries for other repositories."""
    for file in _files(git_dir):
        try:
            if _GITLINK in read_file(file):
                return True
        except OSError:
            continue
    return False


def may_have_marks(git_dir: str, name_length: int) -> bool:
    """Whether there may be files that git does not examine; `name_length` is that of object names, in bytes."""
    try:
        (file,) = _files(git_dir)
        index = read_file(file, _MOST_BYTES + 1)
        return len(index) > _MOST_BYTES or any(flags & _MARKS for flags in _flags(index, name_length))
    except (OSError, ValueError, IndexError):
        return True


def _files(git_dir: str) -> list[str]:
    """Return the index, and what it may share with earlier ones (``core.splitIndex``)."""
    return [os.path.join(git_dir, "index"), *glob.glob(os.path.join(glob.escape(git_dir), "sharedindex.*"))]


def _flags(index: bytes, name_length: int) -> Iterator[int]:
    """Yield the flags of all entries. Raises `ValueError` or `IndexError` for what only git can read."""
    if index[:8] != b"DIRC\x00\x00\x00\x02":  # a later version may have compressed names
        raise ValueError
    start = _HEADER
    for _ in range(int.from_bytes(index[8:_HEADER])):
        path = start + _STATE + name_length + 2
        flags = index[path - 2] << 8 | index[path - 1]
        yield flags
        length = flags & _LENGTH
        end = path + length if length < _LENGTH else index.index(b"\0", path)
        start += (end - start + 8) & ~7
