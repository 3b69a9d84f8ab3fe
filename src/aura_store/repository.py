"""Repository: aggregates by id, folded from their streams, with snapshots for long streams."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.aggregate import Aggregate, HappenedFact, State
from aura_contracts.errors import (
    EventOutOfOrder,
    ImpossibleTransition,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from aura_contracts.events import EventRecord, Snapshot
from aura_contracts.first_use import decode_json
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog

S = TypeVar("S", bound=State)

SNAPSHOT_AFTER = 500
"""Events since the last snapshot that justify a new one: about half a millisecond of folding."""


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """A loaded aggregate: its state (None if it does not exist), and the version to expect when appending."""

    state: S | None
    version: int


class AggregateRepository:
    """Loads aggregates from a log. Every load reads what is stored; only which streams are long is remembered."""

    def __init__(self, log: EventLog, *, snapshot_after: int | None = SNAPSHOT_AFTER) -> None:
        """Load from `log`; with `snapshot_after` None, snapshots are neither written nor read."""
        self.log = log
        self._snapshot_after = snapshot_after
        self._long: set[StreamId] = set()
        """Streams with enough events for a snapshot: they are read from it on, instead of from the first event."""

    async def load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> Loaded[S]:
        """Return the state and version of an aggregate; state None and version 0 if it does not exist.

        Raises `EventOutOfOrder` if its events are not possible in this order, and other `LogDamaged` errors.
        """
        start = Loaded[S](None, 0)
        facts: Sequence[HappenedFact] = ()
        if aggregate_id not in self._long:
            facts = await self.log.facts(aggregate_id, upto=self._snapshot_after)
        if self._snapshot_after is not None and len(facts) >= self._snapshot_after:
            self._long.add(aggregate_id)
        if aggregate_id in self._long:
            start = await self._from_snapshot(aggregate, aggregate_id)
            begun = facts if start.version == 0 else ()
            facts = [*begun, *await self.log.facts(aggregate_id, after=start.version + len(begun))]
        try:
            state = aggregate.fold(facts, start.state)
        except ImpossibleTransition:
            fold_records(self.log, aggregate, await self.log.stream(aggregate_id, after=start.version), start.state)
            raise  # the records are sound: the log changed in the meantime
        loaded = Loaded(state, start.version + len(facts))
        if self._snapshot_after is not None and len(facts) >= self._snapshot_after and state is not None:
            snapshot = Snapshot(aggregate_id, loaded.version, snapshot_schema(aggregate), msgspec.json.encode(state))
            with suppress(StoreReadOnly, StoreFull, StoreUnavailable):  # loading works without snapshots
                await self.log.save_snapshot(snapshot)
        return loaded

    async def _from_snapshot(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> Loaded[S]:
        """Return the newest snapshot that this program understands, or the initial state."""
        snapshot = await self.log.load_snapshot(aggregate_id)
        if snapshot is not None and snapshot.schema == snapshot_schema(aggregate):
            with suppress(msgspec.MsgspecError):  # damaged
                return Loaded(decode_json(snapshot.data, aggregate.state), snapshot.version)
        return Loaded(None, 0)


def fold_records(
    log: EventLog, aggregate: Aggregate[S], records: Iterable[EventRecord], state: S | None = None
) -> S | None:
    """Return the state after all `records`, starting from `state`.

    Raises `EventOutOfOrder`, naming the event that is not possible in its state.
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

    It changes automatically with the fields of the state, and through `Aggregate.snapshot_version` when the meaning of
    events changes. Snapshots under another name are not used.
    """
    shape = _shapes.get(aggregate.state)
    if shape is None:
        schema = msgspec.json.encode(msgspec.json.schema(aggregate.state), order="deterministic")
        shape = _shapes[aggregate.state] = sha256(schema).hexdigest()[:12]
    return f"{aggregate.name}@{aggregate.snapshot_version}:{shape}"
