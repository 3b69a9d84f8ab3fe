"""State cache: the states of the aggregates that drivers work on, folded forward instead of read again.

A run looks at the same seven aggregates before each of its steps. Their states are kept while a driver needs them, and
what the log's tail delivers, or this process appends, is folded into them.

Invariants:

- Only streams that a driver keeps are cached. All others are read from the log at each load.
- A cached state is one that the stream had at some version. It may be behind another process for as long as the tail
  takes; a decision on it then fails with `VersionConflict`, evicts it, and is made again on what is stored.
- It is never behind what this process has observed. An event is folded only into the version just before it; a gap
  evicts. What was read or appended before the stream was kept, or read before it was evicted, is not cached: the tail
  may have delivered a later event to a cache that did not listen.
"""

from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import attrs

from aura_contracts.aggregate import Aggregate, State
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId

S = TypeVar("S", bound=State)
S_co = TypeVar("S_co", bound=State, covariant=True)


class LoadedState(Protocol[S_co]):
    """An aggregate at a version: `aura_store`'s repository returns one."""

    @property
    def state(self) -> S_co | None: ...
    @property
    def version(self) -> int: ...


class Load(Protocol):
    """Returns state and version of an aggregate; state None and version 0 if it does not exist."""

    def __call__(self, aggregate: Aggregate[S], aggregate_id: StreamId, /) -> Awaitable[LoadedState[S]]: ...


@attrs.frozen
class _Entry:
    aggregate: Aggregate[Any]
    state: Any
    version: int


@attrs.define(eq=False)
class _Slot:
    """A stream that is kept, from the first `keep` to the last `release`."""

    holders: int = 0
    entry: _Entry | None = None
    seen: int = 0
    """The latest version that was observed since it is kept."""
    evictions: int = 0
    """How often it was evicted since it is kept: what was read before the latest one is not cached."""


@attrs.define
class StateCache:
    """Loads aggregates, from memory where they are kept. Belongs to one event loop."""

    stored: Load
    """Loads what the log says now, whatever is cached."""
    _slots: dict[StreamId, _Slot] = attrs.field(init=False, factory=dict)
    _collectors: list[set[StreamId]] = attrs.field(init=False, factory=list)
    evictions: int = attrs.field(init=False, default=0)
    """How often streams were evicted, whether or not they were kept: see `committed`."""
    _position: int = attrs.field(init=False, default=0)
    """In the log, of the latest event that was observed in any stream."""

    async def load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> LoadedState[S]:
        """Return the state of an aggregate and its version, from memory if it is kept."""
        slot = self._slots.get(aggregate_id)
        if slot is None:
            return await self.stored(aggregate, aggregate_id)
        while slot.entry is None:
            evictions = slot.evictions
            loaded = await self.stored(aggregate, aggregate_id)
            if slot.entry is None and loaded.version >= slot.seen and slot.evictions == evictions:
                slot.entry = _Entry(aggregate, loaded.state, loaded.version)
        return slot.entry

    def keep(self, streams: Iterable[StreamId]) -> None:
        """Keep the states of these streams until they are released as often as they were kept."""
        for stream_id in streams:
            self._slots.setdefault(stream_id, _Slot()).holders += 1

    def release(self, streams: Iterable[StreamId]) -> None:
        """Keep these streams no longer on behalf of one who did."""
        for stream_id in streams:
            slot = self._slots[stream_id]
            slot.holders -= 1
            if not slot.holders:
                del self._slots[stream_id]

    @contextmanager
    def collecting(self) -> Iterator[set[StreamId]]:
        """Keep every stream that this process appends to meanwhile, for a driver that is about to need them.

        Whoever collects them releases them.
        """
        collected = set[StreamId]()
        self._collectors.append(collected)
        try:
            yield collected
        finally:
            self._collectors = [other for other in self._collectors if other is not collected]

    def observe(self, record: EventRecord) -> None:
        """Fold an event that was read from the log; harmless if it is folded already."""
        self._position = max(self._position, record.position)
        slot = self._slots.get(record.stream_id)
        if slot is None:
            return
        slot.seen = max(record.version, slot.seen)
        entry = slot.entry
        if entry is None or record.version <= entry.version:
            return
        slot.entry = None
        if record.version == entry.version + 1:
            with suppress(ImpossibleTransition):  # reading the stream says so with the facts
                state = entry.aggregate.evolve(entry.state, record)
                slot.entry = _Entry(entry.aggregate, state, record.version)

    def committed(
        self, stream_id: StreamId, aggregate: Aggregate[S], state: S, *, version: int, position: int, evictions: int
    ) -> None:
        """Take over the state that an append of this process led to, which ended at `position` in the log.

        `evictions` is what the cache's attribute was when the append began: a conflict since then may have shown that
        the state is not the latest any more.
        """
        for collected in self._collectors:
            if stream_id not in collected:
                collected.add(stream_id)
                self.keep([stream_id])
        slot = self._slots.get(stream_id)
        if slot is None:
            return
        if slot.entry is None:
            newer = version >= slot.seen and position >= self._position and evictions == self.evictions
        else:
            newer = version > slot.entry.version
        if newer:
            slot.entry = _Entry(aggregate, state, version)

    def evict(self, streams: Iterable[StreamId]) -> None:
        """Forget the states of these streams: an append that relied on them failed."""
        self.evictions += 1
        for stream_id in streams:
            if (slot := self._slots.get(stream_id)) is not None:
                slot.entry = None
                slot.evictions += 1
