"""Workflow files on the pages, and parts of them, are right."""

import re

import pytest
import yaml
from test_examples import BLOCKS, ROOT

from aura_engine.orchestration.definition_file import read_definition

PATTERNS = ROOT / "examples/workflows/patterns"
SHOWN = [block for block in BLOCKS if block.language == "yaml" and "steps:" in block.text]


def test_there_are_some():
    assert len({block.page for block in SHOWN}) >= 1
    assert len(SHOWN) > 10


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_a_workflow_on_a_page_has_no_faults(block):
    text = block.text
    if "\nname:" not in f"\n{text}":  # a part of a file
        inputs = ", ".join(f"{name}: {{}}" for name in sorted(set(re.findall(r"inputs\.(\w+)", text))))
        text = f"name: example\ninputs: {{{inputs}}}\n{text}"
    assert read_definition(text.encode(), block.page).faults == ()


def test_every_yaml_file_is_a_workflow_without_faults_or_the_runs_of_one():
    """The runs are played by `tests/stateful/test_workflow_patterns.py`; a file of another kind needs its test here."""
    files = [
        path for folder in ("docs", "examples") for kind in ("*.yaml", "*.yml") for path in (ROOT / folder).rglob(kind)
    ]
    assert files
    for path in files:
        assert path.parent == PATTERNS, f"no test runs {path}"
        if path.name.endswith(".runs.yaml"):
            assert path.with_name(path.name.replace(".runs", "")).exists(), f"{path} has no workflow"
        else:
            assert read_definition(path.read_bytes(), path.name).faults == ()
            assert yaml.safe_load(path.with_suffix(".runs.yaml").read_text("utf-8")), f"no test runs {path}"
