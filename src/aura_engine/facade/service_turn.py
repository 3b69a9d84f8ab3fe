"""Service turn: an engine that looks after its store: it drives all tasks, fires timers, and notifies people.

Invariants:

- One at a time serves a store, in a turn that ends with its process: see `StoreTurn`. Another one waits, and takes
  over. Nothing depends on that for being right: tasks have locks of their own, and a timer takes effect once, no matter
  who fires it.
- A service that has lost its turn, with the session of its database, fires nothing any more, and waits for the next.
- An outage of the store ends no service, neither one at work nor one that waits: it tries again until it has its turn.
  Each tells operators of the outage, once: the one at work may have ended with its database.
- Settings with faults keep a service from waiting for its turn, and none that waits or is at work: then the last good
  ones apply, until the file is whole.
- `started` is recorded before anything is done, `stopped` after everything has ended; after a kill, only the first.
"""

import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import attrs

from aura_contracts._version import __version__
from aura_contracts.actors import ENGINE
from aura_contracts.errors import AuraError, EngineClosed, InvalidFile, InvalidInput, StoreUnavailable
from aura_contracts.service import (
    SERVICE,
    SERVICE_ID,
    RecordClockJump,
    Service,
    ServicePlace,
    StartService,
    StopService,
)
from aura_contracts.settled_files import FileStamp, stamp_of
from aura_engine.clockwork.timekeeper import Timekeeper, last_time
from aura_engine.clockwork.wall_clock import ClockJump
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.core import Core
from aura_engine.notification.settings import FILE as SETTINGS_FILE
from aura_engine.orchestration.schedule_starts import ScheduleFiring

if TYPE_CHECKING:
    from aura_engine.notification.notifier import Notifier

_LOG = logging.getLogger(__name__)

SERVICE_LOCK = "service"
"""The key of the lock under which a store is served."""

_PAUSE = 1.0
"""Seconds before a turn that could not begin, because the store is away, is tried again."""

SETTINGS_CHECK = 5.0
"""Seconds between two looks at whether the settings of notifications have changed."""

_PARTING = 1.0
"""Seconds at most that a service that ends tries to record that it does."""


@asynccontextmanager
async def _keeping_time(core: Core) -> AsyncIterator[None]:
    """Fire timers, and record jumps of the clock."""
    engine_id = core.runtime.gateway.engine_id

    async def record(jump: ClockJump) -> None:
        command = RecordClockJump(engine_id=engine_id, before=jump.before, after=jump.after, seconds=jump.seconds)
        await core.bus.handle(ENGINE, SERVICE_ID, command)
        _LOG.warning("the clock has jumped by %.0f seconds", jump.seconds)  # after: it is tried again in an outage

    keeper = Timekeeper(
        bus=core.bus,
        reads=core.reads,
        clock=core.clock,
        start=ScheduleFiring(core.bus).fire,
        drive=core.take_on,
        on_jump=record,
        confirm=core.turn_of(SERVICE_LOCK).confirm,
    )
    async with anyio.create_task_group() as group:
        group.start_soon(keeper.run)
        yield
        group.cancel_scope.cancel()


@attrs.define(eq=False)
class Serving:
    """A service that waits for its turn, or is at work. Started by `Engine.serve`; ends with the engine."""

    _core: Core
    _notifier: "Notifier"
    """The last one whose settings have no faults."""
    _seen: FileStamp | None = attrs.field(default=None, init=False)
    """The file of settings, right before it was read last."""
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when there are other settings."""
    _started: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    _service: Service | None = attrs.field(default=None, init=False)

    @property
    def at_work(self) -> bool:
        """Whether it serves now; if not, another one does, or it has ended."""
        return self._started.is_set() and not self._ended.is_set()

    async def started(self) -> Service:
        """Wait for its turn, and return it as the log has it.

        Raises the error that ended it before, and `EngineClosed` if it was stopped before.
        """
        async with anyio.create_task_group() as group:

            async def end() -> None:
                await self._ended.wait()
                group.cancel_scope.cancel()

            group.start_soon(end)
            await self._started.wait()
            group.cancel_scope.cancel()
        if self._error is not None:
            raise self._error
        if self._service is None:
            raise EngineClosed
        return self._service

    async def wait(self) -> None:
        """Wait until it has ended: it was stopped, or the engine was closed. Raises the error that ended it."""
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """Stop serving, and wait for the end. What the engine drives it drives until it is closed."""
        self._scope.cancel()
        await self._ended.wait()

    async def _run(self) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._follow_settings)
                    group.start_soon(self._with_each_notifier, lambda notifier: notifier.watch())
                    while True:
                        await self._turn_or_pause()
        except Exception as error:  # noqa: BLE001 - it ends this service, and is raised to those who wait for it
            self._error = unwrap_group(error)
            _LOG.error("the service has ended: %s", self._error, exc_info=self._error)
        finally:
            self._ended.set()

    async def _turn_or_pause(self) -> None:
        try:
            await self._turn()
        except Exception as error:
            outage = unwrap_group(error)
            if not isinstance(outage, StoreUnavailable):
                raise
            _LOG.warning("the service cannot begin, and tries again: %s", outage)
            await anyio.sleep(_PAUSE)

    async def _turn(self) -> None:
        """Wait for the turn, and serve until another engine has it."""
        async with self._core.turn_of(SERVICE_LOCK).lasting():
            await self._serve()

    async def _serve(self) -> None:
        core = self._core
        engine_id = core.runtime.gateway.engine_id
        place = ServicePlace(engine_id=engine_id, host=core.source.host, process_id=os.getpid(), version=__version__)
        try:
            if (newest := await last_time(core.log)) is not None:
                core.clock.compare(newest)  # the timekeeper records it: a service has to have begun
            self._service = await core.bus.handle(ENGINE, SERVICE_ID, StartService(place=place))
            await core.follower.drive_all()
            async with AsyncExitStack() as parts:
                for part in await self._parts():
                    await parts.enter_async_context(part)
                self._started.set()
                await anyio.sleep_forever()
        finally:
            if self._started.is_set():  # who waits for a turn that could not begin waits for the next one
                self._started = anyio.Event()
            with anyio.move_on_after(_PARTING, shield=True):
                await self._part(engine_id)

    async def _parts(self) -> tuple[AbstractAsyncContextManager[None], ...]:
        """Return what a service does besides driving tasks: each begins and ends with its context, in this order.

        Whom a timer concerns is notified of it, also of one that was overdue when the first service of the store began.

        An error that one raises ends the service; what concerns a single timer or message is its own to deal with.
        """
        await self._read_settings()
        return self._notifying(), _keeping_time(self._core)

    @asynccontextmanager
    async def _notifying(self) -> AsyncIterator[None]:
        """Notify people."""
        await self._notifier.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(self._with_each_notifier, lambda notifier: notifier.serve())
            yield
            group.cancel_scope.cancel()

    async def _with_each_notifier(self, do: "Callable[[Notifier], Coroutine[Any, Any, None]]") -> None:
        """Do something with the notifier of the settings as they are, and with the next one when they change."""
        while True:
            changed = self._changed
            async with anyio.create_task_group() as group:
                group.start_soon(do, self._notifier)
                await changed.wait()
                group.cancel_scope.cancel()

    async def _follow_settings(self) -> None:
        """Take up changes of the settings, for as long as it waits or serves."""
        while True:
            await anyio.sleep(SETTINGS_CHECK)
            if await anyio.to_thread.run_sync(stamp_of, self._core.home / SETTINGS_FILE) != self._seen:
                await self._read_settings()

    async def _read_settings(self) -> None:
        """Take up changes of the settings of notifications since they were read last."""
        seen = await anyio.to_thread.run_sync(stamp_of, self._core.home / SETTINGS_FILE)
        try:
            made = await anyio.to_thread.run_sync(self._core.make_notifier)
        except InvalidFile as error:  # timers and messages do not wait for someone who repairs a file
            _LOG.error("the settings of notifications that were read last still apply: %s", error)
        else:
            if made.settings != self._notifier.settings:
                self._notifier = made
                self._changed.set()
                self._changed = anyio.Event()
        self._seen = seen

    async def _part(self, engine_id: str) -> None:
        try:
            await self._core.bus.handle(ENGINE, SERVICE_ID, StopService(engine_id=engine_id))
        except AuraError as error:
            _LOG.warning("that the service stops is not recorded: %s", error)


def serve(core: Core) -> Serving:
    """Begin to serve, as soon as no other service does; see `Engine.serve`, which this implements."""
    core.bus.require_writable()
    group = core.require_open()
    if core.record_only:
        reason = "the engine was opened to record only, and a service drives tasks"
        raise InvalidInput(field="record_only", reason=reason, remedy="open it without record_only")
    serving = Serving(core, core.make_notifier())  # here, so that a mistake in its settings is this call's to raise
    group.start_soon(serving._run)  # noqa: SLF001 - its handle is for those who wait for it
    return serving


async def service_of(core: Core) -> Service | None:
    """Return the service that another engine is on this store, None without one."""
    if not await core.locks.held_elsewhere(SERVICE_LOCK):
        return None
    return await core.bus.fetch(SERVICE, SERVICE_ID)
