"""Recording work: the index and commits."""

import os
from collections.abc import Callable, Sequence

from aura_contracts.errors import GitFailed, OperationInProgress
from aura_contracts.ports.git import Operation, Status
from aura_git.commandline._output import fields
from aura_git.files._status import status
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository, message_bytes

_ATTEMPTS = 4
"""How often the files are examined while they keep changing."""

_MOVED = "Unable to process path"
"""What git says of a file that has become a folder, or vanished."""


def stage(repository: GitRepository, chosen: Sequence[str]) -> None:
    """Stage the files that differ from the index, by name: the time depends on the number of changes only."""
    wanted = {path.rstrip("/") for path in chosen}

    def is_wanted(path: str) -> bool:
        return not wanted or not wanted.isdisjoint(_with_folders(path))

    record_files(repository, status(repository), {}, is_wanted)


def _with_folders(path: str) -> list[str]:
    """Return `path` and the folders that it is in."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)] + ["."]


def record_files(
    repository: GitRepository,
    found: Status,
    variables: dict[str, str],
    is_wanted: Callable[[str], bool] = lambda _: True,
) -> None:
    """Make the index, or a scratch index, hold the files as they are now; `found` is how they differ from the index.

    An agent may be working meanwhile: if a file has vanished or become a folder, the files are examined again.
    """
    for left in range(_ATTEMPTS - 1, -1, -1):
        changed = {path for path in (*found.unstaged, *found.untracked, *found.conflicted) if is_wanted(path)}
        try:
            _update_index(repository, changed, variables)
        except GitFailed as failure:
            if not left or _MOVED not in failure.reason:
                raise
            found = status(repository)
        else:
            return


def _update_index(repository: GitRepository, changed: set[str], variables: dict[str, str]) -> None:
    """Put the files as they are now into the index; repositories inside that are not submodules are left out.

    Files below a symbolic link are not files of the repository: they are entered as gone, since git refuses to look
    there.
    """
    files = {path for path in changed if not path.endswith("/")}
    links: dict[str, bool] = {}
    gone = {path for path in files if _is_below_link(repository.path, path, links)}
    for names, options in ((files - gone, ("--add", "--remove", "--replace")), (gone, ("--force-remove",))):
        if names:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in sorted(names))
            repository.on_files("update-index", "-z", *options, "--stdin", stdin=stdin, variables=variables)


def _is_below_link(top: str, path: str, known: dict[str, bool]) -> bool:
    """Whether one of the folders that `path` is in is a symbolic link; `known` caches the answers for folders."""
    folder = path.rpartition("/")[0]
    if not folder:
        return False
    if folder not in known:
        known[folder] = _is_below_link(top, folder, known) or os.path.islink(os.path.join(top, folder))
    return known[folder]


def commit(repository: GitRepository, message: str, *, allow_empty: bool) -> str | None:
    """See `GitFiles.commit`."""
    under_way = _paths.operation(repository.git_dir)
    staged, unmerged = _staged(repository)
    if unmerged:
        raise OperationInProgress(
            repository=repository.path,
            worktree=repository.path,
            operation=under_way or "merge",
            remedy="resolve the conflicts and stage the files, then try again",
        )
    if not allow_empty and under_way != Operation.MERGE and not staged:
        return None
    options = ["-q", "-F", "-", "--cleanup=verbatim", "--no-verify", "--no-gpg-sign", "--allow-empty-message"]
    if allow_empty:
        options.append("--allow-empty")
    repository.on_files("commit", *options, stdin=message_bytes(message), variables=repository.author)
    made = repository.head()
    if made is None:
        raise GitFailed(repository=repository.path, command="git commit", reason="it made no commit")
    return made


def _staged(repository: GitRepository) -> tuple[bool, bool]:
    """Return whether the index differs from HEAD, and whether it holds files in conflict."""
    head = repository.head()
    if head is None:
        entries = fields(repository.git("ls-files", "-s", "-z").out)
        stages = {entry.partition(b"\t")[0][-1:] for entry in entries}
        return bool(entries), bool(stages - {b"0"})
    options = ("-z", "--name-status", "--no-renames", "--ita-invisible-in-index")
    changes = fields(repository.git("diff-index", "--cached", *options, head).out)
    return bool(changes), b"U" in changes[::2]
