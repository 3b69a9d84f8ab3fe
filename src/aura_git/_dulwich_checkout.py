"""Bringing a worktree from one tree to another: carefully, for a checkout whose branch moves; or throwing all away."""
# ruff: noqa: PTH102, PTH108, PTH112, PTH114, PTH118
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress

from dulwich.index import IndexEntry
from dulwich.objects import ObjectID

from aura_contracts.errors import DirtyWorktree, GitError, OperationInProgress
from aura_git import _layout
from aura_git._dulwich_content import look
from aura_git._dulwich_files import Files
from aura_git._dulwich_index import (
    IndexLock,
    Staged,
    ignores_file,
    index_tree,
    is_clean,
    is_sparse,
    merged_entries,
    read_index,
    unseen_entry,
)
from aura_git._dulwich_repository import Opened
from aura_git._dulwich_scan import Scanner, is_repository
from aura_git._dulwich_trees import SUBMODULE, Change, Entry, compare, compare_tables, flatten

_LOOK_BACK = 10_000
"""Commits among which the one is looked for that a late checkout is at."""


class Checkout:
    """A worktree that has a branch checked out which moves under it. Its index is locked by the caller."""

    def __init__(self, repo: Opened, lock: IndexLock) -> None:
        self._repo = repo
        self._lock = lock
        self._staged = Staged()
        self._scanner = Scanner(repo, self._staged)
        self._done: list[tuple[bytes, Change]] = []
        self.path = repo.root

    # --- Looking ------------------------------------------------------------------------------------------------------

    def require_room(self, old: ObjectID, new: ObjectID) -> None:
        """Raise unless the files can go from tree `old` to `new` and leave all uncommitted work as it is."""
        if operation := _layout.operation(self._repo.place.git_dir):
            path = os.fsdecode(self.path)
            raise OperationInProgress(repository=path, worktree=path, operation=operation)
        self._look()
        staged = compare_tables(flatten(self._repo, old), self._staged.table())
        if staged or self._staged.conflicted:
            raise self._dirty([*staged, *self._staged.conflicted])
        self._require_room_among(compare(self._repo, old, new))

    def _look(self) -> None:
        self._staged = read_index(self._repo)
        self._scanner = Scanner(self._repo, self._staged)
        self._scanner.run()

    def _require_room_among(self, changes: Mapping[bytes, Change]) -> None:
        touched = {path for path in changes if path in self._scanner.scan.modified}
        touched.update(self._in_the_way(changes))
        if touched:
            raise self._dirty(touched)

    def _dirty(self, touched: Iterable[bytes]) -> DirtyWorktree:
        path = os.fsdecode(self.path)
        return DirtyWorktree(repository=path, worktree=path, paths=tuple(os.fsdecode(t) for t in sorted(set(touched))))

    def _in_the_way(self, changes: Mapping[bytes, Change]) -> Iterable[bytes]:
        """Yield the files, untracked and ignored ones, that are where added files are to be."""
        looked_at: set[bytes] = set()
        for path, (was, now) in changes.items():
            if was is not None or now is None:
                continue
            folder = path.rpartition(b"/")[0]
            while folder and folder not in looked_at:
                looked_at.add(folder)
                mode = self._mode(folder)
                if mode is not None and not stat.S_ISDIR(mode) and folder not in changes:
                    yield folder
                folder = folder.rpartition(b"/")[0]
            mode = self._mode(path)
            if mode is not None and stat.S_ISDIR(mode):
                yield from (file for file in self._below(path) if file not in changes)
            elif mode is not None:
                yield path

    def _mode(self, path: bytes) -> int | None:
        found = look(os.path.join(self.path, path))
        return None if found is None else found.st_mode

    def _below(self, folder: bytes) -> Iterable[bytes]:
        for parent, _, files in os.walk(os.path.join(self.path, folder)):
            for file in files:
                yield os.path.relpath(os.path.join(parent, file), self.path)

    # --- Going --------------------------------------------------------------------------------------------------------

    def go(self, old: ObjectID, new: ObjectID) -> None:
        """Take files and index from tree `old` to `new`, as `require_room` has found it possible.

        After an error the files are as they were.
        """
        self._apply(compare(self._repo, old, new), old, new)

    def go_back(self, new: ObjectID, old: ObjectID) -> None:
        """Undo a `go` that went well."""
        self._look()
        self.go(new, old)

    def _apply(self, changes: Mapping[bytes, Change], old: ObjectID, new: ObjectID) -> None:
        files = Files(self._repo, new)
        entries: dict[bytes, IndexEntry | None] = {}
        self._done = []
        try:
            for path, change in sorted(changes.items(), key=lambda item: (item[1][1] is not None, item[0])):
                entries[path] = self._step(files, path, change)
            self._write_index(entries)
        except BaseException:
            self.undo(old)
            raise

    def _step(self, files: Files, path: bytes, change: Change) -> IndexEntry | None:
        was, now = change
        known = self._staged.entries.get(path)
        if known is not None and is_sparse(known):
            return None if now is None else unseen_entry(now, sparse=True)
        self._require_unchanged(path, was, known)
        self._done.append((path, change))
        if was is not None and (now is None or (was[0] == SUBMODULE) != (now[0] == SUBMODULE)):
            files.remove(path, was[0])
        return None if now is None else files.put(path, now)

    def _require_unchanged(self, path: bytes, was: Entry | None, known: IndexEntry | None) -> None:
        """Look once more, right before a file is replaced: somebody may have edited it since."""
        found = look(os.path.join(self.path, path))
        if found is None:
            if was is None or was[0] == SUBMODULE:
                return
            raise self._dirty([path])
        if stat.S_ISDIR(found.st_mode):
            if was is None or was[0] == SUBMODULE:
                return  # an empty folder, or a submodule's; writing a file there fails unless it is empty
            raise self._dirty([path])
        if was is None:
            raise self._dirty([path])
        if known is not None and is_clean(known, found, self._staged.written_ns, ctime=True, executable=True):
            return
        if self._scanner.entry_of(path, known, found) != was:
            raise self._dirty([path])

    def _write_index(self, entries: Mapping[bytes, IndexEntry | None]) -> None:
        merged = merged_entries(self._staged.entries, entries)
        self._lock.write(Staged(merged, self._staged.conflicted, self._staged.written_ns, self._staged.version))

    def undo(self, old: ObjectID) -> None:
        """Put back the files that `go` has touched, as far as the machine lets it."""
        files = Files(self._repo, old)
        for path, (was, now) in reversed(self._done):
            with suppress(OSError, GitError):
                if was is None and now is not None:
                    files.remove(path, now[0])
                elif was is not None:
                    files.put(path, was)
        self._done = []

    # --- After a crash ------------------------------------------------------------------------------------------------

    def catch_up(self, tip: ObjectID) -> bool:
        """Take the files to commit `tip` if the index still is exactly that of an earlier commit of the branch.

        That is how a crash leaves it right after the branch was moved. Files that were taken along already before the
        crash count as unchanged. Returns whether there was anything to do.
        """
        self._staged = read_index(self._repo)
        if self._staged.conflicted or _layout.operation(self._repo.place.git_dir):
            return False
        new, index = self._repo.tree(tip), index_tree(self._repo, self._staged)
        if index == new or not self._has_tree(index, tip):
            return False
        self._look()
        changes = compare(self._repo, index, new)
        late = {path: change for path, change in changes.items() if self._entry(path) != change[1]}
        self._require_room_among(late)
        entries: dict[bytes, IndexEntry | None] = {}
        files = Files(self._repo, new)
        for path, change in sorted(changes.items(), key=lambda item: (item[1][1] is not None, item[0])):
            if path in late:
                entries[path] = self._step(files, path, change)
            else:
                entries[path] = None if change[1] is None else unseen_entry(change[1])
        self._write_index(entries)
        return True

    def _entry(self, path: bytes) -> Entry | None:
        return self._scanner.entry_at(path)

    def _has_tree(self, tree: ObjectID, tip: ObjectID) -> bool:
        """Whether `tree` is that of an ancestor of `tip`, by first parents."""
        at = tip
        for _ in range(_LOOK_BACK):
            if self._repo.tree(at) == tree:
                return True
            parents = self._repo.repo.get_parents(at)
            if not parents:
                return False
            at = parents[0]
        return False


# --- Throwing away ----------------------------------------------------------------------------------------------------


def fill(repo: Opened, lock: IndexLock, tree: ObjectID) -> None:
    """Write all files of a tree into an empty worktree."""
    files = Files(repo, tree, fresh=True)
    lock.write(Staged({path: files.put(path, entry) for path, entry in sorted(flatten(repo, tree).items())}))


def force(repo: Opened, lock: IndexLock, tree: ObjectID, *, spare: Iterable[str] = ()) -> None:
    """Make a worktree hold exactly the files of `tree`: all else goes, but the folders `spare`."""
    try:
        staged = read_index(repo)
    except GitError:  # damaged: it is thrown away as all the rest is
        staged = Staged()
    scanner = Scanner(repo, staged, submodules=False, hidden=True)
    scan = scanner.run()
    wanted = flatten(repo, tree)
    files = Files(repo, tree, force=True)
    kept = {
        path: staged.entries[path]
        for path, entry in wanted.items()
        if path in staged.entries
        and path not in scan.modified
        and not ignores_file(staged.entries[path])
        and (staged.entries[path].mode, staged.entries[path].sha) == entry
    }
    _clean(repo.root, b"", wanted, _folders_of(wanted), {os.fsencode(path) for path in spare})
    entries: dict[bytes, IndexEntry] = {}
    for path, entry in sorted(wanted.items()):
        entries[path] = kept.get(path) or files.put(path, entry)
    lock.write(Staged(entries, {}, staged.written_ns))


def _folders_of(paths: Iterable[bytes]) -> set[bytes]:
    folders: set[bytes] = set()
    for path in paths:
        folder = path.rpartition(b"/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition(b"/")[0]
    return folders


def _clean(root: bytes, folder: bytes, wanted: Mapping[bytes, Entry], folders: set[bytes], spare: set[bytes]) -> None:
    with os.scandir(os.path.join(root, folder)) as found:
        items = list(found)
    for item in items:
        path = folder + item.name
        full = os.path.join(root, path)
        if not folder and item.name == b".git":
            continue
        if not item.is_dir(follow_symlinks=False):
            if path not in wanted or wanted[path][0] == SUBMODULE:
                os.unlink(full)
        elif path in wanted and wanted[path][0] == SUBMODULE:
            shutil.rmtree(full)
            os.mkdir(full)
        elif path in folders or any(other == full or other.startswith(full + b"/") for other in spare):
            if full not in spare:
                _clean(root, path + b"/", wanted, folders, spare)
        else:
            shutil.rmtree(full)


def put_back(repo: Opened, lock: IndexLock, tree: ObjectID, index: ObjectID) -> None:
    """Make files what `tree` holds and the index what `index` holds; ignored files that neither has stay."""
    staged = read_index(repo)
    scan = Scanner(repo, staged).run()
    wanted = flatten(repo, tree)
    files = Files(repo, tree, force=True)
    for path in [path for path in [*staged.entries, *staged.conflicted, *scan.untracked] if path not in wanted]:
        full = os.path.join(repo.root, path)
        if not path.endswith(b"/") and not (os.path.isdir(full) and not os.path.islink(full)):
            files.remove(path, 0)
    fresh: dict[bytes, IndexEntry] = {}
    for path, entry in sorted(wanted.items()):
        known = staged.entries.get(path)
        if known is not None and path not in scan.modified and (known.mode, known.sha) == entry:
            fresh[path] = known
        elif entry[0] == SUBMODULE and is_repository(os.path.join(repo.root, path)):
            fresh[path] = unseen_entry(entry)
        else:
            fresh[path] = files.put(path, entry)
    entries = {
        path: fresh[path] if path in fresh and wanted[path] == entry else unseen_entry(entry)
        for path, entry in flatten(repo, index).items()
    }
    lock.write(Staged(entries, {}, staged.written_ns))
