"""Docstrings as Markdown. Module docstrings use a little reStructuredText. Pure."""

import re
from collections.abc import Iterator
from textwrap import dedent

from generator.markdown import fenced, table

_LITERAL = re.compile(r"``([^`]+)``")
_BORDER = re.compile(r"=+ +=+")
_ROW = re.compile(r"(?P<term>\S.*?) {2,}(?P<words>\S.*)")
_CELLS = re.compile(r" {2,}(?=\S)")
_CONTINUED = " " * 5
"""The indent of a line that continues the row above."""


def markdown(docstring: str) -> Iterator[str]:
    """Yield the blocks of a docstring: paragraphs and lists unchanged, tables as tables, indented text as code.

    An indented block becomes a table if each of its lines is a term and its meaning.
    """
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.splitlines()
        if _BORDER.fullmatch(lines[0]):
            yield _table(_rows([line for line in lines if not _BORDER.fullmatch(line)]))
        elif lines[0].startswith("    "):
            text = dedent(block)
            rows = _terms(text.splitlines())
            yield _table(rows) if rows else fenced(inline(text))
        else:
            yield inline(block)


def inline(text: str) -> str:
    """Return `text` with its literals in Markdown."""
    return _LITERAL.sub(r"`\1`", text)


def _terms(lines: list[str]) -> list[tuple[str, str]]:
    """Return the rows of a block of terms; empty for any other block."""
    first = [line for line in lines if not line.startswith(_CONTINUED)]
    if len(first) < 2 or any(len(_CELLS.split(line)) != 2 for line in first):
        return []
    return _rows(lines)


def _rows(lines: list[str]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for line in lines:
        if not line.startswith(_CONTINUED) and (row := _ROW.fullmatch(line)):
            rows.append((row["term"], row["words"]))
        else:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
    return rows


def _table(rows: list[tuple[str, str]]) -> str:
    return table(("", ""), [(inline(term), inline(words)) for term, words in rows])
