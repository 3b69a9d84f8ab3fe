"""Each attack on the page about security names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "`tests/" in line]


def test_each_row_names_tests_that_exist() -> None:
    attacks = PAGE.partition("## Attacks that are answered")[2].partition("## What is not answered")[0]
    rows = [line for line in attacks.splitlines() if re.match(r"\| (?!Attack|---)", line)]
    assert rows == ROWS
    for row in rows:
        file = ""
        for name in re.findall(r"`([^` ]*)`", row.split(" | ")[-1]):
            file, _, test = (name if name.startswith("tests/") else file + name).partition("::")
            assert (ROOT / file).exists(), name
            assert not test or f"def {test}(" in (ROOT / file).read_text("utf-8"), name
