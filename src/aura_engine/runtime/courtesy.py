"""Courtesy: the agents that this engine leaves to tasks of other engines for a moment, because those go first.

A task is passed over after that moment until it changes itself, or gets its locks: the lock table may change all the
time, and the engine of the task may be gone.
"""

import attrs

from aura_contracts.ids import AgentId, TaskId
from aura_engine.scheduling import Allocation, WaitingTask

COURTESY = 1.0
"""Seconds that an agent is left to a task of another engine that goes first."""


@attrs.define
class Courtesy:
    """The assignments that are left to other engines. Belongs to one event loop; times are in seconds."""

    _left: dict[TaskId, tuple[float, Allocation]] = attrs.field(factory=dict)
    """Each with the moment at which it ends."""
    _ends: dict[TaskId, tuple[float, WaitingTask]] = attrs.field(factory=dict)
    """When the time of each task ends or ended, with its figures when it began."""

    def leave(self, chosen: Allocation, now: float) -> None:
        """Leave an assignment to another engine; if its task had one before, for the rest of its time."""
        task = chosen.task
        until, known = self._ends.get(task.id, (0.0, None))
        until = until if known == task else now + COURTESY
        self._ends[task.id] = (until, task)
        self._left[task.id] = (until, chosen)

    def is_over(self, task: WaitingTask, now: float) -> bool:
        """Whether a task of another engine has had its time, and is passed over."""
        until, known = self._ends.get(task.id, (0.0, None))
        return known == task and until <= now

    def renew(self, task_id: TaskId) -> None:
        """Note that a task has changed: it is passed over no longer."""
        self._ends.pop(task_id, None)

    def end(self, task_id: TaskId) -> AgentId | None:
        """Leave a task nothing any more; return the agent that was left to it, None without one."""
        left = self._left.pop(task_id, None)
        return None if left is None else left[1].agent_id

    def ended(self, now: float) -> list[TaskId]:
        """Return the tasks of other engines that have not taken what was left to them in time."""
        return [task_id for task_id, (until, _) in self._left.items() if until <= now]

    def left_to(self, agent_id: AgentId) -> int:
        """Return how many assignments of an agent are left to other engines."""
        return sum(chosen.agent_id == agent_id for _, chosen in self._left.values())

    def pause(self, now: float) -> float | None:
        """Return how long it takes until the next one ends, None without one."""
        deadlines = [until for until, _ in self._left.values()]
        return max(min(deadlines) - now, 0.0) + 0.01 if deadlines else None

    def clear(self) -> None:
        """Leave nothing to anyone."""
        self._left.clear()
        self._ends.clear()
