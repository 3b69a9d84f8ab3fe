"""Time arguments: how a caller names a place in the log: by a position, an instant or a date."""

from datetime import UTC, date, datetime, time
from typing import Any

from aura_contracts.errors import InvalidInput, require_aware
from aura_contracts.events import EventRecord

Moment = int | datetime | date
"""A position of the log, an instant, or a date, which means its first instant in UTC."""


def moment_of(at: Moment, field: str) -> int | datetime:
    """Return a moment as a position or an instant.

    Raises `NaiveDatetime` for a time without a zone, and `InvalidInput` for a position below 0.
    """
    if isinstance(at, date):  # a datetime is one, too
        return instant_of(at, field)
    if at < 0:
        remedy = "positions count from 1; 0 is before the first event"
        raise InvalidInput(field=field, reason=f"{at} is below 0", remedy=remedy)
    return at


def instant_of(at: date, field: str) -> datetime:
    """Return an instant, for a date alone its first one in UTC. Raises `NaiveDatetime` for a time without a zone."""
    return require_aware(at, field) if isinstance(at, datetime) else datetime.combine(at, time(), UTC)


def is_since(record: EventRecord[Any], since: int | datetime) -> bool:
    """Whether an event is after a position, or not before an instant."""
    return record.position > since if isinstance(since, int) else record.time >= since
