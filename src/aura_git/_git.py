"""The port `Git`, by the git command line (2.34 or newer): one method, one to a few git commands.

Rooms, each of which imports only those before it:

    commandline/   running one git command, and parsing its output
    repository/    one repository: paths, configuration, refs, objects, locks
    files/         changes and commits, snapshots
    worktrees/     linked worktrees
    merging/       predicting and doing merges
    folders/       folders that are in no repository
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from aura_contracts.errors import BranchInUse, InvalidBranchName, NotARepository, RefChanged, UnknownRevision
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import (
    Diff,
    Identity,
    Inventory,
    LinkedWorktree,
    MergeOutcome,
    MergePrediction,
    Operation,
    RepositoryInfo,
    Status,
)
from aura_contracts.workspace import MergeStyle, Unrecorded
from aura_git._branch_names import is_valid_branch
from aura_git.commandline._installation import Installation
from aura_git.commandline._leftovers import end_holders_left_by_the_dead
from aura_git.files import _changes, _snapshot, _unrecorded
from aura_git.folders import _folder_repository
from aura_git.folders._folder_repository import FolderRepository
from aura_git.merging._merge import merge, predict
from aura_git.merging._revert import revert
from aura_git.repository import _filters, _paths
from aura_git.repository._discovery import distrusted, inspect, pin, unpin
from aura_git.repository._git_repository import GitRepository, Repositories
from aura_git.repository._pins import Pins
from aura_git.repository._scratch import ScratchFolders
from aura_git.worktrees import _lifecycle, _registry, _submodules

_HEX = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class CommandLineGit(Git):
    """Git by its command line.

    `executable` is a path, or a name that is looked up on the ``PATH`` of `environment` when git is first needed;
    methods raise `GitUnavailable` if there is no git 2.34 or newer. `timeout` is in seconds, for each git command.
    `pins` is a private folder for what agents must not change, see `pin_configuration`; without it nothing is pinned.
    What calls need for a moment is there too; what a process that was killed left of it is removed here.
    """

    def __init__(
        self,
        executable: str = "git",
        *,
        environment: Mapping[str, str],
        identity: Identity = Identity(),  # noqa: B008 - it is immutable
        timeout: float = 120.0,
        pins: Path | None = None,
    ) -> None:
        installation = Installation(executable, environment, timeout)
        scratch = ScratchFolders(pins and pins / "scratch")
        scratch.sweep()
        self._repositories = Repositories(installation, environment, identity, Pins(pins, timeout), scratch)

    def _repository(self, path: str) -> GitRepository:
        return self._repositories.at(path)

    def _worktree(self, path: str) -> GitRepository:
        """Return the worktree at `path`, whose files will change: that one, or none."""
        if not os.path.lexists(os.path.join(path, ".git")):
            raise NotARepository(repository=path)
        return self._repository(path)

    def _require_branch_name(self, repo: str, branch: str) -> None:
        if not is_valid_branch(branch):
            raise InvalidBranchName(repository=repo, branch=branch)

    # --- Refs and history ---------------------------------------------------------------------------------------------

    def resolve(self, repo: str, revision: str) -> str:
        return self._repository(repo).resolve(revision)

    def find_ref(self, repo: str, ref: str) -> str | None:
        return self._repository(repo).find_ref(ref)

    def has_path(self, repo: str, commit: str, path: str) -> bool:
        return self._repository(repo).has_path(commit, path)

    def merge_base(self, repo: str, one: str, other: str) -> str | None:
        repository = self._repository(repo)
        return repository.merge_base(repository.resolve(one), repository.resolve(other))

    def is_ancestor(self, repo: str, ancestor: str, descendant: str) -> bool:
        repository = self._repository(repo)
        return repository.is_ancestor(repository.resolve(ancestor), repository.resolve(descendant))

    def ensure_branch(self, repo: str, branch: str, start: str) -> str:
        self._require_branch_name(repo, branch)
        repository, ref = self._repository(repo), f"refs/heads/{branch}"
        if found := repository.find_ref(ref):
            return found
        _registry.require_free_branch(repository, branch)
        commit = repository.resolve(start)
        try:
            repository.update_ref(ref, commit, None, f"branch: created from {start}")
        except RefChanged as changed:
            if changed.actual is None:
                raise
            return changed.actual
        return commit

    def require_free_branch(self, repo: str, branch: str) -> None:
        self._require_branch_name(repo, branch)
        _registry.require_free_branch(self._repository(repo), branch)

    def delete_branch(self, repo: str, branch: str, expected: str) -> None:
        self._require_branch_name(repo, branch)
        repository, ref = self._repository(repo), f"refs/heads/{branch}"
        found = repository.find_ref(ref)
        if found is None:
            return
        if users := _registry.users_of(repository, branch):
            raise BranchInUse(repository=repo, branch=branch, worktree=users[0])
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

    # --- Files --------------------------------------------------------------------------------------------------------

    def inspect(self, path: str) -> RepositoryInfo:
        return inspect(self._repositories, path)

    def pin_configuration(self, repo: str, owner: str, *, of_process: bool = False) -> None:
        pin(self._repositories, repo, owner, of_process=of_process)

    def distrusted_settings(self) -> dict[str, tuple[str, ...]]:
        """Return by repository the settings that changed while an agent worked there: AURA goes without the changes."""
        return distrusted(self._repositories)

    def unpin_configuration(self, repo: str, owner: str) -> None:
        unpin(self._repositories, repo, owner, ends=True)

    def rest_configuration(self, repo: str, owner: str) -> None:
        unpin(self._repositories, repo, owner, ends=False)

    def end_leftovers(self, lock: str) -> None:
        end_holders_left_by_the_dead(lock)

    def status(self, worktree: str) -> Status:
        return _changes.status(self._repository(worktree))

    def examine_all(self, worktree: str) -> None:
        _changes.examine_all(self._worktree(worktree), present=True)

    def inventory(self, worktree: str) -> Inventory:
        return _unrecorded.inventory(self._repository(worktree))

    def empty_folders(self, worktree: str) -> tuple[str, ...]:
        return _unrecorded.empty_folders(self._worktree(worktree))

    def is_ignored(self, worktree: str, folder: str) -> bool:
        return _changes.is_ignored(self._worktree(worktree), folder)

    def elsewhere(self, worktree: str) -> tuple[Unrecorded, ...]:
        return _unrecorded.elsewhere(self._worktree(worktree))

    def keep_left_commits(self, worktree: str, prefix: str) -> tuple[str, ...]:
        return _unrecorded.keep_left_commits(self._worktree(worktree), prefix)

    def left_commits(self, worktree: str, prefix: str) -> tuple[str, ...]:
        return _unrecorded.unkept_left_commits(self._worktree(worktree), prefix)

    def operation(self, worktree: str) -> Operation | None:
        return _paths.operation(self._repository(worktree).git_dir)

    def diff(
        self, repo: str, base: str, target: str | None = None, *, patch: bool = False, patch_limit: int = 1_048_576
    ) -> Diff:
        return _changes.diff(self._repository(repo), base, target, patch_limit if patch else None)

    def stage(self, worktree: str, paths: Sequence[str] = ()) -> None:
        _changes.stage(self._worktree(worktree), paths)

    def unstage_added(self, worktree: str, paths: Sequence[str]) -> None:
        _changes.remove_from_index(self._worktree(worktree), paths)

    def commit(self, worktree: str, message: str, *, allow_empty: bool = False) -> str | None:
        return _changes.commit(self._worktree(worktree), message, allow_empty=allow_empty)

    def revert(self, worktree: str, commit: str, message: str) -> str | None:
        return revert(self._worktree(worktree), commit, message)

    def create_repository(self, repo: str, branch: str) -> None:
        self._require_branch_name(repo, branch)
        _folder_repository.create(self._repositories, repo, branch)

    def record_folder(self, repo: str, folder: str, parent: str | None, message: str) -> str:
        return _folder_repository.record(FolderRepository(self._repositories, repo, folder), parent, message)

    def update_folder(self, repo: str, folder: str, old: str, new: str) -> None:
        _folder_repository.update(FolderRepository(self._repositories, repo, folder), old, new)

    def snapshot(self, worktree: str, ref: str, message: str, *, also: Sequence[str] = ()) -> str:
        return _snapshot.snapshot(self._worktree(worktree), ref, message, also)

    def restore(self, worktree: str, commit: str) -> None:
        _snapshot.restore(self._worktree(worktree), commit)

    # --- Worktrees ----------------------------------------------------------------------------------------------------

    def add_worktree(self, repo: str, path: str, branch: str) -> None:
        self._require_branch_name(repo, branch)
        _lifecycle.add(self._repository(repo), path, branch)

    def add_detached_worktree(self, repo: str, path: str, commit: str) -> None:
        _lifecycle.add_detached(self._repository(repo), path, commit)

    def switch_worktree(self, worktree: str, branch: str) -> None:
        self._require_branch_name(worktree, branch)
        _lifecycle.switch(self._worktree(worktree), branch)

    def move_worktree(self, repo: str, path: str, to: str) -> None:
        _lifecycle.move(self._repository(repo), path, to)

    def remove_worktree(self, repo: str, path: str, *, force: bool = False) -> None:
        _lifecycle.remove(self._repository(repo), path, force=force)

    def fill_submodules(self, worktree: str) -> tuple[str, ...]:
        return _submodules.fill(self._worktree(worktree))

    def keep_submodules(self, worktree: str, name: str) -> Mapping[str, str]:
        return _submodules.keep(self._worktree(worktree), name)

    def unkept_submodules(self, worktree: str) -> tuple[str, ...]:
        return _submodules.unkept(self._worktree(worktree))

    def missing_submodule_commits(
        self, repo: str, base: str, commit: str, worktree: str | None = None
    ) -> dict[str, str]:
        repository = self._repository(repo)
        return _submodules.missing(repository, repository.resolve(base), repository.resolve(commit), worktree)

    def require_filters(self, repo: str, commit: str) -> None:
        repository = self._repository(repo)
        _filters.require_filters(repository, repository.resolve(commit))

    def list_worktrees(self, repo: str) -> tuple[LinkedWorktree, ...]:
        return _registry.list_worktrees(self._repository(repo))

    def repair_worktree(self, repo: str, path: str) -> None:
        _lifecycle.repair(self._repository(repo), path)

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
