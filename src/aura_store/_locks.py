"""Locks: which engine drives a task. They end with the process that holds them, no matter how it ends.

SQLite       a locked file next to the database for each key (flock), released by the kernel. The folder of these
             files is found by the resolved path of the database, so links and relative paths lead to the same locks.
memory       a set, because the log belongs to one process
PostgreSQL   an advisory lock in a session of its own, released by the server

A lock may end before its holder does: its file is removed or replaced, the session ends with the server. The holder
learns of it from `lost`.
"""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import anyio
import attrs

from aura_contracts.errors import StoreReadOnly
from aura_contracts.file_locks import FileLock, try_lock
from aura_contracts.ports.event_log import Locks
from aura_contracts.private_files import make_private_folder
from aura_contracts.store_url import StoreUrl
from aura_store.log._patience import OUTAGE_TIMEOUT

_GLANCE = 0.005
"""Seconds; a mere check whether a lock is held takes it for less than this."""


@attrs.define
class FileLocks:
    """Locks as files in a folder. Implements `aura_contracts.ports.event_log.Locks`."""

    lag: ClassVar[float] = 0.0
    _folder: Path
    _held: dict[str, FileLock] = attrs.field(factory=dict)

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, see the port. Raises `StoreReadOnly` if its file cannot be created."""
        if (held := self._held.get(key)) is not None and not held.holds:
            await self.release(key)
        if key not in self._held:
            lock = self._lock(key)
            if lock is None:
                await anyio.sleep(_GLANCE)
                if key in self._held:
                    return True
                lock = self._lock(key)
            if lock is None:
                return False
            self._held[key] = lock
        return True

    async def release(self, key: str) -> None:
        """Release the lock."""
        if lock := self._held.pop(key, None):
            lock.release()

    async def lost(self) -> Collection[str]:
        """See the port. A lock is lost when its path leads to another file, or to none."""
        lost = [key for key, lock in self._held.items() if not lock.holds]
        for key in lost:
            await self.release(key)
        return lost

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another process has the lock."""
        if key in self._held or not self._path(key).exists():
            return False
        lock = self._lock(key)
        if lock is not None:  # left by a process that was killed
            lock.release()
        return lock is None

    async def aclose(self) -> None:
        """Release all locks."""
        for key in list(self._held):
            await self.release(key)

    def _path(self, key: str) -> Path:
        return self._folder / f"{sha256(key.encode()).hexdigest()[:32]}.lock"

    def _lock(self, key: str) -> FileLock | None:
        try:
            make_private_folder(self._folder)
            return try_lock(self._path(key))
        except OSError as error:
            raise StoreReadOnly(store=str(self._folder), stream_id="", position=0, reason=str(error)) from error


@attrs.define
class MemoryLocks:
    """Locks for a log that only one engine can use."""

    lag: ClassVar[float] = 0.0
    _held: set[str] = attrs.field(factory=set)

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`."""
        self._held.add(key)
        return True

    async def release(self, key: str) -> None:
        """Release the lock."""
        self._held.discard(key)

    async def lost(self) -> Collection[str]:
        """Return nothing: only this process can end them."""
        return ()

    async def held_elsewhere(self, key: str) -> bool:
        """Return False: there are no other engines."""
        return False

    async def aclose(self) -> None:
        """Release all locks."""
        self._held.clear()


def locks_for(url: str | StoreUrl, *, outage_timeout: float = OUTAGE_TIMEOUT) -> Locks:
    """Return the locks for the log at `url`; see `aura_store.open_log`, also for `outage_timeout` (seconds)."""
    where = StoreUrl.parse(str(url))
    if where.path is not None:
        file = where.path.resolve()
        return FileLocks(file.with_name(f"{file.name}.locks"))
    if where.kind == "memory":
        return MemoryLocks()
    from aura_store.postgres._advisory_locks import AdvisoryLocks  # noqa: PLC0415 - needs the extra

    return AdvisoryLocks(where.text, outage_timeout=outage_timeout)
