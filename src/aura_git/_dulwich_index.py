"""The index of a worktree: read, compared with files by their metadata, locked and written.

While it is held, ``index.lock`` keeps other git programs out as git's own lock does. Ours says so in its content, and
its owner holds `flock` on it: one that a killed process of ours left behind is recognised, and taken over.
"""
# ruff: noqa: PTH104, PTH108, PTH116, PTH118, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from dulwich.file import adjust_shared_perm
from dulwich.index import (
    ConflictedIndexEntry,
    IndexChecksumReader,
    IndexChecksumWriter,
    IndexEntry,
    UnsupportedIndexFormat,
    index_entry_from_stat,
    read_index_dict_with_version,
    write_index_dict,
)
from dulwich.objects import ObjectID

from aura_git._dulwich_repository import USE_THE_COMMAND, Opened, locked_failure
from aura_git._dulwich_trees import EXECUTABLE, FILE, LINK, SUBMODULE, Entry, written_tree

_MARK = b"held by AURA\n"
_ASSUME_UNCHANGED = 0x8000
_INTENT_TO_ADD = 0x2000
_SKIP_WORKTREE = 0x4000
_LOW_32 = 0xFFFFFFFF


@dataclass(eq=False)
class Staged:
    """What an index holds. `written_ns` is when its file was written: what is younger has to be looked at."""

    entries: dict[bytes, IndexEntry] = field(default_factory=dict)
    conflicted: dict[bytes, ConflictedIndexEntry] = field(default_factory=dict)
    written_ns: int = 0
    version: int = 2

    def table(self) -> dict[bytes, Entry]:
        """Return what is staged; paths in conflict, and those only announced (``add -N``), are left out."""
        return {
            path: (entry.mode, entry.sha)
            for path, entry in self.entries.items()
            if not entry.extended_flags & _INTENT_TO_ADD
        }


def ignores_file(entry: IndexEntry) -> bool:
    """Whether git was told not to look at the file (sparse checkout, assume-unchanged)."""
    return bool(entry.extended_flags & _SKIP_WORKTREE or entry.flags & _ASSUME_UNCHANGED)


def is_sparse(entry: IndexEntry) -> bool:
    return bool(entry.extended_flags & _SKIP_WORKTREE)


def is_announced(entry: IndexEntry) -> bool:
    return bool(entry.extended_flags & _INTENT_TO_ADD)


def index_tree(repo: Opened, staged: Staged) -> ObjectID:
    """Write the tree of an index; of a path in conflict, our side (or else theirs)."""
    table = staged.table()
    for path, conflict in staged.conflicted.items():
        side = conflict.this or conflict.other
        if side is not None:
            table[path] = (side.mode, side.sha)
    return written_tree(repo, table)


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_index(repo: Opened) -> Staged:
    """Read the index; one that does not exist is empty."""
    path = _index_path(repo)
    try:
        with open(path, "rb") as file:
            written_ns = os.fstat(file.fileno()).st_mtime_ns
            content = BytesIO(file.read())
    except FileNotFoundError:
        return Staged()
    length = len(content.getbuffer())
    reader = IndexChecksumReader(content, repo.repo.object_format)
    try:
        found, version, _ = read_index_dict_with_version(reader, repo.repo.object_format)
    except (AssertionError, UnsupportedIndexFormat, ValueError) as error:
        raise repo.failure(f"its index cannot be read: {error}", USE_THE_COMMAND) from error
    if content.tell() < length - repo.repo.object_format.oid_length:
        raise repo.failure("its index is split or sparse, which dulwich does not read", USE_THE_COMMAND)
    staged = Staged(written_ns=written_ns, version=version)
    for name, entry in found.items():
        if isinstance(entry, IndexEntry):
            staged.entries[name] = entry
        else:
            staged.conflicted[name] = entry
    return staged


def _index_path(repo: Opened) -> str:
    return os.path.join(repo.place.git_dir, "index")


def _ns(moment: float | tuple[int, int]) -> int:
    if isinstance(moment, tuple):
        return moment[0] * 1_000_000_000 + moment[1]
    return int(moment * 1_000_000_000)


def is_clean(entry: IndexEntry, found: os.stat_result, written_ns: int, *, ctime: bool, executable: bool) -> bool:
    """Whether the metadata prove that the file is what is staged (git's "racy" rule included)."""
    if not same_type(entry.mode, found.st_mode, executable=executable):
        return False
    mtime = _ns(entry.mtime)
    if mtime >= written_ns or entry.size != found.st_size & _LOW_32:
        return False
    if mtime != (found.st_mtime_ns if mtime % 1_000_000_000 else found.st_mtime_ns // 1_000_000_000 * 1_000_000_000):
        return False
    if entry.ino and entry.ino != found.st_ino & _LOW_32:
        return False
    changed = _ns(entry.ctime)
    if ctime and changed:
        return changed == (
            found.st_ctime_ns if changed % 1_000_000_000 else found.st_ctime_ns // 1_000_000_000 * 1_000_000_000
        )
    return True


def same_type(mode: int, found: int, *, executable: bool) -> bool:
    """Whether a file of mode `found` can be what `mode` says; without `executable`, that bit says nothing."""
    if mode == LINK:
        return stat.S_ISLNK(found)
    if mode == SUBMODULE:
        return stat.S_ISDIR(found)
    return stat.S_ISREG(found) and (not executable or (mode == EXECUTABLE) == bool(found & 0o100))


def fresh_entry(found: os.stat_result, entry: Entry) -> IndexEntry:
    """Return an index entry for a file that was just looked at."""
    made = index_entry_from_stat(found, entry[1], entry[0])
    made.size = found.st_size & _LOW_32
    made.dev &= _LOW_32
    made.ino &= _LOW_32
    return made


def unseen_entry(entry: Entry, *, sparse: bool = False) -> IndexEntry:
    """Return an index entry without metadata: who looks compares content."""
    return IndexEntry(
        ctime=0,
        mtime=0,
        dev=0,
        ino=0,
        mode=entry[0],
        uid=0,
        gid=0,
        size=0,
        sha=entry[1],
        extended_flags=_SKIP_WORKTREE if sparse else 0,
    )


def plain_mode(found: os.stat_result, staged: int | None, *, executable: bool) -> int:
    """Return the mode of a file; where the file system has no executable bits, the one that is staged."""
    if stat.S_ISLNK(found.st_mode):
        return LINK
    if not executable:
        return staged if staged in {FILE, EXECUTABLE} and staged is not None else FILE
    return EXECUTABLE if found.st_mode & 0o100 else FILE


# --- Writing ----------------------------------------------------------------------------------------------------------


class IndexLock:
    """The right to replace the index, while `held`."""

    def __init__(self, repo: Opened) -> None:
        self._repo = repo
        self._prepared = False

    @property
    def _new_path(self) -> str:
        return os.path.join(self._repo.place.git_dir, "index.aura")

    def prepare(self, staged: Staged) -> None:
        """Write the new index beside the old one. What is left to do can hardly fail."""
        with open(self._new_path, "wb") as file:
            writer = IndexChecksumWriter(file, self._repo.repo.object_format)
            table: dict[bytes, IndexEntry | ConflictedIndexEntry] = {**staged.entries, **staged.conflicted}
            for entry in staged.entries.values():
                if staged.written_ns and _ns(entry.mtime) >= staged.written_ns:
                    entry.size = 0  # the new index's time would hide that the file may have changed since
            write_index_dict(writer, table, max(staged.version, 2), object_format=self._repo.repo.object_format)
            writer.write_checksum()
            file.flush()
            os.fsync(file.fileno())
        adjust_shared_perm(self._new_path, self._repo.repo.object_store.shared_perm)
        self._prepared = True

    def publish(self) -> None:
        """Put the prepared index in place."""
        assert self._prepared
        os.rename(self._new_path, _index_path(self._repo))
        self._prepared = False

    def write(self, staged: Staged) -> None:
        self.prepare(staged)
        self.publish()

    def clear(self) -> None:
        if os.path.lexists(self._new_path):
            os.unlink(self._new_path)


@contextmanager
def held(repo: Opened) -> Iterator[IndexLock]:
    """Hold ``index.lock``. Raises `GitFailed` when another program has it."""
    path = os.path.join(repo.place.git_dir, "index.lock")
    descriptor = _taken(repo, path)
    lock = IndexLock(repo)
    try:
        lock.clear()
        yield lock
    finally:
        lock.clear()
        os.unlink(path)
        os.close(descriptor)


def _taken(repo: Opened, path: str) -> int:
    for _ in range(3):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            descriptor = _left_behind(repo, path)
            if descriptor < 0:
                continue
            return descriptor
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, _MARK)
        return descriptor
    raise locked_failure(repo.asked, repo.command, path)


def _left_behind(repo: Opened, path: str) -> int:
    """Take over a lock of ours whose owner is dead; -1 when it has gone meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    if os.read(descriptor, len(_MARK)) == _MARK and _is_free(descriptor):
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)
        return -1
    os.close(descriptor)
    raise locked_failure(repo.asked, repo.command, path)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def merged_entries(old: Mapping[bytes, IndexEntry], new: Mapping[bytes, IndexEntry | None]) -> dict[bytes, IndexEntry]:
    """Return the entries with some replaced, or (None) removed."""
    entries = dict(old)
    for path, entry in new.items():
        if entry is None:
            entries.pop(path, None)
        else:
            entries[path] = entry
    return entries
