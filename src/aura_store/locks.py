"""Locks: which engine drives a task. Each ends with the process that holds it, however it ends.

SQLite       a locked file beside the database for each key (flock), released by the kernel
memory       a set: the log belongs to one process
PostgreSQL   an advisory lock of a session kept for it, released by the server
"""

import fcntl
import os
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import anyio
import attrs
from anyio import to_thread

from aura_contracts.errors import StoreReadOnly, StoreUnavailable
from aura_contracts.ports.locks import Locks

_GLANCE = 0.005
"""Seconds; whoever only looks whether a lock is held has it for less."""


@attrs.define
class FileLocks:
    """Locks as files in a folder. Implements `aura_contracts.ports.locks.Locks`."""

    _folder: Path
    _held: dict[str, int] = attrs.field(factory=dict)

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, see the port. Raises `StoreReadOnly` where its file cannot be made."""
        if key not in self._held:
            descriptor = self._lock(key)
            if descriptor is None:
                await anyio.sleep(_GLANCE)
                if key in self._held:
                    return True
                descriptor = self._lock(key)
            if descriptor is None:
                return False
            self._held[key] = descriptor
        return True

    async def release(self, key: str) -> None:
        """Give the lock back, and delete its file while it is still locked: see `_lock`."""
        descriptor = self._held.pop(key, None)
        if descriptor is not None:
            self._path(key).unlink(missing_ok=True)
            os.close(descriptor)

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another process has the lock."""
        if key in self._held or not self._path(key).exists():
            return False
        descriptor = self._lock(key)
        if descriptor is not None:  # of somebody who was killed
            self._path(key).unlink(missing_ok=True)
            os.close(descriptor)
        return descriptor is None

    async def aclose(self) -> None:
        """Give all locks back."""
        for key in list(self._held):
            await self.release(key)

    def _path(self, key: str) -> Path:
        return self._folder / f"{sha256(key.encode()).hexdigest()[:32]}.lock"

    def _lock(self, key: str) -> int | None:
        """Return a locked descriptor, None if somebody else has the lock.

        A file that was deleted between opening and locking is no lock any more: another one is made.
        """
        path = self._path(key)
        while True:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreReadOnly(store=str(self._folder), stream_id="", position=0, reason=str(error)) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:
                pass
            os.close(descriptor)


@attrs.define
class MemoryLocks:
    """Locks of a log that one engine alone has."""

    _held: set[str] = attrs.field(factory=set)

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`."""
        self._held.add(key)
        return True

    async def release(self, key: str) -> None:
        """Give the lock back."""
        self._held.discard(key)

    async def held_elsewhere(self, key: str) -> bool:
        """No: there is nobody else."""
        return False

    async def aclose(self) -> None:
        """Give all locks back."""
        self._held.clear()


class AdvisoryLocks:
    """Locks of sessions of a PostgreSQL server (its documentation, "Advisory Locks"), each ended with the session."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._held: set[str] = set()
        self._lock = Lock()

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, see the port."""
        if key in self._held:
            return True
        with anyio.CancelScope(shield=True):  # or it would be held, and nobody would know
            if await self._try(key):
                self._held.add(key)
        return key in self._held

    async def release(self, key: str) -> None:
        """Give the lock back."""
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
            if free:  # a session counts how often it has a lock: what `acquire` took meanwhile stays taken
                await to_thread.run_sync(self._ask, "SELECT pg_advisory_unlock(%s)", key)
        return not free

    async def _try(self, key: str) -> bool:
        return bool(await to_thread.run_sync(self._ask, "SELECT pg_try_advisory_lock(%s)", key))

    async def aclose(self) -> None:
        """Give all locks back, with the session that holds them."""
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            await to_thread.run_sync(connection.close)

    def _ask(self, question: str, key: str) -> Any:
        import psycopg  # noqa: PLC0415 - an extra

        number = int.from_bytes(sha256(b"aura:" + key.encode()).digest()[:8], signed=True)
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._url, autocommit=True)
                row = self._connection.execute(question, (number,)).fetchone()
            except psycopg.Error as error:
                self._connection = None
                self._held.clear()  # with the session went its locks
                raise StoreUnavailable(store="PostgreSQL", reason=str(error), waited=0.0, attempts=1) from error
        return row[0]


def locks_for(url: str) -> Locks:
    """Return the locks that belong to the log at `url`, see `aura_store.open_log`."""
    if url.startswith("sqlite:///"):
        database = Path(url.removeprefix("sqlite:///"))
        return FileLocks(database.parent / f"{database.name}.locks")
    if url.startswith(("postgresql://", "postgres://")):
        return AdvisoryLocks(url)
    return MemoryLocks()
