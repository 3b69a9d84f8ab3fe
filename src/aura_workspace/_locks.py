"""File locks that the kernel releases when their process ends, however it ends (flock(2)).

If the process is killed, the git that it leaves behind keeps the lock until it has ended.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aura_contracts.ports.git import keeping
from aura_contracts.private_files import make_private_folder

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)
"""Seconds between attempts; the last is repeated."""


class FileLock:
    """The lock on the file at `path`, held. Threads exclude each other as processes do."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self.descriptor = descriptor

    def release(self) -> None:
        """Release the lock and remove the file, which means nothing without the lock. Repeatable."""
        if self.descriptor >= 0:
            with suppress(OSError):
                self._path.unlink()
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            os.close(self.descriptor)
            self.descriptor = -1


def try_lock(path: Path) -> FileLock | None:
    """Lock the file at `path`, creating it and its folder if necessary; return None if the lock is taken."""
    make_private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return FileLock(path, descriptor)
    except (BlockingIOError, FileNotFoundError):  # taken, or just released: then the file was removed
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def locked(
    path: Path, patience: float, clock: Callable[[], float], meanwhile: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Hold the lock in the body. Yields False, without the lock, if it was taken for `patience` seconds.

    While it is taken, `meanwhile` is called about once a second: what it ends may hold the lock.
    """
    deadline = clock() + patience
    pauses = iter(_PAUSES)
    called = -1.0
    while (lock := try_lock(path)) is None and clock() < deadline:
        if clock() > called + 1:
            meanwhile()
            called = clock()
        time.sleep(next(pauses, _PAUSES[-1]))
    if lock is None:
        yield False
        return
    try:
        with keeping(lock.descriptor):
            yield True
    finally:
        lock.release()
