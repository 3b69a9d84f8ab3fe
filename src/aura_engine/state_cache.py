"""State cache: the states of the aggregates that drivers work on, folded forward instead of read again.

A run reads the same seven aggregates before each of its steps. The cache keeps their states while a driver needs them,
and folds into them the events that the log's tail delivers or this process appends.

Invariants:

- Only streams that a driver keeps are cached. All others are read from the log at each load.
- A cached state is one that the stream had at some version. It may lag behind another process until the tail
  catches up; a decision on it then fails with `VersionConflict`, evicts it, and is repeated on the stored state.
- A cached state is read from the log again, now and then, although it is known: reading leaves a snapshot behind, from
  which another process starts. Without, it would replay all that happened while this one folded the stream forward.
- It is never behind what this process has observed. An event is folded only into the version just before it; a gap
  evicts. A state read or appended before the stream was kept, or read before it was evicted, is not cached: the tail
  may have delivered a later event to a cache that did not listen.

Next to them are `RecentStates`, on which a command may be decided first: they may be out of date, and are only a
guess at what is stored.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import attrs
import msgspec

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


class _CachedState(msgspec.Struct, frozen=True):
    aggregate: Aggregate[Any]
    state: Any
    version: int


class _RecentState(msgspec.Struct, frozen=True):
    aggregate: Aggregate[Any] | None
    """None for a stream without events, whichever aggregate it would be."""
    state: Any
    version: int


_ABSENT = _RecentState(None, None, 0)

RECENT = 1_024
"""States that an engine remembers: a few kilobytes each, and half a megabyte where a task's context is at its limit."""


@attrs.define
class RecentStates:
    """The states that this process has recorded or read last; other processes may have recorded more since."""

    _limit: int = RECENT
    _states: OrderedDict[StreamId, _RecentState] = attrs.field(init=False, factory=OrderedDict)

    def get(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> LoadedState[S] | None:
        """Return a state that the aggregate had; None if it is not remembered."""
        found = self._states.get(aggregate_id)
        if found is None or (found.aggregate is not aggregate and found.version):
            return None
        self._states.move_to_end(aggregate_id)
        return found

    def knows(self, kind: str, aggregate_id: StreamId) -> bool:
        """Whether an aggregate of this kind with this full id exists, as far as is remembered."""
        found = self._states.get(aggregate_id)
        return found is not None and found.aggregate is not None and found.aggregate.name == kind

    def remember(self, aggregate: Aggregate[S], aggregate_id: StreamId, state: S | None, version: int) -> None:
        """Remember a state, unless a later one is remembered."""
        known = self._states.get(aggregate_id)
        if known is None or known.version <= version:
            self._keep(aggregate_id, _RecentState(aggregate, state, version) if version else _ABSENT)

    def expect_none(self, aggregate_id: StreamId) -> None:
        """Take it that a stream does not exist: its id was made just now."""
        self._keep(aggregate_id, _ABSENT)

    def _keep(self, aggregate_id: StreamId, found: _RecentState) -> None:
        self._states[aggregate_id] = found
        self._states.move_to_end(aggregate_id)
        if len(self._states) > self._limit:
            self._states.popitem(last=False)

    def forget(self, streams: Iterable[StreamId]) -> None:
        """Forget the states of these streams, if they are remembered."""
        for stream_id in streams:
            self._states.pop(stream_id, None)

    def outdate(self, stream_id: StreamId, version: int) -> None:
        """Forget the state of a stream if it is before this version."""
        known = self._states.get(stream_id)
        if known is not None and known.version < version:
            del self._states[stream_id]


REREAD = 500
"""Events of a kept stream after which it is read from the log again: as many as justify a snapshot."""


class _Slot(msgspec.Struct, eq=False):
    """A stream that is kept, from the first `keep` to the last `release`."""

    holders: int = 0
    entry: _CachedState | None = None
    seen: int = 0
    """The latest version observed since the stream was first kept."""
    evictions: int = 0
    """Evictions since the stream was first kept; a state read before the latest one is not cached."""
    reread_at: int = REREAD
    """The version from which on the stream is read again."""


@attrs.define
class StateCache:
    """Loads aggregates, from memory where they are kept. Belongs to one event loop."""

    stored: Load
    """Loads the current state from the log, bypassing the cache."""
    recent: RecentStates = attrs.field(init=False, factory=RecentStates)
    _slots: dict[StreamId, _Slot] = attrs.field(init=False, factory=dict)
    _collectors: list[set[StreamId]] = attrs.field(init=False, factory=list)
    evictions: int = attrs.field(init=False, default=0)
    """Evictions of all streams, kept or not; see `committed`."""
    _position: int = attrs.field(init=False, default=0)
    """The log position of the latest event observed in any stream."""

    async def load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> LoadedState[S]:
        """Return the state of an aggregate and its version, from memory if it is kept."""
        slot = self._slots.get(aggregate_id)
        if slot is None:
            return await self.stored(aggregate, aggregate_id)
        if slot.entry is not None and slot.entry.version >= slot.reread_at:
            slot.reread_at = slot.entry.version + REREAD
            await self.stored(aggregate, aggregate_id)
        while slot.entry is None:
            evictions = slot.evictions
            loaded = await self.stored(aggregate, aggregate_id)
            slot.reread_at = loaded.version + REREAD
            if slot.entry is None and loaded.version >= slot.seen and slot.evictions == evictions:
                slot.entry = _CachedState(aggregate, loaded.state, loaded.version)
        return slot.entry

    def keep(self, streams: Iterable[StreamId]) -> None:
        """Keep the states of these streams until they are released as often as they were kept."""
        for stream_id in streams:
            self._slots.setdefault(stream_id, _Slot()).holders += 1

    def release(self, streams: Iterable[StreamId]) -> None:
        """Undo one `keep` of these streams."""
        for stream_id in streams:
            slot = self._slots[stream_id]
            slot.holders -= 1
            if not slot.holders:
                del self._slots[stream_id]

    @contextmanager
    def collecting(self) -> Iterator[set[StreamId]]:
        """Keep every stream that this process appends to in the body, for a driver that is about to need them.

        The caller must release the streams it collected."""
        collected = set[StreamId]()
        self._collectors.append(collected)
        try:
            yield collected
        finally:
            self._collectors = [other for other in self._collectors if other is not collected]

    def observe(self, record: EventRecord) -> None:
        """Fold an event read from the log; harmless if it was folded before."""
        self._position = max(self._position, record.position)
        self.recent.outdate(record.stream_id, record.version)
        slot = self._slots.get(record.stream_id)
        if slot is None:
            return
        slot.seen = max(record.version, slot.seen)
        entry = slot.entry
        if entry is None or record.version <= entry.version:
            return
        slot.entry = None
        if record.version == entry.version + 1:
            with suppress(ImpossibleTransition):  # loading the stream raises it with the details
                state = entry.aggregate.evolve(entry.state, record)
                slot.entry = _CachedState(entry.aggregate, state, record.version)

    def committed(
        self, stream_id: StreamId, aggregate: Aggregate[S], state: S, *, version: int, position: int, evictions: int
    ) -> None:
        """Take over the state after an append of this process that ended at `position` in the log.

        `evictions` is the value of the cache's attribute when the append began: a conflict since then may mean that the
        state is no longer the latest.
        """
        self.recent.remember(aggregate, stream_id, state, version)
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
            slot.entry = _CachedState(aggregate, state, version)

    def evict(self, streams: Iterable[StreamId]) -> None:
        """Drop the cached states of these streams: an append that relied on them failed."""
        self.evictions += 1
        self.recent.forget(streams)
        for stream_id in streams:
            if (slot := self._slots.get(stream_id)) is not None:
                slot.entry = None
                slot.evictions += 1
