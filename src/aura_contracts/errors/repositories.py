"""Errors of repositories and workspaces."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Self

from aura_contracts.errors.base import AuraError, Recovery
from aura_contracts.quoting import listed, quoted

_SHOWN = 5
"""Maximum files that a message names; the facts have all of them."""


def _shown(paths: Sequence[str]) -> str:
    return listed(list(map(quoted, paths)), _SHOWN)


class GitError(AuraError, code="git"):
    """An operation on a repository failed."""

    summary = "an operation on {repository} failed"
    repository: str


class GitUnavailable(GitError, code="git_unavailable"):
    """Git is not installed, or too old."""

    recovery = Recovery.HUMAN
    summary = "{repository} needs git: {reason}"
    reason: str


class NotARepository(GitError, code="not_a_repository"):
    """A folder does not exist or is not in a git repository."""

    recovery = Recovery.HUMAN
    summary = "{repository} is not in a git repository"
    remedy: str = "name a folder in a git repository, or create one with `git init`"


class InsideGitDirectory(NotARepository, code="inside_git_directory"):
    """A folder is inside of the ``.git`` of a repository, where git alone may write."""

    summary = "{repository} is inside of a .git folder, where git alone may write"
    remedy: str = "name the repository itself"


class NoCommit(GitError, code="no_commit"):
    """A repository has no commit to work from."""

    recovery = Recovery.HUMAN
    summary = "{repository} has no commit yet"


class IgnoredSubfolder(GitError, code="ignored_subfolder"):
    """Git ignores the subfolder to work in, so that a worktree would not have its files."""

    recovery = Recovery.HUMAN
    summary = "git ignores {subfolder} in {repository}, so that a worktree has none of its files"
    subfolder: str


class UncommittedSubfolder(GitError, code="uncommitted_subfolder"):
    """The subfolder to work in has files, but none in the commit that work starts from."""

    recovery = Recovery.HUMAN
    summary = "no file of {subfolder} in {repository} is committed on {branch}, so that a worktree has none of them"
    subfolder: str
    branch: str
    remedy: str = "commit them, or take them along with copy_files=GLOB, or use in_place=True"


class UnsuitableFolder(GitError, code="unsuitable_folder"):
    """A folder is in no repository, and AURA cannot keep versions of it either."""

    recovery = Recovery.HUMAN
    summary = "{repository} is in no repository, and AURA cannot keep versions of it: {reason}"
    reason: str
    remedy: str = "make a repository of it with `git init`, or use in_place=True: changes are then made at once"


class UnknownRevision(GitError, code="unknown_revision"):
    """A revision does not name a commit."""

    recovery = Recovery.HUMAN
    summary = "{repository} has no commit {revision!r}"
    revision: str
    remedy: str = "name a branch, a tag or a commit that the repository has; an empty repository needs a first commit"


class InvalidBranchName(GitError, code="invalid_branch_name"):
    """Git does not accept the name for a branch."""

    recovery = Recovery.HUMAN
    summary = "{branch!r} is not a valid branch name"
    branch: str
    remedy: str = "see git-check-ref-format(1) for valid branch names"


class DirtyWorktree(GitError, code="dirty_worktree"):
    """Uncommitted changes are in the way; nothing was touched."""

    worktree: str
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, repository: str, worktree: str, paths: Iterable[str]) -> Self:
        """Return the error about these files of a worktree, with the command that puts them aside."""
        remedy = f"commit or stash them (git -C {shlex.quote(worktree)} stash -u), then try again"
        return cls(repository=repository, worktree=worktree, paths=tuple(sorted(set(paths))), remedy=remedy)

    def message(self) -> str:
        return f"{self.worktree} has uncommitted changes in the way: {_shown(self.paths)}"


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
        return f"{self.source} cannot be merged into {self.target}: {_shown(self.paths)}"


class RevertConflict(GitError, code="revert_conflict"):
    """What a revert would undo has changed since; nothing was touched."""

    commit: str
    paths: tuple[str, ...]
    remedy: str = "have an agent undo it, or do it by hand"

    def message(self) -> str:
        return f"{self.commit} cannot be reverted, others have changed the same lines since: {_shown(self.paths)}"


class SubmoduleCommitMissing(GitError, code="submodule_commit_missing"):
    """The work points a submodule to a commit that only the worktree has; nothing was merged."""

    commit: str
    paths: tuple[str, ...]
    reason: str = ""
    """Why it could not be kept."""

    def message(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{_shown(self.paths)} points to commit {self.commit}, which is only in the worktree{why}"


class RefChanged(GitError, code="ref_changed"):
    """A ref does not point where the caller expected; nothing was touched."""

    recovery = Recovery.LATER
    ref: str
    expected: str | None
    actual: str | None
    remedy: str = "read the ref and decide again"

    def message(self) -> str:
        return f"{self.ref} is at {self.actual or 'nothing'}, not at {self.expected or 'nothing'}"


class BranchInUse(GitError, code="branch_in_use"):
    """A worktree has the branch checked out."""

    recovery = Recovery.HUMAN
    summary = "branch {branch} is checked out at {worktree}"
    branch: str
    worktree: str
    remedy: str = "check something else out there, or remove that worktree"


class BranchInTheWay(GitError, code="branch_in_the_way"):
    """A branch cannot be created because another one has the name of its folder."""

    recovery = Recovery.HUMAN
    summary = "branch {branch} cannot be created while there is a branch {other}"
    branch: str
    other: str


class FilterMissing(GitError, code="filter_missing"):
    """Files need a filter, such as Git LFS, whose program is not installed."""

    recovery = Recovery.HUMAN
    summary = "{path} in {repository} needs the filter {filter!r}, and its program {program} is not installed"
    path: str
    """The first such file."""
    filter: str
    program: str


class UnreadableFiles(GitError, code="unreadable_files"):
    """A worktree has folders or files that may not be read, so their content cannot be recorded."""

    recovery = Recovery.HUMAN
    worktree: str
    paths: tuple[str, ...]

    def message(self) -> str:
        return f"{_shown(self.paths)} in {self.worktree} cannot be read"


class WorktreeExists(GitError, code="worktree_exists"):
    """The path for a new worktree is taken."""

    recovery = Recovery.HUMAN
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

    recovery = Recovery.HUMAN
