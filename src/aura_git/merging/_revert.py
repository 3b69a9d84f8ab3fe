"""Reverting a commit in a worktree, with ``git revert``.

The revert is first made in the index and the files, then committed. A call that was killed in between leaves
``REVERT_HEAD``, which the next call finds; it undoes that first, and starts again from HEAD.
"""

from aura_contracts.errors import DirtyWorktree, GitFailed, OperationInProgress, RevertConflict
from aura_contracts.ports.git_values import Operation
from aura_git.commandline._output import paths
from aura_git.files import _changes
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository

_OPTIONS = ("--no-commit", "--no-gpg-sign", "--no-rerere-autoupdate")


def revert(repository: GitRepository, commit: str, message: str) -> str | None:
    """See `GitFiles.revert`."""
    found = repository.resolve(commit)
    _begin(repository)
    parents = repository.git("rev-list", "--parents", "--max-count=1", found).text.split()[1:]
    mainline = ("--mainline", "1") if len(parents) > 1 else ()
    done = repository.on_files("revert", *_OPTIONS, *mainline, found, codes=(0, 1), variables=repository.author)
    if done.code == 0:
        made = _changes.commit(repository, message, allow_empty=False)
        if made is None:
            _undo(repository)
        return made
    conflicts = paths(repository.git("diff", "--name-only", "--diff-filter=U", "-z").out)
    _undo(repository)
    if conflicts:
        raise RevertConflict(repository=repository.path, commit=found, paths=tuple(conflicts))
    raise GitFailed(repository=repository.path, command="git revert", reason=done.err.strip())


def _begin(repository: GitRepository) -> None:
    """Require a worktree without changes, after undoing a revert that was not finished."""
    under_way = _paths.operation(repository.git_dir)
    if under_way is Operation.REVERT:
        _undo(repository)
    elif under_way is not None:
        path = repository.path
        raise OperationInProgress(repository=path, worktree=path, operation=under_way)
    changed = _changes.status(repository)
    if dirty := (*changed.staged, *changed.unstaged, *changed.conflicted):
        raise DirtyWorktree.of(repository.path, repository.path, dirty)


def _undo(repository: GitRepository) -> None:
    """Return to HEAD; untracked files stay."""
    repository.on_files("reset", "-q", "--hard", "HEAD")
