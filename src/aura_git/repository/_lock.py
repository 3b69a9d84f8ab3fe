"""The lock of a repository: one merge at a time in it, in whichever process, and no worktree moves.

It is a file in the common git directory. Each git that the holder runs inherits it, so when the holder is killed the
kernel releases it as soon as everything that it left behind has ended. A waiter ends what such a git has left
running, if it holds the lock: a daemon that a filter has started, say.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aura_contracts.errors import GitFailed, GitTimeout
from aura_contracts.file_locks import lock_file
from aura_contracts.ports.git import keeping
from aura_git.commandline._leftovers import end_holders_left_by_the_dead

_FILE = "aura-merge.lock"


@contextmanager
def repository_lock(repository: str, common_dir: str, timeout: float) -> Iterator[None]:
    """Hold the repository's lock. Raises `GitTimeout` after waiting for it for `timeout` seconds, and `GitFailed`."""
    file = os.path.join(common_dir, _FILE)
    remedy = f"another merge is running in this repository (lock: {file}); try again"
    with file_lock(file, GitTimeout(repository=repository, command="merge", seconds=timeout, remedy=remedy)):
        yield


@contextmanager
def file_lock(file: str, timeout: GitTimeout, mode: int = 0o666) -> Iterator[None]:
    """Hold the lock on a file. Raises `timeout` after its seconds, and `GitFailed` for a file that cannot be opened."""
    try:
        lock = lock_file(Path(file), timeout.seconds, mode=mode, meanwhile=lambda: end_holders_left_by_the_dead(file))
    except OSError as error:
        reason = f"its lock {file} cannot be opened: {error.strerror}"
        remedy = f"look at it, and remove it: ls -ld {shlex.quote(file)}"
        raise GitFailed(repository=timeout.repository, command=timeout.command, reason=reason, remedy=remedy) from error
    if lock is None:
        raise timeout
    with lock, keeping(lock.descriptor):
        yield
