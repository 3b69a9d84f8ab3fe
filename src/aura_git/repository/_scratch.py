"""Private folders for the length of one call, such as that of a copy of an index.

Each is locked while it is in use, by a descriptor that no child process inherits: so when a process is killed, the next
one can tell what it left behind, and removes it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from aura_contracts.errors import GitTimeout
from aura_contracts.file_locks import FileLock, lock_folder
from aura_contracts.folder_removal import remove_folder
from aura_contracts.private_files import make_private_folder

_PREFIX = "aura-"

_TIMEOUT = 30.0
"""Seconds."""


class ScratchFolders:
    """Makes folders in `parent`, or, where that is None, where the system keeps temporary ones.

    Made and swept under a lock of `parent`: no folder is removed before it is locked.
    """

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent

    @contextmanager
    def folder(self) -> Iterator[str]:
        """Give a new folder for this user alone; it is removed at the end."""
        if self._parent is None:
            with TemporaryDirectory(prefix=_PREFIX) as folder:
                yield folder
            return
        make_private_folder(self._parent)
        with ExitStack() as stack:
            with _held(self._parent):
                folder = stack.enter_context(TemporaryDirectory(prefix=_PREFIX, dir=self._parent))
                stack.enter_context(_held(Path(folder)))
            yield folder

    def sweep(self) -> None:
        """Remove the folders of processes that were killed."""
        if self._parent is None or not self._parent.is_dir():
            return
        with lock_folder(self._parent, _TIMEOUT) or nullcontext() as alone:
            for folder in self._parent.iterdir() if alone else ():
                with suppress(OSError), lock_folder(folder, 0) or nullcontext() as unused:
                    if unused:
                        remove_folder(folder)


def _held(folder: Path) -> FileLock:
    """Return the lock that keeps a folder from being swept."""
    lock = lock_folder(folder, _TIMEOUT, shared=True)
    if lock is None:
        remedy = "another process is cleaning up there; try again"
        raise GitTimeout(repository=str(folder), command="lock", seconds=_TIMEOUT, remedy=remedy)
    return lock
