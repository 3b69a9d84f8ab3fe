"""Recorder: the database operations that `RecorderEventLog` needs. Blocking; called in worker threads.

The tables ``stored_events`` and ``stored_snapshots`` are those of `eventsourcing`, so that the library's tools can read
them, with a position of our own and two more columns for the seals. There are two more tables:

    log_head    one row: the position of the last event, written in the transaction that writes the events. It is the
                lock for which the writers of all processes queue; it keeps positions gapless, and it reveals events
                that are missing at the end.
    log_meta    the settings of the log: format, compression, encryption and a check value of the key.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from aura_contracts.errors import AuraError
from aura_contracts.events import Snapshot
from aura_contracts.ids import StreamId
from aura_store.log._seal import Columns, Tip

GREATEST = 2**63 - 1
"""The greatest position or version that databases can store."""

FactRow = tuple[int, str, bytes]
"""version, label, state"""

StreamRow = tuple[int, int, str, bytes]
"""position, version, label, state"""

RecordRow = tuple[int, StreamId, int, str, bytes]
"""position, stream, version, label, state"""


LOCK_TIMEOUT = 5.0
"""The most seconds that one attempt to write waits for another process's commit."""

BEFORE_ALL = -(2**63)
"""Below every position that a database can store."""


class DatabaseAway(Exception):
    """The database is locked, restarting or gone, and a retry may help. `str()` is the database's message."""


class WriteTransaction(Protocol):
    """A transaction that holds the log's write lock: no other process appends until it ends."""

    def head(self) -> int: ...
    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        """Return the tips of `stream_ids`; streams that do not exist may be left out."""
        ...

    def digest_at(self, position: int) -> bytes | None: ...
    def insert(self, rows: Sequence[Columns]) -> None: ...
    def move_head(self, before: int, after: int) -> bool:
        """Set the head to `after` if it is at `before`; return whether it was."""
        ...


class Recorder(ABC):
    """One open database. Methods raise `DatabaseAway`, or a `StoreError` that says what is wrong and what to do."""

    name: str
    """The name of the store in messages; without passwords."""

    @abstractmethod
    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        """Create anything that is missing, with `meta` for a new log; return the meta of the existing log."""

    @abstractmethod
    def writing(self, stream_ids: Sequence[StreamId] = ()) -> AbstractContextManager[WriteTransaction]:
        """Enter a write transaction; it is durable when the context exits, and undone if it raises.

        `stream_ids` are the streams whose tips will be needed, as far as known: a database across a network looks them
        up in the same round trip.
        """

    @abstractmethod
    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> list[FactRow]:
        """Return the rows of a stream from version `after` (exclusive) to `upto`.

        Only the columns that a fold needs, because each costs a twentieth of a replay. Versions reveal missing rows.
        """

    @abstractmethod
    def select_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[StreamRow]: ...

    @abstractmethod
    def select_records(
        self, after: int, limit: int, prefixes: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        """Return up to `limit` rows after position `after`, optionally only those with one of the label `prefixes`."""

    @abstractmethod
    def select_sealed(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Return the columns of `SealedRow` for up to `limit` rows after position `after`, in order.

        Position 0 returns all rows, even those at positions below 1, which only exist if someone tampered with the log.
        """

    @abstractmethod
    def select_sealed_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[tuple[Any, ...]]:
        """Return the same columns for the rows of a stream with versions greater than `after` and at most `upto`."""

    @abstractmethod
    def head(self) -> int:
        """Return the recorded position of the last event."""

    @abstractmethod
    def ends(self) -> tuple[int, int]:
        """Return the position of the last event that actually exists, and the head, both of one moment."""

    @abstractmethod
    def heads(self) -> Iterator[int]:
        """Yield the head whenever it may have changed, no matter which process appended, and at intervals.

        Runs in a thread of its own until `stop_watching`; survives outages of the database.
        """

    @abstractmethod
    def stop_watching(self) -> None:
        """Make `heads` end soon. May be called from any thread, even if `heads` is not running."""

    @abstractmethod
    def check(self) -> str | None:
        """Let the database check its own files; return what is wrong with them, or None."""

    @abstractmethod
    def write_meta(self, key: str, value: str) -> None:
        """Store a value under a key, alongside the events; it replaces any earlier value."""

    @abstractmethod
    def read_meta(self, key: str) -> str | None:
        """Return the value of a key, or None."""

    @abstractmethod
    def insert_snapshot(self, snapshot: Snapshot) -> None: ...

    @abstractmethod
    def select_snapshot(self, stream_id: StreamId) -> Snapshot | None: ...

    @abstractmethod
    def close(self) -> None: ...


def located(error: AuraError, stream_id: StreamId, position: int) -> AuraError:
    """Return a copy of `error` that names the stream and position, if it has these fields and they are empty."""
    place = {"stream_id": stream_id, "position": position}
    facts = error.facts()
    return error.replaced(**{name: value for name, value in place.items() if not facts.get(name, value)})
