"""Clocks: how far those of the machines that share a log may differ, and how it is seen that one was set back."""

from datetime import datetime

CLOCK_TOLERANCE = 180.0
"""Seconds by which a clock may differ from others, or be corrected: more than that is a clock that was set."""


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Whether `moment` was recorded by a clock that was ahead, and that shows `now` since it was set back."""
    return (moment - now).total_seconds() >= CLOCK_TOLERANCE
