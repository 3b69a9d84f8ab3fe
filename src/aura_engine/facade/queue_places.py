"""Queue places: the tasks that wait for an agent of the pool, which place each has, and what it waits for."""

from collections.abc import Iterable, Sequence

import msgspec

from aura_contracts.agent import Agent, AgentStatus
from aura_contracts.ids import TaskId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import LIMIT, AgentQuery, TaskQuery
from aura_contracts.task import Task
from aura_engine.facade.core import Core
from aura_engine.scheduling import Needs, PoolAgent, Schedule, WaitingTask


class QueuePlace(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A task that waits for an agent of the pool."""

    task_id: TaskId
    place: int | None
    """From 1, among all tasks that could begin; None for one that could not."""
    reason: str
    """What it waits for."""


async def places(core: Core) -> Sequence[QueuePlace]:
    """Return the tasks of the queue in the order in which they go first; those that cannot begin yet come last."""
    agents = [agent async for agent in core.reads.rows(AgentQuery(ad_hoc=False, limit=LIMIT))]
    waiting, held_up = list[Task](), list[QueuePlace]()
    async for task in core.reads.rows(TaskQuery(pooled=True, descending=False, limit=LIMIT)):
        unmet = (await core.view(task.id)).unmet if task.after else ()
        if not unmet:
            waiting.append(task)
        else:
            reason = f"it waits for task {unmet[0].id}, which is {unmet[0].status}"
            held_up.append(QueuePlace(task_id=task.id, place=None, reason=reason))
    return [*_in_line(waiting, agents, core.bus.clock().timestamp()), *held_up]


def _in_line(tasks: Iterable[Task], agents: Sequence[Agent], now: float) -> Iterable[QueuePlace]:
    schedule, reasons = Schedule(), dict[Needs, str]()
    for task in tasks:
        schedule.put(WaitingTask.of(task), now)
    for place, waiting in enumerate(schedule.line(now), 1):
        if waiting.needs not in reasons:
            reasons[waiting.needs] = _reason(waiting.needs, agents)
        yield QueuePlace(task_id=waiting.id, place=place, reason=reasons[waiting.needs])


def _reason(needs: Needs, agents: Sequence[Agent]) -> str:
    suitable = [agent for agent in agents if PoolAgent.of(agent).suits(needs)]
    enabled = [agent for agent in suitable if agent.status is not AgentStatus.DISABLED]
    if not suitable:
        return f"no agent of the pool {_described(needs)}; add one: aura agent add"
    if not enabled:
        return f"{_all(suitable)} disabled: aura agent enable"
    if any(agent.room for agent in enabled):
        return "an agent is free, but no engine works on the queue: aura task resume"
    return f"{_all(enabled)} busy"


def _all(agents: Sequence[Agent]) -> str:
    return f"all {len(agents)} agents that suit it are" if len(agents) > 1 else f"{agents[0].name}, which suits it, is"


def _described(needs: Needs) -> str:
    wanted = [] if needs.agent_type is None else [f"is a {needs.agent_type}"]
    wanted += [f"can do {', '.join(sorted(needs.capabilities))}"] if needs.capabilities else []
    return " and ".join(wanted) or "is there"
