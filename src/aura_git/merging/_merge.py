"""Merging a commit into a branch, and predicting that without touching a ref or a worktree.

A merge goes through these steps, so that after a crash between any two the same merge can be repeated:

1. the new commits are made, as objects: nothing refers to them;
2. `keep` is pointed to the new tip;
3. the target branch is moved from its old tip to the new one, by compare-and-swap;
4. a worktree that has the target checked out is taken from the old tree to the new one (``read-tree -m -u``).

Everything that step 4 needs is checked before step 2. A crash between 3 and 4 leaves a checkout whose index and files
are those of the old tip; repeating the merge finds that the target contains `keep`, and does step 4. If step 4 is
refused after all, because a file was edited in between, the target is moved back.

Merges into one repository wait for each other (`repository_lock`), in this process and in others.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from aura_contracts.errors import GitError, GitFailed, MergeConflict, RefChanged, UnknownRevision
from aura_contracts.ports.git_values import MergeOutcome, MergePrediction
from aura_contracts.workspace import MergeStyle
from aura_git.commandline._output import paths
from aura_git.merging._checkout import Checkout, checkouts_of
from aura_git.repository._git_repository import GitRepository
from aura_git.repository._lock import repository_lock


def merge(
    repository: GitRepository,
    source: str,
    branch: str,
    expected: str | None,
    style: MergeStyle,
    message: str,
    keep: str | None,
) -> MergeOutcome:
    """See `GitWorktrees.merge`."""
    if keep is not None:
        repository.require_ref(keep)
    with repository_lock(repository.path, repository.common_dir, repository.command.timeout):
        return _Merge(repository, repository.resolve(source), branch, style, message).run(expected, keep)


class _Merge:
    """One merge of `source` into a branch, by the holder of the lock."""

    def __init__(self, repository: GitRepository, source: str, branch: str, style: MergeStyle, message: str) -> None:
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
        self._update_checkouts(checkouts, new)
        where = checkouts[0].path if checkouts else None
        return MergeOutcome(commit=new, previous=self.previous, changed=True, checkout=where)

    # --- After a crash ----------------------------------------------------------------------------------------------

    def _is_done(self, kept: str) -> bool:
        """Whether this merge was done before: the target contains `kept`, and `kept` all of the source."""
        if not self.repository.is_ancestor(kept, self.previous):
            return False
        if self.repository.is_ancestor(self.source, kept):
            return True
        if self.style is MergeStyle.MERGE or self.repository.merge_base(kept, self.source) is None:
            return False
        conflicts, tree = merge_trees(self.repository, kept, self.source)
        return not conflicts and tree == self.repository.tree(kept)

    def _finish(self) -> MergeOutcome:
        """Finish what a crash may have left undone: update checkouts that are still as before the merge."""
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
        """Repeat the source's commits on the target; return the last one.

        Merge commits are left out, as ``git rebase`` does. If that would lose changes, it is a conflict.
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
        """Repeat `commit` on `tip` with its author, date and message; return `tip` if it has the change already."""
        raw = self.repository.git("cat-file", "commit", commit).out
        # Git merges two commits over their common parent: so one with the tree of `tip`, and the parent of `commit`.
        base = _first_parent(raw)
        theirs = commit
        if base is None:
            base = self.repository.commit_tree(self.repository.empty_tree(), (), "")
            theirs = self.repository.commit_tree(self.repository.tree(commit), (base,), "")
        before, after, current = self.repository.trees(base, commit, tip)
        ours = self.repository.commit_tree(current, (base,), "")
        conflicts, tree = merge_trees(self.repository, ours, theirs)
        if conflicts:
            raise self._conflict(conflicts)
        if tree == current and before != after:
            return tip
        again = _commit_again(raw, tree, tip, committer)
        return self.repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=again).text

    def _conflict(self, conflicts: Sequence[str]) -> MergeConflict:
        return MergeConflict(
            repository=self.repository.path, source=self.source, target=self.branch, paths=tuple(conflicts)
        )

    # --- Checkouts --------------------------------------------------------------------------------------------------

    def _update_checkouts(self, checkouts: Sequence[Checkout], new: str) -> None:
        done: list[Checkout] = []
        try:
            for checkout in checkouts:
                checkout.go(self.previous, new)
                done.append(checkout)
        except GitError:
            self.repository.update_ref(self.ref, self.previous, new, "merge: taken back")
            for checkout in reversed(done):
                checkout.go(new, self.previous)
            checkouts[len(done)].require_room(self.previous, new)  # names the files in the way, if that was the reason
            raise


def _first_parent(raw: bytes) -> str | None:
    """Return the parent that a commit object names first."""
    header = raw.partition(b"\n\n")[0].split(b"\n")
    return next((line.removeprefix(b"parent ").decode() for line in header if line.startswith(b"parent ")), None)


def _commit_again(raw: bytes, tree: str, parent: str, committer: bytes) -> bytes:
    """Return a commit object with the author, encoding and message of `raw`; signatures no longer hold, so they go."""
    head, _, message = raw.partition(b"\n\n")
    lines = head.split(b"\n")
    author = next(line for line in lines if line.startswith(b"author "))
    encoding = [line for line in lines if line.startswith(b"encoding ")]
    header = [b"tree " + os.fsencode(tree), b"parent " + os.fsencode(parent), author, b"committer " + committer]
    return b"\n".join([*header, *encoding]) + b"\n\n" + message


# --- Prediction -------------------------------------------------------------------------------------------------------

_MERGE_TREE = (2, 38)
"""The first version with ``merge-tree --write-tree``."""

_MERGE_OPTIONS = ("--no-commit", "--no-ff", "--no-stat", "--no-verify", "--no-verify-signatures", "--no-autostash")


def predict(repository: GitRepository, target: str, source: str) -> MergePrediction:
    """See `GitWorktrees.predict_merge`."""
    ours, theirs = repository.resolve(target), repository.resolve(source)
    base = repository.merge_base(ours, theirs)
    if base is None:
        shallow = os.path.exists(os.path.join(repository.common_dir, "shallow"))
        raise GitFailed(
            repository=repository.path,
            command="git merge",
            reason=f"{target} and {source} have no common ancestor",
            remedy="fetch the rest of the history with `git fetch --unshallow`" if shallow else "",
        )
    if base == theirs:
        return MergePrediction(tree=repository.tree(ours), merge_base=base, already_merged=True)
    conflicts, tree = merge_trees(repository, ours, theirs)
    return MergePrediction(conflicts=conflicts, tree=None if conflicts else tree, merge_base=base)


def merge_trees(repository: GitRepository, ours: str, theirs: str) -> tuple[tuple[str, ...], str]:
    """Merge two commits; return the paths in conflict, and the resulting tree if no path is in conflict.

    Since 2.38, ``git merge-tree --write-tree`` does that. Older versions run ``git merge`` in a temporary worktree: a
    git directory that borrows objects, refs and configuration from the repository, and a folder in which git writes
    only the files that the merge changes. Both ways use the strategy ``ort`` with the same settings.
    """
    if repository.command.version < _MERGE_TREE:
        return _merge_in_scratch_worktree(repository, ours, theirs)
    done = repository.on_files(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, codes=(0, 1)
    )
    tree, *conflicts = paths(done.out)
    if done.code == 1 and not conflicts:
        raise repository.command.failure(repository.path, ["merge-tree"], done)
    return _without_labels(conflicts, (ours, theirs)), tree


def _merge_in_scratch_worktree(repository: GitRepository, ours: str, theirs: str) -> tuple[tuple[str, ...], str]:
    with repository.scratch.folder() as folder:
        scratch = _scratch_worktree(Path(folder), repository.common_dir, ours) | repository.author
        repository.git("read-tree", ours, variables=scratch)
        merge = ("-c", "core.sparseCheckout=false", "merge", "-q", "-s", "ort", *_MERGE_OPTIONS, theirs)
        done = repository.on_scratch_files(*merge, variables=scratch, codes=(0, 1))
        if done.code == 0:
            return (), repository.git("write-tree", variables=scratch).text
        entries = paths(repository.git("ls-files", "-u", "-z", variables=scratch).out)
        if not entries:
            raise repository.command.failure(repository.path, ["merge"], done)
        return _without_labels((entry.partition("\t")[2] for entry in entries), ("HEAD", theirs)), ""


def _without_labels(conflicts: Iterable[str], sides: tuple[str, str]) -> tuple[str, ...]:
    """Return the paths in conflict, without the name of a side that git appends to a file in place of a folder."""
    label = re.compile(rf"~(?:{'|'.join(sides)})(?:_\d+)?$")
    return tuple(sorted({label.sub("", path) for path in conflicts}))


def _scratch_worktree(folder: Path, common_dir: str, commit: str) -> dict[str, str]:
    """Make a worktree with no files, with `commit` as its HEAD; return the variables with which git works in it."""
    git_dir, tree = folder / "git", folder / "tree"
    git_dir.mkdir()
    tree.mkdir()
    (git_dir / "HEAD").write_text(f"{commit}\n")
    (git_dir / "commondir").write_bytes(os.fsencode(common_dir) + b"\n")
    return {"GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(git_dir / "index")}
