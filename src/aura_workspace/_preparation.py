"""Preparing a workspace: all worktrees, or none.

First everything is examined, and nothing touched. Then each repository gets its branch, its worktree (marked before it
is moved to its place, see `WorktreePool`) and the untracked files that it needs; finally all markers become ``ready``.
So a repeated call knows what a crash has left:

    a branch, no worktree         the branch is used as it is
    a worktree that is not ready  it holds no work, and copies may be incomplete: it is made again
    a worktree that is ready      it is taken over with everything in it

If anything fails, everything that this call, or an interrupted one before it, has made is removed.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from aura_contracts.errors import AuraError, GitError, InvalidInput, NotARepository, UnknownRevision, WorkspaceError
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import PreparedWorkspace, WorkspaceSpec
from aura_contracts.workspace import Worktree
from aura_workspace._checkouts import (
    RepositoryCheckout,
    Source,
    WorktreeState,
    as_workspace_error,
    find_source,
    no_commit,
    restore_branch,
    visible,
)
from aura_workspace._copied_files import copy_untracked, require_inside
from aura_workspace._pool import WorktreePool
from aura_workspace._worktrees import (
    Marker,
    change_marker,
    common_dir,
    is_half_made,
    known_git_dir,
    linked_git_dir,
    write_marker,
)

_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@attrs.define
class _PreparationPlan:
    """The steps in one repository, and which of them are done."""

    checkout: RepositoryCheckout
    source: Source
    start: str
    """The commit that the branch is started from."""
    tip: str | None
    """The tip of the branch, if it exists."""
    base: str
    """The commit that the work is compared to."""
    makes_branch: bool
    """The branch holds no work yet: it is deleted if preparing fails."""
    makes_worktree: bool = False
    from_pool: bool = False
    empty_submodules: tuple[str, ...] = ()


@attrs.frozen
class Preparation:
    """One call of `prepare`, for worktrees."""

    _git: Git
    _pool: WorktreePool
    _spec: WorkspaceSpec
    _root: Path
    _checkouts: Sequence[RepositoryCheckout]

    def run(self) -> PreparedWorkspace:
        self._validate()
        plans: list[_PreparationPlan] = []
        try:
            for checkout in self._checkouts:
                plans.append(self._plan(checkout, plans))
            for plan in plans:
                self._make(plan)
            worktrees = tuple(self._finish(plan) for plan in plans)
        except BaseException as error:
            cleaned_up, left_behind = self._undo(plans)
            if isinstance(error, WorkspaceError):
                raise error.replaced(cleaned_up=tuple(cleaned_up), left_behind=tuple(left_behind)) from error
            if isinstance(error, GitError | OSError):
                path = str(self._root)
                raise as_workspace_error(self._spec.id, path, error, cleaned_up, left_behind) from error
            raise
        from_pool = tuple(plan.checkout.name for plan in plans if plan.from_pool)
        empty = tuple(f"{plan.checkout.name}/{path}" for plan in plans for path in plan.empty_submodules)
        return PreparedWorkspace(root=str(self._root), worktrees=worktrees, from_pool=from_pool, empty_submodules=empty)

    # --- Planning -----------------------------------------------------------------------------------------------------

    def _validate(self) -> None:
        problem = ""
        if not self._spec.repositories:
            problem = "it has no repositories"
        elif unfit := [checkout.name for checkout in self._checkouts if not _FOLDER.fullmatch(checkout.name)]:
            problem = f"{unfit[0]!r} is not the name of a folder"
        elif self._root.is_symlink() or (self._root.exists() and not self._root.is_dir()):
            problem = "something else is in the place of its folder"
        if problem:
            raise WorkspaceError(workspace_id=self._spec.id, path=str(self._root), reason=problem)
        try:
            for pattern in self._spec.copy_globs:
                require_inside(pattern)
        except InvalidInput as error:
            path = str(self._root)
            raise WorkspaceError(
                workspace_id=self._spec.id, path=path, reason=error.message(), remedy=error.remedy
            ) from error

    def _plan(self, checkout: RepositoryCheckout, others: Sequence[_PreparationPlan]) -> _PreparationPlan:
        source = find_source(self._git, checkout.repository.path)
        if same := [other.checkout.name for other in others if other.source.common_dir == source.common_dir]:
            raise checkout.obstacle(
                f"{checkout.name} and {same[0]} are the same repository", "name each repository once"
            )
        self._pool.sweep(source)
        tip = self._git.find_ref(source.top, f"refs/heads/{self._spec.branch}")
        if tip is None and checkout.recorded_head is not None:
            tip = restore_branch(self._git, checkout, source.top)
        start = tip or ""
        if tip is None or not checkout.base_commit:
            start = self._start(checkout, source)
        self._git.require_filters(source.top, start)
        state, git_dir, marker = checkout.probe(source.common_dir)
        if state is WorktreeState.FOREIGN:
            raise checkout.occupied()
        if state is WorktreeState.UNMARKED and not (git_dir and is_taken_over(self._git, checkout, source, git_dir)):
            raise checkout.occupied()
        base = checkout.base_commit or (marker.base_commit if marker else "")
        if not base:
            base = start if tip is None else self._git.merge_base(source.top, start, tip) or start
        is_new = not self._spec.worktrees and (tip is None or tip == base)
        return _PreparationPlan(checkout=checkout, source=source, start=start, tip=tip, base=base, makes_branch=is_new)

    def _start(self, checkout: RepositoryCheckout, source: Source) -> str:
        """Return the commit that the branch is started from."""
        repository = checkout.repository
        revision = repository.base or f"refs/heads/{repository.target_branch}"
        try:
            return self._git.resolve(source.top, revision)
        except UnknownRevision as error:
            if source.head is None:
                raise no_commit(source.top) from error
            what = f"revision {repository.base}" if repository.base else f"branch {repository.target_branch}"
            raise checkout.obstacle(
                f"{repository.path} has no {what}", "name an existing one: target_branch=BRANCH"
            ) from error

    # --- Making -------------------------------------------------------------------------------------------------------

    def _make(self, plan: _PreparationPlan) -> None:
        git, checkout, source = self._git, plan.checkout, plan.source
        if plan.tip is None:
            plan.tip = git.ensure_branch(source.top, self._spec.branch, plan.start)
        state, git_dir, marker = checkout.probe(source.common_dir)
        if state is WorktreeState.BROKEN:
            git.repair_worktree(source.top, str(checkout.path))
            state, git_dir, marker = checkout.probe(source.common_dir)
        if state is WorktreeState.OWN and marker is not None and not marker.ready:
            self._pool.remove(source, checkout.path)
        elif state is WorktreeState.UNMARKED and git_dir is not None:
            if is_half_made(git_dir) or self._is_untouched(plan):
                self._pool.remove(source, checkout.path)
            else:
                write_marker(git_dir, self._marker(plan, ready=True))  # its marker was lost, but it holds work
        elif state not in {WorktreeState.OWN, WorktreeState.ABSENT}:
            raise checkout.occupied()
        if checkout.probe(source.common_dir)[0] is WorktreeState.ABSENT:
            self._make_worktree(plan)
            plan.empty_submodules = self._git.fill_submodules(str(checkout.path))
            self._restore_copy(plan)
            self._copy(plan)

    def _is_untouched(self, plan: _PreparationPlan) -> bool:
        """Whether a worktree holds neither commits nor changes."""
        held = self._git.inventory(str(plan.checkout.path))
        return plan.tip == plan.base and not held.status.dirty and not held.unrecorded

    def _make_worktree(self, plan: _PreparationPlan) -> None:
        checkout, marker = plan.checkout, self._marker(plan)
        if checkout.path.is_dir():
            checkout.path.rmdir()
        if known_git_dir(plan.source.common_dir, checkout.path) is not None:
            self._git.remove_worktree(plan.source.top, str(checkout.path), force=True)  # the record of a deleted one
        plan.makes_worktree = True
        plan.from_pool = self._pool.provide(
            plan.source, self._spec.branch, checkout.path, lambda git_dir: write_marker(git_dir, marker)
        )

    def _restore_copy(self, plan: _PreparationPlan) -> None:
        """Bring back the uncommitted work of a worktree that is gone: what the newest safety copy adds to its tip."""
        path = str(plan.checkout.path)
        commits = (self._git.find_ref(path, ref) for ref in reversed(self._spec.copies))
        newest = next((commit for commit in commits if commit is not None), None)
        if newest is None or newest == plan.tip:
            return
        with suppress(UnknownRevision):  # a copy without a parent is of a repository without commits
            if self._git.resolve(path, f"{newest}^1") == plan.tip:
                self._git.restore(path, newest)

    def _marker(self, plan: _PreparationPlan, *, ready: bool = False) -> Marker:
        checkout = plan.checkout
        return Marker(
            workspace_id=self._spec.id,
            repository=checkout.name,
            branch=self._spec.branch,
            path=str(checkout.path),
            base_commit=plan.base,
            ready=ready,
        )

    def _copy(self, plan: _PreparationPlan) -> None:
        """Copy the untracked files, and name them in the marker: they are not work."""
        git_dir = linked_git_dir(plan.checkout.path)
        if not self._spec.copy_globs or plan.source.worktree is None or git_dir is None:
            return
        copied = copy_untracked(Path(plan.source.worktree), plan.checkout.path, self._spec.copy_globs)
        if copied:
            change_marker(git_dir, copied=tuple(copied))

    def _finish(self, plan: _PreparationPlan) -> Worktree:
        git_dir = linked_git_dir(plan.checkout.path)
        if git_dir is None or change_marker(git_dir, ready=True) is None:
            raise plan.checkout.problem("the worktree was removed while it was prepared", "prepare it again")
        head = plan.tip if plan.makes_worktree else self._git.inspect(str(plan.checkout.path)).head
        return Worktree(
            repository=plan.checkout.name, path=str(plan.checkout.path), base_commit=plan.base, head=head or plan.base
        )

    # --- Undoing ------------------------------------------------------------------------------------------------------

    def _undo(self, plans: Sequence[_PreparationPlan]) -> tuple[list[str], list[str]]:
        """Remove what was made; return what was removed, and what was left behind."""
        cleaned_up: list[str] = []
        left_behind: list[str] = []
        for plan in reversed(plans):
            top, path = plan.source.top, str(plan.checkout.path)
            if os.path.lexists(path) and (plan.makes_worktree or self._is_leftover(plan)):
                with suppress(AuraError, OSError):
                    self._git.remove_worktree(top, path, force=True)
                (left_behind if os.path.lexists(path) else cleaned_up).append(path)
            if plan.makes_branch and plan.tip is not None:
                branch = f"branch {self._spec.branch} in {top}"
                try:
                    self._git.delete_branch(top, self._spec.branch, plan.base)
                    cleaned_up.append(branch)
                except (AuraError, OSError):
                    left_behind.append(branch)
        with suppress(OSError):
            self._root.rmdir()
        return cleaned_up, left_behind

    def _is_leftover(self, plan: _PreparationPlan) -> bool:
        """Whether a worktree comes from an interrupted call: it was never recorded, and holds no work."""
        state, _, marker = plan.checkout.probe(plan.source.common_dir)
        if self._spec.worktrees or state is not WorktreeState.OWN or marker is None:
            return False
        with suppress(AuraError, OSError):
            held = self._git.inventory(str(plan.checkout.path))
            more = [one.path for one in held.unrecorded if not marker.hides(one.path)]
            return plan.tip == plan.base and not visible(held.status, marker).dirty and not more
        return False


def is_taken_over(git: Git, checkout: RepositoryCheckout, source: Source, git_dir: Path) -> bool:
    """Whether a worktree without a marker is the workspace's: in its repository, and on its branch or half made."""
    if common_dir(git_dir) != source.common_dir:
        return False
    return is_half_made(git_dir) or git.inspect(str(checkout.path)).branch == checkout.spec.branch


def prepare_in_place(git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout]) -> PreparedWorkspace:
    """Prepare to work where the repositories are: nothing is made but a hidden ref, where there are changes already."""
    if not spec.root and not checkouts:
        raise WorkspaceError(
            workspace_id=spec.id, path="", reason="there is no folder to work in", remedy="name a folder"
        )
    root = spec.root or str(checkouts[0].path)
    if not Path(root).is_dir():
        raise WorkspaceError(
            workspace_id=spec.id, path=root, reason="the folder does not exist", remedy="name an existing one"
        )
    try:
        worktrees = tuple(_worktree_in_place(git, checkout) for checkout in checkouts)
    except (GitError, OSError) as error:
        raise as_workspace_error(spec.id, root, error, [], []) from error
    return PreparedWorkspace(root=root, worktrees=worktrees)


def _worktree_in_place(git: Git, checkout: RepositoryCheckout) -> Worktree:
    known = next((tree for tree in checkout.spec.worktrees if tree.repository == checkout.name), None)
    info = git.inspect(str(checkout.path))
    if info.worktree is None:
        raise NotARepository(repository=str(checkout.path), remedy="work in place needs files: name a worktree")
    base = known.base_commit if known else info.head or ""
    path = known.path if known else info.worktree
    if known is None and git.find_ref(path, base_ref(checkout.spec)) is None and (not base or git.status(path).dirty):
        git.snapshot(path, base_ref(checkout.spec), "the files before any work")
    return Worktree(repository=checkout.name, path=path, base_commit=base, head=info.head or "")


def base_ref(spec: WorkspaceSpec) -> str:
    """Return the hidden ref that work in place is compared to, where not all files were committed."""
    return f"refs/aura/bases/{spec.id}"
