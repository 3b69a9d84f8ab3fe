"""Board moves: what moving a task to another canonical state means.

A move is the first of the commands in `USER_MOVES` that the task accepts. A move that takes more than a command (an
agent to do the work, a decision with its reason) is refused, and the remedy names what does it.
"""

import attrs

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.agent import Outcome, ReleaseAgent
from aura_contracts.approval import ApprovalStatus
from aura_contracts.board import USER_MOVES, CanonicalState, canonical_of_task
from aura_contracts.errors import RuleViolated
from aura_contracts.ids import TaskId
from aura_contracts.task import BlockTask, QueueTask, TaskStatus, UnassignTask, UnblockTask, UnqueueTask
from aura_engine.facade.core import Core
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork

_C = CanonicalState


@attrs.frozen
class BoardMoves:
    """Moves tasks in the name of `actor`."""

    _core: Core
    _actor: Actor

    async def move(self, task_id: TaskId, target: CanonicalState, reason: str) -> None:
        """Move a task. Raises `RuleViolated` with what to do instead."""
        view = await self._core.snapshot(task_id)
        source = canonical_of_task(view.task)
        if source is target:
            return
        if target not in USER_MOVES[source]:
            possible = ", ".join(USER_MOVES[source])
            remedy = f"from {source} people move tasks to {possible}" if possible else "create another task"
            raise refusal(task_id, "move", f"tasks are not moved from {source} to {target}", remedy)
        if target is _C.CANCELLED:
            await self._core.tasks.cancel(task_id, reason, by=self._actor)
        elif source is _C.BLOCKED:
            await self._unblock(view, reason)
        elif source is _C.REVIEW or target is _C.RUNNING:
            raise _takes_more(view, source)
        elif target is _C.BLOCKED:
            if not reason:
                raise refusal(task_id, "move", "a reason is required", "give the reason that blocks it")
            await self._core.bus.handle(self._actor, task_id, BlockTask(reason=reason))
        elif source is _C.RUNNING:
            await self._give_back(task_id, reason)
        elif target is _C.READY:
            await self._core.bus.handle(self._actor, task_id, QueueTask())
        else:
            await self._core.bus.handle(self._actor, task_id, UnqueueTask())

    async def _unblock(self, view: View, reason: str) -> None:
        """Resume a task that failed, or that a person blocked."""
        task_id = view.task.id
        if view.task.status is TaskStatus.FAILED:
            await self._core.tasks.retry(task_id, by=self._actor)
            return
        conflict = view.conflict
        if conflict is not None and conflict.status is ApprovalStatus.PENDING:
            remedy = f"aura approval approve {conflict.id} when it is resolved"
            raise refusal(task_id, "move", "a human is asked about a conflict", remedy)
        if view.task.status is not TaskStatus.BLOCKED:
            raise _takes_more(view, _C.BLOCKED)
        await self._core.bus.handle(self._actor, task_id, UnblockTask(resolution=reason))
        if view.execution is not None:
            await self._core.drive(task_id)

    async def _give_back(self, task_id: TaskId, reason: str) -> None:
        """Take a task from its agent, who is free then. Refused while it is worked on."""

        async def decide(unit: UnitOfWork) -> None:
            view = await self._core.view_in(unit, task_id)
            if view.worked_on:
                remedy = f"aura task move {task_id} cancelled cancels it"
                raise refusal(task_id, "move", "an agent works on it", remedy)
            await unit.handle(task_id, UnassignTask(reason=reason))
            if view.agent is not None and view.agent.current_task_id == task_id:
                release = ReleaseAgent(task_id=task_id, outcome=Outcome.UNASSIGNED)
                await unit.acting_as(ENGINE).handle(view.agent.id, release)

        await self._core.bus.transact(self._actor, decide)


def _takes_more(view: View, source: CanonicalState) -> RuleViolated:
    """Return the refusal of a move to running that takes more than a move."""
    task_id = view.task.id
    if source is _C.REVIEW:
        remedy = f"aura approval reject {view.task.approval_id} --feedback TEXT"
        return refusal(task_id, "move", "a human is asked about it, and has to say why not", remedy)
    remedy = f"aura task assign {task_id} --executor NAME, or --agent ID"
    return refusal(task_id, "move", "an agent has to work on it", remedy)


def refusal(task_id: TaskId, command: str, reason: str, remedy: str) -> RuleViolated:
    """Return the error for a command about a task that a rule of the facade does not allow."""
    return RuleViolated(
        aggregate="task", aggregate_id=task_id, command=command, rule=command, reason=reason, remedy=remedy
    )
