"""Errors of the store."""

from aura_contracts.errors.base import AuraError, Recovery


class StoreError(AuraError, code="store"):
    """The store could not complete the request."""

    summary = "the store could not complete the request"
    recovery = Recovery.LATER


class VersionConflict(StoreError, code="version_conflict"):
    """The stream is not at the version that the caller expected; nothing of this append was stored."""

    summary = "stream {stream_id} is at version {actual}, not at {expected}"
    stream_id: str
    expected: int
    actual: int
    remedy: str = "reload the stream, decide again and append again"


class StoreUnavailable(StoreError, code="store_unavailable"):
    """The database was locked or down for longer than `waited` seconds; nothing was acknowledged."""

    summary = "{store} did not answer for {waited:.1f} s ({attempts} attempts): {reason}"
    store: str
    reason: str
    waited: float
    attempts: int
    remedy: str = "restart the database or end the process that holds its lock, then retry"


class StoreFull(StoreError, code="store_full"):
    """The disk is full. Nothing of this append was stored; everything acknowledged before is safe."""

    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "free space on the disk that holds the database, then append again"

    def message(self) -> str:
        return f"{self.store} is full{_place(self)}: {self.reason}"


class StoreReadOnly(StoreError, code="store_read_only"):
    """The database cannot be written, only read."""

    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "make the file and its folder writable, or connect to the primary server"

    def message(self) -> str:
        return f"{self.store} is read-only{_place(self)}: {self.reason}"


def _place(error: StoreFull | StoreReadOnly) -> str:
    """Return where in the log it happened, if that is known."""
    return f" at position {error.position}, stream {error.stream_id}" if error.stream_id else ""


class StoreClosed(StoreError, code="store_closed"):
    """The log was used after it was closed."""

    summary = "{store} is closed"
    recovery = Recovery.UNKNOWN
    store: str
    remedy: str = "open the log again"


class StoreMisconfigured(StoreError, code="store_misconfigured"):
    """The log cannot be opened with these settings."""

    summary = "{store}: {reason}"
    recovery = Recovery.UNKNOWN
    store: str
    reason: str


class LogDamaged(StoreError, code="log_damaged"):
    """The stored bytes are not those that were written.

    `stream_id` is empty and `position` is 0 if the damage cannot be tied to one event.
    """

    recovery = Recovery.UNKNOWN
    store: str = ""
    stream_id: str = ""
    position: int = 0
    reason: str = ""
    remedy: str = "keep the file as it is, restore the newest backup that `audit.verify()` accepts"

    def message(self) -> str:
        where = f"position {self.position}" if self.position else "the log"
        stream = f", stream {self.stream_id}" if self.stream_id else ""
        return f"{where}{stream}: {self.reason}"


class UnknownEventType(LogDamaged, code="unknown_event_type"):
    """The log holds an event of a type that this program does not know."""

    topic: str
    reason: str = "the event type is unknown"
    remedy: str = "open the log with the program that wrote it, or register the event type in the catalogue"

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


class NewerEventVersion(LogDamaged, code="newer_event_version"):
    """The log holds an event of a newer version than this program supports."""

    topic: str
    known: int
    found: int
    reason: str = "a newer program wrote this event"
    remedy: str = "upgrade AURA to the version that wrote this log, or newer"

    def message(self) -> str:
        return f"{super().message()} ({self.topic} in version {self.found}, known up to {self.known})"


class UndecodableEvent(LogDamaged, code="undecodable_event"):
    """The bytes of an event cannot be decoded as its type."""

    topic: str

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


class EventOutOfOrder(LogDamaged, code="event_out_of_order"):
    """A stream has a gap, a duplicate, or an event that its state does not allow."""
