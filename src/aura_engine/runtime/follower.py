"""Follower: runs a driver for each task that this engine has taken on, and wakes it at what happens in the log.

Invariants:

- A task is driven under its lock: taken before its driver starts, released after it has ended. So one engine at a time
  drives a task, whichever process it lives in. Within an engine a lock is not counted, so it is taken and released
  in turn (`_turn`), and it is not released while there is a driver.
- A lock may end before its driver does (see `Locks.lost`). It is taken again at most `LOCK_CHECK` after that is
  possible; if another engine was faster, the driver steps back, and this engine stands by. In between there may be two
  drivers: the epoch of the lease decides which one records.
- While it drives anything, an engine holds a lock of its own. Other engines leave the work of its worker to it for as
  long as it does: only they would have to start that again.
- What goes wrong with one task ends its driver, and neither another driver nor the engine.
- The tail starts at the head as it was before the first driver read anything. A driver listens to its streams before it
  relies on what it read of them, so an event is either in what it read or wakes it.
- A task that this engine stands by for is either driven by another engine, or taken on within `LOCK_CHECK`: the lock
  tells, since it ends with its engine. See `Standby`.
- `_drivers`, `_listeners`, `_lost` and `_defects` belong to the event loop: they change between two awaits, never
  across one.
- Nothing starts until the first task is taken on: an engine that only answers queries follows nothing."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any
from weakref import WeakValueDictionary

import anyio
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError
from aura_contracts.events import EventRecord
from aura_contracts.execution import ExecutionLeased
from aura_contracts.ids import ExecutionId, StreamId, TaskId
from aura_contracts.lock_table import LockClaim
from aura_contracts.ports.event_log import Locks
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.task import TASK, ExecutionStarted
from aura_engine.exception_groups import unwrap_group
from aura_engine.permissions.delivery import Deliveries
from aura_engine.runtime.board_cards import BoardCards
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.driver import Driver
from aura_engine.runtime.log_tail import TAIL_PAUSE, LogTail
from aura_engine.runtime.pool import Pool
from aura_engine.runtime.queue_locks import QueueLocks
from aura_engine.runtime.session_turns import SessionTurns
from aura_engine.runtime.standby import Standby, lock_of, lock_of_engine
from aura_engine.runtime.stranded_locks import StrandedLocks

_LOG = logging.getLogger(__name__)

LOCK_CHECK = 1.0
"""Seconds between two looks at the locks: those of other engines that this one stands by for, and its own."""


class Follower:
    """The drivers of an engine and what wakes them."""

    def __init__(
        self, runtime: Runtime, locks: Locks, require_open: Callable[[], TaskGroup], *, drive_all: bool
    ) -> None:
        """`require_open` returns the group for background work, or raises `EngineClosed`."""
        self._runtime = runtime
        self._locks = locks
        self._require_open = require_open
        self._drive_all = drive_all
        self._all_taken_on = False  # what earlier engines left
        self._deliveries = Deliveries(runtime.gateway, self.drives, runtime.clock)
        self._tail = LogTail(runtime.bus.log, self._on_record, require_open)
        self._drivers: dict[TaskId, Driver] = {}
        self._listeners: dict[StreamId, set[Driver]] = {}
        self._standby = Standby(runtime, locks, self.drive, self.notify, self._keep_defect)
        self._lost: set[TaskId] = set()
        """Tasks that this engine drives without their lock, until it has it again or steps back."""
        self._watches_locks = False
        self._defects: dict[TaskId, Exception] = {}
        self._turns: WeakValueDictionary[TaskId, anyio.Lock] = WeakValueDictionary()
        self._session_turns = SessionTurns(runtime, self.is_driven)
        self._activity = anyio.Event()
        self.pool = Pool(runtime, self, require_open, drive_all)
        self._queue_locks = QueueLocks(locks, runtime.gateway.engine_id, lambda: self.pool.waiting, drive_all)
        self._stranded_locks = StrandedLocks(runtime, self._is_kept)
        self.cards = BoardCards(runtime.bus, runtime.reads, locks, require_open)
        runtime.gateway.on_change = self._wake_all
        runtime.slots.on_freed = self.pool.wake

    # --- Life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """With `drive_all`, take on every task that earlier engines left unfinished, and work on the queue."""
        if self._drive_all:
            await self._tail.start()
            self.pool.start()
            self.cards.start()
            self._queue_locks.hold(self._require_open())
            unfinished = self._runtime.reads.rows(TaskQuery(unfinished=True, descending=False))
            async with aclosing(unfinished) as tasks:
                async for task in tasks:
                    await self.take_on_started(task.id)
            self._all_taken_on = True

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
        for driver in tuple(self._listeners.get(record.stream_id, ())):
            driver.wake(record)
        if self._drive_all and isinstance(record.event, ExecutionStarted):
            self._require_open().start_soon(self.take_on_started, TaskId(record.stream_id))
        self._deliveries.on_record(record, self._require_open())
        self.pool.on_record(record)
        self.cards.on_record(record)

    # --- Drivers ------------------------------------------------------------------------------------------------------

    async def begin(self, task_id: TaskId, create: Callable[[], Awaitable[Any]], since: int | None = None) -> bool:
        """Run `create`, which records the task, under the task's lock, then drive it before any other engine can.

        `since` is a position before the task's, if the caller knows one. Returns False if another engine drives it all
        the same, because it held the lock before; then this engine stands by, as with `take_on`."""
        self._require_open()
        await self._tail.start(since)
        states = self._runtime.bus.states
        async with self._turn(task_id):
            with states.collecting() as streams:
                try:
                    await self._locks.acquire(lock_of(task_id))
                    await create()
                    taken = await self._take(task_id, streams)  # another engine may have released the lock by now
                except BaseException:
                    await self._let_go(task_id)
                    raise
                finally:
                    states.release(streams)
        if not taken:
            self._stand_by(task_id)
        return taken

    async def take_on(self, task_id: TaskId) -> bool:
        """Drive a task as `drive` does. If another engine drives it, return False and stand by to take it over.

        It is taken over when that engine closes or dies, unless it has no work left by then.
        """
        driven = await self.drive(task_id)
        if not driven:
            self._stand_by(task_id)
        return driven

    async def wait_in_queue(self, task_id: TaskId) -> None:
        """Work on the queue of the pool until the task has an agent; then drive it. Returns after the first look."""
        group = self._require_open()
        await self._tail.start()
        await self.pool.wait_for(task_id)
        self._queue_locks.hold(group)

    async def drive(self, task_id: TaskId, *, starts: bool = True) -> bool:
        """Drive a task, now and after each change, until it has ended; without `starts`, only repair it.

        Returns False if another engine drives it. Driving it twice is harmless. Raises `EngineClosed`, and the error of
        a worker that could not be started.
        """
        group = self._require_open()
        if self._wake(task_id):
            return True
        await self._tail.start()
        async with self._turn(task_id):
            if not await self._take(task_id, starts=starts):
                return False
        group.start_soon(self._deliveries.attend_open, task_id, group)
        return True

    def _turn(self, task_id: TaskId) -> anyio.Lock:
        """Return the lock that serializes taking and releasing the lock of a task."""
        return self._turns.setdefault(task_id, anyio.Lock())

    def _wake(self, task_id: TaskId) -> bool:
        """Wake the driver of a task, if there is one: it may just have found nothing left to do."""
        driver = self._drivers.get(task_id)
        if driver is not None:
            driver.wake()
        return driver is not None

    async def _take(self, task_id: TaskId, streams: Iterable[StreamId] = (), *, starts: bool = True) -> bool:
        """Start the driver of a task, under its lock; `streams` are those it is known to need."""
        if self._wake(task_id):
            return True
        try:
            if not await self._locks.acquire(lock_of(task_id)):
                return False
            await self._locks.acquire(self._own_lock)
            await self._runtime.gateway.connect()
            group = self._require_open()
            if not await self._locks.acquire(lock_of(task_id)):  # it may have ended before a driver could lose it
                await self._let_go(task_id)
                return False
        except BaseException:
            await self._let_go(task_id)
            raise
        driver = Driver(self._runtime, task_id, self, self._session_turns, starts=starts)
        driver.streams = frozenset(streams)
        for stream_id in driver.streams:
            self.listen(driver, stream_id)
        self._drivers[task_id] = driver
        self._defects.pop(task_id, None)
        self._standby.discard(task_id)
        group.start_soon(self._run_driver, driver)
        self.watch()
        return True

    async def _let_go(self, task_id: TaskId) -> None:
        """Release the lock of a task that could not be taken on, and the engine's own if nothing else looks after it.

        A driver that has started keeps both.
        """
        if task_id not in self._drivers:
            with anyio.CancelScope(shield=True):
                await self._locks.release(lock_of(task_id))
                if not (self._drivers or self._watches_locks):
                    await self._locks.release(self._own_lock)

    def drives(self, task_id: TaskId) -> bool:
        """Whether this engine drives the task."""
        return task_id in self._drivers

    async def is_driven(self, task_id: TaskId) -> bool:
        """Whether an engine drives the task: this one, or another one on the same log."""
        return task_id in self._drivers or await self._locks.held_elsewhere(lock_of(task_id))

    async def is_worked_on(self, task_id: TaskId) -> bool:
        """Whether an engine gives a task of the queue to an agent as soon as one is free: this one, or another one."""
        return await self._queue_locks.is_worked_on(task_id)

    async def keep_places(self) -> None:
        """Tell other engines that this one keeps places in line for locks."""
        await self._queue_locks.keep_places()

    async def _is_kept(self, claim: LockClaim) -> bool:
        return await self._queue_locks.is_kept_elsewhere(claim) or await self.pool.keeps_place(claim)

    async def undriven(self, task_id: TaskId) -> None:
        """Wait until this engine does not drive the task. Cancel to stop waiting."""
        while self.drives(task_id):
            activity = self._activity
            if self.drives(task_id):
                await activity.wait()

    def stands_by(self, task_id: TaskId) -> bool:
        """Whether this engine takes the task over when the engine that drives it stops, or when it has an agent."""
        return task_id in self._standby or task_id in self.pool.waiting

    # --- Locks --------------------------------------------------------------------------------------------------------

    @property
    def _own_lock(self) -> str:
        return lock_of_engine(self._runtime.gateway.engine_id)

    def watch(self) -> None:
        """Look at the locks at intervals, for as long as there is one that matters."""
        if not self._watches_locks:
            self._watches_locks = True
            self._require_open().start_soon(self._watch_locks)

    async def _watch_locks(self) -> None:
        while self._standby or self._drivers or self.pool.lock_waits:
            await anyio.sleep(LOCK_CHECK)
            await self._retake_lost()
            await self._find_stranded()
            await self._standby.take_over()
        self._watches_locks = False
        await self._locks.release(self._own_lock)  # a driver that starts now has it taken again in its first round

    async def _retake_lost(self) -> None:
        """Take locks again that have ended, or step back where another engine has the lock by now."""
        lost = set(await self._locks.lost())
        self._lost |= {task_id for task_id in self._drivers if lock_of(task_id) in lost}
        self._lost &= self._drivers.keys()
        try:
            if self._drivers:
                await self._locks.acquire(self._own_lock)
            for task_id in tuple(self._lost):
                await self._retake(task_id)
        except AuraError as error:  # the next round tries again; meanwhile nothing can be recorded
            _LOG.warning("locks that have ended cannot be taken again yet: %s", error)

    async def _find_stranded(self) -> None:
        """Look for locks that no one would release any more, and that tasks of this engine wait for."""
        if self.pool.lock_waits or any(driver.waits_for_locks for driver in self._drivers.values()):
            try:
                for task_id in await self._stranded_locks.find():
                    self._standby.add(task_id)
            except AuraError as error:  # the next round tries again
                _LOG.debug("stranded locks cannot be looked for: %s", error)

    async def _retake(self, task_id: TaskId) -> None:
        async with self._turn(task_id):
            driver = self._drivers.get(task_id)
            held = driver is None or await self._locks.acquire(lock_of(task_id))
        self._lost.discard(task_id)
        if driver is not None and not held:
            _LOG.warning("task %s is left to another engine: the lock on it had ended", task_id)
            driver.step_back()

    def _keep_defect(self, task_id: TaskId, error: Exception) -> None:
        """Note what stops only this task, and raise it to its waiters: a bug, or an error that will not pass."""
        defect = unwrap_group(error)
        if isinstance(defect, AuraError):
            _LOG.warning("task %s is no longer driven: %s", task_id, defect)
        else:
            _LOG.error("task %s is no longer driven", task_id, exc_info=error)
        self._standby.discard(task_id)
        self._defects[task_id] = defect
        self.notify()

    def _stand_by(self, task_id: TaskId, error: AuraError | None = None) -> None:
        self._standby.add(task_id, error)
        self.watch()

    async def take_on_started(self, task_id: TaskId) -> None:
        """Take on a task that another engine left or has started; a failure does not affect other tasks."""
        try:
            await self.take_on(task_id)
        except AuraError as error:
            _LOG.warning("task %s is not driven: %s", task_id, error)
            self._stand_by(task_id, error)
        except Exception as error:  # noqa: BLE001 - a bug: see `_keep_defect`
            self._keep_defect(task_id, error)

    def take_on_part(self, task_id: TaskId) -> None:
        """Drive a part of a task that this engine drives, or work on the queue until it has an agent."""
        self._require_open().start_soon(self._take_on_part, task_id)

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

    async def _run_driver(self, driver: Driver) -> None:
        try:
            await driver.run()
            while driver.woken and not driver.stepped_back:
                await driver.run()
        except Exception as error:  # noqa: BLE001 - a bug: see `_keep_defect`
            self._keep_defect(driver.task_id, error)
        finally:
            self._drivers.pop(driver.task_id, None)
            for stream_id in driver.streams:
                self.leave(driver, stream_id)
            with anyio.CancelScope(shield=True):
                async with self._turn(driver.task_id):
                    await self._let_go(driver.task_id)  # unless another driver has been started meanwhile
            if driver.stepped_back:
                self._stand_by(driver.task_id)
            self.notify()

    def listen(self, driver: Driver, stream_id: StreamId) -> None:
        """Wake a driver at every event of a stream, and keep the stream's state cached for it."""
        self._listeners.setdefault(stream_id, set()).add(driver)
        self._runtime.bus.states.keep([stream_id])

    def leave(self, driver: Driver, stream_id: StreamId) -> None:
        """Undo `listen`."""
        drivers = self._listeners[stream_id]
        drivers.discard(driver)
        if not drivers:
            del self._listeners[stream_id]
        self._runtime.bus.states.release([stream_id])

    # --- Status of drivers -------------------------------------------------------------------------------------

    @property
    def activity(self) -> anyio.Event:
        """Set when a driver has ended or is blocked, or when a worker has come or gone."""
        return self._activity

    @property
    def blockers(self) -> Mapping[TaskId, AuraError]:
        """The error that currently holds up each task, driven or to be taken over; retried until it succeeds."""
        errors = self._standby.errors | {task_id: driver.last_error for task_id, driver in self._drivers.items()}
        return {task_id: error for task_id, error in errors.items() if error is not None}

    def raise_defect(self, task_id: TaskId) -> None:
        """Raise the bug that stopped the driver of a task, if one did."""
        if task_id in self._defects:
            raise self._defects[task_id]

    def _wake_all(self) -> None:
        for driver in self._drivers.values():
            driver.wake()
        self.notify()

    def notify(self) -> None:
        """Set `activity`, and replace it with a new event."""
        self._activity.set()
        self._activity = anyio.Event()
