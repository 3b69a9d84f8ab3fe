"""Every error AURA raises on purpose.

    AuraError
    ├── InvalidInput                 a value from outside is not acceptable: field, reason
    │   ├── InvalidId
    │   ├── InvalidText              NUL byte or lone surrogate
    │   ├── NaiveDatetime
    │   └── EventTooLarge
    ├── CommandRefused               a decision said no: aggregate, id, command
    │   ├── AggregateNotFound
    │   ├── AggregateExists
    │   ├── TransitionRefused        not in this state
    │   ├── ActorNotAllowed          not by this actor
    │   ├── RuleViolated             a rule of the domain, named
    │   └── CyclicParent
    ├── StoreError
    │   ├── VersionConflict          somebody else appended first
    │   ├── StoreUnavailable         locked or away for longer than the caller would wait
    │   ├── StoreFull
    │   ├── StoreReadOnly
    │   ├── StoreClosed
    │   ├── StoreMisconfigured       wrong key, wrong compression, missing extra, unknown URL
    │   └── LogDamaged               what is stored is not what was written: stream, position
    │       ├── UnknownEventType
    │       ├── NewerEventVersion
    │       ├── UndecodableEvent
    │       └── EventOutOfOrder
    └── ImpossibleTransition         a table has no such row (a program error, or a damaged log)

Each class has a stable `code` for programs; its facts are attributes; `remedy` says what to do; `str()` puts facts and
remedy in one sentence for people.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import attrs


@attrs.define(kw_only=True, eq=False)
class AuraError(Exception):
    """Base of all of AURA's errors."""

    code: ClassVar[str] = "aura"
    remedy: str = ""

    def message(self) -> str:
        """Return what happened, without the remedy."""
        return type(self).__doc__ or self.code

    def facts(self) -> dict[str, Any]:
        """Return the error's facts by name, for programs and for ``--json``; the remedy is not among them."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.name != "remedy"}

    def __str__(self) -> str:
        return f"{self.message()}; {self.remedy}" if self.remedy else self.message()

    def __reduce__(self) -> tuple[Callable[..., "AuraError"], tuple[Any, ...]]:
        """Survive `pickle` and `copy`: an exception's own way would call the class with positional arguments."""
        return _made_again, (type(self), {**self.facts(), "remedy": self.remedy}, self.__dict__)


def _made_again(kind: type[AuraError], fields: dict[str, Any], notes: dict[str, Any]) -> AuraError:
    error = kind(**fields)
    error.__dict__.update(notes)
    return error


# --- Input ------------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class InvalidInput(AuraError):
    """A value from outside was refused."""

    code = "invalid_input"
    field: str
    reason: str

    def message(self) -> str:
        return f"{self.field}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class InvalidId(InvalidInput):
    """A text that should be an id is none."""

    code = "invalid_id"
    value: str
    reason: str = "not an id"
    remedy: str = "give a UUID such as 0192f0c1-2d3e-7abc-8def-0123456789ab"

    def message(self) -> str:
        return f"{self.field}: {self.value!r} is not an id"


@attrs.define(kw_only=True, eq=False)
class InvalidText(InvalidInput):
    """A text holds what no database can store: a NUL character or half of a surrogate pair."""

    code = "invalid_text"
    remedy: str = "remove the character; for bytes that are not text use base64"


@attrs.define(kw_only=True, eq=False)
class NaiveDatetime(InvalidInput):
    """A time without a zone could mean any of 38 instants."""

    code = "naive_datetime"
    reason: str = "has no time zone"
    remedy: str = "use an aware datetime, for example datetime.now(UTC)"


@attrs.define(kw_only=True, eq=False)
class EventTooLarge(InvalidInput):
    """An event is larger than the log accepts; sizes in bytes as stored."""

    code = "event_too_large"
    stream_id: str
    size: int
    limit: int
    reason: str = "event too large"
    remedy: str = "keep large content in a file or a git object and put its name in the event"

    def message(self) -> str:
        return f"{self.field} for stream {self.stream_id} takes {self.size} bytes; the limit is {self.limit}"


# --- Decisions --------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class CommandRefused(AuraError):
    """A command was refused; nothing was recorded."""

    code = "refused"
    aggregate: str
    aggregate_id: str
    command: str

    def message(self) -> str:
        return f"{self.command} on {self.aggregate} {self.aggregate_id} was refused"


@attrs.define(kw_only=True, eq=False)
class AggregateNotFound(CommandRefused):
    """A command was sent to something that does not exist."""

    code = "not_found"

    def message(self) -> str:
        return f"there is no {self.aggregate} {self.aggregate_id}"


@attrs.define(kw_only=True, eq=False)
class AggregateExists(CommandRefused):
    """Something was to be created that exists already."""

    code = "exists"

    def message(self) -> str:
        return f"{self.aggregate} {self.aggregate_id} exists already"


@attrs.define(kw_only=True, eq=False)
class TransitionRefused(CommandRefused):
    """The command does not apply in this state."""

    code = "wrong_state"
    status: str
    allowed_in: tuple[str, ...] = ()

    def message(self) -> str:
        allowed = f" (possible when it is {', '.join(self.allowed_in)})" if self.allowed_in else ""
        return f"{self.command} is not possible: {self.aggregate} {self.aggregate_id} is {self.status}{allowed}"


@attrs.define(kw_only=True, eq=False)
class ActorNotAllowed(CommandRefused):
    """The command is for somebody else."""

    code = "not_allowed"
    actor: str
    reason: str

    def message(self) -> str:
        return f"{self.actor} may not {self.command} {self.aggregate} {self.aggregate_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class RuleViolated(CommandRefused):
    """A rule of the domain forbids it; `rule` is stable, for programs."""

    code = "rule_violated"
    rule: str
    reason: str

    def message(self) -> str:
        return f"{self.command} on {self.aggregate} {self.aggregate_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class CyclicParent(CommandRefused):
    """A task would become its own ancestor; `path` leads from the new parent back to the task."""

    code = "cyclic_parent"
    path: tuple[str, ...]
    remedy: str = "choose a parent that is not below this task"

    def message(self) -> str:
        return f"task {self.aggregate_id} would be its own ancestor: {' < '.join(self.path)}"


# --- Store ------------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class StoreError(AuraError):
    """The store could not do what was asked."""

    code = "store"


@attrs.define(kw_only=True, eq=False)
class VersionConflict(StoreError):
    """The stream is not at the version the caller decided on; nothing of this append was stored."""

    code = "version_conflict"
    stream_id: str
    expected: int
    actual: int
    remedy: str = "load the stream again, decide again on what it now says, append again"

    def message(self) -> str:
        return f"stream {self.stream_id} is at version {self.actual}, not at {self.expected}"


@attrs.define(kw_only=True, eq=False)
class StoreUnavailable(StoreError):
    """The database was locked or away for longer than `waited` seconds; nothing was acknowledged."""

    code = "store_unavailable"
    store: str
    reason: str
    waited: float
    attempts: int
    remedy: str = "bring the database back, or end the process that holds its lock, and try again"

    def message(self) -> str:
        return f"{self.store} did not answer for {self.waited:.1f} s ({self.attempts} attempts): {self.reason}"


@attrs.define(kw_only=True, eq=False)
class StoreFull(StoreError):
    """There is no room left; nothing of this append was stored, all that was acknowledged before is there."""

    code = "store_full"
    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "free space on the disk that holds the database and append again"

    def message(self) -> str:
        return f"{self.store} is full at position {self.position}, stream {self.stream_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class StoreReadOnly(StoreError):
    """The database cannot be written; reading works."""

    code = "store_read_only"
    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "make the file and its folder writable, or connect to the primary server"

    def message(self) -> str:
        return f"{self.store} is read-only at position {self.position}, stream {self.stream_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class StoreClosed(StoreError):
    """The log was used after it was closed."""

    code = "store_closed"
    store: str
    remedy: str = "open the log again"

    def message(self) -> str:
        return f"{self.store} is closed"


@attrs.define(kw_only=True, eq=False)
class StoreMisconfigured(StoreError):
    """The log cannot be opened as it was asked for."""

    code = "store_misconfigured"
    store: str
    reason: str

    def message(self) -> str:
        return f"{self.store}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class LogDamaged(StoreError):
    """What is stored is not what was written.

    `stream_id` is empty and `position` is 0 where the damage cannot be tied to one event.
    """

    code = "log_damaged"
    store: str = ""
    stream_id: str = ""
    position: int = 0
    reason: str = ""
    remedy: str = "keep the file as it is, restore the newest backup that `aura audit verify` accepts"

    def message(self) -> str:
        where = f"position {self.position}" if self.position else "the log"
        stream = f", stream {self.stream_id}" if self.stream_id else ""
        return f"{where}{stream}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class UnknownEventType(LogDamaged):
    """The log holds an event of a type this program has never heard of."""

    code = "unknown_event_type"
    topic: str
    reason: str = "no event type of this topic is known"
    remedy: str = "open the log with the program that wrote it, or register the event type in the catalogue"

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


@attrs.define(kw_only=True, eq=False)
class NewerEventVersion(LogDamaged):
    """The log holds an event of a newer version than this program knows."""

    code = "newer_event_version"
    topic: str
    known: int
    found: int
    reason: str = "a newer program wrote this event"
    remedy: str = "upgrade AURA to at least the version that wrote this log"

    def message(self) -> str:
        return f"{super().message()} ({self.topic} in version {self.found}, known up to {self.known})"


@attrs.define(kw_only=True, eq=False)
class UndecodableEvent(LogDamaged):
    """The bytes of an event do not decode to its type."""

    code = "undecodable_event"
    topic: str

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


@attrs.define(kw_only=True, eq=False)
class EventOutOfOrder(LogDamaged):
    """A stream's events do not follow one another: a version is missing, doubled, or not possible in its state."""

    code = "event_out_of_order"


@attrs.define(kw_only=True, eq=False)
class ImpossibleTransition(AuraError):
    """A transition table has no row for this event in this state."""

    code = "impossible_transition"
    aggregate: str
    status: str
    event: str

    def message(self) -> str:
        return f"{self.aggregate}: no transition from {self.status or 'nothing'} by {self.event}"


def require_aware(value: datetime, field: str) -> datetime:
    """Return `value`, or raise `NaiveDatetime` naming `field` when it has no zone."""
    if value.utcoffset() is None:
        raise NaiveDatetime(field=field)
    return value
