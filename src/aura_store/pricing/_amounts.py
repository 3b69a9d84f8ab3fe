"""Amounts: one report of an agent in whole numbers, so that sums are exact in any order."""

from datetime import UTC, date, datetime
from math import isfinite
from typing import Final

import msgspec

from aura_contracts.entries import Usage
from aura_contracts.ports.rows import NANO

TOKENS_LIMIT: Final = 2**42
"""The most tokens of a kind that one report counts for; no agent consumes more, whatever it reports."""

DOLLARS_LIMIT: Final = 100_000
"""The most US dollars that one report counts for."""


class Amounts(msgspec.Struct, frozen=True):
    """The amounts of one report, in whole numbers within the limits of this module."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reported_nanodollars: int


def amounts_of(usage: Usage) -> Amounts:
    """Return the amounts of a report."""
    cost = usage.cost if isfinite(usage.cost) else 0.0
    return Amounts(
        input_tokens=_limited(usage.input_tokens),
        output_tokens=_limited(usage.output_tokens),
        cache_read_tokens=_limited(usage.cache_read_tokens),
        cache_write_tokens=_limited(usage.cache_write_tokens),
        reported_nanodollars=round(max(-DOLLARS_LIMIT, min(cost, DOLLARS_LIMIT)) * NANO),
    )


def _limited(tokens: int) -> int:
    return max(-TOKENS_LIMIT, min(tokens, TOKENS_LIMIT))


def day_of(time: datetime) -> date:
    """Return the UTC day of a report."""
    return time.astimezone(UTC).date()
