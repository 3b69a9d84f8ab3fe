"""What a worktree holds that its branch does not get, and safety copies that hold it too.

Before a worktree is removed, its safety copy takes the ignored files as well, within limits: they may be all that an
agent has made. What no copy can hold (repositories inside, submodules with changes of their own, more than the limits)
is named, and the worktree stays.
"""

import filecmp
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import attrs
from msgspec.structs import replace

from aura_contracts.errors import NotARepository
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Inventory, Status
from aura_contracts.workspace import Unrecorded, UnrecordedKind
from aura_workspace._worktrees import Marker

COPIED_FILES = 1_000
"""The most ignored files that a safety copy takes."""

COPIED_BYTES = 16 * 1024 * 1024
"""The most bytes of ignored files that a safety copy takes."""

_IN_COPIES = {UnrecordedKind.IGNORED, UnrecordedKind.COPIED}
"""What a safety copy can take; the rest is in repositories of its own."""

_STAGED = {UnrecordedKind.REPOSITORY, UnrecordedKind.SUBMODULE, UnrecordedKind.UNKEPT}
"""What a status still shows after everything was committed."""


@attrs.frozen
class MarkedWorktree:
    """A worktree with its marker: what it holds besides its branch. `source` is the worktree that files came from."""

    git: Git
    path: Path
    marker: Marker
    source: Path | None

    def unrecorded(self, held: Inventory, unkept: Iterable[str], repository: str = "") -> tuple[Unrecorded, ...]:
        """Return what no commit of the branch can hold, `unkept` submodules included."""
        found = [one for one in held.unrecorded if not self._is_copy(one)]
        found += [Unrecorded(kind=UnrecordedKind.COPIED, path=path) for path in self._changed_copies()]
        found += [Unrecorded(kind=UnrecordedKind.UNKEPT, path=path) for path in unkept]
        return tuple(replace(one, repository=repository) for one in found)

    def snapshot(self, ref: str, message: str, *, whole: bool) -> tuple[str, tuple[Unrecorded, ...]]:
        """Take a safety copy, with `whole` of ignored files too; return its commit, and what it does not hold."""
        unkept = self.git.keep_submodules(str(self.path), self.marker.workspace_id)
        found = self.unrecorded(self.git.inventory(str(self.path)), unkept)
        if not whole:
            return self.git.snapshot(str(self.path), ref, message), tuple(one for one in found if one.kind in _STAGED)
        taken, left_out = self._within_limits([one for one in found if one.kind in _IN_COPIES])
        left_out += [one for one in found if one.kind not in _IN_COPIES]
        return self.git.snapshot(str(self.path), ref, message, also=taken), tuple(left_out)

    def _within_limits(self, found: Sequence[Unrecorded]) -> tuple[list[str], list[Unrecorded]]:
        """Return the files that a safety copy takes, and what is too much for it."""
        taken: list[str] = []
        left_out: list[Unrecorded] = []
        size = 0
        for one in found:
            files, whole = _content(self.path, one.path, COPIED_FILES - len(taken), COPIED_BYTES - size)
            if not whole:
                left_out.append(one)
                continue
            taken += files
            size += sum((self.path / file).lstat().st_size for file in files)
        return taken, left_out

    # --- Copied files -------------------------------------------------------------------------------------------------

    def _is_copy(self, one: Unrecorded) -> bool:
        """Whether something ignored is nothing but files that were copied into the worktree."""
        if one.kind is not UnrecordedKind.IGNORED or not self.marker.copied:
            return False
        files, whole = _content(self.path, one.path, COPIED_FILES, COPIED_BYTES)
        return whole and all(self.marker.hides(file) for file in files)

    def _changed_copies(self) -> Iterator[str]:
        """Yield the copied files that are no longer as those that they were copied from, and are in no commit."""
        changed = [path for path in self.marker.copied if self._is_changed(path)]
        if changed:
            committed = {file.path for file in self.git.diff(str(self.path), self.marker.base_commit, "HEAD").files}
            yield from (path for path in changed if path not in committed)

    def _is_changed(self, copied: str) -> bool:
        mine, theirs = self.path / copied, self.source and self.source / copied
        if not mine.is_file() or mine.is_symlink():
            return False
        return theirs is None or not theirs.is_file() or not filecmp.cmp(mine, theirs, shallow=False)


def _content(top: Path, path: str, most_files: int, most_bytes: int) -> tuple[list[str], bool]:
    """Return the files of a path relative to `top`, and whether these are all, within the limits and readable.

    An index takes no file of a repository inside, so those are never all. Pipes, sockets and devices have no content,
    and do not count.
    """
    files: list[str] = []
    size = 0
    above = (top / path).relative_to(top).parents
    if any(os.path.lexists(top / folder / ".git") for folder in above if folder.parts):
        return files, False
    for file, mode in _walk(top / path):
        if mode is None or not (stat.S_ISLNK(mode.st_mode) or os.access(file, os.R_OK)):
            return files, False
        if stat.S_ISREG(mode.st_mode) or stat.S_ISLNK(mode.st_mode):
            files.append(file.relative_to(top).as_posix())
            size += mode.st_size
        if len(files) > most_files or size > most_bytes or ".git" in file.relative_to(top).parts:
            return files, False
    return files, True


def _walk(place: Path) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Yield all files below a place with their status, None for what cannot be read."""
    left = [place]  # not by recursion: an agent may have nested thousands of folders
    while left:
        place = left.pop()
        try:
            status = place.lstat()
            entries = sorted(place.iterdir(), reverse=True) if stat.S_ISDIR(status.st_mode) else None
        except OSError:
            yield place, None
            continue
        if entries is None:
            yield place, status
        else:
            left += entries


# --- What git shows of it ---------------------------------------------------------------------------------------------


def recordable(status: Status, found: Iterable[Unrecorded]) -> Status:
    """Return `status` without what committing cannot record."""
    hidden = {path for one in found if one.kind in _STAGED for path in (one.path, *_folders_above(one.path))}
    return Status(
        staged=status.staged,
        unstaged=tuple(path for path in status.unstaged if path not in hidden),
        untracked=tuple(path for path in status.untracked if path not in hidden),
        conflicted=status.conflicted,
    )


def _folders_above(path: str) -> list[str]:
    """Return the folders that a path is in: a submodule in a submodule changes that, too."""
    return [str(folder) for folder in PurePosixPath(path).parents]


def source_worktree(git: Git, repository: str) -> Path | None:
    """Return the worktree that untracked files were copied from."""
    try:
        top = git.inspect(repository).worktree
    except NotARepository:
        return None
    return None if top is None else Path(top)
