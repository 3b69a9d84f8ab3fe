"""Reading refs and commits in this process, with dulwich: a git process costs twenty times as much.

It answers only what it knows for certain. For everything else (damage, objects that git would have to fetch) it raises
`CannotRead`, and the caller asks git.
"""

import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager

from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository, ObjectFormatException
from dulwich.object_format import OBJECT_FORMAT_TYPE_NUMS
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Commit, ObjectID
from dulwich.refs import DiskRefsContainer, Ref, is_per_worktree_ref

_DAMAGE = (
    ChecksumMismatch,
    FileFormatException,
    NotGitRepository,
    ObjectFormatException,
    AssertionError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    StopIteration,
    ValueError,
    struct.error,
    zlib.error,
)
"""What dulwich raises for files that are not as expected; it checks little before it parses."""

_HEX = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SYMBOLIC = b"ref: "
_LONGEST_CHAIN = 5
"""Symbolic refs that git follows, one to the next."""


class CannotRead(Exception):
    """Dulwich does not know for certain: git must be asked."""


class Reader:
    """The refs and commits of one repository, for all of its worktrees. Safe to use from several threads."""

    def __init__(self, common_dir: str) -> None:
        self._common_dir = common_dir
        self._shared = DiskRefsContainer(common_dir)
        self._lock = threading.Lock()

    def symbolic(self, git_dir: str, ref: str) -> str | None:
        """Return the full name of the ref that `ref` stands for; None if it is not symbolic, or does not exist."""
        content = self._read(git_dir, _encoded(ref))
        if content is None or not content.startswith(_SYMBOLIC):
            return None
        return os.fsdecode(content.removeprefix(_SYMBOLIC).strip())

    def find(self, git_dir: str, ref: str) -> str | None:
        """Return the object that `ref` points to, as the worktree with `git_dir` sees it; None if there is no ref."""
        content: bytes | None = _SYMBOLIC + _encoded(ref)
        for _ in range(_LONGEST_CHAIN + 1):
            if content is None or not content.startswith(_SYMBOLIC):
                break
            content = self._read(git_dir, content.removeprefix(_SYMBOLIC).strip())
        if content is None:
            return None
        if not _HEX.fullmatch(content):
            raise CannotRead
        return content.decode()

    def has_commit(self, name: str) -> bool:
        """Whether `name` is the full object name of a commit that is stored here."""
        objects = os.path.join(self._common_dir, "objects")
        with _damage_is_unreadable():
            store = DiskObjectStore(objects, object_format=_FORMATS[len(name)])
            with closing(store):
                number, _ = store.get_raw(ObjectID(name.encode()))
                return number == Commit.type_num

    def _read(self, git_dir: str, ref: bytes) -> bytes | None:
        with self._lock, _damage_is_unreadable():
            if ref == b"HEAD" or is_per_worktree_ref(Ref(ref)):
                return DiskRefsContainer(self._common_dir, git_dir).read_loose_ref(Ref(ref))
            return self._shared.read_ref(Ref(ref))


_FORMATS = {format_.hex_length: format_ for format_ in OBJECT_FORMAT_TYPE_NUMS.values()}


def _encoded(ref: str) -> bytes:
    try:
        return os.fsencode(ref)
    except UnicodeEncodeError:
        raise CannotRead from None


@contextmanager
def _damage_is_unreadable() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise CannotRead from error
