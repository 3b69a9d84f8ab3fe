"""Creating linked worktrees: all of it, or nothing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aura_contracts.errors import BranchInUse, GitFailed, UnknownRevision, WorktreeExists
from aura_git.repository._git_repository import GitRepository
from aura_git.worktrees._registry import find_linked, linked_git_dir, require_unlocked, users_of


def add(repository: GitRepository, path: str, branch: str) -> None:
    """See `GitWorktrees.add_worktree`."""
    if repository.find_ref(f"refs/heads/{branch}") is None:
        raise UnknownRevision(repository=repository.path, revision=branch)
    real = os.path.realpath(path)
    for user in users_of(repository, branch):
        if os.path.realpath(user) != real or Path(path, ".git").exists():
            raise BranchInUse(repository=repository.path, branch=branch, worktree=user)
    with _place_for(repository, path):
        repository.on_files("worktree", "add", "-q", "--no-guess-remote", "--", path, branch)


def add_detached(repository: GitRepository, path: str, commit: str) -> None:
    """See `GitWorktrees.add_detached_worktree`."""
    found = repository.resolve(commit)
    with _place_for(repository, path):
        repository.on_files("worktree", "add", "-q", "--detach", "--", path, found)


@contextmanager
def _place_for(repository: GitRepository, path: str) -> Iterator[None]:
    """Claim the folder at `path` while a worktree is made in it; on failure leave nothing behind.

    If git still knows an earlier worktree there, whose folder is gone, it is forgotten first.
    """
    place = Path(path)
    made = [parent for parent in place.parents if not parent.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir()
        made.insert(0, place)
    except FileExistsError:
        if place.is_symlink() or not place.is_dir() or any(place.iterdir()):
            raise WorktreeExists(repository=repository.path, path=path) from None
    except (OSError, ValueError) as error:
        raise GitFailed(repository=repository.path, command="git worktree", reason=str(error)) from error
    try:
        forget(repository, path)
        yield
    except BaseException:
        remove_content(place)
        with suppress(Exception):
            forget(repository, path)
        if place not in made:  # it existed before, and git may have removed it
            place.mkdir(exist_ok=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def remove_content(folder: Path) -> None:
    """Empty a folder as far as possible."""
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def forget(repository: GitRepository, path: str) -> None:
    """Make git forget the worktree at `path`, of which nothing is left."""
    if (entry := find_linked(repository, path)) is None:
        return
    require_unlocked(repository, entry)
    for _ in range(3):  # a git that is ending there removes its own files meanwhile
        if (directory := linked_git_dir(repository, path)) is None:
            return
        shutil.rmtree(directory, ignore_errors=True)
