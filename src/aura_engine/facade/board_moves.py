"""Board moves: the commands that move a task to another canonical state.

A move runs the first command in `USER_MOVES` that the task accepts. A move that needs more than a command (an agent to
do the work, a decision with its reason) is refused, and the error's remedy names the call that does it.
"""

from collections.abc import Sequence

import attrs

from aura_contracts.actors import ENGINE, Actor, actor_name
from aura_contracts.agent import ReleaseAgent, TaskOutcome
from aura_contracts.approval import ApprovalStatus
from aura_contracts.board import USER_MOVES, CanonicalState, canonical_of_task
from aura_contracts.errors import RuleViolated
from aura_contracts.task import BlockTask, QueueTask, Task, TaskStatus, UnassignTask, UnblockTask, UnqueueTask
from aura_engine.facade.core import Core
from aura_engine.facade.follow_ups import retry_task
from aura_engine.facade.task_refusal import refusal
from aura_engine.facade.task_trees import cancel_tree
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork

_C = CanonicalState


@attrs.frozen
class BoardMoves:
    """Moves tasks on behalf of `actor`."""

    _core: Core
    _actor: Actor

    async def add(self, unit: UnitOfWork, view: View, target: CanonicalState, reason: str) -> Sequence[Task]:
        """Add to `unit` a task's move; return the tasks that this engine drives afterwards.

        Raises `RuleViolated`, whose remedy names an alternative.
        """
        task_id, source = view.task.id, canonical_of_task(view.task)
        if source is target:
            return ()
        if target not in USER_MOVES[source]:
            possible = ", ".join(USER_MOVES[source])
            remedy = f"from {source} a task can move to {possible}" if possible else "create another task"
            raise refusal(task_id, "move", f"a task cannot move from {source} to {target}", remedy)
        if target is _C.CANCELLED:
            return await cancel_tree(unit, view, reason, actor_name(self._actor))
        if source is _C.BLOCKED:
            return [await self._unblock(unit, view, reason)]
        if source is _C.REVIEW or target is _C.RUNNING:
            raise _takes_more(view, source)
        if target is _C.BLOCKED:
            if not reason:
                raise refusal(task_id, "move", "a reason is required", "give the reason that blocks it")
            await unit.handle(task_id, BlockTask(reason=reason))
        elif source is _C.RUNNING:
            await self._give_back(unit, view, reason)
        elif target is _C.READY:
            await unit.handle(task_id, QueueTask())
        else:
            await unit.handle(task_id, UnqueueTask())
        return ()

    async def _unblock(self, unit: UnitOfWork, view: View, reason: str) -> Task:
        """Resume a task that failed, or that a person blocked."""
        task_id = view.task.id
        if view.task.status is TaskStatus.FAILED:
            return await retry_task(self._core, unit, view, self._actor)
        conflict = view.conflict
        if conflict is not None and conflict.status is ApprovalStatus.PENDING:
            remedy = f"approvals.approve({conflict.id!r}) when it is resolved"
            raise refusal(task_id, "move", "a merge conflict waits for a human", remedy)
        if view.task.status is not TaskStatus.BLOCKED:
            raise _takes_more(view, _C.BLOCKED)
        return await unit.handle(task_id, UnblockTask(resolution=reason))

    async def _give_back(self, unit: UnitOfWork, view: View, reason: str) -> None:
        """Unassign a task and release its agent. Refused while the agent works on it."""
        task_id = view.task.id
        if view.worked_on:
            remedy = f"tasks.move({task_id!r}, 'cancelled') cancels it"
            raise refusal(task_id, "move", "an agent works on it", remedy)
        await unit.handle(task_id, UnassignTask(reason=reason))
        if view.agent is not None and view.agent.has(task_id):
            release = ReleaseAgent(task_id=task_id, outcome=TaskOutcome.UNASSIGNED)
            await unit.acting_as(ENGINE).handle(view.agent.id, release)


def _takes_more(view: View, source: CanonicalState) -> RuleViolated:
    """Return the error for a move that needs a decision or an agent."""
    task_id = view.task.id
    if source is _C.REVIEW:
        remedy = f"approvals.reject({view.task.approval_id!r}, feedback='TEXT')"
        return refusal(task_id, "move", "it waits for a review, and sending it back needs a reason", remedy)
    remedy = f"tasks.assign({task_id!r}, executor='NAME'), or tasks.assign({task_id!r}, agent='ID')"
    return refusal(task_id, "move", "it needs an agent to work on it", remedy)
