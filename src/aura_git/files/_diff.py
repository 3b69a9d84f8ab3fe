"""Differences between two commits, or between a commit and the files."""

from aura_contracts.ports.git import Diff
from aura_git.commandline._output import parse_changes
from aura_git.files._staging import record_files
from aura_git.files._status import status
from aura_git.repository._git_repository import GitRepository

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
