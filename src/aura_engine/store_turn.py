"""Store turn: what one engine of a store at a time does: it serves the store, notifies people, moves a cursor.

Invariants:

- Across engines a lock of the store excludes. Within an engine, where that lock is not counted, `_own` does.
- A turn is waited for through outages, and no outage ends it: while the store is away, no other engine can take it.
- A lock may end before its turn does, with the session of its database, and no one tells. So the store is asked, at
  intervals and by `confirm`; a lock that has ended is taken again, unless another engine was faster. Then the turn has
  ended, and what runs in it is cancelled.
- Between two questions there may be two turns for a moment. Who must not act then asks `confirm` first. That narrows
  the gap to one append and does not close it, so what is done in a turn has to be harmless if it is done twice.
- A turn is given back at its end, whatever ends it.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import attrs

from aura_contracts.errors import StoreError, StoreUnavailable
from aura_contracts.ports.event_log import Locks

_LOG = logging.getLogger(__name__)

LOCK_CHECK = 1.0
"""Seconds between two looks at the lock: whether it is free, or still held."""


@attrs.define(eq=False)
class StoreTurn:
    """The turns of an engine at one thing; `key` is the key of its lock. Belongs to one event loop."""

    _locks: Locks
    key: str
    _own: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)
    _scope: anyio.CancelScope | None = attrs.field(default=None, init=False)
    """Of what runs in a turn that lasts."""

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """Wait for the turn, and run the body until another engine has the turn, which cancels it.

        Errors of the body are raised in an `ExceptionGroup`. Raises `StoreReadOnly` where there can be no lock.
        """
        async with self.uninterrupted():
            try:
                async with anyio.create_task_group() as group:
                    self._scope = group.cancel_scope
                    group.start_soon(self._watch)
                    yield
                    group.cancel_scope.cancel()
            finally:
                self._scope = None

    @asynccontextmanager
    async def uninterrupted(self) -> AsyncIterator[None]:
        """Wait for the turn, and run the body to its end, even if another engine has the turn meanwhile.

        Raises `StoreReadOnly` where there can be no lock.
        """
        async with self._own:
            try:
                await self._wait()
                yield
            finally:
                await self._release()

    @asynccontextmanager
    async def brief(self, *, wait: bool = True) -> AsyncIterator[bool]:
        """Take the turn for the body, and yield whether it could be had: not while another engine has it.

        While this engine has it, the next one waits, or gets False too without `wait`. Raises `StoreReadOnly` and,
        after the outage timeout, `StoreUnavailable`.
        """
        if not wait and self._own.locked():
            yield False
            return
        async with self._own:
            try:
                yield await self._locks.acquire(self.key)
            finally:
                await self._release()

    async def confirm(self) -> bool:
        """Return whether a turn that lasts is still this engine's, as the store says now. If not, cancel its body.

        False, too, if the store does not say: then the turn lasts, but nothing can be done in it.
        """
        try:
            held = await self._locks.acquire(self.key)
        except StoreError as error:
            _LOG.warning("the lock %r cannot be looked at: %s", self.key, error)
            return False
        if not held and self._scope is not None:
            _LOG.warning("another engine has taken over: the lock %r of this one had ended", self.key)
            self._scope.cancel()
        return held

    async def _wait(self) -> None:
        while True:
            try:
                if await self._locks.acquire(self.key):
                    return
            except StoreUnavailable as error:
                _LOG.warning("the lock %r is waited for: %s", self.key, error)
            await anyio.sleep(LOCK_CHECK)

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(LOCK_CHECK)
            await self.confirm()

    async def _release(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._locks.release(self.key)
