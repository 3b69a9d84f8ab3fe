"""Schedule: the queue and the pool, kept up to date one change at a time, and the next task for an agent. Pure.

    schedule = Schedule()
    schedule.put(task, now)
    schedule.set_agent(agent)
    while (chosen := schedule.take(now)) is not None:
        ...

The same tasks and agents, put in the same order at the same times, always give the same assignments, unless agents are
sampled.

Invariants:

- No agent is given more tasks than it has room for.
- If a task and an agent that suits it and has room are there, `take` returns an assignment.
- A decision looks at one task of each kind of needs, and at the agents with room; never at the whole queue.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from aura_contracts.ids import AgentId, TaskId
from aura_contracts.task import Selection
from aura_engine.record.acceptance import Posterior
from aura_engine.scheduling.queue import Queue
from aura_engine.scheduling.selection import Draw, choose_agent
from aura_engine.scheduling.values import Needs, PoolAgent, WaitingTask


class Allocation(NamedTuple):
    """A task for an agent."""

    task: WaitingTask
    agent_id: AgentId
    executor: str
    selection: Selection


class Schedule:
    """The tasks that wait and the agents that have room."""

    def __init__(self, draw: Draw | None = None) -> None:
        """`draw` returns random numbers from 0 up to 1, and has agents sampled; see `choose_agent` and `samples`."""
        self._draw = draw
        self.samples: Collection[str] | None = None
        """The projects for whose tasks agents are sampled; None: for all tasks."""
        self._queues: dict[Needs, Queue] = {}
        """Without empty ones."""
        self._needs: dict[TaskId, Needs] = {}
        self._free: dict[AgentId, PoolAgent] = {}
        """The agents with room."""
        self._waiting: Counter[str] = Counter()
        """How many tasks of each group wait."""
        self._turns: dict[str, int] = {}
        """When each group with a waiting task was last served, or came: the number of tasks served by then."""
        self._served = 0
        self._expected: Callable[[PoolAgent], Posterior] | None = None
        self.verdicts = 0
        """How many answers of humans choices look at."""
        self.verdicts_until = 0
        """The position of the log up to which these are all; choices are recorded with it."""

    def __len__(self) -> int:
        return len(self._needs)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._needs

    # --- Changes ------------------------------------------------------------------------------------------------------

    def put(self, task: WaitingTask, now: float) -> None:
        """Add a task, or replace it."""
        self.remove(task.id, now)
        self._waiting[task.group] += 1
        self._turns.setdefault(task.group, self._served)
        self._needs[task.id] = task.needs
        self._queues.setdefault(task.needs, Queue(self._turns)).put(task, now)

    def remove(self, task_id: TaskId, now: float) -> WaitingTask | None:
        """Remove a task and return it; None if it is not there."""
        needs = self._needs.pop(task_id, None)
        if needs is None:
            return None
        queue = self._queues[needs]
        task = queue.remove(task_id, now)
        if not queue:
            del self._queues[needs]
        self._waiting[task.group] -= 1
        if not self._waiting[task.group]:
            del self._waiting[task.group], self._turns[task.group]
        return task

    def set_agent(self, agent: PoolAgent) -> None:
        """Add an agent, or replace its figures."""
        self._free.pop(agent.id, None)
        if agent.room:
            judged = agent if self._expected is None else replace(agent, expected=self._expected(agent))
            self._free[agent.id] = judged

    def remove_agent(self, agent_id: AgentId) -> None:
        """Remove an agent, which is disabled for example; harmless if it is not there."""
        self._free.pop(agent_id, None)

    def judge(self, expected: Callable[[PoolAgent], Posterior], verdicts: int) -> None:
        """Have choices look at what is `expected` of each agent from now on, given so many answers of humans."""
        self._expected, self.verdicts = expected, verdicts
        for agent in tuple(self._free.values()):
            self.set_agent(agent)

    # --- Decisions ----------------------------------------------------------------------------------------------------

    def take(self, now: float, *, without: Collection[str] = ()) -> Allocation | None:
        """Return the next task with its agent, which are then assigned; None if no agent with room suits any task.

        `without` are executors whose agents get nothing at the moment.
        """
        free = [agent for agent in self._free.values() if agent.executor not in without]
        if not free:
            return None
        firsts = ((needs, queue.first(now)) for needs, queue in self._queues.items())
        suited = [
            (first, needs) for needs, first in firsts if first is not None and any(agent.suits(needs) for agent in free)
        ]
        if not suited:
            return None
        (_, task), needs = min(suited, key=lambda each: each[0][0])
        suitable = [agent for agent in free if agent.suits(needs)]
        draw = self._draw if self.samples is None or task.project in self.samples else None
        agent, selection = choose_agent(suitable, draw, verdicts_until=self.verdicts_until)
        self._serve(task, now)
        self.set_agent(replace(agent, tasks=agent.tasks + 1))
        return Allocation(task, agent.id, agent.executor, selection)

    def line(self, now: float) -> Iterator[WaitingTask]:
        """Yield all tasks in the order in which they would begin if each found an agent. Empties the schedule."""
        while self._queues:
            firsts = (first for queue in self._queues.values() if (first := queue.first(now)) is not None)
            _, task = min(firsts, key=lambda each: each[0])
            self._serve(task, now)
            yield task

    def _serve(self, task: WaitingTask, now: float) -> None:
        self.remove(task.id, now)
        self._served += 1
        if task.group in self._turns:
            self._turns[task.group] = self._served
