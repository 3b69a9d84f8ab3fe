"""Worktrees: what a human asks a worker about them, or to do to them, outside of any run."""

from collections.abc import Sequence

from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.workspaces import Orphan, WorkDiff, WorkspaceCondition
from aura_contracts.workspace import RepositoryCommit, Workspace
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.views import spec_of
from aura_worker_protocol import messages


async def inspect_worktrees(runtime: Runtime, workspace: Workspace) -> WorkspaceCondition:
    """Return the current condition of the worktrees, after a repair unless the engine only reads."""
    if not runtime.bus.read_only:
        await runtime.gateway.request(messages.RepairWorkspace(workspace=spec_of(workspace)))
    return await runtime.gateway.request(messages.InspectWorkspace(workspace=spec_of(workspace)))


async def diff_worktrees(runtime: Runtime, workspace: Workspace, patch_limit: int) -> WorkDiff:
    """Return the changes, uncommitted work included, with at most `patch_limit` bytes of patch."""
    return await runtime.gateway.request(messages.DiffWork(workspace=spec_of(workspace), patch_limit=patch_limit))


async def reset_worktrees(runtime: Runtime, workspace: Workspace, ref: str) -> None:
    """Make the files those of a safety copy."""
    await runtime.gateway.request(messages.ResetToSnapshot(workspace=spec_of(workspace), ref=ref))


async def find_orphans(runtime: Runtime, living: Sequence[WorkspaceId]) -> Sequence[Orphan]:
    """Return the worktrees of workspaces that are not among the `living`."""
    return (await runtime.gateway.request(messages.FindOrphans(living=tuple(living)))).orphans


async def remove_orphan(runtime: Runtime, orphan: Orphan, ref: str) -> Sequence[RepositoryCommit]:
    """Remove a worktree that no workspace needs; return the commits of the safety copy on `ref`."""
    return (await runtime.gateway.request(messages.RemoveOrphan(orphan=orphan, ref=ref))).commits


async def warm_pool(runtime: Runtime, repository: str, count: int) -> int:
    """Fill the pool of warm worktrees up to `count`; return how many were added."""
    return (await runtime.gateway.request(messages.WarmPool(repository=repository, count=count))).made
