"""What the recorders of SQL databases share: the tables, every statement that needs no dialect, and connections."""

import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from aura_contracts.errors import LogDamaged, StoreMisconfigured
from aura_contracts.events import Snapshot
from aura_contracts.ids import StreamId
from aura_store.log._recorder import BEFORE_ALL, FactRow, Recorder, RecordRow, StreamRow

TABLES: Final = frozenset(("stored_events", "stored_snapshots", "log_head", "log_meta"))

# The head is found through its index, from above. While a long transaction elsewhere (a backup) keeps old versions of
# the row alive, PostgreSQL would otherwise scan all of them, at every commit.
HEAD: Final = "SELECT position FROM log_head ORDER BY position DESC LIMIT 1"

_SET_META = "INSERT INTO log_meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_SET_SNAPSHOT = (
    "INSERT INTO stored_snapshots (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (originator_id, originator_version) DO UPDATE SET topic = excluded.topic, state = excluded.state"
)
_DELETE_OLDER = "DELETE FROM stored_snapshots WHERE originator_id = ? AND originator_version < ?"
_SNAPSHOT = (
    "SELECT originator_id, originator_version, topic, state FROM stored_snapshots"
    " WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1"
)


class SQLRecorder(Recorder):
    """A recorder whose database speaks SQL."""

    position: ClassVar[str]
    """The column with the positions of events."""

    topic: ClassVar[str] = "topic"
    """The column with the labels of events, as an expression that compares byte by byte."""

    @abstractmethod
    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement, with a ``?`` for each of `values`, in a transaction of its own; return its rows."""

    @abstractmethod
    def execute_together(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """Run statements, each with its values, in one transaction."""

    def has_tables(self, found: Collection[str]) -> bool:
        """Whether the tables `found` are those of a log. Raises `StoreMisconfigured` if they belong to others."""
        if "stored_events" in found and not set(found) >= TABLES:
            reason = "it has a table stored_events that is not AURA's"
            raise StoreMisconfigured(store=self.name, reason=reason, remedy="give AURA a database of its own")
        return set(found) >= TABLES

    def meta(self) -> Mapping[str, str]:
        """Return all of ``log_meta``."""
        return dict(self.execute("SELECT key, value FROM log_meta"))

    # --- Events -------------------------------------------------------------------------------------------------------

    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> list[FactRow]:
        return self._select_stream("originator_version, topic, state", stream_id, after, upto)

    def select_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[StreamRow]:
        return self._select_stream(f"{self.position}, originator_version, topic, state", stream_id, after, upto)

    def select_sealed_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[tuple[Any, ...]]:
        return self._select_stream(self._columns, stream_id, after, upto)

    def _select_stream(self, columns: str, stream_id: StreamId, after: int, upto: int | None) -> list[Any]:
        statement = f"SELECT {columns} FROM stored_events WHERE originator_id = ?"
        values: list[Any] = [stream_id]
        if after:
            statement += " AND originator_version > ?"
            values.append(after)
        if upto is not None:
            statement += " AND originator_version <= ?"
            values.append(upto)
        return self.execute(f"{statement} ORDER BY originator_version", *values)

    def select_records(
        self, after: int, limit: int, prefixes: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        columns = f"{self.position}, originator_id, originator_version, topic, state"
        statement = f"SELECT {columns} FROM stored_events WHERE {self.position} > ?"
        values: list[Any] = [after]
        if prefixes:
            statement += f" AND ({' OR '.join([f'({self.topic} >= ? AND {self.topic} < ?)'] * len(prefixes))})"
            for prefix in prefixes:
                values += [prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)]
        # Within a stream the order is the same; written like this, the planner uses the stream's index.
        order = self.position if stream_id is None else "originator_version"
        if stream_id is not None:
            statement += " AND originator_id = ?"
            values.append(stream_id)
        return self.execute(f"{statement} ORDER BY {order} LIMIT ?", *values, limit)

    def select_sealed(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        statement = f"SELECT {self._columns} FROM stored_events WHERE {self.position} > ?"
        return self.execute(f"{statement} ORDER BY {self.position} LIMIT ?", after or BEFORE_ALL, limit)

    @property
    def _columns(self) -> str:
        """The columns of a `SealedRow`."""
        return f"{self.position}, originator_id, originator_version, topic, state, previous, digest"

    def head(self) -> int:
        return the_head(self.execute(HEAD))

    def ends(self) -> tuple[int, int]:
        last = f"SELECT coalesce(max({self.position}), 0) FROM stored_events"
        ((end, head),) = self.execute(f"SELECT ({last}), ({HEAD})")
        return end, the_head([] if head is None else [(head,)])

    # --- Snapshots and meta -------------------------------------------------------------------------------------------

    def insert_snapshot(self, snapshot: Snapshot) -> None:
        self.execute_together(
            (_SET_SNAPSHOT, (snapshot.stream_id, snapshot.version, snapshot.schema, snapshot.data)),
            (_DELETE_OLDER, (snapshot.stream_id, snapshot.version)),
        )

    def select_snapshot(self, stream_id: StreamId) -> Snapshot | None:
        found = self.execute(_SNAPSHOT, stream_id)
        return Snapshot(*found[0]) if found else None

    def write_meta(self, key: str, value: str) -> None:
        self.execute(_SET_META, key, value)

    def read_meta(self, key: str) -> str | None:
        found = self.execute("SELECT value FROM log_meta WHERE key = ?", key)
        return str(found[0][0]) if found else None


def the_head(rows: list[Any]) -> int:
    """Return the position in the only row of ``log_head``."""
    if not rows or not isinstance(rows[0][0], int):
        raise LogDamaged(reason=f"the table log_head should hold a position, but holds {rows!r}")
    head: int = rows[0][0]
    return head


class Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class ConnectionPool(Generic[C]):
    """Idle connections, lent to one caller at a time, in any thread.

    The caller connects, so it gets the database's own answer at once, only the log's patience decides when to retry,
    and there are no threads to leak. The number of connections is limited by the number of callers that the log admits.
    `connect` makes one; `is_broken` says of one whether the others will not work either.
    """

    def __init__(self, connect: Callable[[], C], is_broken: Callable[[C], bool] = lambda _: False) -> None:
        self._connect = connect
        self._is_broken = is_broken
        self._idle: list[C] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def lent(self) -> Iterator[C]:
        """Lend a connection. One that is not returned intact is closed, which rolls it back."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            if self._is_broken(connection):
                self._close_idle()
            raise
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections now, and the others when they are returned."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
