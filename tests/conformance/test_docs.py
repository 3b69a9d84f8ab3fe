"""The code that the pages about the store show is the code that the tests run."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ADAPTERS = (ROOT / "docs/how-to/write-a-store-adapter.md").read_text("utf-8")
PROMISES = (ROOT / "docs/explanation/store-promises.md").read_text("utf-8")


WALK, PROOFS = (
    re.findall(r"^```py\n(.*?)^```$", part, re.MULTILINE | re.DOTALL) for part in ADAPTERS.split("## 8. Prove it")
)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_the_adapter_of_the_page_is_the_one_that_passes_the_suite() -> None:
    assert lines("".join(WALK)) == lines((HERE / "dict_log.py").read_text("utf-8"))


@pytest.mark.parametrize("block", PROOFS)
def test_the_proofs_of_the_page_are_run(block: str) -> None:
    run = (HERE / "test_event_log.py").read_text("utf-8") + (HERE / "test_stateful.py").read_text("utf-8")
    assert block in run


def test_every_promise_names_a_test_that_exists() -> None:
    proofs = re.findall(r"`(\S+\.py)::(\w+)`", PROMISES)
    for path in {path for path, _ in proofs}:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert {name for where, name in proofs if where == path} <= functions, path


def test_every_promise_has_a_proof() -> None:
    promises, _, _ = PROMISES.partition("## Limits")
    for section in promises.split("\n## ")[1:]:
        assert "::test_" in section or "::crash`" in section, section.splitlines()[0]
