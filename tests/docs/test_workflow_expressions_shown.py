"""The expressions on the page about those of workflows have the values that it shows."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_examples import ROOT, blocks_of

from aura_contracts import errors
from aura_engine._template_filters import _BOUNDED_FILTERS as FILTERS
from aura_engine._template_filters import STEP_LIMIT
from aura_engine.orchestration import expressions
from aura_engine.orchestration._expression_sandbox import VALUE_LIMIT
from aura_engine.orchestration.lazy_tables import AbsentValue, Lazy

PAGE = ROOT / "docs/reference/workflow-expressions.md"

VALUES = json.loads(next(block.text for block in blocks_of(PAGE) if block.language == "json"))


def rows(page: Path, head: str) -> list[tuple[str, str]]:
    """Return the rows of the tables whose first column has this head."""
    text = page.read_text("utf-8")
    tables = re.findall(rf"^\| {head} \| \w+ \|\n\| --- \| --- \|\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = re.compile(r"\| `(.*)` \| `(.*)` \|")
    return [
        (found[1].replace(r"\|", "|"), found[2])
        for line in "".join(tables).splitlines()
        if (found := cells.fullmatch(line)) is not None
    ]


class Step(Lazy):
    def __init__(self, name: str) -> None:
        self.given = {"outcome": None, "failure": None, **VALUES["steps"][name]}
        self.given.setdefault("output", AbsentValue(name, self.given["status"]))

    def names(self) -> Sequence[str]:
        return [*self.given]

    def part(self, name: str) -> Any:
        return self.given[name]


class Steps(Lazy):
    def names(self) -> Sequence[str]:
        return [*VALUES["steps"]]

    def part(self, name: str) -> Any:
        return Step(name)


SCOPE = {**VALUES, "steps": Steps()}

CASES = [
    *((expressions.evaluate, *row) for row in rows(PAGE, "expression")),
    *((expressions.render, *row) for row in rows(PAGE, "template")),
    *((expressions.rendered, *row) for row in rows(PAGE, "input")),
]


def test_there_are_some():
    assert len(CASES) > 30
    assert {case[0] for case in CASES} == {expressions.evaluate, expressions.render, expressions.rendered}


@pytest.mark.parametrize(("use", "text", "shown"), CASES, ids=lambda one: one if isinstance(one, str) else None)
def test_what_the_page_shows_is_so(use: Any, text: str, shown: str):
    if shown.isidentifier() and shown not in {"true", "false", "null"}:
        with pytest.raises(getattr(errors, shown)):
            use(text, SCOPE)
    else:
        assert use(text, SCOPE) == json.loads(shown)


def test_the_page_names_all_filters_and_limits():
    page = PAGE.read_text("utf-8")
    named = re.search(r"^Filters: (.*?)\.$", page, re.MULTILINE | re.DOTALL)
    assert named is not None
    public = {name for name in FILTERS if not name.startswith("_")} - {"d"}
    assert set(re.findall(r"`(\w+)`", named[1])) == public
    for limit in (f"{STEP_LIMIT:,}", f"{expressions.ITEMS_LIMIT:,}", "10,000 bits"):
        assert limit in page
    assert (expressions.EXPRESSION_LIMIT, expressions.TEMPLATE_LIMIT, VALUE_LIMIT) == (8 << 10, 64 << 10, 1 << 20)
