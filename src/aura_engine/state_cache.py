"""State cache: the states of the aggregates that drivers work on, folded forward instead of read again.

A run looks at the same seven aggregates before each of its steps. Their states are kept while a driver needs them, and
what the log's tail tells, or this process appends, is folded into them.

Invariants:

- Only streams that a driver keeps are cached. All others are read from the log at each load.
- A cached state is one that the stream had at some version. It may be behind another process for as long as the tail
  takes; a decision on it then fails with `VersionConflict`, evicts it, and is made again on what is stored.
- An event is folded only into the version just before it. A gap evicts; what is older is already in the state.
- A load that began before the tail told of a later event is not cached, but repeated: `_seen` remembers that event.
"""

from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
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


@attrs.define
class StateCache:
    """Loads aggregates, from memory where they are kept. Belongs to one event loop."""

    stored: Load
    """Loads what the log says now, whatever is cached."""
    _kept: Counter[StreamId] = attrs.field(init=False, factory=Counter)
    _entries: dict[StreamId, _Entry] = attrs.field(init=False, factory=dict)
    _seen: dict[StreamId, int] = attrs.field(init=False, factory=dict)
    _collectors: list[set[StreamId]] = attrs.field(init=False, factory=list)

    async def load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> LoadedState[S]:
        """Return the state of an aggregate and its version, from memory if it is kept."""
        entry = self._entries.get(aggregate_id)
        if entry is not None:
            return entry
        while True:
            loaded = await self.stored(aggregate, aggregate_id)
            if loaded.version >= self._seen.get(aggregate_id, 0):
                break
        if aggregate_id in self._kept:
            newer = self._entries.get(aggregate_id)
            if newer is not None and newer.version >= loaded.version:
                return newer
            self._entries[aggregate_id] = _Entry(aggregate, loaded.state, loaded.version)
        return loaded

    def keep(self, streams: Iterable[StreamId]) -> None:
        """Keep the states of these streams until they are released as often as they were kept."""
        self._kept.update(streams)

    def release(self, streams: Iterable[StreamId]) -> None:
        """Keep these streams no longer on behalf of one who did."""
        for stream_id in streams:
            self._kept[stream_id] -= 1
            if self._kept[stream_id] <= 0:
                del self._kept[stream_id]
                self._entries.pop(stream_id, None)
                self._seen.pop(stream_id, None)

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
            self._collectors.remove(collected)

    def observe(self, record: EventRecord) -> None:
        """Fold an event that the tail of the log delivered."""
        stream_id = record.stream_id
        if stream_id not in self._kept:
            return
        self._seen[stream_id] = max(record.version, self._seen.get(stream_id, 0))
        entry = self._entries.get(stream_id)
        if entry is None or record.version <= entry.version:
            return
        if record.version != entry.version + 1:
            del self._entries[stream_id]
            return
        try:
            state = entry.aggregate.evolve(entry.state, record)
        except ImpossibleTransition:  # reading the stream says so with the facts
            del self._entries[stream_id]
        else:
            self._entries[stream_id] = _Entry(entry.aggregate, state, record.version)

    def committed(self, stream_id: StreamId, aggregate: Aggregate[S], state: S, version: int) -> None:
        """Take over the state that an append of this process led to."""
        for collected in self._collectors:
            if stream_id not in collected:
                collected.add(stream_id)
                self.keep([stream_id])
        entry = self._entries.get(stream_id)
        if stream_id in self._kept and (entry is None or entry.version < version):
            self._entries[stream_id] = _Entry(aggregate, state, version)

    def evict(self, streams: Iterable[StreamId]) -> None:
        """Forget the states of these streams: an append that relied on them failed."""
        for stream_id in streams:
            self._entries.pop(stream_id, None)
