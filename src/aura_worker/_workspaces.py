"""Workspaces: requests about worktrees, carried out in threads, one at a time per workspace."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
from msgspec.structs import replace

from aura_contracts.context_documents import FoundDocuments
from aura_contracts.errors import WorkspaceError
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.workspaces import (
    CollectedWork,
    FileSummary,
    MergedWorkspace,
    PreparedWorkspace,
    RepositoryDescription,
    RepositoryDiff,
    TakenSnapshot,
    WorkDiff,
    WorkspaceCondition,
    WorkspaceProvider,
    WorkspaceSpec,
)
from aura_contracts.workspace import ConflictedFiles, Unrecorded
from aura_worker_protocol.errors import storable_text
from aura_worker_protocol.messages import (
    CollectWork,
    DescribeRepository,
    DiffWork,
    FindOrphans,
    InspectWorkspace,
    MergeWork,
    OrphansFound,
    PoolWarmed,
    PrepareWorkspace,
    ReadDocuments,
    RemoveOrphan,
    RemoveWorktrees,
    RepairWorkspace,
    ResetToSnapshot,
    RevertWork,
    TakeSnapshot,
    WarmPool,
)

THREADS = 8
"""Requests about workspaces that run at once; more wait."""

T = TypeVar("T")


class WorkspaceService:
    """Carries out `workspace.*`. Work that has begun is finished, even when its request is cancelled."""

    def __init__(self, workspaces: WorkspaceProvider) -> None:
        self._workspaces = workspaces
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        """By key, kept while a task holds the lock or waits for it."""
        self._threads = anyio.CapacityLimiter(THREADS)

    async def prepare(self, request: PrepareWorkspace) -> PreparedWorkspace:
        prepared = await self._on_workspace(self._workspaces.prepare, request.workspace)
        return replace(prepared, empty_submodules=tuple(map(storable_text, prepared.empty_submodules)))

    async def repair(self, request: RepairWorkspace) -> None:
        await self._on_workspace(self._workspaces.repair, request.workspace)

    async def inspect(self, request: InspectWorkspace) -> WorkspaceCondition:
        condition = await self._on_workspace(self._workspaces.inspect, request.workspace)
        return replace(condition, unrecorded=_storable_paths(condition.unrecorded))

    async def collect(self, request: CollectWork) -> CollectedWork:
        collect = partial(self._workspaces.collect, from_branch=request.from_branch)
        collected = await self._on_workspace(collect, request.workspace, request.message)
        outcome = replace(collected.outcome, unrecorded=_storable_paths(collected.outcome.unrecorded))
        return replace(collected, outcome=outcome, empty_folders=tuple(map(storable_text, collected.empty_folders)))

    async def diff(self, request: DiffWork) -> WorkDiff:
        patch, limit = request.patch_limit > 0, max(request.patch_limit, 0)
        diff = partial(self._workspaces.diff, patch=patch, patch_limit=limit)
        return work_diff(await self._on_workspace(diff, request.workspace))

    async def snapshot(self, request: TakeSnapshot) -> TakenSnapshot:
        snapshot = partial(self._workspaces.snapshot, whole=request.whole)
        taken = await self._on_workspace(snapshot, request.workspace, request.ref)
        return replace(taken, left_out=_storable_paths(taken.left_out))

    async def restore(self, request: ResetToSnapshot) -> None:
        await self._on_workspace(self._workspaces.restore, request.workspace, request.ref)

    async def merge(self, request: MergeWork) -> MergedWorkspace:
        merge = partial(self._workspaces.merge, finish_only=request.finish_only)
        merged = await self._on_workspace(merge, request.workspace, request.style, request.message)
        return _storable_conflicts(merged)

    async def revert(self, request: RevertWork) -> MergedWorkspace:
        revert = partial(self._workspaces.revert, commits=request.commits, message=request.message)
        return _storable_conflicts(await self._on_workspace(revert, request.workspace))

    async def remove(self, request: RemoveWorktrees) -> None:
        remove = partial(self._workspaces.remove, delete_branch=request.delete_branch)
        await self._on_workspace(remove, request.workspace)

    async def describe(self, request: DescribeRepository) -> RepositoryDescription:
        describe = partial(
            self._workspaces.describe,
            request.path,
            in_place=request.in_place,
            target_branch=request.target_branch,
            copy_globs=request.copy_globs,
        )
        return await self._in_thread("", request.path, describe)

    async def documents(self, request: ReadDocuments) -> FoundDocuments:
        work = partial(self._workspaces.documents, request.places, request.patterns, request.without)
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    async def orphans(self, request: FindOrphans) -> OrphansFound:
        work = partial(self._workspaces.orphans, request.living)
        return OrphansFound(orphans=await self._in_thread("", "", work))

    async def remove_orphan(self, request: RemoveOrphan) -> TakenSnapshot:
        orphan = request.orphan
        work = partial(self._workspaces.remove_orphan, orphan, request.ref)
        return TakenSnapshot(commits=await self._in_thread(orphan.workspace_id, orphan.path, work))

    async def warm(self, request: WarmPool) -> PoolWarmed:
        work = partial(self._workspaces.warm, request.repository, request.count)
        async with self._locks.setdefault(f"pool {request.repository}", anyio.Lock()):
            return PoolWarmed(made=await self._in_thread("", request.repository, work))

    async def _on_workspace(self, work: Callable[..., T], workspace: WorkspaceSpec, *more: str) -> T:
        return await self._in_thread(workspace.id, workspace.root, partial(work, workspace, *more))

    async def _in_thread(self, workspace_id: WorkspaceId | str, path: str, work: Callable[[], T]) -> T:
        """Run `work` in a thread. An error of the operating system becomes a `WorkspaceError`."""
        async with self._locks.setdefault(workspace_id, anyio.Lock()):
            try:
                return await anyio.to_thread.run_sync(work, limiter=self._threads)
            except OSError as error:
                where = path if error.filename is None else str(error.filename)
                reason = error.strerror or str(error)
                raise WorkspaceError(workspace_id=workspace_id, path=where, reason=reason) from error


def _storable_paths(found: tuple[Unrecorded, ...]) -> tuple[Unrecorded, ...]:
    return tuple(replace(one, path=storable_text(one.path)) for one in found)


def work_diff(diffs: tuple[RepositoryDiff, ...]) -> WorkDiff:
    """Return `diffs` as text that can be shown and stored; with several repositories, a line names each."""
    patches = []
    for one in diffs:
        if one.diff.patch and len(diffs) > 1:
            patches.append(f"# repository {one.repository}\n")
        patches.append(_storable(one.diff.patch or b""))
    return WorkDiff(
        files=tuple(summary for one in diffs for summary in _summaries(one)),
        patch="".join(patches),
        truncated=any(one.diff.truncated for one in diffs),
    )


def _summaries(one: RepositoryDiff) -> tuple[FileSummary, ...]:
    return tuple(
        FileSummary(
            repository=one.repository,
            path=storable_text(file.path),
            kind=str(file.kind),
            old_path=None if file.old_path is None else storable_text(file.old_path),
            added=file.added,
            removed=file.removed,
        )
        for file in one.diff.files
    )


def _storable(patch: bytes) -> str:
    """Return `patch` as text; bytes that are not UTF-8, and NUL, which databases do not take, are escaped."""
    return patch.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _storable_conflicts(merged: MergedWorkspace) -> MergedWorkspace:
    conflicts = tuple(
        ConflictedFiles(files.repository, tuple(storable_text(path) for path in files.paths))
        for files in merged.conflicts
    )
    return replace(merged, conflicts=conflicts)
