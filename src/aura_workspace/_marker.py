"""The marker: what proves that a worktree is AURA's. It lies in the worktree's own git directory, so nobody commits it.

It is written before the worktree comes to its place, and goes with the worktree. A marker that cannot be read proves
nothing.
"""

import json
import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

FILE = "aura-workspace.json"
_VERSION = 1


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a worktree is, and where it belongs."""

    workspace_id: str
    repository: str
    """Its name in the workspace."""
    branch: str
    path: str
    """Where the worktree belongs: one that was moved or copied by hand is not where its marker says."""
    base_commit: str
    """What the branch was started from."""
    ready: bool = False
    """The whole workspace was prepared; before that nobody has worked in it."""
    copied: tuple[str, ...] = ()
    """Untracked files that were copied into it, and folders (ending with ``/``): no work, and never committed."""
    version: int = _VERSION

    def hides(self, path: str) -> bool:
        """Whether `path`, relative to the worktree, was copied into it."""
        return path in self.copied or any(path.startswith(one) for one in self.copied if one.endswith("/"))


def read_marker(git_dir: Path) -> Marker | None:
    """Return the marker in the git directory of a worktree; None where there is none that says all it should."""
    try:
        found = msgspec.convert(json.loads((git_dir / FILE).read_bytes()), Marker)
    except (OSError, ValueError, msgspec.ValidationError):
        return None
    return found if found.version == _VERSION else None


def write_marker(git_dir: Path, marker: Marker) -> None:
    """Write the marker, whole or not at all. With `json`: paths may hold what is not UTF-8 (`os.fsdecode`)."""
    new = git_dir / f"{FILE}.new"
    new.write_text(json.dumps(msgspec.to_builtins(marker)), encoding="ascii")
    os.replace(new, git_dir / FILE)  # noqa: PTH105 - as is Path.replace


def change_marker(git_dir: Path, **changes: object) -> Marker | None:
    """Write the marker again with `changes`, if it differs; return it. None: there is none."""
    found = read_marker(git_dir)
    if found is None:
        return None
    changed = replace(found, **changes)
    if changed != found:
        write_marker(git_dir, changed)
    return changed
