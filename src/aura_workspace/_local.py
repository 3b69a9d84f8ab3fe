"""Workspaces on this machine: the port, with one operation on a workspace at a time."""

import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aura_contracts.errors import (
    GitError,
    GitUnavailable,
    InsideGitDirectory,
    NotARepository,
    WorkspaceError,
    WorkspaceObstacle,
)
from aura_contracts.ids import WorkspaceId, is_canonical_id
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import (
    CollectedWork,
    MergedWorkspace,
    Orphan,
    PreparedWorkspace,
    RepositoryDescription,
    RepositoryDiff,
    TakenSnapshot,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.workspace import MergeStyle, RepositoryCommit, workspace_folder
from aura_workspace import _session
from aura_workspace._checkouts import (
    RepositoryCheckout,
    Source,
    as_workspace_error,
    checkouts_of,
    find_obstacle,
    find_source,
    no_commit,
)
from aura_workspace._locks import locked
from aura_workspace._merge import MergeOperation
from aura_workspace._orphans import find_orphans, remove_orphan
from aura_workspace._plain_folders import PlainFolders
from aura_workspace._pool import WorktreePool
from aura_workspace._preparation import Preparation, prepare_in_place
from aura_workspace._removal import Removal, remove_in_place
from aura_workspace._subfolder import ensure_subfolder, in_subfolder, require_outside_git, subfolder_of


class LocalWorkspaces:
    """Workspaces in the folder `home`, which AURA alone uses:

        workspaces/<short id>-<slug>/<repository>    worktrees
        pool/<repository>/<number>                   worktrees that are ready to take, or about to be removed
        folders/<name>-<hash>.git                    the versions of a folder that is in no repository
        locks/<workspace id>                         held during an operation on a workspace

    `patience` is the number of seconds that an operation waits for another one on the same workspace, in any process,
    before it raises `WorkspaceError`. Safe to use from several threads.
    """

    def __init__(
        self, home: Path, git: Git, *, patience: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._home = Path(os.path.realpath(home))
        self._git = git
        self._patience = patience
        self._clock = clock
        self._pool = WorktreePool(self._home / "pool", git)
        self._folders = PlainFolders(self._home, git, patience=patience, clock=clock)

    @property
    def _workspaces(self) -> Path:
        return self._home / "workspaces"

    # --- The life of a workspace --------------------------------------------------------------------------------------

    def describe(self, path: str) -> RepositoryDescription:
        path = os.path.abspath(path)  # noqa: PTH100 - without following symbolic links; git does that
        try:
            info = self._git.inspect(path)
        except InsideGitDirectory:
            raise
        except NotARepository:
            if not Path(path).is_dir():
                raise
            top = os.path.realpath(path)
            require_outside_git(top)
            obstacle = self._folders.obstacle(top)
            return RepositoryDescription(path=top, name=_folder_name(top), repository=False, obstacle=obstacle)
        top = info.worktree or info.common_dir
        name = _folder_name(top.removesuffix(".git") if info.bare else top)
        obstacle, remedy = find_obstacle(self._git, Source.of(info))
        return RepositoryDescription(
            path=top,
            name=name,
            repository=True,
            branch=info.branch,
            head=info.head,
            subfolder=subfolder_of(path, info.worktree),
            obstacle=obstacle,
            remedy=remedy,
        )

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        with self._exclusive(spec) as (root, checkouts), self._pinned(spec):
            if spec.in_place:
                return in_subfolder(spec, prepare_in_place(self._git, spec, checkouts))
            try:
                with self._folders.recorded(spec):
                    resolved = self._folders.resolved(spec)
                    made = Preparation(self._git, self._pool, resolved, root, checkouts).run()
            except GitError as error:
                raise as_workspace_error(spec.id, str(root), error, [], []) from error
            return in_subfolder(spec, made)

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        with self._exclusive(spec) as (root, checkouts):
            return _session.inspect(self._git, spec, root, checkouts)

    def collect(self, spec: WorkspaceSpec, message: str, *, from_branch: bool = False) -> CollectedWork:
        with self._exclusive(spec) as (root, checkouts):
            collected = _session.collect(self._git, spec, root, checkouts, message, from_branch=from_branch)
            with suppress(FileExistsError, NotADirectoryError):  # what begins there next tells that it cannot
                ensure_subfolder(spec)  # the agent may have removed it
            for repository in spec.repositories:
                with suppress(GitError):
                    self._git.rest_configuration(repository.path, spec.id)
            return collected

    def diff(self, spec: WorkspaceSpec, *, patch: bool, patch_limit: int = 1_048_576) -> tuple[RepositoryDiff, ...]:
        with self._exclusive(spec) as (_, checkouts):
            return _session.diff(self._git, checkouts, patch=patch, patch_limit=patch_limit)

    def snapshot(self, spec: WorkspaceSpec, ref: str, *, whole: bool = False) -> TakenSnapshot:
        with self._exclusive(spec) as (root, checkouts):
            return _session.snapshot(self._git, spec, root, checkouts, ref, whole=whole)

    def restore(self, spec: WorkspaceSpec, ref: str) -> None:
        with self._exclusive(spec) as (_, checkouts):
            _session.restore(self._git, checkouts, ref)

    def merge(self, spec: WorkspaceSpec, style: MergeStyle, message: str) -> MergedWorkspace:
        if spec.in_place:
            return MergedWorkspace()
        with self._exclusive(spec) as (_, checkouts), self._folders.delivering(spec):
            return MergeOperation(self._git, self._folders.resolved(spec), checkouts, style, message).run()

    def remove(self, spec: WorkspaceSpec, *, delete_branch: bool) -> None:
        with self._exclusive(spec) as (root, checkouts):
            if spec.in_place:
                remove_in_place(self._git, spec, checkouts)
            else:
                Removal(self._git, self._pool, spec, root, checkouts).run(delete_branch=delete_branch)
            for repository in spec.repositories:
                self._unpin(repository.path, spec.id)

    @contextmanager
    def _pinned(self, spec: WorkspaceSpec) -> Iterator[None]:
        """Keep git to the configuration of before the agent, unless the body fails to make the workspace."""
        for repository in spec.repositories:
            with suppress(GitUnavailable, NotARepository):  # as the preparation says
                self._git.pin_configuration(repository.path, spec.id)
        try:
            yield
        except BaseException:
            if not spec.worktrees:
                for repository in spec.repositories:
                    self._unpin(repository.path, spec.id)
            raise

    def _unpin(self, repository: str, workspace_id: str) -> None:
        with suppress(GitError):  # it may be gone
            self._git.unpin_configuration(repository, workspace_id)

    # --- Orphans and the pool ---------------------------------------------------------------------------------------

    def orphans(self, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
        self._pool.sweep_all()
        return find_orphans(self._git, self._workspaces, living)

    def remove_orphan(self, orphan: Orphan, ref: str) -> tuple[RepositoryCommit, ...]:
        with self._lock(orphan.workspace_id, orphan.path):
            return remove_orphan(self._git, self._pool, self._workspaces, orphan, ref)

    def warm(self, repository: str, count: int) -> int:
        source = find_source(self._git, repository)
        if source.head is None:
            reason, remedy = no_commit(source.top)
            raise WorkspaceObstacle(workspace_id="", path=repository, reason=reason, remedy=remedy)
        owner = f"pool-{os.getpid()}"
        try:
            self._git.require_filters(source.top, source.head)
            self._git.pin_configuration(source.top, owner)  # what agents left there has no effect
            return self._pool.warm(source, source.head, count)
        except (GitError, OSError) as error:
            raise as_workspace_error("", repository, error, [], []) from error
        finally:
            self._unpin(source.top, owner)

    # --- One at a time ------------------------------------------------------------------------------------------------

    @contextmanager
    def _exclusive(self, spec: WorkspaceSpec) -> Iterator[tuple[Path, list[RepositoryCheckout]]]:
        """Yield the workspace's folder and its checkouts, while no other operation on it runs."""
        root = Path(spec.root) if spec.root else self._workspaces / workspace_folder(spec.id, spec.slug)
        with self._lock(spec.id, str(root)):
            yield root, checkouts_of(self._folders.resolved(spec), root)

    @contextmanager
    def _lock(self, workspace_id: str, path: str) -> Iterator[None]:
        if not is_canonical_id(workspace_id):
            raise WorkspaceError(workspace_id=workspace_id, path=path, reason="it is not a valid workspace id")
        with locked(self._home / "locks" / workspace_id, self._patience, self._clock, self._git.end_leftovers) as alone:
            if not alone:
                raise WorkspaceError(
                    workspace_id=workspace_id,
                    path=path,
                    reason=f"another operation on it has been running for more than {self._patience:g} s",
                    remedy="wait for it, or end its process",
                )
            yield


def _folder_name(path: str) -> str:
    """Return the last part of a path as a valid name for a repository's folder in a workspace."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).name).lstrip(".-")
    return name or "repository"
