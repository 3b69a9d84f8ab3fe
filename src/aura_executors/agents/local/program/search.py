"""Lists files and finds lines in them. Bounded in size and time."""

import fnmatch
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from aura_executors.agents.local.program.files import Files, ToolFailed

ENTRIES = 1_000
"""Files that are listed; lines that are found are a fifth."""

SECONDS = 20.0
"""For one search: a regular expression may take forever."""

FILE_LIMIT = 2 * 1024 * 1024
"""Bytes of a file that is searched; larger ones are seldom written by people."""

LINE_SHOWN = 300

_SKIPPED = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".mypy_cache", ".tox"})
"""Folders that are left out where git does not say what is ignored."""


def list_files(files: Files, path: str = ".", pattern: str = "*") -> str:
    """Return the paths of files below `path` that match `pattern` (``*.py``, ``src/*``), those git ignores not."""
    start = files.inside(path, reading=True)
    if not start.exists():
        raise ToolFailed(f"{path}: no such folder")
    found: list[str] = []
    with _limited(SECONDS):
        for place in _below(start):
            shown = files.shown(place)
            if fnmatch.fnmatch(shown, pattern) or fnmatch.fnmatch(place.name, pattern):
                found.append(shown)
            if len(found) > ENTRIES:
                break
    more = f"\n[there are more than {ENTRIES}; give a narrower path or pattern]" if len(found) > ENTRIES else ""
    return "\n".join(found[:ENTRIES]) + more if found else "[no files]"


def search(files: Files, pattern: str, path: str = ".", glob: str = "*") -> str:
    """Return the lines that match a regular expression, as ``path:number:line``."""
    try:
        wanted = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ToolFailed(f"{pattern!r} is not a regular expression: {error}") from error
    start = files.inside(path, reading=True)
    found: list[str] = []
    with _limited(SECONDS):
        for place in _below(start):
            shown = files.shown(place)
            if fnmatch.fnmatch(shown, glob) or fnmatch.fnmatch(place.name, glob):
                found += _matches(place, shown, wanted, ENTRIES // 5 + 1 - len(found))
            if len(found) > ENTRIES // 5:
                more = f"[there are more than {ENTRIES // 5}; search for something narrower]"
                return "\n".join([*found[:-1], more])
    return "\n".join(found) if found else "[no matches]"


def _matches(place: Path, shown: str, wanted: re.Pattern[str], most: int) -> list[str]:
    found: list[str] = []
    try:
        if place.is_symlink() or not place.is_file() or place.stat().st_size > FILE_LIMIT:
            return found
        content = place.read_bytes()
    except OSError:
        return found
    if b"\0" in content[:8192]:
        return found
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if wanted.search(line):
            found.append(f"{shown}:{number}:{line[:LINE_SHOWN]}")
            if len(found) >= most:
                break
    return found


def _below(start: Path) -> Iterator[Path]:
    """Yield the files below `start`, sorted; those that git knows or would add, if it is in a work tree."""
    if not start.is_dir():
        yield start
        return
    listed = _git_files(start)
    if listed is not None:
        yield from (start / name for name in listed)
        return
    for folder, folders, names in os.walk(start):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (Path(folder) / name for name in sorted(names))


def _git_files(start: Path) -> list[str] | None:
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(  # noqa: S603 - git
            command, cwd=start, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return sorted({os.fsdecode(name) for name in done.stdout.split(b"\0") if name}) if done.returncode == 0 else None


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `ToolFailed` when the block takes longer. Python's regular expressions look for signals while they run."""

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise ToolFailed(f"it took longer than {seconds:g} seconds; search for something narrower")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
