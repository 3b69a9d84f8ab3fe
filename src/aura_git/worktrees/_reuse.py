"""Reusing a worktree: making it like a new one of another branch."""

import os
import shutil
from pathlib import Path

from aura_contracts.errors import BranchInUse, GitFailed, UnknownRevision
from aura_git.commandline._output import GITLINK, paths
from aura_git.files._status import remove_links_in_place_of_folders
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository
from aura_git.worktrees._creation import remove_content
from aura_git.worktrees._registry import users_of


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
        _examine_all(repository)
        repository.on_files(*checkout)
    except GitFailed as failure:
        if "index file" not in failure.reason:
            raise
        (Path(repository.git_dir) / "index").unlink(missing_ok=True)  # damaged: it is thrown away like everything else
        repository.on_files(*checkout)
    _clean(repository)
    _empty_submodules(repository)


def _examine_all(repository: GitRepository) -> None:
    """Make git examine files marked assume-unchanged or skip-worktree again."""
    entries = [(entry[0], entry[2:]) for entry in paths(repository.git("ls-files", "-v", "-z").out)]
    for option, chosen in (
        ("--no-assume-unchanged", [path for tag, path in entries if tag.islower()]),
        ("--no-skip-worktree", [path for tag, path in entries if tag in "Ss"]),
    ):
        if chosen:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in chosen)
            repository.git("update-index", "-z", option, "--stdin", stdin=stdin)


def _forget_operation(git_dir: Path) -> None:
    for name in _paths.OPERATION_STATE:
        state = git_dir / name
        if state.is_dir():
            shutil.rmtree(state)
        else:
            state.unlink(missing_ok=True)


def _clean(repository: GitRepository) -> None:
    """Remove everything that is not tracked, ignored files and other repositories too, but no worktrees of this one."""
    here = os.path.realpath(repository.path)
    inside = [os.path.realpath(_paths.worktree_of(d)) for d in _paths.git_dirs(repository.common_dir)]
    spared = [
        f"--exclude=/{_escaped(os.path.relpath(tree, here))}" for tree in inside if tree.startswith(f"{here}{os.sep}")
    ]
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
