"""Lock releases: what the end or an edit of a task means for its locks, recorded in the same unit of work.

A task has its locks until its work is merged, or given up. If something of it may still run at that moment, as after a
cancellation, they are released together with the lease of its run: see `aura_engine.runtime.cleanup`.
"""

from aura_contracts.actors import ENGINE
from aura_contracts.approval import APPROVAL, ApprovalStatus, WithdrawApproval
from aura_contracts.ids import lease_of
from aura_contracts.lease import WORKER_LEASE, LeaseStatus
from aura_contracts.lock_table import LOCK_TABLE, LOCK_TABLE_ID, MoveClaim, ReleaseLocks
from aura_contracts.task import Task
from aura_engine.parts import Unit


async def follow(unit: Unit, before: Task | None, after: Task) -> None:
    """Add to `unit` the release of the locks of a task that has ended, or was given back, if nothing of it runs.

    One that leaves the queue without an agent gives its place in line back, too. One whose locks were edited claims
    those that it needs now when it could begin. One whose priority was edited moves in the line that it stands in.
    """
    if before is None:
        return
    if before.locking != after.locking:
        await release(unit, before, "its locks were edited")
        return
    if before.priority is not after.priority and after.needs_locks:
        await _move(unit, after)
    left = before.in_hand or (before.pooled and not after.pooled)
    if left and not after.in_hand and not await _runs(unit, after):
        await release(unit, after)


async def _move(unit: Unit, task: Task) -> None:
    if await unit.get(LOCK_TABLE, LOCK_TABLE_ID) is not None:
        await unit.acting_as(ENGINE).handle(LOCK_TABLE_ID, MoveClaim(task_id=task.id, priority=task.priority))


async def release(unit: Unit, task: Task, reason: str = "", *, unused: bool = False) -> None:
    """Add to `unit` the release of a task's locks, if it claims any; the question about them is withdrawn.

    `unused`: no run of the task has begun under the claim, so what a human has allowed is left to its next one.
    """
    if not task.needs_locks:
        return
    table, engine = await unit.get(LOCK_TABLE, LOCK_TABLE_ID), unit.acting_as(ENGINE)
    if table is None:
        return
    claim, reason = table.claim_of(task.id), reason or f"the task is {task.status}"
    if claim is None and table.allowance_of(task.id) is None:
        return
    await engine.handle(LOCK_TABLE_ID, ReleaseLocks(task_id=task.id, reason=reason, unused=unused))
    question = None if claim is None or claim.approval_id is None else await unit.get(APPROVAL, claim.approval_id)
    if question is not None and question.status is ApprovalStatus.PENDING:
        await engine.handle(question.id, WithdrawApproval(reason=reason))


async def _runs(unit: Unit, task: Task) -> bool:
    """Whether something of a task may run: its execution is leased to a worker."""
    if not task.needs_locks or task.execution_id is None:
        return False
    lease = await unit.get(WORKER_LEASE, lease_of(task.execution_id))
    return lease is not None and lease.status is not LeaseStatus.CLOSED
