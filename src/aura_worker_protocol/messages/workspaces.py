"""Workspaces: what the engine has a worker do with the worktrees of a task, and with repositories."""

from aura_contracts.context_documents import DocumentPlace, FoundDocuments
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.workspaces import (
    CollectedWork,
    MergedWorkspace,
    Orphan,
    PreparedWorkspace,
    RepositoryDescription,
    TakenSnapshot,
    WorkDiff,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.workspace import MergeStyle
from aura_worker_protocol.request import Result, ToWorker


class PrepareWorkspace(ToWorker[PreparedWorkspace], frozen=True, kw_only=True):
    """Create the worktrees, all or none; existing ones are taken over."""

    method = "workspace.prepare"
    workspace: WorkspaceSpec


class RepairWorkspace(ToWorker[Result], frozen=True, kw_only=True):
    """Put right what hides worktrees, or files in them, from git."""

    method = "workspace.repair"
    workspace: WorkspaceSpec


class InspectWorkspace(ToWorker[WorkspaceCondition], frozen=True, kw_only=True):
    """Describe the current condition of the workspace. Changes nothing."""

    method = "workspace.inspect"
    workspace: WorkspaceSpec


class CollectWork(ToWorker[CollectedWork], frozen=True, kw_only=True):
    """Commit everything on the branch, and count what the branch changes."""

    method = "workspace.collect"
    workspace: WorkspaceSpec
    message: str
    from_branch: bool = False
    """The branch stands for a worktree that is gone."""


class DiffWork(ToWorker[WorkDiff], frozen=True, kw_only=True):
    """Show the changes in the workspace, uncommitted work included; `patch_limit` is in bytes, 0 for no patch."""

    method = "workspace.diff"
    workspace: WorkspaceSpec
    patch_limit: int = 1_048_576


class TakeSnapshot(ToWorker[TakenSnapshot], frozen=True, kw_only=True):
    """Write tracked and untracked state to the hidden ref; with `whole`, ignored files too."""

    method = "workspace.snapshot"
    workspace: WorkspaceSpec
    ref: str
    whole: bool = False


class ResetToSnapshot(ToWorker[Result], frozen=True, kw_only=True):
    """Reset the worktrees to a snapshot, overwriting their content."""

    method = "workspace.restore"
    workspace: WorkspaceSpec
    ref: str


class MergeWork(ToWorker[MergedWorkspace], frozen=True, kw_only=True):
    """Merge the branch into its targets, all or none; with `finish_only`, only those that were merged before."""

    method = "workspace.merge"
    workspace: WorkspaceSpec
    style: MergeStyle
    message: str
    finish_only: bool = False


class RevertWork(ToWorker[MergedWorkspace], frozen=True, kw_only=True):
    """Commit the opposite of a commit on the branch, by repository."""

    method = "workspace.revert"
    workspace: WorkspaceSpec
    commits: dict[str, str]
    message: str


class RemoveWorktrees(ToWorker[Result], frozen=True, kw_only=True):
    """Remove the worktrees, whatever they hold; with `delete_branch` also the branch, if it is fully merged."""

    method = "workspace.remove"
    workspace: WorkspaceSpec
    delete_branch: bool = False


class DescribeRepository(ToWorker[RepositoryDescription], frozen=True, kw_only=True):
    """Describe the repository at a path on the worker. Raises what keeps it from being worked on, in place or not."""

    method = "workspace.describe"
    path: str
    in_place: bool = False
    target_branch: str = ""
    """The branch to merge into, if one was named."""
    copy_globs: tuple[str, ...] = ()
    """Untracked files to take along."""


class ReadDocuments(ToWorker[FoundDocuments], frozen=True, kw_only=True):
    """Read the documents that match `patterns`, without those at the paths `without`. Changes nothing."""

    method = "workspace.documents"
    places: tuple[DocumentPlace, ...]
    patterns: tuple[str, ...]
    without: tuple[str, ...] = ()


class OrphansFound(Result, frozen=True, kw_only=True):
    orphans: tuple[Orphan, ...]


class FindOrphans(ToWorker[OrphansFound], frozen=True, kw_only=True):
    """List the leftovers of workspaces that are not `living`."""

    method = "workspace.orphans"
    living: tuple[WorkspaceId, ...]


class RemoveOrphan(ToWorker[TakenSnapshot], frozen=True, kw_only=True):
    """Remove an orphan, after a snapshot of its unsaved work."""

    method = "workspace.remove_orphan"
    orphan: Orphan
    ref: str


class PoolWarmed(Result, frozen=True, kw_only=True):
    made: int


class WarmPool(ToWorker[PoolWarmed], frozen=True, kw_only=True):
    """Fill the pool of a repository."""

    method = "workspace.warm"
    repository: str
    count: int
