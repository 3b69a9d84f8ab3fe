"""The tests that pages name for their claims: each is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs/security.md", ROOT / "docs/explanation/lifecycle.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_a_page_names_are_there(page):
    named = NAMED.findall(page.read_text("utf-8"))
    assert named
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []


def test_each_row_about_where_a_run_works_names_its_test():
    section = PAGES[1].read_text("utf-8").partition("## Where a run works")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| situation")]
    assert rows
    assert [row for row in rows if not NAMED.search(row)] == []
