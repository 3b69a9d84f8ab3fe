"""Every conversation: whatever its agent writes, there is an entry for it, no exception, and no end of memory."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from normalisers import JUNK, KINDS, STRANGE, Happening, Mutation, endless_line, kept, prove, spoilt, subjects, unending

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
LIMIT = 32_000_000 if DEEP else 8_000_000
"""Bytes that a conversation may hold. Everything that it remembers is limited by number or by length."""

every_normaliser = pytest.mark.parametrize("name", list(subjects()))
every_new_one = pytest.mark.parametrize("name", [name for name in subjects() if not name.endswith(" resumed")])

mutations = st.lists(
    st.builds(Mutation, st.sampled_from(KINDS), st.integers(0, 2**16), st.integers(0, 2**32)), min_size=1, max_size=8
)
happenings = st.lists(
    st.builds(Happening, st.integers(0, 2**16), st.sampled_from(["answer", "interrupt", "trouble"]), st.booleans()),
    max_size=4,
)
few = settings(
    max_examples=2_000 if DEEP else 30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@every_normaliser
@few
@given(st.integers(0, 2**16), mutations, st.lists(st.integers(0, 2**16), max_size=6), happenings)
def test_what_is_spoilt_is_told_as_unknown(name, seed, mutations, cuts, happenings):
    subject = subjects()[name]
    prove(subject, spoilt(subject.seeds[seed % len(subject.seeds)], mutations), cuts, happenings)


@every_normaliser
def test_a_value_of_another_type_is_no_accident(name):
    """Each strange value, in the place of some others of each capture."""
    subject = subjects()[name]
    for number in range(len(STRANGE) * 2):
        seed = subject.seeds[number * 7 % len(subject.seeds)]
        what = number % len(STRANGE) + 256 * len(STRANGE) * (number * number + number)
        prove(subject, spoilt(seed, [Mutation("value", number, what), Mutation("junk", number, number)]), [number * 97])


@every_normaliser
def test_every_line_of_junk_is_told(name):
    prove(subjects()[name], b"\n".join(JUNK), [5, 1_000, 60_000])


@every_new_one
def test_lines_that_do_not_end_are_not_kept(name):
    assert kept(subjects()[name], endless_line(50_000_000)) < 1_000_000 or not DEEP


@every_new_one
def test_what_is_remembered_is_limited(name):
    subject = subjects()[name]
    held = kept(subject, unending(subject, 50_000_000 if DEEP else 1_000_000))
    assert held < LIMIT, f"{held} bytes"
