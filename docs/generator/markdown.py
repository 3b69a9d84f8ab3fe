"""Markdown: blocks of a page."""

from collections.abc import Iterable

NOTE = "<!-- Generated from the code by docs/generate.py. Do not edit. -->"


def page(*blocks: str) -> str:
    """Return a page of blocks with an empty line between them; empty blocks are skipped."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table. A bar in a cell is escaped, because it would end the cell even within code."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fenced(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"
