"""Files and folders that only their user can read: everything that AURA keeps is made so, whatever the umask."""

import os
import shlex
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from stat import S_IMODE, S_IRGRP, S_IROTH, S_IWGRP, S_IWOTH

from aura_contracts.errors import InvalidInput

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_OTHERS = S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH

UNFINISHED = ".aura-*"
"""The pattern of the names of files that `write_private` has not finished."""


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing; one that exists stays as it is. Raises `OSError`."""
    missing = list(takewhile(lambda folder: not folder.is_dir(), chain((path,), path.parents)))
    for folder in reversed(missing):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def require_private(path: Path, field: str) -> None:
    """Refuse a file or folder that others can read or write. Raises `InvalidInput`, and `OSError`."""
    mode = S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        reason = f"others can read or write {path} (its mode is {mode:04o})"
        raise InvalidInput(field=field, reason=reason, remedy=f"chmod go= {shlex.quote(str(path))}")


def sync_folder(path: Path) -> None:
    """Have the names in a folder survive a power cut. Raises `OSError`."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_private_file(path: Path) -> None:
    """Make an empty file; one that exists stays as it is. Raises `OSError`."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=private_opener)`: one that is made is private."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def write_private(
    path: Path, content: bytes, *, mode: int = FILE_MODE, once: bool = False, scratch: Path | None = None
) -> None:
    """Write a file that others see whole or not at all, even while they write it. Raises `OSError`.

    The file is a new one: what is behind a link in its place stays as it is. With `once`, a file that exists stays, and
    a new one survives a power cut.

    A killed process leaves a file `UNFINISHED` in `scratch`, which is on the same device, or in the folder of `path`.
    """
    new = (scratch or path.parent) / f".aura-{os.urandom(8).hex()}"  # which cannot be a link: it is new
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if once:
                file.flush()
                os.fsync(descriptor)
        if not once:
            new.replace(path)
            return
        with suppress(FileExistsError):
            path.hardlink_to(new)
        sync_folder(path.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    new.unlink()
