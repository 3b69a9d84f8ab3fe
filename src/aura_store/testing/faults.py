"""Faults of a database and of a process, planned for the steps of a commit."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import attrs

from aura_contracts.events import Snapshot
from aura_contracts.ids import StreamId
from aura_store.log._recorder import DatabaseAway, FactRow, Recorder, RecordRow, StreamRow, WriteTransaction
from aura_store.log._seal import Columns, Tip

Step = Literal["begin", "head", "tips", "digest_at", "insert", "move_head", "commit", "committed"]
"""When a fault strikes: before the named call reaches the database; ``committed`` is before its answer returns."""

STEPS: tuple[Step, ...] = ("begin", "head", "tips", "digest_at", "insert", "move_head", "commit", "committed")


class HandleKilled(Exception):
    """The process with the open log is dead; none of its calls reach the database any more."""


@attrs.define
class Faults:
    """Planned faults: at each step, how often the database is away, or whether the handle dies."""

    away: dict[Step, int] = attrs.field(factory=dict)
    kill_at: Step | None = None
    killed: bool = False

    def strike(self, step: Step) -> None:
        """Raise the fault planned for `step`."""
        if self.killed or step == self.kill_at:
            self.killed = True
            raise HandleKilled(step)
        if self.away.get(step):
            self.away[step] -= 1
            raise DatabaseAway(f"gone at {step}")

    def heal(self) -> None:
        """Cancel all planned faults; a dead handle stays dead."""
        self.away.clear()
        self.kill_at = None


class FaultyTransaction:
    """A write transaction whose steps fail as `faults` says."""

    def __init__(self, inner: WriteTransaction, faults: Faults) -> None:
        self._inner = inner
        self._strike = faults.strike

    def head(self) -> int:
        self._strike("head")
        return self._inner.head()

    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        self._strike("tips")
        return self._inner.tips(stream_ids)

    def digest_at(self, position: int) -> bytes | None:
        self._strike("digest_at")
        return self._inner.digest_at(position)

    def insert(self, rows: Sequence[Columns]) -> None:
        self._strike("insert")
        self._inner.insert(rows)

    def move_head(self, before: int, after: int) -> bool:
        self._strike("move_head")
        return self._inner.move_head(before, after)


class FaultyRecorder(Recorder):
    """A recorder whose write transactions fail as `faults` says. Closing it always works, as dying does."""

    def __init__(self, inner: Recorder, faults: Faults) -> None:
        self.name = inner.name
        self.inner = inner
        self.faults = faults

    @contextmanager
    def writing(self, stream_ids: Sequence[StreamId] = ()) -> Iterator[WriteTransaction]:
        self.faults.strike("begin")
        with self.inner.writing(stream_ids) as transaction:
            yield FaultyTransaction(transaction, self.faults)
            self.faults.strike("commit")
        self.faults.strike("committed")

    def _alive(self) -> Recorder:
        if self.faults.killed:
            raise HandleKilled
        return self.inner

    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        return self._alive().open(meta)

    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> list[FactRow]:
        return self._alive().select_facts(stream_id, after, upto)

    def select_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[StreamRow]:
        return self._alive().select_stream(stream_id, after, upto)

    def select_records(
        self, after: int, limit: int, prefixes: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        return self._alive().select_records(after, limit, prefixes, stream_id)

    def select_sealed(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        return self._alive().select_sealed(after, limit)

    def select_sealed_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[tuple[Any, ...]]:
        return self._alive().select_sealed_stream(stream_id, after, upto)

    def head(self) -> int:
        return self._alive().head()

    def ends(self) -> tuple[int, int]:
        return self._alive().ends()

    def heads(self) -> Iterator[int]:
        return self.inner.heads()

    def stop_watching(self) -> None:
        self.inner.stop_watching()

    def check(self) -> str | None:
        return self._alive().check()

    def write_meta(self, key: str, value: str) -> None:
        self._alive().write_meta(key, value)

    def read_meta(self, key: str) -> str | None:
        return self._alive().read_meta(key)

    def insert_snapshot(self, snapshot: Snapshot) -> None:
        self._alive().insert_snapshot(snapshot)

    def select_snapshot(self, stream_id: StreamId) -> Snapshot | None:
        return self._alive().select_snapshot(stream_id)

    def close(self) -> None:
        self.inner.close()
