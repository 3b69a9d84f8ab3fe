"""Workspaces: the worktrees of one task, together. The work on files behind the `Workspace` aggregate.

Every method blocks; on an event loop, call them in a thread. Nothing here decides: whether a workspace may be removed
or merged was decided before, based on what `inspect` found.
"""

from collections.abc import Collection
from typing import Protocol

import msgspec

from aura_contracts.execution import Outcome
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.git import Diff
from aura_contracts.workspace import ConflictedFiles, MergeStyle, Repository, RepositoryCommit, Worktree


class WorkspaceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the aggregate that work on files needs, before and after the workspace is prepared."""

    id: WorkspaceId
    title: str
    slug: str
    branch: str
    repositories: tuple[Repository, ...]
    copy_globs: tuple[str, ...] = ()
    in_place: bool = False
    """Work where the repositories are (or, without any, in the folder `root`): no worktree, no branch, no merge."""
    root: str = ""
    """Empty until the workspace is prepared for the first time."""
    worktrees: tuple[Worktree, ...] = ()


class PreparedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace that is ready: `worktrees` in the order of the repositories."""

    root: str
    worktrees: tuple[Worktree, ...]
    from_pool: tuple[str, ...] = ()
    """Repositories whose worktree came from the warm pool."""

    @property
    def directory(self) -> str:
        """The folder that agents are started in: the worktree if there is only one, else the root."""
        return self.worktrees[0].path if len(self.worktrees) == 1 else self.root


class WorkspaceCondition(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a workspace on disk."""

    exists: bool
    """All of its worktrees exist."""
    dirty: bool
    """There are changes that are neither committed nor ignored."""
    missing: tuple[str, ...] = ()
    """Repositories without their worktree."""
    operations: dict[str, str] = {}
    """Repository -> the operation in progress in its worktree."""


class CollectedWork(msgspec.Struct, frozen=True, kw_only=True):
    """The branch after everything was committed."""

    outcome: Outcome
    """The changes of the whole branch since the commits that it was started from."""
    heads: tuple[RepositoryCommit, ...]
    clean: bool


class RepositoryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a workspace in one repository."""

    repository: str
    diff: Diff


class MergedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """The result of merging a workspace: either commits on the targets, or conflicts and nothing else."""

    commits: tuple[RepositoryCommit, ...] = ()
    conflicts: tuple[ConflictedFiles, ...] = ()


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree that a workspace left behind, proved by its marker, and belonging to no living workspace."""

    workspace_id: WorkspaceId
    path: str
    repository: str
    branch: str
    dirty: bool
    reason: str


class RepositoryDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The repository at a path. Without one, `path` is the folder itself, and the rest is empty."""

    path: str
    """The top of the worktree, absolute."""
    name: str
    """The name of that folder, changed where needed to be valid in a workspace."""
    repository: bool
    branch: str | None = None
    head: str | None = None


class Workspaces(Protocol):
    """A place where workspaces are kept."""

    def describe(self, path: str) -> RepositoryDescription:
        """Describe `path`, which is relative to the worker's working directory.

        Raises `NotARepository` only for a folder that does not exist.
        """
        ...

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        """Make all worktrees, or none; existing ones, as a crash leaves them, are taken over.

        The paths follow from the spec: a workspace that is prepared again comes back in the same place, with its branch
        as it is. Raises `WorkspaceError` after removing what was made; `left_behind` names what could not be removed.
        """
        ...

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        """Return the state of the workspace."""
        ...

    def collect(self, spec: WorkspaceSpec, message: str) -> CollectedWork:
        """Commit everything that is not ignored on the branch, and count its changes. Repeatable.

        In place nothing is committed: the outcome counts the differences from the commit that was HEAD at the start.
        """
        ...

    def diff(self, spec: WorkspaceSpec, *, patch: bool, patch_limit: int = 1_048_576) -> tuple[RepositoryDiff, ...]:
        """Return the changes, uncommitted work included; `patch_limit` is in bytes, for all repositories together."""
        ...

    def snapshot(self, spec: WorkspaceSpec, ref: str) -> tuple[RepositoryCommit, ...]:
        """Save tracked and untracked files of all worktrees under the hidden ref; nothing else is touched."""
        ...

    def restore(self, spec: WorkspaceSpec, ref: str) -> None:
        """Put all worktrees back to a snapshot. Overwrites the files: the caller has taken a snapshot."""
        ...

    def merge(self, spec: WorkspaceSpec, style: MergeStyle, message: str) -> MergedWorkspace:
        """Merge the branch into the target of each repository that it changes; all, or none.

        Repeatable: repositories that an interrupted merge finished are not merged again. Conflicts are found in all
        repositories before the first is touched. Raises `DirtyWorktree`, `OperationInProgress`, `RefChanged`.
        """
        ...

    def remove(self, spec: WorkspaceSpec, *, delete_branch: bool) -> None:
        """Remove the worktrees, and with `delete_branch` the branch wherever its target contains it.

        Destroys uncommitted work: the caller has taken a snapshot. Repeatable.
        """
        ...

    def orphans(self, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
        """Return the worktrees that workspaces left behind which are not `living`."""
        ...

    def remove_orphan(self, orphan: Orphan, ref: str) -> tuple[RepositoryCommit, ...]:
        """Remove an orphan; its unsaved work is saved under the hidden `ref` first, and that commit returned."""
        ...

    def warm(self, repository: str, count: int) -> int:
        """Fill the pool of a repository up to `count` worktrees; return the number of new ones."""
        ...
