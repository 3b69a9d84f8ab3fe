"""The changes in a worktree: how its files differ from a commit, and recording that in the index and in commits."""

import errno
import os
import shlex
from collections.abc import Callable, Iterable, Sequence

import msgspec

from aura_contracts.errors import GitFailed, NotARepository, OperationInProgress, UnreadableFiles
from aura_contracts.ports.git_values import Diff, Operation, Status
from aura_git.commandline._command import Completed
from aura_git.commandline._output import fields, parse_changes, parse_status, paths
from aura_git.files._gitlinks import filled, gitlinks
from aura_git.files._index import may_have_marks
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository, message_bytes

_DENIED = "Permission denied"

# --- Status -----------------------------------------------------------------------------------------------------------


def status(repository: GitRepository) -> Status:
    """Return what differs from HEAD; worktrees of the same repository inside are not files of it."""
    return read_status(repository, list_changes(repository))


def list_changes(repository: GitRepository, *options: str) -> Completed:
    """Run ``git status``; the output is for `read_status`. Raises `UnreadableFiles`."""
    how = ("--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty")
    listed = repository.on_files("status", *how, *options)
    if _DENIED in listed.err:
        _require_readable(repository)
    return listed


def read_status(repository: GitRepository, listed: Completed) -> Status:
    """Return what `list_changes` found, completed by what git leaves out."""
    found = parse_status(listed.out)
    if listed.err:
        hidden = _hidden_by_loops(repository).difference(found.conflicted)
        found = msgspec.structs.replace(found, unstaged=tuple(sorted(hidden.union(found.unstaged))))
    submodules = [(link.path, filled(repository, link.path)) for link in gitlinks(repository)]
    if changed := {path for path, inner in submodules if inner is not None and is_changed(inner)}:
        found = msgspec.structs.replace(found, unstaged=tuple(sorted(changed.union(found.unstaged))))
    folders = [path for path in found.untracked if path.endswith("/")]
    if not folders:
        return found
    own = {path for path in folders if _is_own_worktree(repository, path)}
    return msgspec.structs.replace(found, untracked=tuple(path for path in found.untracked if path not in own))


def is_changed(submodule: GitRepository) -> bool:
    """Whether the files of a submodule differ from its HEAD, or it is damaged.

    Git itself would find out by running ``git status`` in the submodule, with the configuration that it finds there.
    """
    try:
        return status(submodule).dirty
    except (GitFailed, NotARepository):
        return True


def _require_readable(repository: GitRepository) -> None:
    """Raise `UnreadableFiles` if there are folders that may not be read: git warns of them, and leaves them out.

    It even takes tracked files in them for deleted.
    """
    barred: list[str] = []
    for folder, folders, files in os.walk(repository.path, onerror=lambda error: barred.append(error.filename)):
        if not os.access(folder, os.R_OK | os.X_OK):
            barred.append(folder)
            folders.clear()
        elif folder == repository.path and ".git" in folders + files:
            folders[:] = [name for name in folders if name != ".git"]
    if barred:
        raise unreadable(repository, {os.path.relpath(path, repository.path) + "/" for path in barred})


def unreadable(repository: GitRepository, found: Iterable[str]) -> UnreadableFiles:
    """Return the error for folders and files that may not be read, relative to the worktree."""
    return UnreadableFiles(
        repository=repository.path,
        worktree=repository.path,
        paths=tuple(sorted(found)),
        remedy=f"make them readable: chmod -R u+rwX {shlex.quote(repository.path)}",
    )


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


def is_ignored(repository: GitRepository, folder: str) -> bool:
    """See `GitFiles.is_ignored`."""
    taken_literally = {"GIT_LITERAL_PATHSPECS": "0"}  # it does, and refuses the variable
    command = ("check-ignore", "-q", "--", f"./{folder}")
    ignored = repository.on_files(*command, codes=(0, 1), variables=taken_literally).code == 0
    return ignored and not repository.git("ls-files", "-z", "--", folder).out


def examine_all(repository: GitRepository, *, present: bool = False) -> None:
    """Make git examine files marked assume-unchanged or skip-worktree again, the latter only if `present` allows it.

    With `present`, skip-worktree stays on files that do not exist: a sparse checkout leaves them out.
    """
    if not may_have_marks(repository.git_dir, repository.name_length):
        return
    entries = [(entry[0], entry[2:]) for entry in paths(repository.git("ls-files", "-v", "-z").out)]
    skipped = [path for tag, path in entries if tag in "Ss"]
    if present:
        skipped = [path for path in skipped if os.path.lexists(os.path.join(repository.path, path))]
    for option, chosen in (
        ("--no-assume-unchanged", [path for tag, path in entries if tag.islower()]),
        ("--no-skip-worktree", skipped),
    ):
        if chosen:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in chosen)
            repository.git("update-index", "-z", option, "--stdin", stdin=stdin)


def remove_links_in_place_of_folders(repository: GitRepository, commit: str) -> None:
    """Remove symbolic links that are where `commit` has folders.

    Git follows such a link when it checks whether a file has to be written, and then removes the link.
    """
    folders = repository.git("ls-tree", "-r", "-d", "-z", "--name-only", commit).out
    for folder in sorted(paths(folders)):
        place = os.path.join(repository.path, folder)
        if os.path.islink(place):
            os.unlink(place)


# --- Differences ------------------------------------------------------------------------------------------------------

_HOW = ("-r", "-M50%", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--no-color", "--full-index")
_SUMMARY = ("-z", "--raw", "--numstat")
_PATCH = ("-p", "--binary", "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--inter-hunk-context=0", "--submodule=short")


def diff(repository: GitRepository, base: str, target: str | None, patch_limit: int | None) -> Diff:
    """Return what leads from `base` to `target`, or to the files; with the patch if it has a limit.

    The files are entered in a scratch index, and their contents in a scratch store of objects, before anything is
    compared: so summary and patch show the same moment, even while an agent is working.
    """
    old = repository.resolve(base)
    if target is not None:
        new = repository.resolve(target)
        if old == new:
            return Diff(patch=None if patch_limit is None else b"")
        return _compare(repository, ("diff-tree", *_HOW), (old, new), {}, patch_limit)
    with repository.scratch_index() as index, repository.scratch_objects() as objects:
        scratch = index | objects
        record_files(repository, status(repository), scratch)
        return _compare(repository, ("diff-index", "--cached", *_HOW), (old,), scratch, patch_limit)


def _compare(
    repository: GitRepository,
    command: tuple[str, ...],
    commits: tuple[str, ...],
    variables: dict[str, str],
    patch_limit: int | None,
) -> Diff:
    files = parse_changes(repository.on_files(*command, *_SUMMARY, *commits, variables=variables).out)
    if patch_limit is None:
        return Diff(files=files)
    done = repository.on_files(*command, *_PATCH, *commits, variables=variables, limit=patch_limit)
    whole_lines = done.out[: done.out.rfind(b"\n") + 1] if done.cut else done.out
    return Diff(files=files, patch=whole_lines, truncated=done.cut)


# --- The index and commits --------------------------------------------------------------------------------------------

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
            closed = [path for path in changed if not _may_be_read(os.path.join(repository.path, path))]
            if _DENIED in failure.reason and closed:
                raise unreadable(repository, closed) from failure
            if not left or _MOVED not in failure.reason:
                raise
            found = status(repository)
        else:
            return


def _may_be_read(file: str) -> bool:
    return os.path.islink(file) or os.access(file, os.R_OK) or not os.path.exists(file)


def _update_index(repository: GitRepository, changed: set[str], variables: dict[str, str]) -> None:
    """Put the files as they are now into the index; repositories inside that are not submodules are left out.

    Files below a symbolic link are not files of the repository: they are entered as gone, since git refuses to look
    there.
    """
    files = {path for path in changed if not path.endswith("/")}
    links: dict[str, bool] = {}
    gone = {path for path in files if _is_below_link(repository.path, path, links)}
    if there := files - gone:
        stdin = b"".join(os.fsencode(path) + b"\0" for path in sorted(there))
        how = ("--add", "--remove", "--replace")
        repository.on_files("update-index", "-z", *how, "--stdin", stdin=stdin, variables=variables)
    if gone:
        remove_from_index(repository, sorted(gone), variables)


def remove_from_index(repository: GitRepository, names: Sequence[str], variables: dict[str, str] | None = None) -> None:
    """See `GitFiles.unstage_added`."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in names)
    repository.git("update-index", "-z", "--force-remove", "--stdin", stdin=stdin, variables=variables)


def _is_below_link(top: str, path: str, known: dict[str, bool]) -> bool:
    """Whether one of the folders that `path` is in is a symbolic link; `known` caches the answers for folders."""
    last = path.rpartition("/")[0]
    if last and last not in known:
        below = False
        for folder in _with_folders(last)[:-1]:
            below = known.setdefault(folder, below or os.path.islink(os.path.join(top, folder)))
    return known.get(last, False)


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
    options = ("-z", "--name-status", "--no-renames", "--ita-invisible-in-index", "--ignore-submodules=none")
    changes = fields(repository.git("diff-index", "--cached", *options, head).out)
    return bool(changes), b"U" in changes[::2]
