"""Workflow graphs: draws a workflow, a stored definition or a file, as text, Mermaid or SVG."""

from pathlib import Path
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, engine_of
from aura_contracts.errors import InvalidInput

if TYPE_CHECKING:
    from aura_engine import Engine, WorkflowGraph

FORMATS = ("text", "mermaid", "svg")

SUFFIXES = (".yaml", ".yml", ".json")
"""How the names of workflow files end."""


def is_file(text: str) -> bool:
    """Whether a text names a file, not a definition or an id."""
    return "/" in text or text.endswith(SUFFIXES)


async def show_graph(call: Invocation) -> None:
    """Print the graph that the arguments name, or write it to a file."""
    given = call.arguments
    store = "memory:" if is_file(given.workflow) else None
    async with engine_of(call, read_only=True, store=store) as engine:
        graph = await _graph(engine, given.workflow, expand=given.expand)
    text = _drawn(call, graph, given.format)
    if given.output is None:
        call.terminal.item(graph.as_dict(), text.rstrip("\n"))
        return
    try:
        Path(given.output).write_text(text if text.endswith("\n") else f"{text}\n", "utf-8")  # noqa: ASYNC240 - at the end
    except OSError as error:
        reason = f"{given.output!r} cannot be written: {error.strerror or error}"
        raise InvalidInput(field="--output", reason=reason, remedy="give a path that can be written") from error
    call.terminal.item({"file": given.output, "format": given.format}, f"{given.output} is written")


async def _graph(engine: "Engine", what: str, *, expand: bool) -> "WorkflowGraph":
    if is_file(what):
        from aura_engine import graph_of

        return graph_of(await engine.workflows.read(what))
    return await engine.workflows.graph(what, expand=expand)


def _drawn(call: Invocation, graph: "WorkflowGraph", form: str) -> str:
    from aura_engine import mermaid_of, svg_of, tree_of

    if form == "text":
        from shutil import get_terminal_size

        width = get_terminal_size().columns if call.terminal.out.isatty() else 120
        return tree_of(graph, width=width)
    return mermaid_of(graph) if form == "mermaid" else svg_of(graph)
