"""Lock lines: what tasks have for themselves alone, who waits for it, and for whom."""

from collections.abc import Sequence

from msgspec.structs import asdict

from aura_contracts.ids import TaskId
from aura_contracts.lock_table import EMPTY, LOCK_TABLE, LOCK_TABLE_ID, LockClaim
from aura_engine.facade.core import Core


class ClaimInLine(LockClaim, frozen=True, kw_only=True, gc=False):
    """What a task claims, and what it waits for."""

    waits_for: tuple[TaskId, ...] = ()
    """Tasks whose claims collide with this one: they hold, or go first."""


async def claims_in_line(core: Core, task_id: TaskId | None = None) -> Sequence[ClaimInLine]:
    """Return all claims, the oldest first; or those of one task and of the tasks that it waits for."""
    table = await core.bus.fetch(LOCK_TABLE, LOCK_TABLE_ID) or EMPTY
    shown = table.claims
    if task_id is not None:
        own = table.claim_of(task_id)
        shown = () if own is None else (own, *table.before(own))
    return tuple(
        ClaimInLine(**asdict(claim), waits_for=tuple(one.task_id for one in table.before(claim))) for claim in shown
    )
