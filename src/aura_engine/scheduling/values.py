"""Values: the figures of tasks and agents that the schedule looks at."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Self

import msgspec

from aura_contracts.actors import ENGINE
from aura_contracts.agent import Agent
from aura_contracts.ids import AgentId, TaskId
from aura_contracts.task import PoolRequest, Priority, Task
from aura_engine.record.acceptance import Posterior
from aura_engine.record.verdicts import AssessedAgent

AGEING = 600.0
"""Seconds in the queue after which a task counts as one priority higher, up to the highest."""

TOP_LEVEL = 2

UNKNOWN = Posterior()
"""What is expected of an agent without any verdict."""

_LEVELS: Mapping[Priority, int] = MappingProxyType({Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: TOP_LEVEL})


def level_of(priority: Priority) -> int:
    """Return a priority as a number, the highest for the most urgent."""
    return _LEVELS[priority]


class Needs(msgspec.Struct, frozen=True):
    """What a task asks of its agent."""

    agent_type: str | None = None
    """None: an agent of any type."""
    capabilities: frozenset[str] = frozenset()

    @classmethod
    def of(cls, request: PoolRequest) -> Self:
        """Return the needs that a request states."""
        return cls(request.agent_type, frozenset(request.capabilities))


class WaitingTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the queue that could begin now."""

    id: TaskId
    needs: Needs = Needs()
    priority: Priority = Priority.MEDIUM
    since: float
    """When it was queued, in seconds since the epoch."""
    group: str = ""
    """The tasks of one group take turns with those of others: the parts of one task, the tasks of one workflow and
    those below it, or the tasks of one creator."""
    project: str | None = None
    has_locks: bool = False
    """Others may wait for what it has already: it goes before all that have nothing."""

    @classmethod
    def of(cls, task: Task, *, has_locks: bool = False) -> Self:
        """Return the figures of a task that is `pooled`."""
        assert task.request is not None, "it is in the queue with a request"
        return cls(
            id=task.id,
            needs=Needs.of(task.request),
            priority=task.priority,
            since=(task.queued_at or task.created_at).timestamp(),
            group=group_of(task),
            project=task.project,
            has_locks=has_locks,
        )

    @property
    def lane(self) -> tuple[str, Priority, bool]:
        """What it has in common with tasks that it stands in line with by age alone."""
        return self.group, self.priority, self.has_locks

    def level(self, now: float) -> int:
        """Return its priority as a number, its age included; one more than the highest if it has its locks."""
        if self.has_locks:
            return TOP_LEVEL + 1
        return min(_LEVELS[self.priority] + max(int((now - self.since) // AGEING), 0), TOP_LEVEL)

    def next_level_at(self, now: float) -> float | None:
        """Return when its level rises next, None if it is the highest."""
        if self.level(now) >= TOP_LEVEL:
            return None
        return self.since + AGEING * (max(int((now - self.since) // AGEING), 0) + 1)


def group_of(task: Task) -> str:
    """Return what a task takes turns with others for: see `WaitingTask.group`."""
    return task.parent_id or _workflow_of(task) or task.created_by


def _workflow_of(task: Task) -> str | None:
    """Return the outermost workflow that a task is made for; AURA makes the tasks of all of them."""
    about = task.context.get("workflow") if task.created_by == ENGINE else None
    found = (about.get("root") or about.get("id")) if isinstance(about, Mapping) else None
    return found if isinstance(found, str) else None


class PoolAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of the pool that is enabled."""

    id: AgentId
    type: str = "developer"
    capabilities: frozenset[str] = frozenset()
    executor: str = ""
    model: str = ""
    """As its profile names it."""
    capacity: int = 1
    tasks: int = 0
    """The tasks that it has."""
    registered_at: datetime
    expected: Posterior = UNKNOWN
    """The share of its work that humans approve, as far as is known."""

    @classmethod
    def of(cls, agent: Agent) -> Self:
        """Return the figures of an agent; nothing is expected of it yet."""
        return cls(
            id=agent.id,
            type=agent.type,
            capabilities=frozenset(agent.capabilities),
            executor=agent.executor,
            model=str(agent.options.get("model") or agent.model),
            capacity=agent.capacity,
            tasks=len(agent.tasks),
            registered_at=agent.created_at,
        )

    @property
    def room(self) -> int:
        """How many more tasks it takes."""
        return max(self.capacity - self.tasks, 0)

    @property
    def load(self) -> float:
        """The share of its capacity that is used."""
        return self.tasks / self.capacity

    @property
    def assessed(self) -> AssessedAgent:
        """What its record is looked up by."""
        return AssessedAgent(self.id, self.type, self.executor, self.model)

    @property
    def rank(self) -> tuple[float, float, datetime, AgentId]:
        """What agents that suit a task are compared by; the lowest gets it: load, then acceptance, then age."""
        return (self.load, -self.expected.lower, self.registered_at, self.id)

    def suits(self, needs: Needs) -> bool:
        """Whether it is of the type and has the capabilities."""
        return needs.agent_type in (None, self.type) and needs.capabilities <= self.capabilities
