"""Log tail: hands on what happens in the log from where it was started, through outages.

Each record is handed on once and in order: after an outage the tail continues behind the last one. The callback runs
before the next record is read, and must not fail: its error ends the engine.
"""

import logging
from collections.abc import Callable
from contextlib import aclosing

import anyio
from anyio.abc import TaskGroup

from aura_contracts.errors import StoreUnavailable
from aura_contracts.events import EventRecord
from aura_contracts.ports.event_log import EventLog

_LOG = logging.getLogger(__name__)

TAIL_PAUSE = 1.0
"""Seconds before the log is read again after the store did not answer for the whole outage timeout."""

_FOLLOWED = (
    "task.*",
    "execution.*",
    "approval.*",
    "workspace.*",
    "lease.*",
    "agent.*",
    "lock_table.*",
    "board.created",
    "workflow.*",
    "project.*",
)


class LogTail:
    """Calls `on_record` with each new record that drivers, the pool, deliveries or cards depend on."""

    def __init__(
        self, log: EventLog, on_record: Callable[[EventRecord], None], require_open: Callable[[], TaskGroup]
    ) -> None:
        """`require_open` returns the group for background work, or raises `EngineClosed`."""
        self._log = log
        self._on_record = on_record
        self._require_open = require_open
        self._starting = anyio.Lock()
        self.started = False
        """Whether records are handed on from now on."""

    async def start(self, after: int | None = None) -> None:
        """Start to follow the log after a position, or from its current head, unless already started."""
        async with self._starting:
            if not self.started:
                after = await self._log.head() if after is None else after
                self._require_open().start_soon(self._follow, after)
                self.started = True

    async def _follow(self, after: int) -> None:
        """Follow the log for as long as the engine is open, through outages of any length."""
        while True:
            try:
                async with aclosing(self._log.tail(after, topics=_FOLLOWED)) as records:
                    async for record in records:
                        after = record.position
                        self._on_record(record)
            except StoreUnavailable as error:
                _LOG.warning("the log cannot be followed: %s", error)
                await anyio.sleep(TAIL_PAUSE)
