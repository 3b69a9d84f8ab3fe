"""Copied files: untracked files that a worktree needs, such as ``.env``, from the repository that the user works in.

They are not work, so `without_added` leaves them out of diffs.

Patterns are those of `glob`: relative to the top of the repository, ``**`` for any folders; ``*`` also matches names
that begin with a dot. Nothing outside the repository is read, and nothing outside the worktree is written: files behind
a symbolic link that leads elsewhere are left out. Files that the worktree has already are not changed.
"""

import glob
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from aura_contracts.errors import InvalidInput
from aura_contracts.file_paths import is_below, is_within
from aura_contracts.ports.git_values import ChangeKind, Diff
from aura_contracts.quoting import quoted


def require_inside(pattern: str) -> str:
    """Return `pattern`, or raise `InvalidInput` unless it is safely relative, here and on Windows."""
    both = (PurePosixPath(pattern), PureWindowsPath(pattern))
    if not pattern.strip() or "\0" in pattern or any(path.anchor or ".." in path.parts for path in both):
        raise InvalidInput(
            field="copy_globs",
            reason=f"{pattern!r} does not stay below the repository",
            remedy="write it relative to the repository, without '..'",
        )
    return pattern


def copy_untracked(source: Path, target: Path, patterns: Iterable[str]) -> list[str]:
    """Copy the files that match `patterns` from `source` to `target`; return their relative paths, with ``/``."""
    copied: list[str] = []
    for pattern in patterns:
        for match in sorted(_matches(source, pattern)):
            _Copying(source, target, copied).take(Path(match))
    return copied


def matches_below(source: Path, folder: str, patterns: Iterable[str]) -> bool:
    """Whether the patterns match something in a folder of `source`, the folder itself, or one above."""
    matches = (match.rstrip("/") for pattern in patterns for match in _matches(source, pattern))
    return any(is_within(match, folder) or is_within(folder, match) for match in matches)


def _matches(source: Path, pattern: str) -> Iterator[str]:
    return glob.iglob(require_inside(pattern), root_dir=source, recursive=True, include_hidden=True)  # noqa: PTH207 - Path.glob follows other rules


class _Copying:
    """Copies from one tree to another. Paths are relative to both."""

    def __init__(self, source: Path, target: Path, copied: list[str]) -> None:
        self._source = source
        self._target = target
        self._top = os.path.realpath(source)
        self._copied = copied

    def take(self, path: Path) -> None:
        """Copy the file or folder at `path`, unless it is outside, or its place is taken."""
        if ".git" in path.parts or not path.parts or not self._is_inside(path) or not self._make_room(path):
            return
        source, target = self._source / path, self._target / path
        kind = source.lstat().st_mode
        if stat.S_ISDIR(kind):
            self._take_folder(path)
        elif os.path.lexists(target):
            return
        elif stat.S_ISLNK(kind):
            if self._leads_inside(path):
                target.symlink_to(source.readlink())
                self._copied.append(path.as_posix())
        elif stat.S_ISREG(kind):
            shutil.copy2(source, target, follow_symlinks=False)
            self._copied.append(path.as_posix())

    def _take_folder(self, path: Path) -> None:
        source, target = self._source / path, self._target / path
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            return
        is_new = not target.exists()
        target.mkdir(exist_ok=True)
        for entry in sorted(source.iterdir()):
            self.take(path / entry.name)
        if is_new:
            shutil.copystat(source, target)  # last: it may forbid writing

    def _is_inside(self, path: Path) -> bool:
        """Whether the folder of `path` is in the repository once all links are followed."""
        if not os.path.lexists(self._source / path):
            return False
        return is_within(os.path.realpath((self._source / path).parent), self._top)

    def _leads_inside(self, path: Path) -> bool:
        """Whether a link is relative, and leads into the repository."""
        link = (self._source / path).readlink()
        return not link.is_absolute() and is_below(os.path.realpath(self._source / path), self._top)

    def _make_room(self, path: Path) -> bool:
        """Create the folders of `path`; return False if one of them exists but is not a folder, but a link, say."""
        for parent in reversed(path.parents[:-1]):
            folder = self._target / parent
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                return False
            if not folder.exists():
                folder.mkdir()
                folder.chmod(stat.S_IMODE((self._source / parent).stat().st_mode) | stat.S_IRWXU)
        return True


_FILE = re.compile(rb"^(?=diff --git )", re.MULTILINE)
"""The beginning of a file's section: lines of content have a sign in front of them."""


def without_added(diff: Diff, hidden: Callable[[str], bool]) -> Diff:
    """Return `diff` without the added files that are `hidden`."""
    dropped = {file.path for file in diff.files if file.kind is ChangeKind.ADDED and hidden(file.path)}
    if not dropped:
        return diff
    patch = diff.patch
    if patch is not None:
        headers = {_header(path) for path in dropped}
        patch = b"".join(one for one in _FILE.split(patch) if one.partition(b"\n")[0] not in headers)
    files = tuple(file for file in diff.files if file.path not in dropped)
    return Diff(files=files, patch=patch, truncated=diff.truncated)


def _header(path: str) -> bytes:
    """Return the first line of a file's section."""
    return f"diff --git {quoted(f'a/{path}', only_ascii=True)} {quoted(f'b/{path}', only_ascii=True)}".encode("ascii")
