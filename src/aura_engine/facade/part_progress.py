"""Part progress: whether the parts of a split task can continue, or all of them wait until a human acts.

A part continues if it works, or will as soon as an agent is free or another part completes. It does not if a human is
asked about it, if it has failed, if it is in the backlog, or if no agent of the pool suits it; nor if it waits for one
that does not.
"""

from collections.abc import Sequence

from aura_contracts.agent import AgentStatus
from aura_contracts.ports.read_models import LIMIT, AgentQuery
from aura_contracts.task import TASK, Task, TaskStatus
from aura_engine.facade.core import Core
from aura_engine.facade.task_trees import parts_of
from aura_engine.scheduling import Needs, PoolAgent


async def can_continue(core: Core, whole: Task) -> bool:
    """Whether any part of a task continues without a human."""
    parts = [part for part in await parts_of(core.bus.get, whole) if not (part.ended or part.decomposed)]
    agents = await _agents(core) if any(part.pooled for part in parts) else []
    return any([await _continues(core, part, agents) for part in parts])


async def _continues(core: Core, part: Task, agents: Sequence[PoolAgent]) -> bool:
    if part.pooled:
        assert part.request is not None, "it asks something of the pool"
        needs = Needs.of(part.request)
        return not await _is_held_up(core, part) and any(agent.suits(needs) for agent in agents)
    if part.execution_id is None or await _is_held_up(core, part):
        return False
    return not await core.pending(part.id)


async def _is_held_up(core: Core, part: Task) -> bool:
    """Whether it waits for a task that has not completed; whether that one continues is asked about that one."""
    before = [await core.bus.get(TASK, task_id) for task_id in part.after if task_id not in part.dependencies_ended]
    return any(task is not None and task.status is not TaskStatus.COMPLETED for task in before)


async def _agents(core: Core) -> list[PoolAgent]:
    rows = core.reads.rows(AgentQuery(ad_hoc=False, limit=LIMIT))
    return [PoolAgent.of(agent) async for agent in rows if agent.status is not AgentStatus.DISABLED]
