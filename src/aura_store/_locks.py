"""Locks: which engine drives a task. They end with the process that holds them, no matter how it ends.

SQLite       a locked file next to the database for each key (flock), released by the kernel. The folder of these
             files is found by the resolved path of the database, so links and relative paths lead to the same locks.
memory       a set, because the log belongs to one process
PostgreSQL   an advisory lock in a session of its own, released by the server

A lock may end before its holder does: its file is removed or replaced, the session ends with the server. The holder
learns of it from `lost`.
"""

import fcntl
import os
from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import anyio
import attrs

from aura_contracts.errors import StoreReadOnly
from aura_contracts.ports.event_log import Locks
from aura_contracts.private_files import make_private_folder
from aura_contracts.store_url import StoreUrl
from aura_store.log._patience import OUTAGE_TIMEOUT

_GLANCE = 0.005
"""Seconds; a mere check whether a lock is held takes it for less than this."""


@attrs.define
class FileLocks:
    """Locks as files in a folder. Implements `aura_contracts.ports.event_log.Locks`."""

    _folder: Path
    _held: dict[str, int] = attrs.field(factory=dict)

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, see the port. Raises `StoreReadOnly` if its file cannot be created."""
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
        """Release the lock, and delete its file while it is still locked: see `_lock`."""
        descriptor = self._held.pop(key, None)
        if descriptor is not None:
            self._drop(key, descriptor)

    async def lost(self) -> Collection[str]:
        """See the port. A lock is lost when its path leads to another file, or to none."""
        lost = [key for key, descriptor in self._held.items() if not _is_at(descriptor, self._path(key))]
        for key in lost:
            os.close(self._held.pop(key))
        return lost

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another process has the lock."""
        if key in self._held or not self._path(key).exists():
            return False
        descriptor = self._lock(key)
        if descriptor is not None:  # left by a process that was killed
            self._drop(key, descriptor)
        return descriptor is None

    async def aclose(self) -> None:
        """Release all locks."""
        for key in list(self._held):
            await self.release(key)

    def _path(self, key: str) -> Path:
        return self._folder / f"{sha256(key.encode()).hexdigest()[:32]}.lock"

    def _drop(self, key: str, descriptor: int) -> None:
        """Delete the file of a lock, unless it is by now that of another process, and release the lock."""
        path = self._path(key)
        with suppress(OSError):  # a file that cannot be deleted locks nothing once it is closed
            if _is_at(descriptor, path):
                path.unlink()
        os.close(descriptor)

    def _lock(self, key: str) -> int | None:
        """Return a locked descriptor, or None if another process holds the lock.

        A file that was deleted between opening and locking no longer locks anything, so another one is created.
        """
        path = self._path(key)
        while True:
            try:
                make_private_folder(self._folder)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreReadOnly(store=str(self._folder), stream_id="", position=0, reason=str(error)) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError as error:  # the file system has no locks
                os.close(descriptor)
                raise StoreReadOnly(store=str(self._folder), stream_id="", position=0, reason=str(error)) from error
            if _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


@attrs.define
class MemoryLocks:
    """Locks for a log that only one engine can use."""

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
