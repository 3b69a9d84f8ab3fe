"""The token of a process: a value to reason with, and a text to find it by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import CODING, ExecutionStatus, ProcessToken
from strategies import ids, structs

ID = "0192f0c1-2d3e-7abc-8def-0123456789ab"


@given(ids(), st.sampled_from(ExecutionStatus), st.integers(0, 999), st.integers(0, 999))
def test_a_token_is_known_by_its_text(execution_id, stage, follow_up, attempt):
    token = ProcessToken(execution_id, stage, follow_up, attempt)
    assert ProcessToken.parse(str(token)) == token
    assert token.coding is (stage in CODING)


@given(structs(ProcessToken), structs(ProcessToken))
def test_different_processes_have_different_texts(one, other):
    assert (str(one) == str(other)) is (one == other)


@pytest.mark.parametrize("text", ["", "-", ID, f"{ID}-Coding-0-1", f"{ID}-Setup-0", f"{ID}-Setup-0--1", "x-Setup-0-1"])
def test_what_is_no_token_is_refused(text):
    with pytest.raises(InvalidInput) as refusal:
        ProcessToken.parse(text)
    assert refusal.value.field == "token"
