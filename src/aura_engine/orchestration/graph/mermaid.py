"""Mermaid: a workflow as a flowchart in the language of Mermaid (mermaid.js.org), which GitHub and others draw.

No name of a workflow can change the chart: nodes have names of our own, and in labels every character but letters,
digits and a few marks is written as its number, ``#60;``, which Mermaid turns back into text.
"""

import re
from collections.abc import Iterator

from aura_contracts.quoting import cut_to_width, one_line
from aura_contracts.workflow.values import StepStatus, StepType
from aura_engine.orchestration.graph.captions import spaced
from aura_engine.orchestration.graph.nodes import GraphEdge, GraphNode, NodeRole, WorkflowGraph

_COLUMNS = 60

_SPECIAL = re.compile(r"[^\w ,:=·…-]|^-|(?<!\w)-(?!\w)")

_COLOURS = {
    StepStatus.PENDING: "fill:#f4f5f7,stroke:#8a94a3,color:#111827",
    StepStatus.RUNNING: "fill:#dbeafe,stroke:#2563eb,color:#111827",
    StepStatus.AWAITING_APPROVAL: "fill:#fef3c7,stroke:#b45309,color:#111827",
    StepStatus.RETRYING: "fill:#ffedd5,stroke:#c2410c,color:#111827",
    StepStatus.HANDLING: "fill:#fff1e6,stroke:#b45309,color:#111827",
    StepStatus.CANCELLING: "fill:#fce7f3,stroke:#be185d,color:#111827",
    StepStatus.FAILED: "fill:#fee2e2,stroke:#b91c1c,color:#111827",
    StepStatus.COMPLETED: "fill:#dcfce7,stroke:#15803d,color:#111827",
    StepStatus.SKIPPED: "fill:#fbfbfc,stroke:#a3acb8,color:#6b7280",
    StepStatus.CANCELLED: "fill:#e5e7eb,stroke:#4b5563,color:#111827",
}

_SHAPES = {
    StepType.HUMAN_APPROVAL: ("{{", "}}"),
    StepType.WORKFLOW: ("[[", "]]"),
    StepType.WAIT: ("([", "])"),
    StepType.END: ("((", "))"),
}


def mermaid_of(graph: WorkflowGraph) -> str:
    """Return a graph as a flowchart of Mermaid.

    With its defaults Mermaid draws at most 500 edges and 50,000 characters (``maxEdges``, ``maxTextSize``).
    """
    return "\n".join((*_Chart(graph).lines(), ""))


def label_of(text: str) -> str:
    """Return a text as a label within double quotes; a long one is cut."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", cut_to_width(one_line(text), _COLUMNS))


class _Chart:
    def __init__(self, graph: WorkflowGraph) -> None:
        self._graph = graph
        self._names = {node.id: f"n{number}" for number, node in enumerate(graph.walk())}
        self._edges: list[str] = []
        self._styles: list[str] = []

    def lines(self) -> Iterator[str]:
        """Yield the lines of the chart."""
        yield "flowchart TD"
        for node in self._graph.nodes:
            yield from self._node(node, "  ")
        self._join(self._graph.edges)
        yield from self._edges
        used = {node.status for node in self._graph.walk() if node.status is not None}
        yield from (f"  classDef {status} {_COLOURS[status]}" for status in StepStatus if status in used)
        yield from self._styles

    def _node(self, node: GraphNode, indent: str) -> Iterator[str]:
        name, label = self._names[node.id], _label(node)
        state = f":::{node.status}" if node.status is not None else ""
        if node.nodes:
            yield f'{indent}subgraph {name}["{label}"]'
            for part in node.nodes:
                yield from self._node(part, f"{indent}  ")
            yield f"{indent}end"
            if node.status is not None:
                self._styles.append(f"  class {name} {node.status}")
        else:
            opening, closing = _SHAPES.get(node.type, ("[", "]")) if node.type is not None else ("[", "]")
            yield f'{indent}{name}{opening}"{label}"{closing}{state}'
        self._join(node.edges)
        if node.role in (NodeRole.HANDLER, NodeRole.COMPENSATION):
            self._styles.append(f"  style {name} stroke-dasharray: 6 4")
        for part in node.parts[len(node.nodes) :]:
            yield from self._node(part, indent)
            self._edges.append(f"  {name} -.-> {self._names[part.id]}")

    def _join(self, edges: tuple[GraphEdge, ...]) -> None:
        for edge in edges:
            if not edge.implied:
                label = f'|"{label_of(edge.join)}"|' if edge.join else ""
                self._edges.append(f"  {self._names[edge.source]} -->{label} {self._names[edge.target]}")


def _label(node: GraphNode) -> str:
    label = f"undo: {node.label}" if node.role is NodeRole.COMPENSATION else node.label
    words = [spaced(word) for word in (node.type, node.status) if word is not None]
    if node.taken is not None:
        words.append("chosen" if node.taken else "not chosen")
    glue = " · " if node.nodes else "<br/>"  # the head of a subgraph has one line
    return glue.join((label_of(label), *((label_of(" · ".join(words)),) if words else ())))
