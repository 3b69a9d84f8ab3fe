"""Times as arguments: a position of the log, or a time with a zone."""

from argparse import ArgumentTypeError
from datetime import datetime

Moment = int | datetime


def moment(text: str) -> Moment:
    """Convert a position (``57``) or a time (``2026-01-04T10:00:00Z``) for `argparse`."""
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither a position nor a time like 2026-01-04T10:00:00Z") from None
    if time.utcoffset() is None:
        raise ArgumentTypeError(f"{text!r} has no time zone: write 2026-01-04T10:00:00Z or +01:00")
    return time
