"""Follow-ups: has an agent continue with feedback, in its review or after the task has completed."""

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.agent import TakeTask
from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Execution, ExecutionStatus
from aura_contracts.task import AssignTask, ReopenTask, Task, TaskStatus
from aura_engine import runtime
from aura_engine.facade.core import Core, is_clear
from aura_engine.facade.placement import Placement
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork


async def continue_task(core: Core, unit: UnitOfWork, view: View, feedback: str) -> Task:
    """Add to `unit` that the agent continues with the feedback; return the updated task. Raises `InvalidInput`."""
    execution = view.execution
    if view.task.status is TaskStatus.COMPLETED and execution is not None:
        return await _reopen(core, unit, view, execution, feedback)
    if execution is None or execution.status is not ExecutionStatus.REVIEW:
        reason = f"it is {view.task.status}, and none of its work is in review"
        failed = view.task.status is TaskStatus.FAILED
        remedy = f"tasks.retry({view.task.id!r})" if failed else "create a new task, or wait for the agent"
        raise InvalidInput(field="task", reason=reason, remedy=remedy)
    if view.approval is not None and view.approval.status is ApprovalStatus.PENDING:
        reason = f"approval {view.approval.id} waits for an answer"
        raise InvalidInput(field="task", reason=reason, remedy="reject it with the feedback")
    return await runtime.continue_with(core.runtime, unit, view, "follow_up", feedback, proposal="")


async def _reopen(core: Core, unit: UnitOfWork, view: View, execution: Execution, feedback: str) -> Task:
    """Queue another execution of a completed task, by its agent or one with room of the same executor."""
    engine = unit.acting_as(ENGINE)
    if not is_clear(view.workspace):
        reason = "it has just completed, and its worktree is about to be removed"
        raise InvalidInput(field="task", reason=reason, remedy="try again")
    task = await unit.handle(view.task.id, ReopenTask(feedback=feedback))
    agent = view.agent
    if agent is None or not agent.room:
        agent = await Placement(core).agent_with(unit, execution.executor)
        task = await unit.handle(task.id, AssignTask(agent_id=agent.id, agent_type=agent.type))
    await engine.handle(agent.id, TakeTask(task_id=task.id))
    view = attrs.evolve(view, task=task, agent=agent, approval=None)
    name = "plan_follow_up" if view.planning else "follow_up"
    return await runtime.continue_with(core.runtime, engine, view, name, feedback, proposal="")
