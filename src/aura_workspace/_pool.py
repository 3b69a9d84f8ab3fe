"""The warm pool: worktrees that are checked out before they are needed.

Per repository a folder ``<pool>/<key>`` with numbered entries. Of entry 3,

    3         is the worktree, with a detached HEAD while it waits,
    3.ready   marks it as complete and free to take,
    3.lock    is locked (flock) by the process that makes, takes or removes it,

and ``last`` holds the last number in use. Numbers are never reused: a ``git worktree add`` whose caller was killed
continues, and if it fails it removes whatever is at its path by then.

Invariants:

- An entry that is neither ready nor locked was left by a process that was killed; the next process removes it.
- A worktree is taken by locking its entry, so only one process can take it.
- Every worktree begins here, even one made on demand: whatever git still writes for a dead process never ends up in a
  workspace.
- Every worktree ends here: it leaves its workspace in one step, and any process may delete its files.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from aura_contracts.errors import BranchInUse, GitError, GitFailed, UnknownRevision, WorktreeExists
from aura_contracts.file_locks import FileLock, try_lock
from aura_contracts.folder_removal import remove_folder
from aura_contracts.ports.git import Git
from aura_contracts.private_files import FILE_MODE, make_private_folder, write_private
from aura_workspace._checkouts import Source
from aura_workspace._worktrees import common_dir, linked_git_dir

Mark = Callable[[Path], None]
"""Writes the marker into the git directory of a worktree before it is moved to its place."""

_RECORD = "repository.json"

_LAST = "last"

_ENTRIES_TRIED = 5
"""New entries to try while a git without a caller is working in them."""

_PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 3.0)
"""Seconds between attempts while a git without a caller holds the branch."""


class _PooledWorktree:
    """An entry whose lock this process holds."""

    def __init__(self, folder: Path, number: int, lock: FileLock) -> None:
        self.number = number
        self.worktree = folder / str(number)
        self._ready = folder / f"{number}.ready"
        self._lock = lock

    @property
    def is_ready(self) -> bool:
        return self._ready.exists()

    def offer(self) -> None:
        """Make it available, and release it."""
        self._ready.touch(FILE_MODE)
        self._lock.release()

    def claim(self) -> None:
        """Withdraw it: it is taken from now on, or about to be removed."""
        self._ready.unlink(missing_ok=True)

    def release(self) -> None:
        self._lock.release()


class WorktreePool:
    """The pools of all repositories, in `folder`."""

    def __init__(self, folder: Path, git: Git) -> None:
        self._folder = folder
        self._git = git

    # --- Making worktrees ---------------------------------------------------------------------------------------------

    def provide(self, source: Source, branch: str, to: Path, mark: Mark) -> bool:
        """Put a worktree of `branch` at `to`, which must not exist; return whether a pooled one was used.

        Broken pooled ones are removed; if the pool is empty, a new one is made. Waits for a git without a caller that
        still has the branch in an entry. Raises `GitError`.
        """
        for entry in self._ready_entries(source):
            entry.claim()
            try:
                tree = str(entry.worktree)
                self.without_remains(source, partial(self._git.switch_worktree, tree, branch))
                self._send(source, entry, to, mark)
            except (BranchInUse, UnknownRevision):  # the entry is fine, but useless now
                entry.offer()
                raise
            except (GitError, OSError):
                self._discard(source, entry)
            except BaseException:
                self._discard(source, entry)
                raise
            else:
                entry.release()
                return True
        self._make(source, branch, to, mark)
        return False

    def _make(self, source: Source, branch: str, to: Path, mark: Mark) -> None:
        def add(path: str) -> None:
            self.without_remains(source, lambda: self._git.add_worktree(source.top, path, branch))

        entry = self._checked_out(source, add)
        try:
            try:
                self._send(source, entry, to, mark)
            except GitFailed:
                self._discard(source, entry)
                if os.path.lexists(to):
                    raise
                add(str(to))  # it cannot move there: another file system, say
                mark(_git_dir_of(source, to))
        except BaseException:
            self._discard(source, entry)
            raise
        entry.release()

    def without_remains(self, source: Source, work: Callable[[], None]) -> None:
        """Do `work`, repeatedly as long as a worktree in the pool has the branch that it needs.

        No living process has it there: the branch belongs to a workspace, whose lock the caller holds. But a git whose
        caller was killed continues for a while, and may even begin only after its entry was swept.
        """
        for pause in _PAUSES:
            try:
                return work()
            except BranchInUse as error:
                if Path(error.worktree).parent != self._folder / source.key:
                    raise
            self.sweep(source)
            time.sleep(pause)
        return work()

    def _checked_out(self, source: Source, add: Callable[[str], None]) -> _PooledWorktree:
        """Return a new entry in whose folder `add` has made a worktree.

        A git without a caller may still occupy a folder that was free a moment ago: then another one is used.
        """
        occupied: list[_PooledWorktree] = []
        try:
            while True:
                entry = self._new_entry(source)
                try:
                    add(str(entry.worktree))
                except WorktreeExists:
                    occupied.append(entry)
                    if len(occupied) == _ENTRIES_TRIED:
                        raise
                except BaseException:
                    self._discard(source, entry)
                    raise
                else:
                    return entry
        finally:
            for entry in occupied:
                self._discard(source, entry)

    def _send(self, source: Source, entry: _PooledWorktree, to: Path, mark: Mark) -> None:
        """Move the worktree of an entry to its place, marked."""
        mark(_git_dir_of(source, entry.worktree))
        make_private_folder(to.parent)
        self._git.move_worktree(source.top, str(entry.worktree), str(to))

    # --- Filling ------------------------------------------------------------------------------------------------------

    def warm(self, source: Source, commit: str, count: int) -> int:
        """Make worktrees of `commit` until `count` are ready; return how many were made."""
        self._forget_gone()
        self.sweep(source)
        ready = 0
        for entry in self._ready_entries(source):
            ready += 1
            entry.offer()
        made = 0
        while ready + made < count:
            self._checked_out(source, lambda path: self._git.add_detached_worktree(source.top, path, commit)).offer()
            made += 1
        return made

    # --- Removing -----------------------------------------------------------------------------------------------------

    def remove(self, source: Source, worktree: Path) -> None:
        """Remove a linked worktree, **whatever it holds**; it leaves its place in one step. Raises `GitError`."""
        entry = self._new_entry(source)
        try:
            self._git.move_worktree(source.top, str(worktree), str(entry.worktree))
        except GitFailed:
            self._discard(source, entry)
            self._git.remove_worktree(source.top, str(worktree), force=True)
        else:
            self._discard(source, entry)

    def sweep_all(self) -> None:
        """`sweep` the pools of all repositories."""
        for folder in self._folders():
            if (source := _read_record(folder)) is not None and source.common_dir.is_dir():
                self.sweep(source)
        self._forget_gone()

    def sweep(self, source: Source) -> None:
        """Remove the remains of processes that were killed: they may hold the very branch that is needed now."""
        folder = self._folder / source.key
        for number in _numbers(folder):
            if not (folder / f"{number}.ready").exists() and (entry := self._lock(folder, number)) is not None:
                if entry.is_ready:
                    entry.release()
                else:
                    self._discard(source, entry)

    def _forget_gone(self) -> None:
        """Remove the pools of repositories that no longer exist."""
        for folder in self._folders():
            source = _read_record(folder)
            if source is None or source.common_dir.is_dir():
                continue
            entries = [self._lock(folder, number) for number in _numbers(folder)]
            if all(entries):
                remove_folder(folder)
            for entry in entries:
                if entry is not None:
                    entry.release()

    def _discard(self, source: Source, entry: _PooledWorktree) -> None:
        """Remove an entry and its worktree. What cannot be removed now is swept later."""
        entry.claim()
        with suppress(GitError, OSError):
            self._git.remove_worktree(source.top, str(entry.worktree), force=True)
        if os.path.lexists(entry.worktree):
            remove_folder(entry.worktree)
            with suppress(GitError, OSError):
                self._git.remove_worktree(source.top, str(entry.worktree), force=True)
        entry.release()

    # --- Entries ------------------------------------------------------------------------------------------------------

    def _folders(self) -> list[Path]:
        with suppress(OSError):
            return [folder for folder in sorted(self._folder.iterdir()) if folder.is_dir() and not folder.is_symlink()]
        return []

    def _ready_entries(self, source: Source) -> Iterator[_PooledWorktree]:
        """Yield the entries that can be taken, locked: the caller releases them. Broken ones are repaired or go."""
        folder = self._folder / source.key
        for number in _numbers(folder):
            if not (folder / f"{number}.ready").exists() or (entry := self._lock(folder, number)) is None:
                continue
            if not entry.is_ready:
                entry.release()
            elif self._is_sound(source, entry.worktree):
                yield entry
            else:
                self._discard(source, entry)

    def _is_sound(self, source: Source, worktree: Path) -> bool:
        """Whether the entry holds a worktree of this repository; broken links are repaired."""
        if worktree.is_symlink() or not worktree.is_dir():
            return False
        if linked_git_dir(worktree) is None:
            with suppress(GitError):
                self._git.repair_worktree(source.top, str(worktree))
        found = linked_git_dir(worktree)
        return found is not None and common_dir(found) == source.common_dir and (found / "index").exists()

    def _new_entry(self, source: Source) -> _PooledWorktree:
        """Return a new entry, locked."""
        folder = self._folder / source.key
        _write_record(folder, source)
        number = max(_last(folder), *_numbers(folder), 0) + 1
        while (entry := self._lock(folder, number)) is None or entry.worktree.exists() or entry.is_ready:
            if entry is not None:
                entry.release()
            number += 1
        write_private(folder / _LAST, str(number).encode())
        return entry

    def _lock(self, folder: Path, number: int) -> _PooledWorktree | None:
        make_private_folder(folder)
        lock = try_lock(folder / f"{number}.lock")
        return None if lock is None else _PooledWorktree(folder, number, lock)


def _git_dir_of(source: Source, worktree: Path) -> Path:
    if (found := linked_git_dir(worktree)) is None:
        reason = f"{worktree} was made, but is not a worktree"
        raise GitFailed(repository=source.top, command="git worktree", reason=reason)
    return found


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the entries."""
    with suppress(OSError):
        return sorted({int(stem) for file in folder.iterdir() if (stem := file.name.partition(".")[0]).isdecimal()})
    return []


def _last(folder: Path) -> int:
    """Return the last number in use."""
    with suppress(OSError, ValueError):
        return int((folder / _LAST).read_text(encoding="ascii"))
    return 0


def _write_record(folder: Path, source: Source) -> None:
    """Record which repository the pool belongs to."""
    if not (folder / _RECORD).exists():
        make_private_folder(folder)
        write_private(
            folder / _RECORD, json.dumps({"common_dir": str(source.common_dir), "top": source.top}).encode("ascii")
        )


def _read_record(folder: Path) -> Source | None:
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        common = Path(record["common_dir"])
        top = record["top"] if Path(record["top"]).is_dir() else str(common)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Source(top=str(top), common_dir=common, worktree=None, branch=None, head=None)
