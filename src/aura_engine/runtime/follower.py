"""Follower: tails the log and runs a driver for each task that this engine has taken on.

Invariants:

- A task is driven under its lock: taken before its driver starts, released after it has ended. So one engine at a time
  drives a task, whichever process it lives in. Within an engine a lock is not counted, so it is taken and released
    in turn (`_turn`), and it is not released while there is a driver.
- The tail starts at the head as it was before the first driver read anything. A driver listens to its streams before it
  relies on what it read of them, so an event is either in what it read or wakes it.
- A task that this engine stands by for is either driven by another engine, or taken on within `LOCK_CHECK`: the lock
  tells, since it ends with its engine. It is forgotten when it is taken on, or has no work left.
- `_drivers`, `_listeners`, `_standby` and `_defects` belong to the event loop: they change between two awaits, never
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
from aura_contracts.ids import StreamId, TaskId
from aura_contracts.ports.event_log import Locks
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.task import ExecutionStarted
from aura_engine.exception_groups import unwrap_group
from aura_engine.permissions.delivery import Deliveries
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.driver import Driver

_LOG = logging.getLogger(__name__)


LOCK_CHECK = 1.0
"""Seconds between two looks at a lock that another engine holds."""

_FOLLOWED = ("task.*", "execution.*", "approval.*", "workspace.*", "lease.*", "agent.*")


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
        self._deliveries = Deliveries(runtime.gateway, self.drives)
        self._tailing = anyio.Lock()
        self._tails = False
        self._drivers: dict[TaskId, Driver] = {}
        self._listeners: dict[StreamId, set[Driver]] = {}
        self._standby: dict[TaskId, AuraError | None] = {}
        """Tasks to take over from the engines that drive them, with the error of the last attempt."""
        self._watches_locks = False
        self._defects: dict[TaskId, Exception] = {}
        self._turns: WeakValueDictionary[TaskId, anyio.Lock] = WeakValueDictionary()
        self._activity = anyio.Event()
        runtime.gateway.on_change = self._wake_all

    # --- Life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """With `drive_all`, take on every task that earlier engines left unfinished."""
        if self._drive_all:
            await self._tail()
            unfinished = self._runtime.reads.rows(TaskQuery(unfinished=True, descending=False))
            async with aclosing(unfinished) as tasks:
                async for task in tasks:
                    await self.take_on(task.id)

    async def _tail(self) -> None:
        """Start to follow the log from its current head, unless already started."""
        async with self._tailing:
            if not self._tails:
                head = await self._runtime.bus.log.head()
                self._require_open().start_soon(self._follow_log, head)
                self._tails = True

    async def _follow_log(self, after: int) -> None:
        async for record in self._runtime.bus.log.tail(after, topics=_FOLLOWED):
            self._runtime.bus.states.observe(record)
            await self._on_record(record)

    async def _on_record(self, record: EventRecord) -> None:
        for driver in tuple(self._listeners.get(record.stream_id, ())):
            driver.wake(record)
        if self._drive_all and isinstance(record.event, ExecutionStarted):
            self._require_open().start_soon(self._take_on_started, TaskId(record.stream_id))
        self._deliveries.on_record(record, self._require_open())

    # --- Drivers ------------------------------------------------------------------------------------------------------

    async def begin(self, task_id: TaskId, create: Callable[[], Awaitable[Any]]) -> bool:
        """Run `create`, which records the task, under the task's lock, then drive it before any other engine can.

        Returns False if another engine drives it all the same, because it held the lock before; then this engine stands
        by, as with `take_on`."""
        self._require_open()
        await self._tail()
        states = self._runtime.bus.states
        async with self._turn(task_id):
            await self._locks.acquire(_lock_of(task_id))
            with states.collecting() as streams:
                try:
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

    async def drive(self, task_id: TaskId, *, starts: bool = True) -> bool:
        """Drive a task, now and after each change, until it has ended; without `starts`, only put it in order.

        Returns False if another engine drives it. Driving it twice is harmless. Raises `EngineClosed`, and the error of
        a worker that could not be started.
        """
        group = self._require_open()
        if self._wake(task_id):
            return True
        await self._tail()
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
        if not await self._locks.acquire(_lock_of(task_id)):
            return False
        try:
            await self._runtime.gateway.connect()
            group = self._require_open()
        except BaseException:
            await self._let_go(task_id)
            raise
        driver = Driver(self._runtime, task_id, self, starts=starts)
        driver.streams = frozenset(streams)
        for stream_id in driver.streams:
            self.listen(driver, stream_id)
        self._drivers[task_id] = driver
        self._defects.pop(task_id, None)
        self._standby.pop(task_id, None)
        group.start_soon(self._run_driver, driver)
        return True

    async def _let_go(self, task_id: TaskId) -> None:
        """Release the lock of a task that could not be taken on; a driver that has started keeps it."""
        if task_id not in self._drivers:
            with anyio.CancelScope(shield=True):
                await self._locks.release(_lock_of(task_id))

    def drives(self, task_id: TaskId) -> bool:
        """Whether this engine drives the task."""
        return task_id in self._drivers

    async def is_driven(self, task_id: TaskId) -> bool:
        """Whether an engine drives the task: this one, or another one on the same log."""
        return task_id in self._drivers or await self._locks.held_elsewhere(_lock_of(task_id))

    async def undriven(self, task_id: TaskId) -> None:
        """Wait until this engine does not drive the task. Cancel to stop waiting."""
        while self.drives(task_id):
            activity = self._activity
            if self.drives(task_id):
                await activity.wait()

    def stands_by(self, task_id: TaskId) -> bool:
        """Whether this engine takes the task over when the engine that drives it stops."""
        return task_id in self._standby

    # --- Taking over --------------------------------------------------------------------------------------------------

    def _stand_by(self, task_id: TaskId) -> None:
        self._standby.setdefault(task_id, None)
        if not self._watches_locks:
            self._watches_locks = True
            self._require_open().start_soon(self._watch_locks)

    async def _watch_locks(self) -> None:
        while self._standby:
            await anyio.sleep(LOCK_CHECK)
            for task_id in tuple(self._standby):
                await self._take_over(task_id)
        self._watches_locks = False

    async def _take_over(self, task_id: TaskId) -> None:
        """Take a task on if the engine that drove it has stopped before its end. An error is kept and tried again."""
        try:
            if await self._locks.held_elsewhere(_lock_of(task_id)):
                return
            left = await self._runtime.reads.list(TaskQuery(id=task_id, unfinished=True))
            if not left.rows:
                self._standby.pop(task_id, None)
                self.notify()
            elif await self.drive(task_id):
                _LOG.info("took over task %s from an engine that stopped", task_id)
        except AuraError as error:
            _LOG.warning("task %s is not taken over: %s", task_id, error)
            self._standby[task_id] = error
            self.notify()

    async def _take_on_started(self, task_id: TaskId) -> None:
        """Take on a task that another program has started; a failure does not affect other tasks."""
        try:
            await self.take_on(task_id)
        except AuraError as error:
            _LOG.warning("task %s is not driven: %s", task_id, error)
            self._stand_by(task_id)

    async def _run_driver(self, driver: Driver) -> None:
        try:
            await driver.run()
            while driver.woken:
                await driver.run()
        except Exception as error:  # noqa: BLE001 - a bug: it stops only this task, and is raised to its waiters
            _LOG.exception("task %s is no longer driven", driver.task_id)
            self._defects[driver.task_id] = unwrap_group(error)
        finally:
            self._drivers.pop(driver.task_id, None)
            for stream_id in driver.streams:
                self.leave(driver, stream_id)
            with anyio.CancelScope(shield=True):
                async with self._turn(driver.task_id):
                    await self._let_go(driver.task_id)  # unless another driver has been started meanwhile
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
        errors = self._standby | {task_id: driver.last_error for task_id, driver in self._drivers.items()}
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


def _lock_of(task_id: TaskId) -> str:
    return f"task:{task_id}"
