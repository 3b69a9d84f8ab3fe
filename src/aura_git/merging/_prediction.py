"""Predicting a merge: merging two commits into a tree without touching a ref or a worktree.

Since 2.38, ``git merge-tree --write-tree`` does that. Older versions run ``git merge`` in a temporary worktree: a git
directory that borrows objects, refs and configuration from the repository, and a folder in which git writes only the
files that the merge changes. Both ways use the strategy ``ort`` with the same settings.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from aura_contracts.errors import GitFailed
from aura_contracts.ports.git import MergePrediction
from aura_git.commandline._output import paths
from aura_git.repository._git_repository import GitRepository

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
    """Merge two commits; return the paths in conflict, and the resulting tree if no path is in conflict."""
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
    with TemporaryDirectory(prefix="aura-merge-") as folder:
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
