"""Removing folders that agents have filled."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

_COMMANDS = (("chmod", "-R", "u+rwX", "--"), ("rm", "-rf", "--"))
"""They follow no symbolic link inside the folder."""


def remove_folder(folder: Path) -> None:
    """Remove a folder as far as possible, also folders in it that may not be changed, and no matter how deep.

    Python itself gives up after a thousand levels.
    """
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    for command in _COMMANDS:
        if folder.is_dir() and not folder.is_symlink():
            with suppress(OSError):
                subprocess.run([*command, folder], stderr=subprocess.DEVNULL, check=False)  # noqa: S603
