"""The backend that needs no git: dulwich for objects, refs and files' formats, and what it lacks, here.

Each method opens the repository, works, and closes it. What is long lives in modules of its own:

    _dulwich_repository.py  opening, objects, commits         _dulwich_diff.py       differences and patches
    _dulwich_refs.py        revisions, refs, branches         _dulwich_merge.py      three trees into one
    _dulwich_history.py     the graph of commits              _dulwich_merging.py    predict, merge
    _dulwich_index.py       the index and its lock            _dulwich_files.py      writing files
    _dulwich_scan.py        what the files of a worktree are  _dulwich_checkout.py   from tree to tree
    _dulwich_recording.py   status, stage, commit             _dulwich_worktrees.py  linked worktrees
    _dulwich_trees.py, _lines.py, _renames.py, _content.py, _ignore.py, _places.py, _safety.py
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from dulwich.objects import ObjectID

from aura_contracts.errors import GitFailed, NotARepository, UnknownRevision
from aura_contracts.ports.git import (
    Diff,
    Git,
    Identity,
    LinkedWorktree,
    MergeOutcome,
    MergePrediction,
    Operation,
    RepositoryInfo,
    Status,
)
from aura_contracts.workspace import MergeStyle
from aura_git import (
    _dulwich_diff,
    _dulwich_merging,
    _dulwich_recording,
    _dulwich_refs,
    _dulwich_safety,
    _dulwich_worktrees,
    _layout,
)
from aura_git._branch_names import is_valid_branch, is_valid_ref
from aura_git._dulwich_history import History
from aura_git._dulwich_repository import Opened, opened

_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class DulwichGit(Git):
    """Git without a git binary. `timeout` is in seconds, for waiting for another merge in the same repository.

    `environment` is where the user's configuration is looked for (``HOME``, ``XDG_CONFIG_HOME``, ``GIT_CONFIG_*``);
    None: nowhere.
    """

    name = "dulwich"

    def __init__(
        self,
        *,
        identity: Identity = Identity(),  # noqa: B008 - it is immutable
        timeout: float = 120.0,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._timeout = timeout
        self._environment = dict(environment or {})
        self._clock = clock

    def _open(self, path: str, command: str, *, search: bool = False) -> AbstractContextManager[Opened]:
        return opened(path, f"dulwich {command}", self._identity, self._clock(), self._environment, search=search)

    def _worktree(self, path: str, command: str) -> AbstractContextManager[Opened]:
        """Open the worktree at `path`, of which files will change: that one, or none."""
        if not os.path.lexists(os.path.join(path, ".git")):  # noqa: PTH118
            raise NotARepository(repository=path)
        return self._open(path, command)

    # --- Looking ------------------------------------------------------------------------------------------------------

    def inspect(self, path: str) -> RepositoryInfo:
        with self._open(path, "inspect", search=True) as repo:
            return _dulwich_recording.inspect(repo)

    def is_valid_branch(self, name: str) -> bool:
        return is_valid_branch(name)

    def resolve(self, repo: str, revision: str) -> str:
        with self._open(repo, "resolve") as found:
            return _dulwich_refs.resolve(found, revision).decode()

    def find_ref(self, repo: str, ref: str) -> str | None:
        with self._open(repo, "find-ref") as found:
            sha = _dulwich_refs.find_ref(found, ref)
            return None if sha is None else sha.decode()

    def list_refs(self, repo: str, prefix: str) -> dict[str, str]:
        with self._open(repo, "list-refs") as found:
            return _dulwich_refs.list_refs(found, prefix)

    def merge_base(self, repo: str, one: str, other: str) -> str | None:
        with self._open(repo, "merge-base") as found:
            bases = History(found).merge_bases(_dulwich_refs.resolve(found, one), _dulwich_refs.resolve(found, other))
            return bases[0].decode() if bases else None

    def is_ancestor(self, repo: str, ancestor: str, descendant: str) -> bool:
        with self._open(repo, "is-ancestor") as found:
            old, new = _dulwich_refs.resolve(found, ancestor), _dulwich_refs.resolve(found, descendant)
            return History(found).is_ancestor(old, new)

    def status(self, worktree: str) -> Status:
        with self._open(worktree, "status") as repo:
            return _dulwich_recording.status(repo)

    def operation(self, worktree: str) -> Operation | None:
        return _layout.operation(_layout.git_dir(worktree))

    def diff(
        self, repo: str, base: str, target: str | None = None, *, patch: bool = False, patch_limit: int = 1_048_576
    ) -> Diff:
        with self._open(repo, "diff") as found:
            old = _dulwich_refs.resolve(found, base)
            if target is None:
                return _dulwich_diff.diff_worktree(found, old, patch=patch, limit=patch_limit)
            new = _dulwich_refs.resolve(found, target)
            return _dulwich_diff.diff_commits(found, old, new, patch=patch, limit=patch_limit)

    # --- Branches and refs --------------------------------------------------------------------------------------------

    def ensure_branch(self, repo: str, branch: str, start: str) -> str:
        with self._open(repo, "branch") as found:
            return _dulwich_refs.ensure_branch(found, branch, start).decode()

    def delete_branch(self, repo: str, branch: str, expected: str) -> None:
        with self._open(repo, "branch -d") as found:
            _dulwich_refs.delete_branch(found, branch, expected)

    def update_ref(self, repo: str, ref: str, new: str | None, expected: str | None, message: str) -> None:
        if not (ref == "HEAD" or (ref.startswith("refs/") and is_valid_ref(ref))):
            raise GitFailed(
                repository=repo,
                command="dulwich update-ref",
                reason=f"{ref!r} is not the full name of a ref",
                remedy="give a name such as refs/heads/main",
            )
        if new is not None and not _HEX.fullmatch(new):
            raise UnknownRevision(repository=repo, revision=new)
        with self._open(repo, "update-ref") as found:
            _dulwich_refs.update_ref(found, ref, _name(new), _name(expected), message)

    # --- Recording work -----------------------------------------------------------------------------------------------

    def stage(self, worktree: str, paths: Sequence[str] = ()) -> None:
        with self._worktree(worktree, "add") as repo:
            _dulwich_recording.stage(repo, paths)

    def commit(self, worktree: str, message: str, *, allow_empty: bool = False) -> str | None:
        with self._worktree(worktree, "commit") as repo:
            made = _dulwich_recording.commit(repo, message, allow_empty=allow_empty)
            return None if made is None else made.decode()

    # --- Worktrees ----------------------------------------------------------------------------------------------------

    def add_worktree(self, repo: str, path: str, branch: str) -> None:
        with self._open(repo, "worktree add") as found:
            _dulwich_worktrees.add(found, path, branch)

    def add_detached_worktree(self, repo: str, path: str, commit: str) -> None:
        with self._open(repo, "worktree add") as found:
            _dulwich_worktrees.add_detached(found, path, commit)

    def switch_worktree(self, worktree: str, branch: str) -> None:
        with self._worktree(worktree, "checkout") as repo:
            _dulwich_worktrees.switch(repo, branch)

    def move_worktree(self, repo: str, path: str, to: str) -> None:
        with self._open(repo, "worktree move") as found:
            _dulwich_worktrees.move(found, path, to)

    def remove_worktree(self, repo: str, path: str, *, force: bool = False) -> None:
        with self._open(repo, "worktree remove") as found:
            _dulwich_worktrees.remove(found, path, force=force)

    def list_worktrees(self, repo: str) -> tuple[LinkedWorktree, ...]:
        with self._open(repo, "worktree list") as found:
            return _dulwich_worktrees.listed(found)

    def prune_worktrees(self, repo: str) -> None:
        with self._open(repo, "worktree prune") as found:
            _dulwich_worktrees.prune(found)

    def repair_worktrees(self, repo: str, paths: Sequence[str] = ()) -> None:
        with self._open(repo, "worktree repair") as found:
            _dulwich_worktrees.repair(found, paths)

    # --- Merging ------------------------------------------------------------------------------------------------------

    def predict_merge(self, repo: str, target: str, source: str) -> MergePrediction:
        with self._open(repo, "merge-tree") as found:
            return _dulwich_merging.predict(found, target, source)

    def merge(
        self,
        repo: str,
        *,
        source: str,
        target_branch: str,
        expected: str | None = None,
        style: MergeStyle = MergeStyle.MERGE,
        message: str,
        keep: str | None = None,
    ) -> MergeOutcome:
        with self._open(repo, "merge") as found:
            return _dulwich_merging.merge(found, source, target_branch, expected, style, message, keep, self._timeout)

    # --- Safety copies ------------------------------------------------------------------------------------------------

    def snapshot(self, worktree: str, ref: str, message: str) -> str:
        with self._worktree(worktree, "snapshot") as repo:
            return _dulwich_safety.snapshot(repo, ref, message).decode()

    def restore(self, worktree: str, commit: str) -> None:
        with self._worktree(worktree, "restore") as repo:
            _dulwich_safety.restore(repo, commit)


def _name(sha: str | None) -> ObjectID | None:
    return None if sha is None else ObjectID(sha.encode())
