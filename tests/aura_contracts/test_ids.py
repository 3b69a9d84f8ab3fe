"""Ids: UUIDv7 as RFC 9562 lays it out, growing whatever the clock does; what is read as an id and what is not."""

from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidId
from aura_contracts.ids import is_canonical_id, output_stream, parse_id, uuid7_factory

ID = "0192f0c1-2d3e-7abc-8def-0123456789ab"

clocks = st.lists(st.integers(0, 2**48 - 2), min_size=1, max_size=40)


def factory(times, bits):
    """Return a factory over given clock readings; `bits(n)` gives n random bits."""
    readings = iter(times)
    return uuid7_factory(lambda: next(readings), bits)


def milliseconds(text):
    """Return the timestamp field: the first 48 bits (RFC 9562, section 5.7)."""
    return UUID(text).int >> 80


@given(clocks, st.randoms(use_true_random=False))
def test_the_layout_is_that_of_version_7(times, rng):
    make = factory(times, rng.getrandbits)
    for _ in times:
        text = make()
        assert is_canonical_id(text)
        assert (UUID(text).version, UUID(text).variant) == (7, RFC_4122)


def test_the_fields_are_where_the_standard_has_them():
    """Unix milliseconds, the version, 12 bits, the variant, 62 bits (RFC 9562, section 5.7)."""
    counter = 0b1 << 73 | 0xABC << 62 & (1 << 73) - 1 | 0x0123456789ABCDEF
    value = UUID(factory([0x017F22E279B0], lambda _: counter)()).int
    assert value >> 80 == 0x017F22E279B0
    assert value >> 76 & 0xF == 7
    assert value >> 62 & 0b11 == 0b10
    assert (value >> 64 & 0xFFF) << 62 | value & (1 << 62) - 1 == counter


def test_the_timestamp_is_the_clock_when_that_advances():
    times = [1, 2, 1_767_528_000_000, 2**48 - 2]
    make = factory(times, lambda _: 0)
    assert [milliseconds(make()) for _ in times] == times


@given(clocks, st.randoms(use_true_random=False))
def test_ids_strictly_grow_whatever_the_clock_does(times, rng):
    make = factory(times, rng.getrandbits)
    ids = [make() for _ in times]
    assert all(earlier < later for earlier, later in pairwise(ids))


@given(st.integers(2, 200), st.randoms(use_true_random=False))
def test_ids_strictly_grow_within_a_millisecond(count, rng):
    make = factory([1_767_528_000_000] * count, rng.getrandbits)
    ids = [make() for _ in range(count)]
    assert len(set(ids)) == count
    assert ids == sorted(ids)


def test_a_counter_that_is_used_up_borrows_from_the_next_millisecond():
    """The greatest possible increments exhaust 74 bits only after some 2^41 ids, so the seed is given as full."""
    seeds = iter([2**74 - 2, 0, 0, 5])  # seed, increment - 1, increment - 1 (overflows), seed of the next millisecond
    make = factory([100, 100, 100], lambda _: next(seeds))
    first, second, third = make(), make(), make()
    assert first < second < third
    assert [milliseconds(each) for each in (first, second, third)] == [100, 100, 101]


def test_the_same_clock_and_randomness_make_the_same_ids():
    def run():
        make = factory(range(10), lambda bits: 12345 % 2**bits)
        return [make() for _ in range(10)]

    assert run() == run()


@given(st.uuids())
def test_every_spelling_reads_as_the_canonical_text(value):
    for spelling in (str(value), str(value).upper(), value.hex, value.hex.upper(), f"{{{value}}}", value.urn):
        assert parse_id(spelling) == str(value)
    assert is_canonical_id(str(value))


@pytest.mark.parametrize("spelling", [ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f" {ID}", "", "x"])
def test_only_the_stored_form_is_canonical(spelling):
    assert not is_canonical_id(spelling)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        ID[:-1],
        f"{ID}0",
        f"{ID}\n",
        f" {ID}",
        ID.replace("a", "g"),
        ID[:-1] + "\n",  # from here on: taken for 32 digits by uuid.UUID, read as another id or as no id at all
        "+" + ID.replace("-", "")[1:],
        ID.replace("-", "")[:-1] + " ",
        "0192_0c12d3e7abc8def0123456789ab",
        "\N{ARABIC-INDIC DIGIT ZERO}" + ID.replace("-", "")[1:],
    ],
)
def test_anything_else_is_refused_with_the_field_and_the_text(text):
    with pytest.raises(InvalidId) as refusal:
        parse_id(text, field="task_id")
    assert (refusal.value.field, refusal.value.value) == ("task_id", text)
    assert repr(text) in str(refusal.value)


@given(st.text(max_size=40))
def test_what_is_accepted_is_canonical(text):
    try:
        assert is_canonical_id(parse_id(text))
    except InvalidId:
        assert not is_canonical_id(text)


def test_the_output_of_an_execution_has_a_stream_that_either_side_can_name():
    other = ID.replace("a", "b")
    assert output_stream(ID) == output_stream(ID)
    assert output_stream(ID) not in {ID, output_stream(other)}
    assert is_canonical_id(output_stream(ID))
