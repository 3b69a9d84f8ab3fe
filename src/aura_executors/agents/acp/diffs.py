"""Diffs: what an agent shows as a text before and after, as a unified diff. Pure, and linear in time."""

from itertools import takewhile

from aura_contracts.ports.executors import TEXT_LIMIT
from aura_executors.agents._texts import clipped

_CONTEXT = 3
"""Lines shown around what changed, as git does."""


def diff_of(path: str, before: str | None, after: str) -> str:
    r"""Return one hunk from the first line that differs to the last, at most about `TEXT_LIMIT` characters.

    What lies between the two is shown as replaced altogether: finding the smallest diff takes time that grows with the
    square of texts which others choose. Agents may show a part of a file only, so the numbers of lines are those in it.

    >>> print(diff_of("a.txt", "one\ntwo\nthree\n", "one\n2\nthree\n"), end="")
    --- a/a.txt
    +++ b/a.txt
    @@ -1,3 +1,3 @@
     one
    -two
    +2
     three
    """
    old, new = (before or "").splitlines(), after.splitlines()
    if not old:
        return _hunk(path, "/dev/null", 0, ([], [], new, []))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    rest = min(len(old), len(new)) - same
    ending = zip(reversed(old), reversed(new), strict=False)
    tail = min(rest, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ending)))
    start = max(0, same - _CONTEXT)
    removed, added = old[same : len(old) - tail], new[same : len(new) - tail]
    return _hunk(
        path, "a/" + path.lstrip("/"), start, (old[start:same], removed, added, old[len(old) - tail :][:_CONTEXT])
    )


def _hunk(path: str, origin: str, start: int, lines: tuple[list[str], list[str], list[str], list[str]]) -> str:
    before, removed, added, after = lines
    if not removed and not added:
        return ""
    around = len(before) + len(after)
    head = (
        f"--- {clipped(origin, 4_096)}\n+++ b/{clipped(path.lstrip('/'), 4_096)}\n"
        f"@@ -{_range(start, around + len(removed))} +{_range(start, around + len(added))} @@\n"
    )
    marked = ((" ", before), ("-", removed), ("+", added), (" ", after))
    return clipped(head + "".join(f"{mark}{line}\n" for mark, part in marked for line in part), TEXT_LIMIT)


def _range(start: int, size: int) -> str:
    return f"{start + 1 if size else start},{size}"
