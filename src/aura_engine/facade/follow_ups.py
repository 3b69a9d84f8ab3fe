"""Follow-ups: has an agent begin or continue: at work, in review, after its task has completed, or after a failure."""

import attrs

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.agent import TakeTask
from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Execution, ExecutionStatus, QueueMessage
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import AssignTask, ReopenTask, RetryTask, Task, TaskStatus
from aura_engine import runtime
from aura_engine.decisions import require_concern
from aura_engine.facade.core import Core, is_clear
from aura_engine.facade.placement import Placement
from aura_engine.facade.revert_tasks import require_only_revert
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork


async def execute_task(core: Core, unit: UnitOfWork, view: View, actor: Actor) -> Task:
    """Add to `unit` that the assigned agent works on the task, unless it does; return the updated task.

    Raises `InvalidInput` for a task without an agent or a workspace.
    """
    if view.agent is None or view.workspace is None:
        remedy = "assign the task, and create it with a repository"
        raise InvalidInput(field="task", reason="it has no agent or no workspace", remedy=remedy)
    require_concern(view.task, actor, "execute")
    if view.worked_on:
        return view.task
    if view.execution is not None:
        return await runtime.requeue(core.runtime, unit.acting_as(ENGINE), view.task, view.execution)
    prompt = await runtime.first_prompt(core.runtime, view, RunPlan(), view.agent.executor)
    return await runtime.queue_first(core.runtime, unit, view.task, view.agent, prompt, RunPlan())


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


async def tell_agent(unit: UnitOfWork, view: View, message_id: str, text: str) -> Task:
    """Add to `unit` a message to the agent at work. Raises `InvalidInput` if none works on the task."""
    execution, asked = view.execution, view.approval
    if execution is None or execution.final or execution.status is ExecutionStatus.REVIEW:
        reason = f"no agent works on it: it is {view.task.status}"
        follow = f"tasks.follow_up({view.task.id!r}, 'TEXT')"
        waits = asked is not None and asked.status is ApprovalStatus.PENDING
        remedy = f"answer approval {asked.id}, or use {follow}" if asked is not None and waits else follow
        raise InvalidInput(field="task", reason=reason, remedy=remedy)
    await unit.handle(execution.id, QueueMessage(message_id=message_id, text=text))
    return view.task


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


async def retry_task(core: Core, unit: UnitOfWork, view: View, actor: Actor) -> Task:
    """Add to `unit` that the agent tries again, or one with room of the same executor; return the updated task.

    Raises `InvalidInput` for a revert after which another one of the same task was made.
    """
    await require_only_revert(unit, view.task)
    engine = unit.acting_as(ENGINE)
    if view.task.status is not TaskStatus.FAILED and view.task.retry_at is not None and view.execution:
        require_concern(view.task, actor, "retry")
        return await runtime.requeue(core.runtime, engine, view.task, view.execution)  # now, not later
    task = await unit.handle(view.task.id, RetryTask())
    agent = view.agent
    if agent is not None and view.execution is not None and not (agent.has(task.id) or agent.room):
        agent = await Placement(core).agent_with(unit, view.execution.executor)
        task = await unit.handle(task.id, AssignTask(agent_id=agent.id, agent_type=agent.type))
    if agent is not None and (agent.has(task.id) or agent.room):
        await unit.handle(agent.id, TakeTask(task_id=task.id))
    return task if view.execution is None else await runtime.requeue(core.runtime, engine, task, view.execution)
