"""Git: what AURA does with repositories, whichever program does it.

Every method blocks and may take seconds on a large repository; callers on an event loop call them in a thread. None
asks for a password, runs a hook, opens an editor, signs, or follows a configuration that would change what it does:
the same call does the same everywhere. No method destroys work that is not in an object unless it says so.

Paths of repositories and worktrees are absolute, as text. Paths *within* a repository are text with the bytes of the
file system (``os.fsdecode``: what is not UTF-8 becomes lone surrogates), relative, with ``/``; nothing is quoted.
Commits are full object names in hexadecimal. `repo` may be a worktree (the main one or a linked one) or a bare
repository; `worktree` has files.

Errors, all `GitError`s: `NotARepository`, `UnknownRevision`, `InvalidBranchName`, `DirtyWorktree`,
`OperationInProgress`, `MergeConflict`, `RefChanged`, `BranchInUse`, `WorktreeExists`, `GitFailed`, `GitTimeout`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from aura_contracts.workspace import MergeStyle


class Operation(StrEnum):
    """What a worktree is in the middle of."""

    REBASE = "rebase"
    MERGE = "merge"
    CHERRY_PICK = "cherry-pick"
    REVERT = "revert"
    BISECT = "bisect"
    AM = "am"


class ChangeKind(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"


class RepositoryInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What `Git.inspect` finds."""

    git_dir: str
    """Of this worktree."""
    common_dir: str
    """Shared by all worktrees of the repository: what tells whether two paths are one repository."""
    worktree: str | None
    """The top folder of the worktree; None in a bare repository."""
    bare: bool = False
    shallow: bool = False
    linked: bool = False
    """A linked worktree, not the main one."""
    branch: str | None = None
    """The branch that HEAD is on, also when it has no commit yet; None when HEAD is detached."""
    head: str | None = None
    """The commit of HEAD; None when there is none yet."""
    submodules: bool = False
    """The tree of HEAD has submodules (``.gitmodules``)."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from HEAD in a worktree: paths, each list sorted. Ignored files are left out."""

    staged: tuple[str, ...] = ()
    """Index against HEAD."""
    unstaged: tuple[str, ...] = ()
    """Files against index."""
    untracked: tuple[str, ...] = ()
    """Single files; a folder of which nothing is tracked is listed file by file.

    A repository inside that is no submodule is one entry, with a ``/`` at its end; worktrees of this very repository
    are left out.
    """
    conflicted: tuple[str, ...] = ()

    @property
    def dirty(self) -> bool:
        """Whether anything is listed, untracked files included."""
        return bool(self.staged or self.unstaged or self.untracked or self.conflicted)


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file in a diff. Lines are None for a binary file."""

    path: str
    kind: ChangeKind
    old_path: str | None = None
    """Where a renamed file was."""
    added: int | None = 0
    removed: int | None = 0

    @property
    def binary(self) -> bool:
        return self.added is None


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two states of a tree; files sorted by path. `patch` is asked for, or None."""

    files: tuple[FileChange, ...] = ()
    patch: bytes | None = None
    """A unified diff with git's extended headers (renames, binary patches), that ``git apply`` takes."""
    truncated: bool = False
    """The patch was longer than was asked for and ends early, at the end of a line."""

    @property
    def lines_added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def lines_removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)


class LinkedWorktree(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree of a repository; the first that is listed is the main one (or the bare repository itself)."""

    path: str
    head: str | None
    branch: str | None
    bare: bool = False
    locked: bool = False
    prunable: bool = False
    """Its folder is gone."""


class MergePrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What merging would lead to. Either there are conflicted paths, or the tree that would result."""

    conflicts: tuple[str, ...] = ()
    tree: str | None = None
    merge_base: str | None = None
    already_merged: bool = False
    """The target contains the branch: there is nothing to merge."""


class MergeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge did."""

    commit: str
    """The new tip of the target branch; its old one if there was nothing to merge."""
    previous: str
    changed: bool
    checkout: str | None = None
    """The worktree that has the target checked out and was brought up to date; None if there is none."""


class Identity(msgspec.Struct, frozen=True):
    """In whose name commits are made where the repository has no ``user.name`` and ``user.email``."""

    name: str = "AURA"
    email: str = "aura@localhost"


class Git(ABC):
    """A way to work with git. Implementations hold no state between calls and may be used from several threads."""

    name: str
    """``git`` or ``dulwich``, for messages and for `aura doctor`."""

    # --- Looking ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def inspect(self, path: str) -> RepositoryInfo:
        """Say what repository `path` is in (`path` may be a folder below its top). Raises `NotARepository`."""

    @abstractmethod
    def is_valid_branch(self, name: str) -> bool:
        """Whether git would take `name` for a branch (git-check-ref-format(1), with ``--branch``'s further rules)."""

    @abstractmethod
    def resolve(self, repo: str, revision: str) -> str:
        """Return the commit that `revision` names: a branch, a tag, HEAD, an (abbreviated) object name, a full ref.

        Raises `UnknownRevision`, also in a repository without commits.
        """

    @abstractmethod
    def find_ref(self, repo: str, ref: str) -> str | None:
        """Return what the full name `ref` (``refs/heads/main``) points to, or None."""

    @abstractmethod
    def list_refs(self, repo: str, prefix: str) -> dict[str, str]:
        """Return all refs whose full name begins with `prefix`, with what they point to."""

    @abstractmethod
    def merge_base(self, repo: str, one: str, other: str) -> str | None:
        """Return the best common ancestor, None for unrelated histories (or those that a shallow clone cuts off)."""

    @abstractmethod
    def is_ancestor(self, repo: str, ancestor: str, descendant: str) -> bool:
        """Whether `descendant` contains `ancestor`; a commit contains itself."""

    @abstractmethod
    def status(self, worktree: str) -> Status:
        """Return what differs from HEAD. Submodules with changes of their own count as unstaged changes."""

    @abstractmethod
    def operation(self, worktree: str) -> Operation | None:
        """Return what the worktree is in the middle of, or None."""

    @abstractmethod
    def diff(
        self, repo: str, base: str, target: str | None = None, *, patch: bool = False, patch_limit: int = 1_048_576
    ) -> Diff:
        """Return what leads from commit `base` to commit `target`, or (None) to the files of the worktree at `repo`.

        With target None, untracked files that are not ignored count as added; nothing is staged for it. Renames are
        found as git finds them (50 % alike). `patch_limit` is in bytes.
        """

    # --- Branches and refs --------------------------------------------------------------------------------------------

    @abstractmethod
    def ensure_branch(self, repo: str, branch: str, start: str) -> str:
        """Make `branch` at revision `start` unless it exists; return its commit. Raises `InvalidBranchName`."""

    @abstractmethod
    def delete_branch(self, repo: str, branch: str, expected: str) -> None:
        """Delete `branch` if it still is at `expected`; gone already is well. Raises `RefChanged`, `BranchInUse`."""

    @abstractmethod
    def update_ref(self, repo: str, ref: str, new: str | None, expected: str | None, message: str) -> None:
        """Point `ref` (full name) to `new` if it points to `expected`, atomically; None: it does not (no longer) exist.

        Raises `RefChanged`. No worktree is touched.
        """

    # --- Recording work -----------------------------------------------------------------------------------------------

    @abstractmethod
    def stage(self, worktree: str, paths: Sequence[str] = ()) -> None:
        """Stage `paths` (files and folders), or everything: changes, deletions, untracked files that are not ignored.

        Repositories inside that are no submodules are left out.
        """

    @abstractmethod
    def commit(self, worktree: str, message: str, *, allow_empty: bool = False) -> str | None:
        """Commit what is staged on the current HEAD; return the commit, None if nothing is staged.

        The author is the repository's configured user (name and email), else AURA's identity. In the middle of a merge
        it is a merge commit. Raises `OperationInProgress` while there are conflicts.
        """

    # --- Worktrees ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def add_worktree(self, repo: str, path: str, branch: str) -> None:
        """Check the existing `branch` out at `path`, which must not exist or be an empty folder.

        Raises `BranchInUse` when another worktree has it, `WorktreeExists`. On failure nothing is left of it.
        """

    @abstractmethod
    def add_detached_worktree(self, repo: str, path: str, commit: str) -> None:
        """Check `commit` out at `path` with a detached HEAD: how pools are filled. As `add_worktree` otherwise."""

    @abstractmethod
    def switch_worktree(self, worktree: str, branch: str) -> None:
        """**Throw away what `worktree` holds** and check the existing `branch` out in it, as a new worktree would.

        Ignored and untracked files go too. Fast where the trees are alike. Raises `BranchInUse`.
        """

    @abstractmethod
    def move_worktree(self, repo: str, path: str, to: str) -> None:
        """Move a linked worktree; `to` must not exist."""

    @abstractmethod
    def remove_worktree(self, repo: str, path: str, *, force: bool = False) -> None:
        """Remove a linked worktree and what git knows of it; gone already is well.

        Raises `DirtyWorktree` when it has changes or untracked files, unless **`force`, which destroys them**.
        """

    @abstractmethod
    def list_worktrees(self, repo: str) -> tuple[LinkedWorktree, ...]:
        """Return all worktrees, the main one first."""

    @abstractmethod
    def prune_worktrees(self, repo: str) -> None:
        """Forget linked worktrees whose folder is gone."""

    @abstractmethod
    def repair_worktrees(self, repo: str, paths: Sequence[str] = ()) -> None:
        """Mend the links between the repository and its worktrees after either was moved by hand."""

    # --- Merging ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def predict_merge(self, repo: str, target: str, source: str) -> MergePrediction:
        """Say what merging commit `source` into commit `target` would lead to; touches no worktree and no ref."""

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
        """Bring commit `source` into `target_branch`.

        The new commits are made first, as objects; `keep`, a full ref name, is pointed to the new tip before anything
        else (so that a merge torn by a crash is recognised: the target has `keep` or not); then the branch is moved by
        compare-and-swap from `expected` (None: its tip now). Styles: ``merge`` makes a merge commit, always; ``squash``
        one commit on the target; ``rebase`` the source's commits again, on the target (falling back to nothing: a
        conflict in any of them is a conflict).

        Where a worktree has the target checked out, its files are brought up to date. Uncommitted changes there stay
        exactly as they are if they are in none of the files that the merge changes, and otherwise `DirtyWorktree` is
        raised before anything happens; so it is when something is staged there. Untracked files that the merge would
        overwrite count as changes. `OperationInProgress` if that worktree is in the middle of one.

        Repeatable: if the target has `keep`, and `keep` has all of the source, the merge was done before; nothing is
        checked then, not `expected` either, and only a checkout that a crash left as it was before is brought up to
        date. Merges into one repository wait for one another.

        Raises `MergeConflict` with the paths, `RefChanged` when the target moved meanwhile, `GitFailed` for unrelated
        histories. After any error the target and every worktree are as they were.
        """

    # --- Safety copies ------------------------------------------------------------------------------------------------

    @abstractmethod
    def snapshot(self, worktree: str, ref: str, message: str) -> str:
        """Write HEAD, index and files (untracked ones too, ignored ones not) to commit objects, kept under `ref`.

        Returns the commit that `ref` points to: HEAD itself if nothing differs from it. Its tree is that of the files;
        its first parent is HEAD, and where the index differs from both, a second parent holds the index; the last line
        of the message says where the index is (``Aura-Index:``). Touches neither files, nor index, nor branches. Works
        in a repository without commits and in the middle of a merge, of which it keeps our side in the index.
        Repositories inside the worktree that are no submodules are not saved.
        """

    @abstractmethod
    def restore(self, worktree: str, commit: str) -> None:
        """Put files and index back as snapshot `commit` has them; HEAD and branches stay.

        **Overwrites what is there**: take a snapshot first. Files that the snapshot lacks and that are not ignored go;
        so a snapshot of now has all that is lost by it. Any commit will do for a snapshot, with index and files as its
        tree.
        """
