"""A repository that worktrees are made of, as `Git.inspect` found it."""

import hashlib
import os
import re
from pathlib import Path

import attrs

from aura_contracts.ports.git import Git, RepositoryInfo


@attrs.frozen
class Source:
    """Where a repository is. `top` is what git is asked about: its worktree, or the folder of a bare one."""

    top: str
    common_dir: Path
    worktree: str | None
    branch: str | None
    head: str | None

    @classmethod
    def of(cls, info: RepositoryInfo) -> "Source":
        return cls(
            top=info.worktree or info.common_dir,
            common_dir=Path(os.path.realpath(info.common_dir)),
            worktree=info.worktree,
            branch=info.branch,
            head=info.head,
        )

    @property
    def key(self) -> str:
        """A name for the repository, the same from all of its worktrees and no other's: its pool has it."""
        folder = self.common_dir.parent if self.common_dir.name == ".git" else self.common_dir
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-")[:40] or "repository"
        return f"{name}-{hashlib.sha256(os.fsencode(self.common_dir)).hexdigest()[:12]}"


def find_source(git: Git, path: str) -> Source:
    """Return the repository that `path` is in. Raises `NotARepository`."""
    return Source.of(git.inspect(path))
