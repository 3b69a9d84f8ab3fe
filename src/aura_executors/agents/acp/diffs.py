"""Diffs: unified diffs of the old and new text that an agent shows. Pure, and linear in time."""

from itertools import compress, count
from operator import ne

from aura_executors.adapter.bounded_text import clipped

_PATH_LIMIT = 4_096

_CONTEXT = 3
"""Context lines, as in git."""


def diff_of(path: str, before: str | None, after: str) -> str:
    r"""Return one hunk from the first line that differs to the last, at most about `TEXT_LIMIT` characters.

    Everything between the two is shown as replaced: finding the smallest diff takes quadratic time, and the size of the
    texts is not under our control. Agents may show only a part of a file, so line numbers are relative to that part.

    >>> print(diff_of("a.txt", "one\ntwo\nthree\n", "one\n2\nthree\n"), end="")
    --- a/a.txt
    +++ b/a.txt
    @@ -1,3 +1,3 @@
     one
    -two
    +2
     three
    """
    if before == after:
        return ""
    old, new = before.splitlines() if before else [], after.splitlines()
    if not old:
        return _added(path, new)
    shorter = min(len(old), len(new))
    same = next(compress(count(), map(ne, old, new)), shorter)
    tail = min(shorter - same, next(compress(count(), map(ne, reversed(old), reversed(new))), shorter))
    start = max(0, same - _CONTEXT)
    removed, added = old[same : len(old) - tail], new[same : len(new) - tail]
    return _hunk(
        path, "a/" + path.lstrip("/"), start, (old[start:same], removed, added, old[len(old) - tail :][:_CONTEXT])
    )


def _added(path: str, lines: list[str]) -> str:
    if not lines:
        return ""
    body = "\n+".join(lines)
    return clipped(f"--- /dev/null\n+++ b/{_shown(path.lstrip('/'))}\n@@ -0,0 +1,{len(lines)} @@\n+{body}\n")


def _shown(path: str) -> str:
    return path if len(path) <= _PATH_LIMIT else clipped(path, _PATH_LIMIT)


def _hunk(path: str, origin: str, start: int, lines: tuple[list[str], list[str], list[str], list[str]]) -> str:
    before, removed, added, after = lines
    if not removed and not added:
        return ""
    around = len(before) + len(after)
    head = (
        f"--- {_shown(origin)}\n+++ b/{_shown(path.lstrip('/'))}\n"
        f"@@ -{_range(start, around + len(removed))} +{_range(start, around + len(added))} @@\n"
    )
    marked = ((" ", before), ("-", removed), ("+", added), (" ", after))
    body = "".join([mark + f"\n{mark}".join(part) + "\n" for mark, part in marked if part])
    return clipped(head + body)


def _range(start: int, size: int) -> str:
    return f"{start + 1 if size else start},{size}"
