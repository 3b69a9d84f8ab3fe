"""Layers: where the vertices of a directed graph go, and how the edges get there. Pure geometry, in pixels.

The method is that of Sugiyama, Tagawa and Toda ("Methods for Visual Understanding of Hierarchical System Structures",
IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981):

1. Each vertex is in the layer after the last of those before it (longest path), sources as low as they can be.
2. An edge over several layers gets a bend in each between, so that it keeps clear of the vertices there.
3. The order within layers: sweeps that sort a layer by the mean place of its neighbours (barycentre); the order with
   the fewest crossings stays.
4. Places across: each layer comes as near to its neighbours as its order and gaps permit. With the places less the gaps
   before them as unknowns, that is an isotonic regression, which pooling adjacent violators solves in one pass.

Nothing depends on hashes or chance. An edge that would close a circle is taken the other way round.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

import attrs

GAP = 24
"""Pixels between neighbours in a layer."""

RISE = 46
"""Least pixels between layers: room for the ends of edges and a line of text."""

_BEND_GAP = 10
"""Pixels between two edges that pass a layer."""
_SWEEPS = 8
_BENDS = 20_000
"""The most bends; beyond, the longest edges have none and cross behind the vertices."""
_STIFFNESS = 4.0
"""How many times as much a bend's place counts as a vertex's: long edges are straight."""


class Vertex(NamedTuple):
    """A vertex: a rectangle, with a port at its top and bottom edge where edges end."""

    width: int
    height: int
    port: int
    """Pixels from its left to the ports."""
    bottom: int
    """Pixels from its top to the bottom port."""


class Point(NamedTuple):
    """A place: pixels from the left and from the top."""

    x: int
    y: int


class Arrangement(NamedTuple):
    """Where all goes."""

    width: int
    height: int
    places: Sequence[Point]
    """The top left corner of each vertex."""
    lines: Sequence[Sequence[Point]]
    """The points of each edge: a pair of points in a gap between layers, a vertical pair in a layer."""


@attrs.define
class _Cell:
    """A vertex in its layer, or a bend."""

    layer: int
    left: int
    right: int
    """Pixels that it needs on both sides of its port."""
    vertex: int | None
    above: "list[_Cell]" = attrs.field(factory=list, repr=False)
    below: "list[_Cell]" = attrs.field(factory=list, repr=False)
    rank: int = 0
    x: float = 0.0


def arrange(vertices: Sequence[Vertex], edges: Sequence[tuple[int, int]]) -> Arrangement:
    """Arrange the vertices of a graph from top to bottom. Edges are pairs of places in `vertices`, each pair once."""
    forward = _without_circles(len(vertices), edges)
    depth = _depths(len(vertices), forward)
    cells = [_Cell(depth[place], one.port, one.width - one.port, place) for place, one in enumerate(vertices)]
    layers: list[list[_Cell]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for cell in cells:
        layers[cell.layer].append(cell)
    chains = _chains(cells, layers, forward)
    _order(layers)
    _spread(layers)
    return _drawn(vertices, cells, layers, chains)


def without_detours(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges of a graph without those whose ends a longer way connects. Circles stay."""
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        after[source].append(target)
    depth, within = _depths(count, edges), [0] * count  # what can be reached, as bits
    kept = []
    for place in sorted(range(count), key=lambda place: -depth[place]):
        for target in sorted(after[place], key=lambda target: depth[target]):
            if not within[place] >> target & 1:
                kept.append((place, target))
            within[place] |= within[target] | 1 << target
    return sorted(kept)


# --- Layers -----------------------------------------------------------------------------------------------------------


def _without_circles(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges with those turned round that close a circle, as a search in depth meets them."""
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        after[source].append(target)
    turned: set[tuple[int, int]] = set()
    state = [0] * count  # 1: on the way down, 2: done
    for start in range(count):
        stack = [] if state[start] else [(start, iter(after[start]))]
        state[start] = state[start] or 1
        while stack:
            place, rest = stack[-1]
            target = next(rest, -1)
            if target < 0:
                state[place] = 2
                stack.pop()
            elif state[target] == 1:
                turned.add((place, target))
            elif not state[target]:
                state[target] = 1
                stack.append((target, iter(after[target])))
    return [(target, source) if (source, target) in turned else (source, target) for source, target in edges]


def _depths(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        after[source].append(target)
        before[target].append(source)
    left = [len(sources) for sources in before]
    order = [place for place in range(count) if not left[place]]
    depth = [0] * count
    for place in order:  # grows as it is read
        for target in after[place]:
            depth[target] = max(depth[target], depth[place] + 1)
            left[target] -= 1
            if not left[target]:
                order.append(target)
    for place in order:
        if not before[place] and after[place]:
            depth[place] = min(depth[target] for target in after[place]) - 1
    return depth


def _chains(
    cells: Sequence[_Cell], layers: Sequence[list[_Cell]], edges: Sequence[tuple[int, int]]
) -> list[list[_Cell]]:
    """Return the cells that each edge passes, its ends included; bends are put into their layers."""
    lengths = [cells[target].layer - cells[source].layer for source, target in edges]
    bends = 0
    longest = max(lengths, default=0)
    for length in sorted(lengths):
        bends += length - 1
        if bends > _BENDS:
            longest = length - 1
            break
    chains = []
    for (source, target), length in zip(edges, lengths, strict=True):
        passed = range(cells[source].layer + 1, cells[target].layer) if length <= longest else ()
        between = [_Cell(layer, 0, 0, None) for layer in passed]
        for cell in between:
            layers[cell.layer].append(cell)
        chain = [cells[source], *between, cells[target]]
        for upper, lower in pairwise(chain) if length <= longest else ():
            upper.below.append(lower)
            lower.above.append(upper)
        chains.append(chain)
    return chains


# --- Order ------------------------------------------------------------------------------------------------------------


def _order(layers: Sequence[list[_Cell]]) -> None:
    for layer in layers:
        _number(layer)
    best = _crossings(layers)
    kept = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        if not best:
            break
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _sort(layer, downwards=sweep % 2 == 0)
        count = _crossings(layers)
        if count < best:
            best, kept = count, [list(layer) for layer in layers]
    for layer, cells in zip(layers, kept, strict=True):
        layer[:] = cells
        _number(layer)


def _number(layer: Sequence[_Cell]) -> None:
    for rank, cell in enumerate(layer):
        cell.rank = rank


def _sort(layer: list[_Cell], *, downwards: bool) -> None:
    def wanted(cell: _Cell) -> float:
        near = cell.above if downwards else cell.below
        return sum(one.rank for one in near) / len(near) if near else cell.rank

    layer.sort(key=wanted)  # equals stay as they are
    _number(layer)


def _crossings(layers: Sequence[Sequence[_Cell]]) -> int:
    """Return how often edges between neighbouring layers cross: the pairs whose ends are in the opposite order."""
    count = 0
    for layer in layers:
        seen: list[int] = []
        for cell in layer:
            ends = sorted(one.rank for one in cell.below)
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            seen = _merged(seen, ends)
    return count


def _merged(seen: list[int], more: list[int]) -> list[int]:
    seen += more
    seen.sort()  # two runs, which sorting merges in one pass
    return seen


# --- Places across ----------------------------------------------------------------------------------------------------


def _spread(layers: Sequence[list[_Cell]]) -> None:
    for layer in layers:
        x = 0.0
        for cell in layer:
            cell.x = x + cell.left
            x = cell.x + cell.right + GAP
        for cell in layer:
            cell.x -= (x - GAP) / 2
    for sweep in range(2 * _SWEEPS):
        both = sweep >= _SWEEPS
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _settle(layer, above=both or sweep % 2 == 0, below=both or sweep % 2 == 1)


def _settle(layer: Sequence[_Cell], *, above: bool, below: bool) -> None:
    """Move the cells of a layer next to their neighbours: the least squares that keep order and gaps."""
    runs: list[tuple[float, float, int]] = []  # mean, weight, cells: places less the gaps before them
    shift = 0.0
    shifts = []
    for place, cell in enumerate(layer):
        if place:
            shift += _apart(layer[place - 1], cell)
        shifts.append(shift)
        near = [*(cell.above if above else ()), *(cell.below if below else ())]
        wanted = sum(one.x for one in near) / len(near) if near else cell.x
        weight = 0.1 if not near else _STIFFNESS if cell.vertex is None else 1.0
        mean, size = wanted - shift, 1
        while runs and runs[-1][0] > mean:
            other, heavy, cells = runs.pop()
            mean = (mean * weight + other * heavy) / (weight + heavy)
            weight += heavy
            size += cells
        runs.append((mean, weight, size))
    found = (mean for mean, _, size in runs for _ in range(size))
    for cell, mean, gaps in zip(layer, found, shifts, strict=True):
        cell.x = mean + gaps


def _apart(cell: _Cell, following: _Cell) -> int:
    gap = _BEND_GAP if cell.vertex is None and following.vertex is None else GAP
    return cell.right + gap + following.left


# --- Points -----------------------------------------------------------------------------------------------------------


def _drawn(
    vertices: Sequence[Vertex],
    cells: Sequence[_Cell],
    layers: Sequence[Sequence[_Cell]],
    chains: Sequence[Sequence[_Cell]],
) -> Arrangement:
    left = floor(min((cell.x - cell.left for layer in layers for cell in layer), default=0))
    right = ceil(max((cell.x + cell.right for layer in layers for cell in layer), default=0))
    tops, bottoms, y = [], [], 0
    for layer in layers:
        tops.append(y)
        y += max((vertices[cell.vertex].height for cell in layer if cell.vertex is not None), default=0)
        bottoms.append(y)
        reach = max((abs(one.x - cell.x) for cell in layer for one in cell.below), default=0)
        y += RISE + round(min(reach / 12, 80))
    places = [Point(round(cell.x) - cell.left - left, tops[cell.layer]) for cell in cells]
    lines = [_line(vertices, chain, places, tops, bottoms, left) for chain in chains]
    return Arrangement(right - left, bottoms[-1] if bottoms else 0, places, lines)


def _line(
    vertices: Sequence[Vertex],
    chain: Sequence[_Cell],
    places: Sequence[Point],
    tops: Sequence[int],
    bottoms: Sequence[int],
    left: int,
) -> list[Point]:
    points = []
    for cell in chain:
        if cell.vertex is None:
            x, top, bottom = round(cell.x) - left, tops[cell.layer], bottoms[cell.layer]
        else:
            x = places[cell.vertex].x + vertices[cell.vertex].port
            top = tops[cell.layer]
            bottom = top + vertices[cell.vertex].bottom
        points += [Point(x, top), Point(x, bottom), Point(x, bottoms[cell.layer])]
    return [*dict.fromkeys(points[1:-2])]
