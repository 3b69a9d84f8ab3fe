"""Errors of requests that are refused: invalid values from outside, and commands that the domain does not allow."""

from datetime import datetime

from aura_contracts.errors.base import AuraError

# --- Input ------------------------------------------------------------------------------------------------------------


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


# --- Commands ---------------------------------------------------------------------------------------------------------


class CommandRefused(AuraError, code="refused"):
    """A command was refused; nothing was recorded."""

    summary = "{command} on {aggregate} {aggregate_id} was refused"
    aggregate: str
    aggregate_id: str
    command: str


class AggregateNotFound(CommandRefused, code="not_found"):
    """A command was sent to an aggregate that does not exist."""

    summary = "there is no {aggregate} {aggregate_id}"
    remedy: str = "`history.list()` lists everything in the log"


class AggregateExists(CommandRefused, code="exists"):
    """The aggregate to create already exists."""

    summary = "{aggregate} {aggregate_id} already exists"


class TransitionRefused(CommandRefused, code="wrong_state"):
    """The command is not possible in this state."""

    status: str
    allowed_in: tuple[str, ...] = ()

    def message(self) -> str:
        allowed = f" (possible when {', '.join(self.allowed_in)})" if self.allowed_in else ""
        return f"{self.command} is not possible: {self.aggregate} {self.aggregate_id} is {self.status}{allowed}"


class ActorNotAllowed(CommandRefused, code="not_allowed"):
    """This actor may not send the command."""

    summary = "{actor} may not {command} {aggregate} {aggregate_id}: {reason}"
    actor: str
    reason: str


class RuleViolated(CommandRefused, code="rule_violated"):
    """A rule of the domain forbids the command; `rule` is its stable name, for programs."""

    summary = "{command} on {aggregate} {aggregate_id}: {reason}"
    rule: str
    reason: str


class CyclicParent(CommandRefused, code="cyclic_parent"):
    """A task would become its own ancestor; `path` leads from the new parent back to the task."""

    path: tuple[str, ...]
    remedy: str = "choose a parent that is not below this task"

    def message(self) -> str:
        return f"task {self.aggregate_id} would be its own ancestor: {' < '.join(self.path)}"


class ImpossibleTransition(AuraError, code="impossible_transition"):
    """A transition table has no row for an event in the current status."""

    aggregate: str
    status: str
    event: str

    def message(self) -> str:
        return f"{self.aggregate}: no transition from {self.status or 'nothing'} by {self.event}"
