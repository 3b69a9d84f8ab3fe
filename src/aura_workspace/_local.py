"""Workspaces on this machine: the port, with one operation on a workspace at a time."""

import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aura_contracts.errors import GitError, GitUnavailable, NotARepository, WorkspaceError
from aura_contracts.ids import WorkspaceId, is_canonical_id
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import (
    CollectedWork,
    MergedWorkspace,
    Orphan,
    PreparedWorkspace,
    RepositoryDescription,
    RepositoryDiff,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.workspace import MergeStyle, RepositoryCommit, workspace_folder
from aura_workspace import _session
from aura_workspace._checkouts import RepositoryCheckout, as_workspace_error, checkouts_of, find_source
from aura_workspace._locks import locked
from aura_workspace._merge import MergeOperation
from aura_workspace._orphans import find_orphans, remove_orphan
from aura_workspace._pool import WorktreePool
from aura_workspace._preparation import Preparation, prepare_in_place
from aura_workspace._removal import Removal, remove_in_place


class LocalWorkspaces:
    """Workspaces in the folder `home`, which AURA alone uses:

        workspaces/<short id>-<slug>/<repository>    worktrees
        pool/<repository>/<number>                   worktrees that are ready to take, or about to be removed
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

    @property
    def _workspaces(self) -> Path:
        return self._home / "workspaces"

    # --- The life of a workspace --------------------------------------------------------------------------------------

    def describe(self, path: str) -> RepositoryDescription:
        path = os.path.abspath(path)  # noqa: PTH100 - without following symbolic links; git does that
        try:
            info = self._git.inspect(path)
        except NotARepository:
            if not Path(path).is_dir():
                raise
            top = os.path.realpath(path)
            return RepositoryDescription(path=top, name=_folder_name(top), repository=False)
        top = info.worktree or info.common_dir
        name = _folder_name(top.removesuffix(".git") if info.bare else top)
        return RepositoryDescription(path=top, name=name, repository=True, branch=info.branch, head=info.head)

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        with self._exclusive(spec) as (root, checkouts), self._pinned(spec):
            if spec.in_place:
                return prepare_in_place(self._git, spec, checkouts)
            return Preparation(self._git, self._pool, spec, root, checkouts).run()

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        with self._exclusive(spec) as (root, checkouts):
            return _session.inspect(self._git, spec, root, checkouts)

    def collect(self, spec: WorkspaceSpec, message: str) -> CollectedWork:
        with self._exclusive(spec) as (_, checkouts):
            collected = _session.collect(self._git, spec, checkouts, message)
            for repository in spec.repositories:
                with suppress(GitError):
                    self._git.rest_configuration(repository.path, spec.id)
            return collected

    def diff(self, spec: WorkspaceSpec, *, patch: bool, patch_limit: int = 1_048_576) -> tuple[RepositoryDiff, ...]:
        with self._exclusive(spec) as (_, checkouts):
            return _session.diff(self._git, checkouts, patch=patch, patch_limit=patch_limit)

    def snapshot(self, spec: WorkspaceSpec, ref: str) -> tuple[RepositoryCommit, ...]:
        with self._exclusive(spec) as (_, checkouts):
            return _session.snapshot(self._git, spec, checkouts, ref)

    def restore(self, spec: WorkspaceSpec, ref: str) -> None:
        with self._exclusive(spec) as (_, checkouts):
            _session.restore(self._git, checkouts, ref)

    def merge(self, spec: WorkspaceSpec, style: MergeStyle, message: str) -> MergedWorkspace:
        if spec.in_place:
            return MergedWorkspace()
        with self._exclusive(spec) as (_, checkouts):
            return MergeOperation(self._git, spec, checkouts, style, message).run()

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
            raise WorkspaceError(
                workspace_id="",
                path=repository,
                reason="the repository has no commit yet",
                remedy="make a first commit",
            )
        owner = f"pool-{os.getpid()}"
        try:
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
            yield root, checkouts_of(spec, root)

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
