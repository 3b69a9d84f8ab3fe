"""Memory: a log that lives as long as its process, for tests, simulations and dry runs."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOApplicationRecorder

from aura_contracts.events import SealedRow, Snapshot
from aura_contracts.ids import StreamId
from aura_store.log._recorder import FactRow, Recorder, RecordRow, StreamRow
from aura_store.log._seal import NO_STREAM, Columns, Tip


class _SealedMemoryRecorder(POPOApplicationRecorder):
    """The library's recorder, with the seals alongside the events."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[SealedRow] = []

    def insert_rows(self, rows: Sequence[SealedRow]) -> None:
        with self._database_lock:
            self.insert_events([StoredEvent(row.stream_id, row.version, row.topic, row.state) for row in rows])
            self.rows += rows

    def tip(self, stream_id: StreamId) -> Tip:
        index = self._stored_events_index.get(stream_id)
        if not index:
            return NO_STREAM
        version = len(index)
        return Tip(version, self.rows[index[version]].digest)

    def stream(self, stream_id: StreamId) -> list[SealedRow]:
        return [self.rows[at] for at in self._stored_events_index.get(stream_id, {}).values()]


class _MemoryTransaction:
    """See `WriteTransaction`. Rows are held back until the transaction succeeds."""

    def __init__(self, events: _SealedMemoryRecorder) -> None:
        self._events = events
        self.rows: list[SealedRow] = []

    def head(self) -> int:
        return len(self._events.rows)

    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        return {stream_id: self._events.tip(stream_id) for stream_id in stream_ids}

    def digest_at(self, position: int) -> bytes | None:
        rows = self._events.rows
        return rows[position - 1].digest if 0 < position <= len(rows) else None

    def insert(self, rows: Sequence[Columns]) -> None:
        self.rows += map(SealedRow._make, rows)

    def move_head(self, before: int, after: int) -> bool:
        return self.head() == before  # and it moves by itself: it is the number of rows


class MemoryRecorder(Recorder):
    """A log in memory; `name` distinguishes several in messages."""

    def __init__(self, name: str = "memory:") -> None:
        self.name = name
        self.events = _SealedMemoryRecorder()
        self.snapshots: dict[StreamId, Snapshot] = {}
        self._meta: dict[str, str] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._watching = True

    def another(self) -> "MemoryRecorder":
        """Return a second handle on the same log, like a second process with the same file."""
        return copy(self)

    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        self._watching = True
        if not self._meta:
            self._meta.update(meta)
        return self._meta

    @contextmanager
    def writing(self, stream_ids: Sequence[StreamId] = ()) -> Iterator[_MemoryTransaction]:
        with self._lock:
            transaction = _MemoryTransaction(self.events)
            yield transaction
            self.events.insert_rows(transaction.rows)
            self._changed.notify_all()

    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> list[FactRow]:
        return [row[1:] for row in self.select_stream(stream_id, after, upto)]

    def select_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[StreamRow]:
        with self._lock:
            rows = self.events.stream(stream_id)[after:upto]
        return [(row.position, row.version, row.topic, row.state) for row in rows]

    def select_records(
        self, after: int, limit: int, prefixes: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        found: list[RecordRow] = []
        begins = tuple(prefixes) or ("",)
        with self._lock:
            rows = self.events.rows if stream_id is None else self.events.stream(stream_id)
            start = after if stream_id is None else 0
            for row in rows[start:]:
                if row.position > after and row.topic.startswith(begins):
                    found.append(row[:5])
                    if len(found) == limit:
                        break
        return found

    def select_sealed(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        with self._lock:
            return list(self.events.rows[after : after + limit])

    def select_sealed_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[tuple[Any, ...]]:
        with self._lock:
            return list(self.events.stream(stream_id)[after:upto])

    def head(self) -> int:
        return len(self.events.rows)

    def ends(self) -> tuple[int, int]:
        return self.head(), self.head()

    def heads(self) -> Iterator[int]:
        seen = -1
        while True:
            with self._changed:
                while self._watching and self.head() == seen:
                    self._changed.wait()
                if not self._watching:
                    return
                seen = self.head()
            yield seen

    def stop_watching(self) -> None:
        with self._changed:
            self._watching = False
            self._changed.notify_all()

    def check(self) -> str | None:
        return None

    def write_meta(self, key: str, value: str) -> None:
        with self._lock:
            self._meta[key] = value

    def read_meta(self, key: str) -> str | None:
        with self._lock:
            return self._meta.get(key)

    def insert_snapshot(self, snapshot: Snapshot) -> None:
        with self._lock:
            kept = self.snapshots.get(snapshot.stream_id)
            if kept is None or kept.version <= snapshot.version:
                self.snapshots[snapshot.stream_id] = snapshot

    def select_snapshot(self, stream_id: StreamId) -> Snapshot | None:
        with self._lock:
            return self.snapshots.get(stream_id)

    def close(self) -> None:
        """Keep the events, because a memory log may be reopened, as in a test of a restart."""
        self.stop_watching()
