"""Orphans: worktrees of workspaces that are no longer known, proved by their markers."""

import os
import shlex
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aura_contracts.errors import GitError, NotARepository, WorkspaceError, WorkspaceObstacle
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import Orphan
from aura_contracts.workspace import RepositoryCommit, unsaved_text
from aura_workspace._checkouts import Source, find_source, visible
from aura_workspace._pool import WorktreePool
from aura_workspace._unrecorded import MarkedWorktree, source_worktree
from aura_workspace._worktrees import MARKER_FILE, Marker, common_dir, linked_git_dir, read_marker


def find_orphans(git: Git, workspaces: Path, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
    """Return the marked worktrees in their places below `workspaces` that belong to no living workspace."""
    known = frozenset(living)
    return tuple(
        _orphan(git, path, git_dir, marker)
        for path, git_dir, marker in _marked(workspaces)
        if marker.workspace_id not in known
    )


def _marked(workspaces: Path) -> Iterator[tuple[Path, Path, Marker]]:
    for root in _folders(workspaces):
        for path in _folders(root):
            git_dir = linked_git_dir(path)
            marker = git_dir and read_marker(git_dir)
            if git_dir and marker and os.path.realpath(marker.path) == os.path.realpath(path):
                yield path, git_dir, marker


def _folders(parent: Path) -> list[Path]:
    with suppress(OSError):
        return [folder for folder in sorted(parent.iterdir()) if folder.is_dir() and not folder.is_symlink()]
    return []


def _orphan(git: Git, path: Path, git_dir: Path, marker: Marker) -> Orphan:
    made = datetime.fromtimestamp((git_dir / MARKER_FILE).stat().st_mtime, UTC)
    try:
        dirty = _is_unsaved(git, path, marker)
    except GitError:
        dirty = True  # assume the worst
    return Orphan(
        workspace_id=WorkspaceId(marker.workspace_id),
        path=str(path),
        repository=marker.repository,
        branch=marker.branch,
        dirty=dirty,
        reason=f"made {made:%Y-%m-%d %H:%M} UTC for a workspace that is no longer known",
    )


def _is_unsaved(git: Git, path: Path, marker: Marker) -> bool:
    """Whether it holds something besides its branch: changes, ignored files, commits that the branch lacks."""
    held = git.inventory(str(path))
    if visible(held.status, marker).dirty or git.operation(str(path)) is not None:
        return True
    unkept = git.unkept_submodules(str(path))
    if _marked_worktree(git, path, marker).unrecorded(held, unkept) or git.left_commits(str(path), _left(marker)):
        return True
    info = git.inspect(str(path))
    if info.head is None or info.branch is not None:
        return False
    tip = git.find_ref(str(path), f"refs/heads/{marker.branch}")
    return tip is None or not git.is_ancestor(str(path), info.head, tip)


def _left(marker: Marker) -> str:
    return f"refs/aura/left/{marker.workspace_id}"


def _marked_worktree(git: Git, path: Path, marker: Marker) -> MarkedWorktree:
    main = common_dir(Path(git.inspect(str(path)).git_dir)).parent
    return MarkedWorktree(git, path, marker, source_worktree(git, str(main)) if marker.copied else None)


def remove_orphan(
    git: Git, pool: WorktreePool, workspaces: Path, orphan: Orphan, ref: str
) -> tuple[RepositoryCommit, ...]:
    """Remove an orphan, after saving its unsaved work under `ref`."""
    path = Path(orphan.path)
    found = [one for one in _marked(workspaces) if one[0] == path and one[2].workspace_id == orphan.workspace_id]
    if not found:
        if not os.path.lexists(path):
            return ()
        raise WorkspaceError(
            workspace_id=orphan.workspace_id,
            path=orphan.path,
            reason="nothing proves that it is a worktree of this workspace",
            remedy="check it, and remove it by hand if it is not needed",
        )
    _, git_dir, marker = found[0]
    saved: tuple[RepositoryCommit, ...] = ()
    if _is_unsaved(git, path, marker):
        message = f"unsaved work on {marker.branch}\n\nAura-Workspace: {marker.workspace_id}"
        commit, left_out = _marked_worktree(git, path, marker).snapshot(ref, message, whole=True)
        if left_out:
            raise WorkspaceObstacle(
                workspace_id=orphan.workspace_id,
                path=orphan.path,
                reason=unsaved_text(left_out),
                remedy=f"take what you need from it, then: rm -rf {shlex.quote(orphan.path)}",
                left_behind=(orphan.path,),
            )
        saved = (RepositoryCommit(marker.repository, commit),)
    source = _source_of(git, git_dir)
    pool.remove(source, path)
    git.unpin_configuration(source.top, orphan.workspace_id)
    with suppress(OSError):
        path.parent.rmdir()
    return saved


def _source_of(git: Git, git_dir: Path) -> Source:
    """Return the repository of a linked worktree, as seen from its main worktree: the linked one will be removed."""
    common = common_dir(git_dir)
    main = common.parent if common.name == ".git" else common
    try:
        return find_source(git, str(main))
    except NotARepository:
        return find_source(git, str(common))
