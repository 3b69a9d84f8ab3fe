"""Memory: a log that lives as long as its process. For tests, simulations and dry runs."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOAggregateRecorder, POPOApplicationRecorder

from aura_contracts.events import Snapshot
from aura_contracts.ids import StreamId
from aura_store._recorder import FactRow, Recorder, RecordRow
from aura_store._seal import NO_STREAM, Row, Tip


class _SealedRecorder(POPOApplicationRecorder):
    """The library's recorder, with the seals beside the events."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    def insert_rows(self, rows: Sequence[Row]) -> None:
        with self._database_lock:
            self.insert_events([StoredEvent(row.stream_id, row.version, row.topic, row.state) for row in rows])
            self.rows += rows

    def tip(self, stream_id: StreamId) -> Tip:
        index = self._stored_events_index.get(stream_id)
        if not index:
            return NO_STREAM
        version = len(index)
        return Tip(version, self.rows[index[version]].digest)

    def stream(self, stream_id: StreamId) -> list[Row]:
        return [self.rows[at] for at in self._stored_events_index.get(stream_id, {}).values()]


class _Transaction:
    """See `WriteTransaction`. Rows are kept aside until the transaction ends well."""

    def __init__(self, events: _SealedRecorder) -> None:
        self._events = events
        self.rows: list[Row] = []

    def head(self) -> int:
        return len(self._events.rows)

    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        return {stream_id: self._events.tip(stream_id) for stream_id in stream_ids}

    def digest_at(self, position: int) -> bytes | None:
        rows = self._events.rows
        return rows[position - 1].digest if 0 < position <= len(rows) else None

    def insert(self, rows: Sequence[Row]) -> None:
        self.rows += rows

    def set_head(self, position: int) -> None:
        """Nothing to do: the head is the number of rows."""


class MemoryRecorder(Recorder):
    """A log in memory; `name` tells several apart in messages."""

    def __init__(self, name: str = "memory:") -> None:
        self.name = name
        self.events = _SealedRecorder()
        self.snapshots = POPOAggregateRecorder()
        self._meta: Mapping[str, str] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._watching = True

    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        self._watching = True
        self._meta = self._meta or meta
        return self._meta

    @contextmanager
    def writing(self) -> Iterator[_Transaction]:
        with self._lock:
            transaction = _Transaction(self.events)
            yield transaction
            self.events.insert_rows(transaction.rows)
            self._changed.notify_all()

    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> list[FactRow]:
        with self._lock:
            rows = self.events.stream(stream_id)[after:upto]
        return [(row.position, row.version, row.topic, row.state) for row in rows]

    def select_records(
        self, after: int, limit: int, labels: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        found: list[RecordRow] = []
        with self._lock:
            rows = self.events.rows if stream_id is None else self.events.stream(stream_id)
            start = after if stream_id is None else 0
            for row in rows[start:]:
                if row.position > after and (not labels or row.topic in labels):
                    found.append(row[:5])
                    if len(found) == limit:
                        break
        return found

    def select_sealed(self, after: int, limit: int) -> list[Row]:
        with self._lock:
            return self.events.rows[after : after + limit]

    def head(self) -> int:
        return len(self.events.rows)

    def last_position(self) -> int:
        return len(self.events.rows)

    def heads(self) -> Iterator[int]:
        seen = -1
        while self._watching:
            with self._changed:
                head = self.head()
                if head == seen:
                    self._changed.wait()
                    continue
            seen = head
            yield head

    def stop_watching(self) -> None:
        with self._changed:
            self._watching = False
            self._changed.notify_all()

    def check(self) -> str | None:
        return None

    def insert_snapshot(self, snapshot: Snapshot) -> None:
        stored = StoredEvent(snapshot.stream_id, snapshot.version, snapshot.schema, snapshot.data)
        with self._lock:
            if not self.snapshots.select_events(snapshot.stream_id, gt=snapshot.version - 1, lte=snapshot.version):
                self.snapshots.insert_events([stored])

    def select_snapshot(self, stream_id: StreamId, upto: int | None) -> Snapshot | None:
        found = self.snapshots.select_events(stream_id, lte=upto, desc=True, limit=1)
        return Snapshot(stream_id, found[0].originator_version, found[0].topic, found[0].state) if found else None

    def close(self) -> None:
        """Keep the events: a memory log may be opened again, as a test of a restart does."""
        self.stop_watching()
