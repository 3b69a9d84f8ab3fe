"""One merge at a time in a repository, whichever process it is in; and nobody prunes worktrees while one is moved.

The lock is an `flock` on a file in the common git directory: the kernel takes it back when its holder dies.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aura_contracts.errors import GitTimeout

_FILE = "aura-merge.lock"
_PAUSE = 0.005


@contextmanager
def merge_lock(repository: str, common_dir: str, timeout: float) -> Iterator[None]:
    """Hold the repository's lock; wait for it at most `timeout` seconds, then raise `GitTimeout`."""
    descriptor = os.open(Path(common_dir) / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + timeout
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise GitTimeout(
                    repository=repository,
                    command="merge",
                    seconds=timeout,
                    remedy=f"another merge is under way in this repository (lock: {common_dir}/{_FILE}); try again",
                )
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
