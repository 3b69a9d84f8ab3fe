"""Linked worktrees on disk: their links with the repository, and the marker that proves one to be AURA's.

See gitrepository-layout(5): the worktree's ``.git`` names its git directory (``<repository>/.git/worktrees/<name>``),
whose files ``gitdir`` and ``commondir`` name the worktree's ``.git`` and what all worktrees of the repository share.

The marker is in the git directory, so it is never committed. It is written before the worktree is moved to its place,
and removed with the worktree. A marker that cannot be read proves nothing.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from aura_contracts.first_use import convert
from aura_contracts.private_files import write_private

# --- Links ------------------------------------------------------------------------------------------------------------

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


# --- The marker -------------------------------------------------------------------------------------------------------

MARKER_FILE = "aura-workspace.json"
_VERSION = 1


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace that a worktree belongs to, and its place."""

    workspace_id: str
    repository: str
    """Its name in the workspace."""
    branch: str
    path: str
    """The worktree's place: one that was moved or copied by hand is elsewhere."""
    base_commit: str
    """The commit that the branch was started from."""
    ready: bool = False
    """The whole workspace is prepared; until then it holds no work."""
    copied: tuple[str, ...] = ()
    """Untracked files that were copied into it, and folders (ending with ``/``): not work, and never committed."""
    version: int = _VERSION

    def hides(self, path: str) -> bool:
        """Whether `path`, relative to the worktree, was copied into it."""
        return path in self.copied or any(path.startswith(one) for one in self.copied if one.endswith("/"))


def read_marker(git_dir: Path) -> Marker | None:
    """Return the marker in the git directory of a worktree; None if it is missing or incomplete."""
    try:
        found = convert(json.loads(_line(git_dir / MARKER_FILE) or ""), Marker)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError):
        return None
    return found if found.version == _VERSION else None


def write_marker(git_dir: Path, marker: Marker) -> None:
    """Write the marker atomically. It is ASCII: paths may contain lone surrogates (`os.fsdecode`)."""
    write_private(git_dir / MARKER_FILE, json.dumps(msgspec.to_builtins(marker)).encode("ascii"))


def change_marker(git_dir: Path, **changes: object) -> Marker | None:
    """Apply `changes` to the marker, write it if it differs, and return it; None if there is no marker."""
    found = read_marker(git_dir)
    if found is None:
        return None
    changed = replace(found, **changes)
    if changed != found:
        write_marker(git_dir, changed)
    return changed
