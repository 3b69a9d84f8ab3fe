"""Workspace: the worktrees that one task is worked on in, one per repository, on one branch, on one worker.

    requested ──prepared──► ready ──acquired──► in_use ──released──► ready
        │                     │
        │                     └──merge started──► merging ──merged, abandoned──► ready
        │                                            └──conflicted──► conflicted ──resolved, abandoned──► ready
        └──preparation failed──► failed

    ready, failed ──recreation──► requested
    requested, ready, failed ──removed──► removed

All repositories are prepared, or none. One execution at a time uses a workspace. **What could destroy work** (removing,
recreating, restoring an older state) is refused while there is work that nothing has saved; see `Workspace.unsaved`.
A recreated workspace comes back at the path it had, because agents key their sessions by directory.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table, status_only
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId, WorkerId, WorkspaceId


class WorkspaceStatus(StrEnum):
    REQUESTED = "requested"
    """To be prepared, for the first time or again."""
    READY = "ready"
    IN_USE = "in_use"
    MERGING = "merging"
    CONFLICTED = "conflicted"
    """A merge met a conflict, which is a human's to resolve."""
    FAILED = "failed"
    """Could not be prepared; nothing was left behind, or it is named."""
    REMOVED = "removed"


class MergeStyle(StrEnum):
    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class SnapshotReason(StrEnum):
    """What a snapshot was taken before, or that somebody asked for one."""

    RESET = "reset"
    CLEAN = "clean"
    REMOVE = "remove"
    MERGE = "merge"
    RETRY = "retry"
    RESTORE = "restore"
    REQUESTED = "requested"


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A repository that a workspace is made of. `name` is that of its folder in the workspace."""

    name: str
    path: str
    """Where the repository is on the worker."""
    target_branch: str
    """What the work is merged into."""
    base: str = ""
    """The revision that the work starts from; empty for the tip of the target branch."""


class Worktree(msgspec.Struct, frozen=True, gc=False):
    """A repository's part of a prepared workspace. Commits are full object names."""

    repository: str
    path: str
    base_commit: str
    head: str


class RepositoryCommit(msgspec.Struct, frozen=True, gc=False):
    """A commit in one of the repositories."""

    repository: str
    commit: str


class ConflictedFiles(msgspec.Struct, frozen=True, gc=False):
    """The files of one repository that could not be merged, relative to its root."""

    repository: str
    paths: tuple[str, ...]


class SafetyCopy(msgspec.Struct, frozen=True, gc=False):
    """A snapshot: tracked and untracked state, kept under the hidden `ref` in every repository."""

    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]
    taken_at: datetime
    restored_at: datetime | None = None


class Merge(msgspec.Struct, frozen=True, gc=False):
    """A merge that succeeded: the commits it made on the target branches."""

    style: MergeStyle
    commits: tuple[RepositoryCommit, ...]
    merged_at: datetime


class WorkspaceLayout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which worktrees a task needs, and where."""

    task_id: TaskId
    title: str
    slug: str
    """The title as a folder and branch name can hold it."""
    branch: str
    """The branch of the work, the same in every repository."""
    repositories: tuple[Repository, ...]
    copy_globs: tuple[str, ...] = ()
    """Untracked files that are copied into a new worktree, as patterns relative to a repository's root."""
    root: str = ""
    """The folder that holds the worktrees; empty until the worker has chosen one, and never another."""
    in_place: bool = False
    """The work is done where the repositories are, or in the folder `root`: no worktree, no branch, no merge."""


# --- Names ------------------------------------------------------------------------------------------------------------

WORKSPACE_SLUG_LIMIT = 60
"""Characters in a slug, at most: room for a branch and a folder name on every file system."""

_SHORT_ID = 8
"""Hexadecimal digits: of a UUIDv7 the last ones are random (RFC 9562, section 5.7), the first 12 are the time."""


def workspace_slug(title: str) -> str:
    """Return `title` as folders and branches can hold it: small letters and digits, single hyphens between them.

    Letters with marks lose these; what has no such spelling (other scripts, emoji) is left out, and where nothing
    remains the slug is ``work``. Cut to `WORKSPACE_SLUG_LIMIT`, between words where it can be.
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
    """Worktrees were asked for, to work on a task in."""

    topic = "workspace.requested"
    workspace_id: WorkspaceId
    layout: WorkspaceLayout

    @property
    def task_id(self) -> TaskId:
        """The task that is worked on in it."""
        return self.layout.task_id


class WorkspacePrepared(Event, frozen=True, kw_only=True):
    """All worktrees were there, at their paths, on the workspace's branch."""

    topic = "workspace.prepared"
    worker_id: WorkerId
    root: str
    worktrees: tuple[Worktree, ...]


class PreparationFailed(Event, frozen=True, kw_only=True):
    """The worktrees could not all be made; those that had been were removed, except what is named as left behind."""

    topic = "workspace.preparation_failed"
    failure: Failure
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()


class WorkspaceAcquired(Event, frozen=True, kw_only=True):
    """An execution took the workspace for itself."""

    topic = "workspace.acquired"
    execution_id: ExecutionId


class WorkspaceReleased(Event, frozen=True, kw_only=True):
    """The execution was done with the workspace."""

    topic = "workspace.released"
    execution_id: ExecutionId


class SnapshotTaken(Event, frozen=True, kw_only=True):
    """The state of all worktrees, tracked and untracked, was written to a hidden ref."""

    topic = "workspace.snapshot_taken"
    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]


class SnapshotRestored(Event, frozen=True, kw_only=True):
    """The worktrees were put back to a snapshot."""

    topic = "workspace.snapshot_restored"
    ref: str


class RecreationRequested(Event, frozen=True, kw_only=True):
    """The worktrees were given up, to be made again from their branch at the paths they had."""

    topic = "workspace.recreation_requested"
    reason: str


class WorkCommitted(Event, frozen=True, kw_only=True):
    """Work was committed on the branch. `clean` says that nothing uncommitted was left in any worktree."""

    topic = "workspace.work_committed"
    heads: tuple[RepositoryCommit, ...]
    clean: bool = False


class MergeStarted(Event, frozen=True, kw_only=True):
    """The branch was to be merged into the target branches."""

    topic = "workspace.merge_started"
    style: MergeStyle


class WorkMerged(Event, frozen=True, kw_only=True):
    """The branch was merged into the target branches."""

    topic = "workspace.merged"
    commits: tuple[RepositoryCommit, ...]


class MergeConflicted(Event, frozen=True, kw_only=True):
    """The merge met conflicts; no target branch was changed, and a human is asked."""

    topic = "workspace.merge_conflicted"
    files: tuple[ConflictedFiles, ...]
    approval_id: ApprovalId | None = None


class ConflictResolved(Event, frozen=True, kw_only=True):
    """A human resolved the conflict on the branch; what is merged next has to be approved anew."""

    topic = "workspace.conflict_resolved"
    resolution: str
    heads: tuple[RepositoryCommit, ...] = ()


class MergeAbandoned(Event, frozen=True, kw_only=True):
    """The merge was given up; no target branch was changed."""

    topic = "workspace.merge_abandoned"
    reason: str = ""


class WorkspaceRemoved(Event, frozen=True, kw_only=True):
    """The workspace was given up for good: its worktrees go, its branch and its snapshots stay."""

    topic = "workspace.removed"
    reason: str = ""


# --- State ------------------------------------------------------------------------------------------------------------


class Workspace(WorkspaceLayout, State, frozen=True, kw_only=True):
    """What a workspace is at some moment. Paths are those of its worker."""

    id: WorkspaceId
    status: WorkspaceStatus
    requested_at: datetime
    worker_id: WorkerId | None = None
    worktrees: tuple[Worktree, ...] = ()
    holder: ExecutionId | None = None
    """The execution that uses the workspace."""
    unsaved: bool = False
    """There may be work that neither a commit nor a snapshot holds.

    Set by whoever may write (an execution, a human resolving a conflict); cleared when nobody does and a snapshot, a
    commit that left nothing behind, or a merge has everything.
    """
    snapshots: tuple[SafetyCopy, ...] = ()
    merges: tuple[Merge, ...] = ()
    merge_style: MergeStyle | None = None
    """How the merge that is under way, or in conflict, is made."""
    conflicts: tuple[ConflictedFiles, ...] = ()
    approval_id: ApprovalId | None = None
    """The approval through which a human resolves the conflict."""
    failure: Failure | None = None
    left_behind: tuple[str, ...] = ()
    """What a failed preparation made and could not remove."""


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Ask for worktrees to work on a task in. `root` brings a workspace back where an earlier one was."""

    emits = (WorkspaceRequested,)
    workspace_id: WorkspaceId
    layout: WorkspaceLayout


class RecordPreparation(Command[Workspace], frozen=True, kw_only=True):
    """Record that all worktrees are there."""

    emits = (WorkspacePrepared,)
    worker_id: WorkerId
    root: str
    worktrees: tuple[Worktree, ...]


class RecordPreparationFailure(Command[Workspace], frozen=True, kw_only=True):
    """Record that the worktrees could not all be made, and what became of those that had been."""

    emits = (PreparationFailed,)
    failure: Failure
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()


class AcquireWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Take the workspace for an execution.

    `replacing` names a holder that is known to be over, because its worker was lost; without it a workspace that is in
    use is not given away.
    """

    emits = (WorkspaceReleased, WorkspaceAcquired)
    execution_id: ExecutionId
    replacing: ExecutionId | None = None


class ReleaseWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Give the workspace back."""

    emits = (WorkspaceReleased,)
    execution_id: ExecutionId


class RecordSnapshot(Command[Workspace], frozen=True, kw_only=True):
    """Record a snapshot of all worktrees; for one without changes, `commits` names its head."""

    emits = (SnapshotTaken,)
    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]


class RestoreSnapshot(Command[Workspace], frozen=True, kw_only=True):
    """Put the worktrees back to a snapshot. `dirty`: they hold uncommitted or untracked changes now."""

    emits = (SnapshotRestored,)
    ref: str
    dirty: bool


class RecreateWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Have the worktrees made again at their paths. `dirty`: they hold uncommitted or untracked changes now."""

    emits = (RecreationRequested,)
    reason: str
    dirty: bool


class RecordCommit(Command[Workspace], frozen=True, kw_only=True):
    """Record the new heads of the repositories in which work was committed."""

    emits = (WorkCommitted,)
    heads: tuple[RepositoryCommit, ...]
    clean: bool = False


class StartMerge(Command[Workspace], frozen=True, kw_only=True):
    """Merge the branch. `dirty`: a worktree or a target has uncommitted changes or an operation in progress."""

    emits = (MergeStarted,)
    style: MergeStyle
    dirty: bool


class RecordMerge(Command[Workspace], frozen=True, kw_only=True):
    """Record the commits that the merge made; repositories without changes are left out."""

    emits = (WorkMerged,)
    commits: tuple[RepositoryCommit, ...]


class RecordConflict(Command[Workspace], frozen=True, kw_only=True):
    """Record the files that could not be merged, and the approval through which a human is asked."""

    emits = (MergeConflicted,)
    files: tuple[ConflictedFiles, ...]
    approval_id: ApprovalId | None = None


class ResolveConflict(Command[Workspace], frozen=True, kw_only=True):
    """Say how the conflict was resolved, with the heads of the repositories in which that was committed."""

    emits = (ConflictResolved,)
    resolution: str
    heads: tuple[RepositoryCommit, ...] = ()


class AbandonMerge(Command[Workspace], frozen=True, kw_only=True):
    """Give the merge up."""

    emits = (MergeAbandoned,)
    reason: str = ""


class RemoveWorkspace(Command[Workspace], frozen=True, kw_only=True):
    """Remove the worktrees for good. `dirty`: they hold uncommitted or untracked changes now."""

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
    """Return `worktrees` with the new heads; those that `heads` does not name keep theirs."""
    new = {head.repository: head.commit for head in heads}
    return tuple(replace(tree, head=new.get(tree.repository, tree.head)) for tree in worktrees)


def _requested(_: None, event: WorkspaceRequested, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return Workspace(
        id=event.workspace_id,
        status=status,
        requested_at=fact.time,
        **asdict(event.layout),
    )


def _prepared(state: Workspace, event: WorkspacePrepared, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(
        state,
        status=status,
        worker_id=event.worker_id,
        root=event.root,
        worktrees=event.worktrees,
        failure=None,
        left_behind=(),
    )


def _failed(state: Workspace, event: PreparationFailed, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, failure=event.failure, left_behind=event.left_behind)


def _acquired(state: Workspace, event: WorkspaceAcquired, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, holder=event.execution_id, unsaved=True)


def _released(state: Workspace, event: WorkspaceReleased, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, holder=None)


def _snapshot(state: Workspace, event: SnapshotTaken, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    copy = SafetyCopy(ref=event.ref, reason=event.reason, commits=event.commits, taken_at=fact.time)
    unsaved = state.unsaved and status is not WorkspaceStatus.READY  # elsewhere somebody goes on writing
    return replace(state, status=status, snapshots=(*state.snapshots, copy), unsaved=unsaved)


def _restored(state: Workspace, event: SnapshotRestored, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    snapshots = tuple(
        replace(copy, restored_at=fact.time) if copy.ref == event.ref else copy for copy in state.snapshots
    )
    return replace(state, status=status, snapshots=snapshots, unsaved=False)


def _recreation(state: Workspace, event: RecreationRequested, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, unsaved=False)


def _committed(state: Workspace, event: WorkCommitted, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    saved = event.clean and status is WorkspaceStatus.READY
    worktrees = _with_heads(state.worktrees, event.heads)
    return replace(state, status=status, worktrees=worktrees, unsaved=state.unsaved and not saved)


def _merge_started(state: Workspace, event: MergeStarted, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, merge_style=event.style)


def _merged(state: Workspace, event: WorkMerged, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    assert state.merge_style is not None, "a merge was started in some style"
    merge = Merge(style=state.merge_style, commits=event.commits, merged_at=fact.time)
    return replace(state, status=status, merges=(*state.merges, merge), merge_style=None, unsaved=False)


def _conflicted(state: Workspace, event: MergeConflicted, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, conflicts=event.files, approval_id=event.approval_id, unsaved=True)


def _resolved(state: Workspace, event: ConflictResolved, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    worktrees = _with_heads(state.worktrees, event.heads)
    return replace(state, status=status, worktrees=worktrees, merge_style=None, conflicts=(), approval_id=None)


def _abandoned(state: Workspace, event: MergeAbandoned, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return replace(state, status=status, merge_style=None, conflicts=(), approval_id=None)


_EVOLVERS: Mapping[type[Event], Evolve[Workspace]] = MappingProxyType(
    {
        WorkspaceRequested: _requested,
        WorkspacePrepared: _prepared,
        PreparationFailed: _failed,
        WorkspaceAcquired: _acquired,
        WorkspaceReleased: _released,
        SnapshotTaken: _snapshot,
        SnapshotRestored: _restored,
        RecreationRequested: _recreation,
        WorkCommitted: _committed,
        MergeStarted: _merge_started,
        WorkMerged: _merged,
        MergeConflicted: _conflicted,
        ConflictResolved: _resolved,
        MergeAbandoned: _abandoned,
        WorkspaceRemoved: status_only,
    }
)

WORKSPACE = Aggregate(
    name="workspace",
    state=Workspace,
    statuses=WorkspaceStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
    commands=(
        RequestWorkspace,
        RecordPreparation,
        RecordPreparationFailure,
        AcquireWorkspace,
        ReleaseWorkspace,
        RecordSnapshot,
        RestoreSnapshot,
        RecreateWorkspace,
        RecordCommit,
        StartMerge,
        RecordMerge,
        RecordConflict,
        ResolveConflict,
        AbandonMerge,
        RemoveWorkspace,
    ),
)
