"""Recorder: what a database must do for `RecorderEventLog`. Blocking; called in worker threads.

Each recorder is a thin layer over one of `eventsourcing`'s application recorders: the same ``stored_events`` table,
with a position of its own and two columns for the seals, so that the library's tools go on reading it. Beside it stand:

    log_head    one row: the position of the last event. Written in the transaction that writes the events. It is the
                lock that writers of all processes queue at, it makes positions gapless, and it tells when events are
                missing at the end.
    log_meta    how the log was made: format, compression, encryption and a check value of the key.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import attrs

from aura_contracts.errors import AuraError
from aura_contracts.events import Snapshot
from aura_contracts.ids import StreamId
from aura_store.log._seal import Columns, Tip

GREATEST = 2**63 - 1
"""The greatest position or version that databases can hold."""

FactRow = tuple[str, bytes]
"""label, state"""

StreamRow = tuple[int, int, str, bytes]
"""position, version, label, state"""

RecordRow = tuple[int, StreamId, int, str, bytes]
"""position, stream, version, label, state"""


LOCK_TIMEOUT = 5.0
"""Seconds that one attempt to write waits for another process's commit, at most."""

BEFORE_ALL = -(2**63)
"""Below every position that a database can hold."""


class DatabaseAway(Exception):
    """The database is locked, restarting or gone; trying again may help. `str()` says what it said."""


class WriteTransaction(Protocol):
    """A transaction that holds the log's write lock: nobody else appends until it ends."""

    def head(self) -> int: ...
    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        """Return the tips of `stream_ids`; streams that do not exist may be left out."""
        ...

    def digest_at(self, position: int) -> bytes | None: ...
    def insert(self, rows: Sequence[Columns]) -> None: ...
    def set_head(self, position: int) -> None: ...


class Recorder(ABC):
    """One open database. Methods raise `DatabaseAway`, or a `StoreError` that says what is wrong and what to do."""

    name: str
    """The store as people know it, for messages; without passwords."""

    @abstractmethod
    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        """Create what is missing, with `meta` for a new log; return the meta that the log was made with."""

    @abstractmethod
    def writing(self, stream_ids: Sequence[StreamId] = ()) -> AbstractContextManager[WriteTransaction]:
        """Enter a write transaction; it is durable when the context is left, undone when left by an exception.

        `stream_ids` are those whose tips will be asked for, as far as known: a database at the other end of a network
        looks them up on the way.
        """

    @abstractmethod
    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> tuple[int, list[FactRow]]:
        """Return the last version of a stream (at most `upto`), and the rows after version `after` up to that one.

        As few columns as a fold needs: each costs a twentieth of a replay. The version tells whether rows are missing.
        """

    @abstractmethod
    def select_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[StreamRow]: ...

    @abstractmethod
    def select_records(
        self, after: int, limit: int, prefixes: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        """Return up to `limit` rows after position `after`; with `prefixes`, whose labels begin with one of them."""

    @abstractmethod
    def select_sealed(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Return the columns of `SealedRow` for up to `limit` rows after position `after`, in order.

        After position 0 come all rows, also those at positions below 1: there are none unless somebody tampered.
        """

    @abstractmethod
    def select_sealed_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[tuple[Any, ...]]:
        """Return the same for the rows of a stream with versions greater than `after` and at most `upto`."""

    @abstractmethod
    def head(self) -> int:
        """Return the recorded position of the last event."""

    @abstractmethod
    def last_position(self) -> int:
        """Return the position of the last event that is really there."""

    @abstractmethod
    def heads(self) -> Iterator[int]:
        """Yield the head whenever it may have changed, whichever process appended, and from time to time anyway.

        Runs in a thread of its own until `stop_watching`; outlives outages of the database.
        """

    @abstractmethod
    def stop_watching(self) -> None:
        """Have `heads` end soon. May be called from any thread, also when nobody watches."""

    @abstractmethod
    def check(self) -> str | None:
        """Let the database check its own files; return what is wrong with them, or None."""

    @abstractmethod
    def write_meta(self, key: str, value: str) -> None:
        """Remember a value under a key, beside the events; it replaces the one before it."""

    @abstractmethod
    def read_meta(self, key: str) -> str | None:
        """Return the value under a key, or None."""

    @abstractmethod
    def insert_snapshot(self, snapshot: Snapshot) -> None: ...

    @abstractmethod
    def select_snapshot(self, stream_id: StreamId, upto: int | None) -> Snapshot | None: ...

    @abstractmethod
    def close(self) -> None: ...


def located(error: AuraError, stream_id: StreamId, position: int) -> AuraError:
    """Return a copy of `error` that names the stream and position it stopped, where it has room and names none."""
    names = {field.name for field in attrs.fields(type(error))}
    place: dict[str, Any] = {"stream_id": stream_id, "position": position}
    return attrs.evolve(
        error, **{name: value for name, value in place.items() if name in names and not getattr(error, name)}
    )
