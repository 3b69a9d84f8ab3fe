"""Errors of input: values from outside that were refused, and the checks that refuse them."""

from datetime import datetime

from aura_contracts.errors.base import AuraError


class InvalidInput(AuraError, code="invalid_input"):
    """A value from outside was refused."""

    summary = "{field}: {reason}"
    field: str
    reason: str


class InvalidId(InvalidInput, code="invalid_id"):
    """A text is not an id."""

    summary = "{field}: {value!r} is not an id"
    value: str
    reason: str = "not an id"
    remedy: str = "give a UUID such as 0192f0c1-2d3e-7abc-8def-0123456789ab"


class InvalidText(InvalidInput, code="invalid_text"):
    """A text holds characters that no database can store: NUL or half of a surrogate pair."""

    remedy: str = "remove the character; encode binary data as base64"


class NaiveDatetime(InvalidInput, code="naive_datetime"):
    """A time without a zone could mean any of 38 instants."""

    reason: str = "has no time zone"
    remedy: str = "use an aware datetime, for example datetime.now(UTC)"


class EventTooLarge(InvalidInput, code="event_too_large"):
    """An event is larger than the log accepts; sizes are in bytes as stored."""

    summary = "{field} for stream {stream_id} takes {size} bytes; the limit is {limit}"
    stream_id: str
    size: int
    limit: int
    reason: str = "event too large"
    remedy: str = "keep large content in a file or a git object and refer to it by name"


def require_aware(value: datetime, field: str) -> datetime:
    """Return `value`. Raises `NaiveDatetime`, naming `field`, if it has no time zone."""
    if value.utcoffset() is None:
        raise NaiveDatetime(field=field)
    return value


def require_text(text: str, field: str) -> str:
    """Return `text`. Raises `InvalidText` if it holds what databases cannot store."""
    if "\0" in text:
        raise InvalidText(field=field, reason="holds a NUL character, which databases cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "holds half of a surrogate pair, which is not a character"
        raise InvalidText(field=field, reason=reason) from None
    return text
