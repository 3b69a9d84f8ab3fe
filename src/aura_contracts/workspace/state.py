"""The state of workspaces, its transition table and its evolvers: see `aura_contracts.workspace`."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.aggregate import (
    Aggregate,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.events import Event
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, ExecutionId, WorkerId, WorkspaceId
from aura_contracts.workspace import event_types as events
from aura_contracts.workspace.values import (
    ConflictedFiles,
    Merge,
    MergeStyle,
    RepositoryCommit,
    SafetyCopy,
    WorkspaceLayout,
    WorkspaceStatus,
    Worktree,
    working_directory,
)


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
    kept: str = ""
    """Why the worktrees were not removed when the task was over; empty if nothing prevented it."""

    @property
    def directory(self) -> str:
        """The folder that scripts and agents are started in."""
        return working_directory(self.root, self.worktrees, self.subfolder)

    @property
    def places(self) -> tuple[str, ...]:
        """The folders of the user that the work is about: the repositories, or the subfolder of the only one."""
        folders = [each.path for each in self.repositories] or [self.root]
        places = (f"{folder}/{self.subfolder}".rstrip("/") for folder in folders)
        return tuple(place for place in places if place)


# --- Table ------------------------------------------------------------------------------------------------------------


_S = WorkspaceStatus

_TABLE: Table = MappingProxyType(
    {
        None: {events.WorkspaceRequested: _S.REQUESTED},
        _S.REQUESTED: {
            events.WorkspacePrepared: _S.READY,
            events.PreparationFailed: _S.FAILED,
            events.WorkspaceRemoved: _S.REMOVED,
        },
        _S.READY: {
            events.WorkspaceAcquired: _S.IN_USE,
            events.SnapshotTaken: _S.READY,
            events.SnapshotRestored: _S.READY,
            events.WorkCommitted: _S.READY,
            events.MergeStarted: _S.MERGING,
            events.RecreationRequested: _S.REQUESTED,
            events.WorkspaceKept: _S.READY,
            events.WorkspaceRemoved: _S.REMOVED,
        },
        _S.IN_USE: {
            events.SnapshotTaken: _S.IN_USE,
            events.WorkCommitted: _S.IN_USE,
            events.WorkspaceReleased: _S.READY,
        },
        _S.MERGING: {
            events.WorkMerged: _S.READY,
            events.MergeConflicted: _S.CONFLICTED,
            events.MergeAbandoned: _S.READY,
        },
        _S.CONFLICTED: {
            events.SnapshotTaken: _S.CONFLICTED,
            events.WorkMerged: _S.READY,
            events.ConflictResolved: _S.READY,
            events.MergeAbandoned: _S.READY,
        },
        _S.REMOVED: {
            events.RecreationRequested: _S.REQUESTED,
        },
        _S.FAILED: {
            events.RecreationRequested: _S.REQUESTED,
            events.WorkspaceRemoved: _S.REMOVED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _with_heads(worktrees: tuple[Worktree, ...], heads: tuple[RepositoryCommit, ...]) -> tuple[Worktree, ...]:
    """Return `worktrees` with their new heads; those missing from `heads` keep theirs."""
    new = {head.repository: head.commit for head in heads}
    return tuple(replace(tree, head=new.get(tree.repository, tree.head)) for tree in worktrees)


def _requested(_: None, event: events.WorkspaceRequested, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    return Workspace(
        id=event.workspace_id,
        status=status,
        requested_at=fact.time,
        **asdict(event.layout),
    )


def _snapshot(state: Workspace, event: events.SnapshotTaken, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    copy = SafetyCopy(
        ref=event.ref, reason=event.reason, commits=event.commits, left_out=event.left_out, taken_at=fact.time
    )
    unsaved = state.unsaved and status is not WorkspaceStatus.READY  # in other statuses someone may still write
    return replace(state, status=status, snapshots=(*state.snapshots, copy), unsaved=unsaved)


def _restored(
    state: Workspace, event: events.SnapshotRestored, fact: HappenedFact, status: WorkspaceStatus
) -> Workspace:
    snapshots = tuple(
        replace(copy, restored_at=fact.time) if copy.ref == event.ref else copy for copy in state.snapshots
    )
    return replace(state, status=status, snapshots=snapshots, unsaved=False)


def _recreated(
    state: Workspace, event: events.RecreationRequested, fact: HappenedFact, status: WorkspaceStatus
) -> Workspace:
    """Worktrees that were removed begin again, from the target as it is by then, at the same place."""
    worktrees = () if state.status is WorkspaceStatus.REMOVED else state.worktrees
    return replace(state, status=status, unsaved=False, worktrees=worktrees)


def _committed(state: Workspace, event: events.WorkCommitted, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    saved = event.clean and status is WorkspaceStatus.READY
    worktrees = _with_heads(state.worktrees, event.heads)
    return replace(state, status=status, worktrees=worktrees, unsaved=state.unsaved and not saved)


def _merged(state: Workspace, event: events.WorkMerged, fact: HappenedFact, status: WorkspaceStatus) -> Workspace:
    assert state.merge_style is not None, "a merge was started without a style"
    merge = Merge(style=state.merge_style, commits=event.commits, merged_at=fact.time)
    ended = replace(state, status=status, merge_style=None, conflicts=(), approval_id=None)
    return replace(ended, merges=(*state.merges, merge), unsaved=False)


def _resolved(
    state: Workspace, event: events.ConflictResolved, fact: HappenedFact, status: WorkspaceStatus
) -> Workspace:
    worktrees = _with_heads(state.worktrees, event.heads)
    return replace(state, status=status, worktrees=worktrees, merge_style=None, conflicts=(), approval_id=None)


_EVOLVERS: Mapping[type[Event], Evolve[Workspace]] = MappingProxyType(
    {
        events.WorkspaceRequested: _requested,
        events.WorkspacePrepared: sets("worker_id", "root", "worktrees", failure=None, left_behind=()),
        events.PreparationFailed: sets("failure", "left_behind"),
        events.WorkspaceAcquired: sets(holder=given("execution_id"), unsaved=True, kept=""),
        events.WorkspaceReleased: sets(holder=None),
        events.SnapshotTaken: _snapshot,
        events.SnapshotRestored: _restored,
        events.RecreationRequested: _recreated,
        events.WorkCommitted: _committed,
        events.MergeStarted: sets(merge_style=given("style")),
        events.WorkMerged: _merged,
        events.MergeConflicted: sets("approval_id", conflicts=given("files"), unsaved=True),
        events.ConflictResolved: _resolved,
        events.MergeAbandoned: sets(merge_style=None, conflicts=(), approval_id=None),
        events.WorkspaceKept: sets(kept=given("reason")),
        events.WorkspaceRemoved: status_only,
        events.WorkspaceCommandRefused: status_only,
    }
)

WORKSPACE = Aggregate(
    name="workspace",
    state=Workspace,
    statuses=WorkspaceStatus,
    table=in_every_status(_TABLE, events.WorkspaceCommandRefused, WorkspaceStatus),
    restartable=frozenset({WorkspaceStatus.REMOVED}),
    after_the_end=frozenset({events.WorkspaceCommandRefused}),
    evolvers=_EVOLVERS,
)
