"""Looking at a repository and its files, and recording work, with git commands."""

import errno
import os
from collections.abc import Callable, Sequence

import msgspec

from aura_contracts.errors import GitFailed, NotARepository, OperationInProgress
from aura_contracts.ports.git import Diff, Operation, RepositoryInfo, Status
from aura_git import _layout
from aura_git._command import Command, Completed
from aura_git._parsing import parse_changes, parse_status, paths
from aura_git._repository import Repository, message_bytes

_WHAT = ("-r", "-M50%", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--no-color", "--full-index")
_SUMMARY = ("-z", "--raw", "--numstat")
_PATCH = ("-p", "--binary", "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--inter-hunk-context=0", "--submodule=short")

_LOOKS = 4
"""How often the files are looked at before they are said to change too fast."""

_MOVED = "Unable to process path"
"""What git says of a file that is not any more what it was asked to take."""


# --- Looking ----------------------------------------------------------------------------------------------------------


def inspect(command: Command, path: str) -> RepositoryInfo:
    def git(*arguments: str, codes: Sequence[int] = (0,), stdin: bytes = b"") -> Completed:
        return command.run(path, *arguments, codes=codes, stdin=stdin, search=True)

    def where(option: str) -> str:
        return git("rev-parse", "--path-format=absolute", option).text

    found = git("rev-parse", "--is-bare-repository", "--is-shallow-repository", "--is-inside-work-tree").text
    bare, shallow, inside = (answer == "true" for answer in found.splitlines())
    git_dir, common_dir = where("--absolute-git-dir"), where("--git-common-dir")
    if not bare and not inside:
        raise NotARepository(repository=path)
    symbolic = git("symbolic-ref", "-q", "HEAD", codes=(0, 1))
    objects = git("cat-file", "--batch-check=%(objectname)", stdin=b"HEAD^{commit}\nHEAD:.gitmodules\n").text
    head, modules = (line if " " not in line else None for line in objects.splitlines())
    return RepositoryInfo(
        git_dir=git_dir,
        common_dir=os.path.realpath(common_dir),
        worktree=None if bare else where("--show-toplevel"),
        bare=bare,
        shallow=shallow,
        linked=os.path.realpath(git_dir) != os.path.realpath(common_dir),
        branch=symbolic.text.removeprefix("refs/heads/") if symbolic.code == 0 else None,
        head=head,
        submodules=modules is not None,
    )


def status(repository: Repository) -> Status:
    """Return what differs from HEAD; worktrees of the same repository that lie inside are no files of it."""
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


def _hidden_by_loops(repository: Repository) -> set[str]:
    """Return the tracked files whose folder has become a symbolic link that leads in a circle.

    They are gone, but ``git status`` only complains that it cannot look at them.
    """
    return {path for path in paths(repository.git("ls-files", "-z").out) if _is_in_loop(repository, path)}


def _is_in_loop(repository: Repository, path: str) -> bool:
    try:
        os.lstat(os.path.join(repository.path, path))  # noqa: PTH118
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _is_own_worktree(repository: Repository, path: str) -> bool:
    return _layout.is_linked_worktree_of(os.path.join(repository.path, path), repository.common_dir)  # noqa: PTH118


def diff(repository: Repository, base: str, target: str | None, patch_limit: int | None) -> Diff:
    """Return what leads from `base` to `target`, or to the files; with the patch where it has a limit.

    The files are entered in a scratch index, and what they hold in a scratch store of objects, before anything is
    compared: so the summary and the patch are of one moment, also while an agent is at work.
    """
    old = repository.resolve(base)
    if target is not None:
        new = repository.resolve(target)
        return _diff(repository, ("diff-tree", *_WHAT), (old, new), {}, patch_limit)
    with repository.scratch_index() as index, repository.scratch_objects() as objects:
        scratch = index | objects
        record_files(repository, status(repository), scratch)
        return _diff(repository, ("diff-index", "--cached", *_WHAT), (old,), scratch, patch_limit)


def _diff(
    repository: Repository,
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


def others(repository: Repository, variables: dict[str, str] | None = None) -> list[str]:
    """Return the untracked files that are not ignored, and not in repositories of their own."""
    listed = repository.on_files("ls-files", "-z", "--others", "--exclude-standard", variables=variables)
    return [path for path in paths(listed.out) if not path.endswith("/")]


def make_room_for_folders(repository: Repository, commit: str) -> None:
    """Remove symbolic links that are where `commit` has folders.

    Git looks through such a link when it asks whether a file needs to be written, and then takes the link away.
    """
    folders = repository.git("ls-tree", "-r", "-d", "-z", "--name-only", commit).out
    for folder in sorted(paths(folders)):
        place = os.path.join(repository.path, folder)  # noqa: PTH118
        if os.path.islink(place):  # noqa: PTH114
            os.unlink(place)  # noqa: PTH108


# --- Recording work ---------------------------------------------------------------------------------------------------


def stage(repository: Repository, chosen: Sequence[str]) -> None:
    """Stage the files that differ from the index: by list, which takes git as long as there are files, no longer."""
    wanted = {path.rstrip("/") for path in chosen}

    def is_wanted(path: str) -> bool:
        return not wanted or not wanted.isdisjoint(_with_folders(path))

    record_files(repository, status(repository), {}, is_wanted)


def _with_folders(path: str) -> list[str]:
    """Return `path` and the folders that it is in."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)] + ["."]


def record_files(
    repository: Repository,
    found: Status,
    variables: dict[str, str],
    is_wanted: Callable[[str], bool] = lambda _: True,
) -> None:
    """Make the index, or a scratch index, hold what the files are now; `found` is how they differ from the index.

    An agent may be at work: what has become a folder meanwhile, or vanished, is looked for again.
    """
    for left in range(_LOOKS - 1, -1, -1):
        changed = {path for path in (*found.unstaged, *found.untracked, *found.conflicted) if is_wanted(path)}
        try:
            _update_index(repository, changed, variables)
        except GitFailed as failure:
            if not left or _MOVED not in failure.reason:
                raise
            found = status(repository)
        else:
            return


def _update_index(repository: Repository, changed: set[str], variables: dict[str, str]) -> None:
    """Put what the files are now into the index; repositories inside that are no submodules are left out.

    What is below a symbolic link is no file of the repository: git takes nothing from there, so it is to be told that
    the files are gone.
    """
    files = {path for path in changed if not path.endswith("/")}
    links: dict[str, bool] = {}
    gone = {path for path in files if _is_below_link(repository.path, path, links)}
    for names, options in ((files - gone, ("--add", "--remove", "--replace")), (gone, ("--force-remove",))):
        if names:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in sorted(names))
            repository.on_files("update-index", "-z", *options, "--stdin", stdin=stdin, variables=variables)


def _is_below_link(top: str, path: str, known: dict[str, bool]) -> bool:
    """Whether one of the folders that `path` is in is a symbolic link; `known` has the answers for folders."""
    folder = path.rpartition("/")[0]
    if not folder:
        return False
    if folder not in known:
        known[folder] = _is_below_link(top, folder, known) or os.path.islink(os.path.join(top, folder))  # noqa: PTH114, PTH118
    return known[folder]


def commit(repository: Repository, message: str, *, allow_empty: bool) -> str | None:
    under_way = _layout.operation(repository.git_dir)
    head = repository.head()
    if repository.git("ls-files", "-u", "-z").out:
        raise OperationInProgress(
            repository=repository.path,
            worktree=repository.path,
            operation=under_way or "merge",
            remedy="resolve the conflicts and stage the files, then try again",
        )
    if not allow_empty and under_way != Operation.MERGE and not _is_staged(repository, head):
        return None
    options = ["-q", "-F", "-", "--cleanup=verbatim", "--no-verify", "--no-gpg-sign", "--allow-empty-message"]
    if allow_empty:
        options.append("--allow-empty")
    repository.on_files("commit", *options, stdin=message_bytes(message), variables=repository.author)
    made = repository.head()
    if made is None:
        raise GitFailed(repository=repository.path, command="git commit", reason="there is no commit after it")
    return made


def _is_staged(repository: Repository, head: str | None) -> bool:
    """Whether the index differs from HEAD."""
    if head is None:
        return bool(repository.git("ls-files", "-z").out)
    return repository.git("diff-index", "--cached", "--quiet", "--ita-invisible-in-index", head, codes=(0, 1)).code == 1
