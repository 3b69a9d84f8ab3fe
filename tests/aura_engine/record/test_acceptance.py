"""Posteriors equal reference values, bounds hold, and no number breaks them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.record.acceptance import PRIOR_LIMIT, Acceptance, Posterior, pooled
from aura_engine.record.beta import beta_cdf, beta_quantile

REFERENCE = json.loads(Path(__file__).with_name("reference.json").read_text())

shapes = st.floats(0.05, 5_000)
counts = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda two: (two[0], sum(two)))


@pytest.mark.parametrize("known", REFERENCE["posteriors"], ids=lambda known: f"{known['a']},{known['b']}")
def test_posterior_equals_reference_values(known):
    posterior = Posterior(known["a"], known["b"])
    for name in ("mean", "lower", "upper"):
        assert getattr(posterior, name) == pytest.approx(known[name], abs=5e-7)
    for x, below in known["cdf"]:
        assert beta_cdf(x, posterior.a, posterior.b) == pytest.approx(below, abs=5e-7)


@given(st.floats(0, 1), shapes)
def test_cumulative_function_has_its_closed_forms(x, a):
    assert beta_cdf(x, a, 1) == pytest.approx(x**a, abs=1e-9)
    assert beta_cdf(x, 1, a) == pytest.approx(1 - (1 - x) ** a, abs=1e-9)


@given(st.integers(0, 2**20).map(lambda part: part / 2**20), shapes, shapes)
def test_cumulative_function_is_mirrored(x, a, b):
    assert beta_cdf(x, a, b) + beta_cdf(1 - x, b, a) == pytest.approx(1, abs=1e-9)


@given(st.floats(0, 1), st.floats(0.5, 2_000), st.floats(0.5, 2_000))
def test_quantile_undoes_the_cumulative_function(p, a, b):
    x = beta_quantile(p, a, b)
    assert 0 <= x <= 1
    assert beta_cdf(x, a, b) == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, -1), (float("nan"), 1), (1, float("inf"))])
def test_impossible_shapes_are_refused(a, b):
    with pytest.raises(ValueError, match="above 0"):
        beta_cdf(0.5, a, b)


def test_nothing_is_known_without_verdicts():
    known = Acceptance.of(0, 0)
    assert (known.mean, known.lower, known.upper) == (0.5, pytest.approx(0.05), pytest.approx(0.95))


@given(st.integers(0, 300), st.integers(0, 300))
def test_more_approvals_never_lower_the_bound_and_refusals_never_raise_it(approved, refused):
    before = Posterior().updated(approved, refused)
    assert before.lower < before.mean < before.upper
    assert before.updated(1, 0).lower > before.lower > before.updated(0, 1).lower


@given(st.lists(counts, max_size=4))
def test_others_count_for_at_most_ten_verdicts(groups):
    posterior = pooled([*groups, (0, 0)])
    assert posterior.a + posterior.b <= PRIOR_LIMIT * (1 + 1e-9)


@given(st.lists(counts, min_size=1, max_size=3))
def test_own_work_outweighs_what_others_did(groups):
    assert pooled([*groups, (2_000, 4_000)]).mean == pytest.approx(0.5, abs=0.01)


def test_one_verdict_about_it_counts_for_more_than_one_about_others():
    assert pooled([(1, 1), (0, 1)]).mean < 0.5 < pooled([(0, 1), (1, 1)]).mean


def test_pooled_without_others_is_the_own_posterior():
    assert pooled([(0, 0), (3, 4)]) == Posterior(4.0, 2.0) == Posterior().updated(3, 1)
