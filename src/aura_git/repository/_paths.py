"""Where a repository keeps its parts, found by reading its files: see gitrepository-layout(5).

The files of operations in progress are the ones that ``git status`` checks.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aura_contracts.errors import NotARepository
from aura_contracts.ports.git_values import Operation

_HEADS = {
    "MERGE_HEAD": Operation.MERGE,
    "CHERRY_PICK_HEAD": Operation.CHERRY_PICK,
    "REVERT_HEAD": Operation.REVERT,
    "BISECT_LOG": Operation.BISECT,
}

OPERATION_STATE = (
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    *_HEADS,
    "MERGE_MSG",
    "MERGE_MODE",
    "MERGE_RR",
    "MERGE_AUTOSTASH",
    "AUTO_MERGE",
    "REBASE_HEAD",
    "SQUASH_MSG",
    "BISECT_START",
    "BISECT_TERMS",
    "BISECT_NAMES",
    "BISECT_EXPECTED_REV",
    "BISECT_ANCESTORS_OK",
    "BISECT_FIRST_PARENT",
)
"""The files that git keeps in a worktree's git directory during an operation."""


# --- Git directories --------------------------------------------------------------------------------------------------


class RepositoryLocation(NamedTuple):
    """The repository that a folder belongs to."""

    git_dir: str
    top: str | None
    """The folder whose ``.git`` led to it; None for a git directory itself."""


def locate(path: str, recorded: Callable[[str], str | None] = lambda _: None) -> RepositoryLocation:
    """Return the repository at `path` or, failing that, the nearest one above it. Raises `NotARepository`.

    `recorded` returns the git directory of a folder if that is on record, which the files there cannot change.
    """
    if not os.path.isabs(path) or not os.path.isdir(path):
        raise NotARepository(repository=path, remedy="there is no such folder: check the path")
    top = os.path.realpath(path)
    while True:
        if known := recorded(top):
            return RepositoryLocation(known, top)
        dot = os.path.join(top, ".git")
        if os.path.isfile(dot):
            target = linked_git_dir(dot)
            if target is None or not _is_git_dir(target):
                raise NotARepository(repository=path)
            return RepositoryLocation(os.path.realpath(target), top)
        if _is_git_dir(dot):
            return RepositoryLocation(os.path.realpath(dot), top)
        if _is_git_dir(top):
            return RepositoryLocation(top, None)
        above = os.path.dirname(top)
        if above == top:
            raise NotARepository(repository=path)
        top = above


def git_dir(path: str) -> str:
    """Return the git directory of the worktree or bare repository at `path` itself. Raises `NotARepository`."""
    if not os.path.isabs(path):
        raise NotARepository(repository=path, remedy="name the repository by its absolute path")
    dot = os.path.join(path, ".git")
    linked = linked_git_dir(dot)
    found = next(filter(_is_git_dir, (dot, os.path.realpath(linked)) if linked else (dot, path)), None)
    if found is None:
        raise NotARepository(repository=path)
    return found


def common_dir(directory: str) -> str:
    """Return the directory that the worktree with this git directory shares with the others."""
    shared = _line(os.path.join(directory, "commondir"))
    return os.path.realpath(os.path.join(directory, shared) if shared else directory)


def owner(directory: str) -> str:
    """Return the directory that this git directory shares with others by where it is, whatever is written in it."""
    above = os.path.dirname(directory)
    return os.path.dirname(above) if os.path.basename(above) == "worktrees" else common_dir(directory)


def linked_git_dir(dot: str) -> str | None:
    """Return the git directory that a ``.git`` file names."""
    line = _line(dot)
    if line is None or not line.startswith("gitdir:"):
        return None
    return os.path.join(os.path.dirname(dot), line.removeprefix("gitdir:").lstrip(" "))


def _is_git_dir(path: str) -> bool:
    if not os.path.lexists(os.path.join(path, "HEAD")):
        return False
    common = common_dir(path)
    return os.path.isdir(os.path.join(common, "objects")) and os.path.isdir(os.path.join(common, "refs"))


def read_file(file: str, most: int = -1) -> bytes:
    """Return at most so many bytes of a regular file. Raises `OSError`, and does not wait for a pipe in its place."""
    with open(file, "rb", opener=_without_waiting) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", file)
        return opened.read(most)


def _without_waiting(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NONBLOCK)


def _line(file: str) -> str | None:
    """Return the content of a small file without the newline at its end; None if it cannot be read."""
    with suppress(OSError):
        return os.fsdecode(read_file(file)).rstrip("\r\n")
    return None


# --- Worktrees --------------------------------------------------------------------------------------------------------


def git_dirs(common: str) -> list[str]:
    """Return the git directories of all worktrees, the main one's first."""
    linked = os.path.join(common, "worktrees")
    names = sorted(os.listdir(linked)) if os.path.isdir(linked) else []
    return [common, *(os.path.join(linked, name) for name in names)]


def worktree_of(directory: str) -> str:
    """Return the worktree that a git directory belongs to; for the main one, where it usually is."""
    if link := _line(os.path.join(directory, "gitdir")):
        return os.path.normpath(os.path.join(directory, os.path.dirname(link)))
    return os.path.dirname(directory) if os.path.basename(directory) == ".git" else directory


def is_linked_worktree_of(path: str, common: str) -> bool:
    """Whether the folder `path` is a linked worktree of the repository with this common directory."""
    try:
        return common_dir(git_dir(path)) == os.path.realpath(common)
    except NotARepository:
        return False


# --- Operations -------------------------------------------------------------------------------------------------------


def operation(directory: str) -> Operation | None:
    """Return the operation in progress in the worktree with this git directory."""
    place = Path(directory)
    if (place / "rebase-merge").is_dir():
        return Operation.REBASE
    if (place / "rebase-apply").is_dir():
        return Operation.AM if (place / "rebase-apply" / "applying").exists() else Operation.REBASE
    for name, found in _HEADS.items():
        if (place / name).exists():
            return found
    with suppress(OSError):  # between two picks of a series
        todo = read_file(os.path.join(directory, "sequencer", "todo")).lstrip()
        return Operation.REVERT if todo.startswith(b"revert") else Operation.CHERRY_PICK
    return None


def branch_under_operation(directory: str) -> str | None:
    """Return the full name of the branch that a rebase or a bisection left and will return to."""
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        if (text := _line(os.path.join(directory, name))) is not None:
            return text if text.startswith("refs/") else f"refs/heads/{text}"
    return None
