"""Files and folders that only their user can read: everything that AURA keeps is made so, whatever the umask."""

import os
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing; one that exists stays as it is. Raises `OSError`."""
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file; one that exists stays as it is. Raises `OSError`."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=private_opener)`: one that is made is private."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
