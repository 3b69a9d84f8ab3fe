"""Lock claims: takes what a task needs for itself alone before its run begins, or asks a human about a collision.

Invariants:

- A task claims when it could begin, and only then: one that waits for others has no lock. One of the queue of the pool
  claims with its agent, or before it, see `aura_engine.runtime.lock_places`.
- A run is leased to a worker under the claim of its task, which the same append checks (`are_held`).
"""

from collections.abc import Sequence

from attrs import evolve

from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalKind, ApprovalStatus, Question, RequestApproval, WithdrawApproval
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.lock_table import (
    LOCK_TABLE,
    LOCK_TABLE_ID,
    AllowCollision,
    LockClaim,
    RecordCollisionQuestion,
    TaskLocks,
)
from aura_contracts.quoting import listed
from aura_contracts.task import TASK, BlockTask, CancelTask, CollisionPolicy, Task, TaskStatus, UnblockTask
from aura_contracts.workspace import WORKSPACE
from aura_engine.lock_releases import release
from aura_engine.policy.consultation import pose
from aura_engine.policy.evidence import evidence_of
from aura_engine.policy.rulebook import Rulebook
from aura_engine.runtime.context import Runtime, reviewers_of
from aura_engine.runtime.lock_places import request_of
from aura_engine.runtime.views import View, view_in, workspace_of
from aura_engine.unit_of_work import UnitOfWork

_STARTING = frozenset({TaskStatus.IN_PROGRESS, TaskStatus.APPROVED})

_NAMED = 5
"""The most tasks, or locks, that a sentence names."""


async def claim(unit: UnitOfWork, task: Task, locks: TaskLocks, engine_id: str = "") -> LockClaim:
    """Add to `unit` a claim of `locks` for a task that could begin; return it. It may have to wait."""
    table = await unit.acting_as(ENGINE).handle(LOCK_TABLE_ID, request_of(task, locks, engine_id))
    made = table.claim_of(task.id)
    assert made is not None, "it was just made, or there before"
    return made


async def take(runtime: Runtime, view: View) -> None:
    """Claim the locks of a task that could begin; if they collide with those of others, wait, or ask a human."""
    book = await runtime.policies.book(view.workspace)

    async def decide(unit: UnitOfWork) -> None:
        now = await view_in(unit, view.task.id)
        if now.unmet or now.claim is not None or now.task.status not in _STARTING:
            return  # look again
        made = await claim(unit, now.task, now.locks)
        if not made.held and now.task.on_collision is CollisionPolicy.ASK:
            await _ask(runtime, unit, now, made, book)

    await runtime.bus.transact(ENGINE, decide)


async def take_place(runtime: Runtime, task_id: TaskId) -> None:
    """Claim the locks of a task of the queue that has no agent yet, and ask a human about a collision if it is to."""
    book = await runtime.policies.book(await runtime.bus.fetch(WORKSPACE, workspace_of(task_id)))

    async def decide(unit: UnitOfWork) -> None:
        now = await view_in(unit, task_id)
        if not now.task.pooled or now.unmet or now.claim is not None or not now.locks:
            return  # look again
        made = await claim(unit, now.task, now.locks, runtime.gateway.engine_id)
        if not made.held and now.task.on_collision is CollisionPolicy.ASK:
            await _ask(runtime, unit, now, made, book)

    await runtime.bus.transact(ENGINE, decide)


async def give_up_place(runtime: Runtime, task_id: TaskId, reason: str) -> None:
    """Release the locks of a task of the queue, or its place in line for them; not while a run of it is ending.

    What a human has decided about its collision is done first: the claim is the only way from the task to the answer.
    If that allows the collision, it is left to the next claim, which then needs no second answer.
    """

    async def decide(unit: UnitOfWork) -> None:
        now = await view_in(unit, task_id)
        if now.task.pooled and not now.leased and await _follow_answer(unit, now):
            await release(unit, now.task, reason, unused=True)

    await runtime.bus.transact(ENGINE, decide)


async def _ask(runtime: Runtime, unit: UnitOfWork, view: View, made: LockClaim, book: Rulebook) -> None:
    """Ask what the task is to do, and block it until a human has decided, or until nothing collides any more.

    One of the queue is not blocked: it waits there.
    """
    task, approval_id = view.task, ApprovalId(runtime.bus.ids())
    first = (await unit.require(LOCK_TABLE, LOCK_TABLE_ID)).before(made)
    named = [other for one in first[:_NAMED] if (other := await unit.get(TASK, one.task_id)) is not None]
    what = listed(_collisions(first, made), _NAMED)
    who = listed([f"task {other.id} ({other.title}), which is {other.status}" for other in named], _NAMED)
    who += f" and {len(first) - _NAMED} more" if len(first) > _NAMED else ""
    reason = f"It needs {what} for itself, and so does {who}."
    remedy = (
        "Approve to let it run at the same time, or reject to cancel it. It resumes by itself when the other one has"
        " ended; to let it wait for that without this question, request changes."
    )
    question = Question(
        kind=ApprovalKind.LOCK_CONFLICT,
        reviewers=reviewers_of(task),
        task_id=task.id,
        execution_id=task.execution_id,
        proposed_solution=f"{reason}\n\n{remedy}",
        evidence=evidence_of(task, agent=view.agent, execution=view.execution, workspace=view.workspace),
    )
    await pose(unit, book, RequestApproval(approval_id=approval_id, question=question))
    await unit.handle(LOCK_TABLE_ID, RecordCollisionQuestion(task_id=task.id, approval_id=approval_id))
    if not task.pooled:
        await unit.handle(task.id, BlockTask(reason=reason, resource=what, conflicting_task_id=first[0].task_id))


def _collisions(first: Sequence[LockClaim], made: LockClaim) -> Sequence[str]:
    """Return the locks of a claim that collide with those that it waits for, each once."""
    return [*dict.fromkeys(lock for other in first for lock in made.locks.collisions(other.locks))]


async def resolve(runtime: Runtime, view: View) -> None:
    """Continue after a human has decided about a collision, or after it has gone."""

    async def decide(unit: UnitOfWork) -> None:
        now = await view_in(unit, view.task.id)
        made, question, task = now.claim, now.collision, now.task
        if made is None or question is None:
            return
        if question.status is ApprovalStatus.PENDING:
            if not made.held:
                return
            await unit.handle(question.id, WithdrawApproval(reason="nothing is in the way any more"))
        continues = await _follow_answer(unit, now)
        if continues and task.status is TaskStatus.BLOCKED:
            await unit.handle(task.id, UnblockTask(resolution=question.feedback or ""))

    await runtime.bus.transact(ENGINE, decide)


async def _follow_answer(unit: UnitOfWork, view: View) -> bool:
    """Add to `unit` what a human has decided about a collision, if anything; return whether the task continues."""
    made, question, task = view.claim, view.collision, view.task
    if made is None or question is None:
        return True
    if question.status is ApprovalStatus.REJECTED:  # also if nothing is in the way by now
        await unit.handle(task.id, CancelTask(reason=question.feedback or "it would collide with another task"))
        return False
    if question.granted and not made.held:
        await unit.handle(LOCK_TABLE_ID, AllowCollision(task_id=task.id, approval_id=question.id))
    return True


async def give_back(runtime: Runtime, view: View) -> None:
    """Release the locks of a task that cannot begin, is no longer worked on, or needs none for its run."""

    async def decide(unit: UnitOfWork) -> None:
        now = await view_in(unit, view.task.id)
        if now.task.in_hand and not now.unmet and now.locks:
            return
        await release(unit, now.task)
        if now.collision is not None and now.task.status is TaskStatus.BLOCKED:
            await unit.handle(now.task.id, UnblockTask())

    await runtime.bus.transact(ENGINE, decide)


async def require_claimed(unit: UnitOfWork, task: Task) -> None:
    """Add to `unit` the claim of a task that an agent outside AURA has. Raises `InvalidInput` if it had to wait."""
    if not task.locks:
        return
    made = await claim(unit, task, TaskLocks(names=task.locks))
    if not made.held:
        first = (await unit.require(LOCK_TABLE, LOCK_TABLE_ID)).before(made)
        reason = f"it needs {listed(_collisions(first, made), _NAMED)}, and task {first[0].task_id} goes first"
        raise InvalidInput(field="task", reason=reason, remedy="assign it when that one has ended")


async def are_held(unit: UnitOfWork, view: View) -> bool:
    """Whether the task has the locks that its run needs; recording the unit fails if that has changed by then."""
    now = evolve(view, task=await unit.require(TASK, view.task.id))  # it may have been edited
    if not now.locks:
        return True
    table = await unit.get(LOCK_TABLE, LOCK_TABLE_ID)
    made = None if table is None else table.claim_of(view.task.id)
    return made is not None and made.held
