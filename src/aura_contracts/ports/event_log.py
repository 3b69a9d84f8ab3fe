"""The ports of AURA's ground: what the rest of the system needs from a store, a clock, a source of ids.

`EventLog` is an ABC because adapters inherit its derived operations; an adapter implements the abstract ones and proves
itself with the shipped conformance suite (`aura_store.testing`). `docs/store-adapters.md` walks through writing one.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from aura_contracts.aggregate import HappenedFact
from aura_contracts.events import Append, EventRecord, SealedRow, Snapshot
from aura_contracts.ids import StreamId

Clock = Callable[[], datetime]
"""Gives the present as an aware datetime; injected everywhere below the edges."""


class EventLog(ABC):
    """An append-only log of events, ordered as a whole and by stream. `name` is its URL without passwords.

    What every implementation promises:

    - **Durable**: when `append` returns, its events survive the end of the process and of the machine.
    - **Atomic**: all events of one `append`, over any number of streams, are stored, or none.
    - **Exactly once**: an append that is retried inside the log, because the database went away, is applied once.
    - **Ordered**: positions count from 1 without gaps, in the order of commit; a reader never sees position n before
      n - 1, with any number of writing processes.
    - **Evident**: each event is sealed to the one before it in its stream, see `aura_store.audit`.

    A log belongs to the event loop it was opened in (asyncio or trio). It is an async context manager; leaving it
    calls `aclose`.
    """

    name: str

    @abstractmethod
    async def append(self, *appends: Append) -> int:
        """Store the facts of all `appends` at once; return the position of the last one.

        Several calls at the same time are committed together, each succeeding or failing alone.

        Raises `VersionConflict` when a stream is not at its expected version, `InvalidInput` for facts that cannot be
        stored, `StoreFull` or `StoreReadOnly` when the database cannot take it; nothing of the call was stored then.
        `StoreUnavailable` leaves open whether it was, if the database went away in the middle of the commit: it is
        there as a whole or not at all. When cancelled, the append has either not begun or is carried to its end.
        Reading the stream tells which.
        """

    @abstractmethod
    async def stream(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[EventRecord]:
        """Return the events of one stream with versions greater than `after` and at most `upto`, in order.

        An unknown stream is an empty one. Raises `LogDamaged` when an event is missing or cannot be decoded.
        """

    @abstractmethod
    async def page(
        self, after: int = 0, *, limit: int = 1000, topics: Collection[str] = (), stream_id: StreamId | None = None
    ) -> Sequence[EventRecord]:
        """Return up to `limit` events at positions greater than `after`, in order; with `topics`, only those.

        A topic is one event type in all its versions (``task.created``), or all of an aggregate (``task.*``). Events
        that match and that this program does not know are not passed over: they raise, as all that cannot be decoded.
        An empty answer means that there is nothing (of these topics, in this stream) after `after` yet.
        """

    @abstractmethod
    async def sealed_page(self, after: int = 0, *, limit: int = 1000) -> Sequence[SealedRow]:
        """Return up to `limit` rows as stored, with their seals, at positions greater than `after`."""

    @abstractmethod
    async def sealed_stream(
        self, stream_id: StreamId, *, after: int = 0, upto: int | None = None
    ) -> Sequence[SealedRow]:
        """Return the rows of one stream as stored, with versions greater than `after` and at most `upto`, in order."""

    @abstractmethod
    async def head(self) -> int:
        """Return the position of the last event, as recorded beside the events; 0 for an empty log."""

    @abstractmethod
    async def wait(self, after: int) -> int:
        """Return the head as soon as it is greater than `after`, whichever process appended.

        Cancel it to stop waiting.
        """

    @abstractmethod
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep `snapshot`; the newest of a stream replaces those before it. A snapshot is a cache, never a fact."""

    @abstractmethod
    async def load_snapshot(self, stream_id: StreamId, *, upto: int | None = None) -> Snapshot | None:
        """Return the newest snapshot of a stream at a version of at most `upto`, or None."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish what was accepted, release everything. Closing twice is harmless."""

    async def read(
        self, after: int = 0, *, upto: int | None = None, topics: Collection[str] = (), page_size: int = 1000
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the events after position `after`, up to `upto` (or the end as it is when the reading gets there)."""
        while records := await self.page(after, limit=page_size, topics=topics):
            for record in records:
                if upto is not None and record.position > upto:
                    return
                yield record
            after = records[-1].position

    async def tail(
        self, after: int = 0, *, topics: Collection[str] = (), page_size: int = 1000
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the events after position `after`, then every event as it is appended, for ever.

        Never skips, never repeats, whoever appends. Cancel the surrounding scope, or close the iterator, to stop.
        """
        while True:
            head = await self.wait(after)
            async with aclosing(self.read(after, upto=head, topics=topics, page_size=page_size)) as records:
                async for record in records:
                    yield record
            after = head

    async def facts(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[HappenedFact]:
        """Return what `stream` returns, without the places in the log: all that a fold needs, as fast as it can be."""
        return await self.stream(stream_id, after=after, upto=upto)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


@runtime_checkable
class SelfChecking(Protocol):
    """A log whose database can check its own files."""

    async def check(self) -> str | None:
        """Return what is wrong with the database's files, or None. May read all of them."""
        ...
