"""Git: ports for refs, for files, for worktrees and merging, and for submodules; `Git` combines them.

Every method blocks and may take seconds on a large repository; on an event loop, call it in a thread. No method asks
for a password, runs a hook, opens an editor, signs, or obeys configuration that would change its result: the same call
does the same everywhere. No method destroys work that is not in an object unless its documentation says so. At the
beginning of each call the links of a pinned worktree to its repository are put right; a call that reads changes nothing
else.

Paths of repositories and worktrees are absolute, as text. Paths *within* a repository are relative, with ``/``, never
quoted, and decoded by ``os.fsdecode``: bytes that are not UTF-8 become lone surrogates. Commits are full object names
in hexadecimal. `repo` may be a worktree (the main one or a linked one) or a bare repository; `worktree` has files.

Errors, all `GitError`s: `GitUnavailable`, `NotARepository`, `UnknownRevision`, `InvalidBranchName`, `DirtyWorktree`,
`OperationInProgress`, `MergeConflict`, `RevertConflict`, `RefChanged`, `BranchInUse`, `BranchInTheWay`,
`FilterMissing`, `UnreadableFiles`, `WorktreeExists`, `GitFailed`, `GitTimeout`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from aura_contracts.ports.git_values import (
    Diff,
    Inventory,
    LinkedWorktree,
    MergeOutcome,
    MergePrediction,
    Operation,
    RepositoryInfo,
    Status,
)
from aura_contracts.ports.submodules import GitSubmodules
from aura_contracts.workspace import MergeStyle, Unrecorded

held_locks: ContextVar[tuple[int, ...]] = ContextVar("held_locks", default=())
"""Descriptors that every process of git inherits: the lock of a killed caller lasts until its git has ended too."""


@contextmanager
def keeping(lock: int) -> Iterator[None]:
    """Let the git processes that the body starts inherit the lock on this file descriptor."""
    before = held_locks.set((*held_locks.get(), lock))
    try:
        yield
    finally:
        held_locks.reset(before)


class GitRefs(ABC):
    """Revisions, history, branches and refs. Thread-safe."""

    @abstractmethod
    def resolve(self, repo: str, revision: str) -> str:
        """Return the commit that `revision` names: a branch, a tag, HEAD, an (abbreviated) object name, a full ref.

        Raises `UnknownRevision`, also in a repository without commits.
        """

    @abstractmethod
    def find_ref(self, repo: str, ref: str) -> str | None:
        """Return the target of the full ref name `ref` (``refs/heads/main``), or None."""

    @abstractmethod
    def has_path(self, repo: str, commit: str, path: str) -> bool:
        """Whether a commit has a file or folder at `path`, relative to the top of the repository."""

    @abstractmethod
    def merge_base(self, repo: str, one: str, other: str) -> str | None:
        """Return the best common ancestor; None for unrelated histories, or histories cut off by a shallow clone."""

    @abstractmethod
    def is_ancestor(self, repo: str, ancestor: str, descendant: str) -> bool:
        """Whether `descendant` contains `ancestor`; a commit contains itself."""

    @abstractmethod
    def ensure_branch(self, repo: str, branch: str, start: str) -> str:
        """Create `branch` at revision `start` unless it exists; return its commit.

        Raises `BranchInTheWay`, and `InvalidBranchName` for a name that git-check-ref-format(1) forbids, or that
        ``git branch`` would interpret in another way (``HEAD``, ``@``, ``-x``).
        """

    @abstractmethod
    def require_free_branch(self, repo: str, branch: str) -> None:
        """Raise `BranchInTheWay` if a branch has the name of one of the folders of `branch`: ``a`` for ``a/b``."""

    @abstractmethod
    def delete_branch(self, repo: str, branch: str, expected: str) -> None:
        """Delete `branch` if it is still at `expected`; succeed if it does not exist.

        Raises `RefChanged`, and `BranchInUse` while a worktree has it checked out.
        """

    @abstractmethod
    def update_ref(self, repo: str, ref: str, new: str | None, expected: str | None, message: str) -> None:
        """Point `ref` (full name) to `new` if it points to `expected`, atomically.

        None means that the ref does not exist. Raises `RefChanged`. No worktree is touched.
        """


class GitFiles(ABC):
    """The files of a worktree: status, diffs, commits and snapshots. Thread-safe."""

    @abstractmethod
    def inspect(self, path: str) -> RepositoryInfo:
        """Return the repository that contains `path`. Raises `NotARepository`."""

    @abstractmethod
    def pin_configuration(self, repo: str, owner: str, *, of_process: bool = False) -> None:
        """Keep to the configuration that `repo` has now, and to its directories, until every owner has unpinned it.

        Called before an agent may work there: what it configures has no effect on any method. Settings that appear
        meanwhile are left out by the next pin too, until they were gone once. Repeatable. `owner` is a file name. With
        `of_process`, no agent works under it, and the end of this process is the end of the pin too.
        """

    @abstractmethod
    def rest_configuration(self, repo: str, owner: str) -> None:
        """Note that the agent of `owner` has ended: what is configured from now on, the next pin takes for the user's.

        The configuration stays pinned. Repeatable.
        """

    @abstractmethod
    def unpin_configuration(self, repo: str, owner: str) -> None:
        """End what `pin_configuration` began for `owner`, also where the repository is gone. Repeatable."""

    @abstractmethod
    def end_leftovers(self, lock: str) -> None:
        """End what a git whose caller was killed has left running, if it holds a lock, the path of its file.

        Call it while waiting for the lock. A git that is still at work is not disturbed.
        """

    @abstractmethod
    def status(self, worktree: str) -> Status:
        """Return the differences from HEAD. Submodules with changes of their own count as unstaged changes.

        Raises `UnreadableFiles` if there are folders that may not be read: git would leave out what is in them.
        """

    @abstractmethod
    def examine_all(self, worktree: str) -> None:
        """Make git examine files again that are marked ``assume-unchanged``, or ``skip-worktree`` if they exist."""

    @abstractmethod
    def inventory(self, worktree: str) -> Inventory:
        """Return the status, and what the worktree holds besides. Raises like `status`."""

    @abstractmethod
    def empty_folders(self, worktree: str) -> tuple[str, ...]:
        """Return folders that no commit can hold because they have no file, each with ``/`` at its end."""

    @abstractmethod
    def keep_left_commits(self, worktree: str, prefix: str) -> tuple[str, ...]:
        """Keep the commits that HEAD has left on no branch and no ref, each on a ref below `prefix`.

        Returns all commits kept there that HEAD does not contain. They are found in HEAD's log, if git keeps one.
        """

    @abstractmethod
    def left_commits(self, worktree: str, prefix: str) -> tuple[str, ...]:
        """Return what `keep_left_commits` would. Changes nothing."""

    @abstractmethod
    def is_ignored(self, worktree: str, folder: str) -> bool:
        """Whether git ignores a folder of the worktree, and has no file in it."""

    @abstractmethod
    def elsewhere(self, worktree: str) -> tuple[Unrecorded, ...]:
        """Return the other branches and the stashes that have work of the worktree, and submodules with such work.

        Branches and stashes are found in logs of refs, if git keeps them.
        """

    @abstractmethod
    def operation(self, worktree: str) -> Operation | None:
        """Return the operation in progress in the worktree, or None."""

    @abstractmethod
    def diff(
        self, repo: str, base: str, target: str | None = None, *, patch: bool = False, patch_limit: int = 1_048_576
    ) -> Diff:
        """Return the changes from commit `base` to commit `target`, or (None) to the files of the worktree at `repo`.

        With target None, untracked files that are not ignored count as added; the index is not touched. Renames are
        detected by git's default (50 % similarity). `patch_limit` is in bytes.
        """

    # --- Recording work -----------------------------------------------------------------------------------------------

    @abstractmethod
    def stage(self, worktree: str, paths: Sequence[str] = ()) -> None:
        """Stage `paths` (files and folders), or everything that is not ignored.

        Everything includes deletions and untracked files. Nested repositories that are not submodules are left out.
        """

    @abstractmethod
    def unstage_added(self, worktree: str, paths: Sequence[str]) -> None:
        """Remove files that HEAD does not have from the index; the files themselves stay as they are."""

    @abstractmethod
    def commit(self, worktree: str, message: str, *, allow_empty: bool = False) -> str | None:
        """Commit the index on the current HEAD; return the commit, or None if nothing is staged.

        The author is the configured user (name and email), or AURA's identity. During a merge, this creates the merge
        commit. Raises `OperationInProgress` while there are conflicts.
        """

    @abstractmethod
    def revert(self, worktree: str, commit: str, message: str) -> str | None:
        """Commit the opposite of `commit` on HEAD; return the new commit, or None if that changes nothing.

        A merge is reverted to its first parent. A revert in progress in the worktree is undone first: one of an earlier
        call that was killed. Raises `DirtyWorktree`, `OperationInProgress` for another operation, and `RevertConflict`
        with the paths that have changed since; the worktree is as before then.
        """

    # --- Folders without a repository ---------------------------------------------------------------------------------

    @abstractmethod
    def create_repository(self, repo: str, branch: str) -> None:
        """Create a bare repository at `repo`, with HEAD on `branch`, which has no commit yet. Repeatable."""

    @abstractmethod
    def record_folder(self, repo: str, folder: str, parent: str | None, message: str) -> str:
        """Return a commit on `parent` of the files in `folder` that are not ignored.

        The commit is made in the bare repository `repo`. Returns `parent` itself if nothing differs from it.
        No ref is moved and nothing in the folder is touched. One folder per repository, one call at a time.
        """

    @abstractmethod
    def update_folder(self, repo: str, folder: str, old: str, new: str) -> None:
        """Take the files in `folder` from commit `old`, which it was just recorded as, to commit `new`.

        Raises `DirtyWorktree` before anything is touched if files that would change have been changed since, or if
        others are in the way. Files that the two commits share are left alone.
        """

    # --- Snapshots ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def snapshot(self, worktree: str, ref: str, message: str, *, also: Sequence[str] = ()) -> str:
        """Save HEAD, index and files (including untracked ones, excluding ignored ones) as commits, kept under `ref`.

        `also` are ignored files to include.

        Returns the commit that `ref` points to: HEAD itself if nothing differs from it. Its tree has the files, its
        first parent is HEAD, and a second parent holds the index if that differs from both. The last line of the
        message says where the index is (``Aura-Index:``). Leaves files, index and branches untouched. Works in a
        repository without commits, and during a merge, keeping our side in the index. Nested repositories that are not
        submodules are not saved.
        """

    @abstractmethod
    def restore(self, worktree: str, commit: str) -> None:
        """Restore files and index from snapshot `commit`; HEAD and branches stay.

        **Overwrites the files**: take a snapshot first. Files that are missing from the snapshot and not ignored are
        removed, so a snapshot taken beforehand holds everything that is lost. Any commit can serve as a snapshot; its
        tree is then used for both index and files.
        """


class GitWorktrees(ABC):
    """Linked worktrees, and merging without one. Thread-safe."""

    @abstractmethod
    def add_worktree(self, repo: str, path: str, branch: str) -> None:
        """Check out the existing `branch` at `path`, which must not exist or must be an empty folder.

        Raises `BranchInUse` if another worktree has it checked out, and `WorktreeExists`. A failure leaves nothing
        behind.
        """

    @abstractmethod
    def add_detached_worktree(self, repo: str, path: str, commit: str) -> None:
        """Check out `commit` at `path` with a detached HEAD, to fill a pool; otherwise like `add_worktree`."""

    @abstractmethod
    def switch_worktree(self, worktree: str, branch: str) -> None:
        """**Discard everything in `worktree`** and check out the existing `branch`, as in a new worktree.

        Ignored and untracked files are removed too. Fast if the trees are similar. Raises `BranchInUse`.
        """

    @abstractmethod
    def move_worktree(self, repo: str, path: str, to: str) -> None:
        """Move a linked worktree; `to` must not exist."""

    @abstractmethod
    def remove_worktree(self, repo: str, path: str, *, force: bool = False) -> None:
        """Remove a linked worktree and git's record of it; succeed if it does not exist.

        Raises `DirtyWorktree` if it has changes or untracked files, unless **`force`, which destroys them**.
        """

    @abstractmethod
    def require_filters(self, repo: str, commit: str) -> None:
        """Raise `FilterMissing` if a file of `commit` needs a filter (Git LFS, say) whose program is not installed.

        Only filters that are ``required`` count. Checking out such a commit fails.
        """

    @abstractmethod
    def list_worktrees(self, repo: str) -> tuple[LinkedWorktree, ...]:
        """Return all worktrees, the main one first."""

    @abstractmethod
    def repair_worktree(self, repo: str, path: str) -> None:
        """Repair the links between a repository and the worktree at `path`, after either was moved by hand.

        No other worktree is looked for: what the repository says of where they are may come from an agent.
        """

    # --- Merging ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def predict_merge(self, repo: str, target: str, source: str) -> MergePrediction:
        """Return the result of merging commit `source` into commit `target`, without touching any worktree or ref."""

    @abstractmethod
    def merge(
        self,
        repo: str,
        *,
        source: str,
        target_branch: str,
        expected: str | None = None,
        style: MergeStyle = MergeStyle.MERGE,
        message: str,
        keep: str | None = None,
    ) -> MergeOutcome:
        """Merge commit `source` into `target_branch`.

        The new commits are first created as objects. Then `keep`, a full ref name, is pointed to the new tip, so that a
        merge interrupted by a crash can be recognised: the target contains `keep` or it does not. Finally the branch is
        moved by compare-and-swap from `expected` (None: its current tip). Styles: ``merge`` always creates a merge
        commit, ``squash`` creates one commit on the target, and ``rebase`` replays the source's commits on the target
        (a conflict in any of them is a conflict).

        If a worktree has the target checked out, its files are updated. Uncommitted changes there stay exactly as they
        are if the merge does not touch those files. Otherwise, or if anything is staged there, `DirtyWorktree` is
        raised before anything happens. Untracked files that the merge would overwrite count as changes. Raises
        `OperationInProgress` if that worktree has an operation in progress.

        Repeatable: if the target contains `keep`, and `keep` contains the whole source, the merge has already been
        done. Nothing is checked then, not even `expected`, and only a checkout left outdated by a crash is updated.
        Merges into the same repository wait for each other.

        Raises `MergeConflict` with the paths, `RefChanged` if the target moved in the meantime, and `GitFailed` for
        unrelated histories. After any error the target and all worktrees are unchanged.
        """


class Git(GitRefs, GitFiles, GitWorktrees, GitSubmodules):
    """All of AURA's operations on git."""
