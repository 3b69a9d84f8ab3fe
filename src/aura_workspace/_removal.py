"""Removing a workspace: its worktrees, and its branch if that was merged.

A worktree first moves to the pool, in one step, and is deleted there: a workspace exists completely, or not at all.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from aura_contracts.errors import AuraError, GitError, NotARepository, WorkspaceError
from aura_contracts.folder_removal import remove_folder
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_workspace._checkouts import RepositoryCheckout, Source, WorktreeState, find_source
from aura_workspace._merge import is_merged
from aura_workspace._pool import WorktreePool
from aura_workspace._preparation import base_ref, is_taken_over
from aura_workspace._worktrees import has_pointer, linked_git_dir


@attrs.frozen
class Removal:
    """One call of `remove`, for worktrees."""

    _git: Git
    _pool: WorktreePool
    _spec: WorkspaceSpec
    _root: Path
    _checkouts: Sequence[RepositoryCheckout]

    def run(self, *, delete_branch: bool) -> None:
        """Remove as much as possible; raise `WorkspaceError` for the rest."""
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
            self._root.rmdir()  # unless it holds something else
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
        self._pool.sweep(source)  # the remains of an interrupted removal
        state, git_dir, _ = checkout.probe(source.common_dir)
        unmarked = (
            state is WorktreeState.UNMARKED
            and git_dir is not None
            and is_taken_over(self._git, checkout, source, git_dir)
        )
        if state in {WorktreeState.OWN, WorktreeState.BROKEN} or unmarked:
            self._pool.remove(source, checkout.path)
        elif state is WorktreeState.ABSENT:
            self._git.remove_worktree(source.top, str(checkout.path), force=True)  # its record
            with suppress(OSError):
                checkout.path.rmdir()
        else:
            raise checkout.occupied()
        if delete_branch:
            self._delete_branch(checkout, source)

    def _remove_without_repository(self, checkout: RepositoryCheckout) -> None:
        """Remove the files of a worktree whose repository, and with it their history, is gone."""
        if not os.path.lexists(checkout.path):
            return
        if checkout.path.is_symlink() or not has_pointer(checkout.path) or linked_git_dir(checkout.path) is not None:
            raise checkout.occupied()
        remove_folder(checkout.path)
        with suppress(FileNotFoundError):
            checkout.path.rmdir()  # says what is in the way

    def _delete_branch(self, checkout: RepositoryCheckout, source: Source) -> None:
        """Delete the branch if the target contains it."""
        tip = self._git.find_ref(source.top, f"refs/heads/{self._spec.branch}")
        target = self._git.find_ref(source.top, f"refs/heads/{checkout.repository.target_branch}")
        if tip is None or target is None:
            return
        if is_merged(self._git, self._spec, source.top, tip, target):
            branch = self._spec.branch
            self._pool.without_remains(source, lambda: self._git.delete_branch(source.top, branch, tip))


def remove_in_place(git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout]) -> None:
    """Delete the hidden ref that work in place was compared to; everything else is the user's."""
    for checkout in checkouts:
        with suppress(NotARepository):
            base = git.find_ref(str(checkout.path), base_ref(spec))
            if base is not None:
                git.update_ref(str(checkout.path), base_ref(spec), None, base, "workspace removed")
