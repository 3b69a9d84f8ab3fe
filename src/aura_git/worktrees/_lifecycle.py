"""The life of a linked worktree: created completely or not at all, moved, reused for another branch, and removed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aura_contracts.errors import BranchInUse, DirtyWorktree, GitFailed, UnknownRevision, WorktreeExists
from aura_contracts.file_paths import is_below
from aura_contracts.folder_removal import remove_folder
from aura_contracts.private_files import make_private_folder
from aura_git.commandline._output import GITLINK, paths
from aura_git.files._changes import examine_all, remove_links_in_place_of_folders, status
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository
from aura_git.repository._links import lead_back
from aura_git.repository._lock import repository_lock
from aura_git.repository._pins import PinnedPlace
from aura_git.worktrees._registry import claimed_git_dir, find_linked, linked_git_dir, require_unlocked, users_of

# --- Creation ---------------------------------------------------------------------------------------------------------


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
        _record(repository, path)


def add_detached(repository: GitRepository, path: str, commit: str) -> None:
    """See `GitWorktrees.add_detached_worktree`."""
    found = repository.resolve(commit)
    with _place_for(repository, path):
        repository.on_files("worktree", "add", "-q", "--detach", "--", path, found)
        _record(repository, path)


def _record(repository: GitRepository, path: str) -> None:
    """Record the directories of a new worktree, and let its files lead to the repository, not to a stand-in."""
    directory = linked_git_dir(repository, path)
    if directory is None:
        raise GitFailed(repository=repository.path, command="git worktree add", reason="git made no worktree")
    real = os.path.realpath(path)
    settings = dict(repository.place.settings) if repository.place and repository.stand_in else {}
    if repository.stand_in is not None:
        Path(path, ".git").write_bytes(b"gitdir: " + os.fsencode(directory) + b"\n")
        for name, value in settings.items():
            repository.git("config", "--file", os.path.join(directory, "config.worktree"), name, value)
    common = os.path.realpath(repository.common_dir)
    repository.pins.record(
        PinnedPlace(path=real, git_dir=os.path.realpath(directory), common_dir=common, settings=settings)
    )


@contextmanager
def _place_for(repository: GitRepository, path: str) -> Iterator[None]:
    """Claim the folder at `path` while a worktree is made in it; on failure leave nothing behind.

    If git still knows an earlier worktree there, whose folder is gone, it is forgotten first.
    """
    place = Path(path)
    made = [parent for parent in place.parents if not parent.exists()]
    try:
        make_private_folder(place.parent)
        place.mkdir()
        made.insert(0, place)
    except FileExistsError:
        if place.is_symlink() or not place.is_dir() or any(place.iterdir()):
            raise WorktreeExists(repository=repository.path, path=path) from None
    except (OSError, ValueError) as error:
        raise GitFailed(repository=repository.path, command="git worktree", reason=str(error)) from error
    try:
        forget(repository, path)
        if repository.stand_in is not None:
            os.makedirs(os.path.join(repository.common_dir, "worktrees"), exist_ok=True)
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
                remove_folder(entry)
            else:
                entry.unlink(missing_ok=True)


def forget(repository: GitRepository, path: str) -> None:
    """Make git forget the worktree at `path`, of which nothing is left."""
    if (found := find_linked(repository, path)) is None:
        return
    require_unlocked(repository, found)
    for _ in range(3):  # a git that is ending there removes its own files meanwhile
        if (directory := linked_git_dir(repository, path)) is None:
            return
        shutil.rmtree(directory, ignore_errors=True)


# --- Removal ----------------------------------------------------------------------------------------------------------


def move(repository: GitRepository, path: str, to: str) -> None:
    """See `GitWorktrees.move_worktree`."""
    if os.path.lexists(to):
        raise WorktreeExists(repository=repository.path, path=to)
    if find_linked(repository, path) is None:
        raise _no_worktree(repository, path)
    make_private_folder(Path(to).parent)
    lock = repository_lock(repository.path, repository.common_dir, repository.command.timeout)
    with lock, repository.pins.moving(path, to):
        _move(repository, path, to)


def _move(repository: GitRepository, path: str, to: str) -> None:
    try:
        repository.git("worktree", "move", "--", path, to)
    except GitFailed as failure:
        directory = linked_git_dir(repository, path)
        if "submodules" not in failure.reason or directory is None or Path(directory, "modules").exists():
            raise
        os.rename(path, to)  # git refuses where there are submodules, even when none is filled
        repair(repository, to)


def repair(repository: GitRepository, path: str) -> None:
    """See `GitWorktrees.repair_worktree`."""
    directory = linked_git_dir(repository, path) or claimed_git_dir(repository, path)
    if directory is None:
        raise _no_worktree(repository, path)
    try:
        with suppress(FileExistsError):
            os.close(os.open(os.path.join(path, ".git"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        lead_back(os.path.realpath(path), directory, repository.common_dir)
    except OSError as error:
        raise GitFailed(repository=repository.path, command="git worktree repair", reason=str(error)) from error


def remove(repository: GitRepository, path: str, *, force: bool) -> None:
    """See `GitWorktrees.remove_worktree`."""
    _remove(repository, path, force=force)
    repository.pins.forget(path)


def _remove(repository: GitRepository, path: str, *, force: bool) -> None:
    found = find_linked(repository, path)
    exists = os.path.lexists(path)
    if found is None:
        if exists:
            raise _no_worktree(repository, path)
        return
    require_unlocked(repository, found)
    if not exists:
        forget(repository, path)
        return
    if not force:
        _require_clean(repository, path)
    try:
        # Git finishes even if its caller is killed. Without --force it would look again, in every submodule too, where
        # an agent may have configured filters.
        repository.git("worktree", "remove", "--force", "--", path)
    except GitFailed:  # it is broken, or something in it resisted
        remove_folder(Path(path))
        if os.path.lexists(path):
            raise
        forget(repository, path)


def _require_clean(repository: GitRepository, path: str) -> None:
    found = status(repository.at(path))
    if found.dirty:
        touched = (*found.staged, *found.unstaged, *found.untracked, *found.conflicted)
        raise DirtyWorktree.of(repository.path, path, touched)


def _no_worktree(repository: GitRepository, path: str) -> GitFailed:
    return GitFailed(
        repository=repository.path,
        command="git worktree",
        reason=f"{path} is not a linked worktree of this repository",
        remedy="see `git worktree list`",
    )


# --- Reuse ------------------------------------------------------------------------------------------------------------


def switch(repository: GitRepository, branch: str) -> None:
    """See `GitWorktrees.switch_worktree`."""
    tip = repository.find_ref(f"refs/heads/{branch}")
    if tip is None:
        raise UnknownRevision(repository=repository.path, revision=branch)
    here = os.path.realpath(repository.path)
    for user in users_of(repository, branch):
        if os.path.realpath(user) != here:
            raise BranchInUse(repository=repository.path, branch=branch, worktree=user)
    _forget_operation(Path(repository.git_dir))
    remove_links_in_place_of_folders(repository, tip)
    checkout = ("checkout", "-q", "-f", "--no-guess", branch, "--")
    try:
        examine_all(repository)
        repository.on_files(*checkout)
    except GitFailed as failure:
        if "index file" not in failure.reason:
            raise
        (Path(repository.git_dir) / "index").unlink(missing_ok=True)  # damaged: it is thrown away like everything else
        repository.on_files(*checkout)
    _clean(repository)
    _empty_submodules(repository)


def _forget_operation(git_dir: Path) -> None:
    for name in _paths.OPERATION_STATE:
        state = git_dir / name
        if state.is_dir() and not state.is_symlink():
            shutil.rmtree(state)
        else:
            state.unlink(missing_ok=True)


def _clean(repository: GitRepository) -> None:
    """Remove everything that is not tracked, ignored files and other repositories too, but no worktrees of this one."""
    here = os.path.realpath(repository.path)
    inside = [os.path.realpath(_paths.worktree_of(d)) for d in _paths.git_dirs(repository.common_dir)]
    spared = [f"--exclude=/{_escaped(os.path.relpath(tree, here))}" for tree in inside if is_below(tree, here)]
    repository.on_files("clean", "-q", "-ffdx", *spared)


def _escaped(path: str) -> str:
    """Return `path` as a pattern that matches only itself."""
    return "".join(f"\\{letter}" if letter in "\\*?[ !#" else letter for letter in path)


def _empty_submodules(repository: GitRepository) -> None:
    """Empty the folders of submodules, as they are in a new worktree."""
    top = Path(repository.path)
    if not (top / ".gitmodules").exists():
        return
    for entry in paths(repository.git("ls-files", "-s", "-z").out):
        if entry.startswith(GITLINK):
            remove_content(top / entry.split("\t", 1)[1])
