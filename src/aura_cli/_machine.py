"""The machine at the edge: its clock, its randomness. Everything below gets them handed in."""

import time
from datetime import UTC, datetime
from secrets import randbits

from aura_contracts.ids import IdFactory, uuid7_factory


def now() -> datetime:
    """Return the present, in UTC."""
    return datetime.now(UTC)


def new_ids() -> IdFactory:
    """Return a factory of ids over the clock and the randomness of the machine."""
    return uuid7_factory(lambda: time.time_ns() // 1_000_000, randbits)
