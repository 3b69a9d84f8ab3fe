"""Where a repository keeps its things, found by looking: the git directory of a worktree, and what is under way there.

The files are described in gitrepository-layout(5); those of operations in progress are what ``git status`` looks at.
"""

import os
from contextlib import suppress
from pathlib import Path

from aura_contracts.errors import NotARepository
from aura_contracts.ports.git import Operation

_HEADS = {
    "MERGE_HEAD": Operation.MERGE,
    "CHERRY_PICK_HEAD": Operation.CHERRY_PICK,
    "REVERT_HEAD": Operation.REVERT,
    "BISECT_LOG": Operation.BISECT,
}

STATE_OF_OPERATIONS = (
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
"""What git leaves in a worktree's git directory while it is in the middle of something."""


def git_dir(path: str) -> str:
    """Return the git directory of the worktree or bare repository at `path` itself. Raises `NotARepository`."""
    inside = Path(path) / ".git"
    if inside.is_dir():
        return str(inside)
    with suppress(OSError):
        text = os.fsdecode(inside.read_bytes())
        if text.startswith("gitdir:"):
            found = Path(path) / text.removeprefix("gitdir:").strip("\n").lstrip(" ")
            if found.is_dir():
                return str(found)
    if (Path(path) / "HEAD").exists() and (Path(path) / "objects").is_dir():
        return path
    raise NotARepository(repository=path)


def common_dir(directory: str) -> str:
    """Return what the worktree with this git directory shares with the others."""
    with suppress(OSError):
        shared = os.fsdecode((Path(directory) / "commondir").read_bytes()).rstrip("\n")
        return os.path.realpath(Path(directory) / shared)
    return os.path.realpath(directory)


def operation(directory: str) -> Operation | None:
    """Return what the worktree with this git directory is in the middle of."""
    place = Path(directory)
    if (place / "rebase-merge").is_dir():
        return Operation.REBASE
    if (place / "rebase-apply").is_dir():
        return Operation.AM if (place / "rebase-apply" / "applying").exists() else Operation.REBASE
    for name, found in _HEADS.items():
        if (place / name).exists():
            return found
    with suppress(OSError):  # between two picks of a series
        todo = (place / "sequencer" / "todo").read_bytes().lstrip()
        return Operation.REVERT if todo.startswith(b"revert") else Operation.CHERRY_PICK
    return None


def branch_under_operation(directory: str) -> str | None:
    """Return the full name of the branch that a rebase or a bisection took HEAD off and will come back to."""
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        with suppress(OSError):
            text = os.fsdecode((Path(directory) / name).read_bytes()).strip()
            return text if text.startswith("refs/") else f"refs/heads/{text}"
    return None


def git_dirs(common: str) -> list[str]:
    """Return the git directories of all worktrees, the main one's first."""
    linked = Path(common) / "worktrees"
    names = sorted(entry.name for entry in linked.iterdir()) if linked.is_dir() else []
    return [common, *(str(linked / name) for name in names)]


def worktree_of(directory: str) -> str:
    """Return the worktree that the git directory belongs to; for the main one, where it usually is."""
    with suppress(OSError):
        text = os.fsdecode((Path(directory) / "gitdir").read_bytes()).rstrip("\n")
        return os.path.normpath(Path(directory) / Path(text).parent)
    return str(Path(directory).parent) if Path(directory).name == ".git" else directory


def is_linked_worktree_of(path: str, common: str) -> bool:
    """Whether the folder `path` is a linked worktree of the repository with this common directory."""
    try:
        return common_dir(git_dir(path)) == os.path.realpath(common)
    except NotARepository:
        return False
