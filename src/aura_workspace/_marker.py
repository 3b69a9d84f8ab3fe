"""The marker that proves a worktree to be AURA's. It is in the worktree's git directory, so it is never committed.

It is written before the worktree is moved to its place, and removed with the worktree. A marker that cannot be read
proves nothing.
"""

import json
import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

FILE = "aura-workspace.json"
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
        found = msgspec.convert(json.loads((git_dir / FILE).read_bytes()), Marker)
    except (OSError, ValueError, msgspec.ValidationError):
        return None
    return found if found.version == _VERSION else None


def write_marker(git_dir: Path, marker: Marker) -> None:
    """Write the marker atomically. It is ASCII: paths may contain lone surrogates (`os.fsdecode`)."""
    new = git_dir / f"{FILE}.new"
    new.write_text(json.dumps(msgspec.to_builtins(marker)), encoding="ascii")
    os.replace(new, git_dir / FILE)  # noqa: PTH105 - as is Path.replace


def change_marker(git_dir: Path, **changes: object) -> Marker | None:
    """Apply `changes` to the marker, write it if it differs, and return it; None if there is no marker."""
    found = read_marker(git_dir)
    if found is None:
        return None
    changed = replace(found, **changes)
    if changed != found:
        write_marker(git_dir, changed)
    return changed
