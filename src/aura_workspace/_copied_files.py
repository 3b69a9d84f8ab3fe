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
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.git import ChangeKind, Diff


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
        for match in sorted(glob.glob(require_inside(pattern), root_dir=source, recursive=True, include_hidden=True)):  # noqa: PTH207 - Path.glob follows other rules
            _Copying(source, target, copied).take(Path(match))
    return copied


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
        folder = os.path.realpath((self._source / path).parent)
        return folder == self._top or folder.startswith(self._top + os.sep)

    def _leads_inside(self, path: Path) -> bool:
        """Whether a link is relative, and leads into the repository."""
        link = (self._source / path).readlink()
        return not link.is_absolute() and os.path.realpath(self._source / path).startswith(self._top + os.sep)

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

_PLAIN = re.compile(rb'[^\x00-\x1f\x7f-\xff"\\]*')
_LETTERS = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}


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
    """Return the first line of a file's section, with its name quoted as git quotes it."""
    name = os.fsencode(path)
    if _PLAIN.fullmatch(name):
        return b"diff --git a/%b b/%b" % (name, name)
    quoted = b"".join(_quoted(byte) for byte in name)
    return b'diff --git "a/%b" "b/%b"' % (quoted, quoted)


def _quoted(byte: int) -> bytes:
    if letter := _LETTERS.get(byte):
        return b"\\" + letter
    return b"\\%03o" % byte if byte < 0x20 or byte >= 0x7F else bytes([byte])
