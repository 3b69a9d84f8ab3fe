"""Moments that callers give: positions of the log, or aware times."""

from datetime import datetime

from aura_contracts.errors import InvalidInput, require_aware
from aura_contracts.ports.read_models import Moment


def require_moment(at: Moment, field: str) -> None:
    """Raise `NaiveDatetime` for a time without a zone, and `InvalidInput` for a position below 0."""
    if isinstance(at, datetime):
        require_aware(at, field)
    elif at < 0:
        remedy = "positions count from 1; 0 is before the first event"
        raise InvalidInput(field=field, reason=f"{at} is below 0", remedy=remedy)
