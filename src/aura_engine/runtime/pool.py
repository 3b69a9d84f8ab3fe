"""Pool: gives the tasks of the queue to agents, as soon as one that suits is free.

The log is the queue: a task that waits is `pooled`, and an agent has what it has taken. This engine keeps a `Schedule`
of both, brings it up to date with what the log tells, and records one assignment after another.

Invariants:

- An assignment is recorded in one unit of work with the versions of task and agent that it was decided on. If another
  engine was faster, nothing is recorded, both are read again, and the next decision follows: no one sees an error.
- No wake-up is lost: a record marks what it changes before it wakes the pool, and a round begins to listen for the next
  before it reads all that is marked. The follower's tail, which delivers the records, begins before the first read.
- An engine works on the tasks that it waits for; with `drive_all`, on all. It leaves an agent to a task of another
  engine if that task is first, but not for longer than `COURTESY`: that engine may be gone.
- Rounds take turns, so an agent is given one slot for one task.
- A task that this engine waits for and that another engine has given to an agent is taken on like any other: driven, or
  taken over when that engine stops.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

import anyio
import attrs
from anyio.abc import TaskGroup
from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AGENT, Agent, AgentStatus
from aura_contracts.approval import APPROVAL
from aura_contracts.errors import AuraError, CommandRefused, Recovery, UnknownExecutor, VersionConflict
from aura_contracts.events import Event, EventRecord
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, TaskId
from aura_contracts.lock_table import LOCK_TABLE, LockClaim
from aura_contracts.ports.read_models import LIMIT, AgentQuery, ProjectQuery, TaskQuery
from aura_contracts.project import PROJECT
from aura_contracts.task import (
    TASK,
    DependencyEnded,
    FailTask,
    Task,
    TaskAssigned,
    TaskEdited,
    TaskQueued,
    TaskReparented,
    TaskUnassigned,
    TaskUnqueued,
)
from aura_engine.runtime.assignments import Assignments
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.courtesy import Courtesy
from aura_engine.runtime.dependencies import Dependents, end_dependency
from aura_engine.runtime.drivers import Drivers
from aura_engine.runtime.failures import failure_from_error
from aura_engine.runtime.lock_places import Standing
from aura_engine.runtime.lock_waits import LockWaits, Overtaken, PlaceNeeded
from aura_engine.runtime.pages import parts_of, tasks_of
from aura_engine.runtime.views import load_view
from aura_engine.scheduling import Allocation, PoolAgent, Schedule, WaitingTask

_LOG = logging.getLogger(__name__)

_PAUSE = 1.0
"""Seconds before a round is repeated that failed, for example because the store is away."""

_REFUSALS = 3
"""Times in a row that an assignment is refused before the task fails with the reason."""

_CHANGES: frozenset[type[Event]] = frozenset(
    {
        TaskQueued,
        TaskUnqueued,
        TaskUnassigned,
        TaskAssigned,
        TaskEdited,
        TaskReparented,
        DependencyEnded,
        *TASK.endings,
    }
)
"""The events of a task that change the queue, or what waits for the task. One that is created waits for nothing yet."""

_OF_AGENTS, _OF_PROJECTS = frozenset(AGENT.events), frozenset(PROJECT.events)
_OF_LOCK_TABLES, _OF_APPROVALS = frozenset(LOCK_TABLE.events), frozenset(APPROVAL.events)


@attrs.define(eq=False)
class Pool:
    """The queue, as this engine works on it. Belongs to one event loop."""

    _runtime: Runtime
    _drivers: Drivers
    _require_open: Callable[[], TaskGroup]
    """Returns the group for background work, or raises `EngineClosed`."""
    _all: bool
    """Whether this engine works on every task of the queue."""
    _mine: set[TaskId] = attrs.field(factory=set)
    """The tasks that this engine waits for."""
    _schedule: Schedule | None = None
    """None while no round has looked yet."""
    _stale_tasks: set[TaskId] = attrs.field(factory=set)
    _stale_agents: set[AgentId] = attrs.field(factory=set)
    _dependents: Dependents = attrs.field(factory=Dependents)
    """The tasks of the queue that cannot begin yet."""
    lock_waits: LockWaits = attrs.field(init=False)
    _assignments: Assignments = attrs.field(init=False)
    _courtesy: Courtesy = attrs.field(factory=Courtesy)
    _unable: set[str] = attrs.field(factory=set)
    """Executors that this engine does not have: their agents get tasks from other engines."""
    _projects_changed: bool = True
    _refusals: dict[TaskId, int] = attrs.field(factory=dict)
    _changed: anyio.Event = attrs.field(factory=anyio.Event)
    _turn: anyio.Lock = attrs.field(factory=anyio.Lock)
    _works: bool = False

    def __attrs_post_init__(self) -> None:
        self.lock_waits = LockWaits(self._runtime, self._drivers.watch, self._is_ours)
        self._assignments = Assignments(self._runtime, self._drivers, self.lock_waits)

    # --- What happens -------------------------------------------------------------------------------------------------

    def on_record(self, record: EventRecord) -> None:
        """Note what an event of the log changes."""
        event = record.event
        kind = type(event)
        if kind in _OF_AGENTS:
            self._stale_agents.add(AgentId(record.stream_id))
        elif kind in _CHANGES:
            task_id = TaskId(record.stream_id)
            self._courtesy.renew(task_id)
            self._stale_tasks |= {task_id, *self._dependents.pop(task_id)}
        elif kind in _OF_PROJECTS:
            self._projects_changed = True
            return  # where agents are sampled, tasks that wait for one wait on
        elif kind in _OF_LOCK_TABLES:
            self._stale_tasks |= {*self.lock_waits.on_change()}
        elif kind in _OF_APPROVALS and (asking := self.lock_waits.on_question(record.stream_id)):
            self._stale_tasks |= {*asking}
        else:
            return
        if self._works:
            self.wake()
        else:
            self._forget()

    def wake(self) -> None:
        """Have the pool look again: something was recorded, or a slot is free."""
        self._changed.set()

    @property
    def waiting(self) -> frozenset[TaskId]:
        """The tasks for which this engine waits for an agent."""
        return frozenset(self._mine)

    async def keeps_place(self, claim: LockClaim) -> bool:
        """Whether this engine keeps the place of a task of the queue, or takes it on from one that is gone."""
        return self._is_ours(claim.task_id) and await self.lock_waits.takes_on(claim, self._unable)

    async def wait_for(self, task_id: TaskId) -> None:
        """Work on the queue until the task has an agent. Returns after the first round: it may have one by then."""
        self._mine.add(task_id)
        self._stale_tasks.add(task_id)
        self.start()
        await self._round_or_pause()
        self.wake()  # an agent may have been left to another engine in this round, and only `_work` waits for the end

    async def assign_once(self, task_id: TaskId) -> None:
        """Give the task to an agent if one is free for it now, without working on the queue any further."""
        self._forget()
        self._mine.add(task_id)
        self.lock_waits.takes_places = False
        try:
            async with self._turn:
                await self._round()
        finally:
            self.lock_waits.takes_places = True
            self._mine.discard(task_id)
            self._forget()

    def serve_all(self) -> None:
        """Work on every task of the queue from now on."""
        self._all = True
        self._forget()

    def start(self) -> None:
        """Work on the queue for as long as this engine waits for a task in it, or with `drive_all` until it closes."""
        if not self._works and (self._all or self._mine):
            self._require_open().start_soon(self._work)
            self._works = True

    async def _work(self) -> None:
        while self._all or self._mine:
            self._changed = anyio.Event()
            seconds = await self._round_or_pause()
            with anyio.move_on_after(seconds):
                await self._changed.wait()
        self._works = False
        self._forget()

    def _forget(self) -> None:
        """Drop what is not kept up to date any more; the next round reads it again."""
        self._schedule = None
        for kept in (self._stale_tasks, self._stale_agents, self._dependents, self._courtesy):
            kept.clear()
        self.lock_waits.on_change()

    # --- Rounds -------------------------------------------------------------------------------------------------------

    async def _round_or_pause(self) -> float | None:
        """Make all possible assignments; return the seconds until the next look, None: when something happens."""
        try:
            async with self._turn:
                return await self._round()
        except AuraError as error:
            _LOG.warning("the queue cannot be worked on yet: %s", error)
        except Exception:  # noqa: BLE001 - a bug: the engine and its drivers continue
            _LOG.exception("the queue cannot be worked on")
        return _PAUSE

    async def _round(self) -> float | None:
        now = self._now()
        for task_id in self._courtesy.ended(now):  # passed over until it changes
            self._take_back(task_id)
        self._stale_tasks |= {*self.lock_waits.aged(now)}
        schedule = await self._current()
        while self._runtime.slots.has_room():
            chosen = schedule.take(now, without=self._runtime.slots.full | self._unable)
            if chosen is None:
                break
            task_id = chosen.task.id
            if self._is_ours(task_id):
                await self._give(chosen)
                schedule = await self._current()
            else:
                self._courtesy.leave(chosen, now)
        await self.lock_waits.give_up_unreachable(self._unable)
        pauses = (self._courtesy.pause(now), self.lock_waits.pause(now))
        return min((seconds for seconds in pauses if seconds is not None), default=None)

    def _take_back(self, task_id: TaskId) -> None:
        """Leave the task no agent any more; what the agent has by now is read again."""
        agent_id = self._courtesy.end(task_id)
        if agent_id is not None:
            self._stale_agents.add(agent_id)

    async def _give(self, chosen: Allocation) -> None:
        """Record an assignment and begin the work; if that cannot be, have both read again, or fail the task."""
        task_id, given = chosen.task.id, False
        try:
            await self._assignments.record(chosen)
            given = True
        except (Overtaken, VersionConflict) as error:
            if isinstance(error, PlaceNeeded):
                await self._drivers.keep_places()
                await self.lock_waits.take_place(task_id)
            self._stale_tasks |= {*self.lock_waits.on_change()}
        except UnknownExecutor as error:
            self._unable.add(error.name)
        except CommandRefused as error:
            self._refusals[task_id] = self._refusals.get(task_id, 0) + 1
            if self._refusals[task_id] >= _REFUSALS:
                await self._fail(task_id, failure_from_error(error))
        except AuraError as error:
            if error.recovery is Recovery.LATER:
                raise
            await self._fail(task_id, failure_from_error(error))
        else:
            self._mine.discard(task_id)
            self._refusals.pop(task_id, None)
            self.lock_waits.forget(task_id)
            self._drivers.notify()
        finally:
            if not given:  # if it was, what was marked meanwhile stays marked
                self._stale_tasks.add(task_id)
                self._stale_agents.add(chosen.agent_id)

    async def _fail(self, task_id: TaskId, failure: Failure) -> None:
        """Fail a task that no agent can be given."""
        self._refusals.pop(task_id, None)
        try:
            await self._runtime.bus.handle(ENGINE, task_id, FailTask(failure=failure))
        except CommandRefused as error:
            _LOG.debug("task %s is not failed: %s", task_id, error)

    # --- Keeping up with the log --------------------------------------------------------------------------------------

    async def _current(self) -> Schedule:
        """Return the schedule with all that is known to have changed read again."""
        if self._schedule is None:
            self._stale_tasks.clear()
            self._stale_agents.clear()
            schedule = Schedule(self._runtime.random)
            self._projects_changed = True
            async for agent in self._runtime.reads.rows(AgentQuery(ad_hoc=False, limit=LIMIT)):
                if agent.status is not AgentStatus.DISABLED:
                    schedule.set_agent(PoolAgent.of(agent))
            rows = self._runtime.reads.rows(TaskQuery(pooled=True, descending=False, limit=LIMIT))
            for task in [task async for task in rows]:
                await self._enter(schedule, task)
            self._schedule = schedule
            self._let_go(await tasks_of(self._runtime.reads, self._mine))
        while self._stale_tasks or self._stale_agents:
            await self._catch_up(self._schedule)
        await self._judge(self._schedule)
        return self._schedule

    async def _judge(self, schedule: Schedule) -> None:
        """Have choices look at all answers of humans by now, about any agent and given to any engine."""
        verdicts = await self._runtime.tally.current()
        if verdicts.of_changes != schedule.verdicts:
            schedule.judge(lambda agent: verdicts.expected(agent.assessed), verdicts.of_changes)
        schedule.verdicts_until = verdicts.position
        if self._projects_changed and not self._runtime.samples_agents:
            rows = self._runtime.reads.rows(ProjectQuery(limit=LIMIT))
            self._projects_changed = False  # before they are read, or a change meanwhile would go unnoticed
            schedule.samples = {project.name async for project in rows if project.sample_agents}

    async def _catch_up(self, schedule: Schedule) -> None:
        tasks, self._stale_tasks = self._stale_tasks, set()
        for task_id in tasks:
            self._take_back(task_id)
        agents, self._stale_agents = self._stale_agents, set()
        try:
            for part in parts_of(agents):
                for agent in (await self._runtime.reads.list(AgentQuery(id=part, limit=LIMIT))).rows:
                    if agent.ad_hoc or agent.status is AgentStatus.DISABLED:
                        schedule.remove_agent(agent.id)
                    else:
                        schedule.set_agent(self._figures(agent))
            found = await tasks_of(self._runtime.reads, tasks)
            for task in found:
                await self._enter(schedule, task)
            self._let_go(found)
        except BaseException:
            self._stale_tasks |= tasks
            self._stale_agents |= agents
            raise

    def _figures(self, agent: Agent) -> PoolAgent:
        """Return the figures of an agent; what is left to it counts as taken."""
        figures = PoolAgent.of(agent)
        return replace(figures, tasks=figures.tasks + self._courtesy.left_to(agent.id))

    def _let_go(self, tasks: Iterable[Task]) -> None:
        """Wait no longer for tasks that have left the queue; take on those that another engine has begun."""
        for task in tasks:
            if task.id in self._mine and not task.pooled:
                self._mine.discard(task.id)
                if task.execution_id is not None and not task.ended:
                    self._require_open().start_soon(self._drivers.take_on_started, task.id)
                self._drivers.notify()

    async def _enter(self, schedule: Schedule, task: Task) -> None:
        """Put a task into the schedule if it could begin now, and remove it otherwise."""
        now = self._now()
        schedule.remove(task.id, now)
        self.lock_waits.forget(task.id)
        if not task.pooled:
            return
        if task.after and await self._unmet(task):
            if task.needs_locks:  # or what it waits for may wait for them
                await self.lock_waits.give_up(task.id, "it waits for others")
            return
        standing = await self.lock_waits.standing(task)
        waiting = WaitingTask.of(task, has_locks=standing is Standing.HAS_LOCKS)
        if standing is not Standing.WAITS and (self._is_ours(task.id) or not self._courtesy.is_over(waiting, now)):
            schedule.put(waiting, now)

    async def _unmet(self, task: Task) -> Sequence[Task]:
        """Return what the task waits for; what the end of one of these means for it is recorded.

        Each is listened to before it is read, so that none ends unnoticed in between."""
        self._dependents.add(task.id, task.after)
        view = await load_view(self._runtime.bus, task.id)
        self._dependents.discard(task.id, set(task.after).difference(one.id for one in view.unmet))
        if view.lost_dependency is not None and self._is_ours(task.id):
            await end_dependency(self._runtime, view)
        return view.unmet

    def _is_ours(self, task_id: TaskId) -> bool:
        """Whether this engine gives the task to an agent."""
        return self._all or task_id in self._mine

    def _now(self) -> float:
        return self._runtime.bus.clock().timestamp()
