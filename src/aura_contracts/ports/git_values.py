"""Git values: what the port of git takes and returns. See `aura_contracts.ports.git` for paths and commits."""

from enum import StrEnum

import msgspec

from aura_contracts.workspace import Unrecorded


class Operation(StrEnum):
    """An operation in progress in a worktree."""

    REBASE = "rebase"
    MERGE = "merge"
    CHERRY_PICK = "cherry-pick"
    REVERT = "revert"
    BISECT = "bisect"
    AM = "am"


class ChangeKind(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"


class RepositoryInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository, as `GitFiles.inspect` finds it."""

    git_dir: str
    """The git directory of this worktree."""
    common_dir: str
    """Shared by all worktrees of a repository: equal paths mean the same repository."""
    worktree: str | None
    """The top folder of the worktree; None in a bare repository."""
    bare: bool = False
    linked: bool = False
    """Whether it is a linked worktree rather than the main one."""
    branch: str | None = None
    """The branch of HEAD, even if it has no commit yet; None if HEAD is detached."""
    head: str | None = None
    """The commit of HEAD; None before the first commit."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a worktree differs from HEAD: paths, each tuple sorted. Ignored files are left out."""

    staged: tuple[str, ...] = ()
    """Index compared with HEAD."""
    unstaged: tuple[str, ...] = ()
    """Files compared with the index."""
    untracked: tuple[str, ...] = ()
    """Single files; untracked folders are listed file by file.

    A nested repository that is not a submodule is one entry, ending with ``/``. Worktrees of the same repository are
    left out.
    """
    conflicted: tuple[str, ...] = ()

    @property
    def dirty(self) -> bool:
        """Whether anything is listed, including untracked files."""
        return bool(self.staged or self.unstaged or self.untracked or self.conflicted)


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What a worktree holds besides its HEAD, all of it seen at one moment."""

    status: Status
    unrecorded: tuple[Unrecorded, ...] = ()
    """What staging and committing everything does not record, sorted.

    Repositories and other worktrees inside, submodules with uncommitted changes, and ignored files; but no caches,
    installed packages and byte code, which programs make again.
    """


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file in a diff. The line counts are None for a binary file."""

    path: str
    kind: ChangeKind
    old_path: str | None = None
    """The old path of a renamed file."""
    added: int | None = 0
    removed: int | None = 0

    @property
    def binary(self) -> bool:
        return self.added is None


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences between two states of a tree; files sorted by path. `patch` is None unless requested."""

    files: tuple[ChangedFile, ...] = ()
    patch: bytes | None = None
    """A unified diff with git's extended headers (renames, binary patches), which ``git apply`` accepts."""
    truncated: bool = False
    """Whether the patch exceeded its limit and was cut at the end of a line."""

    @property
    def lines_added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def lines_removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)


class LinkedWorktree(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree of a repository; the first in a list is the main one (or the bare repository itself)."""

    path: str
    head: str | None
    branch: str | None
    bare: bool = False
    locked: bool = False
    prunable: bool = False
    """Whether its folder no longer exists."""


class MergePrediction(msgspec.Struct, frozen=True, kw_only=True):
    """The result that a merge would have: either conflicting paths or a tree."""

    conflicts: tuple[str, ...] = ()
    tree: str | None = None
    merge_base: str | None = None
    already_merged: bool = False
    """Whether the target already contains the source."""


class MergeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a merge."""

    commit: str
    """The new tip of the target branch; the old one if there was nothing to merge."""
    previous: str
    changed: bool
    checkout: str | None = None
    """The worktree that has the target checked out and was updated, if any."""


class Identity(msgspec.Struct, frozen=True):
    """The author of commits if neither the user nor the repository has configured ``user.name`` and ``user.email``."""

    name: str = "AURA"
    email: str = "aura@localhost"
