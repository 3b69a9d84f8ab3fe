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

from aura_contracts.workspace.commands import AbandonMerge as AbandonMerge
from aura_contracts.workspace.commands import AcquireWorkspace as AcquireWorkspace
from aura_contracts.workspace.commands import KeepWorkspace as KeepWorkspace
from aura_contracts.workspace.commands import RecordCommit as RecordCommit
from aura_contracts.workspace.commands import RecordConflict as RecordConflict
from aura_contracts.workspace.commands import RecordMerge as RecordMerge
from aura_contracts.workspace.commands import RecordPreparation as RecordPreparation
from aura_contracts.workspace.commands import RecordPreparationFailure as RecordPreparationFailure
from aura_contracts.workspace.commands import RecordSnapshot as RecordSnapshot
from aura_contracts.workspace.commands import RecordWorkspaceRefusal as RecordWorkspaceRefusal
from aura_contracts.workspace.commands import RecreateWorkspace as RecreateWorkspace
from aura_contracts.workspace.commands import ReleaseWorkspace as ReleaseWorkspace
from aura_contracts.workspace.commands import RemoveWorkspace as RemoveWorkspace
from aura_contracts.workspace.commands import RequestWorkspace as RequestWorkspace
from aura_contracts.workspace.commands import ResolveConflict as ResolveConflict
from aura_contracts.workspace.commands import RestoreSnapshot as RestoreSnapshot
from aura_contracts.workspace.commands import StartMerge as StartMerge
from aura_contracts.workspace.event_types import ConflictResolved as ConflictResolved
from aura_contracts.workspace.event_types import MergeAbandoned as MergeAbandoned
from aura_contracts.workspace.event_types import MergeConflicted as MergeConflicted
from aura_contracts.workspace.event_types import MergeStarted as MergeStarted
from aura_contracts.workspace.event_types import PreparationFailed as PreparationFailed
from aura_contracts.workspace.event_types import RecreationRequested as RecreationRequested
from aura_contracts.workspace.event_types import SnapshotRestored as SnapshotRestored
from aura_contracts.workspace.event_types import SnapshotTaken as SnapshotTaken
from aura_contracts.workspace.event_types import WorkCommitted as WorkCommitted
from aura_contracts.workspace.event_types import WorkMerged as WorkMerged
from aura_contracts.workspace.event_types import WorkspaceAcquired as WorkspaceAcquired
from aura_contracts.workspace.event_types import WorkspaceCommandRefused as WorkspaceCommandRefused
from aura_contracts.workspace.event_types import WorkspaceKept as WorkspaceKept
from aura_contracts.workspace.event_types import WorkspacePrepared as WorkspacePrepared
from aura_contracts.workspace.event_types import WorkspaceReleased as WorkspaceReleased
from aura_contracts.workspace.event_types import WorkspaceRemoved as WorkspaceRemoved
from aura_contracts.workspace.event_types import WorkspaceRequested as WorkspaceRequested
from aura_contracts.workspace.state import WORKSPACE as WORKSPACE
from aura_contracts.workspace.state import Workspace as Workspace
from aura_contracts.workspace.values import BRANCH_FOLDER as BRANCH_FOLDER
from aura_contracts.workspace.values import PLAIN_TARGET as PLAIN_TARGET
from aura_contracts.workspace.values import WORKSPACE_SLUG_LIMIT as WORKSPACE_SLUG_LIMIT
from aura_contracts.workspace.values import ConflictedFiles as ConflictedFiles
from aura_contracts.workspace.values import FailedPreparation as FailedPreparation
from aura_contracts.workspace.values import Merge as Merge
from aura_contracts.workspace.values import MergeStyle as MergeStyle
from aura_contracts.workspace.values import PolicyText as PolicyText
from aura_contracts.workspace.values import PreparedPlace as PreparedPlace
from aura_contracts.workspace.values import Repository as Repository
from aura_contracts.workspace.values import RepositoryCommit as RepositoryCommit
from aura_contracts.workspace.values import SafetyCopy as SafetyCopy
from aura_contracts.workspace.values import SnapshotFacts as SnapshotFacts
from aura_contracts.workspace.values import SnapshotReason as SnapshotReason
from aura_contracts.workspace.values import Unrecorded as Unrecorded
from aura_contracts.workspace.values import UnrecordedKind as UnrecordedKind
from aura_contracts.workspace.values import WorkspaceLayout as WorkspaceLayout
from aura_contracts.workspace.values import WorkspaceStatus as WorkspaceStatus
from aura_contracts.workspace.values import Worktree as Worktree
from aura_contracts.workspace.values import unsaved_text as unsaved_text
from aura_contracts.workspace.values import working_directory as working_directory
from aura_contracts.workspace.values import workspace_branch as workspace_branch
from aura_contracts.workspace.values import workspace_folder as workspace_folder
from aura_contracts.workspace.values import workspace_slug as workspace_slug
