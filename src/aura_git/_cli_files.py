"""Looking at a repository and its files, and recording work, with git commands."""

import os
from collections.abc import Sequence

from aura_contracts.errors import GitFailed, NotARepository, OperationInProgress
from aura_contracts.ports.git import Diff, Operation, RepositoryInfo, Status
from aura_git import _layout
from aura_git._command import Command, Completed
from aura_git._parsing import parse_changes, parse_status, paths
from aura_git._repository import Repository, message_bytes

_WHAT = ("-r", "-M50%", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--no-color", "--full-index")
_SUMMARY = ("-z", "--raw", "--numstat")
_PATCH = ("-p", "--binary", "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--inter-hunk-context=0", "--submodule=short")


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
    folders = [path for path in found.untracked if path.endswith("/")]
    if not folders:
        return found
    own = {path for path in folders if _is_own_worktree(repository, path)}
    return Status(
        staged=found.staged,
        unstaged=found.unstaged,
        untracked=tuple(path for path in found.untracked if path not in own),
        conflicted=found.conflicted,
    )


def _is_own_worktree(repository: Repository, path: str) -> bool:
    return _layout.is_linked_worktree_of(os.path.join(repository.path, path), repository.common_dir)  # noqa: PTH118


def diff(repository: Repository, base: str, target: str | None, patch_limit: int | None) -> Diff:
    """Return what leads from `base` to `target`, or to the files; with the patch where it has a limit."""
    old = repository.resolve(base)
    if target is not None:
        new = repository.resolve(target)
        return _diff(repository, ("diff-tree", *_WHAT), (old, new), {}, patch_limit)
    with repository.scratch_index() as scratch:
        if unknown := [*others(repository), *unmerged(repository)]:
            note_unknown(repository, unknown, scratch)
        repository.on_files("update-index", "-q", "--refresh", codes=(0, 1), variables=scratch)
        return _diff(repository, ("diff-index", *_WHAT), (old,), scratch, patch_limit)


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


def unmerged(repository: Repository) -> list[str]:
    """Return the paths in conflict."""
    listed = paths(repository.git("ls-files", "-z", "--unmerged").out)
    return sorted({entry.split("\t", 1)[1] for entry in listed})


def note_unknown(repository: Repository, unknown: Sequence[str], scratch: dict[str, str]) -> None:
    """Enter files in the scratch index, empty: so that a diff of the files looks at them, whatever they hold."""
    empty = repository.git("hash-object", "-t", "blob", "-w", "--stdin").text
    entries = b"".join(f"100644 {empty}\t".encode() + os.fsencode(path) + b"\0" for path in unknown)
    repository.on_files("update-index", "-z", "--replace", "--index-info", stdin=entries, variables=scratch)


# --- Recording work ---------------------------------------------------------------------------------------------------


def stage(repository: Repository, chosen: Sequence[str]) -> None:
    """Stage the files that differ from the index: by list, which takes git as long as there are files, no longer."""
    found = status(repository)
    changed = {*found.unstaged, *found.untracked, *found.conflicted}
    if chosen:
        wanted = {path.rstrip("/") for path in chosen}
        changed = {path for path in changed if not wanted.isdisjoint(_with_folders(path))}
    update_index(repository, changed)


def _with_folders(path: str) -> list[str]:
    """Return `path` and the folders that it is in."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)] + ["."]


def update_index(repository: Repository, changed: set[str], variables: dict[str, str] | None = None) -> None:
    """Put what the files are now into the index; repositories inside that are no submodules are left out."""
    names = b"".join(os.fsencode(path) + b"\0" for path in sorted(changed) if not path.endswith("/"))
    if names:
        options = ("-z", "--add", "--remove", "--replace", "--stdin")
        repository.on_files("update-index", *options, stdin=names, variables=variables)


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
