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
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    rest = min(len(old), len(new)) - same
    ending = zip(reversed(old), reversed(new), strict=False)
    tail = min(rest, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ending)))
    if same == len(old) == len(new):
        return ""
    start = max(0, same - _CONTEXT)
    removed, added = old[same : len(old) - tail], new[same : len(new) - tail]
    following = old[len(old) - tail : len(old) - tail + _CONTEXT]
    before_size, after_size = (same - start + len(lines) + len(following) for lines in (removed, added))
    name = clipped(path.lstrip("/"), 4_096)
    head = [
        f"--- a/{name}" if before else "--- /dev/null",
        f"+++ b/{name}",
        f"@@ -{_range(start, before_size)} +{_range(start, after_size)} @@",
    ]
    body = [*(f" {line}" for line in old[start:same]), *(f"-{line}" for line in removed)]
    body += [*(f"+{line}" for line in added), *(f" {line}" for line in following)]
    return clipped("\n".join((*head, *body)) + "\n", TEXT_LIMIT)


def _range(start: int, size: int) -> str:
    return f"{start + 1 if size else start},{size}"
