"""Context: the services that steps use, with the slots of executions."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import TypedDict
from weakref import WeakValueDictionary

import anyio
import attrs

from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.approval import Level
from aura_contracts.ids import ExecutionId, TaskId, WorkspaceId
from aura_contracts.lease import RETURN_GRACE
from aura_contracts.ports.read_models import ReadModels
from aura_contracts.task import AgentType, Priority, RetryPolicy, Task, TaskSpec
from aura_engine.agent_types import AgentTypeFile
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.policy.sources import PolicySources
from aura_engine.profiles import ProfileFiles
from aura_engine.record.tally import Tally
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.prompts import Prompts
from aura_engine.unit_of_work import CommandBus


@attrs.define(eq=False)
class _Place:
    """The place in the line for slots of an execution that waits for one."""

    execution_id: ExecutionId
    executor: str
    group: str
    number: int
    served: anyio.Event = attrs.field(factory=anyio.Event)


@attrs.define
class Slots:
    """Slots for executions. An execution holds one while it works, not while it waits for a human. None: no limit.

    Groups take turns, so that one with a thousand executions does not keep others waiting until it is done; in a group
    the one that has waited longest is next.
    """

    total: int | None = None
    by_executor: Mapping[str, int] = attrs.field(factory=dict)
    _held: dict[ExecutionId, str] = attrs.field(factory=dict)
    _line: list[_Place] = attrs.field(factory=list)
    _turns: dict[str, int] = attrs.field(factory=dict)
    """When a group that waits was last served, counted in slots."""
    _served: int = 0
    _numbers: Iterator[int] = attrs.field(factory=count)
    on_freed: Callable[[], None] = lambda: None
    """Called when a slot is free again."""

    async def take(self, execution_id: ExecutionId, executor: str, group: str) -> None:
        """Wait for a free slot, and take it; returns at once if the execution has one.

        Cancelled just as it gets one, it has it: `has` says so.
        """
        if execution_id in self._held:
            return
        place = _Place(execution_id, executor, group, next(self._numbers))
        self._line.append(place)
        self._turns.setdefault(group, self._served)
        self._hand_on()
        try:
            if not place.served.is_set():
                await place.served.wait()
        finally:
            self._line = [one for one in self._line if one is not place]
            if all(one.group != group for one in self._line):
                self._turns.pop(group, None)

    def _hand_on(self) -> None:
        """Give free slots to those whose turn it is."""
        while self.has_room():
            full = self.full
            able = [one for one in self._line if one.executor not in full and not one.served.is_set()]
            if not able:
                return
            following = min(able, key=lambda one: (self._turns[one.group], one.number))
            self._served += 1
            self._turns[following.group] = self._served
            self._held[following.execution_id] = following.executor
            following.served.set()

    def has(self, execution_id: ExecutionId) -> bool:
        """Whether the execution has a slot."""
        return execution_id in self._held

    def claim(self, execution_id: ExecutionId, executor: str) -> None:
        """Take a slot for an execution that is about to begin, for which there was room."""
        self._held[execution_id] = executor

    def give_back(self, execution_id: ExecutionId) -> None:
        """Release the slot of an execution; harmless if it has none."""
        if self._held.pop(execution_id, None) is not None:
            self._hand_on()
            self.on_freed()

    def has_room(self) -> bool:
        """Whether there is a slot for one more execution of an executor that is not `full`."""
        return self.total is None or len(self._held) < self.total

    @property
    def full(self) -> frozenset[str]:
        """The executors that have as many executions as may work at once."""
        busy = Counter(self._held.values())
        return frozenset(name for name, limit in self.by_executor.items() if busy[name] >= limit)


@attrs.frozen(kw_only=True)
class Runtime:
    """The services of the engine, shared by all drivers."""

    bus: CommandBus
    reads: ReadModels
    """Lists and look-ups, as current as each query demands."""
    gateway: Gateway
    prompts: Prompts
    slots: Slots
    profiles: ProfileFiles
    agent_types: AgentTypeFile
    policies: PolicySources = attrs.field(factory=PolicySources)
    clock: WallClock
    """How long to wait for a moment."""
    tally: Tally
    """What humans decided about agents' work."""
    samples_agents: bool = False
    """Whether agents of the pool are sampled by their acceptance."""
    random: Callable[[], float]
    """From 0 up to 1; for the jitter of delays."""
    grace: float = RETURN_GRACE
    """Seconds that processes keep running when their worker is gone."""
    _copying: WeakValueDictionary[str, anyio.Lock] = attrs.field(init=False, factory=WeakValueDictionary)

    def copying(self, workspace_id: WorkspaceId) -> anyio.Lock:
        """Return the lock that is held while a safety copy of a workspace is taken and recorded."""
        return self._copying.setdefault(workspace_id, anyio.Lock())

    def delay(self, policy: RetryPolicy, attempt: int) -> float:
        """Return the seconds before attempt `attempt` + 1, see `RetryPolicy`."""
        delay = min(policy.base_delay * 2.0 ** min(attempt - 1, 60), policy.max_delay)
        return max(delay * (1 + policy.jitter * (2 * self.random() - 1)), 0.0)


def reviewers_of(task: Task) -> tuple[str, ...]:
    """Return the people who may decide about a task: its creator, if human, and its reviewers."""
    creator = (actor_name(task.created_by),) if actor_kind(task.created_by) == "human" else ()
    return tuple(dict.fromkeys((*creator, *task.reviewers)))


class ReviewTerms(TypedDict):
    """The fields of a question about the work of a task that say who decides about it."""

    reviewers: tuple[str, ...]
    quorum: int
    levels: tuple[Level, ...]
    barred: tuple[str, ...]


def review_of(task: Task, *, author: str | None = None) -> ReviewTerms:
    """Return who decides about the work of a task: its people, except those of later levels, and then those.

    `author` is a human who wrote what is proposed: no more than the requester may they decide about it alone.
    """
    own = [name for name in (task.requester, author) if name is not None]
    barred = tuple(dict.fromkeys(own)) if task.no_self_approval else ()
    others = {*barred, *(name for level in task.levels for name in level.reviewers)}
    reviewers = tuple(name for name in reviewers_of(task) if name not in others)
    return ReviewTerms(reviewers=reviewers, quorum=task.quorum, levels=task.levels, barred=barred)


def subtask_spec(
    task: Task,
    title: str,
    description: str,
    *,
    priority: Priority,
    agent_type: AgentType | None = None,
    agent_type_reason: str = "",
    after: tuple[TaskId, ...] = (),
) -> TaskSpec:
    """Return the spec of a subtask, reviewed, approved, locked and retried like `task`, and for the same human."""
    return TaskSpec(
        title=title,
        description=description,
        priority=priority,
        parent_id=task.id,
        project=task.project,
        project_reason="the task that it is a part of does" if task.project else "",
        agent_type=agent_type,
        agent_type_reason=agent_type_reason,
        after=after,
        approval_mode=task.approval_mode,
        reviewers=review_of(task)["reviewers"],
        quorum=task.quorum,
        levels=task.levels,
        no_self_approval=task.no_self_approval,
        locks=task.locks,
        locked_paths=task.locked_paths,
        on_collision=task.on_collision,
        on_behalf_of=task.requester,
        retry=task.retry,
    )


def snapshot_ref(workspace_id: WorkspaceId, number: int, distinction: str) -> str:
    """Return the hidden ref of a workspace's safety copy; `number` counts from 1.

    `distinction` keeps two engines that arrive at the same number from overwriting each other's copy.
    """
    return f"refs/aura/snapshots/{workspace_id}/{number}-{distinction}"
