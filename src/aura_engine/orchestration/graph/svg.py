"""SVG: the drawing of a workflow, as one file without scripts, fonts or other files.

The state of a step is a colour and a word. Colours follow the reader's scheme, light or dark. The title and the
description say what is drawn to those who do not see it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

from aura_contracts.quoting import one_line
from aura_contracts.workflow.values import StepStatus
from aura_engine.orchestration.graph.captions import spaced
from aura_engine.orchestration.graph.layers import Point
from aura_engine.orchestration.graph.layout import (
    LABEL_SHIFT,
    BoxKind,
    GraphBox,
    GraphLine,
    LineKind,
    layout_of,
)
from aura_engine.orchestration.graph.lettering import MARGIN, TEXT_LINE, TEXT_SIZE, TITLE_LINE, TITLE_SIZE, text_width
from aura_engine.orchestration.graph.nodes import GraphNode, NodeRole, WorkflowGraph

_BORDER = 24
_HEADING = 44
_HEADING_SIZE = 16

_STATES = {  # background and border: light, dark
    "defined": ("#ffffff", "#64748b", "#161b22", "#8b949e"),
    StepStatus.PENDING: ("#f4f5f7", "#8a94a3", "#1c2128", "#768390"),
    StepStatus.RUNNING: ("#dbeafe", "#2563eb", "#132f55", "#6cb0ff"),
    StepStatus.AWAITING_APPROVAL: ("#fef3c7", "#b45309", "#453010", "#f0b84a"),
    StepStatus.RETRYING: ("#ffedd5", "#c2410c", "#4a2511", "#ff9f5a"),
    StepStatus.HANDLING: ("#fff1e6", "#b45309", "#43260f", "#f0a05a"),
    StepStatus.CANCELLING: ("#fce7f3", "#be185d", "#471a33", "#ff7ab8"),
    StepStatus.FAILED: ("#fee2e2", "#b91c1c", "#4c1a1c", "#ff7b72"),
    StepStatus.COMPLETED: ("#dcfce7", "#15803d", "#12361f", "#56d364"),
    StepStatus.SKIPPED: ("#fbfbfc", "#a3acb8", "#14181d", "#5b6470"),
    StepStatus.CANCELLED: ("#e5e7eb", "#4b5563", "#2a2f36", "#9aa4af"),
}

_STYLE = f"""
.aura-workflow {{ font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
.aura-workflow text {{ font-size: {TEXT_SIZE}px; fill: #374151; }}
.aura-workflow .title {{ font-size: {TITLE_SIZE}px; font-weight: 600; fill: #111827; }}
.aura-workflow .heading {{ font-size: {_HEADING_SIZE}px; font-weight: 600; fill: #111827; }}
.aura-workflow .paper {{ fill: #ffffff; }}
.aura-workflow rect {{ stroke-width: 1.4; }}
.aura-workflow .block > rect {{ fill-opacity: 0.35; }}
.aura-workflow .attached > rect {{ stroke-dasharray: 6 4; }}
.aura-workflow .not-taken {{ opacity: 0.55; }}
.aura-workflow .critical > rect {{ stroke-width: 3.5; }}
.aura-workflow .rack {{ fill: none; stroke: #94a3b8; stroke-dasharray: 2 4; }}
.aura-workflow .line {{ fill: none; stroke: #64748b; stroke-width: 1.3; }}
.aura-workflow .attachment {{ stroke-dasharray: 6 4; }}
.aura-workflow .head, .aura-workflow .junction {{ fill: #64748b; }}
.aura-workflow .join {{ fill: #6d28d9; stroke: #ffffff; stroke-width: 4; paint-order: stroke; }}
"""

_DARK = """
.aura-workflow text { fill: #c9d1d9; }
.aura-workflow .title, .aura-workflow .heading { fill: #f0f6fc; }
.aura-workflow .paper { fill: #0d1117; }
.aura-workflow .rack, .aura-workflow .line { stroke: #8b949e; }
.aura-workflow .head, .aura-workflow .junction { fill: #8b949e; }
.aura-workflow .join { fill: #c4a7ff; stroke: #0d1117; }
"""


def svg_of(graph: WorkflowGraph, *, critical: Collection[str] = ()) -> str:
    """Return a graph as an SVG document. The steps whose addresses are `critical` have a bold border.

    They are those of the critical path. A node that stands for several runs of a step is bold if one of them is.
    """
    layout = layout_of(graph)
    bold = {*critical, *(address.rpartition("/")[2] for address in critical)}
    heading = _heading(graph)
    width = max(layout.width, text_width(heading, _HEADING_SIZE, bold=True)) + 2 * _BORDER
    height = layout.height + 2 * _BORDER + _HEADING
    return "\n".join(
        (
            '<svg xmlns="http://www.w3.org/2000/svg" class="aura-workflow" role="img"',
            f'  aria-labelledby="aura-title aura-description" width="{width}" height="{height}"',
            f'  viewBox="0 0 {width} {height}">',
            f'<title id="aura-title">{_text(f"Workflow {graph.name}")}</title>',
            f'<desc id="aura-description">{_text(_description(graph))}</desc>',
            f"<style>{_STYLE}{_colours(0)}@media (prefers-color-scheme: dark) {{{_DARK}{_colours(2)}}}\n</style>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            f'<text class="heading" x="{_BORDER}" y="{_BORDER + _HEADING_SIZE}">{_text(heading)}</text>',
            f'<g transform="translate({_BORDER} {_BORDER + _HEADING})">',
            *_boxes(layout.boxes, bold),
            *(part for line in layout.lines for part in _line(line)),
            "</g>",
            "</svg>",
            "",
        )
    )


def _colours(first: int) -> str:
    rules = (
        f".aura-workflow .{state} > rect {{ fill: {colours[first]}; stroke: {colours[first + 1]}; }}\n"
        for state, colours in _STATES.items()
    )
    return "".join(rules)


def _text(text: str) -> str:
    return escape(one_line(text))


def _heading(graph: WorkflowGraph) -> str:
    return graph.name if graph.status is None else f"{graph.name} · {graph.status}"


def _description(graph: WorkflowGraph) -> str:
    steps = [node for node in graph.walk() if node.type is not None]
    counts = Counter(node.status for node in steps if node.status is not None)
    states = ", ".join(f"{counts[status]} {spaced(status)}" for status in StepStatus if status in counts)
    status = f"It is {graph.status}. " if graph.status is not None else ""
    text = f"{graph.description} {status}{len(steps)} steps{': ' if states else ''}{states}."
    return text.strip()


def _boxes(boxes: Iterable[GraphBox], critical: Collection[str]) -> Iterator[str]:
    for box in boxes:
        frame = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
        if box.node is not None:
            yield from _node(box, box.node, frame, critical)
        elif box.kind is BoxKind.JUNCTION:
            radius = box.width / 2
            yield f'<circle class="junction" cx="{box.x + radius:g}" cy="{box.y + radius:g}" r="{radius:g}"/>'
        else:
            yield f'<rect class="rack" {frame} rx="10"/>'


def _node(box: GraphBox, node: GraphNode, frame: str, critical: Collection[str]) -> Iterator[str]:
    kinds = [node.status or "defined"]
    kinds += ["block"] if box.kind is BoxKind.CONTAINER else []
    kinds += ["attached"] if node.role in (NodeRole.HANDLER, NodeRole.COMPENSATION) else []
    kinds += ["not-taken"] if node.taken is False or node.status is StepStatus.SKIPPED else []
    kinds += ["critical"] if node.id in critical else []
    yield f'<g class="{" ".join(kinds)}"><title>{_text(_tip(node))}</title>'
    yield f'<rect {frame} rx="6"/>'
    text = box.lettering
    if text is not None:
        x, y = box.x + MARGIN + 2, box.y + MARGIN + TITLE_SIZE
        yield f'<text class="title" x="{x}" y="{y}">{_text(text.title)}</text>'
        for number, line in enumerate((*((text.subtitle,) if text.subtitle else ()), *text.facts)):
            yield f'<text x="{x}" y="{y + TITLE_LINE - 2 + number * TEXT_LINE}">{_text(line)}</text>'
    yield "</g>"


def _tip(node: GraphNode) -> str:
    words = [spaced(word) for word in (node.type, node.status) if word is not None]
    return "; ".join((node.id, *((node.label,) if node.label != node.id else ()), *words, *node.facts))


def _line(line: GraphLine) -> Iterator[str]:
    sideways = line.kind is not LineKind.DEPENDENCY
    points = line.points
    path = [f"M{points[0].x} {points[0].y}"]
    for one, other in pairwise(points):
        path.append(_curve(one, other, sideways=sideways))
    yield f'<path class="line{" attachment" if sideways else ""}" d="{"".join(path)}"/>'
    end = points[-1]
    if line.arrow:
        wings = "l-8 -4v8z" if sideways else "l-4 -8h8z"
        yield f'<path class="head" d="M{end.x} {end.y}{wings}"/>'
    if line.label:
        place = f'x="{end.x + LABEL_SHIFT}" y="{end.y - LABEL_SHIFT}"'
        yield f'<text class="join" {place}>{_text(line.label)}</text>'


def _curve(one: Point, other: Point, *, sideways: bool) -> str:
    if sideways:
        middle = (one.x + other.x) // 2
        return f"C{middle} {one.y} {middle} {other.y} {other.x} {other.y}"
    if one.x == other.x:
        return f"V{other.y}"
    middle = (one.y + other.y) // 2
    return f"C{one.x} {middle} {other.x} {middle} {other.x} {other.y}"
