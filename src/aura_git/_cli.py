"""The backend that runs the git command line (2.38 or newer).

Each method is one to a few git commands; what is long lives in modules of its own:

    _cli_files.py      status, diff, stage, commit
    _cli_worktrees.py  linked worktrees
    _cli_merging.py    predict, merge
    _cli_safety.py     snapshot, restore
"""

import os
import re
from collections.abc import Mapping, Sequence

from aura_contracts.errors import BranchInUse, InvalidBranchName, NotARepository, RefChanged, UnknownRevision
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
from aura_git import _cli_files, _cli_safety, _cli_worktrees, _layout
from aura_git._branch_names import is_valid_branch
from aura_git._cli_merging import merge, predict
from aura_git._command import Command
from aura_git._repository import Repository

_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class CommandLineGit(Git):
    """Git by its command line. `timeout` is in seconds, for each git command."""

    name = "git"

    def __init__(
        self,
        executable: str,
        *,
        identity: Identity = Identity(),  # noqa: B008 - it is immutable
        timeout: float = 120.0,
        environment: Mapping[str, str],
    ) -> None:
        self.executable = executable
        self._identity = identity
        self._command = Command(executable, environment, timeout)

    def _repository(self, path: str) -> Repository:
        return Repository(self._command, path, self._identity)

    # --- Looking ------------------------------------------------------------------------------------------------------

    def inspect(self, path: str) -> RepositoryInfo:
        return _cli_files.inspect(self._command, path)

    def is_valid_branch(self, name: str) -> bool:
        return is_valid_branch(name)

    def resolve(self, repo: str, revision: str) -> str:
        return self._repository(repo).resolve(revision)

    def find_ref(self, repo: str, ref: str) -> str | None:
        return self._repository(repo).find_ref(ref)

    def list_refs(self, repo: str, prefix: str) -> dict[str, str]:
        return self._repository(repo).list_refs(prefix)

    def merge_base(self, repo: str, one: str, other: str) -> str | None:
        repository = self._repository(repo)
        return repository.merge_base(repository.resolve(one), repository.resolve(other))

    def is_ancestor(self, repo: str, ancestor: str, descendant: str) -> bool:
        repository = self._repository(repo)
        return repository.is_ancestor(repository.resolve(ancestor), repository.resolve(descendant))

    def status(self, worktree: str) -> Status:
        return _cli_files.status(self._repository(worktree))

    def operation(self, worktree: str) -> Operation | None:
        return _layout.operation(_layout.git_dir(worktree))

    def diff(
        self, repo: str, base: str, target: str | None = None, *, patch: bool = False, patch_limit: int = 1_048_576
    ) -> Diff:
        return _cli_files.diff(self._repository(repo), base, target, patch_limit if patch else None)

    # --- Branches and refs --------------------------------------------------------------------------------------------

    def ensure_branch(self, repo: str, branch: str, start: str) -> str:
        self._require_branch_name(repo, branch)
        repository, ref = self._repository(repo), f"refs/heads/{branch}"
        if found := repository.find_ref(ref):
            return found
        commit = repository.resolve(start)
        try:
            repository.update_ref(ref, commit, None, f"branch: created from {start}")
        except RefChanged as changed:
            if changed.actual is None:
                raise
            return changed.actual
        return commit

    def delete_branch(self, repo: str, branch: str, expected: str) -> None:
        self._require_branch_name(repo, branch)
        repository, ref = self._repository(repo), f"refs/heads/{branch}"
        found = repository.find_ref(ref)
        if found is None:
            return
        if user := _cli_worktrees.user_of(repository, branch):
            raise BranchInUse(repository=repo, branch=branch, worktree=user)
        if found != expected:
            raise RefChanged(repository=repo, ref=ref, expected=expected, actual=found)
        try:
            repository.update_ref(ref, None, expected, "branch: deleted")
        except RefChanged as changed:
            if changed.actual is not None:
                raise

    def update_ref(self, repo: str, ref: str, new: str | None, expected: str | None, message: str) -> None:
        repository = self._repository(repo)
        repository.require_ref(ref)
        if new is not None and not _HEX.fullmatch(new):
            raise UnknownRevision(repository=repo, revision=new)
        repository.update_ref(ref, new, expected, message)

    def _require_branch_name(self, repo: str, branch: str) -> None:
        if not is_valid_branch(branch):
            raise InvalidBranchName(repository=repo, branch=branch)

    # --- Recording work -----------------------------------------------------------------------------------------------

    def stage(self, worktree: str, paths: Sequence[str] = ()) -> None:
        _cli_files.stage(self._worktree(worktree), paths)

    def commit(self, worktree: str, message: str, *, allow_empty: bool = False) -> str | None:
        return _cli_files.commit(self._worktree(worktree), message, allow_empty=allow_empty)

    def _worktree(self, path: str) -> Repository:
        """Return the worktree at `path`, of which files will change: that one, or none."""
        if not os.path.lexists(os.path.join(path, ".git")):  # noqa: PTH118
            raise NotARepository(repository=path)
        return self._repository(path)

    # --- Worktrees ----------------------------------------------------------------------------------------------------

    def add_worktree(self, repo: str, path: str, branch: str) -> None:
        self._require_branch_name(repo, branch)
        _cli_worktrees.add(self._repository(repo), path, branch)

    def add_detached_worktree(self, repo: str, path: str, commit: str) -> None:
        _cli_worktrees.add_detached(self._repository(repo), path, commit)

    def switch_worktree(self, worktree: str, branch: str) -> None:
        self._require_branch_name(worktree, branch)
        _cli_worktrees.switch(self._worktree(worktree), branch)

    def move_worktree(self, repo: str, path: str, to: str) -> None:
        _cli_worktrees.move(self._repository(repo), path, to)

    def remove_worktree(self, repo: str, path: str, *, force: bool = False) -> None:
        _cli_worktrees.remove(self._repository(repo), path, force=force)

    def list_worktrees(self, repo: str) -> tuple[LinkedWorktree, ...]:
        return _cli_worktrees.listed(self._repository(repo))

    def prune_worktrees(self, repo: str) -> None:
        _cli_worktrees.prune(self._repository(repo))

    def repair_worktrees(self, repo: str, paths: Sequence[str] = ()) -> None:
        self._repository(repo).git("worktree", "repair", "--", *paths)

    # --- Merging ------------------------------------------------------------------------------------------------------

    def predict_merge(self, repo: str, target: str, source: str) -> MergePrediction:
        return predict(self._repository(repo), target, source)

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
        self._require_branch_name(repo, target_branch)
        return merge(self._repository(repo), source, target_branch, expected, style, message, keep)

    # --- Safety copies ------------------------------------------------------------------------------------------------

    def snapshot(self, worktree: str, ref: str, message: str) -> str:
        return _cli_safety.snapshot(self._worktree(worktree), ref, message)

    def restore(self, worktree: str, commit: str) -> None:
        _cli_safety.restore(self._worktree(worktree), commit)
