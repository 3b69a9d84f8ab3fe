"""The events of workspaces: see `aura_contracts.workspace`."""

from aura_contracts.events import CommandRefusal, Event
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId, WorkspaceId
from aura_contracts.workspace.values import (
    ConflictedFiles,
    FailedPreparation,
    MergeStyle,
    PreparedPlace,
    RepositoryCommit,
    SnapshotFacts,
    WorkspaceLayout,
)


class WorkspaceRequested(Event, frozen=True, kw_only=True):
    """Worktrees for a task were requested."""

    topic = "workspace.requested"
    workspace_id: WorkspaceId
    layout: WorkspaceLayout

    @property
    def task_id(self) -> TaskId:
        """The task of the workspace."""
        return self.layout.task_id


class WorkspacePrepared(PreparedPlace, Event, frozen=True, kw_only=True):
    """All worktrees exist, at their paths, on the workspace's branch."""

    topic = "workspace.prepared"


class PreparationFailed(FailedPreparation, Event, frozen=True, kw_only=True):
    """Not all worktrees could be created; those that had been were removed, except any listed as left behind."""

    topic = "workspace.preparation_failed"


class WorkspaceAcquired(Event, frozen=True, kw_only=True):
    """An execution acquired the workspace for itself."""

    topic = "workspace.acquired"
    execution_id: ExecutionId


class WorkspaceReleased(Event, frozen=True, kw_only=True):
    """The execution released the workspace."""

    topic = "workspace.released"
    execution_id: ExecutionId


class SnapshotTaken(SnapshotFacts, Event, frozen=True, kw_only=True):
    """Tracked and untracked files of all worktrees were saved to a hidden ref."""

    topic = "workspace.snapshot_taken"


class SnapshotRestored(Event, frozen=True, kw_only=True):
    """The worktrees were restored from a snapshot."""

    topic = "workspace.snapshot_restored"
    ref: str


class RecreationRequested(Event, frozen=True, kw_only=True):
    """The worktrees were discarded, to be recreated from their branch at the same paths."""

    topic = "workspace.recreation_requested"
    reason: str


class WorkCommitted(Event, frozen=True, kw_only=True):
    """Work was committed on the branch. `clean` means that no worktree has uncommitted changes left."""

    topic = "workspace.work_committed"
    heads: tuple[RepositoryCommit, ...]
    clean: bool = False


class MergeStarted(Event, frozen=True, kw_only=True):
    """A merge of the branch into the target branches was started."""

    topic = "workspace.merge_started"
    style: MergeStyle


class WorkMerged(Event, frozen=True, kw_only=True):
    """The branch was merged into the target branches; of a merge that was not finished, into those named."""

    topic = "workspace.merged"
    commits: tuple[RepositoryCommit, ...]


class MergeConflicted(Event, frozen=True, kw_only=True):
    """The merge met conflicts; no target branch was changed, and a human was asked."""

    topic = "workspace.merge_conflicted"
    files: tuple[ConflictedFiles, ...]
    approval_id: ApprovalId | None = None


class ConflictResolved(Event, frozen=True, kw_only=True):
    """A human resolved the conflict on the branch; the next merge needs a new approval."""

    topic = "workspace.conflict_resolved"
    resolution: str
    heads: tuple[RepositoryCommit, ...] = ()


class MergeAbandoned(Event, frozen=True, kw_only=True):
    """The merge was abandoned; no target branch was changed."""

    topic = "workspace.merge_abandoned"
    reason: str = ""


class WorkspaceKept(Event, frozen=True, kw_only=True):
    """The worktrees were not removed, although the task is over: they hold something that nothing else does."""

    topic = "workspace.kept"
    reason: str


class WorkspaceRemoved(Event, frozen=True, kw_only=True):
    """The workspace was removed for good: its worktrees go, its branch and snapshots stay."""

    topic = "workspace.removed"
    reason: str = ""


class WorkspaceCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "workspace.command_refused"
    refusal: CommandRefusal
