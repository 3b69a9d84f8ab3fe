"""Locks on files, held by processes and given back by the kernel when these end, however they end (flock(2))."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)
"""Seconds between two tries; the last one again and again."""


class FileLock:
    """The lock on the file at `path`, held. Threads exclude one another as processes do."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back and remove the file, which has no meaning while nobody holds the lock. Repeatable."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def try_lock(path: Path) -> FileLock | None:
    """Lock the file at `path`, making it and its folder where they are missing; None when somebody has the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return FileLock(path, descriptor)
    except (BlockingIOError, FileNotFoundError):  # held, or just given back: then the file was removed
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def locked(path: Path, patience: float, clock: Callable[[], float]) -> Iterator[bool]:
    """Hold the lock in the body. Gives False, and holds nothing, when somebody else had it for `patience` seconds."""
    deadline = clock() + patience
    pauses = iter(_PAUSES)
    while (lock := try_lock(path)) is None and clock() < deadline:
        time.sleep(next(pauses, _PAUSES[-1]))
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()
