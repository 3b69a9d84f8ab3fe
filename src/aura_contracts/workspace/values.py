"""The values of workspaces: see `aura_contracts.workspace`."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from aura_contracts.failures import Failure
from aura_contracts.ids import TaskId, WorkerId, WorkspaceId
from aura_contracts.plain_data import Plain
from aura_contracts.quoting import listed, quoted


class WorkspaceStatus(StrEnum):
    REQUESTED = "requested"
    """Waiting to be prepared, for the first time or again."""
    READY = "ready"
    IN_USE = "in_use"
    MERGING = "merging"
    CONFLICTED = "conflicted"
    """A merge met a conflict that a human must resolve."""
    FAILED = "failed"
    """Preparation failed; any leftovers are listed."""
    REMOVED = "removed"


class MergeStyle(StrEnum):
    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class SnapshotReason(StrEnum):
    """The operation that a snapshot was taken before, or an explicit request."""

    RESET = "reset"
    CLEAN = "clean"
    REMOVE = "remove"
    MERGE = "merge"
    RETRY = "retry"
    RESTORE = "restore"
    REQUESTED = "requested"


PLAIN_TARGET = "folder"
"""The target branch of a plain folder, in its private repository."""


class Repository(msgspec.Struct, frozen=True, gc=False):
    """A repository in a workspace. `name` is the name of its folder there."""

    name: str
    path: str
    """The repository's path on the worker."""
    target_branch: str
    """The branch to merge the work into."""
    base: str = ""
    """The revision to start from; empty for the tip of the target branch."""
    plain: bool = False
    """`path` is a folder in no repository: its versions are kept in a private repository of the worker."""
    common_dir: str = ""
    """The folder of git's own data, the same for all worktrees of a repository; empty for a plain folder."""

    @property
    def identity(self) -> str:
        """What worktrees of the same repository have in common."""
        return self.common_dir or self.path


class Worktree(msgspec.Struct, frozen=True, gc=False):
    """One repository's worktree in a prepared workspace. Commits are full object names."""

    repository: str
    path: str
    base_commit: str
    head: str


class RepositoryCommit(msgspec.Struct, Plain, frozen=True, gc=False):
    """A commit in one of the repositories."""

    repository: str
    commit: str


class ConflictedFiles(msgspec.Struct, frozen=True, gc=False):
    """The conflicting files of one repository, relative to its root."""

    repository: str
    paths: tuple[str, ...]


class UnrecordedKind(StrEnum):
    """Why something in a worktree is in no commit of its branch, although everything was committed."""

    REPOSITORY = "repository"
    """A repository inside that is not a submodule, or another worktree."""
    SUBMODULE = "submodule"
    """A submodule with changes that are not committed in it."""
    UNKEPT = "unkept"
    """A submodule with commits that only the worktree has."""
    IGNORED = "ignored"
    """An ignored file, or a folder of which everything is ignored."""
    COPIED = "copied"
    """An untracked file that was copied into the worktree, and changed there."""
    OUTSIDE = "outside"
    """A file or folder next to the worktrees, in no repository."""
    COMMIT = "commit"
    """A commit that was left on no branch. It is kept on a hidden ref."""
    BRANCH = "branch"
    """Another branch, with commits that were made in the worktree."""
    STASH = "stash"
    """A commit that was stashed in the worktree."""
    UNDONE = "undone"
    """The commit that the work started from, if the branch went back behind it: a merge does not undo it."""
    ASIDE = "aside"
    """A submodule with commits besides the one that it is at. They are kept with its other commits."""


_UNRECORDED = {
    UnrecordedKind.REPOSITORY: "is a repository of its own",
    UnrecordedKind.SUBMODULE: "is a submodule with uncommitted changes",
    UnrecordedKind.UNKEPT: "is a submodule with commits that are only here",
    UnrecordedKind.IGNORED: "is ignored by git",
    UnrecordedKind.COPIED: "was copied here, and changed",
    UnrecordedKind.OUTSIDE: "is in no repository",
    UnrecordedKind.COMMIT: "is a commit on no branch",
    UnrecordedKind.BRANCH: "is a branch with commits that are not on the task's",
    UnrecordedKind.STASH: "is a stash",
    UnrecordedKind.UNDONE: "is undone on the branch, and a merge does not undo it",
    UnrecordedKind.ASIDE: "is a submodule with commits that the work does not use",
}


class Unrecorded(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """Something in a worktree that is not part of the work: the branch does not have it."""

    kind: UnrecordedKind
    path: str
    """Relative to the worktree, a folder with ``/`` at its end; of a commit or a branch, its name."""
    repository: str = ""

    def __str__(self) -> str:
        return f"{quoted(self.path)} {_UNRECORDED[self.kind]}"


def unsaved_text(left_out: Sequence[Unrecorded]) -> str:
    """Return why worktrees are not removed: they hold something that neither a commit nor a safety copy has."""
    return f"it holds what no commit and no safety copy has: {listed(left_out, 5)}"


class SnapshotFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known when a snapshot is taken; where nothing had changed, `commits` names the head."""

    ref: str
    reason: SnapshotReason
    commits: tuple[RepositoryCommit, ...]
    left_out: tuple[Unrecorded, ...] = ()
    """What the worktrees hold that the snapshot does not."""


class PreparedPlace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a worker prepared the worktrees."""

    worker_id: WorkerId
    root: str
    worktrees: tuple[Worktree, ...]
    empty_submodules: tuple[str, ...] = ()
    """Submodules, as ``<repository>/<path>``, that stay empty because the repository has no copy of them."""


class FailedPreparation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why worktrees could not be created, and what became of the others."""

    failure: Failure
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()


class SafetyCopy(SnapshotFacts, frozen=True, kw_only=True, gc=False):
    """A snapshot: tracked and untracked files, kept under the hidden `ref` in every repository."""

    taken_at: datetime
    restored_at: datetime | None = None


class Merge(msgspec.Struct, frozen=True, gc=False):
    """A successful merge, with the commits it made on the target branches."""

    style: MergeStyle
    commits: tuple[RepositoryCommit, ...]
    merged_at: datetime


def working_directory(root: str, worktrees: Sequence[Worktree], subfolder: str) -> str:
    """Return the folder that scripts and agents are started in.

    It is `root`, or `subfolder` of the worktree if there is only one.
    """
    return f"{worktrees[0].path}/{subfolder}".rstrip("/") if len(worktrees) == 1 else root


class PolicyText(msgspec.Struct, frozen=True, gc=False):
    """The policy file of a project at a time; no text: it had faults."""

    file: str
    text: str | None = None


class WorkspaceLayout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The worktrees that a task needs, and their place."""

    task_id: TaskId
    title: str
    slug: str
    """The title in a form that is valid in folder and branch names."""
    branch: str
    """The branch for the work, the same in every repository."""
    repositories: tuple[Repository, ...]
    copy_globs: tuple[str, ...] = ()
    """Untracked files to copy into a new worktree, as patterns relative to a repository's root."""
    root: str = ""
    """The folder that holds the worktrees; empty until the worker chooses it, and never changed afterwards."""
    in_place: bool = False
    """Work directly in the repositories, or in the folder `root`: no worktree, no branch, no merge."""
    subfolder: str = ""
    """The folder to work in, relative to the only repository; empty for its top, and with several repositories."""
    policies: tuple[PolicyText, ...] = ()
    """Of work in place, the projects' policies when it was requested: the agent can change the files."""


# --- Names ------------------------------------------------------------------------------------------------------------


WORKSPACE_SLUG_LIMIT = 60
"""The most characters in a slug: it leaves room for branch and folder names on every file system."""

_SHORT_ID = 8
"""Hexadecimal digits, the last of a UUIDv7: these are random, the first 12 are the time (RFC 9562, section 5.7)."""


def workspace_slug(title: str) -> str:
    """Return `title` as a slug: lower-case ASCII letters and digits, with single hyphens between words.

    Accents are stripped; characters without such a spelling (other scripts, emoji) are dropped, and an empty result
    becomes ``work``. Cut to `WORKSPACE_SLUG_LIMIT`, between words if possible.
    """
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode("ascii")
    slug = "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
    if len(slug) > WORKSPACE_SLUG_LIMIT:
        whole_words = slug[: WORKSPACE_SLUG_LIMIT + 1].rpartition("-")[0]
        slug = whole_words or slug[:WORKSPACE_SLUG_LIMIT]
    return slug or "work"


def workspace_folder(workspace_id: WorkspaceId, slug: str) -> str:
    """Return the name of the workspace's folder: ``<short id>-<slug>``."""
    return f"{workspace_id.replace('-', '')[-_SHORT_ID:]}-{slug}"


BRANCH_FOLDER = "aura"
"""The folder of all branches of workspaces."""


def workspace_branch(workspace_id: WorkspaceId, slug: str) -> str:
    """Return the name of the workspace's branch: ``aura/<short id>-<slug>``."""
    return f"{BRANCH_FOLDER}/{workspace_folder(workspace_id, slug)}"
