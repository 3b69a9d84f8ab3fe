"""Who leaves an async generator early closes it; else it ends when it is collected, on trio with a warning.

A loop over a call of one is only left at its end: its body neither waits, where it may be cancelled, nor returns. Any
other loop uses `aclosing`, or makes a list first.
"""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
WAYS_OUT = (ast.Await, ast.Return, ast.Break, ast.Yield, ast.Raise, ast.AsyncFor, ast.AsyncWith)


def left_open(source: str) -> list[int]:
    """Return the lines of loops that may leave their generator open."""
    return [
        loop.lineno
        for loop in ast.walk(ast.parse(source))
        if isinstance(loop, ast.AsyncFor)
        and isinstance(loop.iter, ast.Call)
        and any(isinstance(node, WAYS_OUT) for statement in loop.body for node in ast.walk(statement))
    ]


@pytest.mark.parametrize(
    ("body", "lines"), [("use(row)", []), ("await use(row)", [2]), ("return row", [2]), ("if row: break", [2])]
)
def test_a_loop_that_may_leave_its_generator_open_is_found(body, lines):
    assert left_open(f"async def look():\n    async for row in rows():\n        {body}\n") == lines


@pytest.mark.deep
def test_no_loop_leaves_its_generator_open():
    found = {path.relative_to(SRC).as_posix(): left_open(path.read_text("utf-8")) for path in SRC.rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}
