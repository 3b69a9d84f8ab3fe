"""Values: types of arguments for `argparse`. Each raises `ArgumentTypeError`, which states what was expected."""

from argparse import ArgumentTypeError
from datetime import UTC, date, datetime, time


def count(text: str) -> int:
    """Convert a number of at least 0, such as a position of the log."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def number(text: str) -> int:
    """Convert a number of at least 1."""
    if count(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """Convert a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def pair(text: str) -> tuple[str, str]:
    """Convert ``NAME=VALUE`` to a name and a value."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name.strip(), value


def setting(text: str) -> tuple[str, object]:
    """Convert ``NAME=VALUE`` to a name and a value, which is decoded if it is JSON."""
    import msgspec

    name, value = pair(text)
    try:
        decoded: object = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
    return name, decoded


def truth(text: str) -> bool:
    """Convert ``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


Moment = int | datetime


def moment(text: str) -> Moment:
    """Convert a position (``57``), a time (``2026-01-04T10:00:00Z``) or a date: its first instant in UTC."""
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    try:
        if len(text) == len("2026-01-04"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        instant = datetime.fromisoformat(text)
    except ValueError:
        expected = "a position, a date like 2026-01-04, or a time like 2026-01-04T10:00:00Z"
        raise ArgumentTypeError(f"{text!r} is not {expected}") from None
    if instant.utcoffset() is None:
        raise ArgumentTypeError(f"{text!r} has no time zone: write 2026-01-04T10:00:00Z or +01:00")
    return instant
