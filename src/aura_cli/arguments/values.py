"""Values: types of arguments for `argparse`. Each raises `ArgumentTypeError`, which states what was expected."""

from argparse import ArgumentTypeError
from datetime import UTC, date, datetime, time, timedelta


def count(text: str, least: int = 0) -> int:
    """Convert a number of at least 0, such as a position of the log."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) >= least):
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def number(text: str) -> int:
    """Convert a number of at least 1."""
    return count(text, 1)


def seconds(text: str) -> float:
    """Convert a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def share(text: str) -> float:
    """Convert a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
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

    from aura_contracts.plain_data import is_too_deep

    name, value = pair(text)
    try:
        decoded: object = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
    except RecursionError:
        decoded = None
    else:
        if not is_too_deep(decoded):
            return name, decoded
    raise ArgumentTypeError(f"the value of {name} is nested too deeply")


def level(text: str) -> dict[str, object]:
    """Convert ``ALICE,BOB`` or ``ALICE,BOB:2`` to a level: who is asked, and how many of them must approve."""
    names, _, quorum = text.partition(":")
    reviewers = [name.strip() for name in names.split(",")]
    if not all(reviewers):
        raise ArgumentTypeError(f"{text!r} is not of the form NAME,NAME:NUMBER")
    return {"reviewers": reviewers, "quorum": number(quorum) if quorum else 1}


def truth(text: str) -> bool:
    """Convert ``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def instant(text: str) -> datetime:
    """Convert a time (``2026-01-04T10:00:00Z``), or a date, which means its first instant in UTC."""
    found = moment(text)
    if isinstance(found, int):
        raise ArgumentTypeError(f"{text!r} is not a date like 2026-01-04, or a time like 2026-01-04T10:00:00Z")
    return found if isinstance(found, datetime) else datetime.combine(found, time(), UTC)


def moment(text: str) -> int | datetime | date:
    """Convert a position (``57``), a time (``2026-01-04T10:00:00Z``) or a date (``2026-01-04``)."""
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    try:
        if len(text) == len("2026-01-04"):
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
    except ValueError:
        expected = "a position, a date like 2026-01-04, or a time like 2026-01-04T10:00:00Z"
        raise ArgumentTypeError(f"{text!r} is not {expected}") from None
    if instant.utcoffset() is None:
        raise ArgumentTypeError(f"{text!r} has no time zone: write 2026-01-04T10:00:00Z or +01:00")
    return instant


def age_or_time(text: str) -> datetime | date:
    """Convert an age in days or hours, a date or a time."""
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdecimal() and len(number) < 6 and unit in ("d", "h"):
        hours = int(number) * (24 if unit == "d" else 1)
        return datetime.now(UTC) - timedelta(hours=hours)
    try:
        given = moment(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(str(error).replace("a position,", "an age like 30d or 12h,")) from None
    if isinstance(given, int):
        raise ArgumentTypeError(f"{text!r} is not an age like 30d or 12h, a date or a time")
    return given
