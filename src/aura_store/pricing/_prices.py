"""Prices: what the tokens of a model cost on a day, from a dated table.

    prices = read_prices()                                   # AURA's own, aura_store/pricing/prices.toml
    prices = read_prices(home / "prices.toml")               # with a file of one's own over it
    price(usage, "claude-sonnet-4-5-20250929", used_at, prices)

A table maps names of models to rows, each of which is valid from a day on, in UTC. Of the names that fit a model the
longest is taken, and of its rows the one that begins last, not after the day of use. So what was used before a price
changed keeps its price, and whoever corrects a row corrects the past with it: costs are nowhere stored.

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


@attrs.define(kw_only=True, eq=False)
class InvalidPrices(InvalidInput):
    """A file of prices does not say what such a file has to say; `field` is where in it."""

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
    """What a model costs from the day `since` on: US dollars per million tokens."""

    since: date
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    source: str = ""
    """Where the price is from, and when it was read there."""

    def cost_of(self, usage: Usage) -> Decimal:
        """Return what the tokens of `usage` cost; what the agent said that they cost does not matter."""
        return (
            self.input * usage.input_tokens
            + self.output * usage.output_tokens
            + self.cache_read * usage.cache_read_tokens
            + self.cache_write * usage.cache_write_tokens
        ) / MILLION


@attrs.frozen
class PriceTable:
    """Names of models, with ``*`` for anything, and the rows of each, the oldest first."""

    models: Mapping[str, Sequence[Price]] = attrs.field(hash=False)

    def replaced_by(self, other: "PriceTable") -> "PriceTable":
        """Return this table with the models of `other`; a name that both have is as `other` has it."""
        return PriceTable({**self.models, **other.models})

    def find(self, model: str, day: date) -> Price | None:
        """Return what `model` costs on `day`; None for a model that nobody has priced for that day.

        The case of letters does not matter. A name with a provider before it (``anthropic/claude-...``) is looked for
        as it is, then without what is before its last slash.
        """
        name = model.lower()
        for candidate in dict.fromkeys((name, name.rpartition("/")[2])):
            fitting = [pattern for pattern in self.models if _pattern(pattern).fullmatch(candidate)]
            if fitting:
                rows = self.models[max(fitting, key=lambda pattern: (len(pattern), pattern))]
                return max((row for row in rows if row.since <= day), key=lambda row: row.since, default=None)
        return None


def price(usage: Usage, model: str, at: datetime | date, table: PriceTable) -> Decimal | None:
    """Return what the tokens of `usage` cost in US dollars, by the row of the moment of use; None without a price.

    Raises `NaiveDatetime` for a time without a zone.
    """
    day = require_aware(at, "at").astimezone(UTC).date() if isinstance(at, datetime) else at
    row = table.find(model, day)
    return None if row is None else row.cost_of(usage)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.lower().split("*"))), re.DOTALL)
