"""Finding a repository, and pinning what was found before an agent can change it."""

import os
import shlex
from collections.abc import Iterable
from contextlib import suppress

from aura_contracts.errors import GitError, GitFailed, InsideGitDirectory, NotARepository
from aura_contracts.ports.git_values import RepositoryInfo
from aura_git.commandline._output import ConfigEntry
from aura_git.repository._git_repository import GitRepository, Repositories
from aura_git.repository._paths import RepositoryLocation
from aura_git.repository._pins import PinnedPlace, own_settings


def inspect(repositories: Repositories, path: str) -> RepositoryInfo:
    """See `GitFiles.inspect`."""
    found = repositories.locate(path)
    _require_trusted(repositories, path, found)
    repository = repositories.at(found.top or found.git_dir)
    common_dir = repository.common_dir
    worktree = main_worktree(repository) if found.git_dir == common_dir else found.top
    if found.top is None and (worktree is not None or found.git_dir != common_dir):
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


def main_worktree(repository: GitRepository) -> str | None:
    """Return the folder of the main worktree, None in a bare repository."""
    configuration, common = repository.configuration, repository.common_dir
    if configuration.flag("core.bare"):
        return None
    if configured := configuration.get("core.worktree"):
        return os.path.realpath(os.path.join(common, configured))
    return os.path.dirname(common) if os.path.basename(common) == ".git" else None


def _require_trusted(repositories: Repositories, path: str, found: RepositoryLocation) -> None:
    """Raise `GitFailed` where the configuration may come from others: it names programs, which git would run.

    Another user's repository is refused by git itself, but only if git looks for it. A bare repository may also be
    among the files of another one, and have come with them.
    """
    place = found.top or found.git_dir
    if any(os.lstat(one).st_uid != os.geteuid() for one in (place, found.git_dir)):
        repositories.installation.command(place).run(place, "rev-parse", "--git-dir")
    if found.top is None and os.path.basename(found.git_dir) != ".git":
        with suppress(NotARepository):
            around = repositories.locate(os.path.dirname(found.git_dir)).top
            head = os.path.join(found.git_dir, "HEAD")
            if around and repositories.at(around).git("ls-files", "-z", "--", head).out:
                reason = f"it is among the files of {around}, whose authors may have configured programs in it"
                remedy = f"work in a copy: git clone {shlex.quote(found.git_dir)} COPY"
                raise GitFailed(repository=path, command="git", reason=reason, remedy=remedy)


def pin(repositories: Repositories, path: str, owner: str, *, of_process: bool) -> None:
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
    repositories.pins.pin(places, owner, entries, of_process=of_process)


def distrusted(repositories: Repositories) -> dict[str, tuple[str, ...]]:
    """Return by repository the settings that changed while an agent worked there, and are still so."""
    found = {}
    for common, settings in repositories.pins.all_distrusted():
        with suppress(GitError):
            if names := settings.left(common, repositories.at(common).live_configuration()):
                found[common.removesuffix(f"{os.sep}.git")] = tuple(sorted(names))
    return found


def unpin(repositories: Repositories, path: str, owner: str, *, ends: bool) -> None:
    """See `Git.unpin_configuration` and `Git.rest_configuration`."""
    common = repositories.pins.recorded_common_dir(path)
    if common is None:
        try:
            common = inspect(repositories, path).common_dir
        except NotARepository:  # gone before it was pinned
            return
    repositories.pins.rest(common, owner, _live_configuration(repositories, path, common), ends=ends)


def _live_configuration(repositories: Repositories, path: str, common: str) -> Iterable[ConfigEntry] | None:
    """Return the live configuration of a repository: nothing if that is gone, None if it cannot be read."""
    for place in (path, common):
        with suppress(GitError):
            return repositories.at(place).live_configuration()
    return None if os.path.lexists(os.path.join(common, "config")) else ()
