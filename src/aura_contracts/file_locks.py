"""File locks that the kernel releases when their process ends, however it ends (flock(2)).

- Threads exclude each other as processes do.
- Child processes that inherit the descriptor keep the lock of a process that is killed until they have ended. A holder
  that releases it releases it for them, too.
- The file of a lock is removed with it. One that was removed or replaced locks nothing: the lock holds as long as the
  path leads to what is locked.

All of it blocks, and raises `OSError`.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from aura_contracts.private_files import FILE_MODE

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)
"""Seconds between attempts; the last is repeated."""


class FileLock(AbstractContextManager["FileLock"]):
    """The lock on the file or folder at `path`, held until it is released: by the end of a ``with`` block, say."""

    def __init__(self, path: Path, descriptor: int, *, of_folder: bool = False) -> None:
        self.descriptor = descriptor
        self._path = path
        self._of_folder = of_folder

    @property
    def holds(self) -> bool:
        """Whether the path still leads to what is locked."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(self.descriptor), self._path.stat())
        return False

    def release(self) -> None:
        """Release the lock. Repeatable."""
        if self.descriptor < 0:
            return
        if self.holds and not self._of_folder:
            with suppress(OSError):  # a file that cannot be removed locks nothing once it is closed
                self._path.unlink()
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)
        self.descriptor = -1

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        self.release()


def try_lock(path: Path, *, mode: int = FILE_MODE) -> FileLock | None:
    """Lock the file at `path`, which is made if it is missing; return None if the lock is taken."""
    return _lock(path, os.O_RDWR | os.O_CREAT, mode, fcntl.LOCK_EX)


def lock_file(
    path: Path, timeout: float, *, mode: int = FILE_MODE, meanwhile: Callable[[], None] = lambda: None
) -> FileLock | None:
    """Lock the file at `path`, see `try_lock`; return None if it was taken for `timeout` seconds.

    While it is taken, `meanwhile` is called about once a second: what it ends may hold the lock.
    """
    return _patiently(lambda: try_lock(path, mode=mode), timeout, meanwhile)


def lock_folder(path: Path, timeout: float, *, shared: bool = False) -> FileLock | None:
    """Lock a folder, which takes no file and no permission to write; return None if it was taken for `timeout` seconds.

    A `shared` lock admits other shared ones.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    return _patiently(lambda: _lock(path, os.O_RDONLY | os.O_DIRECTORY, 0, how), timeout)


def _patiently(
    attempt: Callable[[], FileLock | None], timeout: float, meanwhile: Callable[[], None] = lambda: None
) -> FileLock | None:
    now = time.monotonic()
    deadline, called = now + timeout, now - 1
    pauses = iter(_PAUSES)
    while (lock := attempt()) is None and (now := time.monotonic()) < deadline:
        if now >= called + 1:
            meanwhile()
            called = time.monotonic()
        time.sleep(next(pauses, _PAUSES[-1]))
    return lock


def _lock(path: Path, flags: int, mode: int, how: int) -> FileLock | None:
    while True:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        lock = FileLock(path, descriptor, of_folder=bool(flags & os.O_DIRECTORY))
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            raise
        if lock.holds:
            return lock
        os.close(descriptor)  # the file was removed between opening and locking
