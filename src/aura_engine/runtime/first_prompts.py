"""First prompts: the instructions with which an agent begins a task."""

from aura_contracts.approval import ApprovalKind
from aura_contracts.run_plan import RunPlan
from aura_engine.decomposition_plan import PLAN_SCHEMA
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.views import View


async def first_prompt(runtime: Runtime, view: View, plan: RunPlan, executor: str) -> str:
    """Return the agent's first prompt: to split the task, to implement an approved plan, to make one, or to code."""
    prompts, approval = runtime.prompts, view.approval
    if plan.decomposes:
        return await prompts.make("decompose", view.task, plan.variables, schema=PLAN_SCHEMA)
    if approval is not None and approval.kind is ApprovalKind.PLAN and approval.granted:
        proposed = approval.proposed_solution
        return await prompts.asking("implement", view.task, plan.variables, executor, plan=proposed)
    return await prompts.asking("plan" if view.planning else "coding", view.task, plan.variables, executor)
