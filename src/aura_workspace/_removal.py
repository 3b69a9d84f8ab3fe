"""Removing worktrees: those of a workspace that was given up, and those that nobody knows of any more.

What is removed first goes to the pool, in one step, and is deleted there: a workspace is there, or it is not.
"""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aura_contracts.errors import AuraError, GitError, NotARepository, WorkspaceError
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import Orphan, WorkspaceSpec
from aura_contracts.workspace import RepositoryCommit
from aura_workspace._sources import Source, find_source
from aura_workspace._worktree_links import common_dir, has_pointer, linked_git_dir
from aura_workspace._marker import FILE, Marker, read_marker
from aura_workspace._merge import is_merged
from aura_workspace._checkouts import RepositoryCheckout, WorktreeState, visible
from aura_workspace._pool import Pool
from aura_workspace._preparation import base_ref, is_taken_over


class Removal:
    """One call of `remove`, for worktrees."""

    def __init__(self, git: Git, pool: Pool, spec: WorkspaceSpec, root: Path, checkouts: Sequence[RepositoryCheckout]) -> None:
        self._git = git
        self._pool = pool
        self._spec = spec
        self._root = root
        self._checkouts = checkouts

    def run(self, *, delete_branch: bool) -> None:
        """Remove all that can be removed; raise `WorkspaceError` for what is left then."""
        removed: list[str] = []
        left: list[str] = []
        reasons: list[AuraError | OSError] = []
        for checkout in self._checkouts:
            try:
                self._remove(checkout, delete_branch=delete_branch)
                removed.append(str(checkout.path))
            except (AuraError, OSError) as error:
                left.append(str(checkout.path))
                reasons.append(error)
        with suppress(OSError):
            self._root.rmdir()  # unless there is something in it that is nobody's worktree
        if reasons:
            first = reasons[0]
            raise WorkspaceError(
                workspace_id=self._spec.id,
                path=left[0],
                reason=first.message() if isinstance(first, GitError) else getattr(first, "reason", str(first)),
                remedy=first.remedy if isinstance(first, AuraError) else "",
                cleaned_up=tuple(removed),
                left_behind=tuple(left),
            ) from first

    def _remove(self, checkout: RepositoryCheckout, *, delete_branch: bool) -> None:
        try:
            source = find_source(self._git, checkout.repository.path)
        except NotARepository:
            self._remove_without_repository(checkout)
            return
        self._pool.sweep(source)  # what an earlier removal left that was ended in the middle
        state, git_dir, _ = checkout.probe(source.common_dir)
        unmarked = state is WorktreeState.UNMARKED and git_dir is not None and is_taken_over(self._git, checkout, source, git_dir)
        if state in {WorktreeState.OWN, WorktreeState.BROKEN} or unmarked:
            self._pool.remove(source, checkout.path)
        elif state is WorktreeState.ABSENT:
            self._git.remove_worktree(source.top, str(checkout.path), force=True)  # forgets it
            with suppress(OSError):
                checkout.path.rmdir()
        else:
            raise checkout.occupied()
        if delete_branch:
            self._delete_branch(checkout, source)

    def _remove_without_repository(self, checkout: RepositoryCheckout) -> None:
        """The repository is gone, and its history with it: the files that are left belong to nothing."""
        if not os.path.lexists(checkout.path):
            return
        if checkout.path.is_symlink() or not has_pointer(checkout.path) or linked_git_dir(checkout.path) is not None:
            raise checkout.occupied()
        shutil.rmtree(checkout.path)

    def _delete_branch(self, checkout: RepositoryCheckout, source: Source) -> None:
        """Delete the branch where the target has all of it."""
        tip = self._git.find_ref(source.top, f"refs/heads/{self._spec.branch}")
        target = self._git.find_ref(source.top, f"refs/heads/{checkout.repository.target_branch}")
        if tip is None or target is None:
            return
        if is_merged(self._git, self._spec, source.top, tip, target):
            branch = self._spec.branch
            self._pool.without_remains(source, lambda: self._git.delete_branch(source.top, branch, tip))


def remove_in_place(git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout]) -> None:
    """Forget what work in place was compared to; all else is the user's."""
    for checkout in checkouts:
        with suppress(NotARepository):
            base = git.find_ref(str(checkout.path), base_ref(spec))
            if base is not None:
                git.update_ref(str(checkout.path), base_ref(spec), None, base, "workspace removed")


# --- Orphans ----------------------------------------------------------------------------------------------------------


def find_orphans(git: Git, workspaces: Path, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
    """Return the marked worktrees below `workspaces` that no living workspace has, and that are where they belong."""
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
    made = datetime.fromtimestamp((git_dir / FILE).stat().st_mtime, UTC)
    try:
        dirty = _is_unsaved(git, path, marker)
    except GitError:
        dirty = True  # it cannot be told, so the worse is assumed
    return Orphan(
        workspace_id=WorkspaceId(marker.workspace_id),
        path=str(path),
        repository=marker.repository,
        branch=marker.branch,
        dirty=dirty,
        reason=f"made {made:%Y-%m-%d %H:%M} UTC for a workspace that is not known to be alive",
    )


def _is_unsaved(git: Git, path: Path, marker: Marker) -> bool:
    """Whether something is neither ignored nor on the branch: changes, or commits that the branch has not."""
    if visible(git.status(str(path)), marker).dirty or git.operation(str(path)) is not None:
        return True
    info = git.inspect(str(path))
    if info.head is None or info.branch is not None:
        return False
    tip = git.find_ref(str(path), f"refs/heads/{marker.branch}")
    return tip is None or not git.is_ancestor(str(path), info.head, tip)


def remove_orphan(git: Git, pool: Pool, workspaces: Path, orphan: Orphan, ref: str) -> tuple[RepositoryCommit, ...]:
    """Remove an orphan that still is one; what it holds unsaved is under `ref` then."""
    path = Path(orphan.path)
    found = [one for one in _marked(workspaces) if one[0] == path and one[2].workspace_id == orphan.workspace_id]
    if not found:
        if not os.path.lexists(path):
            return ()
        raise WorkspaceError(
            workspace_id=orphan.workspace_id,
            path=orphan.path,
            reason="nothing proves that it is a worktree of this workspace",
            remedy="look at it, and remove it by hand if it is not needed",
        )
    _, git_dir, marker = found[0]
    saved: tuple[RepositoryCommit, ...] = ()
    if _is_unsaved(git, path, marker):
        message = f"work that nobody had saved, on {marker.branch}\n\nAura-Workspace: {marker.workspace_id}"
        saved = (RepositoryCommit(marker.repository, git.snapshot(str(path), ref, message)),)
    pool.remove(_source_of(git, git_dir), path)
    with suppress(OSError):
        path.parent.rmdir()
    return saved


def _source_of(git: Git, git_dir: Path) -> Source:
    """Return the repository of a linked worktree, seen from its main worktree: the linked one is about to go."""
    common = common_dir(git_dir)
    main = common.parent if common.name == ".git" else common
    try:
        return find_source(git, str(main))
    except NotARepository:
        return find_source(git, str(common))
