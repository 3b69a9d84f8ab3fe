"""Merging a workspace: the branch into the target of each repository, in all of them or in none.

Conflicts and other obstacles are detected in all repositories before the first is touched. If a merge fails even so,
because its target moved at that moment, the merges before it are undone where that changes no files. After a crash the
merge is requested again: the hidden ref of each source tells whether it was done.
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress

import attrs

from aura_contracts.errors import (
    DirtyWorktree,
    GitError,
    MergeConflict,
    OperationInProgress,
    RefChanged,
    SubmoduleCommitMissing,
    WorkspaceError,
)
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import MergeOutcome
from aura_contracts.ports.workspaces import MergedWorkspace, WorkspaceSpec
from aura_contracts.workspace import ConflictedFiles, MergeStyle, RepositoryCommit
from aura_workspace._checkouts import RepositoryCheckout, find_source, restore_branch, visible
from aura_workspace._session import inventory_without_operation
from aura_workspace._unrecorded import recordable


def kept_ref(spec: WorkspaceSpec, source: str) -> str:
    """Return the hidden ref for the result of merging commit `source`."""
    return f"refs/aura/merges/{spec.id}/{source[:16]}"


@attrs.define
class _MergePlan:
    """A merge to do, or one that an interrupted call has done."""

    checkout: RepositoryCheckout
    top: str
    source: str
    target: str
    """The tip of the target branch."""
    done: str | None
    """The commit that an earlier call made of this source, if the target has it."""
    conflicts: tuple[str, ...] = ()
    outcome: MergeOutcome | None = None


def is_merged(git: Git, spec: WorkspaceSpec, top: str, source: str, target: str) -> bool:
    """Whether `target` contains `source`, itself or as the result of a merge."""
    return git.is_ancestor(top, source, target) or _made_before(git, spec, top, source, target) is not None


def _made_before(git: Git, spec: WorkspaceSpec, top: str, source: str, target: str) -> str | None:
    kept = git.find_ref(top, kept_ref(spec, source))
    return kept if kept is not None and git.is_ancestor(top, kept, target) else None


def _submodule_remedy(top: str, worktree: str | None, path: str) -> str:
    fetch = shlex.join(["git", "-C", top, "submodule", "update", "--init", "--", path])
    if worktree is None:
        return f"get the commit into the submodule of the repository ({fetch}), then try again"
    inner = shlex.quote(f"{worktree}/{path}")
    return (
        f"push it (git -C {inner} push origin HEAD:BRANCH), or make a copy that AURA can keep it in ({fetch}); "
        f"to take its files instead of a submodule: rm -rf {inner}/.git && "
        f"git -C {shlex.quote(worktree)} rm -q --cached {shlex.quote(path)}"
    )


@attrs.frozen
class MergeOperation:
    """One call of `merge`."""

    _git: Git
    _spec: WorkspaceSpec
    _checkouts: Sequence[RepositoryCheckout]
    _style: MergeStyle
    _message: str

    def run(self) -> MergedWorkspace:
        plans = [plan for checkout in self._checkouts if (plan := self._plan(checkout)) is not None]
        if len(plans) > 1:  # a single merge does, or refuses, everything by itself
            pending = [plan for plan in plans if plan.done is None]
            for plan in pending:
                self._predict(plan)
            if conflicts := self._conflicts(plans):
                return MergedWorkspace(conflicts=conflicts)
            for plan in pending:
                self._require_room(plan)
        for number, plan in enumerate(plans):
            try:
                plan.outcome = self._merge(plan)
            except GitError as error:
                self._take_back(plans[:number], error)
                if isinstance(error, MergeConflict):
                    return MergedWorkspace(conflicts=(ConflictedFiles(plan.checkout.name, error.paths),))
                raise
        return self._merged(plans)

    def finish(self) -> MergedWorkspace:
        """Finish what an interrupted call has merged, and merge nothing else."""
        plans = [plan for checkout in self._checkouts if (plan := self._made(checkout)) is not None]
        for plan in plans:
            plan.outcome = self._merge(plan)
        return self._merged(plans)

    def _merged(self, plans: Sequence[_MergePlan]) -> MergedWorkspace:
        made = [(plan.checkout.name, plan.outcome) for plan in plans]
        commits = [RepositoryCommit(name, outcome.commit) for name, outcome in made if outcome is not None]
        return MergedWorkspace(commits=tuple(commits))

    # --- Planning -----------------------------------------------------------------------------------------------------

    def _plan(self, checkout: RepositoryCheckout) -> _MergePlan | None:
        """Return the merge in one repository; None if there are no changes."""
        top = find_source(self._git, checkout.repository.path).top
        self._require_collected(checkout)
        source = self._recorded(checkout, top, restore_branch(self._git, checkout, top))
        target = self._git.find_ref(top, f"refs/heads/{checkout.repository.target_branch}")
        if target is None:
            branch = checkout.repository.target_branch
            command = f"git -C {shlex.quote(top)} branch {shlex.quote(branch)} {checkout.base_commit}"
            raise checkout.obstacle(f"{top} has no branch {branch}", f"make it again: {command}")
        done = _made_before(self._git, self._spec, top, source, target)
        if done is None and self._git.is_ancestor(top, source, target):
            return None
        if done is None:
            shared = self._git.merge_base(top, source, target)
            self._require_start(checkout, top, source, target, shared)
            self._require_submodules(checkout, top, source, shared)
        return _MergePlan(checkout=checkout, top=top, source=source, target=target, done=done)

    def _made(self, checkout: RepositoryCheckout) -> _MergePlan | None:
        """Return the merge of the recorded head that an interrupted call has made, None if the target has none."""
        top = find_source(self._git, checkout.repository.path).top
        target = self._git.find_ref(top, f"refs/heads/{checkout.repository.target_branch}")
        source = next((tree.head for tree in self._spec.worktrees if tree.repository == checkout.name), None)
        if target is None or source is None:
            return None
        done = _made_before(self._git, self._spec, top, source, target)
        if done is None:
            return None
        return _MergePlan(checkout=checkout, top=top, source=source, target=target, done=done)

    def _recorded(self, checkout: RepositoryCheckout, top: str, tip: str) -> str:
        """Return the recorded head, which was approved; later commits stay on the branch.

        Raises `RefChanged` (transient) if the branch lacks it: the work is collected again, and reviewed.
        """
        tree = next((tree for tree in self._spec.worktrees if tree.repository == checkout.name), None)
        if tree is None or tree.head in (tip, tree.base_commit):
            return tip
        if not self._git.is_ancestor(top, tree.head, tip):
            raise RefChanged(repository=top, ref=f"refs/heads/{self._spec.branch}", expected=tree.head, actual=tip)
        return tree.head

    def _require_collected(self, checkout: RepositoryCheckout) -> None:
        """Raise unless the branch has everything in the worktree; a worktree that is gone holds nothing."""
        if checkout.is_absent:
            return
        marker = checkout.require_marker()
        held = inventory_without_operation(self._git, checkout)
        status = recordable(visible(held.status, marker), held.unrecorded)
        if status.dirty:
            paths = (*status.staged, *status.unstaged, *status.untracked)
            raise DirtyWorktree.of(checkout.repository.path, str(checkout.path), paths)

    def _require_start(
        self, checkout: RepositoryCheckout, top: str, source: str, target: str, shared: str | None
    ) -> None:
        """Raise `WorkspaceObstacle` if the target was rewound or rewritten: commits that it lost would come back."""
        base, repository = checkout.base_commit, checkout.repository
        if repository.base or base in {"", shared} or self._git.is_ancestor(top, base, target):
            return
        if not self._git.is_ancestor(top, base, source):
            return
        branch = shlex.quote(repository.target_branch)
        where = shlex.quote(top if checkout.is_absent else str(checkout.path))
        raise checkout.obstacle(
            f"{repository.target_branch} no longer has {base}, which the work started from, and a merge would bring it"
            " back",
            f"move the work (git -C {where} rebase --onto {branch} {base} {self._spec.branch}),"
            f" or bring it back (git -C {shlex.quote(top)} merge {base})",
        )

    def _require_submodules(self, checkout: RepositoryCheckout, top: str, source: str, base: str | None) -> None:
        """Raise `SubmoduleCommitMissing` if a submodule would point to a commit that goes with the worktree."""
        if base is None:
            return
        worktree = None if checkout.is_absent else str(checkout.path)
        lost = self._git.missing_submodule_commits(top, base, source, worktree)
        if not lost:
            return
        unkept: Mapping[str, str] = {}
        if worktree is not None:
            unkept = self._git.keep_submodules(worktree, self._spec.id)
            lost = self._git.missing_submodule_commits(top, base, source, worktree)
        for path, commit in lost.items():
            raise SubmoduleCommitMissing(
                repository=checkout.repository.path,
                commit=commit,
                paths=(path,),
                reason=unkept.get(path, ""),
                remedy=_submodule_remedy(top, worktree, path),
            )

    def _predict(self, plan: _MergePlan) -> None:
        """Find the conflicts. A rebase may have more than a merge, so it is tried on a branch of its own."""
        plan.conflicts = self._git.predict_merge(plan.top, plan.target, plan.source).conflicts
        if plan.conflicts or self._style is not MergeStyle.REBASE:
            return
        trial = f"{self._spec.branch}-trial"
        self._git.update_ref(
            plan.top, f"refs/heads/{trial}", plan.target, self._git.find_ref(plan.top, f"refs/heads/{trial}"), "trial"
        )
        tip = plan.target
        try:
            tip = self._git.merge(
                plan.top, source=plan.source, target_branch=trial, style=self._style, message=self._message
            ).commit
        except MergeConflict as conflict:
            plan.conflicts = conflict.paths
        finally:
            with suppress(GitError):
                self._git.delete_branch(plan.top, trial, tip)

    def _conflicts(self, plans: Sequence[_MergePlan]) -> tuple[ConflictedFiles, ...]:
        return tuple(ConflictedFiles(plan.checkout.name, plan.conflicts) for plan in plans if plan.conflicts)

    def _require_room(self, plan: _MergePlan) -> None:
        """Raise what `GitWorktrees.merge` would raise about a worktree that has the target checked out.

        Other repositories would have been merged by then; `merge` itself checks again, and more closely.
        """
        checkouts = [
            tree
            for tree in self._git.list_worktrees(plan.top)
            if tree.branch == plan.checkout.repository.target_branch and not (tree.bare or tree.prunable)
        ]
        if not checkouts:
            return
        base = self._git.merge_base(plan.top, plan.target, plan.source)
        files = self._git.diff(plan.top, base, plan.source).files if base else ()
        changed = {file.path for file in files} | {file.old_path for file in files if file.old_path}
        for tree in checkouts:
            if operation := self._git.operation(tree.path):
                raise OperationInProgress(
                    repository=plan.checkout.repository.path, worktree=tree.path, operation=str(operation)
                )
            status = self._git.status(tree.path)
            staged_or_conflicted = {*status.staged, *status.conflicted}
            if in_the_way := staged_or_conflicted | (changed & {*status.unstaged, *status.untracked}):
                raise DirtyWorktree.of(plan.checkout.repository.path, tree.path, in_the_way)

    # --- Merging ----------------------------------------------------------------------------------------------------

    def _merge(self, plan: _MergePlan) -> MergeOutcome:
        """Merge. If it was done before, only checkouts that a crash left outdated are updated."""
        outcome = self._git.merge(
            plan.top,
            source=plan.source,
            target_branch=plan.checkout.repository.target_branch,
            expected=None if plan.done else plan.target,
            style=self._style,
            message=self._message,
            keep=kept_ref(self._spec, plan.source),
        )
        if plan.done is None:
            return outcome
        return MergeOutcome(commit=plan.done, previous=outcome.previous, changed=False, checkout=outcome.checkout)

    def _take_back(self, plans: Sequence[_MergePlan], error: GitError) -> None:
        """Undo the merges of this call. Raises `WorkspaceError` if some of them cannot be undone."""
        merged: list[str] = []
        for plan in plans:
            outcome = plan.outcome
            if outcome is None or not (outcome.changed or plan.done):
                continue
            if plan.done is None and outcome.checkout is None and self._is_taken_back(plan, outcome):
                continue
            merged.append(plan.checkout.name)
        if merged:
            raise WorkspaceError(
                workspace_id=self._spec.id,
                path=error.repository,
                reason=f"{error.message()}; merged already: {', '.join(merged)}",
                left_behind=tuple(merged),
                remedy=error.remedy or "merge again: it continues where it stopped",
            ) from error

    def _is_taken_back(self, plan: _MergePlan, outcome: MergeOutcome) -> bool:
        ref = f"refs/heads/{plan.checkout.repository.target_branch}"
        try:
            self._git.update_ref(plan.top, ref, outcome.previous, outcome.commit, "merge: taken back")
        except GitError:
            return False
        return True
