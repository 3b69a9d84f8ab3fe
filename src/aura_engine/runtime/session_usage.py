"""Session usage: what an agent's session had consumed before it is resumed, by the agent's own count."""

from aura_contracts.entries import Usage
from aura_contracts.execution import Execution
from aura_contracts.ports.read_models import ExecutionQuery, ReadModels


async def session_usage(reads: ReadModels, begun: Execution) -> Usage | None:
    """Return the largest total that was reported of the session that `begun` resumes, or None.

    `begun` is an execution as it was just before its agent started, so that a repeated start gets the same.
    """
    if begun.session_id is None or begun.session_usage is not None:
        return begun.session_usage
    totals = [
        other.session_usage
        async for other in reads.rows(ExecutionQuery(session=begun.session_id, executor=begun.executor))
        if other.id != begun.id and other.session_id == begun.session_id and other.session_usage is not None
    ]
    return max(
        totals, key=lambda total: total.input_tokens + total.cache_read_tokens + total.output_tokens, default=None
    )
