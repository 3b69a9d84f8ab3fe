"""Errors of repositories and workspaces."""

from collections.abc import Sequence

from aura_contracts.errors.base import AuraError
from aura_contracts.quoting import quoted

_SHOWN = 5
"""Maximum files that a message names; the facts have all of them."""


def _shown(paths: Sequence[str]) -> str:
    rest = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(quoted, paths[:_SHOWN])) + rest


class GitError(AuraError, code="git"):
    """An operation on a repository failed."""

    summary = "an operation on {repository} failed"
    repository: str


class GitUnavailable(GitError, code="git_unavailable"):
    """Git is not installed, or too old."""

    lasting = True
    summary = "{repository} needs git: {reason}"
    reason: str


class NotARepository(GitError, code="not_a_repository"):
    """A folder does not exist or is not in a git repository."""

    lasting = True
    summary = "{repository} is not in a git repository"
    remedy: str = "name a folder in a git repository, or create one with `git init`"


class InsideGitDirectory(NotARepository, code="inside_git_directory"):
    """A folder is inside of the ``.git`` of a repository, where git alone may write."""

    summary = "{repository} is inside of a .git folder, where git alone may write"
    remedy: str = "name the repository itself"


class UnknownRevision(GitError, code="unknown_revision"):
    """A revision does not name a commit."""

    lasting = True
    summary = "{repository} has no commit {revision!r}"
    revision: str
    remedy: str = "name a branch, a tag or a commit that the repository has; an empty repository needs a first commit"


class InvalidBranchName(GitError, code="invalid_branch_name"):
    """Git does not accept the name for a branch."""

    lasting = True
    summary = "{branch!r} is not a valid branch name"
    branch: str
    remedy: str = "see git-check-ref-format(1) for valid branch names"


class DirtyWorktree(GitError, code="dirty_worktree"):
    """Uncommitted changes are in the way; nothing was touched."""

    worktree: str
    paths: tuple[str, ...] = ()
    remedy: str = "commit or stash them, then try again"

    def message(self) -> str:
        shown = _shown(self.paths)
        return f"{self.worktree} has uncommitted changes in the way: {shown}"


class OperationInProgress(GitError, code="operation_in_progress"):
    """An operation is in progress in a worktree; nothing was touched."""

    summary = "{worktree} has a {operation} in progress"
    worktree: str
    operation: str
    remedy: str = "finish or abort it, then try again"


class MergeConflict(GitError, code="merge_conflict"):
    """Two changes conflict; nothing was touched."""

    source: str
    target: str
    paths: tuple[str, ...]
    remedy: str = "resolve the conflict on the task's branch, then merge again"

    def message(self) -> str:
        shown = _shown(self.paths)
        return f"{self.source} cannot be merged into {self.target}: {shown}"


class SubmoduleCommitMissing(GitError, code="submodule_commit_missing"):
    """The work points a submodule to a commit that only the worktree has; nothing was merged."""

    commit: str
    paths: tuple[str, ...]

    def message(self) -> str:
        return f"{', '.join(self.paths)} points to commit {self.commit}, which is nowhere but in the worktree"


class RefChanged(GitError, code="ref_changed"):
    """A ref does not point where the caller expected; nothing was touched."""

    transient = True
    ref: str
    expected: str | None
    actual: str | None
    remedy: str = "read the ref and decide again"

    def message(self) -> str:
        return f"{self.ref} is at {self.actual or 'nothing'}, not at {self.expected or 'nothing'}"


class BranchInUse(GitError, code="branch_in_use"):
    """A worktree has the branch checked out."""

    lasting = True
    summary = "branch {branch} is checked out at {worktree}"
    branch: str
    worktree: str
    remedy: str = "check something else out there, or remove that worktree"


class BranchInTheWay(GitError, code="branch_in_the_way"):
    """A branch cannot be created because another one has the name of its folder."""

    lasting = True
    summary = "branch {branch} cannot be created while there is a branch {other}"
    branch: str
    other: str


class FilterMissing(GitError, code="filter_missing"):
    """Files need a filter, such as Git LFS, whose program is not installed."""

    lasting = True
    summary = "{path} in {repository} needs the filter {filter!r}, and its program {program} is not installed"
    path: str
    """The first such file."""
    filter: str
    program: str


class UnreadableFiles(GitError, code="unreadable_files"):
    """A worktree has folders or files that may not be read, so their content cannot be recorded."""

    lasting = True
    worktree: str
    paths: tuple[str, ...]

    def message(self) -> str:
        shown = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        return f"{shown} in {self.worktree} cannot be read"


class WorktreeExists(GitError, code="worktree_exists"):
    """The path for a new worktree is taken."""

    lasting = True
    summary = "{path} already exists"
    path: str
    remedy: str = "move it out of the way"


class GitTimeout(GitError, code="git_timeout"):
    """Git did not answer within `seconds` and was killed."""

    summary = "`{command}` took longer than {seconds:g} s in {repository}"
    command: str
    seconds: float
    remedy: str = "look for a lock or a slow file system, then retry"


class GitFailed(GitError, code="git_failed"):
    """Git refused or failed."""

    summary = "`{command}` failed in {repository}: {reason}"
    command: str
    reason: str


class WorkspaceError(AuraError, code="workspace"):
    """A workspace could not be created, used or removed; `left_behind` names the leftovers."""

    workspace_id: str
    path: str
    reason: str
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()

    def message(self) -> str:
        rest = f"; left behind: {', '.join(map(quoted, self.left_behind))}" if self.left_behind else ""
        return f"workspace {self.workspace_id} at {self.path}: {self.reason}{rest}"


class WorkspaceObstacle(WorkspaceError, code="workspace_obstacle"):
    """A workspace could not be created, used or removed, and only a human can change that."""

    lasting = True
