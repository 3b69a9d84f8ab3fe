"""Decisions about workspaces.

Source: ARCHITECTURE, section 6; "Git safety and worktree recovery behavior".

Who may do what: agents work in a workspace (their commits and snapshots are recorded in their name), humans and AURA
itself dispose of it. The command states whether a worktree is dirty: its sender has checked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PureWindowsPath
from types import MappingProxyType

from aura_contracts.aggregate import Command
from aura_contracts.errors import RuleViolated
from aura_contracts.events import Event
from aura_contracts.workspace import (
    WORKSPACE,
    AbandonMerge,
    AcquireWorkspace,
    ConflictedFiles,
    ConflictResolved,
    MergeAbandoned,
    MergeConflicted,
    MergeStarted,
    PreparationFailed,
    RecordCommit,
    RecordConflict,
    RecordMerge,
    RecordPreparation,
    RecordPreparationFailure,
    RecordSnapshot,
    RecreateWorkspace,
    RecreationRequested,
    ReleaseWorkspace,
    RemoveWorkspace,
    RepositoryCommit,
    RequestWorkspace,
    ResolveConflict,
    RestoreSnapshot,
    SnapshotRestored,
    SnapshotTaken,
    StartMerge,
    WorkCommitted,
    WorkMerged,
    Workspace,
    WorkspaceAcquired,
    WorkspacePrepared,
    WorkspaceReleased,
    WorkspaceRemoved,
    WorkspaceRequested,
    Worktree,
)
from aura_engine.decisions._decider import (
    Context,
    Decide,
    Decider,
    refuse_rule,
    require_no_agent,
)

Events = Sequence[Event]

SLUG_LIMIT = 60
"""Characters: room for a branch and a folder name on every file system."""

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def _require_no_agent(workspace_id: str, command: Command[Workspace], context: Context) -> None:
    require_no_agent(
        "workspace", workspace_id, command, context, "agents work in a workspace, they do not dispose of it"
    )


def _refuse(workspace_id: str, command: Command[Workspace], rule: str, reason: str, remedy: str = "") -> RuleViolated:
    return refuse_rule("workspace", workspace_id, command, rule, reason, remedy)


def _require_holder(state: Workspace, command: ReleaseWorkspace) -> None:
    if command.execution_id != state.holder:
        reason = f"execution {state.holder} uses it, not {command.execution_id}"
        raise _refuse(state.id, command, "not_holder", reason)


def _require_saved(
    state: Workspace, command: RestoreSnapshot | RecreateWorkspace | RemoveWorkspace, context: Context
) -> None:
    """Refuse to destroy work until a snapshot newer than the last use holds it."""
    _require_no_agent(state.id, command, context)
    if command.dirty and state.unsaved:
        reason = f"{state.root} has changes that neither a commit nor a snapshot holds"
        raise _refuse(state.id, command, "unsaved_work", reason, "take a snapshot first")


def _require_repositories(
    state: Workspace,
    command: Command[Workspace],
    named: Iterable[RepositoryCommit | ConflictedFiles | Worktree],
    *,
    every: bool = False,
) -> None:
    """Each repository at most once and only those of the workspace, at least one; with `every`, all of them."""
    names = [part.repository for part in named]
    expected = [repository.name for repository in state.repositories]
    known = (names or (every and not expected)) and set(names) <= set(expected) and len(set(names)) == len(names)
    if not known or (every and len(names) != len(expected)):
        reason = f"{'all' if every else 'some'} of {', '.join(expected)} are expected, not {', '.join(names) or 'none'}"
        raise _refuse(state.id, command, "repositories", reason)


def _leaves_root(pattern: str) -> bool:
    """Whether a pattern is not safely below the folder it is relative to; Windows has the stricter view of both."""
    path = PureWindowsPath(pattern)
    return not pattern.strip() or bool(path.anchor) or ".." in path.parts


def _require_valid_request(command: RequestWorkspace) -> None:
    layout = command.layout
    names = [repository.name for repository in layout.repositories]
    if not layout.title.strip():
        raise _refuse(command.workspace_id, command, "title", "the title is blank")
    if not _SLUG.fullmatch(layout.slug) or len(layout.slug) > SLUG_LIMIT:
        reason = f"{layout.slug!r} is not up to {SLUG_LIMIT} lower-case letters and digits with single hyphens"
        raise _refuse(command.workspace_id, command, "slug", reason)
    if layout.in_place and not layout.root.strip():
        reason = "work in place is done in a folder that is named"
        raise _refuse(command.workspace_id, command, "root", reason)
    unnamed = not layout.branch.strip() or any(not r.target_branch.strip() for r in layout.repositories)
    if unnamed and not layout.in_place:
        raise _refuse(command.workspace_id, command, "branch", "the branch or a target branch has no name")
    if not layout.in_place and any(layout.branch == repository.target_branch for repository in layout.repositories):
        reason = f"{layout.branch} is the branch to merge into"
        raise _refuse(command.workspace_id, command, "branch", reason, "work on a branch of its own")
    if (
        not (names or layout.in_place)
        or len(set(names)) < len(names)
        or len({r.path for r in layout.repositories}) < len(names)
    ):
        reason = "one repository at least, each once, under a name of its own"
        raise _refuse(command.workspace_id, command, "repositories", reason)
    if unfit := [name for name in names if not _FOLDER.fullmatch(name)]:
        reason = f"{unfit[0]!r} is not the name of a folder"
        raise _refuse(command.workspace_id, command, "repositories", reason, "use letters, digits, '.', '_' and '-'")
    if outside := [pattern for pattern in layout.copy_globs if _leaves_root(pattern)]:
        reason = f"{outside[0]!r} does not stay below the repository"
        raise _refuse(command.workspace_id, command, "copy_globs", reason, "write it relative to the repository")


def _request(_: None, command: RequestWorkspace, context: Context) -> Events:
    _require_no_agent(command.workspace_id, command, context)
    _require_valid_request(command)
    return [WorkspaceRequested(workspace_id=command.workspace_id, layout=command.layout)]


def _prepare(state: Workspace, command: RecordPreparation, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    _require_repositories(state, command, command.worktrees, every=True)
    _require_paths(state, command)
    return [WorkspacePrepared(worker_id=command.worker_id, root=command.root, worktrees=command.worktrees)]


def _require_paths(state: Workspace, command: RecordPreparation) -> None:
    """Each worktree has a path of its own, and keeps the one it had before."""
    had = {"": state.root} | {tree.repository: tree.path for tree in state.worktrees}
    now = {"": command.root} | {tree.repository: tree.path for tree in command.worktrees}
    if not all(now.values()) or len({tree.path for tree in command.worktrees}) < len(command.worktrees):
        raise _refuse(state.id, command, "path", "the workspace and each worktree have a path, each its own")
    if moved := [part for part, path in now.items() if had.get(part, "") not in {"", path}]:
        reason = f"it was at {had[moved[0]]} and came back at {now[moved[0]]}"
        raise _refuse(state.id, command, "same_path", reason, "agents find their sessions by path: use the old one")


def _preparation_failed(state: Workspace, command: RecordPreparationFailure, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    return [PreparationFailed(failure=command.failure, cleaned_up=command.cleaned_up, left_behind=command.left_behind)]


def _acquire(state: Workspace, command: AcquireWorkspace, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    if state.holder == command.execution_id:
        return []
    acquired = WorkspaceAcquired(execution_id=command.execution_id)
    if state.holder is None:
        return [acquired]
    if state.holder != command.replacing:
        reason = f"execution {state.holder} uses it"
        raise _refuse(state.id, command, "in_use", reason, "wait until it is released")
    return [WorkspaceReleased(execution_id=state.holder), acquired]


def _release(state: Workspace, command: ReleaseWorkspace, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    _require_holder(state, command)
    return [WorkspaceReleased(execution_id=command.execution_id)]


def _snapshot(state: Workspace, command: RecordSnapshot, context: Context) -> Events:
    _require_repositories(state, command, command.commits, every=True)
    if not command.ref.strip():
        raise _refuse(state.id, command, "snapshot_ref", "a snapshot is kept under the name of a ref")
    taken = next((copy for copy in state.snapshots if copy.ref == command.ref), None)
    if taken is None:
        return [SnapshotTaken(ref=command.ref, reason=command.reason, commits=command.commits)]
    if taken.commits != command.commits:
        reason = f"{command.ref} holds another snapshot"
        raise _refuse(state.id, command, "snapshot_ref", reason, "write each snapshot to a ref of its own")
    return []


def _restore(state: Workspace, command: RestoreSnapshot, context: Context) -> Events:
    _require_saved(state, command, context)
    if command.ref not in {copy.ref for copy in state.snapshots}:
        raise _refuse(state.id, command, "unknown_snapshot", f"there is no snapshot {command.ref}")
    return [SnapshotRestored(ref=command.ref)]


def _recreate(state: Workspace, command: RecreateWorkspace, context: Context) -> Events:
    _require_saved(state, command, context)
    return [RecreationRequested(reason=command.reason)]


def _commit(state: Workspace, command: RecordCommit, context: Context) -> Events:
    _require_repositories(state, command, command.heads)
    return [WorkCommitted(heads=command.heads, clean=command.clean)]


def _start_merge(state: Workspace, command: StartMerge, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    if state.in_place:
        raise _refuse(state.id, command, "in_place", "work in place is where it belongs already")
    if command.dirty:
        reason = "a tree that takes part has uncommitted changes or an operation in progress"
        raise _refuse(state.id, command, "dirty", reason, "commit, or take a snapshot and clean it, then merge")
    return [MergeStarted(style=command.style)]


def _merge(state: Workspace, command: RecordMerge, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    _require_repositories(state, command, command.commits)
    return [WorkMerged(commits=command.commits)]


def _conflict(state: Workspace, command: RecordConflict, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    _require_repositories(state, command, command.files)
    return [MergeConflicted(files=command.files, approval_id=command.approval_id)]


def _resolve(state: Workspace, command: ResolveConflict, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    if command.heads:
        _require_repositories(state, command, command.heads)
    return [ConflictResolved(resolution=command.resolution, heads=command.heads)]


def _abandon(state: Workspace, command: AbandonMerge, context: Context) -> Events:
    _require_no_agent(state.id, command, context)
    return [MergeAbandoned(reason=command.reason)]


def _remove(state: Workspace, command: RemoveWorkspace, context: Context) -> Events:
    _require_saved(state, command, context)
    return [WorkspaceRemoved(reason=command.reason)]


_DECISIONS: Mapping[type[Command[Workspace]], Decide] = MappingProxyType(
    {
        RequestWorkspace: _request,
        RecordPreparation: _prepare,
        RecordPreparationFailure: _preparation_failed,
        AcquireWorkspace: _acquire,
        ReleaseWorkspace: _release,
        RecordSnapshot: _snapshot,
        RestoreSnapshot: _restore,
        RecreateWorkspace: _recreate,
        RecordCommit: _commit,
        StartMerge: _start_merge,
        RecordMerge: _merge,
        RecordConflict: _conflict,
        ResolveConflict: _resolve,
        AbandonMerge: _abandon,
        RemoveWorkspace: _remove,
    }
)

WORKSPACE_DECIDER = Decider(aggregate=WORKSPACE, decisions=_DECISIONS)
