"""Tree: a workflow as indented lines for a terminal.

On a terminal, a tree with names reads better than a drawing: a line per step with its state, and by name the steps that
it waits for.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aura_contracts.quoting import cut_to_width, one_line, width_of
from aura_contracts.workflow.values import StepStatus
from aura_engine.orchestration.graph.captions import spaced
from aura_engine.orchestration.graph.nodes import GraphEdge, GraphNode, NodeRole, WorkflowGraph

_LEAST = 24
"""The least columns for the text of a line, however deep it is."""


class _Signs(NamedTuple):
    """The characters of a tree."""

    branch: str
    last: str
    through: str
    dot: str
    marks: dict[StepStatus | None, str]


_UNICODE = _Signs(
    "├─ ",
    "└─ ",
    "│  ",
    " · ",
    {
        StepStatus.PENDING: "○",
        StepStatus.RUNNING: "▶",
        StepStatus.AWAITING_APPROVAL: "?",
        StepStatus.RETRYING: "↻",
        StepStatus.HANDLING: "▷",
        StepStatus.CANCELLING: "◌",
        StepStatus.FAILED: "✗",
        StepStatus.COMPLETED: "✓",
        StepStatus.SKIPPED: "-",
        StepStatus.CANCELLED: "⊘",
    },
)
_ASCII = _Signs(
    "|- ",
    "`- ",
    "|  ",
    ", ",
    {
        StepStatus.PENDING: "[ ]",
        StepStatus.RUNNING: "[>]",
        StepStatus.AWAITING_APPROVAL: "[?]",
        StepStatus.RETRYING: "[~]",
        StepStatus.HANDLING: "[h]",
        StepStatus.CANCELLING: "[c]",
        StepStatus.FAILED: "[!]",
        StepStatus.COMPLETED: "[x]",
        StepStatus.SKIPPED: "[-]",
        StepStatus.CANCELLED: "[/]",
    },
)


def tree_of(graph: WorkflowGraph, *, width: int = 80, only_ascii: bool = False) -> str:
    """Return a graph as lines of at most `width` columns, if the tree is not too deep for that.

    With `only_ascii` the lines of the tree are drawn in ASCII; names stay as they are.
    """
    signs = _ASCII if only_ascii else _UNICODE
    status = "" if graph.status is None else f"{signs.dot}{graph.status}"
    lines = [cut_to_width(one_line(f"{graph.name}{status}"), width)]
    lines += _branches(graph.nodes, graph.edges, "", signs, width)
    return "\n".join(lines)


def _branches(
    nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], indent: str, signs: _Signs, width: int
) -> Iterator[str]:
    waits: dict[str, list[str]] = {}
    joins = {}
    for edge in edges:
        waits.setdefault(edge.target, []).append(edge.source)
        joins[edge.target] = edge.join
    for node in nodes:
        is_last = node is nodes[-1]
        facts = [*_words(node)]
        if node.id in waits:
            join = f" ({joins[node.id]})" if joins[node.id] else ""
            facts.append(f"after {', '.join(name.rpartition('/')[2] for name in waits[node.id])}{join}")
        facts += node.facts
        below = indent + ("   " if is_last else signs.through)
        more = signs.through if node.parts else "   "
        yield from _line(
            indent + (signs.last if is_last else signs.branch), below + more, _title(node, signs), facts, signs, width
        )
        yield from _branches(node.parts, node.edges, below, signs, width)


def _title(node: GraphNode, signs: _Signs) -> str:
    mark = f"{signs.marks[node.status]} " if node.status is not None else ""
    name = node.id.rpartition("/")[2] if node.type is not None else node.label
    undo = "undo: " if node.role is NodeRole.COMPENSATION else ""
    title = f" ({node.label})" if node.type is not None and node.label != name else ""
    return one_line(f"{mark}{undo}{name}{title}")


def _words(node: GraphNode) -> Iterator[str]:
    for word in (node.type, node.status):
        if word is not None:
            yield spaced(word)
    if node.taken is not None:
        yield "chosen" if node.taken else "not chosen"


def _line(first: str, following: str, title: str, facts: Sequence[str], signs: _Signs, width: int) -> Iterator[str]:
    """Yield a line, and those that hold what does not fit into it."""
    line = first + cut_to_width(title, max(width - width_of(first), _LEAST))
    glue = "  "
    for fact in map(one_line, facts):
        if width_of(line) + width_of(glue) + width_of(fact) > width:
            yield line
            fact = cut_to_width(fact, max(width - width_of(following), _LEAST))  # noqa: PLW2901 - what fits of it
            line, glue = following, ""
        line, glue = f"{line}{glue}{fact}", signs.dot
    yield line
