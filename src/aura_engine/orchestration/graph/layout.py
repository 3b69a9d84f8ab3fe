"""Layout: boxes and lines of a workflow's graph, in pixels. Pure, and the same for the same graph.

Each block is laid out by itself, from the inside out, since edges never leave it: a container is a box around the
layout of its block. Within a block,

- what is connected is arranged in layers (`aura_engine.orchestration.graph.layers`), the rest in rows next to it;
- a step's handler and compensation stand to its right;
- many steps with the same neighbours share a frame, a **rack**: one edge leads to all of them;
- several steps that wait for the same several steps share a **junction**: a dot in which the edges meet;
- edges that others imply are left out, and with more than `DENSE` edges those whose ends a longer way connects.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from enum import StrEnum

import attrs
import msgspec

from aura_contracts.plain_data import Plain
from aura_engine.orchestration.graph.layers import GAP, Point, Vertex, arrange, without_detours
from aura_engine.orchestration.graph.lettering import TEXT_SIZE, Lettering, lettering_of, text_width
from aura_engine.orchestration.graph.nodes import GraphEdge, GraphNode, WorkflowGraph

PADDING = 16
"""Pixels between a container's border and what it contains."""

LABEL_SHIFT = 7
"""Pixels from the end of a line to its label, to the right and upwards."""

DENSE = 5_000
"""The most edges of a block, beyond which those are left out whose ends a longer way connects."""

_RACK = 5
"""Steps with the same neighbours that share a frame."""
_WIDTH_TO_HEIGHT = 1.6
_DOT = 8


class BoxKind(StrEnum):
    """What a box is."""

    NODE = "node"
    CONTAINER = "container"
    """A node with others inside."""
    RACK = "rack"
    """A frame around nodes with the same neighbours."""
    JUNCTION = "junction"


class LineKind(StrEnum):
    """What a line says."""

    DEPENDENCY = "dependency"
    HANDLER = "handler"
    COMPENSATION = "compensation"


class GraphBox(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A rectangle of a drawing; x and y are those of its top left corner."""

    kind: BoxKind
    x: int
    y: int
    width: int
    height: int
    node: GraphNode | None = None
    """Of a node or a container."""
    lettering: Lettering | None = None
    """Likewise."""
    inside: str = ""
    """The id of the node that contains it; empty at the top."""


class GraphLine(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A line of a drawing, from box to box: straight down where x stays the same, otherwise curved."""

    kind: LineKind
    points: tuple[Point, ...]
    label: str = ""
    """The join of the step at its end."""
    arrow: bool = True


class GraphLayout(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Where all boxes and lines are. A box comes after the one it is in."""

    width: int
    height: int
    boxes: tuple[GraphBox, ...]
    lines: tuple[GraphLine, ...]


def layout_of(graph: WorkflowGraph) -> GraphLayout:
    """Lay out a graph."""
    area = _block(graph.nodes, graph.edges, "")
    return GraphLayout(width=area.width, height=area.height, boxes=tuple(area.boxes), lines=tuple(area.lines))


@attrs.define
class _Area:
    """A part of a drawing, with places relative to its corner, and where edges reach it."""

    width: int
    height: int
    boxes: list[GraphBox]
    lines: list[GraphLine] = attrs.field(factory=list)
    port: int = 0
    """Pixels from its left to its ports."""
    bottom: int = 0
    """Pixels from its top to the lower port."""

    def take(self, part: "_Area", x: int, y: int) -> None:
        """Take over a part at a place."""
        self.boxes += [msgspec.structs.replace(box, x=box.x + x, y=box.y + y) for box in part.boxes]
        self.lines += [
            msgspec.structs.replace(line, points=tuple(Point(point.x + x, point.y + y) for point in line.points))
            for line in part.lines
        ]

    def end_at(self, port: int, bottom: int) -> "_Area":
        self.port, self.bottom = port, bottom
        return self


# --- A node -----------------------------------------------------------------------------------------------------------


def _unit(node: GraphNode, inside: str) -> _Area:
    """Lay out a node with what it contains and what is attached to it."""
    own = _own(node, inside)
    attached = [
        (kind, _unit(part, inside))
        for kind, part in ((LineKind.HANDLER, node.handler), (LineKind.COMPENSATION, node.compensation))
        if part is not None
    ]
    whole = _Area(own.width, own.height, []).end_at(own.port, own.height)
    whole.take(own, 0, 0)
    y = 0
    for place, (kind, part) in enumerate(attached):
        x, end = own.width + 2 * GAP, y + min(part.boxes[0].height // 2, 24)
        start = min(14 + 16 * place, own.height - 6)
        whole.take(part, x, y)
        whole.lines.append(GraphLine(kind=kind, points=(Point(own.width, start), Point(x, end))))
        whole.width, whole.height = max(whole.width, x + part.width), max(whole.height, y + part.height)
        y += part.height + PADDING
    return whole


def _own(node: GraphNode, inside: str) -> _Area:
    """Lay out the box of a node with what it contains."""
    text = lettering_of(node)
    if not node.nodes:
        box = GraphBox(
            kind=BoxKind.NODE, x=0, y=0, width=text.width, height=text.height, node=node, lettering=text, inside=inside
        )
        return _Area(text.width, text.height, [box]).end_at(text.width // 2, text.height)
    area = _block(node.nodes, node.edges, node.id)
    width = max(text.width, area.width + 2 * PADDING)
    height = text.height + area.height + PADDING
    box = GraphBox(
        kind=BoxKind.CONTAINER, x=0, y=0, width=width, height=height, node=node, lettering=text, inside=inside
    )
    whole = _Area(width, height, [box]).end_at(width // 2, height)
    whole.take(area, (width - area.width) // 2, text.height)
    return whole


# --- A block ----------------------------------------------------------------------------------------------------------


def _block(nodes: Sequence[GraphNode], edges: Iterable[GraphEdge], inside: str) -> _Area:
    number = {node.id: place for place, node in enumerate(nodes)}
    drawn = [edge for edge in edges if not edge.implied]
    pairs = [(number[edge.source], number[edge.target]) for edge in drawn]
    joins = {number[edge.target]: edge.join for edge in drawn}
    if len(pairs) > DENSE:
        pairs = without_detours(len(nodes), pairs)
    units = [_unit(node, inside) for node in nodes]
    parts = [
        _Piece([units[place] for place in members], members, joins, pairs).area(inside)
        for members in _components(len(nodes), pairs)
    ]
    return _rows(parts)


def _components(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the sets of what is connected, in the order of their first members."""
    leader = list(range(count))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = place = leader[leader[place]]
        return place

    for one, other in pairs:
        first, second = sorted((lead(one), lead(other)))
        leader[second] = first
    found: dict[int, list[int]] = defaultdict(list)
    for place in range(count):
        found[lead(place)].append(place)
    return [*found.values()]


def _rows(parts: Sequence[_Area]) -> _Area:
    """Lay out areas in rows, so that the whole is somewhat wider than high."""
    if len(parts) == 1:
        return parts[0]
    surface = sum((part.width + GAP) * (part.height + GAP) for part in parts)
    widest = max((part.width for part in parts), default=0)
    limit = max(widest, math.isqrt(int(surface * _WIDTH_TO_HEIGHT)))
    whole = _Area(0, 0, [])
    x = y = height = 0
    for part in parts:
        if x and x + part.width > limit:
            x, y, height = 0, y + height + GAP, 0
        whole.take(part, x, y)
        whole.width, height = max(whole.width, x + part.width), max(height, part.height)
        x += part.width + GAP
    whole.height = y + height
    return whole


class _Piece:
    """Connected nodes of a block."""

    def __init__(
        self, units: list[_Area], members: Sequence[int], joins: dict[int, str], pairs: Iterable[tuple[int, int]]
    ) -> None:
        local = {member: place for place, member in enumerate(members)}
        self._units = units
        self._joins = [joins.get(member, "") for member in members]
        self._edges = [(local[source], local[target]) for source, target in pairs if source in local]

    def area(self, inside: str) -> _Area:
        """Lay them out."""
        if len(self._units) == 1:
            return self._units[0]
        self._make_racks(inside)
        dots = self._make_junctions(inside)
        whole = arrange([Vertex(one.width, one.height, one.port, one.bottom) for one in self._units], self._edges)
        found = _Area(whole.width, whole.height, [])
        for unit, place in zip(self._units, whole.places, strict=True):
            found.take(unit, place.x, place.y)
        labelled: set[int] = set()
        for (_, target), points in zip(self._edges, whole.lines, strict=True):
            label = "" if target in labelled else self._joins[target]
            labelled.add(target)
            found.lines.append(
                GraphLine(kind=LineKind.DEPENDENCY, points=tuple(points), label=label, arrow=target not in dots)
            )
        return _with_labels(found)

    def _neighbours(self) -> tuple[list[set[int]], list[set[int]]]:
        before: list[set[int]] = [set() for _ in self._units]
        after: list[set[int]] = [set() for _ in self._units]
        for source, target in self._edges:
            before[target].add(source)
            after[source].add(target)
        return before, after

    def _make_racks(self, inside: str) -> None:
        """Put steps with the same neighbours into a frame, which takes the place of the first."""
        before, after = self._neighbours()
        keys = [(frozenset(before[p]), frozenset(after[p]), self._joins[p]) for p in range(len(self._units))]
        racks = [group for group in _groups(range(len(self._units)), keys) if len(group) >= _RACK]
        if not racks:
            return
        into = list(range(len(self._units)))
        for group in racks:
            for place in group:
                into[place] = group[0]
            self._units[group[0]] = _rack([self._units[place] for place in group], inside)
        kept = sorted(set(into))
        local = {place: number for number, place in enumerate(kept)}
        self._units = [self._units[place] for place in kept]
        self._joins = [self._joins[place] for place in kept]
        edges = ((local[into[source]], local[into[target]]) for source, target in self._edges)
        self._edges = [*dict.fromkeys(edges)]

    def _make_junctions(self, inside: str) -> set[int]:
        """Put a dot where the edges from the same sources to several targets meet; return the dots."""
        before, _ = self._neighbours()
        dots = set()
        keys = [(frozenset(sources), join) for sources, join in zip(before, self._joins, strict=True)]
        for group in _groups(range(len(keys)), keys):
            sources = before[group[0]]
            if len(sources) * len(group) <= len(sources) + len(group) + 1:
                continue
            dot = len(self._units)
            box = GraphBox(kind=BoxKind.JUNCTION, x=0, y=0, width=_DOT, height=_DOT, inside=inside)
            self._units.append(_Area(_DOT, _DOT, [box]).end_at(_DOT // 2, _DOT))
            self._joins.append("")
            dots.add(dot)
            targets = {*group}
            self._edges = [edge for edge in self._edges if edge[1] not in targets]
            self._edges += [(source, dot) for source in sorted(sources)]
            self._edges += [(dot, target) for target in group]
        return dots


def _groups(places: Iterable[int], keys: Sequence[Hashable]) -> list[list[int]]:
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place in places:
        found[keys[place]].append(place)
    return [*found.values()]


def _rack(units: Sequence[_Area], inside: str) -> _Area:
    widest = max(unit.width for unit in units)
    for unit in units:
        if len(unit.boxes) == 1:  # columns
            unit.boxes[0] = msgspec.structs.replace(unit.boxes[0], width=widest)
            unit.width = widest
    rows = _rows(units)
    width, height = rows.width + 2 * PADDING, rows.height + 2 * PADDING
    frame = GraphBox(kind=BoxKind.RACK, x=0, y=0, width=width, height=height, inside=inside)
    whole = _Area(width, height, [frame]).end_at(width // 2, height)
    whole.take(rows, PADDING, PADDING)
    return whole


def _with_labels(area: _Area) -> _Area:
    """Widen an area for labels that stand out at its right."""
    ends = (line.points[-1].x + LABEL_SHIFT + text_width(line.label, TEXT_SIZE) for line in area.lines if line.label)
    area.width = max(area.width, *ends, 0)
    return area
