"""Locked drivers: the drivers of an engine, each under the lock of what it drives, and what they listen to.

Invariants:

- A subject (a task, a workflow) is driven under its lock: taken before its driver starts, released after it has ended.
  So one engine at a time drives it, whichever process it lives in. Within an engine a lock is not counted, so it is
  taken and released in turn (`_turn`), and it is not released while there is a driver.
- A lock may end before its driver does (see `Locks.lost`). It is taken again at most `LOCK_CHECK` after that is
  possible; if another engine was faster, the driver steps back, and this engine stands by. In between there may be two
  drivers: the epoch of the lease decides which one records the work of a task, and the versions of the streams decide
  for all else.
- While it drives anything, an engine holds a lock of its own. Other engines leave the work of its worker to it for as
  long as it does: only they would have to start that again.
- What goes wrong with one subject ends its driver, and neither another driver nor the engine.
- A driver listens to its streams before it relies on what it read of them, so an event is either in what it read or
  wakes it.
- A subject that this engine stands by for is either driven by another engine, or taken on within `LOCK_CHECK`: the lock
  tells, since it ends with its engine. See `Standby`.
- `_drivers`, `_listeners`, `_lost` and `_defects` belong to the event loop: they change between two awaits, never
  across one.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId
from aura_contracts.ports.event_log import Locks
from aura_engine.exception_groups import unwrap_group
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.log_tail import LogTail
from aura_engine.runtime.standby import Standby, lock_of_engine
from aura_engine.runtime.subjects import DrivenSubject, StreamListener, SubjectDriver

_LOG = logging.getLogger(__name__)

LOCK_CHECK = 1.0
"""Seconds between two looks at the locks: those of other engines that this one stands by for, and its own."""


@attrs.define(eq=False)
class LockedDrivers:
    """The drivers of an engine, by what they drive."""

    _runtime: Runtime
    _locks: Locks
    _require_open: Callable[[], TaskGroup]
    """Returns the group for background work, or raises `EngineClosed`."""
    _tail: LogTail
    """Started before the first driver reads anything."""
    _waits: Callable[[], bool]
    """Whether something besides drivers has the locks looked at."""
    _look: Callable[[], Awaitable[None]]
    """What is done at each look at the locks in addition."""
    _drivers: dict[DrivenSubject, SubjectDriver] = attrs.field(init=False, factory=dict)
    _listeners: dict[StreamId, set[StreamListener]] = attrs.field(init=False, factory=dict)
    _standby: Standby = attrs.field(init=False)
    _lost: set[DrivenSubject] = attrs.field(init=False, factory=set)
    """What this engine drives without its lock, until it has it again or steps back."""
    _watches_locks: bool = attrs.field(init=False, default=False)
    _defects: dict[DrivenSubject, Exception] = attrs.field(init=False, factory=dict)
    _turns: WeakValueDictionary[DrivenSubject, anyio.Lock] = attrs.field(init=False, factory=WeakValueDictionary)
    _activity: anyio.Event = attrs.field(init=False, factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        self._standby = Standby(self._locks, self.drive, self.notify, self._keep_defect)

    # --- Taking on ----------------------------------------------------------------------------------------------------

    async def begin(
        self, subject: DrivenSubject, create: Callable[[], Awaitable[Any]], since: int | None = None
    ) -> bool:
        """Run `create`, which records the subject, under its lock, then drive it before any other engine can.

        `since` is a position before the subject's, if the caller knows one. Returns False if another engine drives it
        all the same, because it held the lock before; then this engine stands by, as with `take_on`."""
        self._require_open()
        await self._tail.start(since)
        states = self._runtime.bus.states
        async with self._turn(subject):
            with states.collecting() as streams:
                try:
                    await self._locks.acquire(subject.lock)
                    await create()
                    taken = await self._take(subject, streams)  # another engine may have released the lock by now
                except BaseException:
                    await self._let_go(subject)
                    raise
                finally:
                    states.release(streams)
        if not taken:
            self.stand_by(subject)
        return taken

    async def take_on(self, subject: DrivenSubject) -> bool:
        """Drive a subject as `drive` does. If another engine drives it, return False and stand by to take it over.

        It is taken over when that engine closes or dies, unless it has no work left by then.
        """
        driven = await self.drive(subject)
        if not driven:
            self.stand_by(subject)
        return driven

    async def take_on_started(self, subject: DrivenSubject) -> None:
        """Take on what another engine left or has started; a failure does not affect other subjects."""
        try:
            await self.take_on(subject)
        except AuraError as error:
            _LOG.warning("%s is not driven: %s", subject, error)
            self.stand_by(subject, error)
        except Exception as error:  # noqa: BLE001 - a bug: see `_keep_defect`
            self._keep_defect(subject, error)

    async def drive(self, subject: DrivenSubject, *, starts: bool = True) -> bool:
        """Drive a subject, now and after each change, until it has ended; without `starts`, only repair it.

        Returns False if another engine drives it. Driving it twice is harmless. Raises `EngineClosed`, and the error of
        a worker that could not be started.
        """
        self._require_open()
        if self._wake(subject):
            return True
        await self._tail.start()
        async with self._turn(subject):
            if not await self._take(subject, starts=starts):
                return False
        subject.kind.taken(subject.id)
        return True

    def stand_by(self, subject: DrivenSubject, error: AuraError | None = None) -> None:
        """Take a subject over when the engine that drives it stops."""
        self._standby.add(subject, error)
        self.watch()

    def _turn(self, subject: DrivenSubject) -> anyio.Lock:
        """Return the lock that serializes taking and releasing the lock of a subject."""
        return self._turns.setdefault(subject, anyio.Lock())

    def _wake(self, subject: DrivenSubject) -> bool:
        """Wake the driver of a subject, if there is one: it may just have found nothing left to do."""
        driver = self._drivers.get(subject)
        if driver is not None:
            driver.wake()
        return driver is not None

    async def _take(self, subject: DrivenSubject, streams: Iterable[StreamId] = (), *, starts: bool = True) -> bool:
        """Start the driver of a subject, under its lock; `streams` are those it is known to need."""
        if self._wake(subject):
            return True
        try:
            if not await self._locks.acquire(subject.lock):
                return False
            if not await self._is_ready(subject):
                await self._let_go(subject)
                return False
            group = self._require_open()
        except BaseException:
            await self._let_go(subject)
            raise
        driver = subject.kind.driver(subject.id, self, starts=starts)
        driver.streams = frozenset(streams)
        for stream_id in driver.streams:
            self.listen(driver, stream_id)
        self._drivers[subject] = driver
        self._defects.pop(subject, None)
        self._standby.discard(subject)
        group.start_soon(self._run_driver, subject, driver)
        self.watch()
        return True

    async def _is_ready(self, subject: DrivenSubject) -> bool:
        """Get the engine's own lock and its worker, unless it drives with them; return whether the subject's is held.

        That may have ended meanwhile, before a driver could lose it.
        """
        if self._drivers and self._runtime.gateway.is_connected:
            return True
        await self._locks.acquire(self._own_lock)
        await self._runtime.gateway.connect()
        return await self._locks.acquire(subject.lock)

    async def _let_go(self, subject: DrivenSubject) -> None:
        """Release the lock of what could not be taken on, and the engine's own if nothing else looks after it.

        A driver that has started keeps both.
        """
        if subject not in self._drivers:
            with anyio.CancelScope(shield=True):
                await self._locks.release(subject.lock)
                if not (self._drivers or self._watches_locks):
                    await self._locks.release(self._own_lock)

    async def _run_driver(self, subject: DrivenSubject, driver: SubjectDriver) -> None:
        try:
            await driver.run()
            while driver.woken and not driver.stepped_back:
                await driver.run()
        except Exception as error:  # noqa: BLE001 - a bug: see `_keep_defect`
            self._keep_defect(subject, error)
        finally:
            self._drivers.pop(subject, None)
            for stream_id in driver.streams:
                self.leave(driver, stream_id)
            with anyio.CancelScope(shield=True):
                async with self._turn(subject):
                    await self._let_go(subject)  # unless another driver has been started meanwhile
            if driver.stepped_back:
                self.stand_by(subject)
            self.notify()

    # --- What wakes drivers -------------------------------------------------------------------------------------------

    def on_record(self, record: EventRecord) -> None:
        """Wake all that listen to the stream of a record."""
        for listener in tuple(self._listeners.get(record.stream_id, ())):
            listener.wake(record)

    def listen(self, listener: StreamListener, stream_id: StreamId) -> None:
        """Wake a listener at every event of a stream, and keep the stream's state cached for it."""
        self._listeners.setdefault(stream_id, set()).add(listener)
        self._runtime.bus.states.keep([stream_id])

    def leave(self, listener: StreamListener, stream_id: StreamId) -> None:
        """Undo `listen`."""
        listeners = self._listeners[stream_id]
        listeners.discard(listener)
        if not listeners:
            del self._listeners[stream_id]
        self._runtime.bus.states.release([stream_id])

    def wake_all(self) -> None:
        """Have every driver look again that may wait for a worker: one has come or gone."""
        for subject, driver in self._drivers.items():
            if subject.kind.needs_worker or driver.last_error is not None:
                driver.wake()
        self.notify()

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
        while self._standby or self._drivers or self._waits():
            await anyio.sleep(LOCK_CHECK)
            await self._retake_lost()
            await self._look()
            await self._standby.take_over()
        self._watches_locks = False
        await self._locks.release(self._own_lock)  # a driver that starts now has it taken again in its first round

    async def _retake_lost(self) -> None:
        """Take locks again that have ended, or step back where another engine has the lock by now."""
        lost = set(await self._locks.lost())
        self._lost |= {subject for subject in self._drivers if subject.lock in lost}
        self._lost &= self._drivers.keys()
        try:
            if self._drivers:
                await self._locks.acquire(self._own_lock)
            for subject in tuple(self._lost):
                await self._retake(subject)
        except AuraError as error:  # the next round tries again; meanwhile nothing can be recorded
            _LOG.warning("locks that have ended cannot be taken again yet: %s", error)

    async def _retake(self, subject: DrivenSubject) -> None:
        async with self._turn(subject):
            driver = self._drivers.get(subject)
            held = driver is None or await self._locks.acquire(subject.lock)
        self._lost.discard(subject)
        if driver is not None and not held:
            _LOG.warning("%s is left to another engine: the lock on it had ended", subject)
            driver.step_back()

    # --- Status of drivers --------------------------------------------------------------------------------------------

    def drives(self, subject: DrivenSubject) -> bool:
        """Whether this engine drives the subject."""
        return subject in self._drivers

    def __iter__(self) -> Iterator[SubjectDriver]:
        return iter(tuple(self._drivers.values()))

    async def is_driven(self, subject: DrivenSubject) -> bool:
        """Whether an engine drives the subject: this one, or another one on the same log."""
        return subject in self._drivers or await self._locks.held_elsewhere(subject.lock)

    def stands_by(self, subject: DrivenSubject) -> bool:
        """Whether this engine takes the subject over when the engine that drives it stops."""
        return subject in self._standby

    async def undriven(self, subject: DrivenSubject) -> None:
        """Wait until this engine does not drive the subject. Cancel to stop waiting."""
        while subject in self._drivers:
            activity = self._activity
            if subject in self._drivers:
                await activity.wait()

    @property
    def activity(self) -> anyio.Event:
        """Set when a driver has ended or is blocked, or when a worker has come or gone."""
        return self._activity

    def notify(self) -> None:
        """Set `activity`, and replace it with a new event."""
        self._activity.set()
        self._activity = anyio.Event()

    @property
    def blockers(self) -> Mapping[StreamId, AuraError]:
        """The error that currently holds up each subject, driven or to be taken over; retried until it succeeds."""
        errors = self._standby.errors | {subject: driver.last_error for subject, driver in self._drivers.items()}
        return {subject.id: error for subject, error in errors.items() if error is not None}

    def raise_defect(self, subject: DrivenSubject) -> None:
        """Raise the bug that stopped the driver of a subject, if one did."""
        if subject in self._defects:
            raise self._defects[subject]

    def _keep_defect(self, subject: DrivenSubject, error: Exception) -> None:
        """Note what stops only this subject, and raise it to its waiters: a bug, or an error that will not pass."""
        defect = unwrap_group(error)
        if isinstance(defect, AuraError):
            _LOG.warning("%s is no longer driven: %s", subject, defect)
        else:
            _LOG.error("%s is no longer driven", subject, exc_info=error)
        self._standby.discard(subject)
        self._defects[subject] = defect
        self.notify()
