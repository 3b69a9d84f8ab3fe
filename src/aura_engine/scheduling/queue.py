"""Queue: the tasks that wait for the same kind of agent, in the order in which they get one. Pure.

The task that goes first has its locks already, which others may wait for; or else the highest level: its priority,
raised by one for each `AGEING` seconds in the queue. On one level the groups take turns, the one first that was served
least recently. In a group the oldest task goes first.
So a task waits for a limited number of others, whatever comes after it, but for those that have their locks, which go
before it at any time; and a group with one task waits for one task of a group with thousands.

Invariants:

- A **lane** holds the tasks of one group and one priority that have their locks, or those that do not, oldest first;
  only the first of a lane can be next.
- Each lane that is not empty has exactly one entry in `_ranking` with its number; older entries are skipped. It never
  ranks the lane later than it should: where the group was served since, the lane is ranked again once it comes first.
  Nothing is searched, and each operation costs the logarithm of the number of lanes or tasks.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

import attrs

from aura_contracts.ids import TaskId
from aura_contracts.task import Priority
from aura_engine.scheduling.values import WaitingTask

Rank = tuple[int, int, float, TaskId]
"""Lowest first: the level, negative; the group's turn; the time in the queue; the id."""


@attrs.define(eq=False)
class Lane:
    """The tasks that have the same `WaitingTask.lane`."""

    key: tuple[str, Priority, bool]
    tasks: list[tuple[float, TaskId]] = attrs.field(factory=list)
    """A heap; it may hold tasks that have left."""
    entry: int = 0
    """The number of its valid entry in the ranking; 0: none."""


@attrs.define(eq=False)
class Queue:
    """The tasks that wait for one kind of agent. `turns` says when each group was last served, counted in tasks."""

    _turns: Mapping[str, int]
    _tasks: dict[TaskId, WaitingTask] = attrs.field(factory=dict)
    _lanes: dict[tuple[str, Priority, bool], Lane] = attrs.field(factory=dict)
    _ranking: list[tuple[Rank, int, Lane]] = attrs.field(factory=list)
    _rises: list[tuple[float, int, Lane]] = attrs.field(factory=list)
    """When the first task of a lane rises to the next level, with the entry that this is about."""
    _entries: int = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __iter__(self) -> Iterator[WaitingTask]:
        return iter(self._tasks.values())

    def put(self, task: WaitingTask, now: float) -> None:
        """Add a task that is not in the queue."""
        self._tasks[task.id] = task
        lane = self._lanes.setdefault(task.lane, Lane(task.lane))
        before = lane.tasks[0] if lane.tasks else None
        heappush(lane.tasks, (task.since, task.id))
        if lane.tasks[0] != before:
            self._rank(lane, now)

    def remove(self, task_id: TaskId, now: float) -> WaitingTask:
        """Remove a task that is in the queue; return it."""
        task = self._tasks.pop(task_id)
        lane = self._lanes[task.lane]
        if lane.tasks[0][1] == task_id:
            self._rank(lane, now)
        return task

    def first(self, now: float) -> tuple[Rank, WaitingTask] | None:
        """Return the task that goes first, with its rank; None if the queue is empty."""
        while self._rises and self._rises[0][0] <= now:
            _, entry, lane = heappop(self._rises)
            if entry == lane.entry:
                self._rank(lane, now)
        while self._ranking:
            rank, entry, lane = self._ranking[0]
            if entry == lane.entry and rank[1] == self._turns[lane.key[0]]:
                return rank, self._tasks[lane.tasks[0][1]]
            heappop(self._ranking)
            if entry == lane.entry:  # the group was served meanwhile, which ranks its other lanes later
                self._rank(lane, now)
        return None

    def _rank(self, lane: Lane, now: float) -> None:
        """Enter the lane again, or forget it if it is empty."""
        while lane.tasks and not self._holds(lane, *lane.tasks[0]):
            heappop(lane.tasks)
        self._entries += 1
        lane.entry = self._entries
        if not lane.tasks:
            del self._lanes[lane.key]
            return
        task = self._tasks[lane.tasks[0][1]]
        rank = (-task.level(now), self._turns[lane.key[0]], task.since, task.id)
        heappush(self._ranking, (rank, lane.entry, lane))
        if (rises_at := task.next_level_at(now)) is not None:
            heappush(self._rises, (rises_at, lane.entry, lane))

    def _holds(self, lane: Lane, since: float, task_id: TaskId) -> bool:
        """Whether a task of the lane's heap is still there: it may have left, and come back as another."""
        task = self._tasks.get(task_id)
        return task is not None and (task.since, task.lane) == (since, lane.key)
