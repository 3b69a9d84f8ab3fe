"""The files in a git directory that lead elsewhere, put back as they were before an agent could change them."""

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from aura_contracts.private_files import write_private
from aura_git.repository._paths import read_file

_WRITTEN = ("commondir", "gitdir", "index", "COMMIT_EDITMSG", "ORIG_HEAD", "logs", "logs/HEAD")
"""What git writes in the git directory of a worktree through a symbolic link."""

_LOGS = ("logs", "logs/refs", "logs/refs/heads", "logs/refs/aura")
"""The folders of reflogs in a common directory, from the top down. Git writes below the last two."""

_SHARED = ("packed-refs", *_LOGS)
"""What git writes in a common directory through a symbolic link, which may be the user's."""

_SETTLED = 2_000_000_000
"""Nanoseconds after its last change from which a later change of a folder is sure to show in its time."""

_DEEPEST = 64
"""Folders in each other below which no branch is that AURA writes."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Known(NamedTuple):
    """A folder without links, when it was read."""

    state: tuple[int, int, int] | None
    """The device, the number and the time of change, which no program can set back; None: read it again."""
    folders: "dict[str, _Known]"


_UNKNOWN = _Known(None, {})


def links_of(common_dir: str) -> dict[str, str]:
    """Return the symbolic links in a common directory that git writes through, with the real paths behind them."""
    found = ((name, os.path.join(common_dir, name)) for name in _SHARED)
    return {name: os.path.realpath(file) for name, file in found if os.path.islink(file)}


class LinkRemover:
    """Removes symbolic links in place of files that git writes, and of the folders of such files.

    No folder is entered through a link, except through those that the user had: one swapped in meanwhile is not
    followed. A folder is read again only after it has changed: a repository may have thousands of branches. Used from
    several threads.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}
        """By common directory and name of a folder in it."""

    def remove(self, git_dir: str, common_dir: str, users: Mapping[str, str]) -> None:
        """Remove the links in a git directory and its common directory, except those of the user (see `links_of`).

        Raises `OSError` where a link may be left.
        """
        for name in _SHARED:
            link = f"{common_dir}/{name}"
            if os.path.islink(link) and os.path.realpath(link) != users.get(name):
                _unlink(link)
                if name == "logs":  # which git cannot make: a stand-in has a link to it
                    Path(link).mkdir(exist_ok=True)
        for name in _WRITTEN:
            link = f"{git_dir}/{name}"
            if os.path.islink(link) and (git_dir != common_dir or name not in users):
                _unlink(link)
        with suppress(FileNotFoundError, NotADirectoryError), _opened(common_dir) as common:
            self._remove_in_logs(common, common_dir, users)

    def _remove_in_logs(self, common: int, common_dir: str, users: Mapping[str, str]) -> None:
        with _opened(users.get("logs", "logs"), common) as logs, _opened(users.get("logs/refs", "refs"), logs) as refs:
            for name in ("heads", "aura"):
                with (
                    suppress(FileNotFoundError, NotADirectoryError),
                    _opened(users.get(f"logs/refs/{name}", name), refs) as folder,
                ):
                    known = self._known.get((common_dir, name), _UNKNOWN)
                    self._known[common_dir, name] = _remove_below(folder, known, _DEEPEST)


@contextmanager
def _opened(folder: str, above: int | None = None) -> Iterator[int]:
    """Open a folder, not a link to one, by its name in the open folder `above` or by its whole path."""
    descriptor = os.open(folder, _FOLDER, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_below(folder: int, known: _Known, depth: int) -> _Known:
    """Remove the symbolic links below an open folder; return what is known of it now."""
    found = os.fstat(folder)
    state = (found.st_dev, found.st_ino, found.st_ctime_ns)
    if known.state != state:
        is_settled = time.time_ns() - found.st_ctime_ns > _SETTLED
        names = _remove_in(folder)
        known = _Known(state if is_settled else None, {name: known.folders.get(name, _UNKNOWN) for name in names})
    for name, inner in known.folders.items() if depth else ():
        with suppress(FileNotFoundError, NotADirectoryError), _opened(name, folder) as opened:
            known.folders[name] = _remove_below(opened, inner, depth - 1)
    return known


def _remove_in(folder: int) -> list[str]:
    """Remove the symbolic links in an open folder; return the names of the folders in it."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_symlink():
            _unlink(entry.name, folder)
    return [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]


def _unlink(link: str, folder: int | None = None) -> None:
    with suppress(FileNotFoundError):  # another command may have removed it
        os.unlink(link, dir_fd=folder)


def lead_back(path: str, git_dir: str, common_dir: str) -> None:
    """Make the files of the worktree at `path` lead to these directories, and back; one that is gone leads nowhere."""
    if git_dir == common_dir:
        Path(git_dir, "commondir").unlink(missing_ok=True)
    elif os.path.isdir(path):
        _lead(Path(git_dir, "commondir"), common_dir, relative_to=git_dir)
        _lead(Path(git_dir, "gitdir"), os.path.join(path, ".git"), relative_to=git_dir)
        dot = Path(path, ".git")
        if dot.is_file():
            _lead(dot, git_dir, relative_to=path, prefix="gitdir: ", scratch=Path(git_dir))


def _lead(file: Path, target: str, *, relative_to: str, prefix: str = "", scratch: Path | None = None) -> None:
    """Make a file that names a path name `target`, unless it does.

    It is written in `scratch` first, where that is possible: what a kill leaves in a worktree would be committed.
    """
    with suppress(OSError):
        text = os.fsdecode(read_file(str(file))).rstrip("\r\n")
        if text in {f"{prefix}{target}", f"{prefix}{os.path.relpath(target, relative_to)}"}:
            return  # as git writes it
        if text.startswith(prefix):
            named = os.path.join(relative_to, text.removeprefix(prefix).lstrip(" "))
            if os.path.realpath(named) == os.path.realpath(target):
                return
    content, mode = os.fsencode(f"{prefix}{target}\n"), 0o666  # as git makes it
    try:
        write_private(file, content, mode=mode, scratch=scratch)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_private(file, content, mode=mode)
