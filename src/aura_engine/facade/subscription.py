"""Subscription: a callback on events, live or durable."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anyio

from aura_contracts.events import Event, EventRecord
from aura_engine.facade.core import Core

_LOG = logging.getLogger(__name__)

_PAUSES = (0.1, 1.0, 5.0, 15.0, 60.0)
"""Seconds before a callback that raised is called again; the last one repeats."""


class Subscription:
    """A callback on events of one type. Created by `Engine.on`; ends with the engine, or when it is cancelled."""

    def __init__(
        self,
        core: Core,
        event_type: type[Event],
        callback: Callable[[EventRecord[Any]], Awaitable[Any] | Any],
        name: str | None,
    ) -> None:
        self.name = name
        """The name of a durable subscription, None for a live one."""
        self._core = core
        self._event_type = event_type
        self._callback = callback
        self._scope = anyio.CancelScope()
        self.failure: Exception | None = None
        """The exception of the latest call of the callback; None if it returned."""

    def cancel(self) -> None:
        """Stop calling back. A new durable subscription with the same name continues where this one stopped."""
        self._scope.cancel()

    async def serve(self) -> None:
        """Deliver events until cancelled. Run once, by the engine."""
        with self._scope:
            if self.name is None:
                await self._deliver_after(await self._core.log.head())
            else:
                await self._serve_durably(self.name)

    async def _serve_durably(self, name: str) -> None:
        """Deliver events from the cursor on, once no other subscription of any engine serves the name."""
        locks, log, lock = self._core.follower.locks, self._core.log, f"subscription:{name}"
        async with self._core.readers.setdefault(name, anyio.Lock()):
            while not await locks.acquire(lock):  # noqa: ASYNC110 - another process releases it without an event
                await anyio.sleep(_PAUSES[1])
            try:
                after = await log.load_cursor(name)
                if after is None:
                    after = await log.head()
                    await log.save_cursor(name, after)
                await self._deliver_after(after)
            finally:
                with anyio.CancelScope(shield=True):
                    await locks.release(lock)

    async def _deliver_after(self, position: int) -> None:
        async with aclosing(self._core.log.tail(position, topics=(self._event_type.topic,))) as records:
            async for record in records:
                await self._deliver(record)
                if self.name is not None:
                    await self._core.log.save_cursor(self.name, record.position)

    async def _deliver(self, record: EventRecord[Any]) -> None:
        """Call back; retry a durable callback that raises, since order matters more than progress."""
        attempt = 0
        while True:
            try:
                answer = self._callback(record)
                if inspect.isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001 - a callback may raise anything
                self.failure = error
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                attempt += 1
                _LOG.warning("subscription %s failed at %s: %s", self.name or "(live)", record.position, error)
                if self.name is None:
                    return
                await anyio.sleep(pause)
            else:
                self.failure = None
                return
