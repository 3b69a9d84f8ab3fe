"""Workspaces: the worktrees of one task, together. The work on files behind the `Workspace` aggregate.

Every method blocks; callers on an event loop call them in a thread. Nothing here decides: whether a workspace may be
removed or merged has been decided, on what `inspect` found, before these are called.
"""

from collections.abc import Collection
from typing import Protocol

import msgspec

from aura_contracts.execution import Outcome
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.git import Diff
from aura_contracts.workspace import ConflictedFiles, MergeStyle, Repository, RepositoryCommit, Worktree


class WorkspaceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace is to be, or is: the part of the aggregate that those who work on files need."""

    id: WorkspaceId
    title: str
    slug: str
    branch: str
    repositories: tuple[Repository, ...]
    copy_globs: tuple[str, ...] = ()
    in_place: bool = False
    """Work where the repositories are (or, without any, in the folder `root`): no worktree, no branch, no merge."""
    root: str = ""
    """Empty until it is prepared for the first time."""
    worktrees: tuple[Worktree, ...] = ()


class PreparedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace that is ready: `worktrees` in the order of the repositories."""

    root: str
    worktrees: tuple[Worktree, ...]
    from_pool: tuple[str, ...] = ()
    """Repositories whose worktree came from the warm pool."""

    @property
    def directory(self) -> str:
        """The folder that agents are started in: the worktree if there is one only; else the root."""
        return self.worktrees[0].path if len(self.worktrees) == 1 else self.root


class WorkspaceCondition(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace is like right now."""

    exists: bool
    """All of its worktrees are there."""
    dirty: bool
    """Something is neither committed nor ignored."""
    missing: tuple[str, ...] = ()
    """Repositories whose worktree is not there."""
    operations: dict[str, str] = {}
    """Repository -> the operation its worktree is in the middle of."""


class CollectedWork(msgspec.Struct, frozen=True, kw_only=True):
    """What there is on the branch after everything was committed."""

    outcome: Outcome
    """Of the whole branch against the commits it was started from."""
    heads: tuple[RepositoryCommit, ...]
    clean: bool


class RepositoryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace changes in one repository."""

    repository: str
    diff: Diff


class MergedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """What merging a workspace did: either commits on the targets, or conflicts and nothing else."""

    commits: tuple[RepositoryCommit, ...] = ()
    conflicts: tuple[ConflictedFiles, ...] = ()


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a workspace of AURA left behind, proved by its marker and known to no record as living."""

    workspace_id: WorkspaceId
    path: str
    repository: str
    branch: str
    dirty: bool
    reason: str


class RepositoryDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What there is at a path. Without a repository `path` is the folder itself, and the rest is empty."""

    path: str
    """The top of the worktree that it is in, absolute."""
    name: str
    """Of that folder, with what a folder in a workspace may not be called replaced."""
    repository: bool
    branch: str | None = None
    head: str | None = None


class Workspaces(Protocol):
    """A place where workspaces are kept."""

    def describe(self, path: str) -> RepositoryDescription:
        """Say what there is at `path`, relative to where the worker was started.

        Raises `NotARepository` only for a folder that does not exist.
        """
        ...

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        """Make all worktrees, or none; those that are there already, as a crash leaves them, are taken over.

        The paths are a function of the spec: a workspace prepared again comes back where it was, with its branch as it
        is. Raises `WorkspaceError`; what was made is removed then, and what could not be is named in `left_behind`.
        """
        ...

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        """Return what the workspace is like."""
        ...

    def collect(self, spec: WorkspaceSpec, message: str) -> CollectedWork:
        """Commit everything that is not ignored on the branch, and count what the branch changes. Repeatable.

        In place nothing is committed: the outcome counts what differs from the commit that was HEAD at the start.
        """
        ...

    def diff(self, spec: WorkspaceSpec, *, patch: bool, patch_limit: int = 1_048_576) -> tuple[RepositoryDiff, ...]:
        """Return what the workspace changes, uncommitted work included; `patch_limit` is in bytes, for all together."""
        ...

    def snapshot(self, spec: WorkspaceSpec, ref: str) -> tuple[RepositoryCommit, ...]:
        """Write tracked and untracked state of all worktrees to the hidden ref; nothing else is touched."""
        ...

    def restore(self, spec: WorkspaceSpec, ref: str) -> None:
        """Put all worktrees back to a snapshot. Overwrites what is there: the caller has taken a snapshot."""
        ...

    def merge(self, spec: WorkspaceSpec, style: MergeStyle, message: str) -> MergedWorkspace:
        """Merge the branch into the target of each repository that it changes; all, or none.

        Repeatable: repositories that a torn merge had done are recognised and not merged again. Conflicts are found in
        all repositories before the first is touched. Raises `DirtyWorktree`, `OperationInProgress`, `RefChanged`.
        """
        ...

    def remove(self, spec: WorkspaceSpec, *, delete_branch: bool) -> None:
        """Remove the worktrees, and with `delete_branch` the branch where it holds nothing that its target has not.

        Destroys what is not committed: the caller has taken a snapshot. Removing again is harmless.
        """
        ...

    def orphans(self, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
        """Return what workspaces that are not `living` left behind, in the places where workspaces are kept."""
        ...

    def remove_orphan(self, orphan: Orphan, ref: str) -> tuple[RepositoryCommit, ...]:
        """Remove it; unsaved work is written to the hidden `ref` first, and the commit that holds it is returned."""
        ...

    def warm(self, repository: str, count: int) -> int:
        """Fill the pool of a repository up to `count` worktrees; return how many were made."""
        ...
