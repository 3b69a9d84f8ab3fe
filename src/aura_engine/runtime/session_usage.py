"""Session usage: what an agent's session had consumed before it is resumed, by the agent's own count."""

from aura_contracts.entries import Usage
from aura_contracts.execution import Execution
from aura_contracts.ports.read_models import ReadModels
from aura_engine.runtime.session_runs import others_in_session


async def session_usage(reads: ReadModels, begun: Execution) -> Usage | None:
    """Return the largest total that was reported of the session that `begun` resumes, or None.

    `begun` is an execution as it was just before its agent started, so that a repeated start gets the same.
    """
    if begun.session_id is None or begun.session_usage is not None:
        return begun.session_usage
    totals = [
        other.session_usage
        for other in await others_in_session(reads, begun, {begun.session_id})
        if other.session_id == begun.session_id and other.session_usage is not None
    ]
    return max(
        totals, key=lambda total: total.input_tokens + total.cache_read_tokens + total.output_tokens, default=None
    )
