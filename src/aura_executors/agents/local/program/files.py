"""Files: reads and changes files of the working folder. Errors are messages for the model."""

import difflib
import os
import stat
from pathlib import Path
from typing import NamedTuple

READ_LIMIT = 50 * 1024 * 1024
"""Bytes of a file that is read for lines of it; for an edit, a tenth."""

LINES = 2_000
"""Lines that are read where no number is given."""

DIFF_LIMIT = 60_000
"""Characters of a diff; and of a file, many times that, for which one is made at all."""


class ToolFailed(Exception):
    """A tool failed; the text tells the model why, and what to do instead."""


class EditedFile(NamedTuple):
    """The new content of a file."""

    path: Path
    shown: str
    """The path as people know it, within the working folder."""
    before: bytes | None
    """None: there is no such file yet."""
    after: bytes

    @property
    def diff(self) -> str:
        """As ``diff -u`` writes it."""
        before = self.before or b""
        if len(before) + len(self.after) > 20 * DIFF_LIMIT:
            return f"{self.shown}: {len(before)} bytes become {len(self.after)}; too many to be compared\n"
        lines = difflib.unified_diff(
            before.decode("utf-8", "replace").splitlines(keepends=True),
            self.after.decode("utf-8", "replace").splitlines(keepends=True),
            f"a/{self.shown}" if self.before is not None else "/dev/null",
            f"b/{self.shown}",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def apply(self) -> None:
        """Write it. Raises `ToolFailed` if the file has changed since the change was computed."""
        with _explained(self.shown):
            if _content(self.path, READ_LIMIT) != self.before:
                raise ToolFailed(f"{self.shown}: it changed in the meantime; read it again")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self.after)


class Files:
    """The files of a working folder. `read_outside`: others may be read, not written."""

    def __init__(self, root: Path, *, read_outside: bool = False) -> None:
        self.root = root.resolve()
        self._read_outside = read_outside

    def inside(self, path: str, *, reading: bool) -> Path:
        """Return where a path leads, following links. Raises `ToolFailed` if that is outside or protected."""
        if "\0" in path or not path:
            raise ToolFailed(f"{path!r} is not a path")
        with _explained(path):
            place = (self.root / path).resolve()
        within = place.is_relative_to(self.root)
        if not within and not (reading and self._read_outside):
            raise ToolFailed(f"{path}: is outside the working folder; give a path within {self.root}")
        if not reading and ".git" in place.relative_to(self.root).parts:
            raise ToolFailed(f"{path}: files of git cannot be written; use git itself")
        return place

    def shown(self, place: Path) -> str:
        """Return how a place is called in results."""
        return str(place.relative_to(self.root)) if place.is_relative_to(self.root) else str(place)

    def read(self, path: str, offset: int = 1, limit: int = LINES) -> str:
        """Return lines of a file, from line number `offset` on, with a word about what was left out."""
        place = self.inside(path, reading=True)
        if place.is_dir():
            raise ToolFailed(f"{path}: is a folder; use list_files")
        with _explained(path):
            content = _content(place, READ_LIMIT)
        if content is None:
            raise ToolFailed(f"{path}: no such file; list_files shows the existing ones")
        if b"\0" in content[:8192]:
            raise ToolFailed(f"{path}: not a text file ({len(content)} bytes)")
        lines = content.decode("utf-8", "replace").splitlines(keepends=True)
        first, count = max(1, offset), max(1, limit)
        chosen = lines[first - 1 : first - 1 + count]
        if not chosen:
            return f"[the file has {len(lines)} lines]" if lines else "[the file is empty]"
        text = "".join(chosen)
        last = first + len(chosen) - 1
        return text if len(chosen) == len(lines) else f"[lines {first} to {last} of {len(lines)}]\n{text}"

    def write(self, path: str, content: str) -> EditedFile:
        """Return the change that makes a file hold `content`."""
        place = self.inside(path, reading=False)
        with _explained(path):
            return EditedFile(place, self.shown(place), _content(place, READ_LIMIT), content.encode("utf-8", "replace"))

    def edit(self, path: str, old: str, new: str, *, replace_all: bool = False) -> EditedFile:
        """Return the change that replaces `old` in a file, which has to be there exactly once unless `replace_all`."""
        place = self.inside(path, reading=False)
        with _explained(path):
            before = _content(place, READ_LIMIT // 10)
        if before is None:
            raise ToolFailed(f"{path}: no such file; write_file creates it")
        if not old or old == new:
            raise ToolFailed("old_string is empty" if not old else "old_string and new_string are the same")
        found, wanted = old.encode("utf-8", "replace"), new.encode("utf-8", "replace")
        if found not in before and b"\r\n" in before:  # models write other line ends than the file has
            found, wanted = (text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for text in (found, wanted))
        count = before.count(found)
        if count == 0:
            raise ToolFailed(f"{path}: old_string is not in there; read the file and copy the text exactly")
        if count > 1 and not replace_all:
            raise ToolFailed(f"{path}: old_string is in there {count} times; give more of the text, or replace_all")
        return EditedFile(place, self.shown(place), before, before.replace(found, wanted))


class _explained:  # noqa: N801 - used as a function
    """Turns an error of the system into a text for the model."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, RuntimeError, ValueError)):  # RuntimeError: links that lead in a circle
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ToolFailed(f"{self._path}: {reason}") from error


def _content(place: Path, limit: int) -> bytes | None:
    """Return the content of a file, or None if it does not exist. Never blocks, even on a named pipe."""
    try:
        number = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("is not a regular file")
        if status.st_size > limit:
            raise OSError(f"has {status.st_size} bytes, more than the {limit} that can be read")
        return file.read(limit + 1)
