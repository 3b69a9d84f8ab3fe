"""Diffs without the files that were copied into a worktree, which are not work."""

import os
import re
from collections.abc import Callable

from aura_contracts.ports.git import ChangeKind, Diff

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
