"""Attempts: the executions of a task, queued for the first time or to continue where another one ended."""

from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.agent import Agent
from aura_contracts.aggregate import part_of
from aura_contracts.execution import Execution, ExecutionSpec, QueueExecution, RunPlan
from aura_contracts.ids import ExecutionId
from aura_contracts.task import StartExecution, Task
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.views import workspace_of
from aura_engine.unit_of_work import UnitOfWork


async def queue(
    runtime: Runtime,
    unit: UnitOfWork,
    task: Task,
    agent: Agent,
    prompt: str,
    plan: RunPlan,
    *,
    session_id: str | None = None,
    variant: str | None = None,
) -> Task:
    """Add to `unit` a new execution of the task by its agent; return the updated task."""
    spec = ExecutionSpec(
        task_id=task.id,
        executor=agent.executor,
        prompt=prompt,
        variant=variant,
        agent_id=agent.id,
        agent_type=agent.type,
        workspace_id=workspace_of(task.id),
        session_id=session_id,
        retry=task.retry,
        plan=plan,
    )
    return await _queue(runtime, unit, spec)


async def _queue(runtime: Runtime, unit: UnitOfWork, spec: ExecutionSpec) -> Task:
    execution_id = ExecutionId(runtime.bus.ids())
    await unit.handle(execution_id, QueueExecution(execution_id=execution_id, spec=spec))
    return await unit.acting_as(ENGINE).handle(spec.task_id, StartExecution(execution_id=execution_id))


async def requeue(runtime: Runtime, unit: UnitOfWork, task: Task, execution: Execution) -> Task:
    """Add to `unit` a new execution that continues where `execution` ended; return the updated task."""
    session_id, plan = continuation_of(execution)
    prompt = execution.prompt
    if session_id is not None:
        prompt = await runtime.prompts.make("resume", task, plan.variables, prompt=execution.prompt)
    spec = replace(part_of(execution, ExecutionSpec), prompt=prompt, session_id=session_id, plan=plan)
    return await _queue(runtime, unit, spec)


def continuation_of(execution: Execution) -> tuple[str | None, RunPlan]:
    """Return the session and the plan of an execution that continues where `execution` ended.

    If it ended between two sessions, this is the lost one: it is lost again, and replayed again. The copy of a forked
    session must still be made, unless the agent has reported a session of its own.
    """
    own = execution.session_id is not None and not execution.fork
    plan = replace(execution.plan, fork=execution.plan.fork and not own)
    return execution.session_id or execution.dropped_session_id, plan
