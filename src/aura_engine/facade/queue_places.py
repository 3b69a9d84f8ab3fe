"""Queue places: the tasks that wait for an agent of the pool, which place each has, and what it waits for."""

from collections.abc import Iterable, Sequence

import msgspec

from aura_contracts.agent import Agent, AgentStatus
from aura_contracts.approval import ApprovalStatus
from aura_contracts.ids import TaskId
from aura_contracts.lock_table import EMPTY, LOCK_TABLE, LOCK_TABLE_ID, LockTable
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import LIMIT, AgentQuery, TaskQuery
from aura_contracts.quoting import listed
from aura_contracts.task import TASK, Task
from aura_engine import decisions, runtime
from aura_engine.facade.core import Core
from aura_engine.facade.lock_lines import undriven_text
from aura_engine.scheduling import Needs, PoolAgent, Schedule, WaitingTask

_LOCKS_NAMED = 5
"""The most locks that a reason names."""


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
    table = await core.bus.fetch(LOCK_TABLE, LOCK_TABLE_ID) or EMPTY
    held = {claim.task_id for claim in table.claims if claim.held}
    waiting, held_up = list[WaitingTask](), list[QueuePlace]()
    for task in [task async for task in core.reads.rows(TaskQuery(pooled=True, descending=False, limit=LIMIT))]:
        reason = await _obstacle(core, task, table)
        if reason is None:
            waiting.append(WaitingTask.of(task, has_locks=task.id in held))
        else:
            held_up.append(QueuePlace(task_id=task.id, place=None, reason=reason))
    return [*_in_line(waiting, agents, core.bus.clock().timestamp()), *held_up]


async def _obstacle(core: Core, task: Task, table: LockTable) -> str | None:
    """Return what keeps a task from beginning, even if an agent is free; None: nothing."""
    if not (task.after or task.needs_locks):
        return None
    view = await core.view(task.id)
    if view.unmet:
        return f"it waits for task {view.unmet[0].id}, which is {view.unmet[0].status}"
    claim = table.claim_of(task.id)
    command = runtime.request_of(task, view.locks)
    before = decisions.claims_before(table, command, core.bus.clock()) if claim is None else table.before(claim)
    if not before:
        return None
    first = next((one for one in before if one.held), before[0])
    what = listed((view.locks if claim is None else claim.locks).collisions(first.locks), _LOCKS_NAMED)
    reason = f"it waits for task {first.task_id}, which {'has' if first.held else 'goes first with'} {what}"
    if undriven := await undriven_text(core, await core.stored(TASK, first.task_id)):
        reason = f"{reason}; {undriven}"
    question = view.collision
    if question is None or question.status is not ApprovalStatus.PENDING:
        return reason
    return f"{reason}; approval {question.id} asks whether it is to wait"


def _in_line(tasks: Iterable[WaitingTask], agents: Sequence[Agent], now: float) -> Iterable[QueuePlace]:
    schedule, reasons = Schedule(), dict[Needs, str]()
    for task in tasks:
        schedule.put(task, now)
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
