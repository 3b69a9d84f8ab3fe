"""Prices: the cost of a model's tokens on a day, from a dated table.

    prices = read_prices()                                   # AURA's own, aura_store/pricing/prices.toml
    prices = read_prices(home / "prices.toml")               # overridden by your own file
    price(usage, "claude-sonnet-4-5-20250929", used_at, prices)

A table maps model names to rows, each of which is valid from a day on, in UTC. The longest name that matches the model
is used, and of its rows the latest that starts on or before the day of use. Usage from before a price change therefore
keeps its price, and correcting a row also corrects the past, because costs are not stored anywhere.

Money is `Decimal`, in US dollars, and exact.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

import attrs

from aura_contracts.errors import InvalidInput, require_aware
from aura_contracts.execution import Usage

MILLION = Decimal(1_000_000)


class InvalidPrices(InvalidInput):
    """A price file is invalid; `field` is the place in it."""

    code = "invalid_prices"
    file: str
    remedy: str = (
        'write [models] "NAME*" = [{from = 2026-01-31, input = 3, output = 15}], in dollars per million tokens'
    )

    def message(self) -> str:
        where = f"{self.file}, {self.field}" if self.field else self.file
        return f"{where}: {self.reason}"


@attrs.frozen(kw_only=True)
class Price:
    """The price of a model from the day `since`: US dollars per million tokens."""

    since: date
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    source: str = ""
    """Where the price comes from, and when it was retrieved."""

    def cost_of(self, usage: Usage) -> Decimal:
        """Return the cost of the tokens in `usage`, ignoring the cost that the agent reported."""
        return (
            self.input * usage.input_tokens
            + self.output * usage.output_tokens
            + self.cache_read * usage.cache_read_tokens
            + self.cache_write * usage.cache_write_tokens
        ) / MILLION


@attrs.frozen
class PriceTable:
    """Model names, in which ``*`` matches anything, and their rows, oldest first."""

    models: Mapping[str, Sequence[Price]] = attrs.field(hash=False)

    def replaced_by(self, other: "PriceTable") -> "PriceTable":
        """Return this table with the models of `other` added; for names in both, `other` wins."""
        return PriceTable({**self.models, **other.models})

    def find(self, model: str, day: date) -> Price | None:
        """Return the price of `model` on `day`, or None if it has none.

        Case-insensitive. A name with a provider prefix (``anthropic/claude-...``) is looked up as it is, then without
        everything up to its last slash.
        """
        name = model.lower()
        for candidate in dict.fromkeys((name, name.rpartition("/")[2])):
            fitting = [pattern for pattern in self.models if _pattern(pattern).fullmatch(candidate)]
            if fitting:
                rows = self.models[max(fitting, key=lambda pattern: (len(pattern), pattern))]
                return max((row for row in rows if row.since <= day), key=lambda row: row.since, default=None)
        return None


def price(usage: Usage, model: str, at: datetime | date, table: PriceTable) -> Decimal | None:
    """Return the cost of the tokens in `usage` in US dollars, at the price on the day of use; None without a price.

    Raises `NaiveDatetime` for a time without a zone.
    """
    day = require_aware(at, "at").astimezone(UTC).date() if isinstance(at, datetime) else at
    row = table.find(model, day)
    return None if row is None else row.cost_of(usage)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.lower().split("*"))), re.DOTALL)
