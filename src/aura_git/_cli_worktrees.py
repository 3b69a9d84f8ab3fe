"""Linked worktrees, with git commands."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from aura_contracts.errors import BranchInUse, DirtyWorktree, GitFailed, UnknownRevision, WorktreeExists
from aura_contracts.ports.git import LinkedWorktree
from aura_git import _layout
from aura_git._cli_files import make_room_for_folders, status
from aura_git._locking import merge_lock
from aura_git._parsing import GITLINK, parse_worktrees, paths
from aura_git._repository import Repository

# --- Looking ----------------------------------------------------------------------------------------------------------


def listed(repository: Repository) -> tuple[LinkedWorktree, ...]:
    return parse_worktrees(repository.git("worktree", "list", "--porcelain", "-z").out)


def users_of(repository: Repository, branch: str) -> list[str]:
    """Return the worktrees that have `branch` checked out, or that a rebase or bisection will put back on it."""
    found = [tree.path for tree in listed(repository) if tree.branch == branch and not tree.bare]
    directories = _layout.git_dirs(repository.common_dir)
    leaving = [d for d in directories if _layout.branch_under_operation(d) == f"refs/heads/{branch}"]
    found += [_layout.worktree_of(directory) for directory in leaving]
    return list(dict.fromkeys(found))


def user_of(repository: Repository, branch: str) -> str | None:
    """Return one of `users_of`."""
    return next(iter(users_of(repository, branch)), None)


def _entry(repository: Repository, path: str) -> LinkedWorktree | None:
    """Return the linked worktree at `path`; the main one is refused."""
    trees = listed(repository)
    real = os.path.realpath(path)
    found = next((tree for tree in trees if os.path.realpath(tree.path) == real), None)
    if found is not None and found is trees[0]:
        raise GitFailed(
            repository=repository.path,
            command="git worktree",
            reason=f"{path} is the main worktree",
            remedy="name a linked worktree",
        )
    return found


# --- Making -----------------------------------------------------------------------------------------------------------


def add(repository: Repository, path: str, branch: str) -> None:
    if repository.find_ref(f"refs/heads/{branch}") is None:
        raise UnknownRevision(repository=repository.path, revision=branch)
    real = os.path.realpath(path)
    for user in users_of(repository, branch):
        if os.path.realpath(user) != real or Path(path, ".git").exists():
            raise BranchInUse(repository=repository.path, branch=branch, worktree=user)
    with _place_for(repository, path):
        repository.on_files("worktree", "add", "-q", "--no-guess-remote", "--", path, branch)


def add_detached(repository: Repository, path: str, commit: str) -> None:
    found = repository.resolve(commit)
    with _place_for(repository, path):
        repository.on_files("worktree", "add", "-q", "--detach", "--", path, found)


@contextmanager
def _place_for(repository: Repository, path: str) -> Iterator[None]:
    """Claim the folder at `path` for the time of making a worktree in it; on failure leave nothing of it.

    What git still knows of an earlier worktree there, whose folder is gone, is forgotten first.
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
        _forget(repository, path)
        yield
    except BaseException:
        _remove_content(place)
        with suppress(Exception):
            _forget(repository, path)
        if place not in made:  # it was there, and git may have removed it
            place.mkdir(exist_ok=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def _remove_content(folder: Path) -> None:
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _forget(repository: Repository, path: str) -> None:
    """Have git forget the worktree at `path`, of which nothing is left there."""
    if (entry := _entry(repository, path)) is None:
        return
    if entry.locked and not _is_half_made(repository, path):
        raise GitFailed(
            repository=repository.path,
            command="git worktree",
            reason=f"the worktree at {path} is gone, but locked",
            remedy=f"git worktree unlock {path}",
        )
    for _ in range(3):  # a git that is about to end there takes its own files away meanwhile
        if (directory := _directory_of(repository, path)) is None:
            return
        shutil.rmtree(directory, ignore_errors=True)


def _is_half_made(repository: Repository, path: str) -> bool:
    """Whether the worktree's lock is the one of a ``git worktree add`` that was ended before it was done."""
    directory = _directory_of(repository, path)
    with suppress(OSError):
        return directory is not None and Path(directory, "locked").read_text("utf-8").strip() == "initializing"
    return False


def _directory_of(repository: Repository, path: str) -> str | None:
    """Return the git directory of the linked worktree at `path`."""
    real = os.path.realpath(path)
    directories = _layout.git_dirs(repository.common_dir)[1:]
    return next((d for d in directories if os.path.realpath(_layout.worktree_of(d)) == real), None)


# --- Using again ------------------------------------------------------------------------------------------------------


def switch(repository: Repository, branch: str) -> None:
    tip = repository.find_ref(f"refs/heads/{branch}")
    if tip is None:
        raise UnknownRevision(repository=repository.path, revision=branch)
    here = os.path.realpath(repository.path)
    for user in users_of(repository, branch):
        if os.path.realpath(user) != here:
            raise BranchInUse(repository=repository.path, branch=branch, worktree=user)
    _forget_operation(Path(repository.git_dir))
    make_room_for_folders(repository, tip)
    checkout = ("checkout", "-q", "-f", "--no-guess", branch, "--")
    try:
        _look_at_all(repository)
        repository.on_files(*checkout)
    except GitFailed as failure:
        if "index file" not in failure.reason:
            raise
        (Path(repository.git_dir) / "index").unlink(missing_ok=True)  # damaged: it is thrown away as all the rest is
        repository.on_files(*checkout)
    _clean(repository)
    _empty_submodules(repository)


def _look_at_all(repository: Repository) -> None:
    """Have git look again at files that it was told to take for unchanged, or for none of its business."""
    entries = [(entry[0], entry[2:]) for entry in paths(repository.git("ls-files", "-v", "-z").out)]
    for option, chosen in (
        ("--no-assume-unchanged", [path for tag, path in entries if tag.islower()]),
        ("--no-skip-worktree", [path for tag, path in entries if tag in "Ss"]),
    ):
        if chosen:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in chosen)
            repository.git("update-index", "-z", option, "--stdin", stdin=stdin)


def _forget_operation(git_dir: Path) -> None:
    for name in _layout.STATE_OF_OPERATIONS:
        state = git_dir / name
        if state.is_dir():
            shutil.rmtree(state)
        else:
            state.unlink(missing_ok=True)


def _clean(repository: Repository) -> None:
    """Remove what is not tracked, ignored files and other repositories too; but not worktrees of this repository."""
    here = os.path.realpath(repository.path)
    inside = [os.path.realpath(_layout.worktree_of(d)) for d in _layout.git_dirs(repository.common_dir)]
    spared = [
        f"--exclude=/{_escaped(os.path.relpath(tree, here))}" for tree in inside if tree.startswith(f"{here}{os.sep}")
    ]
    repository.on_files("clean", "-q", "-ffdx", *spared)


def _escaped(path: str) -> str:
    """Return `path` as a pattern that matches nothing else."""
    return "".join(f"\\{letter}" if letter in "\\*?[ !#" else letter for letter in path)


def _empty_submodules(repository: Repository) -> None:
    """Leave the folders of submodules empty, as they are in a new worktree."""
    top = Path(repository.path)
    if not (top / ".gitmodules").exists():
        return
    for entry in paths(repository.git("ls-files", "-s", "-z").out):
        if entry.startswith(GITLINK):
            _remove_content(top / entry.split("\t", 1)[1])


# --- Moving and removing ----------------------------------------------------------------------------------------------


def move(repository: Repository, path: str, to: str) -> None:
    if os.path.lexists(to):
        raise WorktreeExists(repository=repository.path, path=to)
    if _entry(repository, path) is None:
        raise _no_worktree(repository, path)
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    with _lock(repository):
        _move(repository, path, to)


def _move(repository: Repository, path: str, to: str) -> None:
    try:
        repository.git("worktree", "move", "--", path, to)
    except GitFailed as failure:
        directory = _directory_of(repository, path)
        if "submodules" not in failure.reason or directory is None or Path(directory, "modules").exists():
            raise
        os.rename(path, to)  # noqa: PTH104 - git refuses where there are submodules, even when none is filled
        repository.git("worktree", "repair", "--", to)


def _lock(repository: Repository) -> AbstractContextManager[None]:
    """Keep moving and pruning apart: a worktree that is being moved looks, for a moment, as if it were gone."""
    return merge_lock(repository.path, repository.common_dir, repository.command.timeout)


def prune(repository: Repository) -> None:
    with _lock(repository):
        repository.git("worktree", "prune", "--expire=now")


def remove(repository: Repository, path: str, *, force: bool) -> None:
    entry = _entry(repository, path)
    exists = os.path.lexists(path)
    if entry is None:
        if exists:
            raise _no_worktree(repository, path)
        return
    if entry.locked and not _is_half_made(repository, path):
        raise GitFailed(
            repository=repository.path,
            command="git worktree remove",
            reason=f"the worktree at {path} is locked",
            remedy=f"git worktree unlock {path}",
        )
    if not exists:
        _forget(repository, path)
        return
    if force:
        _remove_by_force(repository, path)
    else:
        _require_clean(repository, path)
        _remove_clean(repository, path)


def _remove_by_force(repository: Repository, path: str) -> None:
    try:
        repository.git("worktree", "remove", "--force", "--", path)
    except GitFailed:  # it is broken, or something in it could not be removed at once
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            raise
        _forget(repository, path)


def _remove_clean(repository: Repository, path: str) -> None:
    try:
        repository.git("worktree", "remove", "--", path)
    except GitFailed as failure:
        if "submodules" in failure.reason:  # git refuses where there are any, even when none is filled
            repository.git("worktree", "remove", "--force", "--", path)
            return
        _require_clean(repository, path)
        raise


def _require_clean(repository: Repository, path: str) -> None:
    found = status(repository.at(path))
    if found.dirty:
        touched = sorted({*found.staged, *found.unstaged, *found.untracked, *found.conflicted})
        raise DirtyWorktree(repository=repository.path, worktree=path, paths=tuple(touched))


def _no_worktree(repository: Repository, path: str) -> GitFailed:
    return GitFailed(
        repository=repository.path,
        command="git worktree",
        reason=f"{path} is no linked worktree of this repository",
        remedy="see `git worktree list`",
    )
