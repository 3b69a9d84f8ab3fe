"""What differs between two states of a tree, and the patch that leads from one to the other, in git's format."""
# ruff: noqa: PTH118
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import base64
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dulwich.objects import ObjectID

from aura_contracts.ports.git import ChangeKind, Diff, FileChange
from aura_git._dulwich_content import Conversion
from aura_git._dulwich_index import read_index
from aura_git._dulwich_lines import Edit, edits, split_lines, unified
from aura_git._dulwich_renames import find_renames
from aura_git._dulwich_repository import Opened
from aura_git._dulwich_scan import Scanner
from aura_git._dulwich_trees import LINK, SUBMODULE, Change, Entry, compare, compare_tables, flatten

_BINARY_WITHIN = 8000
"""Bytes in which a NUL makes a content binary, as in git."""

_SPECIAL = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}


@dataclass(frozen=True)
class _Side:
    path: bytes
    entry: Entry | None
    data: bytes


@dataclass(frozen=True)
class _FileDiff:
    """Two states of one file, compared."""

    old: _Side
    new: _Side
    similarity: int | None
    binary: bool
    old_lines: list[bytes]
    new_lines: list[bytes]
    edits: list[Edit]

    def summary(self) -> FileChange:
        kind = _kind(self.old.entry, self.new.entry, renamed=self.similarity is not None)
        counted = not self.binary
        return FileChange(
            path=os.fsdecode(self.new.path),
            kind=kind,
            old_path=os.fsdecode(self.old.path) if kind is ChangeKind.RENAMED else None,
            added=sum(end - start for _, _, start, end in self.edits) if counted else None,
            removed=sum(end - start for start, end, _, _ in self.edits) if counted else None,
        )


def _kind(old: Entry | None, new: Entry | None, *, renamed: bool) -> ChangeKind:
    if renamed:
        return ChangeKind.RENAMED
    if old is None:
        return ChangeKind.ADDED
    if new is None:
        return ChangeKind.DELETED
    return ChangeKind.MODIFIED if old[0] >> 12 == new[0] >> 12 else ChangeKind.TYPE_CHANGED


class Differ:
    """Compares contents; those of a worktree are read from its files."""

    def __init__(self, repo: Opened, scanner: Scanner | None) -> None:
        self._repo = repo
        self._scanner = scanner
        self._conversion = Conversion(repo)

    def read_old(self, path: bytes, entry: Entry) -> bytes:
        if entry[0] == SUBMODULE:
            return b"Subproject commit %s\n" % entry[1]
        return self._repo.blob(entry[1])

    def read_new(self, path: bytes, entry: Entry) -> bytes:
        if self._scanner is None or entry[0] == SUBMODULE or entry[1] in self._repo.repo.object_store:
            return self.read_old(path, entry)
        return self._scanner.content(path, os.lstat(os.path.join(self._repo.root, path)))

    def compared(self, changes: Mapping[bytes, Change]) -> Iterable[_FileDiff]:
        """Find renames and compare the files, in the order of their paths."""
        deleted = {path: old for path, (old, new) in changes.items() if old is not None and new is None}
        added = {path: new for path, (old, new) in changes.items() if new is not None and old is None}
        for path in [path for path, entry in deleted.items() if entry[0] == LINK]:
            if any(other.startswith(path + b"/") for other in added):
                del deleted[path]  # a patch that renames the link that is in the way of others does not apply
        renames = find_renames(deleted, added, self.read_old, self.read_new)
        moved = {source for source, _ in renames.values()}
        for path in sorted(changes.keys() - moved):
            new = changes[path][1]
            source, similarity = renames.get(path, (path, None))
            yield self._compare(source, changes[source][0], path, new, similarity)

    def _compare(
        self, source: bytes, old: Entry | None, path: bytes, new: Entry | None, similarity: int | None
    ) -> _FileDiff:
        before = _Side(source, old, self.read_old(source, old) if old else b"")
        after = _Side(path, new, self.read_new(path, new) if new else b"")
        binary = self._is_binary(before) or self._is_binary(after)
        if binary:
            return _FileDiff(before, after, similarity, binary, [], [], [])
        lines = split_lines(before.data), split_lines(after.data)
        return _FileDiff(before, after, similarity, binary, *lines, edits(*lines))

    def _is_binary(self, side: _Side) -> bool:
        if side.entry is None or side.entry[0] == SUBMODULE:
            return False
        attribute = self._conversion.attribute(side.path, b"diff")
        if attribute is True:
            return False
        return attribute is False or b"\0" in side.data[:_BINARY_WITHIN]


def diff_commits(repo: Opened, base: ObjectID, target: ObjectID, *, patch: bool, limit: int) -> Diff:
    """Compare two commits."""
    changes = compare(repo, repo.tree(base), repo.tree(target))
    return _diff(repo, Differ(repo, None), changes, patch=patch, limit=limit)


def diff_worktree(repo: Opened, base: ObjectID, *, patch: bool, limit: int) -> Diff:
    """Compare a commit with the files, untracked ones included."""
    staged = read_index(repo)
    scanner = Scanner(repo, staged)
    files = worktree_table(scanner, scanner.entry_at)
    changes = compare_tables(flatten(repo, repo.tree(base)), files)
    return _diff(repo, Differ(repo, scanner), changes, patch=patch, limit=limit)


def worktree_table(
    scanner: Scanner, entry_of: Callable[[bytes], Entry | None], *, stored: bool = False
) -> dict[bytes, Entry]:
    """Return what the files are, by path; `entry_of` says it of one that is not in the index as it is.

    With `stored` it also stores the files that the index has otherwise.
    """
    scan = scanner.run()
    table = scanner.staged.table()
    for path, entry in scan.modified.items():
        now = entry_of(path) if stored and entry is not None else entry
        if now is None:
            table.pop(path, None)
        else:
            table[path] = now
    for path in [*scanner.staged.conflicted, *scan.untracked]:
        now = None if path.endswith(b"/") else entry_of(path)
        if now is not None:
            table[path] = now
    return table


def _diff(repo: Opened, differ: Differ, changes: Mapping[bytes, Change], *, patch: bool, limit: int) -> Diff:
    files: list[FileChange] = []
    pieces: list[bytes] = []
    size = 0
    for file in differ.compared(changes):
        files.append(file.summary())
        if patch and size <= limit:
            piece = b"".join(_patch(repo, file))
            size += len(piece)
            pieces.append(piece)
    whole = b"".join(pieces)
    truncated = len(whole) > limit
    if truncated:
        whole = whole[: whole.rfind(b"\n", 0, limit) + 1]
    return Diff(files=tuple(files), patch=whole if patch else None, truncated=truncated)


# --- Patches ----------------------------------------------------------------------------------------------------------


def _patch(repo: Opened, file: _FileDiff) -> list[bytes]:
    old, new = file.old, file.new
    if old.entry and new.entry and old.entry[0] >> 12 != new.entry[0] >> 12:
        return [*_halves(repo, file)]
    lines = [b"diff --git %s %s\n" % (quoted(b"a/" + old.path), quoted(b"b/" + new.path)), *_modes(old, new)]
    if file.similarity is not None:
        lines.append(b"similarity index %d%%\n" % file.similarity)
        lines += [b"rename from %s\n" % quoted(old.path), b"rename to %s\n" % quoted(new.path)]
    names = (_name(repo, old), _name(repo, new))
    if names[0] != names[1]:
        kept = b" %o" % old.entry[0] if old.entry and new.entry and old.entry[0] == new.entry[0] else b""
        lines.append(b"index %s..%s%s\n" % (*names, kept))
    if file.binary and old.data != new.data:
        lines += [b"GIT binary patch\n", *_literal(new.data), *_literal(old.data)]
    elif file.edits:
        lines += [
            b"--- %s\n" % (_label(b"a/", old.path) if old.entry else b"/dev/null"),
            b"+++ %s\n" % (_label(b"b/", new.path) if new.entry else b"/dev/null"),
            *unified(file.old_lines, file.new_lines, file.edits),
        ]
    return lines


def _halves(repo: Opened, file: _FileDiff) -> Iterable[bytes]:
    """A file that became a link, or the like, is deleted and added."""
    for old, new in (
        (file.old, _Side(file.old.path, None, b"")),
        (_Side(file.new.path, None, b""), file.new),
    ):
        binary = b"\0" in (old.data + new.data)[:_BINARY_WITHIN]
        lines = ([], []) if binary else (split_lines(old.data), split_lines(new.data))
        yield from _patch(repo, _FileDiff(old, new, None, binary, *lines, edits(*lines)))


def _modes(old: _Side, new: _Side) -> list[bytes]:
    if old.entry is None and new.entry is not None:
        return [b"new file mode %o\n" % new.entry[0]]
    if new.entry is None and old.entry is not None:
        return [b"deleted file mode %o\n" % old.entry[0]]
    if old.entry and new.entry and old.entry[0] != new.entry[0]:
        return [b"old mode %o\n" % old.entry[0], b"new mode %o\n" % new.entry[0]]
    return []


def _name(repo: Opened, side: _Side) -> bytes:
    return b"0" * repo.repo.object_format.hex_length if side.entry is None else side.entry[1]


def _label(prefix: bytes, path: bytes) -> bytes:
    """Return a path for ``---`` and ``+++``: where it has a space, a tab says where it ends."""
    label = quoted(prefix + path)
    return label + b"\t" if b" " in path and not label.startswith(b'"') else label


def quoted(path: bytes) -> bytes:
    """Return a path as git writes it in a patch: in C's way where it holds anything unusual."""
    if all(32 <= byte < 127 and byte not in _SPECIAL for byte in path):
        return path
    return b'"' + b"".join(_escaped(byte) for byte in path) + b'"'


def _escaped(byte: int) -> bytes:
    if byte in _SPECIAL:
        return b"\\" + _SPECIAL[byte]
    return bytes((byte,)) if 32 <= byte < 127 else b"\\%03o" % byte


def _literal(data: bytes) -> list[bytes]:
    """Return a content as git's binary patches have it: deflated, 52 bytes a line, in base 85."""
    packed = zlib.compress(data)
    lines = [b"literal %d\n" % len(data)]
    for start in range(0, len(packed), 52):
        piece = packed[start : start + 52]
        length = len(piece) + (64 if len(piece) <= 26 else 70)
        lines.append(bytes((length,)) + base64.b85encode(piece, pad=True) + b"\n")
    return [*lines, b"\n"]
