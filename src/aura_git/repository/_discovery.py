"""Finding a repository, and pinning what was found before an agent can change it."""

import os

from aura_contracts.errors import InsideGitDirectory
from aura_contracts.ports.git import RepositoryInfo
from aura_git.repository._git_repository import Repositories, main_worktree
from aura_git.repository._pins import PinnedPlace, own_settings


def inspect(repositories: Repositories, path: str) -> RepositoryInfo:
    """See `GitFiles.inspect`."""
    found = repositories.locate(path)
    repository = repositories.at(found.top or found.git_dir)
    common_dir = repository.common_dir
    worktree = main_worktree(repository) if found.git_dir == common_dir else found.top
    if worktree is not None and found.top is None:
        raise InsideGitDirectory(repository=path)
    branch = repository.head_branch()
    return RepositoryInfo(
        git_dir=found.git_dir,
        common_dir=common_dir,
        worktree=worktree,
        bare=worktree is None,
        linked=found.git_dir != common_dir,
        branch=None if branch is None else branch.removeprefix("refs/heads/"),
        head=repository.head(),
    )


def pin(repositories: Repositories, path: str, owner: str) -> None:
    """See `Git.pin_configuration`."""
    info = inspect(repositories, path)
    repository = repositories.at(info.worktree or info.common_dir)
    entries = repository.live_configuration()
    common = os.path.realpath(info.common_dir)
    places = [PinnedPlace(path=common, git_dir=common, common_dir=common, has_files=False)]
    if info.worktree is not None:
        top = os.path.realpath(info.worktree)
        git_dir = os.path.realpath(repository.git_dir)
        places.append(PinnedPlace(path=top, git_dir=git_dir, common_dir=common, settings=own_settings(entries)))
    repositories.pins.pin(places, owner, entries)


def unpin(repositories: Repositories, path: str, owner: str, *, ends: bool) -> None:
    """See `Git.unpin_configuration` and `Git.rest_configuration`."""
    repository = repositories.at(path)
    repositories.pins.rest(repository.common_dir, owner, repository.live_configuration(), ends=ends)
