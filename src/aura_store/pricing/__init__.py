"""Pricing: the exact sums of agents' consumption, and their cost by a dated price table."""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_store.pricing._price_file import parse_prices as parse_prices
    from aura_store.pricing._price_file import read_prices as read_prices
    from aura_store.pricing._prices import InvalidPrices as InvalidPrices
    from aura_store.pricing._prices import Price as Price
    from aura_store.pricing._prices import PriceTable as PriceTable
    from aura_store.pricing._prices import price as price
    from aura_store.pricing._usage import cost_of as cost_of
    from aura_store.pricing._usage import usage_of as usage_of

export_lazily(__name__)
