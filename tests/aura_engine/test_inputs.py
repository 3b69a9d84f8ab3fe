"""Inputs: refused before anything is done, with the field that is wrong."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.run_plan import Script
from aura_engine.inputs import TITLE_LENGTH, RunRequest, title_of


@given(st.text())
def test_a_title_is_one_short_line_of_the_prompt(prompt):
    title = title_of(prompt)
    assert len(title) <= TITLE_LENGTH + 3
    assert len(title.splitlines()) <= 1
    assert bool(title) == any(line.strip() for line in prompt.splitlines())


def test_a_long_prompt_is_cut_at_a_word():
    assert title_of("word " * 40) == "word " * 13 + "word…"


@pytest.fixture(params=[1_000, 20_000])
def recursion(request):
    """Limit the process to so many calls; some libraries, such as mypy, change the limit when they are imported."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(request.param)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("recursion")
@pytest.mark.parametrize("depth", [64, 5000])
def test_a_value_that_is_nested_too_deeply_is_refused(depth):
    value = {}
    for _ in range(depth):
        value = {"deeper": value}
    with pytest.raises(InvalidInput, match="nested too deeply"):
        RunRequest(executor="custom", prompt="x", options=value)


def test_a_value_may_be_nested():
    value = {}
    for _ in range(63):
        value = {"deeper": value}
    assert RunRequest(executor="custom", prompt="x", options=value).options == value


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


# --- Digests ----------------------------------------------------------------------------------------------------------


def test_the_digest_of_a_request_stays_the_same_in_later_versions():
    """A change here makes stored keys raise `KeyReused` for unchanged requests: give it another `DIGEST_VERSION`."""
    plain = RunRequest(prompt="Fix it", executor="custom", repositories=("/",))
    assert plain.digest() == "1:ee03baea3b69c529bd14535c6b39e4111de2fe752ab85ecc9f8e7c2e4759c1a1"
    full = RunRequest(prompt="Fix it", executor="custom", repositories=("/",), reviewers=["bob"])
    full = full.model_copy(update={"options": {"b": 1, "a": 2}})
    assert full.digest(["b", "a", "a"]) == "1:f5494cbc9ea2f993b1f5c05b5e77ccbdaf5719e47c4471e3b50079ce921793d1"


def test_a_digest_covers_what_differs_from_the_defaults():
    plain = RunRequest(prompt="Fix it", executor="custom")
    assert RunRequest(prompt="Fix it", executor="custom", approval="changes", title="").digest() == plain.digest()
    assert RunRequest(prompt="Fix it", executor="custom", approval="plan").digest() != plain.digest()


def test_a_request_of_a_later_version_with_another_field_has_the_same_digest():
    class Later(RunRequest):
        novelty: str = "none"

    given = {"prompt": "Fix it", "executor": "custom", "reviewers": ["bob"]}
    assert Later(**given).digest() == RunRequest(**given).digest()
    assert Later(**given, novelty="some").digest() != RunRequest(**given).digest()
