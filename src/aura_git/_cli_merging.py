"""Predicting and doing merges without a worktree, with git commands.

A merge goes through these steps, so that a crash between any two is seen and mended by doing the merge again:

1. the new commits are made, as objects: nothing refers to them;
2. `keep` is pointed to the new tip;
3. the target branch is moved from its old tip to the new one, by compare-and-swap;
4. a worktree that has the target checked out is taken from the old tree to the new one (``read-tree -m -u``).

Before step 2 everything is checked that step 4 needs. A crash between 3 and 4 leaves a checkout whose index and files
are as the old tip; the same merge, done again, finds the target to have `keep`, and does step 4. If step 4 is refused
after all, because somebody edited a file in between, the target is moved back.

Merges into one repository wait for one another (`merge_lock`), in this process and in others.
"""

import os
from collections.abc import Sequence

from aura_contracts.errors import GitError, GitFailed, MergeConflict, RefChanged, UnknownRevision
from aura_contracts.ports.git import MergeOutcome, MergePrediction
from aura_contracts.workspace import MergeStyle
from aura_git._checkout import Checkout, checkouts_of
from aura_git._locking import merge_lock
from aura_git._parsing import paths
from aura_git._repository import Repository

# --- Predicting -------------------------------------------------------------------------------------------------------


def predict(repository: Repository, target: str, source: str) -> MergePrediction:
    ours, theirs = repository.resolve(target), repository.resolve(source)
    base = repository.merge_base(ours, theirs)
    if base is None:
        shallow = repository.git("rev-parse", "--is-shallow-repository").text == "true"
        raise GitFailed(
            repository=repository.path,
            command="git merge-tree",
            reason=f"{target} and {source} have no common ancestor",
            remedy="fetch the rest of the history with `git fetch --unshallow`" if shallow else "",
        )
    if base == theirs:
        return MergePrediction(tree=repository.tree(ours), merge_base=base, already_merged=True)
    conflicts, tree = _merge_trees(repository, ours, theirs)
    return MergePrediction(conflicts=conflicts, tree=None if conflicts else tree, merge_base=base)


def _merge_trees(repository: Repository, ours: str, theirs: str) -> tuple[tuple[str, ...], str]:
    """Return the paths in conflict, and the tree that results where there are none."""
    done = repository.on_files(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, codes=(0, 1)
    )
    tree, *conflicts = paths(done.out)
    if done.code == 1 and not conflicts:
        raise repository.command.failure(repository.path, ["merge-tree"], done)
    return tuple(sorted(set(conflicts))), tree


# --- Merging ----------------------------------------------------------------------------------------------------------


def merge(
    repository: Repository,
    source: str,
    branch: str,
    expected: str | None,
    style: MergeStyle,
    message: str,
    keep: str | None,
) -> MergeOutcome:
    if keep is not None:
        repository.require_ref(keep)
    with merge_lock(repository.path, repository.common_dir, repository.command.timeout):
        return _Merge(repository, repository.resolve(source), branch, style, message).run(expected, keep)


class _Merge:
    """One merge of `source` into a branch, in the hands of the holder of the lock."""

    def __init__(self, repository: Repository, source: str, branch: str, style: MergeStyle, message: str) -> None:
        self.repository = repository
        self.source = source
        self.branch = branch
        self.ref = f"refs/heads/{branch}"
        self.style = style
        self.message = message
        found = repository.find_ref(self.ref)
        if found is None:
            raise UnknownRevision(repository=repository.path, revision=branch)
        self.previous = found

    def run(self, expected: str | None, keep: str | None) -> MergeOutcome:
        kept = self.repository.find_ref(keep) if keep else None
        if kept is not None and self._is_done(kept):
            return self._finish()
        if expected is not None and expected != self.previous:
            raise RefChanged(repository=self.repository.path, ref=self.ref, expected=expected, actual=self.previous)
        new = self._new_tip()
        if new == self.previous:
            return MergeOutcome(commit=new, previous=new, changed=False)
        checkouts = checkouts_of(self.repository, self.branch)
        for checkout in checkouts:
            checkout.require_room(self.previous, new)
        if keep:
            self.repository.git("update-ref", "--create-reflog", "-m", f"merge: into {self.branch}", keep, new)
        self.repository.update_ref(self.ref, new, self.previous, f"merge: {self.source} ({self.style})")
        self._bring_up_to_date(checkouts, new)
        where = checkouts[0].path if checkouts else None
        return MergeOutcome(commit=new, previous=self.previous, changed=True, checkout=where)

    # --- Done before ------------------------------------------------------------------------------------------------

    def _is_done(self, kept: str) -> bool:
        """Whether the target has `kept`, and `kept` has all of the source: then this merge was done before."""
        if not self.repository.is_ancestor(kept, self.previous):
            return False
        if self.repository.is_ancestor(self.source, kept):
            return True
        if self.style is MergeStyle.MERGE or self.repository.merge_base(kept, self.source) is None:
            return False
        conflicts, tree = _merge_trees(self.repository, kept, self.source)
        return not conflicts and tree == self.repository.tree(kept)

    def _finish(self) -> MergeOutcome:
        """Do what a crash may have left undone: bring checkouts up to date that still are as before the merge."""
        late = [c for c in checkouts_of(self.repository, self.branch) if c.catch_up(self.previous)]
        where = late[0].path if late else None
        return MergeOutcome(commit=self.previous, previous=self.previous, changed=False, checkout=where)

    # --- New commits ------------------------------------------------------------------------------------------------

    def _new_tip(self) -> str:
        """Make the commits; return the last one, or the old tip when there is nothing to merge."""
        prediction = predict(self.repository, self.previous, self.source)
        if prediction.already_merged:
            return self.previous
        if prediction.conflicts or prediction.tree is None:
            raise self._conflict(prediction.conflicts)
        nothing_new = prediction.tree == self.repository.tree(self.previous)
        match self.style:
            case MergeStyle.MERGE:
                parents = [self.previous, self.source]
                return self.repository.commit_tree(prediction.tree, parents, self.message)
            case MergeStyle.SQUASH if not nothing_new:
                return self.repository.commit_tree(prediction.tree, [self.previous], self.message)
            case MergeStyle.REBASE if not nothing_new:
                return self._rebased(prediction.tree, prediction.merge_base == self.previous)
            case _:
                return self.previous

    def _rebased(self, merged: str, is_forward: bool) -> str:  # noqa: FBT001 - named where it is called
        """Make the source's commits again on the target; return the last one.

        Merge commits are left out, as ``git rebase`` does. If what they hold is lost by that, it is a conflict.
        """
        history = ("rev-list", "--reverse", "--topo-order", f"{self.previous}..{self.source}")
        every = self.repository.git(*history).text.split()
        commits = self.repository.git(*history, "--no-merges").text.split()
        if is_forward and every == commits:
            return self.source
        committer = self.repository.git("var", "GIT_COMMITTER_IDENT", variables=self.repository.author).out.strip()
        tip = self.previous
        for commit in commits:
            tip = self._picked(commit, tip, committer)
        result = self.repository.tree(tip)
        if every != commits and result != merged:
            raise self._conflict(self.repository.changed_paths(result, merged))
        return tip

    def _picked(self, commit: str, tip: str, committer: bytes) -> str:
        """Make `commit` again on `tip`: author, date and message are kept; what `tip` has already is left out."""
        raw = self.repository.git("cat-file", "commit", commit).out
        parent = (
            raw.split(b"\nparent ", 1)[1][: len(commit)].decode() if b"\nparent " in raw.split(b"\n\n")[0] else None
        )
        before = self.repository.tree(parent) if parent else self.repository.empty_tree()
        after, current = self.repository.tree(commit), self.repository.tree(tip)
        # The same trees in three commits of which one is the others' parent: git then merges over that one.
        base = self._synthetic(before)
        ours, theirs = self._synthetic(current, base), self._synthetic(after, base)
        conflicts, tree = _merge_trees(self.repository, ours, theirs)
        if conflicts:
            raise self._conflict(conflicts)
        if tree == current and before != after:
            return tip
        again = _commit_again(raw, tree, tip, committer)
        return self.repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=again).text

    def _synthetic(self, tree: str, *parents: str) -> str:
        """Write a commit that only serves to merge trees."""
        return self.repository.commit_tree(tree, parents, "")

    def _conflict(self, conflicts: Sequence[str]) -> MergeConflict:
        return MergeConflict(
            repository=self.repository.path, source=self.source, target=self.branch, paths=tuple(conflicts)
        )

    # --- Checkouts --------------------------------------------------------------------------------------------------

    def _bring_up_to_date(self, checkouts: Sequence[Checkout], new: str) -> None:
        done: list[Checkout] = []
        try:
            for checkout in checkouts:
                checkout.go(self.previous, new)
                done.append(checkout)
        except GitError:
            self.repository.update_ref(self.ref, self.previous, new, "merge: taken back")
            for checkout in reversed(done):
                checkout.go(new, self.previous)
            checkouts[len(done)].require_room(self.previous, new)  # says which files came in the way, if that was it
            raise


def _commit_again(raw: bytes, tree: str, parent: str, committer: bytes) -> bytes:
    """Return a commit with the author, encoding and message of `raw`; signatures are void and left out."""
    head, _, message = raw.partition(b"\n\n")
    lines = head.split(b"\n")
    author = next(line for line in lines if line.startswith(b"author "))
    encoding = [line for line in lines if line.startswith(b"encoding ")]
    header = [b"tree " + os.fsencode(tree), b"parent " + os.fsencode(parent), author, b"committer " + committer]
    return b"\n".join([*header, *encoding]) + b"\n\n" + message
