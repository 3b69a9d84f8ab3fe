"""Workspace: the worktrees for one task, one per repository, on one branch, on one worker.

    requested ──prepared──► ready ──acquired──► in_use ──released──► ready
        │                     │
        │                     └──merge started──► merging ──merged, abandoned──► ready
        │                                            └──conflicted──► conflicted ──resolved, abandoned──► ready
        └──preparation failed──► failed

    ready, failed ──recreation──► requested
    requested, ready, failed ──removed──► removed

Either all repositories are prepared or none. Only one execution uses a workspace at a time. **Anything that could
destroy work** (removing, recreating, restoring an older state) is refused while there is unsaved work; see
`Workspace.unsaved`. A recreated workspace returns to its old path, because agents key their sessions by directory.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table, given, sets, status_only
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId, WorkerId, WorkspaceId
from aura_contracts.plain_data import Plain


class WorkspaceStatus(StrEnum):
    REQUESTED = "requested"
    """Waiting to be prepared, for the first time or again."""
    READY = "ready"
    IN_USE = "in_use"
    MERGING = "merging"
    CONFLICTED = "conflicted"
    """A merge met a conflict that a human must resolve."""
    FAILED = "failed"
    """Preparation failed; any leftovers are listed."""
    REMOVED = "removed"


class MergeStyle(StrEnum):
    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class SnapshotReason(StrEnum):
    """The operation that a snapshot was taken before, or an explicit request."""

    RESET = "reset"
    CLEAN = "clean"
    REMOVE = "remove"
    MERGE = "merge"
    RETRY = "retry"
    RESTORE = "restore"
    REQUESTED = "requested"


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A repository in a workspace. `name` is the name of its folder there."""

    name: str
    path: str
    """The repository's path on the worker."""
    target_branch: str
    """The branch to merge the work into."""
    base: str = ""
    """The revision to start from; empty for the tip of the target branch."""


class Worktree(msgspec.Struct, frozen=True, gc=False):
    """One repository's worktree in a prepared workspace. Commits are full object names."""

    repository: str
    path: str
    base_commit: str
    head: str


class RepositoryCommit(msgspec.Struct, Plain, frozen=True, gc=False):
    """A commit in one of the repositories."""

    repository: str
    commit: str


class ConflictedFiles(msgspec.Struct, frozen=True, gc=False):
    """The conflicting files of one repository, relative to its root."""

    repository: str
    paths: tuple[str, ...]


class SafetyCopy(msgspec.Struct, frozen=True, gc=False):
    """A snapshot: tracked and untracked files, kept under the hidden `ref` in every repository."""

    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]
    taken_at: datetime
    restored_at: datetime | None = None


class Merge(msgspec.Struct, frozen=True, gc=False):
    """A successful merge, with the commits it made on the target branches."""

    style: MergeStyle
    commits: tuple[RepositoryCommit, ...]
    merged_at: datetime


class WorkspaceLayout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The worktrees that a task needs, and their place."""

    task_id: TaskId
    title: str
    slug: str
    """The title in a form that is valid in folder and branch names."""
    branch: str
    """The branch for the work, the same in every repository."""
    repositories: tuple[Repository, ...]
    copy_globs: tuple[str, ...] = ()
    """Untracked files to copy into a new worktree, as patterns relative to a repository's root."""
    root: str = ""
    """The folder that holds the worktrees; empty until the worker chooses it, and never changed afterwards."""
    in_place: bool = False
    """Work directly in the repositories, or in the folder `root`: no worktree, no branch, no merge."""


# --- Names ------------------------------------------------------------------------------------------------------------

WORKSPACE_SLUG_LIMIT = 60
"""The most characters in a slug: it leaves room for branch and folder names on every file system."""

_SHORT_ID = 8
"""Hexadecimal digits, the last of a UUIDv7: these are random, the first 12 are the time (RFC 9562, section 5.7)."""


def workspace_slug(title: str) -> str:
    """Return `title` as a slug: lower-case ASCII letters and digits, with single hyphens between words.

    Accents are stripped; characters without such a spelling (other scripts, emoji) are dropped, and an empty result
    becomes ``work``. Cut to `WORKSPACE_SLUG_LIMIT`, between words if possible.
    """
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode("ascii")
    slug = "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
    if len(slug) > WORKSPACE_SLUG_LIMIT:
        whole_words = slug[: WORKSPACE_SLUG_LIMIT + 1].rpartition("-")[0]
        slug = whole_words or slug[:WORKSPACE_SLUG_LIMIT]
    return slug or "work"


def workspace_folder(workspace_id: WorkspaceId, slug: str) -> str:
    """Return the name of the workspace's folder: ``<short id>-<slug>``."""
    return f"{workspace_id.replace('-', '')[-_SHORT_ID:]}-{slug}"


def workspace_branch(workspace_id: WorkspaceId, slug: str) -> str:
    """Return the name of the workspace's branch: ``aura/<short id>-<slug>``."""
    return f"aura/{workspace_folder(workspace_id, slug)}"


# --- Events -----------------------------------------------------------------------------------------------------------


class WorkspaceRequested(Event, frozen=True, kw_only=True):
    """Worktrees for a task were requested."""

    topic = "workspace.requested"
    workspace_id: WorkspaceId
    layout: WorkspaceLayout

    @property
    def task_id(self) -> TaskId:
        """The task of the workspace."""
        return self.layout.task_id


class WorkspacePrepared(Event, frozen=True, kw_only=True):
    """All worktrees exist, at their paths, on the workspace's branch."""

    topic = "workspace.prepared"
    worker_id: WorkerId
    root: str
    worktrees: tuple[Worktree, ...]


class PreparationFailed(Event, frozen=True, kw_only=True):
    """Not all worktrees could be created; those that had been were removed, except any listed as left behind."""

    topic = "workspace.preparation_failed"
    failure: Failure
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()


class WorkspaceAcquired(Event, frozen=True, kw_only=True):
    """An execution acquired the workspace for itself."""

    topic = "workspace.acquired"
    execution_id: ExecutionId


class WorkspaceReleased(Event, frozen=True, kw_only=True):
    """The execution released the workspace."""

    topic = "workspace.released"
    execution_id: ExecutionId


class SnapshotTaken(Event, frozen=True, kw_only=True):
    """Tracked and untracked files of all worktrees were saved to a hidden ref."""

    topic = "workspace.snapshot_taken"
    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]


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
    """The branch was merged into the target branches."""

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


class WorkspaceRemoved(Event, frozen=True, kw_only=True):
    """The workspace was removed for good: its worktrees go, its branch and snapshots stay."""

    topic = "workspace.removed"
    reason: str = ""


# --- State ------------------------------------------------------------------------------------------------------------


class Workspace(WorkspaceLayout, State, frozen=True, kw_only=True):
    """The state of a workspace. Paths are those of its worker."""

    id: WorkspaceId
    status: WorkspaceStatus
    requested_at: datetime
    worker_id: WorkerId | None = None
    worktrees: tuple[Worktree, ...] = ()
    holder: ExecutionId | None = None
    """The execution that uses the workspace."""
    unsaved: bool = False
    """Whether there may be work in neither a commit nor a snapshot.

    Set by anyone who may write (an execution, a human resolving a conflict). Cleared when no one may write and
    everything is in a snapshot, a merge, or a commit that left nothing behind.
    """
    snapshots: tuple[SafetyCopy, ...] = ()
    merges: tuple[Merge, ...] = ()
    merge_style: MergeStyle | None = None
    """The style of the merge that is in progress or in conflict."""
    conflicts: tuple[ConflictedFiles, ...] = ()
    approval_id: ApprovalId | None = None
    """The approval that asks a human to resolve the conflict."""
    failure: Failure | None = None
    left_behind: tuple[str, ...] = ()
    """What a failed preparation created and could not remove."""


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Request worktrees for a task. `root` restores a workspace to the place of an earlier one."""

    emits = (WorkspaceRequested,)
    workspace_id: WorkspaceId
    layout: WorkspaceLayout


class RecordPreparation(Command[Workspace], frozen=True, kw_only=True):
    """Record that all worktrees exist."""

    emits = (WorkspacePrepared,)
    worker_id: WorkerId
    root: str
    worktrees: tuple[Worktree, ...]


class RecordPreparationFailure(Command[Workspace], frozen=True, kw_only=True):
    """Record that not all worktrees could be created, and what happened to the others."""

    emits = (PreparationFailed,)
    failure: Failure
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()


class AcquireWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Acquire the workspace for an execution.

    `replacing` names a holder that is known to be over because its worker was lost; without it, a workspace in use is
    not given away.
    """

    emits = (WorkspaceReleased, WorkspaceAcquired)
    execution_id: ExecutionId
    replacing: ExecutionId | None = None


class ReleaseWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Release the workspace."""

    emits = (WorkspaceReleased,)
    execution_id: ExecutionId


class RecordSnapshot(Command[Workspace], frozen=True, kw_only=True):
    """Record a snapshot of all worktrees; where nothing had changed, `commits` names the head."""

    emits = (SnapshotTaken,)
    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]


class RestoreSnapshot(Command[Workspace], frozen=True, kw_only=True):
    """Restore the worktrees from a snapshot. `dirty` means that they have uncommitted or untracked changes."""

    emits = (SnapshotRestored,)
    ref: str
    dirty: bool


class RecreateWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Recreate the worktrees at their paths. `dirty` means that they have uncommitted or untracked changes."""

    emits = (RecreationRequested,)
    reason: str
    dirty: bool


class RecordCommit(Command[Workspace], frozen=True, kw_only=True):
    """Record the new heads of the repositories in which work was committed."""

    emits = (WorkCommitted,)
    heads: tuple[RepositoryCommit, ...]
    clean: bool = False


class StartMerge(Command[Workspace], frozen=True, kw_only=True):
    """Merge the branch. `dirty` means that a worktree or target has uncommitted changes or an operation in progress."""

    emits = (MergeStarted,)
    style: MergeStyle
    dirty: bool


class RecordMerge(Command[Workspace], frozen=True, kw_only=True):
    """Record the commits that the merge made; unchanged repositories are left out."""

    emits = (WorkMerged,)
    commits: tuple[RepositoryCommit, ...]


class RecordConflict(Command[Workspace], frozen=True, kw_only=True):
    """Record the conflicting files, and the approval that asks a human about them."""

    emits = (MergeConflicted,)
    files: tuple[ConflictedFiles, ...]
    approval_id: ApprovalId | None = None


class ResolveConflict(Command[Workspace], frozen=True, kw_only=True):
    """Record how the conflict was resolved, with the new heads of the repositories concerned."""

    emits = (ConflictResolved,)
    resolution: str
    heads: tuple[RepositoryCommit, ...] = ()


class AbandonMerge(Command[Workspace], frozen=True, kw_only=True):
    """Abandon the merge."""

    emits = (MergeAbandoned,)
    reason: str = ""


class RemoveWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Remove the worktrees for good. `dirty` means that they have uncommitted or untracked changes."""

    emits = (WorkspaceRemoved,)
    dirty: bool
    reason: str = ""


# --- Table ------------------------------------------------------------------------------------------------------------

_S = WorkspaceStatus

_TABLE: Table = MappingProxyType(
    {
        None: {WorkspaceRequested: _S.REQUESTED},
        _S.REQUESTED: {
            WorkspacePrepared: _S.READY,
            PreparationFailed: _S.FAILED,
            WorkspaceRemoved: _S.REMOVED,
        },
        _S.READY: {
            WorkspaceAcquired: _S.IN_USE,
            SnapshotTaken: _S.READY,
            SnapshotRestored: _S.READY,
            WorkCommitted: _S.READY,
            MergeStarted: _S.MERGING,
            RecreationRequested: _S.REQUESTED,
            WorkspaceRemoved: _S.REMOVED,
        },
        _S.IN_USE: {
            SnapshotTaken: _S.IN_USE,
            WorkCommitted: _S.IN_USE,
            WorkspaceReleased: _S.READY,
        },
        _S.MERGING: {
            WorkMerged: _S.READY,
            MergeConflicted: _S.CONFLICTED,
            MergeAbandoned: _S.READY,
        },
        _S.CONFLICTED: {
            SnapshotTaken: _S.CONFLICTED,
            ConflictResolved: _S.READY,
            MergeAbandoned: _S.READY,
        },
        _S.FAILED: {
            RecreationRequested: _S.REQUESTED,
            WorkspaceRemoved: _S.REMOVED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _with_heads(worktrees: tuple[Worktree, ...], heads: tuple[RepositoryCommit, ...]) -> tuple[Worktree, ...]:
    """Return `worktrees` with their new heads; those missing from `heads` keep theirs."""
    new = {head.repository: head.commit for head in heads}
    return tuple(replace(tree, head=new.get(tree.repository, tree.head)) for tree in worktrees)


def _requested(_: None, event: WorkspaceRequested, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return Workspace(
        id=event.workspace_id,
        status=status,
        requested_at=fact.time,
        **asdict(event.layout),
    )


def _snapshot(state: Workspace, event: SnapshotTaken, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    copy = SafetyCopy(ref=event.ref, reason=event.reason, commits=event.commits, taken_at=fact.time)
    unsaved = state.unsaved and status is not WorkspaceStatus.READY  # in other statuses someone may still write
    return replace(state, status=status, snapshots=(*state.snapshots, copy), unsaved=unsaved)


def _restored(state: Workspace, event: SnapshotRestored, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    snapshots = tuple(
        replace(copy, restored_at=fact.time) if copy.ref == event.ref else copy for copy in state.snapshots
    )
    return replace(state, status=status, snapshots=snapshots, unsaved=False)


def _committed(state: Workspace, event: WorkCommitted, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    saved = event.clean and status is WorkspaceStatus.READY
    worktrees = _with_heads(state.worktrees, event.heads)
    return replace(state, status=status, worktrees=worktrees, unsaved=state.unsaved and not saved)


def _merged(state: Workspace, event: WorkMerged, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    assert state.merge_style is not None, "a merge was started without a style"
    merge = Merge(style=state.merge_style, commits=event.commits, merged_at=fact.time)
    return replace(state, status=status, merges=(*state.merges, merge), merge_style=None, unsaved=False)


def _resolved(state: Workspace, event: ConflictResolved, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    worktrees = _with_heads(state.worktrees, event.heads)
    return replace(state, status=status, worktrees=worktrees, merge_style=None, conflicts=(), approval_id=None)


_EVOLVERS: Mapping[type[Event], Evolve[Workspace]] = MappingProxyType(
    {
        WorkspaceRequested: _requested,
        WorkspacePrepared: sets("worker_id", "root", "worktrees", failure=None, left_behind=()),
        PreparationFailed: sets("failure", "left_behind"),
        WorkspaceAcquired: sets(holder=given("execution_id"), unsaved=True),
        WorkspaceReleased: sets(holder=None),
        SnapshotTaken: _snapshot,
        SnapshotRestored: _restored,
        RecreationRequested: sets(unsaved=False),
        WorkCommitted: _committed,
        MergeStarted: sets(merge_style=given("style")),
        WorkMerged: _merged,
        MergeConflicted: sets("approval_id", conflicts=given("files"), unsaved=True),
        ConflictResolved: _resolved,
        MergeAbandoned: sets(merge_style=None, conflicts=(), approval_id=None),
        WorkspaceRemoved: status_only,
    }
)

WORKSPACE = Aggregate(
    name="workspace",
    state=Workspace,
    statuses=WorkspaceStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
