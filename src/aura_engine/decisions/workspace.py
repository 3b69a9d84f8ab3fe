"""Decisions about workspaces.

Source: ARCHITECTURE, section 6; "Git safety and worktree recovery behavior".

Who may do what: agents work in a workspace (their commits and snapshots are recorded in their name), humans and AURA
itself dispose of it. The command states whether a worktree is dirty: its sender has checked.
"""

import re
from collections.abc import Iterable
from pathlib import PureWindowsPath

from aura_contracts.workspace import (
    WORKSPACE,
    AbandonMerge,
    AcquireWorkspace,
    ConflictedFiles,
    ConflictResolved,
    KeepWorkspace,
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
    RecordWorkspaceRefusal,
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
    WorkspaceCommandRefused,
    WorkspaceKept,
    WorkspacePrepared,
    WorkspaceReleased,
    WorkspaceRemoved,
    WorkspaceRequested,
    Worktree,
)
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    RuleBroken,
    anyone,
    becomes,
    no_agent,
    only_system,
)

SLUG_LIMIT = 60
"""Characters: room for a branch and a folder name on every file system."""

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


_no_agent = no_agent("agents work in a workspace, they do not dispose of it")


def _require_holder(state: Workspace, command: ReleaseWorkspace) -> None:
    if command.execution_id != state.holder:
        reason = f"execution {state.holder} uses it, not {command.execution_id}"
        raise RuleBroken("not_holder", reason)


def _require_saved(
    state: Workspace, command: RestoreSnapshot | RecreateWorkspace | RemoveWorkspace, context: Context
) -> None:
    """Refuse to destroy work until a snapshot newer than the last use holds it."""
    _no_agent(state, command, context)
    if command.dirty and state.unsaved:
        reason = f"{state.root} has changes that neither a commit nor a snapshot holds"
        raise RuleBroken("unsaved_work", reason, "take a snapshot first")


def _require_repositories(
    state: Workspace,
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
        raise RuleBroken("repositories", reason)


def _leaves_root(pattern: str) -> bool:
    """Whether a pattern is not safely below the folder it is relative to; Windows has the stricter view of both."""
    path = PureWindowsPath(pattern)
    return not pattern.strip() or bool(path.anchor) or ".." in path.parts


def _require_valid_request(command: RequestWorkspace) -> None:
    layout = command.layout
    names = [repository.name for repository in layout.repositories]
    if not layout.title.strip():
        raise RuleBroken("title", "the title is blank")
    if not _SLUG.fullmatch(layout.slug) or len(layout.slug) > SLUG_LIMIT:
        reason = f"{layout.slug!r} is not up to {SLUG_LIMIT} lower-case letters and digits with single hyphens"
        raise RuleBroken("slug", reason)
    if layout.in_place and not layout.root.strip():
        reason = "work in place is done in a folder that is named"
        raise RuleBroken("root", reason)
    unnamed = not layout.branch.strip() or any(not r.target_branch.strip() for r in layout.repositories)
    if unnamed and not layout.in_place:
        raise RuleBroken("branch", "the branch or a target branch has no name")
    if not layout.in_place and any(layout.branch == repository.target_branch for repository in layout.repositories):
        reason = f"{layout.branch} is the branch to merge into"
        raise RuleBroken("branch", reason, "work on a branch of its own")
    if (
        not (names or layout.in_place)
        or len(set(names)) < len(names)
        or len({r.path for r in layout.repositories}) < len(names)
    ):
        reason = "one repository at least, each once, under a name of its own"
        raise RuleBroken("repositories", reason)
    if unfit := [name for name in names if not _FOLDER.fullmatch(name)]:
        reason = f"{unfit[0]!r} is not the name of a folder"
        raise RuleBroken("repositories", reason, "use letters, digits, '.', '_' and '-'")
    if outside := [pattern for pattern in layout.copy_globs if _leaves_root(pattern)]:
        reason = f"{outside[0]!r} does not stay below the repository"
        raise RuleBroken("copy_globs", reason, "write it relative to the repository")


def _request(_: None, command: RequestWorkspace, context: Context) -> Events:
    _require_valid_request(command)
    return [WorkspaceRequested(workspace_id=command.workspace_id, layout=command.layout)]


def _prepare(state: Workspace, command: RecordPreparation, context: Context) -> Events:
    _require_repositories(state, command.worktrees, every=True)
    _require_paths(state, command)
    prepared = WorkspacePrepared(
        worker_id=command.worker_id,
        root=command.root,
        worktrees=command.worktrees,
        empty_submodules=command.empty_submodules,
    )
    return [prepared]


def _require_paths(state: Workspace, command: RecordPreparation) -> None:
    """Each worktree has a path of its own, and keeps the one it had before."""
    had = {"": state.root} | {tree.repository: tree.path for tree in state.worktrees}
    now = {"": command.root} | {tree.repository: tree.path for tree in command.worktrees}
    if not all(now.values()) or len({tree.path for tree in command.worktrees}) < len(command.worktrees):
        raise RuleBroken("path", "the workspace and each worktree have a path, each its own")
    if moved := [part for part, path in now.items() if had.get(part, "") not in {"", path}]:
        reason = f"it was at {had[moved[0]]} and came back at {now[moved[0]]}"
        raise RuleBroken("same_path", reason, "agents find their sessions by path: use the old one")


def _acquire(state: Workspace, command: AcquireWorkspace, context: Context) -> Events:
    if state.holder == command.execution_id:
        return []
    acquired = WorkspaceAcquired(execution_id=command.execution_id)
    if state.holder is None:
        return [acquired]
    if state.holder != command.replacing:
        reason = f"execution {state.holder} uses it"
        raise RuleBroken("in_use", reason, "wait until it is released")
    return [WorkspaceReleased(execution_id=state.holder), acquired]


def _release(state: Workspace, command: ReleaseWorkspace, context: Context) -> Events:
    _require_holder(state, command)
    return [WorkspaceReleased(execution_id=command.execution_id)]


def _snapshot(state: Workspace, command: RecordSnapshot, context: Context) -> Events:
    _require_repositories(state, command.commits, every=True)
    if not command.ref.strip():
        raise RuleBroken("snapshot_ref", "a snapshot is kept under the name of a ref")
    taken = next((copy for copy in state.snapshots if copy.ref == command.ref), None)
    if taken is None:
        taken_now = SnapshotTaken(
            ref=command.ref, reason=command.reason, commits=command.commits, left_out=command.left_out
        )
        return [taken_now]
    if taken.commits != command.commits:
        reason = f"{command.ref} holds another snapshot"
        raise RuleBroken("snapshot_ref", reason, "write each snapshot to a ref of its own")
    return []


def _restore(state: Workspace, command: RestoreSnapshot, context: Context) -> Events:
    if command.ref not in {copy.ref for copy in state.snapshots}:
        raise RuleBroken("unknown_snapshot", f"there is no snapshot {command.ref}")
    return [SnapshotRestored(ref=command.ref)]


def _commit(state: Workspace, command: RecordCommit, context: Context) -> Events:
    _require_repositories(state, command.heads)
    return [WorkCommitted(heads=command.heads, clean=command.clean)]


def _start_merge(state: Workspace, command: StartMerge, context: Context) -> Events:
    if state.in_place:
        raise RuleBroken("in_place", "work in place is where it belongs already")
    if command.dirty:
        reason = "a tree that takes part has uncommitted changes or an operation in progress"
        raise RuleBroken("dirty", reason, "commit, or take a snapshot and clean it, then merge")
    return [MergeStarted(style=command.style)]


def _merge(state: Workspace, command: RecordMerge, context: Context) -> Events:
    _require_repositories(state, command.commits)
    return [WorkMerged(commits=command.commits)]


def _conflict(state: Workspace, command: RecordConflict, context: Context) -> Events:
    _require_repositories(state, command.files)
    return [MergeConflicted(files=command.files, approval_id=command.approval_id)]


def _resolve(state: Workspace, command: ResolveConflict, context: Context) -> Events:
    if command.heads:
        _require_repositories(state, command.heads)
    return [ConflictResolved(resolution=command.resolution, heads=command.heads)]


WORKSPACE_DECIDER = Decider(
    WORKSPACE,
    {
        RequestWorkspace: (_no_agent, _request),
        RecordPreparation: (_no_agent, _prepare),
        RecordPreparationFailure: (_no_agent, becomes(PreparationFailed)),
        AcquireWorkspace: (_no_agent, _acquire),
        ReleaseWorkspace: (_no_agent, _release),
        RecordSnapshot: (anyone, _snapshot),
        RestoreSnapshot: (_require_saved, _restore),
        RecreateWorkspace: (_require_saved, becomes(RecreationRequested)),
        RecordCommit: (anyone, _commit),
        StartMerge: (_no_agent, _start_merge),
        RecordMerge: (_no_agent, _merge),
        RecordConflict: (_no_agent, _conflict),
        ResolveConflict: (_no_agent, _resolve),
        AbandonMerge: (_no_agent, becomes(MergeAbandoned)),
        KeepWorkspace: (_no_agent, becomes(WorkspaceKept)),
        RemoveWorkspace: (_require_saved, becomes(WorkspaceRemoved)),
        RecordWorkspaceRefusal: (only_system("AURA records refusals"), becomes(WorkspaceCommandRefused)),
    },
)
