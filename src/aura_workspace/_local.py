"""Workspaces on this machine: the port, with one operation on a workspace at a time."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from aura_contracts.context_documents import DocumentPlace, FoundDocuments
from aura_contracts.errors import GitError, InsideGitDirectory, NotARepository, WorkspaceError
from aura_contracts.file_locks import lock_file
from aura_contracts.ids import WorkspaceId, is_canonical_id
from aura_contracts.ports.git import Git, keeping
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
from aura_contracts.private_files import make_private_folder
from aura_contracts.workspace import MergeStyle, RepositoryCommit, workspace_folder
from aura_workspace import _session
from aura_workspace._checkouts import (
    RepositoryCheckout,
    Source,
    as_workspace_error,
    checkouts_of,
    find_source,
    no_commit,
    require_suitable,
)
from aura_workspace._documents import read_documents
from aura_workspace._merge import MergeOperation
from aura_workspace._orphans import find_orphans, remove_orphan
from aura_workspace._plain_folders import PlainFolders
from aura_workspace._pool import WorktreePool
from aura_workspace._preparation import Preparation, prepare_in_place
from aura_workspace._removal import Removal, remove_in_place
from aura_workspace._revert import revert
from aura_workspace._subfolder import (
    ensure_subfolder,
    in_subfolder,
    require_committed,
    require_outside_git,
    subfolder_of,
)


class LocalWorkspaces:
    """Workspaces in the folder `home`, which AURA alone uses:

        workspaces/<short id>-<slug>/<repository>    worktrees
        pool/<repository>/<number>                   worktrees that are ready to take, or about to be removed
        folders/<name>-<hash>.git                    the versions of a folder that is in no repository
        locks/<workspace id>                         held during an operation on a workspace

    Of `user_home`, the home folder of the user, no private copy is made. `patience` is the number of seconds that an
    operation waits for another one on the same workspace, in any process, before it raises `WorkspaceError`. Safe to
    use from several threads.
    """

    def __init__(self, home: Path, git: Git, *, user_home: Path | None = None, patience: float = 30.0) -> None:
        self._home = Path(os.path.realpath(home))
        self._git = git
        self._patience = patience
        self._pool = WorktreePool(self._home / "pool", git)
        self._folders = PlainFolders(self._home, git, user_home=user_home, patience=patience)

    @property
    def _workspaces(self) -> Path:
        return self._home / "workspaces"

    # --- The life of a workspace --------------------------------------------------------------------------------------

    def describe(
        self, path: str, *, in_place: bool = False, target_branch: str = "", copy_globs: Sequence[str] = ()
    ) -> RepositoryDescription:
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
            self._folders.require_not_own(top)
            if not in_place:
                self._folders.require_suitable(top)
            return RepositoryDescription(path=top, name=_folder_name(top), repository=False)
        top = info.worktree or info.common_dir
        name = _folder_name(top.removesuffix(".git") if info.bare else top)
        subfolder = subfolder_of(path, info.worktree)
        if not in_place:
            source = Source.of(info)
            require_suitable(self._git, source, subfolder, target_branch)
            if subfolder:
                require_committed(self._git, source, subfolder, target_branch, copy_globs)
        return RepositoryDescription(
            path=top,
            name=name,
            repository=True,
            common_dir=info.common_dir,
            branch=info.branch,
            head=info.head,
            subfolder=subfolder,
        )

    def documents(
        self, places: Sequence[DocumentPlace], patterns: Sequence[str], without: Collection[str] = ()
    ) -> FoundDocuments:
        return read_documents(places, patterns, without)

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        with self._exclusive(spec) as (root, checkouts):
            try:
                self._folders.provide(spec)
                with self._pinned(spec):
                    return in_subfolder(spec, self._prepare(spec, root, checkouts))
            except GitError as error:
                raise as_workspace_error(spec.id, str(root), error, [], []) from error

    def _prepare(self, spec: WorkspaceSpec, root: Path, checkouts: list[RepositoryCheckout]) -> PreparedWorkspace:
        if spec.in_place:
            return prepare_in_place(self._git, spec, checkouts)
        with self._folders.recorded(spec):
            return Preparation(self._git, self._pool, self._folders.resolved(spec), root, checkouts).run()

    def repair(self, spec: WorkspaceSpec) -> None:
        with self._exclusive(spec) as (_, checkouts):
            _session.repair(self._git, checkouts)

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        with self._exclusive(spec) as (root, checkouts):
            return _session.inspect(self._git, spec, root, checkouts)

    def collect(self, spec: WorkspaceSpec, message: str, *, from_branch: bool = False) -> CollectedWork:
        with self._exclusive(spec) as (root, checkouts):
            collected = _session.collect(self._git, spec, root, checkouts, message, from_branch=from_branch)
            with suppress(FileExistsError, NotADirectoryError):  # what begins there next tells that it cannot
                ensure_subfolder(spec)  # the agent may have removed it
            with suppress(GitError):  # it stays pinned then as if the agent were at work, which is safe
                for repository in self._repositories(spec):
                    self._git.rest_configuration(repository, spec.id)
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

    def merge(
        self, spec: WorkspaceSpec, style: MergeStyle, message: str, *, finish_only: bool = False
    ) -> MergedWorkspace:
        if spec.in_place:
            return MergedWorkspace()
        with self._exclusive(spec) as (_, checkouts), self._folders.delivering(spec):
            operation = MergeOperation(self._git, self._folders.resolved(spec), checkouts, style, message)
            return operation.finish() if finish_only else operation.run()

    def revert(self, spec: WorkspaceSpec, commits: Mapping[str, str], message: str) -> MergedWorkspace:
        with self._exclusive(spec) as (_, checkouts):
            return revert(self._git, checkouts, commits, message)

    def remove(self, spec: WorkspaceSpec, *, delete_branch: bool) -> None:
        with self._exclusive(spec) as (root, checkouts):
            if spec.in_place:
                remove_in_place(self._git, spec, checkouts)
            else:
                Removal(self._git, self._pool, spec, root, checkouts).run(delete_branch=delete_branch)
            try:
                self._unpin(spec)
            except GitError as error:
                raise as_workspace_error(spec.id, str(root), error, [], []) from error

    @contextmanager
    def _pinned(self, spec: WorkspaceSpec) -> Iterator[None]:
        """Keep git to the configuration of before the agent, unless the body fails to make the workspace."""
        try:
            for repository in self._repositories(spec):
                self._git.pin_configuration(repository, spec.id)
            yield
        except BaseException:
            if not spec.worktrees:
                with suppress(GitError):  # the first error counts; the removal unpins too
                    self._unpin(spec)
            raise

    def _unpin(self, spec: WorkspaceSpec) -> None:
        for repository in self._repositories(spec):
            self._git.unpin_configuration(repository, spec.id)

    def _repositories(self, spec: WorkspaceSpec) -> list[str]:
        return [repository.path for repository in self._folders.resolved(spec).repositories]

    # --- Orphans and the pool ---------------------------------------------------------------------------------------

    def orphans(self, living: Collection[WorkspaceId]) -> tuple[Orphan, ...]:
        self._pool.sweep_all()
        return find_orphans(self._git, self._workspaces, living)

    def remove_orphan(self, orphan: Orphan, ref: str) -> tuple[RepositoryCommit, ...]:
        with self._lock(orphan.workspace_id, orphan.path):
            return remove_orphan(self._git, self._pool, self._workspaces, orphan, ref)

    def warm(self, repository: str, count: int) -> int:
        source = find_source(self._git, repository)
        owner = f"pool-{uuid4()}"  # of this call: another one may end before it
        try:
            if source.head is None:
                raise no_commit(source.top)
            self._git.require_filters(source.top, source.head)
            self._git.pin_configuration(source.top, owner, of_process=True)  # what agents left there has no effect
            try:
                return self._pool.warm(source, source.head, count)
            finally:
                self._git.unpin_configuration(source.top, owner)
        except (GitError, OSError) as error:
            raise as_workspace_error("", repository, error, [], []) from error

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
        make_private_folder(self._home / "locks")
        file = self._home / "locks" / workspace_id
        lock = lock_file(file, self._patience, meanwhile=lambda: self._git.end_leftovers(str(file)))
        if lock is None:
            raise WorkspaceError(
                workspace_id=workspace_id,
                path=path,
                reason=f"another operation on it has been running for more than {self._patience:g} s",
                remedy="wait for it, or end its process",
            )
        with lock, keeping(lock.descriptor):
            yield


def _folder_name(path: str) -> str:
    """Return the last part of a path as a valid name for a repository's folder in a workspace."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(path).name).lstrip(".-")
    return name or "repository"
