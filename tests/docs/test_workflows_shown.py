"""Workflow files on the pages, and parts of them, are right."""

import re

import pytest
import yaml
from test_examples import BLOCKS, ROOT

from aura_engine.orchestration.definition_file import read_definition

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


def test_workflow_files_have_no_faults():
    files = [path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.yaml")]
    for path in files:
        if "steps" in (yaml.safe_load(path.read_text("utf-8")) or {}):
            assert read_definition(path.read_bytes(), path.name).faults == ()
