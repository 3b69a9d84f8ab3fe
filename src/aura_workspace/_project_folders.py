"""Project folders: which folders cannot be a project, however small they are.

A private repository copies all that a folder holds, keeps it, and shows it to an agent. So it takes no home folder, and
nothing that contains one or holds its keys and settings; nor a drive or a folder of the system.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OF_PROGRAMS = frozenset(
    {
        *(".ssh", ".gnupg", ".pki", ".password-store", ".aws", ".azure", ".docker", ".kube"),
        *(".config", ".local", "Library", ".mozilla", ".thunderbird"),
        *(".cargo", ".gem", ".m2", ".npm", ".subversion", ".claude", ".codex", ".gemini"),
    }
)
"""Folders of a home where programs keep keys, passwords or sessions."""
_OF_SYSTEM = frozenset(
    {
        *("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr", "var"),
        *("Applications", "Library", "System", "private"),
    }
)
_ON_A_DRIVE = ("lost+found", "System Volume Information", "$RECYCLE.BIN", ".Spotlight-V100", ".Trashes")
"""What systems put at the root of a drive; one that is mounted for a container has none of it."""


def not_a_project(folder: Path, user_home: Path | None) -> str:
    """Return why `folder`, an absolute real path, cannot be a project; empty if it can. `user_home` is the user's."""
    if folder == folder.parent:
        return "it is the root of the file system"
    if of_home := next(filter(None, (_of_home(folder, home) for home in _homes(folder, user_home))), ""):
        return of_home
    if folder.parent == Path(folder.anchor) and folder.name in _OF_SYSTEM:
        return "it belongs to the system"
    if folder.is_mount() and any((folder / name).exists() for name in _ON_A_DRIVE):
        return "it is the root of a drive"
    return ""


def _of_home(folder: Path, home: Path) -> str:
    if home == folder:
        return "it is a home folder"
    if home.is_relative_to(folder):
        return f"it contains the home folder {home}"
    if folder.is_relative_to(home) and folder.relative_to(home).parts[0] in _OF_PROGRAMS:
        return f"programs keep the keys and settings of {home} there"
    return ""


def _homes(folder: Path, user_home: Path | None) -> Iterator[Path]:
    """Yield the real paths of the home folders of the user and of the owner of `folder`."""
    if user_home is not None:
        yield Path(os.path.realpath(user_home))
    for user in {os.getuid(), folder.stat().st_uid}:
        with suppress(KeyError):
            yield Path(os.path.realpath(pwd.getpwuid(user).pw_dir))
