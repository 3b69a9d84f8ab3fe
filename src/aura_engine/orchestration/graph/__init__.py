"""Graph: a workflow as text, as a flowchart of Mermaid and as an SVG drawing. Pure.

    captions   short texts about a step
    nodes      a definition, and the states of its steps ► nodes and edges
    tree       ► indented lines for a terminal
    mermaid    ► a flowchart of Mermaid
    layers     vertices and edges ► where they go
    lettering  the text in a box, and how much room it takes
    layout     nodes and edges ► boxes and lines, in pixels
    svg        ► a drawing

The module that defines one of the names below is imported when the name is first used.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.orchestration.graph.mermaid import mermaid_of as mermaid_of
    from aura_engine.orchestration.graph.nodes import GraphEdge as GraphEdge
    from aura_engine.orchestration.graph.nodes import GraphNode as GraphNode
    from aura_engine.orchestration.graph.nodes import NodeRole as NodeRole
    from aura_engine.orchestration.graph.nodes import WorkflowGraph as WorkflowGraph
    from aura_engine.orchestration.graph.nodes import graph_of as graph_of
    from aura_engine.orchestration.graph.svg import svg_of as svg_of
    from aura_engine.orchestration.graph.tree import tree_of as tree_of

export_lazily(__name__)
