"""Lock lines: what tasks have for themselves alone, who waits for it, and for whom."""

from collections.abc import Sequence

from msgspec.structs import asdict

from aura_contracts.errors import AuraError
from aura_contracts.ids import TaskId
from aura_contracts.lock_table import EMPTY, LOCK_TABLE, LOCK_TABLE_ID, LockClaim
from aura_contracts.ports.read_models import LIMIT, TaskQuery
from aura_contracts.task import WAITS_FOR_HUMAN, Task
from aura_engine.facade.core import Core


class ClaimInLine(LockClaim, frozen=True, kw_only=True, gc=False):
    """What a task claims, and what it waits for."""

    waits_for: tuple[TaskId, ...] = ()
    """Tasks whose claims collide with this one: they hold, or go first."""
    undriven: str = ""
    """Why the task does not continue by itself, and what to do: no engine drives it. Empty if one does, or if a human
    or an agent outside AURA has it."""


async def claims_in_line(core: Core, task_id: TaskId | None = None) -> Sequence[ClaimInLine]:
    """Return all claims, the oldest first; or those of one task and of the tasks that it waits for."""
    table = await core.bus.fetch(LOCK_TABLE, LOCK_TABLE_ID) or EMPTY
    shown = table.claims
    if task_id is not None:
        own = table.claim_of(task_id)
        shown = () if own is None else (own, *table.before(own))
    undriven = await _undriven(core, [claim.task_id for claim in shown])
    return tuple(
        ClaimInLine(
            **asdict(claim),
            waits_for=tuple(one.task_id for one in table.before(claim)),
            undriven=undriven.get(claim.task_id, ""),
        )
        for claim in shown
    )


async def _undriven(core: Core, ids: Sequence[TaskId]) -> dict[TaskId, str]:
    """Return the tasks that no engine drives, with what to do."""
    found = dict[TaskId, str]()
    for part in (ids[start : start + LIMIT] for start in range(0, len(ids), LIMIT)):
        for task in (await core.reads.list(TaskQuery(id=tuple(part), limit=LIMIT))).rows:
            if text := await undriven_text(core, task):
                found[task.id] = text
    return found


async def undriven_text(core: Core, task: Task) -> str:
    """Return that no engine drives a task that needs one, and what to do; empty if that is not so, or not known."""
    asks_human, outside = task.status in WAITS_FOR_HUMAN, task.execution_id is None and not task.pooled
    if asks_human or outside:
        return ""
    follower = core.follower
    try:
        driven = await (follower.is_worked_on(task.id) if task.pooled else follower.is_driven(task.id))
    except AuraError:  # the locks of engines cannot be looked at
        return ""
    return "" if driven else f"no engine drives it: aura task resume {task.id}"
