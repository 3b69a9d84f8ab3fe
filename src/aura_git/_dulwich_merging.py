"""Predicting and doing merges, in the same steps as the command line backend (see `_cli_merging`).

New commits as objects; `keep`; the branch by compare-and-swap; then the checkouts, whose indexes are locked from the
first look on. A crash between the last two is mended by the same merge, done again.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from dulwich.objects import ObjectID

from aura_contracts.errors import GitError, MergeConflict, OperationInProgress, RefChanged
from aura_contracts.ports.git import MergeOutcome, MergePrediction
from aura_contracts.workspace import MergeStyle
from aura_git import _layout
from aura_git._dulwich_checkout import Checkout
from aura_git._dulwich_history import History
from aura_git._dulwich_index import held
from aura_git._dulwich_merge import merge_commits, merge_trees
from aura_git._dulwich_refs import existing_branch, find_ref, move_ref, resolve, users_of
from aura_git._dulwich_repository import Opened, message_bytes
from aura_git._dulwich_trees import compare
from aura_git._locking import merge_lock


def predict(repo: Opened, target: str, source: str) -> MergePrediction:
    return _predicted(repo, History(repo), resolve(repo, target), resolve(repo, source))


def _predicted(repo: Opened, history: History, ours: ObjectID, theirs: ObjectID) -> MergePrediction:
    bases = history.merge_bases(ours, theirs)
    if not bases:
        shallow = Path(repo.place.common_dir, "shallow").exists()
        raise repo.failure(
            f"{ours.decode()} and {theirs.decode()} have no common ancestor",
            "fetch the rest of the history with `git fetch --unshallow`" if shallow else "",
        )
    base = bases[0].decode()
    if bases[0] == theirs:
        return MergePrediction(tree=repo.tree(ours).decode(), merge_base=base, already_merged=True)
    merged = merge_commits(repo, history, ours, theirs)
    conflicts = tuple(os.fsdecode(path) for path in merged.conflicts)
    return MergePrediction(conflicts=conflicts, tree=None if conflicts else merged.tree.decode(), merge_base=base)


def merge(
    repo: Opened,
    source: str,
    branch: str,
    expected: str | None,
    style: MergeStyle,
    message: str,
    keep: str | None,
    timeout: float,
) -> MergeOutcome:
    with merge_lock(repo.asked, repo.place.common_dir, timeout):
        return _Merge(repo, source, branch, style, message).run(expected, keep)


class _Merge:
    """One merge of `source` into a branch, in the hands of the holder of the lock."""

    def __init__(self, repo: Opened, source: str, branch: str, style: MergeStyle, message: str) -> None:
        self._repo = repo
        self._history = History(repo)
        self._source = resolve(repo, source)
        self._branch = branch
        self._ref, self._previous = existing_branch(repo, branch)
        self._style = style
        self._message = message

    def run(self, expected: str | None, keep: str | None) -> MergeOutcome:
        kept = find_ref(self._repo, keep) if keep else None
        if kept is not None and self._is_done(kept):
            return self._finish()
        previous = self._previous.decode()
        if expected is not None and expected != previous:
            raise RefChanged(
                repository=self._repo.asked, ref=os.fsdecode(self._ref), expected=expected, actual=previous
            )
        new = self._new_tip()
        if new == self._previous:
            return MergeOutcome(commit=previous, previous=previous, changed=False)
        with ExitStack() as stack:
            checkouts = self._checkouts(stack)
            for checkout in checkouts:
                checkout.require_room(self._tree(self._previous), self._tree(new))
            if keep:
                move_ref(self._repo, os.fsencode(keep), new, kept, "")
            move_ref(self._repo, self._ref, new, self._previous, f"merge: {self._source.decode()} ({self._style})")
            self._bring_up_to_date(checkouts, new)
            where = os.fsdecode(checkouts[0].path) if checkouts else None
        return MergeOutcome(commit=new.decode(), previous=previous, changed=True, checkout=where)

    def _tree(self, commit: ObjectID) -> ObjectID:
        return self._repo.tree(commit)

    # --- Done before --------------------------------------------------------------------------------------------------

    def _is_done(self, kept: ObjectID) -> bool:
        """Whether the target has `kept`, and `kept` has all of the source: then this merge was done before."""
        if not self._history.is_ancestor(kept, self._previous):
            return False
        if self._history.is_ancestor(self._source, kept):
            return True
        if self._style is MergeStyle.MERGE or not self._history.merge_bases(kept, self._source):
            return False
        merged = merge_commits(self._repo, self._history, kept, self._source)
        return not merged.conflicts and merged.tree == self._tree(kept)

    def _finish(self) -> MergeOutcome:
        """Do what a crash may have left undone: bring checkouts up to date that still are as before the merge."""
        with ExitStack() as stack:
            late = [checkout for checkout in self._checkouts(stack) if checkout.catch_up(self._previous)]
            where = os.fsdecode(late[0].path) if late else None
        tip = self._previous.decode()
        return MergeOutcome(commit=tip, previous=tip, changed=False, checkout=where)

    # --- New commits --------------------------------------------------------------------------------------------------

    def _new_tip(self) -> ObjectID:
        """Make the commits; return the last one, or the old tip when there is nothing to merge."""
        prediction = _predicted(self._repo, self._history, self._previous, self._source)
        if prediction.already_merged:
            return self._previous
        if prediction.conflicts or prediction.tree is None:
            raise self._conflict(prediction.conflicts)
        tree = ObjectID(prediction.tree.encode())
        message = message_bytes(self._message)
        if self._style is MergeStyle.MERGE:
            return self._repo.make_commit(tree, [self._previous, self._source], message)
        if tree == self._tree(self._previous):
            return self._previous
        if self._style is MergeStyle.SQUASH:
            return self._repo.make_commit(tree, [self._previous], message)
        return self._rebased(tree, is_forward=prediction.merge_base == self._previous.decode())

    def _rebased(self, merged: ObjectID, *, is_forward: bool) -> ObjectID:
        """Make the source's commits again on the target; return the last one.

        Merge commits are left out, as ``git rebase`` does. If what they hold is lost by that, it is a conflict.
        """
        every = self._history.between([self._previous], self._source)
        commits = [sha for sha in every if len(self._history.parents(sha)) < 2]
        if is_forward and every == commits:
            return self._source
        tip = self._previous
        for sha in commits:
            tip = self._picked(sha, tip)
        if every != commits and self._tree(tip) != merged:
            lost = compare(self._repo, self._tree(tip), merged)
            raise self._conflict(sorted(os.fsdecode(path) for path in lost))
        return tip

    def _picked(self, sha: ObjectID, tip: ObjectID) -> ObjectID:
        """Make a commit again on `tip`: author, date and message are kept; what `tip` has already is left out."""
        commit = self._repo.commit(sha)
        parents = self._history.parents(sha)
        before = self._tree(parents[0]) if parents else self._repo.empty_tree()
        current = self._tree(tip)
        picked = merge_trees(self._repo, before, current, commit.tree)
        if picked.conflicts:
            raise self._conflict([os.fsdecode(path) for path in picked.conflicts])
        if picked.tree == current and before != commit.tree:
            return tip
        return self._repo.make_commit(picked.tree, [tip], commit.message, like=commit)

    def _conflict(self, conflicts: Sequence[str]) -> MergeConflict:
        return MergeConflict(
            repository=self._repo.asked,
            source=self._source.decode(),
            target=self._branch,
            paths=tuple(conflicts),
        )

    # --- Checkouts ----------------------------------------------------------------------------------------------------

    def _checkouts(self, stack: ExitStack) -> list[Checkout]:
        """Open and lock the worktrees that have the target checked out and whose folder is there.

        Raises `OperationInProgress` for one that a rebase or a bisection took off the branch and will put back.
        """
        found = []
        for directory, path in users_of(self._repo, self._ref):
            if not os.path.isdir(path):  # noqa: PTH112
                continue
            operation = _layout.operation(directory)
            if operation is not None:
                raise OperationInProgress(repository=self._repo.asked, worktree=path, operation=operation)
            inner = stack.enter_context(self._repo.another(path))
            found.append(Checkout(inner, stack.enter_context(held(inner))))
        return found

    def _bring_up_to_date(self, checkouts: Sequence[Checkout], new: ObjectID) -> None:
        done: list[Checkout] = []
        old_tree, new_tree = self._tree(self._previous), self._tree(new)
        try:
            for checkout in checkouts:
                checkout.go(old_tree, new_tree)
                done.append(checkout)
        except BaseException:
            for checkout in reversed(done):
                with suppress(GitError, OSError):
                    checkout.go_back(new_tree, old_tree)
            move_ref(self._repo, self._ref, self._previous, new, "merge: taken back")
            raise
