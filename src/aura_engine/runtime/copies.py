"""Safety copies: what only the files of a workspace hold is saved before it could be destroyed."""

from aura_contracts.actors import WORKER, Actor
from aura_contracts.ids import WorkspaceId
from aura_contracts.workspace import WORKSPACE, RecordSnapshot, SnapshotReason, Workspace
from aura_engine.runtime.context import Runtime, snapshot_ref
from aura_engine.runtime.views import spec_of
from aura_engine.runtime.worktrees import inspect_worktrees
from aura_worker_protocol import messages


async def save(runtime: Runtime, workspace: Workspace, reason: SnapshotReason) -> None:
    """Save uncommitted work on a hidden ref before it could be destroyed; does nothing if all is committed."""
    if workspace.in_place or not (await inspect_worktrees(runtime, workspace)).dirty:
        return
    await take_copy(runtime, workspace.id, reason, WORKER)


async def take_copy(
    runtime: Runtime, workspace_id: WorkspaceId, reason: SnapshotReason, actor: Actor, *, whole: bool = False
) -> Workspace:
    """Take a safety copy of a workspace on a ref of its own and record it, one at a time; return the workspace.

    With `whole`, it takes ignored files too. After a crash between the two, the ref stays unrecorded and the next copy
    gets another one.
    """
    async with runtime.copying(workspace_id):
        workspace = await runtime.bus.require(WORKSPACE, workspace_id)
        ref = snapshot_ref(workspace_id, len(workspace.snapshots) + 1, runtime.bus.ids()[-8:])
        taken = await runtime.gateway.request(messages.TakeSnapshot(workspace=spec_of(workspace), ref=ref, whole=whole))
        record = RecordSnapshot(ref=ref, reason=reason, commits=taken.commits, left_out=taken.left_out)
        return await runtime.bus.handle(actor, workspace_id, record)
