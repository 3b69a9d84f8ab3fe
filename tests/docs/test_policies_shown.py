"""Policies on the pages are valid, without warnings."""

from pathlib import Path

import pytest
from test_examples import BLOCKS

from aura_engine.policy.policy_file import read_policy

POLICIES = [block for block in BLOCKS if block.language == "yaml" and "rules:" in block.text]


def test_there_are_some():
    assert POLICIES


@pytest.mark.parametrize("block", POLICIES, ids=str)
def test_a_policy_on_a_page_has_no_faults(block):
    assert read_policy(block.text.encode(), str(Path(block.page))).faults == ()
