"""Patches: the lines that a unified diff of git shows, and where a line of an earlier one is now. Pure.

A diff of several repositories has a line ``# repository NAME`` before the part of each, as `WorkDiff` has it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_INDEX = re.compile(r"index ([0-9a-f]+)\.\.([0-9a-f]+)")
_REPOSITORY = "# repository "


CONTENT_LIMIT = 1000
"""Characters; more of a line is not needed to recognise it."""


class LineAnchor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line of a file, by what identifies it even if the file changes: its repository, blob, number and content.

    A removed line is one of the file before the change, any other one of the file after it.
    """

    path: str
    line: int
    """From 1."""
    content: str
    blob: str = ""
    """The git object that holds the file."""
    repository: str = ""
    """Empty if the diff is about one repository alone."""
    removed: bool = False


class _File(NamedTuple):
    repository: str
    old: str
    new: str
    old_blob: str
    new_blob: str

    def anchor(self, line: int, content: str, *, removed: bool) -> LineAnchor:
        path, blob = (self.old, self.old_blob) if removed else (self.new, self.new_blob)
        return LineAnchor(
            path=path,
            line=line,
            content=content[:CONTENT_LIMIT],
            blob=blob,
            repository=self.repository,
            removed=removed,
        )


def lines_of(patch: str) -> Iterator[LineAnchor]:
    """Yield the lines that a patch shows, in its order."""
    file = _File("", "", "", "", "")
    lines = iter(patch.split("\n"))
    for line in lines:
        if hunk := _HUNK.match(line):
            old, old_count, new, new_count = (int(number or 1) for number in hunk.groups())
            yield from _hunk(lines, file, (old, old + old_count), (new, new + new_count))
        elif line.startswith(_REPOSITORY):
            file = _File(line.removeprefix(_REPOSITORY), "", "", "", "")
        elif line.startswith("diff --git "):
            file = _File(file.repository, "", "", "", "")
        elif index := _INDEX.match(line):
            file = file._replace(old_blob=index[1], new_blob=index[2])
        elif line.startswith("--- "):
            file = file._replace(old=_name(line[4:]))
        elif line.startswith("+++ "):
            file = file._replace(new=_name(line[4:]))


def _hunk(lines: Iterator[str], file: _File, old: tuple[int, int], new: tuple[int, int]) -> Iterator[LineAnchor]:
    """Yield the lines of a hunk; `old` and `new` are the numbers of its first line and after its last."""
    (before, old_end), (after, new_end) = old, new
    while before < old_end or after < new_end:
        line = next(lines, None)
        if line is None:  # the patch was cut
            return
        sign, content = line[:1], line[1:]
        if sign == "-":
            yield file.anchor(before, content, removed=True)
            before += 1
        elif sign == "+":
            yield file.anchor(after, content, removed=False)
            after += 1
        elif sign != "\\":
            yield file.anchor(after, content, removed=False)
            before, after = before + 1, after + 1


def _name(text: str) -> str:
    """Return the name of a file in a header, which git quotes if it is unusual."""
    name = text.removesuffix("\t")
    if name.startswith('"') and name.endswith('"'):
        plain = name[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
        name = plain.encode("latin-1", "replace").decode("utf-8", "backslashreplace")
    return name[2:] if name[:2] in ("a/", "b/") else name


def line_now(anchor: LineAnchor, lines: Iterable[LineAnchor]) -> int | None:
    """Return the number of the line that `anchor` names among those that a newer patch shows, None if it is gone.

    A line is the same if its content is; of several, the nearest.
    """
    key = (anchor.repository, anchor.path, anchor.removed, anchor.content)
    same = [one.line for one in lines if (one.repository, one.path, one.removed, one.content) == key]
    return min(same, key=lambda line: abs(line - anchor.line), default=None)
