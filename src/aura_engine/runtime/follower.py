"""Follower: has tasks and workflows driven, and tells their drivers what happens in the log.

Invariants:

- What is driven, and by which engine, is the business of `LockedDrivers`.
- The tail starts at the head as it was before the first driver read anything.
- Nothing starts until the first task or workflow is taken on: an engine that only answers queries follows nothing."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionLeased
from aura_contracts.ids import ExecutionId, StreamId, TaskId, WorkflowId
from aura_contracts.lock_table import LockClaim
from aura_contracts.ports.event_log import Locks
from aura_contracts.task import TASK, ExecutionStarted
from aura_contracts.workflow import StepRetried, StepSkipped, WorkflowCancelling, WorkflowResumed, WorkflowStarted
from aura_engine.permissions.delivery import Deliveries
from aura_engine.runtime.board_cards import BoardCards
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.driver import Driver
from aura_engine.runtime.locked_drivers import LockedDrivers
from aura_engine.runtime.log_tail import TAIL_PAUSE, LogTail
from aura_engine.runtime.pool import Pool
from aura_engine.runtime.queue_locks import QueueLocks
from aura_engine.runtime.session_turns import SessionTurns
from aura_engine.runtime.stranded_locks import StrandedLocks
from aura_engine.runtime.subjects import DrivenSubject, SubjectKind
from aura_engine.runtime.task_kind import TaskKind

_LOG = logging.getLogger(__name__)

_REVIVING: tuple[type[Event], ...] = (WorkflowStarted, WorkflowResumed, StepRetried, StepSkipped, WorkflowCancelling)
"""The events after which a workflow that no engine drives may have something to do."""

MakeWorkflows = Callable[["Follower"], SubjectKind]
"""Makes how workflows are driven, and the tasks of their steps by the follower."""


class Follower:
    """What an engine drives, with what wakes the drivers."""

    def __init__(
        self,
        runtime: Runtime,
        locks: Locks,
        require_open: Callable[[], TaskGroup],
        workflows: MakeWorkflows,
        *,
        drive_all: bool,
    ) -> None:
        """`require_open` returns the group for background work, or raises `EngineClosed`."""
        self._runtime = runtime
        self._locks = locks
        self._require_open = require_open
        self._drive_all = drive_all
        self._all_taken_on = False  # what earlier engines left
        self._deliveries = Deliveries(runtime.gateway, self.drives, runtime.clock)
        self._tail = LogTail(runtime.bus.log, self._on_record, require_open)
        self.drivers = LockedDrivers(runtime, locks, require_open, self._tail, self._waits, self._find_stranded)
        turns = SessionTurns(runtime, self.is_driven)
        self._tasks = TaskKind(runtime, turns, self._deliveries, self.take_on_part, require_open)
        self._workflows = workflows(self)
        self.pool = Pool(runtime, self, require_open, drive_all)
        self._queue_locks = QueueLocks(locks, runtime.gateway.engine_id, lambda: self.pool.waiting, drive_all)
        self._stranded_locks = StrandedLocks(runtime, self._is_kept)
        self.cards = BoardCards(runtime.bus, runtime.reads, locks, require_open)
        runtime.gateway.on_change = self.drivers.wake_all
        runtime.slots.on_freed = self.pool.wake

    # --- Life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """With `drive_all`, take on all that earlier engines left unfinished, and work on the queue."""
        if self._drive_all:
            await self._tail.start()
            self.pool.start()
            self.cards.start()
            self._queue_locks.hold(self._require_open())
            async with aclosing(self._left()) as subjects:
                async for subject in subjects:
                    await self.drivers.take_on_started(subject)
            self._all_taken_on = True

    async def _left(self) -> AsyncGenerator[DrivenSubject, None]:
        for kind in (self._tasks, self._workflows):
            async with aclosing(kind.unfinished()) as unfinished:
                async for subject_id in unfinished:
                    yield DrivenSubject(kind, subject_id)

    async def drive_all(self) -> None:
        """From now on, do what an engine does that was opened with `drive_all`. May be called again after an error."""
        if not self._all_taken_on:
            self._drive_all = True
            self.pool.serve_all()
            self._queue_locks.hold_all()
            await self.start()

    def _on_record(self, record: EventRecord) -> None:
        self._runtime.bus.states.observe(record)
        if isinstance(record.event, ExecutionLeased):
            self._runtime.gateway.forget(ExecutionId(record.stream_id))
        self.drivers.on_record(record)
        if self._drive_all and isinstance(record.event, ExecutionStarted):
            self._soon(DrivenSubject(self._tasks, record.stream_id))
        if self._drive_all and isinstance(record.event, _REVIVING):
            self._soon(DrivenSubject(self._workflows, record.stream_id))
        self._deliveries.on_record(record, self._require_open())
        self.pool.on_record(record)
        self.cards.on_record(record)

    def _soon(self, subject: DrivenSubject) -> None:
        self._require_open().start_soon(self.drivers.take_on_started, subject)

    # --- Tasks --------------------------------------------------------------------------------------------------------

    def _task(self, task_id: TaskId) -> DrivenSubject:
        return DrivenSubject(self._tasks, task_id)

    async def begin(self, task_id: TaskId, create: Callable[[], Awaitable[Any]], since: int | None = None) -> bool:
        """Run `create`, which records the task, then drive it; see `LockedDrivers.begin`."""
        return await self.drivers.begin(self._task(task_id), create, since)

    async def take_on(self, task_id: TaskId) -> bool:
        """Drive a task, or stand by to take it over; see `LockedDrivers.take_on`."""
        return await self.drivers.take_on(self._task(task_id))

    async def take_on_started(self, task_id: TaskId) -> None:
        """Take on a task that another engine left or has started; a failure does not affect other tasks."""
        await self.drivers.take_on_started(self._task(task_id))

    async def drive(self, task_id: TaskId, *, starts: bool = True) -> bool:
        """Drive a task until it has ended; see `LockedDrivers.drive`."""
        return await self.drivers.drive(self._task(task_id), starts=starts)

    async def wait_in_queue(self, task_id: TaskId) -> None:
        """Work on the queue of the pool until the task has an agent; then drive it. Returns after the first look."""
        group = self._require_open()
        await self._tail.start()
        await self.pool.wait_for(task_id)
        self._queue_locks.hold(group)

    def take_on_part(self, task_id: TaskId) -> None:
        """Drive a part of what this engine drives, or work on the queue until it has an agent."""
        self._require_open().start_soon(self._take_on_part, task_id)

    def take_on_soon(self, task_id: TaskId) -> None:
        """Drive a task that belongs to what this engine drives, be it only to clean up."""
        self._soon(self._task(task_id))

    async def _take_on_part(self, task_id: TaskId) -> None:
        try:
            part = await self._runtime.bus.require(TASK, task_id)
            if part.pooled:
                await self.wait_in_queue(task_id)
            elif part.execution_id is not None and not part.ended:
                await self.take_on_started(task_id)
        except AuraError:
            await anyio.sleep(TAIL_PAUSE)
            self.take_on_part(task_id)

    def drives(self, task_id: TaskId) -> bool:
        """Whether this engine drives the task."""
        return self.drivers.drives(self._task(task_id))

    async def is_driven(self, task_id: TaskId) -> bool:
        """Whether an engine drives the task: this one, or another one on the same log."""
        return await self.drivers.is_driven(self._task(task_id))

    async def is_worked_on(self, task_id: TaskId) -> bool:
        """Whether an engine gives a task of the queue to an agent as soon as one is free: this one, or another one."""
        return await self._queue_locks.is_worked_on(task_id)

    async def undriven(self, task_id: TaskId) -> None:
        """Wait until this engine does not drive the task. Cancel to stop waiting."""
        await self.drivers.undriven(self._task(task_id))

    def stands_by(self, task_id: TaskId) -> bool:
        """Whether this engine takes the task over when the engine that drives it stops, or when it has an agent."""
        return self.drivers.stands_by(self._task(task_id)) or task_id in self.pool.waiting

    def raise_defect(self, task_id: TaskId) -> None:
        """Raise the bug that stopped the driver of a task, if one did."""
        self.drivers.raise_defect(self._task(task_id))

    # --- Workflows ----------------------------------------------------------------------------------------------------

    def workflow(self, workflow_id: WorkflowId) -> DrivenSubject:
        """Return a workflow as `drivers` know it."""
        return DrivenSubject(self._workflows, workflow_id)

    def take_on_workflow(self, workflow_id: WorkflowId) -> None:
        """Drive a workflow that is a step of one that this engine drives, or stand by for it."""
        self._soon(self.workflow(workflow_id))

    # --- Locks of tasks -----------------------------------------------------------------------------------------------

    async def keep_places(self) -> None:
        """Tell other engines that this one keeps places in line for locks."""
        await self._queue_locks.keep_places()

    async def _is_kept(self, claim: LockClaim) -> bool:
        return await self._queue_locks.is_kept_elsewhere(claim) or await self.pool.keeps_place(claim)

    def watch(self) -> None:
        """Look at the locks at intervals, for as long as there is one that matters."""
        self.drivers.watch()

    def _waits(self) -> bool:
        return bool(self.pool.lock_waits)

    async def _find_stranded(self) -> None:
        """Look for locks that no one would release any more, and that tasks of this engine wait for."""
        waits = any(isinstance(driver, Driver) and driver.waits_for_locks for driver in self.drivers)
        if self.pool.lock_waits or waits:
            try:
                for task_id in await self._stranded_locks.find():
                    self.drivers.stand_by(self._task(task_id))
            except AuraError as error:  # the next round tries again
                _LOG.debug("stranded locks cannot be looked for: %s", error)

    # --- Status of drivers --------------------------------------------------------------------------------------------

    @property
    def follows_log(self) -> bool:
        """Whether `drivers` tell what happens in the log: from when this engine first drove something."""
        return self._tail.started

    @property
    def activity(self) -> anyio.Event:
        """Set when a driver has ended or is blocked, or when a worker has come or gone."""
        return self.drivers.activity

    @property
    def blockers(self) -> Mapping[StreamId, AuraError]:
        """The error that currently holds up each task or workflow; retried until it succeeds."""
        return self.drivers.blockers

    def notify(self) -> None:
        """Set `activity`, and replace it with a new event."""
        self.drivers.notify()
