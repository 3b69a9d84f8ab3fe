"""Prices: which row counts, what a file may say, what its mistakes are called."""

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.entries import Usage
from aura_contracts.errors import NaiveDatetime
from aura_store.pricing import InvalidPrices, parse_prices, price, read_prices

TABLE = parse_prices(
    b"""
[sources.shop]
page = "https://example.org/prices"
retrieved = 2026-01-31
[models]
"m*" = [{ from = 2026-01-01, input = 1, output = 2 }]
"m-large*" = [
  { from = 2026-02-01, input = 20, output = 40, cache_read = 0.1, cache_write = 0.3, source = "shop" },
  { from = 2026-01-01, input = 10, output = 20, cache_read = 0.1, cache_write = 0.3, source = "a letter" },
]
""",
    "test.toml",
)
MILLION = Usage(input_tokens=1_000_000)


@pytest.mark.parametrize(
    ("model", "day", "dollars"),
    [
        ("m-small", date(2026, 1, 1), 1),
        ("m-large", date(2026, 1, 31), 10),
        ("m-large", date(2026, 2, 1), 20),
        ("M-Large-2026[1m]", date(2027, 1, 1), 20),
        ("shop/m-large", date(2027, 1, 1), 20),
        ("m-small", date(2025, 12, 31), None),
        ("n", date(2026, 1, 1), None),
        ("", date(2026, 1, 1), None),
    ],
)
def test_the_longest_name_and_the_row_of_the_day_count(model, day, dollars):
    assert price(MILLION, model, day, TABLE) == dollars


def test_each_kind_of_token_has_its_price_and_what_agents_say_has_none():
    usage = Usage(input_tokens=1, output_tokens=10, cache_read_tokens=1000, cache_write_tokens=100, cost=float("nan"))
    assert price(usage, "m-large", date(2026, 1, 1), TABLE) == Decimal("0.00034")
    assert price(usage, "m", date(2026, 1, 1), TABLE) == Decimal("0.001121"), "cached tokens like others"


def test_the_day_is_that_of_utc():
    west = timezone(timedelta(hours=-8))
    assert price(MILLION, "m-large", datetime(2026, 1, 31, 16, tzinfo=west), TABLE) == 20
    assert price(MILLION, "m-large", datetime(2026, 1, 31, 23, tzinfo=UTC), TABLE) == 10
    with pytest.raises(NaiveDatetime):
        price(MILLION, "m-large", datetime(2026, 1, 31), TABLE)  # noqa: DTZ001 - what is refused


def test_where_a_price_is_from():
    assert TABLE.find("m-large", date(2026, 2, 1)).source == "https://example.org/prices (2026-01-31)"
    assert TABLE.find("m-large", date(2026, 1, 1)).source == "a letter"


@given(st.lists(st.integers(0, 2**42), min_size=4, max_size=4), st.lists(st.integers(0, 2**42), min_size=4, max_size=4))
def test_the_price_of_a_sum_is_the_sum_of_the_prices(one, other):
    day = date(2026, 1, 1)
    parts = [price(Usage(*tokens), "m-large", day, TABLE) for tokens in (one, other)]
    assert price(Usage(*one) + Usage(*other), "m-large", day, TABLE) == sum(parts)


# --- AURA's own -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("claude-opus-4-5-20251101", "30"),
        ("claude-opus-4-8[1m]", "30"),
        ("claude-opus-4-20250514", "90"),
        ("anthropic/claude-sonnet-4-5", "18"),
        ("claude-haiku-4-5-20251001", "6"),
        ("gpt-5", "11.25"),
        ("gpt-5.1-codex-max", "11.25"),
        ("gpt-5.1-codex-mini", "2.25"),
        ("gemini-2.5-flash", "2.8"),
        ("gemini-2.5-flash-lite", "0.5"),
        ("models/gemini-2.5-pro", "11.25"),
        ("qwen3-coder-plus", "6"),
    ],
)
def test_list_prices(model, cost):
    """A million tokens in and a million out."""
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert price(usage, model, date(2026, 10, 31), read_prices()) == Decimal(cost)


def test_list_prices_do_not_guess():
    table = read_prices()
    for model in ("claude-opus-9", "gpt-7", "gpt-5.5-pro", "gpt-5-pro", "fake-model", "sonnet", ""):
        assert table.find(model, date(2026, 10, 31)) is None
    assert table.find("gpt-5", date(2025, 8, 6)) is None, "was not there yet"


def test_every_list_price_says_where_it_is_from():
    for rows in read_prices().models.values():
        for row in rows:
            assert row.source.startswith("https://")
            assert row.cache_read <= row.input <= row.output


def test_a_file_of_ones_own_replaces_the_models_that_it_names(tmp_path):
    own = tmp_path / "prices.toml"
    own.write_text(
        """[models]
"gpt-5" = [{from = 2026-01-01, input = 7, output = 8}]
mine = [{from = 2026-01-01, input = 0, output = 0}]
"""
    )
    table = read_prices(own)
    assert price(MILLION, "gpt-5", date(2026, 1, 1), table) == 7
    assert price(MILLION, "gpt-5", date(2025, 12, 31), table) is None
    assert price(MILLION, "mine", date(2026, 1, 1), table) == 0
    assert table.models["gpt-5-mini*"] == read_prices().models["gpt-5-mini*"]


# --- Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[models]\n"a-*" = [{from = 2026-01-01, input = -1, output = 1}]', 'models."a-*"[0].input'),
        ("[models]\na = [{from = 2026-01-01, input = 1}]", "models.a[0].output"),
        ('[models]\na = [{from = "soon", input = 1, output = 1}]', "models.a[0].from"),
        ("[models]\na = [{from = 2026-01-01, input = nan, output = 1}]", "models.a[0].input"),
        ("[models]\na = [{from = 2026-01-01, input = inf, output = 1}]", "models.a[0].input"),
        ("[models]\na = [{from = 2026-01-01, input = true, output = 1}]", "models.a[0].input"),
        ("[models]\na = [{from = 2026-01-01, input = 1, output = 1, tea = 1}]", "models.a[0].tea"),
        ("[models]\na = []", "models.a"),
        ("[model]\na = []", "models"),
        (
            "[models]\na = [{from = 2026-01-01, input = 1, output = 1}, {from = 2026-01-01, input = 2, output = 2}]",
            "models.a[1].from",
        ),
        ("[models", ""),
    ],
)
def test_a_mistake_is_named_with_its_file_and_field(text, field, tmp_path):
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(InvalidPrices) as caught:
        read_prices(own)
    assert (caught.value.file, caught.value.field) == (str(own), field)
    assert str(own) in str(caught.value)
    assert field in str(caught.value)
    assert caught.value.remedy


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_no_file_ends_in_another_error(data):
    with contextlib.suppress(InvalidPrices):
        parse_prices(data, "x")
