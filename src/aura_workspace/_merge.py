"""Merge a workspace: the branch into the target of each repository, in all of them or in none.

Conflicts, and whatever else may be in the way, are looked for in all repositories before the first is touched. What
still fails then, since somebody moved a target in that moment, undoes the merges before it where that touches nobody's
files. After a crash the merge is asked for again: the hidden ref of each source tells whether it was done.
"""

from collections.abc import Sequence
from contextlib import suppress

import attrs

from aura_contracts.errors import DirtyWorktree, GitError, MergeConflict, OperationInProgress, WorkspaceError
from aura_contracts.ports.git import Git, MergeOutcome
from aura_contracts.ports.workspaces import MergedWorkspace, WorkspaceSpec
from aura_contracts.workspace import ConflictedFiles, MergeStyle, RepositoryCommit
from aura_workspace._sources import find_source
from aura_workspace._checkouts import RepositoryCheckout, WorktreeState, visible
from aura_workspace._session import require_no_operation


def kept_ref(spec: WorkspaceSpec, source: str) -> str:
    """Return the hidden ref that is pointed to what merging commit `source` made."""
    return f"refs/aura/merges/{spec.id}/{source[:16]}"


@attrs.define
class _Plan:
    """A merge that is to be done, or was done by a call that was cut short."""

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
    """Whether `target` has all that is in `source`, by itself or as what a merge made of it."""
    return git.is_ancestor(top, source, target) or _made_before(git, spec, top, source, target) is not None


def _made_before(git: Git, spec: WorkspaceSpec, top: str, source: str, target: str) -> str | None:
    kept = git.find_ref(top, kept_ref(spec, source))
    return kept if kept is not None and git.is_ancestor(top, kept, target) else None


class Merge:
    """One call of `merge`."""

    def __init__(self, git: Git, spec: WorkspaceSpec, checkouts: Sequence[RepositoryCheckout], style: MergeStyle, message: str) -> None:
        self._git = git
        self._spec = spec
        self._checkouts = checkouts
        self._style = style
        self._message = message

    def run(self) -> MergedWorkspace:
        plans = [plan for checkout in self._checkouts if (plan := self._plan(checkout)) is not None]
        for plan in plans:
            if plan.done is None:
                self._foresee(plan)
        if conflicts := self._conflicts(plans):
            return MergedWorkspace(conflicts=conflicts)
        for plan in plans:
            if plan.done is None:
                self._require_room(plan)
        for number, plan in enumerate(plans):
            try:
                plan.outcome = self._merge(plan)
            except GitError as error:
                self._take_back(plans[:number], error)
                if isinstance(error, MergeConflict):
                    return MergedWorkspace(conflicts=(ConflictedFiles(plan.checkout.name, error.paths),))
                raise
        made = [(plan.checkout.name, plan.outcome) for plan in plans]
        commits = [RepositoryCommit(name, outcome.commit) for name, outcome in made if outcome is not None]
        return MergedWorkspace(commits=tuple(commits))

    # --- Looking ------------------------------------------------------------------------------------------------------

    def _plan(self, checkout: RepositoryCheckout) -> _Plan | None:
        """Return what is to be merged in a repository; None for one without changes."""
        top = find_source(self._git, checkout.repository.path).top
        self._require_collected(checkout)
        source = self._git.find_ref(top, f"refs/heads/{self._spec.branch}")
        if source is None:
            raise checkout.problem(f"{checkout.repository.path} has no branch {self._spec.branch}", "prepare it again")
        source = self._recorded(checkout, top, source)
        target = self._git.resolve(top, f"refs/heads/{checkout.repository.target_branch}")
        done = _made_before(self._git, self._spec, top, source, target)
        if done is None and self._git.is_ancestor(top, source, target):
            return None
        return _Plan(checkout=checkout, top=top, source=source, target=target, done=done)

    def _recorded(self, checkout: RepositoryCheckout, top: str, tip: str) -> str:
        """Return the head that was recorded: it is what was approved. What was added since stays on the branch."""
        tree = next((tree for tree in self._spec.worktrees if tree.repository == checkout.name), None)
        if tree is None or tree.head in (tip, tree.base_commit) or not self._git.is_ancestor(top, tree.head, tip):
            return tip
        return tree.head

    def _require_collected(self, checkout: RepositoryCheckout) -> None:
        """A worktree must hold nothing that the branch has not; one that is gone does not."""
        if checkout.probe()[0] is WorktreeState.ABSENT:
            return
        marker = checkout.require_marker()
        require_no_operation(self._git, checkout)
        status = visible(self._git.status(str(checkout.path)), marker)
        if status.dirty:
            paths = tuple(sorted({*status.staged, *status.unstaged, *status.untracked}))
            raise DirtyWorktree(repository=checkout.repository.path, worktree=str(checkout.path), paths=paths)

    def _foresee(self, plan: _Plan) -> None:
        """Find the conflicts. Rebasing may meet some that merging does not, so it is tried on a branch of its own."""
        plan.conflicts = self._git.predict_merge(plan.top, plan.target, plan.source).conflicts
        if plan.conflicts or self._style is not MergeStyle.REBASE or len(self._checkouts) == 1:
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

    def _conflicts(self, plans: Sequence[_Plan]) -> tuple[ConflictedFiles, ...]:
        return tuple(ConflictedFiles(plan.checkout.name, plan.conflicts) for plan in plans if plan.conflicts)

    def _require_room(self, plan: _Plan) -> None:
        """Raise what `Git.merge` would, of a worktree that has the target checked out.

        Only where an earlier repository would have been merged by then: git looks again itself, and more closely.
        """
        if len(self._checkouts) == 1:
            return
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
                paths = tuple(sorted(in_the_way))
                raise DirtyWorktree(repository=plan.checkout.repository.path, worktree=tree.path, paths=paths)

    # --- Merge ------------------------------------------------------------------------------------------------------

    def _merge(self, plan: _Plan) -> MergeOutcome:
        """Merge; what was done before is only finished, should a crash have left a checkout behind."""
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

    def _take_back(self, plans: Sequence[_Plan], error: GitError) -> None:
        """Undo merges of this call. Raises `WorkspaceError` when there are some that cannot be undone."""
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
                remedy=error.remedy or "merge again: it goes on where it stopped",
            ) from error

    def _is_taken_back(self, plan: _Plan, outcome: MergeOutcome) -> bool:
        ref = f"refs/heads/{plan.checkout.repository.target_branch}"
        try:
            self._git.update_ref(plan.top, ref, outcome.previous, outcome.commit, "merge: taken back")
        except GitError:
            return False
        return True
