"""The links of linked worktrees on disk: the file ``.git`` in the worktree, and the folder that it points to.

See gitrepository-layout(5): the worktree's ``.git`` names its git directory (``<repository>/.git/worktrees/<name>``),
whose files ``gitdir`` and ``commondir`` name the worktree's ``.git`` and what all worktrees of the repository share.
"""

import os
from contextlib import suppress
from pathlib import Path

_POINTER = "gitdir:"


def linked_git_dir(worktree: Path) -> Path | None:
    """Return the git directory of the linked worktree at `worktree`; None unless they point to each other.

    The git directory of a copy, or of a worktree that was moved by hand, points elsewhere.
    """
    directory = _pointed_to(worktree)
    return directory if directory is not None and _points_to(directory, worktree) else None


def known_git_dir(common_dir: Path, worktree: Path) -> Path | None:
    """Return the git directory that the repository keeps for `worktree`, whether or not that still exists."""
    with suppress(OSError):
        return next((d for d in sorted((common_dir / "worktrees").iterdir()) if _points_to(d, worktree)), None)
    return None


def common_dir(git_dir: Path) -> Path:
    """Return the directory that the worktrees of the repository share."""
    return Path(os.path.realpath(git_dir / (_line(git_dir / "commondir") or ".")))


def is_half_made(git_dir: Path) -> bool:
    """Whether a ``git worktree add`` was interrupted: it holds a lock of its own until it is finished."""
    return _line(git_dir / "locked") == "initializing" or not (git_dir / "index").exists()


def has_pointer(worktree: Path) -> bool:
    """Whether the folder claims to be a linked worktree, of any repository, even of one that is gone."""
    return (_line(worktree / ".git") or "").startswith(_POINTER)


def _pointed_to(worktree: Path) -> Path | None:
    line = _line(worktree / ".git")
    if line is None or not line.startswith(_POINTER):
        return None
    directory = worktree / line.removeprefix(_POINTER).strip()
    return directory if directory.is_dir() else None


def _points_to(directory: Path, worktree: Path) -> bool:
    line = _line(directory / "gitdir")
    return bool(line) and os.path.realpath(directory / str(line)) == os.path.realpath(worktree / ".git")


def _line(file: Path) -> str | None:
    """Return the content of a small file, None if it does not exist."""
    with suppress(OSError):
        if not file.is_symlink() and file.is_file():
            return os.fsdecode(file.read_bytes()).rstrip("\r\n")
    return None
