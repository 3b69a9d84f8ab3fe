"""Session locks of a PostgreSQL server. See `aura_store._locks`."""

from hashlib import sha256
from threading import Lock
from typing import Any

import anyio
import psycopg
from anyio import to_thread

from aura_contracts.errors import StoreUnavailable


class AdvisoryLocks:
    """Session locks of a PostgreSQL server (its documentation, "Advisory Locks"), which end with the session."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._held: set[str] = set()
        self._lock = Lock()

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, see the port."""
        if key in self._held:
            return True
        with anyio.CancelScope(shield=True):  # otherwise a cancellation could leave it held unnoticed
            if await self._try(key):
                self._held.add(key)
        return key in self._held

    async def release(self, key: str) -> None:
        """Release the lock."""
        if key in self._held:
            self._held.discard(key)
            await to_thread.run_sync(self._ask, "SELECT pg_advisory_unlock(%s)", key)

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another session has the lock."""
        if key in self._held:
            return False
        free = False
        with anyio.CancelScope(shield=True):
            free = await self._try(key)
            if free:  # locks are counted per session: one that `acquire` took in the meantime stays taken
                await to_thread.run_sync(self._ask, "SELECT pg_advisory_unlock(%s)", key)
        return not free

    async def _try(self, key: str) -> bool:
        return bool(await to_thread.run_sync(self._ask, "SELECT pg_try_advisory_lock(%s)", key))

    async def aclose(self) -> None:
        """Release all locks, by closing their session."""
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            await to_thread.run_sync(connection.close)

    def _ask(self, question: str, key: str) -> Any:
        number = int.from_bytes(sha256(b"aura:" + key.encode()).digest()[:8], signed=True)
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._url, autocommit=True)
                row = self._connection.execute(question, (number,)).fetchone()
            except psycopg.Error as error:
                self._connection = None
                self._held.clear()  # the locks ended with the session
                raise StoreUnavailable(store="PostgreSQL", reason=str(error), waited=0.0, attempts=1) from error
        return row[0]
