"""A worktree that has the target of a merge checked out: taking its files from the old tip to the new one."""

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aura_contracts.errors import DirtyWorktree, OperationInProgress
from aura_git.commandline._output import LINK, TREE_DIFF
from aura_git.files._changes import status
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository
from aura_git.worktrees._registry import users_of

_UNDO = "aura-undo-"

_LOOK_BACK = 10_000
"""Commits that are searched for the one that a late checkout is at."""


def checkouts_of(repository: GitRepository, branch: str) -> list["Checkout"]:
    """Return the worktrees that have `branch` checked out and whose folder exists.

    Raises `OperationInProgress` if a rebase or a bisection left the branch and will return to it.
    """
    found = []
    for path in users_of(repository, branch):
        if not os.path.isdir(path):
            continue
        tree = repository.at(path)
        directory = tree.git_dir
        if os.path.realpath(tree.common_dir) != os.path.realpath(repository.common_dir):
            continue  # it belongs to another repository, whatever is written about it in this one
        under_way = _paths.branch_under_operation(directory)
        operation = _paths.operation(directory)
        if operation is not None and under_way == f"refs/heads/{branch}":
            raise OperationInProgress(repository=repository.path, worktree=path, operation=operation)
        found.append(Checkout(tree))
    return found


class _PathChange(NamedTuple):
    """One file in which two commits differ. Zeros stand for a missing file."""

    old_mode: str
    mode: str
    name: str
    """Of the object in the new commit."""
    path: str


class Checkout:
    """A worktree that has the target checked out."""

    def __init__(self, repository: GitRepository) -> None:
        self.repository = repository
        self.path = repository.path
        self._known_changes: dict[tuple[str, str], list[_PathChange]] = {}

    def require_room(self, old: str, new: str) -> None:
        """Raise `DirtyWorktree` unless the files can go from commit `old` to `new` with all uncommitted work intact."""
        if operation := _paths.operation(self.repository.git_dir):
            raise OperationInProgress(repository=self.path, worktree=self.path, operation=operation)
        self._refresh()
        found = status(self.repository)
        if found.staged or found.conflicted:
            raise DirtyWorktree.of(self.path, self.path, (*found.staged, *found.conflicted))
        self._require_room_among(found.unstaged, old, new)

    def _require_room_among(self, unstaged: Iterable[str], old: str, new: str, done: Collection[str] = ()) -> None:
        changes = self._changes(old, new)
        changed = {change.path for change in changes}
        added = [change.path for change in changes if not change.old_mode.strip("0") and change.path not in done]
        if touched := changed.intersection(unstaged) | self._in_the_way(added, changed):
            raise DirtyWorktree.of(self.path, self.path, touched)
        self.repository.on_files("read-tree", "-m", "-u", "--dry-run", old, new)

    def go(self, old: str, new: str) -> None:
        """Take index and files from commit `old` to `new`, or do nothing: git refuses to overwrite work."""
        with self._undoing(old, new):
            # A hard link changes a file's ctime, and nothing else.
            self.repository.on_files("-c", "core.trustctime=false", "read-tree", "-m", "-u", old, new)

    def _refresh(self) -> None:
        """Record in the index which files are unchanged, those that were merely touched too."""
        self.repository.on_files("update-index", "--refresh", codes=(0, 1))

    # --- Untracked files ----------------------------------------------------------------------------------------------

    def _in_the_way(self, added: Sequence[str], changed: set[str]) -> set[str]:
        """Return the untracked and ignored files in the places of the paths `added`.

        Those among `changed` are tracked and will be replaced: they are not in the way.
        """
        found: set[str] = set()
        seen: set[str] = set()
        spellings: dict[str, list[str]] = {}
        for path in changed:
            spellings.setdefault(path.casefold(), []).append(path)
        for path in added:
            parts = path.split("/")
            for end in range(1, len(parts)):
                folder = "/".join(parts[:end])
                if folder in seen:
                    continue
                seen.add(folder)
                mode = self._mode(folder)
                if mode is not None and not stat.S_ISDIR(mode) and folder not in changed:
                    found.add(folder)
            mode = self._mode(path)
            if mode is not None and stat.S_ISDIR(mode):
                found.update(file for file in self._below(path) if file not in changed)
            elif mode is not None and not self._is_respelled(path, spellings.get(path.casefold(), ())):
                found.add(path)
        return found

    def _is_respelled(self, path: str, spellings: Iterable[str]) -> bool:
        """Whether the file at `path` is a tracked file of another spelling, which will be replaced.

        File systems that ignore case show it so.
        """
        others = [other for other in spellings if other != path and self._mode(other) is not None]
        return any(Path(self._join(other)).samefile(self._join(path)) for other in others)

    def _join(self, path: str) -> str:
        return os.path.join(self.path, path)

    def _mode(self, path: str) -> int | None:
        try:
            return os.lstat(self._join(path)).st_mode
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:  # nothing, or nothing that can be reached
                return None
            raise

    def _below(self, folder: str) -> Iterable[str]:
        top = Path(self.path)
        for parent, _, files in os.walk(top / folder):
            for file in files:
                yield str(Path(parent, file).relative_to(top))

    # --- After a crash ------------------------------------------------------------------------------------------------

    def catch_up(self, tip: str) -> bool:
        """Take the files to `tip` if the index is still exactly that of an earlier commit of the branch.

        That is how a crash leaves it right after the branch was moved. Files that were updated before the crash count
        as unchanged. Returns whether there was anything to do.
        """
        self._sweep()
        with self.repository.scratch_index() as scratch:
            done = self.repository.git("write-tree", variables=scratch, codes=(0, 128))
        if done.code != 0 or done.text == self.repository.tree(tip):
            return False
        old = self._commit_with(done.text, tip)
        if old is None or _paths.operation(self.repository.git_dir):
            return False
        accepted = self._accept_done(old, tip)
        self._refresh()
        self._require_room_among(status(self.repository).unstaged, old, tip, accepted)
        self.go(old, tip)
        return True

    def _commit_with(self, tree: str, tip: str) -> str | None:
        """Return the newest first-parent ancestor of `tip` that has `tree`."""
        log = self.repository.git(
            "rev-list", "--first-parent", "--no-commit-header", f"--max-count={_LOOK_BACK}", "--format=%H %T", tip
        )
        lines = (line.split(" ") for line in log.text.splitlines())
        return next((commit for commit, found in lines if found == tree), None)

    def _accept_done(self, old: str, tip: str) -> set[str]:
        """Enter the files that already match `tip` in the index; return their paths."""
        done = [change for change in self._changes(old, tip) if self._is_as_new(change)]
        if done:
            entries = (
                f"{change.mode if change.mode.strip('0') else 0} {change.name} 0\t{change.path}" for change in done
            )
            stdin = b"".join(os.fsencode(entry) + b"\0" for entry in entries)
            self.repository.git("update-index", "-z", "--index-info", stdin=stdin)
        return {change.path for change in done}

    # --- After a failure ----------------------------------------------------------------------------------------------

    @contextmanager
    def _undoing(self, old: str, new: str) -> Iterator[None]:
        """Put the files back if the body fails to take them from commit `old` to `new`.

        First, each file that will change gets a second name in git's folder: git replaces files, it does not write
        into them. Asking git for the old ones could fail for the same reason as the new ones did.
        """
        self._sweep()
        with TemporaryDirectory(dir=self.repository.git_dir, prefix=_UNDO) as folder:
            kept = {change: Path(folder, str(number)) for number, change in enumerate(self._changes(old, new))}
            for change, second in kept.items():
                _link(Path(self._join(change.path)), second)
            try:
                yield
            except BaseException:
                for change, second in kept.items():
                    if self._mode(change.path) is None or self._is_as_new(change):
                        self._undo(Path(self._join(change.path)), second)
                raise

    def _sweep(self) -> None:
        """Remove the remains of `_undoing` after a crash: there is only one merge at a time."""
        for folder in Path(self.repository.git_dir).glob(f"{_UNDO}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _undo(self, file: Path, second: Path) -> None:
        with suppress(OSError):  # something else was made there meanwhile: it stays
            if os.path.lexists(second):
                file.parent.mkdir(parents=True, exist_ok=True)
                second.replace(file)
            else:
                file.unlink(missing_ok=True)
                os.removedirs(file.parent)

    def _is_as_new(self, change: _PathChange) -> bool:
        """Whether the file already matches the new commit."""
        now = self._mode(change.path)
        if now is None or not change.name.strip("0"):
            return now is None and not change.name.strip("0")
        if stat.S_ISREG(now) and change.mode in {"100644", "100755"}:
            return self.repository.on_files("hash-object", "--", change.path).text == change.name
        if stat.S_ISLNK(now) and change.mode == LINK:
            target = os.fsencode(os.readlink(self._join(change.path)))
            return self.repository.git("hash-object", "--stdin", stdin=target).text == change.name
        return False

    def _changes(self, old: str, new: str) -> list[_PathChange]:
        if (old, new) not in self._known_changes:
            self._known_changes[old, new] = list(self._read_changes(old, new))
        return self._known_changes[old, new]

    def _read_changes(self, old: str, new: str) -> Iterator[_PathChange]:
        output = self.repository.git(*TREE_DIFF, "--raw", old, new).out
        parts = iter(os.fsdecode(output).split("\0")[:-1])
        for facts in parts:
            old_mode, mode, _, name, _ = facts.removeprefix(":").split(" ")
            yield _PathChange(old_mode, mode, name, next(parts))


def _link(file: Path, second: Path) -> None:
    """Give `file` a second name, or a copy if hard links do not work; do nothing if there is no file."""
    try:
        os.link(file, second, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        if not file.is_dir():  # of a submodule
            shutil.copy2(file, second, follow_symlinks=False)
