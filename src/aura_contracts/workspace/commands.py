"""The commands of workspaces: see `aura_contracts.workspace`."""

from aura_contracts.aggregate import Command
from aura_contracts.events import CommandRefusal
from aura_contracts.ids import ApprovalId, ExecutionId, WorkspaceId
from aura_contracts.workspace import event_types as events
from aura_contracts.workspace.state import Workspace
from aura_contracts.workspace.values import (
    ConflictedFiles,
    FailedPreparation,
    MergeStyle,
    PreparedPlace,
    RepositoryCommit,
    SnapshotFacts,
    WorkspaceLayout,
)


class RequestWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Request worktrees for a task. `root` restores a workspace to the place of an earlier one."""

    emits = (events.WorkspaceRequested,)
    workspace_id: WorkspaceId
    layout: WorkspaceLayout


class RecordPreparation(PreparedPlace, Command[Workspace], frozen=True, kw_only=True):
    """Record that all worktrees exist."""

    emits = (events.WorkspacePrepared,)


class RecordPreparationFailure(FailedPreparation, Command[Workspace], frozen=True, kw_only=True):
    """Record that not all worktrees could be created, and what happened to the others."""

    emits = (events.PreparationFailed,)


class AcquireWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Acquire the workspace for an execution.

    `replacing` names a holder that is known to be over because its worker was lost; without it, a workspace in use is
    not given away.
    """

    emits = (events.WorkspaceReleased, events.WorkspaceAcquired)
    execution_id: ExecutionId
    replacing: ExecutionId | None = None


class ReleaseWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Release the workspace."""

    emits = (events.WorkspaceReleased,)
    execution_id: ExecutionId


class RecordSnapshot(SnapshotFacts, Command[Workspace], frozen=True, kw_only=True):
    """Record a snapshot of all worktrees; where nothing had changed, `commits` names the head."""

    emits = (events.SnapshotTaken,)


class RestoreSnapshot(Command[Workspace], frozen=True, kw_only=True):
    """Restore the worktrees from a snapshot. `dirty` means that they have uncommitted or untracked changes."""

    emits = (events.SnapshotRestored,)
    ref: str
    dirty: bool


class RecreateWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Recreate the worktrees at their paths. `dirty` means that they have uncommitted or untracked changes."""

    emits = (events.RecreationRequested,)
    reason: str
    dirty: bool


class RecordCommit(Command[Workspace], frozen=True, kw_only=True):
    """Record the new heads of the repositories in which work was committed."""

    emits = (events.WorkCommitted,)
    heads: tuple[RepositoryCommit, ...]
    clean: bool = False


class StartMerge(Command[Workspace], frozen=True, kw_only=True):
    """Merge the branch. `dirty` means that a worktree or target has uncommitted changes or an operation in progress."""

    emits = (events.MergeStarted,)
    style: MergeStyle
    dirty: bool


class RecordMerge(Command[Workspace], frozen=True, kw_only=True):
    """Record the commits that the merge made; unchanged repositories are left out."""

    emits = (events.WorkMerged,)
    commits: tuple[RepositoryCommit, ...]


class RecordConflict(Command[Workspace], frozen=True, kw_only=True):
    """Record the conflicting files, and the approval that asks a human about them."""

    emits = (events.MergeConflicted,)
    files: tuple[ConflictedFiles, ...]
    approval_id: ApprovalId | None = None


class ResolveConflict(Command[Workspace], frozen=True, kw_only=True):
    """Record how the conflict was resolved, with the new heads of the repositories concerned."""

    emits = (events.ConflictResolved,)
    resolution: str
    heads: tuple[RepositoryCommit, ...] = ()


class AbandonMerge(Command[Workspace], frozen=True, kw_only=True):
    """Abandon the merge."""

    emits = (events.MergeAbandoned,)
    reason: str = ""


class KeepWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Keep the worktrees of a task that is over until a human removes them."""

    emits = (events.WorkspaceKept,)
    reason: str


class RemoveWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Remove the worktrees for good. `dirty` means that they have uncommitted or untracked changes."""

    emits = (events.WorkspaceRemoved,)
    dirty: bool
    reason: str = ""


class RecordWorkspaceRefusal(Command[Workspace], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.WorkspaceCommandRefused,)
    refusal: CommandRefusal
