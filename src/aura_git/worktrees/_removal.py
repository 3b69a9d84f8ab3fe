"""Moving and removing linked worktrees."""

import os
import shutil
from pathlib import Path

from aura_contracts.errors import DirtyWorktree, GitFailed, WorktreeExists
from aura_git.files._status import status
from aura_git.repository._git_repository import GitRepository
from aura_git.repository._lock import repository_lock
from aura_git.worktrees._creation import forget
from aura_git.worktrees._registry import find_linked, linked_git_dir, require_unlocked


def move(repository: GitRepository, path: str, to: str) -> None:
    """See `GitWorktrees.move_worktree`."""
    if os.path.lexists(to):
        raise WorktreeExists(repository=repository.path, path=to)
    if find_linked(repository, path) is None:
        raise _no_worktree(repository, path)
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    with repository_lock(repository.path, repository.common_dir, repository.command.timeout):
        _move(repository, path, to)


def _move(repository: GitRepository, path: str, to: str) -> None:
    try:
        repository.git("worktree", "move", "--", path, to)
    except GitFailed as failure:
        directory = linked_git_dir(repository, path)
        if "submodules" not in failure.reason or directory is None or Path(directory, "modules").exists():
            raise
        os.rename(path, to)  # git refuses where there are submodules, even when none is filled
        repository.git("worktree", "repair", "--", to)


def remove(repository: GitRepository, path: str, *, force: bool) -> None:
    """See `GitWorktrees.remove_worktree`."""
    entry = find_linked(repository, path)
    exists = os.path.lexists(path)
    if entry is None:
        if exists:
            raise _no_worktree(repository, path)
        return
    require_unlocked(repository, entry)
    if not exists:
        forget(repository, path)
        return
    if force:
        _remove_by_force(repository, path)
    else:
        _require_clean(repository, path)
        _remove_clean(repository, path)


def _remove_by_force(repository: GitRepository, path: str) -> None:
    try:
        repository.git("worktree", "remove", "--force", "--", path)
    except GitFailed:  # it is broken, or something in it resisted
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            raise
        forget(repository, path)


def _remove_clean(repository: GitRepository, path: str) -> None:
    try:
        repository.git("worktree", "remove", "--", path)
    except GitFailed as failure:
        if "submodules" in failure.reason:  # git refuses where there are any, even when none is filled
            repository.git("worktree", "remove", "--force", "--", path)
            return
        _require_clean(repository, path)
        raise


def _require_clean(repository: GitRepository, path: str) -> None:
    found = status(repository.at(path))
    if found.dirty:
        touched = sorted({*found.staged, *found.unstaged, *found.untracked, *found.conflicted})
        raise DirtyWorktree(repository=repository.path, worktree=path, paths=tuple(touched))


def _no_worktree(repository: GitRepository, path: str) -> GitFailed:
    return GitFailed(
        repository=repository.path,
        command="git worktree",
        reason=f"{path} is not a linked worktree of this repository",
        remedy="see `git worktree list`",
    )
