"""Session place: whether an agent would resume its session in another folder than those that it worked in."""

from collections.abc import Sequence

from aura_contracts.events import Event
from aura_contracts.execution import Execution, SessionRecorded
from aura_contracts.ports.read_models import ExecutionQuery
from aura_contracts.workspace import WORKSPACE, Workspace
from aura_engine.runtime.context import Runtime


async def is_elsewhere(runtime: Runtime, workspace: Workspace, begun: Execution, before: Sequence[Event]) -> bool:
    """Return whether the session that `begun` resumes has worked in other folders only, as far as the log knows.

    `begun` is an execution as it was just before its agent started, and `before` its events until then, so that a
    repeated start gets the same. A session that the log does not know may belong to the user's own folder, and never to
    a new worktree.
    """
    session = begun.session_id
    if session is None or any(isinstance(one, SessionRecorded) and one.session_id == session for one in before):
        return False
    others = runtime.reads.rows(ExecutionQuery(session=session, executor=begun.executor))
    ids = [other.workspace_id async for other in others if other.id != begun.id and other.workspace_id is not None]
    places = {place.directory for one in ids if (place := await runtime.bus.get(WORKSPACE, one)) is not None}
    return workspace.directory not in places and (bool(places) or not workspace.in_place)
