"""Reading refs and commits in this process, with dulwich: a git process costs twenty times as much.

It answers only what it knows for certain. For everything else (damage, objects that git would have to fetch, pipes in
place of files, for which git is only waited for so long) it raises `CannotRead`, and the caller asks git.
"""

import os
import re
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from dulwich.errors import ChecksumMismatch, FileFormatException, NotGitRepository, ObjectFormatException
from dulwich.object_format import OBJECT_FORMAT_TYPE_NUMS
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Commit, ObjectID
from dulwich.refs import DiskRefsContainer, Ref, is_per_worktree_ref

from aura_git.repository._paths import read_file

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
_PLAIN = re.compile(rb"ref: [^\x00-\x20\x7f]+\s*")
_LONGEST_REF = 8192
_LONGEST_CHAIN = 5
"""Symbolic refs, and object stores that borrow from others, that git follows, one to the next."""


class CannotRead(Exception):
    """Dulwich does not know for certain: git must be asked."""


class Reader:
    """The refs and commits of one repository, for all of its worktrees. Safe to use from several threads."""

    def __init__(self, common_dir: str) -> None:
        self._common_dir = common_dir
        self._shared = DiskRefsContainer(common_dir)
        self._lock = threading.Lock()

    def symbolic(self, git_dir: str, ref: str) -> str | None:
        """Return the full name of the ref that `ref` stands for in the end; None if it is not symbolic."""
        name, _ = self._follow(git_dir, ref)
        return None if name == ref else name

    def find(self, git_dir: str, ref: str) -> str | None:
        """Return the object that `ref` points to, as the worktree with `git_dir` sees it; None if there is no ref."""
        _, content = self._follow(git_dir, ref)
        if content is None:
            return None
        if not _HEX.fullmatch(content):
            raise CannotRead
        return content.decode()

    def has_refs(self, prefix: str) -> bool:
        """Whether there are refs below `prefix`, a folder that all worktrees share."""
        with self._lock, _damage_is_unreadable():
            return bool(self._shared.subkeys(Ref(_encoded(prefix))))

    def _follow(self, git_dir: str, ref: str) -> tuple[str, bytes | None]:
        """Return the last ref of the chain that `ref` begins, and its content; None if it does not exist."""
        name = _encoded(ref)
        for _ in range(_LONGEST_CHAIN + 1):
            content = self._read(git_dir, name)
            if content is None or not content.startswith(_SYMBOLIC):
                return os.fsdecode(name), content
            name = content.removeprefix(_SYMBOLIC).strip()
        raise CannotRead

    def has_commit(self, name: str) -> bool:
        """Whether `name` is the full object name of a commit that is stored here."""
        objects = os.path.join(self._common_dir, "objects")
        with _damage_is_unreadable():
            _require_files_in(objects, name, _LONGEST_CHAIN)
            store = DiskObjectStore(objects, object_format=_FORMATS[len(name)])
            with closing(store):
                number, _ = store.get_raw(ObjectID(name.encode()))
                return number == Commit.type_num

    def _read(self, git_dir: str, ref: bytes) -> bytes | None:
        with self._lock, _damage_is_unreadable():
            if ref == b"HEAD" or is_per_worktree_ref(Ref(ref)):
                own = DiskRefsContainer(self._common_dir, git_dir)
                _require_one_name(own.refpath(ref))
                return own.read_loose_ref(Ref(ref))
            _require_one_name(self._shared.refpath(ref))
            _require_file(os.path.join(self._common_dir, "packed-refs"))
            return self._shared.read_ref(Ref(ref))


_FORMATS = {format_.hex_length: format_ for format_ in OBJECT_FORMAT_TYPE_NUMS.values()}


def _encoded(ref: str) -> bytes:
    try:
        return os.fsencode(ref)
    except UnicodeEncodeError:
        raise CannotRead from None


def _require_file(path: str | bytes) -> None:
    """Raise `CannotRead` for what cannot be read to its end: a pipe, say, that an agent has put there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        kind = os.stat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise CannotRead


def _require_one_name(ref: bytes) -> None:
    """Do the same for a ref, and for a symbolic one that git reads otherwise: up to a NUL, and all of its lines."""
    _require_file(ref)
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        content = read_file(os.fsdecode(ref), _LONGEST_REF)
        if content.startswith(b"ref:") and not _PLAIN.fullmatch(content):
            raise CannotRead


def _require_files_in(objects: str, name: str, borrows: int) -> None:
    """Do the same for what is read to find an object in a store, and in those that it borrows from."""
    _require_file(os.path.join(objects, name[:2], name[2:]))
    with suppress(FileNotFoundError), os.scandir(os.path.join(objects, "pack")) as packs:
        if not all(pack.is_file() for pack in packs):
            raise CannotRead
    alternates = os.path.join(objects, "info", "alternates")
    _require_file(alternates)
    with suppress(FileNotFoundError):
        for line in read_file(alternates).splitlines():
            if not borrows:
                raise CannotRead
            if line and not line.startswith(b"#"):
                _require_files_in(os.path.join(objects, os.fsdecode(line)), name, borrows - 1)


@contextmanager
def _damage_is_unreadable() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise CannotRead from error
