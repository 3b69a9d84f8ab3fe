"""The checkout of one repository in a workspace: its source, where its worktree belongs, and what is in that place."""

import hashlib
import os
import re
import shlex
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

import attrs

from aura_contracts.errors import (
    GitError,
    IgnoredSubfolder,
    NoCommit,
    Recovery,
    UnknownRevision,
    WorkspaceError,
    WorkspaceObstacle,
)
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import RepositoryInfo, Status
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import BRANCH_FOLDER, Repository
from aura_workspace._worktrees import Marker, known_git_dir, linked_git_dir, read_marker

NO_MARKER = Marker(workspace_id="", repository="", branch="", path="", base_commit="")
"""The marker of work in place, which has none: it hides nothing."""


class WorktreeState(Enum):
    """What is in the place of a worktree."""

    ABSENT = auto()
    """Nothing, or an empty folder."""
    OWN = auto()
    """The workspace's own worktree, proved by its marker."""
    UNMARKED = auto()
    """A linked worktree without a marker."""
    BROKEN = auto()
    """The workspace's own worktree, with a broken link to its repository."""
    FOREIGN = auto()
    """Anything else: a worktree of another workspace, a file, a link, a folder with files."""


@attrs.frozen
class RepositoryCheckout:
    """One repository of a workspace."""

    spec: WorkspaceSpec
    repository: Repository
    path: Path
    base_commit: str
    """As recorded; empty before the workspace is prepared, and for work in place that began without a commit."""

    @property
    def name(self) -> str:
        return self.repository.name

    def probe(self, common_dir: Path | None = None) -> tuple[WorktreeState, Path | None, Marker | None]:
        """Return what is in the place, its git directory and its marker.

        A broken worktree is only recognised if the repository's `common_dir` is given.
        """
        if any(os.path.islink(place) for place in (self.path, self.path.parent)):  # noqa: PTH114 - as Path.is_symlink
            return WorktreeState.FOREIGN, None, None
        git_dir = linked_git_dir(self.path)
        if git_dir is None:
            return self._probe_without_link(common_dir)
        marker = read_marker(git_dir)
        if marker is None:
            return WorktreeState.UNMARKED, git_dir, None
        return (WorktreeState.OWN if self._is_own(marker) else WorktreeState.FOREIGN), git_dir, marker

    def _probe_without_link(self, common_dir: Path | None) -> tuple[WorktreeState, Path | None, Marker | None]:
        if not os.path.lexists(self.path) or (self.path.is_dir() and not any(self.path.iterdir())):
            return WorktreeState.ABSENT, None, None
        git_dir = common_dir and known_git_dir(common_dir, self.path)
        marker = git_dir and read_marker(git_dir)
        if self.path.is_dir() and git_dir and marker and self._is_own(marker):
            return WorktreeState.BROKEN, git_dir, marker
        return WorktreeState.FOREIGN, None, None

    def _is_own(self, marker: Marker) -> bool:
        return (marker.workspace_id, marker.repository) == (self.spec.id, self.name) and (
            os.path.realpath(marker.path) == os.path.realpath(self.path)
        )

    @property
    def is_absent(self) -> bool:
        """Whether nothing is in the place of the worktree."""
        return not self.spec.in_place and self.probe()[0] is WorktreeState.ABSENT

    @property
    def recorded_head(self) -> str | None:
        """The newest commit of the work that is recorded; None before the workspace is prepared."""
        return next((tree.head for tree in self.spec.worktrees if tree.repository == self.name), None) or None

    def problem(self, reason: str, remedy: str = "") -> WorkspaceError:
        return WorkspaceError(workspace_id=self.spec.id, path=str(self.path), reason=reason, remedy=remedy)

    def obstacle(self, reason: str, remedy: str) -> WorkspaceObstacle:
        """Return the error for a problem that only a human can solve."""
        return WorkspaceObstacle(workspace_id=self.spec.id, path=str(self.path), reason=reason, remedy=remedy)

    def occupied(self) -> WorkspaceObstacle:
        """Return the error for `WorktreeState.FOREIGN`."""
        return self.obstacle("something else is in the place of the worktree", "check it, and move it out of the way")

    def require_marker(self) -> Marker:
        """Return the marker of the worktree, `NO_MARKER` in place. Raises `WorkspaceError` if there is no worktree."""
        if self.spec.in_place:
            if not self.path.is_dir():
                raise self.problem("the repository is gone", "restore it")
            return NO_MARKER
        state, _, marker = self.probe()
        if state is not WorktreeState.OWN or marker is None:
            if not Path(self.repository.path).is_dir():
                raise self.obstacle(f"its repository {self.repository.path} is gone", "put it back")
            if state is not WorktreeState.ABSENT:
                raise self.occupied()
            raise self.problem("the worktree is missing", "prepare the workspace again")
        return marker


def checkouts_of(spec: WorkspaceSpec, root: Path) -> list[RepositoryCheckout]:
    """Return the checkouts of a workspace, in the places where they are or will be."""
    recorded = {worktree.repository: worktree for worktree in spec.worktrees}
    checkouts = []
    for repository in spec.repositories:
        known = recorded.get(repository.name)
        usual = Path(repository.path) if spec.in_place else root / repository.name
        path, base = (Path(known.path), known.base_commit) if known else (usual, "")
        checkouts.append(RepositoryCheckout(spec=spec, repository=repository, path=path, base_commit=base))
    return checkouts


def visible(status: Status, marker: Marker) -> Status:
    """Return `status` without the untracked files that were copied into the worktree."""
    if not marker.copied:
        return status
    return Status(
        staged=status.staged,
        unstaged=status.unstaged,
        untracked=tuple(path for path in status.untracked if not marker.hides(path)),
        conflicted=status.conflicted,
    )


def as_workspace_error(
    spec_id: str, path: str, error: GitError | OSError, cleaned_up: list[str], left_behind: list[str]
) -> WorkspaceError:
    """Return `error` as the error of a workspace."""
    if isinstance(error, GitError):
        reason, remedy = error.message(), error.remedy
    else:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        reason, remedy = f"{where}{error.strerror or error}", ""
    kind = WorkspaceObstacle if isinstance(error, GitError) and error.recovery is Recovery.HUMAN else WorkspaceError
    return kind(
        workspace_id=spec_id,
        path=path,
        reason=reason,
        remedy=remedy,
        cleaned_up=tuple(cleaned_up),
        left_behind=tuple(left_behind),
    )


@attrs.frozen
class Source:
    """A repository. `top` is the folder to run git in: its worktree, or a bare repository itself."""

    top: str
    common_dir: Path
    worktree: str | None
    branch: str | None
    head: str | None

    @classmethod
    def of(cls, info: RepositoryInfo) -> "Source":
        return cls(
            top=info.worktree or info.common_dir,
            common_dir=Path(os.path.realpath(info.common_dir)),
            worktree=info.worktree,
            branch=info.branch,
            head=info.head,
        )

    @property
    def key(self) -> str:
        """The name of the repository's pool: the same from all of its worktrees, and unique to it."""
        folder = self.common_dir.parent if self.common_dir.name == ".git" else self.common_dir
        return name_for(folder.name, os.fspath(self.common_dir))


def name_for(name: str, path: str) -> str:
    """Return a name for what AURA keeps of a folder: its own, as far as every file system takes it, and a hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "folder"
    return f"{plain}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"


def no_commit(top: str) -> NoCommit:
    """Return the error about a repository without a commit, which cannot be worked on."""
    command = f"git -C {shlex.quote(top)} commit --allow-empty -m 'First commit'"
    return NoCommit(repository=top, remedy=f"make a first one: {command}")


def require_suitable(git: Git, source: Source, subfolder: str, target_branch: str = "") -> None:
    """Raise `GitError` for a repository of which no worktree can be made, or that has no branch to merge into."""
    if source.head is None:
        error = no_commit(source.top)
        raise error.replaced(remedy=f"{error.remedy} (or use in_place=True)")
    if target_branch and git.find_ref(source.top, f"refs/heads/{target_branch}") is None:
        command = f"git -C {shlex.quote(source.top)} branch {shlex.quote(target_branch)}"
        remedy = f"name a branch that it has: target_branch=BRANCH; or make this one: {command}"
        raise UnknownRevision(repository=source.top, revision=target_branch, remedy=remedy)
    git.require_free_branch(source.top, f"{BRANCH_FOLDER}/x")
    git.require_filters(source.top, source.head)
    if subfolder and git.is_ignored(source.top, subfolder):
        own = shlex.quote(os.path.realpath(Path(source.top, subfolder)))
        remedy = f"use in_place=True, or make a repository of it: git init {own}"
        raise IgnoredSubfolder(repository=source.top, subfolder=subfolder, remedy=remedy)


def restore_branch(git: Git, checkout: RepositoryCheckout, top: str) -> str:
    """Return the tip of the branch, made again at the recorded head if it is gone. Raises `WorkspaceError`."""
    branch = checkout.spec.branch
    tip, head = git.find_ref(top, f"refs/heads/{branch}"), checkout.recorded_head
    if tip is not None:
        return tip
    if head is None:
        raise checkout.problem(f"{checkout.repository.path} has no branch {branch}", "prepare it again")
    try:
        return git.ensure_branch(top, branch, head)
    except UnknownRevision as error:
        raise checkout.obstacle(
            f"{checkout.repository.path} has neither the branch {branch} nor its last commit, {head}",
            "fetch the commit from where it was copied or pushed to, or cancel the task and run it again",
        ) from error


def find_source(git: Git, path: str) -> Source:
    """Return the repository that `path` is in. Raises `NotARepository`."""
    return Source.of(git.inspect(path))


def repair_links(git: Git, checkout: RepositoryCheckout) -> bool:
    """Restore the links between a worktree and its repository; return whether it is the workspace's now."""
    if checkout.spec.in_place or checkout.is_absent:
        return False
    with suppress(GitError):
        git.inspect(str(checkout.path))  # puts the links of a pinned worktree right
    with suppress(GitError):
        source = find_source(git, checkout.repository.path)
        if checkout.probe(source.common_dir)[0] is WorktreeState.BROKEN:
            git.repair_worktree(source.top, str(checkout.path))
    return checkout.probe()[0] is WorktreeState.OWN


def base_of(checkout: RepositoryCheckout, marker: Marker) -> str:
    """Return the commit that the work was started from."""
    base = checkout.base_commit or marker.base_commit
    if not base:
        raise checkout.problem("the commit that the work was started from is unknown", "prepare the workspace again")
    return base


def shared_base(git: Git, checkout: RepositoryCheckout, path: str, base: str, tip: str) -> str:
    """Return the commit that a merge of `tip` starts from: `base`, unless the branch went back behind it."""
    if git.is_ancestor(path, base, tip):
        return base
    target = git.find_ref(path, f"refs/heads/{checkout.repository.target_branch}")
    return git.merge_base(path, target or base, tip) or base
