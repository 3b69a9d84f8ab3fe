"""Scheduling: which task is given to which agent next, with 200 agents, while the queue grows from 1,000 tasks on.

A decision is all that an engine does when an agent becomes free: the agent's new figures, the choice of the task and of
the agent, and another task for the one that left. It takes less than 1 ms, and depends little on the length of the
queue: the reference is the same decision with 1,000 tasks.
"""

import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from aura_contracts.ids import AgentId, TaskId
from aura_contracts.task import AGENT_TYPES, Priority
from aura_engine.scheduling import Needs, PoolAgent, Schedule, WaitingTask
from benchmarks._report import Row, main

AGENTS = 200
SIZES = (1_000, 10_000, 100_000)
DECISIONS = 2_000
GROUPS = 50
LIMIT_MICROSECONDS = 1_000
FLATNESS = 5
"""How much longer a decision may take with 100,000 tasks: memory caches hold less of them."""

START = datetime(2026, 1, 4, tzinfo=UTC)
NOW = START.timestamp()


def measure() -> Iterator[Row]:
    medians = {size: _median(size) for size in SIZES}
    for size, median in medians.items():
        yield Row(f"{size:,} tasks", median, "µs", "1 ms", median / LIMIT_MICROSECONDS, 1, ceiling=True)
    yield Row(
        f"{SIZES[-1]:,} tasks",
        medians[SIZES[-1]],
        "µs",
        "1,000 tasks",
        medians[SIZES[-1]] / medians[SIZES[0]],
        FLATNESS,
        ceiling=True,
    )


def _median(size: int) -> float:
    """Return the median microseconds of a decision with a queue of this length."""
    chance, schedule, agents = random.Random(size), Schedule(), [_agent(number) for number in range(AGENTS)]
    for number in range(size):
        schedule.put(_task(number, chance), NOW)
    for agent in agents:
        schedule.set_agent(agent)
    busy = []
    while (chosen := schedule.take(NOW)) is not None:
        busy.append(chosen.agent_id)
    by_id, times = {agent.id: agent for agent in agents}, list[float]()
    for number in range(DECISIONS):
        now = NOW + number * 0.1
        free = replace(by_id[busy.pop(chance.randrange(len(busy)))], tasks=0)
        task = _task(size + number, chance, now)
        began = time.perf_counter()
        schedule.set_agent(free)
        schedule.put(task, now)
        chosen = schedule.take(now)
        times.append(time.perf_counter() - began)
        assert chosen is not None, "the queue holds tasks for every agent"
        busy.append(chosen.agent_id)
    return statistics.median(times) * 1e6


def _agent(number: int) -> PoolAgent:
    capabilities = frozenset({"python"} if number // len(AGENT_TYPES) % 2 else {"python", "sql"})
    registered_at = START + timedelta(seconds=number)
    kind = AGENT_TYPES[number % len(AGENT_TYPES)]
    return PoolAgent(
        id=AgentId(f"agent-{number:03}"), type=kind, capabilities=capabilities, registered_at=registered_at
    )


def _task(number: int, chance: random.Random, since: float = NOW) -> WaitingTask:
    """Return a task; half of all are parts of one huge batch."""
    capabilities = frozenset({"sql"} if chance.random() < 0.3 else ())
    return WaitingTask(
        id=TaskId(f"task-{number:06}"),
        needs=Needs(chance.choice(AGENT_TYPES), capabilities),
        priority=chance.choice(tuple(Priority)),
        since=since - chance.random() * 60,
        group="batch" if chance.random() < 0.5 else f"group-{chance.randrange(GROUPS)}",
    )


if __name__ == "__main__":
    main("Decisions of the schedule", measure)
