"""Workspaces: looking at worktrees, keeping safety copies of them, clearing them away."""

from collections.abc import Sequence

import attrs

from aura_contracts.actors import Actor
from aura_contracts.errors import AggregateNotFound, InvalidInput
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.workspaces import Orphan, WorkspaceCondition
from aura_contracts.task import TASK
from aura_contracts.workspace import (
    WORKSPACE,
    RecordSnapshot,
    RestoreSnapshot,
    SnapshotReason,
    Workspace,
    WorkspaceRemoved,
    WorkspaceRequested,
    WorkspaceStatus,
)
from aura_engine.runtime.context import Runtime, snapshot_ref
from aura_engine.runtime.ending import remove
from aura_engine.runtime.stages import save
from aura_engine.runtime.views import spec_of
from aura_worker_protocol import messages


@attrs.frozen
class WorkspaceCommands:
    """Commands about workspaces. What would destroy work keeps a safety copy of it first."""

    _runtime: Runtime
    _user: Actor

    async def all(self, *, removed: bool = False) -> Sequence[Workspace]:
        """Return the workspaces that are there, the oldest first; with `removed`, also those that were."""
        there: dict[str, bool] = {}
        topics = [WorkspaceRequested.topic, WorkspaceRemoved.topic]
        async for record in self._runtime.bus.log.read(topics=topics):
            there[record.stream_id] = isinstance(record.event, WorkspaceRequested)
        return [await self.get(WorkspaceId(one)) for one, exists in there.items() if exists or removed]

    async def get(self, workspace_id: WorkspaceId) -> Workspace:
        """Return a workspace. Raises `AggregateNotFound`."""
        workspace = await self._runtime.bus.get(WORKSPACE, workspace_id)
        if not isinstance(workspace, Workspace):
            raise AggregateNotFound(aggregate="workspace", aggregate_id=workspace_id, command="show")
        return workspace

    async def inspect(self, workspace_id: WorkspaceId) -> WorkspaceCondition:
        """Return what its worktrees are like right now."""
        request = messages.InspectWorkspace(workspace=spec_of(await self.get(workspace_id)))
        return (await self._runtime.gateway.request(request)).condition

    async def diff(self, workspace_id: WorkspaceId, *, patch_limit: int = 1_048_576) -> messages.WorkDiff:
        """Return what a workspace changes, uncommitted work included; `patch_limit` is in bytes, 0 for no patch."""
        request = messages.DiffWork(workspace=spec_of(await self.get(workspace_id)), patch_limit=patch_limit)
        return await self._runtime.gateway.request(request)

    async def snapshot(self, workspace_id: WorkspaceId, reason: SnapshotReason = SnapshotReason.REQUESTED) -> Workspace:
        """Write the state of all worktrees, tracked and untracked, to a hidden ref."""
        workspace = await self.get(workspace_id)
        ref = snapshot_ref(workspace_id, len(workspace.snapshots) + 1)
        request = messages.TakeSnapshot(workspace=spec_of(workspace), ref=ref)
        taken = await self._runtime.gateway.request(request)
        command = RecordSnapshot(ref=ref, reason=reason, commits=taken.commits)
        return await self._runtime.bus.handle(self._user, workspace_id, command)

    async def restore(self, workspace_id: WorkspaceId, ref: str) -> Workspace:
        """Put the worktrees back to the safety copy `ref`; what is there now is kept as another one."""
        workspace = await self.get(workspace_id)
        if ref not in {copy.ref for copy in workspace.snapshots}:
            known = ", ".join(copy.ref for copy in workspace.snapshots) or "none"
            raise InvalidInput(field="ref", reason=f"there is no safety copy {ref}", remedy=f"there are: {known}")
        await self._require_free(workspace)
        await save(self._runtime, workspace, SnapshotReason.RESTORE)
        command = RestoreSnapshot(ref=ref, dirty=False)
        restored = await self._runtime.bus.handle(self._user, workspace_id, command)
        request = messages.RestoreSnapshot(workspace=spec_of(workspace), ref=ref)
        await self._runtime.gateway.request(request)
        return restored

    async def clean(self, workspace_id: WorkspaceId, reason: str = "cleaned up") -> Workspace:
        """Remove the worktrees; what is not committed is kept as a safety copy, the branch stays."""
        workspace = await self.get(workspace_id)
        await self._require_free(workspace)
        await remove(self._runtime, workspace, reason, delete_branch=False)
        return await self.get(workspace_id)

    async def orphans(self) -> Sequence[Orphan]:
        """Return what workspaces that are recorded as gone, or not at all, left behind on the worker."""
        living = tuple(workspace.id for workspace in await self.all())
        request = messages.FindOrphans(living=living)
        return (await self._runtime.gateway.request(request)).orphans

    async def remove_orphan(self, orphan: Orphan) -> messages.SnapshotTaken:
        """Remove an orphan, after a safety copy of what it holds unsaved."""
        ref = f"refs/aura/orphans/{orphan.workspace_id}/{self._runtime.bus.ids()}"
        request = messages.RemoveOrphan(orphan=orphan, ref=ref)
        return await self._runtime.gateway.request(request)

    async def warm(self, repository: str, count: int) -> int:
        """Fill the pool of warm worktrees of a repository; return how many were made."""
        request = messages.WarmPool(repository=repository, count=count)
        return (await self._runtime.gateway.request(request)).made

    async def _require_free(self, workspace: Workspace) -> None:
        """Refuse to change files under the hands of an execution, or of a human who resolves a conflict in them."""
        remedy = "cancel its task, or wait until it has ended"
        if workspace.status is WorkspaceStatus.IN_USE:
            raise InvalidInput(field="workspace", reason=f"execution {workspace.holder} uses it", remedy=remedy)
        task = await self._runtime.bus.get(TASK, workspace.task_id) if workspace.task_id else None
        if task is not None and not task.ended:
            raise InvalidInput(field="workspace", reason=f"its task is {task.status}", remedy=remedy)
