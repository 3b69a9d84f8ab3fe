"""What a repository is, and how its files differ from HEAD."""

import errno
import os

import msgspec

from aura_contracts.errors import NotARepository
from aura_contracts.ports.git import RepositoryInfo, Status
from aura_git.commandline._output import parse_status, paths
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository, Repositories


def inspect(repositories: Repositories, path: str) -> RepositoryInfo:
    """See `GitFiles.inspect`."""
    found = _paths.locate(path)
    common_dir = _paths.common_dir(found.git_dir)
    repository = repositories.at(found.top or found.git_dir)
    worktree = main_worktree(repository) if found.git_dir == common_dir else found.top
    if worktree is not None and found.top is None:
        raise NotARepository(repository=path)  # it is inside of a ``.git``
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


def main_worktree(repository: GitRepository) -> str | None:
    """Return the folder of the main worktree, None in a bare repository."""
    configuration, common = repository.configuration, repository.common_dir
    if configuration.flag("core.bare"):
        return None
    if configured := configuration.get("core.worktree"):
        return os.path.realpath(os.path.join(common, configured))
    return os.path.dirname(common) if os.path.basename(common) == ".git" else None


def status(repository: GitRepository) -> Status:
    """Return what differs from HEAD; worktrees of the same repository inside are not files of it."""
    listed = repository.on_files(
        "status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none"
    )
    found = parse_status(listed.out)
    if listed.err:
        hidden = _hidden_by_loops(repository).difference(found.conflicted)
        found = msgspec.structs.replace(found, unstaged=tuple(sorted(hidden.union(found.unstaged))))
    folders = [path for path in found.untracked if path.endswith("/")]
    if not folders:
        return found
    own = {path for path in folders if _is_own_worktree(repository, path)}
    return msgspec.structs.replace(found, untracked=tuple(path for path in found.untracked if path not in own))


def _hidden_by_loops(repository: GitRepository) -> set[str]:
    """Return the tracked files whose folder has become a symbolic link that leads in a circle.

    They are gone, but ``git status`` only warns that it cannot examine them.
    """
    return {path for path in paths(repository.git("ls-files", "-z").out) if _is_in_loop(repository, path)}


def _is_in_loop(repository: GitRepository, path: str) -> bool:
    try:
        os.lstat(os.path.join(repository.path, path))
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _is_own_worktree(repository: GitRepository, path: str) -> bool:
    return _paths.is_linked_worktree_of(os.path.join(repository.path, path), repository.common_dir)


def untracked(repository: GitRepository) -> list[str]:
    """Return the untracked files that are neither ignored nor in repositories of their own."""
    listed = repository.on_files("ls-files", "-z", "--others", "--exclude-standard")
    return [path for path in paths(listed.out) if not path.endswith("/")]


def remove_links_in_place_of_folders(repository: GitRepository, commit: str) -> None:
    """Remove symbolic links that are where `commit` has folders.

    Git follows such a link when it checks whether a file has to be written, and then removes the link.
    """
    folders = repository.git("ls-tree", "-r", "-d", "-z", "--name-only", commit).out
    for folder in sorted(paths(folders)):
        place = os.path.join(repository.path, folder)
        if os.path.islink(place):
            os.unlink(place)
