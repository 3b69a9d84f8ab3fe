"""Diffs without the files that were copied into a worktree: they are no work."""

import os
import re
from collections.abc import Callable

from aura_contracts.ports.git import ChangeKind, Diff

_FILE = re.compile(rb"^(?=diff --git )", re.MULTILINE)
"""Where the part of a file begins: no line of content does so, it has a sign before it."""

_PLAIN = re.compile(rb'[^\x00-\x1f\x7f-\xff"\\]*')
_LETTERS = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}


def without_added(diff: Diff, hidden: Callable[[str], bool]) -> Diff:
    """Return `diff` without the files that it adds and that are `hidden`."""
    dropped = {file.path for file in diff.files if file.kind is ChangeKind.ADDED and hidden(file.path)}
    if not dropped:
        return diff
    patch = diff.patch
    if patch is not None:
        headers = {_header(path) for path in dropped}
        patch = b"".join(part for part in _FILE.split(patch) if part.partition(b"\n")[0] not in headers)
    files = tuple(file for file in diff.files if file.path not in dropped)
    return Diff(files=files, patch=patch, truncated=diff.truncated)


def _header(path: str) -> bytes:
    """Return the line that a file's part begins with, its name quoted as git quotes it."""
    name = os.fsencode(path)
    if _PLAIN.fullmatch(name):
        return b"diff --git a/%b b/%b" % (name, name)
    quoted = b"".join(_quoted(byte) for byte in name)
    return b'diff --git "a/%b" "b/%b"' % (quoted, quoted)


def _quoted(byte: int) -> bytes:
    if letter := _LETTERS.get(byte):
        return b"\\" + letter
    return b"\\%03o" % byte if byte < 0x20 or byte >= 0x7F else bytes([byte])
