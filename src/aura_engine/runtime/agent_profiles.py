"""Agent profiles: how an agent's own settings and those of a run are combined. A run's settings win."""

from typing import Any

from msgspec.structs import replace

from aura_contracts.agent import Agent, AgentSpec
from aura_contracts.execution import Execution
from aura_contracts.permission import PermissionRules
from aura_contracts.run_plan import OUTPUT_LIMIT, RunPlan
from aura_contracts.task import Task
from aura_engine.runtime.attempts import queue
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.task_project import project_named
from aura_engine.unit_of_work import UnitOfWork


def options_of(agent: AgentSpec) -> dict[str, Any]:
    """Return the executor's options that an agent sets, its model among them."""
    return ({"model": agent.model} if agent.model else {}) | agent.options


def plan_of(agent: AgentSpec, plan: RunPlan) -> RunPlan:
    """Return the plan of a run by an agent: with the agent's options, rules and limits where the run sets none."""
    given, limits, rules = plan.permissions, agent.limits, agent.permissions
    output_limit = limits.output_limit if plan.output_limit == OUTPUT_LIMIT else None
    return replace(
        plan,
        options={**options_of(agent), **plan.options},
        timeout=limits.timeout if plan.timeout is None else plan.timeout,
        idle_timeout=limits.idle_timeout if plan.idle_timeout is None else plan.idle_timeout,
        output_limit=plan.output_limit if output_limit is None else output_limit,
        permissions=PermissionRules(
            allow=tuple(dict.fromkeys((*given.allow, *rules.allow))),
            deny=tuple(dict.fromkeys((*given.deny, *rules.deny))),
        ),
    )


def prompt_of(agent: AgentSpec, prompt: str) -> str:
    """Return the first prompt of a run: the agent's own instructions, then the task."""
    return f"{agent.prompt.rstrip()}\n\n{prompt}" if agent.prompt.strip() else prompt


async def queue_first(
    runtime: Runtime,
    unit: UnitOfWork,
    task: Task,
    agent: Agent,
    prompt: str,
    plan: RunPlan,
    *,
    session_id: str | None = None,
    variant: str | None = None,
    replacing: Execution | None = None,
) -> Task:
    """Add to `unit` the first execution of a task by its agent, with the agent's profile; return the updated task.

    It may be `replacing` one at work, see `queue`.
    """
    variant = variant or agent.variant or None
    plan = plan_of(agent, plan)
    options = (await runtime.profiles.load()).options(agent.executor, variant, plan.options)
    plan = replace(plan, options=options)
    prompt = prompt_of(agent, prompt)
    project = await project_named(runtime, task.project)
    is_command = prompt.startswith("/")  # whose arguments the documents would become
    documents = () if project is None or is_command else project.documents
    about: Any = {"session_id": session_id, "variant": variant, "replacing": replacing, "documents": documents}
    return await queue(runtime, unit, task, agent, prompt, plan, **about)
