"""The repositories that worktrees are made from."""

import hashlib
import os
import re
from pathlib import Path

import attrs

from aura_contracts.ports.git import Git, RepositoryInfo


@attrs.frozen
class Source:
    """A repository. `top` is the folder to run git in: its worktree, or a bare repository itself."""

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
        """The name of the repository's pool: the same from all of its worktrees, and unique to it."""
        folder = self.common_dir.parent if self.common_dir.name == ".git" else self.common_dir
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-")[:40] or "repository"
        return f"{name}-{hashlib.sha256(os.fsencode(self.common_dir)).hexdigest()[:12]}"


def find_source(git: Git, path: str) -> Source:
    """Return the repository that `path` is in. Raises `NotARepository`."""
    return Source.of(git.inspect(path))
