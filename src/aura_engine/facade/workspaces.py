"""Workspaces: worktrees of tasks, and their safety copies."""

from collections.abc import Sequence
from typing import Annotated, Unpack

import attrs
import msgspec

from aura_contracts.actors import WORKER
from aura_contracts.errors import AggregateNotFound, AmbiguousId, InvalidInput
from aura_contracts.ids import TaskId, WorkspaceId
from aura_contracts.ports.read_models import WorkspaceQuery
from aura_contracts.ports.rows import Page
from aura_contracts.ports.workspaces import Orphan, WorkDiff, WorkspaceCondition
from aura_contracts.task import TASK
from aura_contracts.workspace import (
    WORKSPACE,
    RepositoryCommit,
    RestoreSnapshot,
    SnapshotReason,
    UnrecordedKind,
    Workspace,
    WorkspaceStatus,
)
from aura_engine import runtime
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import WorkspaceFilters
from aura_engine.runtime.views import workspace_of
from aura_engine.unit_of_work import UnitOfWork, not_found

PATCH_LIMIT = 1_048_576
"""The default limit of a diff, in bytes."""

PoolSize = Annotated[int, msgspec.Meta(ge=0, le=100)]
"""A number of worktrees to keep ready; each is a whole checkout."""


@gated
@attrs.frozen
class Workspaces:
    """Workspaces, by their id or their task's. Anything that would destroy work takes a safety copy first."""

    _core: Core

    async def get(self, workspace: str) -> Workspace:
        """Return a workspace. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.stored(WORKSPACE, await self._find(workspace))

    async def list(self, **filters: Unpack[WorkspaceFilters]) -> Page[Workspace]:
        """Return a page of workspaces, newest first; ``removed=False`` selects those that still exist."""
        return await self._core.reads.list(WorkspaceQuery(**filters))

    async def inspect(self, workspace: str) -> WorkspaceCondition:
        """Return the current condition of its worktrees."""
        return await runtime.inspect_worktrees(self._core.runtime, await self.get(workspace))

    async def diff(self, workspace: str, *, patch_limit: int = PATCH_LIMIT) -> WorkDiff:
        """Return the changes in a workspace, uncommitted work included; `patch_limit` is in bytes, 0 for no patch."""
        return await runtime.diff_worktrees(self._core.runtime, await self.get(workspace), patch_limit)

    async def snapshot(self, workspace: str, reason: SnapshotReason = SnapshotReason.REQUESTED) -> Workspace:
        """Take a safety copy of all worktrees, tracked and untracked files, on a hidden ref."""
        found = await self.get(workspace)
        actor = await self._core.require_member("workspace", found.id, "snapshot")
        return await runtime.take_copy(self._core.runtime, found.id, reason, actor)

    async def restore(self, workspace: str, ref: str) -> Workspace:
        """Restore the worktrees to a safety copy, by ref or number, after taking a copy of their present state.

        It is recorded once the files are restored; after a crash in between, restore again. Raises `InvalidInput` for
        an unknown copy, and while the workspace is in use; `WorkspaceError` if the repository has lost the copy.
        """
        found = await self.get(workspace)
        chosen = _copy_named(found, ref)
        await self._require_concern(found.id, "restore")
        await self._require_free(found)
        await self._save(found)

        async def decide(unit: UnitOfWork) -> Workspace:
            restored = await unit.handle(found.id, RestoreSnapshot(ref=chosen, dirty=False))
            await runtime.reset_worktrees(self._core.runtime, found, chosen)
            return restored

        return await self._core.bus.transact(self._core.user, decide)

    async def clean(self, workspace: str, reason: Kept[str] = "cleaned up", *, discard: bool = False) -> Workspace:
        """Remove the worktrees, after a safety copy of uncommitted work and ignored files; the branch stays.

        Raises `WorkspaceObstacle`, and removes nothing, if they hold what the copy cannot: repositories of their own,
        say. `discard` gives that up.
        """
        found = await self.get(workspace)
        await self._require_concern(found.id, "clean")
        await self._require_free(found)
        discarded = tuple(UnrecordedKind) if discard else ()
        await runtime.remove(self._core.runtime, found, reason, delete_branch=False, discard=discarded)
        return await self.get(found.id)

    async def orphans(self) -> Sequence[Orphan]:
        """Return worktrees on the worker whose workspace is recorded as removed, or not recorded at all."""
        query = WorkspaceQuery(removed=False, limit=1000)
        living = [workspace.id async for workspace in self._core.reads.rows(query)]
        return await runtime.find_orphans(self._core.runtime, living)

    async def remove_orphan(self, orphan: Orphan) -> Sequence[RepositoryCommit]:
        """Remove an orphan, after a safety copy of its unsaved work; return the commits of the copy."""
        await self._require_concern(orphan.workspace_id, "clean")
        ref = f"refs/aura/orphans/{orphan.workspace_id}/{self._core.bus.ids()}"
        return await runtime.remove_orphan(self._core.runtime, orphan, ref)

    async def warm(self, repository: str, count: PoolSize) -> int:
        """Fill the pool of warm worktrees of a repository up to `count`, at most 100; return how many were added."""
        await self._core.require_member("repository", repository, "warm")
        return await runtime.warm_pool(self._core.runtime, repository, count)

    async def _require_concern(self, workspace_id: WorkspaceId, command: str) -> None:
        """Refuse those whom the task of a workspace does not concern, before the worker is asked.

        A workspace or a task that this store does not know is anyone's but an observer's.
        """
        actor = await self._core.require_member("workspace", workspace_id, command)
        workspace = await self._core.bus.fetch(WORKSPACE, workspace_id)
        task_id = None if workspace is None else workspace.task_id
        task = None if task_id is None else await self._core.bus.fetch(TASK, task_id)
        if task is not None:
            await self._core.require_concern(task, actor, command)

    async def _save(self, workspace: Workspace) -> None:
        """Take a safety copy before the files are overwritten, also of those in place, unless all is committed."""
        if (await runtime.inspect_worktrees(self._core.runtime, workspace)).dirty:
            await runtime.take_copy(self._core.runtime, workspace.id, SnapshotReason.RESTORE, WORKER)

    async def _find(self, text: str) -> WorkspaceId:
        """Return the id of the workspace that `text`, its own id or its task's or a part of either, stands for."""
        matches = await self._core.reads.find("workspace", text)
        if len(matches) > 1:
            raise AmbiguousId(kind="workspace", text=text, candidates=tuple(match.id for match in matches))
        if matches:
            return WorkspaceId(matches[0].id)
        try:
            return workspace_of(TaskId(await self._core.find("task", text)))
        except AggregateNotFound as error:
            raise not_found("workspace", text) from error

    async def _require_free(self, workspace: Workspace) -> None:
        """Refuse to change files that an execution uses, or a human who resolves a conflict."""
        remedy = "cancel its task, or wait until it has ended"
        if workspace.status is WorkspaceStatus.IN_USE:
            raise InvalidInput(field="workspace", reason=f"execution {workspace.holder} uses it", remedy=remedy)
        task_id = workspace.task_id
        task = None if task_id is None else await self._core.bus.fetch(TASK, task_id)
        if task is not None and not task.ended:
            raise InvalidInput(field="workspace", reason=f"its task is {task.status}", remedy=remedy)


def _copy_named(workspace: Workspace, name: str) -> str:
    """Return the ref of the safety copy that a ref, its last part or its number stands for. Raises `InvalidInput`."""
    copies = [copy.ref for copy in workspace.snapshots]
    numbers = {str(number): ref for number, ref in enumerate(copies, 1)}
    chosen = numbers.get(name) or next((ref for ref in copies if name in (ref, ref.rpartition("/")[2])), None)
    if chosen is None:
        remedy = f"its safety copies are {', '.join(copies)}" if copies else "it has no safety copies"
        raise InvalidInput(field="ref", reason=f"{name!r} is not a safety copy of it", remedy=remedy)
    return chosen
