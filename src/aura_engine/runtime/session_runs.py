"""Session runs: the runs in an agent's session, which is identified by its executor, its place and its id.

An id alone does not identify a session: agents may count theirs in each folder, and users choose names for their own.
"""

from collections.abc import Collection

from aura_contracts.execution import Execution
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.read_models import LIMIT, ExecutionQuery, ReadModels, WorkspaceQuery


async def others_in_session(
    reads: ReadModels, execution: Execution, sessions: Collection[str], *, limit: int = LIMIT
) -> list[Execution]:
    """Return the newest other runs of the same executor at the same place that used one of these sessions."""
    query = ExecutionQuery(session=sessions, executor=execution.executor, limit=limit)
    others = [other for other in (await reads.list(query)).rows if other.id != execution.id]
    ids = {run.workspace_id for run in (execution, *others) if run.workspace_id is not None} if others else set()
    places: dict[WorkspaceId | None, tuple[str, ...]] = {
        workspace.id: workspace.places async for workspace in reads.rows(WorkspaceQuery(id=ids, limit=LIMIT))
    }
    here = places.get(execution.workspace_id)
    return [other for other in others if places.get(other.workspace_id) == here]
