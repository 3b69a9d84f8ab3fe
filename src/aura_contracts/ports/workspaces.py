"""Workspaces: the worktrees of a task as a unit. The file operations behind the `Workspace` aggregate.

Every method blocks; on an event loop, call it in a thread. Nothing is decided here: whether a workspace may be removed
or merged was decided before, based on the result of `inspect`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from aura_contracts.context_documents import DocumentPlace, FoundDocuments
from aura_contracts.execution import Outcome
from aura_contracts.ids import WorkspaceId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.git_values import Diff
from aura_contracts.workspace import (
    ConflictedFiles,
    MergeStyle,
    Repository,
    RepositoryCommit,
    Unrecorded,
    Worktree,
    working_directory,
)


class WorkspaceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the aggregate that file operations need, before and after the workspace is prepared."""

    id: WorkspaceId
    title: str
    slug: str
    branch: str
    repositories: tuple[Repository, ...]
    copy_globs: tuple[str, ...] = ()
    in_place: bool = False
    """Work in the repositories themselves (or, without any, in the folder `root`): no worktree, no branch, no merge."""
    root: str = ""
    """Empty until the workspace is first prepared."""
    worktrees: tuple[Worktree, ...] = ()
    copies: tuple[str, ...] = ()
    """The refs of its safety copies, oldest first."""
    subfolder: str = ""
    """The folder to work in, relative to the only repository."""

    @property
    def directory(self) -> str:
        """The folder that scripts and agents are started in, once the workspace is prepared."""
        return working_directory(self.root, self.worktrees, self.subfolder)


class PreparedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared workspace; `worktrees` is in the order of the repositories."""

    root: str
    worktrees: tuple[Worktree, ...]
    subfolder: str = ""
    from_pool: tuple[str, ...] = ()
    """Repositories whose worktree came from the warm pool."""
    empty_submodules: tuple[str, ...] = ()
    """Paths of submodules that the repositories have no copy of, so that they stay empty."""

    @property
    def directory(self) -> str:
        """The folder that scripts and agents are started in."""
        return working_directory(self.root, self.worktrees, self.subfolder)


class WorkspaceCondition(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The state of a workspace on disk."""

    exists: bool
    """Whether all of its worktrees exist."""
    dirty: bool
    """Whether there are changes that are neither committed nor ignored."""
    unrecorded: tuple[Unrecorded, ...] = ()
    """What the worktrees hold that cannot be committed on the branch."""
    missing: tuple[str, ...] = ()
    """Repositories without their worktree."""
    operations: dict[str, str] = {}
    """Repository -> the operation in progress in its worktree."""


class FileSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file, with its name as text: bytes that are not UTF-8 are escaped. Lines None: binary."""

    repository: str
    path: str
    kind: str
    old_path: str | None = None
    added: int | None = 0
    removed: int | None = 0


class WorkDiff(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The changes in a workspace, as text."""

    files: tuple[FileSummary, ...]
    patch: str = ""
    """Unified diff; undecodable bytes are escaped."""
    truncated: bool = False


class CollectedWork(msgspec.Struct, frozen=True, kw_only=True):
    """The branch after everything was committed."""

    outcome: Outcome
    """The changes of the whole branch since the commits that it started from."""
    heads: tuple[RepositoryCommit, ...]
    clean: bool
    empty_folders: tuple[str, ...] = ()
    """Where nothing has changed: folders without a file, which git does not keep; only the first of many."""


class TakenSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A safety copy of all worktrees."""

    commits: tuple[RepositoryCommit, ...]
    left_out: tuple[Unrecorded, ...] = ()
    """What the worktrees hold that the copy does not."""


class RepositoryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a workspace in one repository."""

    repository: str
    diff: Diff


class MergedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """The result of merging a workspace: either commits on the targets, or conflicts and no changes."""

    commits: tuple[RepositoryCommit, ...] = ()
    conflicts: tuple[ConflictedFiles, ...] = ()


class Orphan(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A worktree left behind by a workspace that no longer exists, as its marker proves."""

    workspace_id: WorkspaceId
    path: str
    repository: str
    branch: str
    dirty: bool
    reason: str


class RepositoryDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The repository at a path. Without one, `path` is the folder itself and the other fields are empty."""

    path: str
    """The top of the worktree, absolute."""
    name: str
    """The name of that folder, changed if necessary to be valid in a workspace."""
    repository: bool
    common_dir: str = ""
    """The folder of git's own data, the same for all worktrees of the repository."""
    branch: str | None = None
    head: str | None = None
    subfolder: str = ""
    """The described path, relative to `path`; empty for the top of the worktree."""


class WorkspaceProvider(Protocol):
    """Manages the workspaces of one place."""

    def describe(
        self, path: str, *, in_place: bool = False, target_branch: str = "", copy_globs: Sequence[str] = ()
    ) -> RepositoryDescription:
        """Describe `path`, which is relative to the worker's working directory, for work on it.

        Raises `NotARepository` only for a folder that does not exist; `InsideGitDirectory`; and `UnsuitableFolder` for
        a folder of AURA's own. Unless work is `in_place`, also raises what
        would keep a worktree from being made, or from having the files to work on, known before anything is made:
        `NoCommit`, `BranchInTheWay`, `FilterMissing`, `IgnoredSubfolder`, `UncommittedSubfolder` if no file that
        `copy_globs` match is in it either; `UnknownRevision` if there is no `target_branch`; `UnsuitableFolder` for one
        in no repository.
        """
        ...

    def documents(
        self, places: Sequence[DocumentPlace], patterns: Sequence[str], without: Collection[str] = ()
    ) -> FoundDocuments:
        """Return the documents that match `patterns`, except those at the paths `without`.

        Bounded, see `aura_contracts.context_documents`. A document that leads out of its place, that is binary, that
        changes while it is read or that holds a secret is left out, and none of that is an error.
        """
        ...

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        """Create all worktrees or none; worktrees left by a crash are taken over.

        The paths follow from the spec: a workspace that is prepared again returns to the same place, with its branch
        unchanged. A worktree that is gone comes back from the branch, or from the recorded head if the branch is gone
        too, with the uncommitted work of the newest safety copy of that commit. On failure, removes what was created
        and raises `WorkspaceError`; `left_behind` names any leftovers.
        """
        ...

    def repair(self, spec: WorkspaceSpec) -> None:
        """Put right what hides a worktree, or files in it, from git: its links, and flags in its index."""
        ...

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        """Return the state of the workspace. Changes nothing: what is hidden from git is found after `repair`."""
        ...

    def collect(self, spec: WorkspaceSpec, message: str, *, from_branch: bool = False) -> CollectedWork:
        """Commit everything that is not ignored to the branch, and count its changes. Repeatable.

        With `from_branch`, the branch stands for a worktree that is gone, and comes back from the recorded head if it
        is gone too; otherwise a missing worktree is a `WorkspaceError`.

        A workspace in place gets no commits: its outcome counts the differences from the HEAD commit at the start.
        """
        ...

    def diff(self, spec: WorkspaceSpec, *, patch: bool, patch_limit: int = 1_048_576) -> tuple[RepositoryDiff, ...]:
        """Return the changes, including uncommitted work; `patch_limit` is in bytes, for all repositories together."""
        ...

    def snapshot(self, spec: WorkspaceSpec, ref: str, *, whole: bool = False) -> TakenSnapshot:
        """Save tracked and untracked files of all worktrees under the hidden ref; nothing else is touched.

        With `whole`, ignored files are saved too, up to a thousand files and 16 MiB per worktree, but no caches and
        installed packages. What the copy does not hold is named.
        """
        ...

    def restore(self, spec: WorkspaceSpec, ref: str) -> None:
        """Restore all worktrees from a snapshot. Overwrites the files, so the caller must take a snapshot first."""
        ...

    def merge(
        self, spec: WorkspaceSpec, style: MergeStyle, message: str, *, finish_only: bool = False
    ) -> MergedWorkspace:
        """Merge the branch into the target of each repository that it changes; either all or none.

        Repeatable: repositories already merged by an interrupted call are not merged again; with `finish_only` the
        others are not merged either, and nothing is asked of them. Conflicts in all
        repositories are detected before the first is touched. Raises `DirtyWorktree`, `OperationInProgress`,
        `RefChanged`.
        """
        ...

    def revert(self, spec: WorkspaceSpec, commits: Mapping[str, str], message: str) -> MergedWorkspace:
        """Commit the opposite of a commit on the branch in each repository (by name) that `commits` has one for.

        Repeatable: where the branch has commits already, nothing is done. Where the same lines have changed since, the
        worktree stays as it is, and the result names the files.
        """
        ...

    def remove(self, spec: WorkspaceSpec, *, delete_branch: bool) -> None:
        """Remove the worktrees and, with `delete_branch`, the branch in each repository whose target contains it.

        Destroys uncommitted work, so the caller must take a snapshot first. Repeatable.
        """
        ...

    def orphans(self, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
        """Return the worktrees left behind by workspaces that are not in `living`."""
        ...

    def remove_orphan(self, orphan: Orphan, ref: str) -> tuple[RepositoryCommit, ...]:
        """Remove an orphan after saving its unsaved work under the hidden `ref`; return the saved commits.

        Raises `WorkspaceObstacle`, and removes nothing, if it holds what the copy does not.
        """
        ...

    def warm(self, repository: str, count: int) -> int:
        """Fill the pool of a repository up to `count` worktrees; return the number of new ones."""
        ...
