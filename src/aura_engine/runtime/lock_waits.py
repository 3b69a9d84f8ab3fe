"""Lock waits: the tasks of the queue of the pool that need locks, as this engine knows them.

See `aura_engine.runtime.lock_places` for the order in which they get locks and agents. Each task is listened to before
the lock table is read, so no change of either is missed.
"""

from collections.abc import Callable, Collection

import attrs

from aura_contracts.approval import APPROVAL, ApprovalStatus
from aura_contracts.ids import StreamId, TaskId
from aura_contracts.lock_table import EMPTY, LOCK_TABLE, LOCK_TABLE_ID, LockClaim, LockTable
from aura_contracts.ports.read_models import LIMIT, AgentQuery
from aura_contracts.task import Task
from aura_contracts.workspace import WORKSPACE
from aura_engine.runtime import lock_claims
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.lock_places import (
    Standing,
    has_to_wait,
    is_in_reach,
    may_take_place,
    standing_of,
    takes_place_at,
)
from aura_engine.runtime.views import View, load_view, workspace_of
from aura_engine.scheduling import Needs
from aura_engine.unit_of_work import UnitOfWork

_UNREACHABLE = "each agent that suits it is disabled, has tasks that wait, or has an executor that its engine has not"


class Overtaken(Exception):
    """Task, agent or locks are no longer what a decision was based on."""


class PlaceNeeded(Overtaken):
    """The locks of a task for which an agent has room collide: it takes a place in line first."""


@attrs.define
class LockWaits:
    """Which tasks of the queue wait for locks, and which have them. Belongs to one event loop."""

    _runtime: Runtime
    _watch: Callable[[], None]
    """Has the follower look for locks that no one releases any more, for as long as there are tasks here."""
    _is_ours: Callable[[TaskId], bool]
    """Whether this engine gives a task of the queue to an agent."""
    takes_places: bool = True
    """Whether tasks take places in line: then this engine has to work on the queue until they have their agents."""
    _listening: set[TaskId] = attrs.field(factory=set)
    """The tasks that need locks, however they stand: another engine may take a place for each, or locks before it."""
    _waiting: dict[TaskId, float | None] = attrs.field(factory=dict)
    """The tasks that wait, with the moment at which each takes a place in line, None if it has one or takes none."""
    _holding: dict[TaskId, Needs] = attrs.field(factory=dict)
    """The tasks that have their locks and no agent yet, with what they ask of one."""
    _questions: dict[StreamId, TaskId] = attrs.field(factory=dict)
    """The tasks about whose collisions a human is asked."""
    _table: LockTable | None = None
    """The lock table as it is known, None if it has to be read."""
    _changes: int = 0

    def __bool__(self) -> bool:
        return bool(self._waiting or self._holding)

    def on_change(self) -> Collection[TaskId]:
        """Note that the lock table has changed, or may have; return the tasks to look at again, and forget them."""
        self._table = None
        self._changes += 1
        affected = {*self._listening}
        for kept in (self._listening, self._waiting, self._holding):
            kept.clear()
        return affected

    def on_question(self, approval_id: StreamId) -> Collection[TaskId]:
        """Return the task to look at again after something happened to a question."""
        task_id = self._questions.pop(approval_id, None)
        return () if task_id is None else (task_id,)

    def aged(self, now: float) -> Collection[TaskId]:
        """Return the tasks that have waited so long by now that they take places in line, to look at again."""
        return [task_id for task_id, at in self._waiting.items() if at is not None and at <= now]

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next task takes a place in line, None without one."""
        moments = [at for at in self._waiting.values() if at is not None]
        return max(min(moments) - now, 0.0) + 0.01 if moments else None

    def forget(self, task_id: TaskId) -> None:
        """Note that a task is not in the queue any more."""
        self._listening.discard(task_id)
        self._waiting.pop(task_id, None)
        self._holding.pop(task_id, None)

    async def standing(self, task: Task) -> Standing:
        """Return how a task of the queue stands towards its locks. If it is ours, do what a human has decided."""
        self.forget(task.id)
        if not task.needs_locks:
            return Standing.FREE
        workspace = await self._runtime.bus.fetch(WORKSPACE, workspace_of(task.id))
        locks = View(task=task, workspace=workspace).locks
        self._listening.add(task.id)
        self._waiting[task.id] = None
        self._watch()
        table = await self._current()
        claim = table.claim_of(task.id)
        if claim is not None and not locks:
            await self.give_up(task.id, "its run needs no locks")
            return Standing.FREE
        if claim is not None and not await self._is_decided(claim):
            return Standing.WAITS
        standing = standing_of(table, task, locks, self._runtime.bus.clock(), takes_place=self._takes_place(task))
        if standing is not Standing.WAITS:
            del self._waiting[task.id]
        elif claim is None and self.takes_places:
            self._waiting[task.id] = takes_place_at(task).timestamp()
        if standing is Standing.HAS_LOCKS and task.request is not None:
            self._holding[task.id] = Needs.of(task.request)
        return standing

    async def _is_decided(self, claim: LockClaim) -> bool:
        """Whether there is nothing to do about the question to a human, if there is one. If the task is ours, do it."""
        if claim.approval_id is None:
            return True
        self._questions[claim.approval_id] = claim.task_id
        question = await self._runtime.bus.fetch(APPROVAL, claim.approval_id)
        assert question is not None, "it was asked in the append that recorded it"
        status = question.status
        rejected, pending = status is ApprovalStatus.REJECTED, status is ApprovalStatus.PENDING
        to_do = rejected or (pending and claim.held) or (question.granted and not claim.held)
        if to_do and self._is_ours(claim.task_id):
            await lock_claims.resolve(self._runtime, await load_view(self._runtime.bus, claim.task_id))
        return not to_do

    async def _current(self) -> LockTable:
        while self._table is None:
            changes = self._changes
            table = await self._runtime.bus.get(LOCK_TABLE, LOCK_TABLE_ID)
            if changes == self._changes:
                self._table = table or EMPTY
        return self._table

    async def require_locks(self, unit: UnitOfWork, view: View) -> None:
        """Add to `unit` the claim of a task that is given to an agent; `view` shows it as it was in the queue.

        Raises `PlaceNeeded` if the locks collide and it is to take a place in line, `Overtaken` if it is not.
        """
        if view.locks and not (await lock_claims.claim(unit, view.task, view.locks)).held:
            raise PlaceNeeded if view.claim is None and self._takes_place(view.task) else Overtaken

    def _takes_place(self, task: Task) -> bool:
        return self.takes_places and may_take_place(task, self._runtime.bus.clock())

    async def take_place(self, task_id: TaskId) -> None:
        """Give a task of the queue a place in line, and ask a human about the collision if it is to."""
        await lock_claims.take_place(self._runtime, task_id)

    async def give_up(self, task_id: TaskId, reason: str) -> None:
        """Give the place of a task back, if it has one and is ours."""
        if self._is_ours(task_id) and (await self._current()).claim_of(task_id) is not None:
            await lock_claims.give_up_place(self._runtime, task_id, reason)

    async def give_up_unreachable(self, unable: Collection[str]) -> None:
        """Give back the locks of each task of the queue that has some, and no agent in reach, if this engine took them.

        `unable` are executors that this engine does not have.
        """
        for task_id, needs in tuple(self._holding.items()):
            claim = (await self._current()).claim_of(task_id)
            own = self._is_ours(task_id) and claim is not None and self._is_own(claim)
            if own and not await self._has_agent_in_reach(needs, unable):
                await self.give_up(task_id, _UNREACHABLE)

    async def takes_on(self, claim: LockClaim, unable: Collection[str]) -> bool:
        """Whether the place of a task that is ours stays, if no other engine keeps it: see `give_up_unreachable`."""
        needs = self._holding.get(claim.task_id)
        return needs is None or self._is_own(claim) or await self._has_agent_in_reach(needs, unable)

    def _is_own(self, claim: LockClaim) -> bool:
        return claim.engine_id in ("", self._runtime.gateway.engine_id)

    async def _has_agent_in_reach(self, needs: Needs, unable: Collection[str]) -> bool:
        for agent in [agent async for agent in self._runtime.reads.rows(AgentQuery(ad_hoc=False, limit=LIMIT))]:
            if agent.executor not in unable and is_in_reach(agent, needs, 0):
                views = [await load_view(self._runtime.bus, each.task_id) for each in agent.tasks]
                if is_in_reach(agent, needs, sum(map(has_to_wait, views))):
                    return True
        return False
