"""Scores and bins equal reference values; parts add up; too few answers say nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.record.calibration import ENOUGH_ANSWERS, Calibration

REFERENCE = json.loads(Path(__file__).with_name("reference.json").read_text())["calibration"]

answers = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_scores_and_bins_equal_reference_values():
    found = Calibration.of([(stated, approved) for stated, approved in REFERENCE["answers"]])
    for name in ("brier", "reliability", "resolution", "uncertainty", "calibration_error"):
        assert getattr(found, name) == pytest.approx(REFERENCE[name], abs=5e-7), name
    assert len(found.bins) == len(REFERENCE["bins"])
    for mine, theirs in zip(found.bins, REFERENCE["bins"], strict=True):
        assert mine.answers == theirs["answers"]
        for name in ("confidence", "approved", "lower", "upper"):
            assert getattr(mine, name) == pytest.approx(theirs[name], abs=5e-7), name


@given(answers)
def test_parts_add_up_to_the_score(given_answers):
    found = Calibration.of(given_answers, needed=1)
    parts = found.reliability - found.resolution + found.uncertainty + found.within_bins
    assert parts == pytest.approx(found.brier, abs=1e-12)
    assert sum(one.answers for one in found.bins) == found.answers == len(given_answers)
    assert all(one.begin <= one.confidence <= one.end for one in found.bins)


@given(answers, st.randoms())
def test_order_changes_nothing(given_answers, drawn):
    shuffled = list(given_answers)
    drawn.shuffle(shuffled)
    assert Calibration.of(shuffled, needed=1) == Calibration.of(given_answers, needed=1)


def test_below_a_hundred_answers_nothing_is_said():
    few = Calibration.of([(0.9, True)] * (ENOUGH_ANSWERS - 1))
    assert not few.enough
    assert few == Calibration(answers=ENOUGH_ANSWERS - 1)
    assert Calibration.of([(0.9, True)] * ENOUGH_ANSWERS).brier == pytest.approx(0.01)
    assert Calibration.of([], needed=0) == Calibration(answers=0, needed=0)


def test_ends_of_bins_belong_to_the_next_one_and_certainty_to_the_last():
    found = Calibration.of([(0.0, False), (0.1, True), (0.9, True), (1.0, True)], needed=1)
    assert [(one.begin, one.answers) for one in found.bins] == [(0.0, 1), (0.1, 1), (0.9, 2)]


@pytest.mark.parametrize("stated", [-0.1, 1.1, float("nan")])
def test_impossible_confidence_is_refused(stated):
    with pytest.raises(ValueError, match="from 0 to 1"):
        Calibration.of([(stated, True)], needed=1)
