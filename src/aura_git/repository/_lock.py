"""The lock of a repository: one merge at a time in it, in whichever process, and no worktree moves meanwhile.

It is an `flock` on a file in the common git directory. Each git that the holder runs inherits it, so when the holder
is killed the kernel releases it as soon as everything that it left behind has ended. Who waits for the lock ends what
such a git has left running itself, such as a daemon that a filter has started. A holder that is not killed releases it
for all of them.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aura_contracts.errors import GitTimeout
from aura_contracts.ports.git import keeping
from aura_git.commandline._leftovers import end_left_by_the_dead

_FILE = "aura-merge.lock"
_PAUSE = 0.005
_LOOK_AGAIN = 1.0
"""Seconds."""


@contextmanager
def repository_lock(repository: str, common_dir: str, timeout: float) -> Iterator[None]:
    """Hold the repository's lock. Raises `GitTimeout` after waiting for it for `timeout` seconds."""
    descriptor = os.open(os.path.join(common_dir, _FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        deadline = time.monotonic() + timeout
        looked = 0.0
        while not _try_lock(descriptor):
            if time.monotonic() > looked + _LOOK_AGAIN:
                end_left_by_the_dead()
                looked = time.monotonic()
            if time.monotonic() > deadline:
                raise GitTimeout(
                    repository=repository,
                    command="merge",
                    seconds=timeout,
                    remedy=f"another merge is running in this repository (lock: {common_dir}/{_FILE}); try again",
                )
            time.sleep(_PAUSE)
        try:
            with keeping(descriptor):
                yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
