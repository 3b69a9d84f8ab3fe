"""Inputs: refused before anything is done, with the field that is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Script
from aura_engine.inputs import TITLE_LENGTH, RunRequest, title_of


@given(st.text())
def test_a_title_is_one_short_line_of_the_prompt(prompt):
    title = title_of(prompt)
    assert len(title) <= TITLE_LENGTH + 3
    assert len(title.splitlines()) <= 1
    assert bool(title) == any(line.strip() for line in prompt.splitlines())


def test_a_long_prompt_is_cut_at_a_word():
    assert title_of("word " * 40) == "word " * 13 + "word..."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", " \n"),
        ("executor", ""),
        ("timeout", 0.0),
        ("timeout", float("inf")),
        ("idle_timeout", -1.0),
        ("output_limit", 0),
        ("options", {"env": {"API_KEY": "sk-test"}}),
        ("variables", {"token": "sk-test"}),
        ("prompt", 7),
        ("approval", "perhaps"),
        ("repositories", "/a/path"),
        ("reviewers", "alice"),
        ("copy_files", [7]),
    ],
)
def test_nonsense_is_refused(field, value):
    with pytest.raises(InvalidInput) as refused:
        RunRequest(**{"prompt": "work", "executor": "custom", field: value})
    assert refused.value.field.startswith(field)


def test_a_script_may_be_given_as_text():
    request = RunRequest(prompt="work", executor="custom", setup="make", approval="auto")
    assert request.plan.setup == Script(text="make")
