"""Lines of two and of three texts compared: pure functions of lists of lines.

Two texts: Myers' greedy algorithm (E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986), which finds
a shortest edit as git does. Where texts are so unlike that it would take too long, they are first cut at lines that
both have once ("patience"), and what has no such line counts as replaced: longer than need be, never wrong.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

_FURTHEST = 600
"""Edits up to which the shortest way is looked for; work and memory grow with its square."""

Block = tuple[int, int, int]
"""Where equal lines start in the one text and in the other, and how many they are."""


def split_lines(data: bytes) -> list[bytes]:
    """Split after each newline, and nowhere else."""
    lines = data.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def matching(one: Sequence[bytes], other: Sequence[bytes]) -> list[Block]:
    """Return the blocks of lines that both texts keep, in order."""
    numbers: dict[bytes, int] = {}
    first = [numbers.setdefault(line, len(numbers)) for line in one]
    second = [numbers.setdefault(line, len(numbers)) for line in other]
    return _joined(_match(first, second, 0, 0))


def _joined(blocks: list[Block]) -> list[Block]:
    joined: list[Block] = []
    for start, at, length in blocks:
        if joined and joined[-1][0] + joined[-1][2] == start and joined[-1][1] + joined[-1][2] == at:
            joined[-1] = (joined[-1][0], joined[-1][1], joined[-1][2] + length)
        elif length:
            joined.append((start, at, length))
    return joined


def _match(one: list[int], other: list[int], left: int, right: int) -> list[Block]:
    """Return the blocks of two parts that start at `left` and `right` of the whole."""
    shortest = min(len(one), len(other))
    head = 0
    while head < shortest and one[head] == other[head]:
        head += 1
    tail = 0
    while tail < shortest - head and one[-1 - tail] == other[-1 - tail]:
        tail += 1
    middle_one, middle_other = one[head : len(one) - tail], other[head : len(other) - tail]
    blocks = [(left, right, head)]
    if middle_one and middle_other:
        found = _shortest(middle_one, middle_other)
        if found is None:
            blocks += _cut(middle_one, middle_other, left + head, right + head)
        else:
            blocks += [(left + head + start, right + head + at, length) for start, at, length in found]
    return [*blocks, (left + len(one) - tail, right + len(other) - tail, tail)]


def _shortest(one: list[int], other: list[int]) -> list[Block] | None:
    """Return the blocks of a shortest edit, None if it takes more than `_FURTHEST` steps."""
    reach: dict[int, int] = {1: 0}
    trail: list[dict[int, int]] = []
    for distance in range(min(len(one) + len(other), _FURTHEST) + 1):
        trail.append(reach.copy())
        for diagonal in range(-distance, distance + 1, 2):
            if diagonal == -distance or (
                diagonal != distance and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
            ):
                at = reach[diagonal + 1]
            else:
                at = reach[diagonal - 1] + 1
            while at < len(one) and at - diagonal < len(other) and one[at] == other[at - diagonal]:
                at += 1
            reach[diagonal] = at
            if at >= len(one) and at - diagonal >= len(other):
                return _way_back(trail, one, other)
    return None


def _way_back(trail: list[dict[int, int]], one: list[int], other: list[int]) -> list[Block]:
    x, y = len(one), len(other)
    blocks: list[Block] = []
    for distance in range(len(trail) - 1, -1, -1):
        reach = trail[distance]
        diagonal = x - y
        down = diagonal == -distance or (
            diagonal != distance and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
        )
        before = diagonal + 1 if down else diagonal - 1
        from_x = reach[before] if distance else 0
        from_y = from_x - before if distance else 0
        start_x = (from_x if down else from_x + 1) if distance else 0
        if x > start_x:
            blocks.append((start_x, start_x - diagonal, x - start_x))
        x, y = from_x, from_y
    return blocks[::-1]


def _cut(one: list[int], other: list[int], left: int, right: int) -> list[Block]:
    """Cut both parts at the lines that each has once, as far as their order agrees, and match what is between."""
    anchors = _anchors(one, other)
    if not anchors:
        return []
    blocks: list[Block] = []
    x = y = 0
    for anchor_x, anchor_y in [*anchors, (len(one), len(other))]:
        blocks += _match(one[x:anchor_x], other[y:anchor_y], left + x, right + y)
        if anchor_x < len(one):
            blocks.append((left + anchor_x, right + anchor_y, 1))
        x, y = anchor_x + 1, anchor_y + 1
    return blocks


def _anchors(one: list[int], other: list[int]) -> list[tuple[int, int]]:
    """Return the longest series of lines that are unique in both, growing in both (by patience sorting)."""
    counted_one, counted_other = Counter(one), Counter(other)
    places = {line: at for at, line in enumerate(other) if counted_other[line] == 1}
    pairs = [(at, places[line]) for at, line in enumerate(one) if counted_one[line] == 1 and line in places]
    tops: list[int] = []
    chosen: list[int] = []
    previous: list[int | None] = []
    for number, (_, place) in enumerate(pairs):
        pile = bisect_left(tops, place)
        previous.append(chosen[pile - 1] if pile else None)
        tops[pile : pile + 1] = [place]
        chosen[pile : pile + 1] = [number]
    series: list[tuple[int, int]] = []
    at = chosen[-1] if chosen else None
    while at is not None:
        series.append(pairs[at])
        at = previous[at]
    return series[::-1]


# --- Hunks ------------------------------------------------------------------------------------------------------------

Edit = tuple[int, int, int, int]
"""Lines from..to of the old text become lines from..to of the new one."""


def edits(old: Sequence[bytes], new: Sequence[bytes]) -> list[Edit]:
    """Return what has to be replaced, in order."""
    found: list[Edit] = []
    x = y = 0
    for start, at, length in [*matching(old, new), (len(old), len(new), 0)]:
        if x < start or y < at:
            found.append((x, start, y, at))
        x, y = start + length, at + length
    return found


def unified(old: Sequence[bytes], new: Sequence[bytes], changes: Sequence[Edit], context: int = 3) -> list[bytes]:
    """Return the hunks of a unified diff, line by line."""
    lines: list[bytes] = []
    group: list[Edit] = []
    for change in changes:
        if group and change[0] - group[-1][1] > 2 * context:
            lines += _hunk(old, new, group, context)
            group = []
        group.append(change)
    return lines + _hunk(old, new, group, context) if group else lines


def _hunk(old: Sequence[bytes], new: Sequence[bytes], group: Sequence[Edit], context: int) -> list[bytes]:
    first, last = group[0], group[-1]
    before = min(context, first[0])
    after = min(context, len(old) - last[1])
    head = b"@@ -%s +%s @@\n" % (
        _span(first[0] - before, last[1] + after),
        _span(first[2] - before, last[3] + after),
    )
    lines = [head]
    at = first[0] - before
    for start, end, new_start, new_end in group:
        lines += [_marked(b" ", line) for line in old[at:start]]
        lines += [_marked(b"-", line) for line in old[start:end]]
        lines += [_marked(b"+", line) for line in new[new_start:new_end]]
        at = end
    return lines + [_marked(b" ", line) for line in old[at : at + after]]


def _span(start: int, end: int) -> bytes:
    length = end - start
    first = start + 1 if length else start
    return b"%d" % first if length == 1 else b"%d,%d" % (first, length)


def _marked(mark: bytes, line: bytes) -> bytes:
    return mark + line if line.endswith(b"\n") else mark + line + b"\n\\ No newline at end of file\n"


# --- Three texts ------------------------------------------------------------------------------------------------------


def merge_lines(base: Sequence[bytes], ours: Sequence[bytes], theirs: Sequence[bytes]) -> tuple[list[bytes], bool]:
    """Merge two texts made of a third; say also whether they contradict one another.

    Changes to lines that touch contradict, unless they are the same. The text then has both, between markers.
    """
    merged: list[bytes] = []
    conflict = False
    at = at_ours = at_theirs = 0
    for start, start_ours, start_theirs, length in [
        *_kept_by_both(base, ours, theirs),
        (len(base), len(ours), len(theirs), 0),
    ]:
        was = list(base[at:start])
        one, other = list(ours[at_ours:start_ours]), list(theirs[at_theirs:start_theirs])
        if other in (one, was):
            merged += one
        elif one == was:
            merged += other
        else:
            conflict = True
            merged += [b"<<<<<<< ours\n", *_ended(one), b"=======\n", *_ended(other), b">>>>>>> theirs\n"]
        merged += base[start : start + length]
        at, at_ours, at_theirs = start + length, start_ours + length, start_theirs + length
    return merged, conflict


def _ended(lines: list[bytes]) -> list[bytes]:
    return lines if not lines or lines[-1].endswith(b"\n") else [*lines[:-1], lines[-1] + b"\n"]


def _kept_by_both(
    base: Sequence[bytes], ours: Sequence[bytes], theirs: Sequence[bytes]
) -> list[tuple[int, int, int, int]]:
    """Return the blocks of the base that neither side changed: where in each, and how long."""
    found: list[tuple[int, int, int, int]] = []
    one, other = matching(base, ours), matching(base, theirs)
    i = j = 0
    while i < len(one) and j < len(other):
        start = max(one[i][0], other[j][0])
        end = min(one[i][0] + one[i][2], other[j][0] + other[j][2])
        if start < end:
            found.append((start, one[i][1] + start - one[i][0], other[j][1] + start - other[j][0], end - start))
        if one[i][0] + one[i][2] < other[j][0] + other[j][2]:
            i += 1
        else:
            j += 1
    return found
