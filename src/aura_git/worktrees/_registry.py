"""The worktrees that a repository knows of, read from its ``worktrees`` folder (gitrepository-layout(5))."""

import os
import shlex
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aura_contracts.errors import BranchInTheWay, GitError, GitFailed
from aura_contracts.ports.git_values import LinkedWorktree
from aura_git.commandline._command import RETRY_PAUSES, half_made_worktree
from aura_git.commandline._output import parse_worktrees
from aura_git.repository import _paths
from aura_git.repository._discovery import main_worktree
from aura_git.repository._git_repository import GitRepository

_HEADS = "refs/heads/"


def list_worktrees(repository: GitRepository) -> tuple[LinkedWorktree, ...]:
    """Return all worktrees, the main one first. Raises `GitFailed` for one that was never finished."""
    if repository.reader is None:
        return parse_worktrees(repository.git("worktree", "list", "--porcelain", "-z").out)
    main = repository.main
    top = main_worktree(main)
    if top is None:
        first = LinkedWorktree(path=repository.common_dir, head=None, branch=None, bare=True)
    else:
        first = _describe(main, repository.common_dir, top)
    linked = [_describe(main, directory, _paths.worktree_of(directory)) for directory in _linked(repository)]
    return (first, *sorted(linked, key=lambda tree: tree.path))


def _linked(repository: GitRepository) -> list[str]:
    """Return the git directories of the linked worktrees; one that is just being made is waited for."""
    directories: list[str] = []
    for pause in (*RETRY_PAUSES, None):
        directories = _placed(_paths.git_dirs(repository.common_dir)[1:])
        half_made = next((one for one in directories if not _has_common_dir(one)), None)
        if half_made is None:
            break
        if pause is None:
            raise half_made_worktree(repository.path, "git worktree", half_made)
        time.sleep(pause)
    return directories


def _placed(directories: Iterable[str]) -> list[str]:
    """Return those that say where their worktree is: of one that git is removing, that file may be gone already."""
    return [one for one in directories if os.path.lexists(os.path.join(one, "gitdir"))]


def _has_common_dir(directory: str) -> bool:
    try:
        return os.path.getsize(os.path.join(directory, "commondir")) > 0
    except OSError:
        return not os.path.isdir(directory)  # removed meanwhile


def _describe(main: GitRepository, directory: str, path: str) -> LinkedWorktree:
    is_linked, branch, head = directory != main.common_dir, None, None
    with suppress(GitError):  # one that is damaged does not hide the others
        tree = main.at_git_dir(directory) if is_linked else main
        branch, head = tree.head_branch(), tree.find_ref("HEAD")
    locked = is_linked and os.path.exists(os.path.join(directory, "locked"))
    return LinkedWorktree(
        path=path,
        head=head,
        branch=None if branch is None else branch.removeprefix(_HEADS),
        locked=locked,
        prunable=is_linked and not locked and not os.path.lexists(os.path.join(path, ".git")),
    )


def users_of(repository: GitRepository, branch: str) -> list[str]:
    """Return the worktrees that have `branch` checked out, or that a rebase or bisection will put back on it."""
    ref = f"{_HEADS}{branch}"
    found = [tree.path for tree in list_worktrees(repository) if tree.branch == branch and not tree.bare]
    main, *linked = _paths.git_dirs(repository.common_dir)
    leaving = [one for one in (main, *_placed(linked)) if _paths.branch_under_operation(one) == ref]
    found += [_paths.worktree_of(directory) for directory in leaving]
    return list(dict.fromkeys(found))


def require_free_branch(repository: GitRepository, branch: str) -> None:
    """Raise `BranchInTheWay` if a branch has the name of one of the folders of `branch`."""
    parts = branch.split("/")
    for end in range(1, len(parts)):
        other = "/".join(parts[:end])
        if repository.find_ref(f"{_HEADS}{other}") is not None:
            command = shlex.join(["git", "-C", repository.path, "branch", "-m", other, f"{other}-old"])
            remedy = f"rename that one: {command}"
            raise BranchInTheWay(repository=repository.path, branch=branch, other=other, remedy=remedy)


def find_linked(repository: GitRepository, path: str) -> str | None:
    """Return the git directory of the linked worktree at `path`. Raises `GitFailed` for the main one."""
    main, real = main_worktree(repository.main) or repository.common_dir, os.path.realpath(path)
    if os.path.realpath(main) == real:
        raise GitFailed(
            repository=repository.path,
            command="git worktree",
            reason=f"{path} is the main worktree",
            remedy="name a linked worktree",
        )
    return _at(real, _linked(repository))


def require_unlocked(repository: GitRepository, directory: str) -> None:
    """Raise `GitFailed` for a worktree that is locked, unless by a ``git worktree add`` that was interrupted.

    It is named by its git directory.
    """
    if os.path.exists(os.path.join(directory, "locked")) and not _is_half_made(directory):
        path = _paths.worktree_of(directory)
        raise GitFailed(
            repository=repository.path,
            command="git worktree",
            reason=f"the worktree at {path} is locked",
            remedy=f"git worktree unlock {path}",
        )


def linked_git_dir(repository: GitRepository, path: str) -> str | None:
    """Return the git directory of the linked worktree at `path`, even of one that is just being made."""
    return _at(os.path.realpath(path), _paths.git_dirs(repository.common_dir)[1:])


def claimed_git_dir(repository: GitRepository, path: str) -> str | None:
    """Return the git directory that a worktree which was moved to `path` had, and that no other has."""
    name = os.path.basename(_paths.linked_git_dir(os.path.join(path, ".git")) or "")
    directory = os.path.join(repository.common_dir, "worktrees", name)
    moved = name and os.path.isdir(directory) and not os.path.lexists(_paths.worktree_of(directory))
    return directory if moved else None


def _at(real: str, directories: Iterable[str]) -> str | None:
    return next((one for one in directories if os.path.realpath(_paths.worktree_of(one)) == real), None)


def _is_half_made(directory: str) -> bool:
    try:
        return Path(directory, "locked").read_text("utf-8").strip() == "initializing"
    except OSError:
        return False
