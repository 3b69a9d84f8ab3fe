"""Repository: aggregates by their id, folded from their streams, with snapshots for long ones."""

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.aggregate import Aggregate, State
from aura_contracts.errors import (
    EventOutOfOrder,
    ImpossibleTransition,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from aura_contracts.events import EventRecord, Snapshot
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog

S = TypeVar("S", bound=State)

SNAPSHOT_AFTER = 500
"""Events folded since the last snapshot that make a new one worth its while: about half a millisecond of folding."""


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """An aggregate as it is: its state (None if it does not exist) and the version to expect when appending to it."""

    state: S | None
    version: int


class Repository:
    """Loads aggregates from a log. Holds nothing but the log: every load says what is stored now."""

    def __init__(self, log: EventLog, *, snapshot_after: int | None = SNAPSHOT_AFTER) -> None:
        """`snapshot_after` None: snapshots are neither written nor read."""
        self.log = log
        self._snapshot_after = snapshot_after

    async def load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> Loaded[S]:
        """Return the state of an aggregate and its version; state None and version 0 if it does not exist.

        Raises `EventOutOfOrder` when its events cannot have happened in this order, and other `LogDamaged` errors.
        """
        start, facts = Loaded[S](None, 0), await self.log.facts(aggregate_id, upto=self._snapshot_after)
        if self._snapshot_after is not None and len(facts) >= self._snapshot_after:  # long enough to have a snapshot
            start = await self._from_snapshot(aggregate, aggregate_id)
            begun = facts if start.version == 0 else ()
            facts = [*begun, *await self.log.facts(aggregate_id, after=start.version + len(begun))]
        try:
            state = aggregate.fold(facts, start.state)
        except ImpossibleTransition:
            fold_records(self.log, aggregate, await self.log.stream(aggregate_id, after=start.version), start.state)
            raise  # the records found nothing: the log has been changed meanwhile
        loaded = Loaded(state, start.version + len(facts))
        if self._snapshot_after is not None and len(facts) >= self._snapshot_after and state is not None:
            snapshot = Snapshot(aggregate_id, loaded.version, snapshot_schema(aggregate), msgspec.json.encode(state))
            with suppress(StoreReadOnly, StoreFull, StoreUnavailable):  # loading works without
                await self.log.save_snapshot(snapshot)
        return loaded

    async def _from_snapshot(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> Loaded[S]:
        """Return the newest snapshot that this program understands, or the beginning."""
        snapshot = await self.log.load_snapshot(aggregate_id)
        if snapshot is not None and snapshot.schema == snapshot_schema(aggregate):
            with suppress(msgspec.MsgspecError):  # damaged
                return Loaded(msgspec.json.decode(snapshot.data, type=aggregate.state), snapshot.version)
        return Loaded(None, 0)


def fold_records(
    log: EventLog, aggregate: Aggregate[S], records: Iterable[EventRecord], state: S | None = None
) -> S | None:
    """Return the state after all of `records`, starting from `state`.

    Raises `EventOutOfOrder` naming the event that cannot have happened then.
    """
    for record in records:
        try:
            state = aggregate.evolve(state, record)
        except ImpossibleTransition as miss:
            raise EventOutOfOrder(
                store=log.name, stream_id=record.stream_id, position=record.position, reason=str(miss)
            ) from miss
    return state


_shapes: dict[type[State], str] = {}


def snapshot_schema(aggregate: Aggregate[Any]) -> str:
    """Return the name of the shape of an aggregate's snapshots.

    Changes with the state's fields by itself, and with `Aggregate.snapshot_version` when the meaning of events changes;
    a snapshot under another name is not used.
    """
    shape = _shapes.get(aggregate.state)
    if shape is None:
        schema = msgspec.json.encode(msgspec.json.schema(aggregate.state), order="deterministic")
        shape = _shapes[aggregate.state] = sha256(schema).hexdigest()[:12]
    return f"{aggregate.name}@{aggregate.snapshot_version}:{shape}"
