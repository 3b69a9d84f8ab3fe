"""Ports for the foundations: the log, the locks of the engines that share it, and a clock.

`EventLog` is an ABC because adapters inherit its derived operations. An adapter implements the abstract methods and
proves itself with the conformance suite in `aura_store.testing`: see `docs/how-to/write-a-store-adapter.md`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import ClassVar, Protocol, Self, runtime_checkable

from aura_contracts.aggregate import HappenedFact
from aura_contracts.events import Append, EventRecord, SealedRow, Snapshot
from aura_contracts.ids import StreamId

Clock = Callable[[], datetime]
"""Returns the current time as an aware datetime; injected everywhere except at the edges."""


class EventLog(ABC):
    """An append-only log of events, ordered globally and by stream. `name` is its URL without passwords.

    Every implementation guarantees:

    - **Durable**: when `append` returns, its events survive the end of the process and of the machine.
    - **Atomic**: either all events of one `append` are stored, across any number of streams, or none are.
    - **Exactly once**: an append that the log retries, because the database went away, is applied once.
    - **Ordered**: positions count from 1 without gaps, in commit order; no reader sees position n before n - 1,
      with any number of writing processes.
    - **Tamper-evident**: each event is sealed to the one before it in its stream, see `aura_store.audit`.

    A log belongs to the event loop in which it was opened (asyncio or trio). It is an async context manager; leaving it
    calls `aclose`.
    """

    name: str

    @abstractmethod
    async def append(self, *appends: Append) -> int:
        """Store the facts of all `appends` atomically; return the position of the last one.

        Concurrent calls are committed together, but each succeeds or fails alone.

        Raises `VersionConflict` if a stream is not at its expected version, `InvalidInput` for facts that cannot be
        stored, and `StoreFull` or `StoreReadOnly` if the database cannot take them; in all these cases nothing was
        stored. After `StoreUnavailable` the facts may or may not have been stored, if the database went away during the
        commit, but never in part. A cancelled append has either not started or runs to completion. Read the stream to
        find out.
        """

    @abstractmethod
    async def stream(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[EventRecord]:
        """Return the events of a stream with versions greater than `after` and at most `upto`, in order.

        An unknown stream is empty. Raises `LogDamaged` if an event is missing or cannot be decoded.
        """

    @abstractmethod
    async def page(
        self, after: int = 0, *, limit: int = 1000, topics: Collection[str] = (), stream_id: StreamId | None = None
    ) -> Sequence[EventRecord]:
        """Return up to `limit` events at positions greater than `after`, in order, optionally only those of `topics`.

        A topic is one event type in all its versions (``task.created``) or all types of an aggregate (``task.*``).
        Raises `InvalidInput` for one that no event has. An
        event that matches and cannot be decoded raises, even if its type is unknown; it is never skipped. Fewer events
        than `limit` mean that there are no more yet (of these topics, in this stream).
        """

    @abstractmethod
    async def sealed_page(self, after: int = 0, *, limit: int = 1000) -> Sequence[SealedRow]:
        """Return up to `limit` rows as stored, with their seals, at positions greater than `after`."""

    @abstractmethod
    async def sealed_stream(
        self, stream_id: StreamId, *, after: int = 0, upto: int | None = None
    ) -> Sequence[SealedRow]:
        """Return the rows of a stream as stored, with versions greater than `after` and at most `upto`, in order."""

    @abstractmethod
    async def head(self) -> int:
        """Return the position of the last event, as recorded alongside the events; 0 for an empty log."""

    @abstractmethod
    async def wait(self, after: int) -> int:
        """Return the head once it is greater than `after`, no matter which process appended.

        Cancel the call to stop waiting.
        """

    @abstractmethod
    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep `snapshot`, which replaces older ones of its stream. A snapshot is a cache, never a fact."""

    @abstractmethod
    async def load_snapshot(self, stream_id: StreamId) -> Snapshot | None:
        """Return the newest snapshot of a stream, or None."""

    @abstractmethod
    async def save_cursor(self, name: str, position: int) -> None:
        """Remember the position that the reader `name` has reached, alongside the events. It is not a fact.

        Raises `StoreReadOnly`, `StoreFull`, `StoreUnavailable`.
        """

    @abstractmethod
    async def load_cursor(self, name: str) -> int | None:
        """Return the position that the reader `name` has reached, or None if it has not read yet."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish the accepted appends and release all resources. Closing twice is harmless."""

    async def read(
        self,
        after: int = 0,
        *,
        upto: int | None = None,
        topics: Collection[str] = (),
        stream_id: StreamId | None = None,
        page_size: int = 1000,
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the events after position `after`, up to `upto` or to the end at the time of the last page."""
        while records := await self.page(after, limit=page_size, topics=topics, stream_id=stream_id):
            for record in records:
                if upto is not None and record.position > upto:
                    return
                yield record
            if len(records) < page_size:
                return
            after = records[-1].position

    async def position_at(self, time: datetime, *, upto: int | None = None) -> int:
        """Return the position of the last event before the first one that was recorded after `time`.

        Reads the log up to there, or up to `upto`: times need not be in order, since every writer has its own clock.
        """
        position = 0
        async with aclosing(self.read(upto=upto)) as records:
            async for record in records:
                if record.time > time:
                    break
                position = record.position
        return position

    async def tail(
        self,
        after: int = 0,
        *,
        topics: Collection[str] = (),
        stream_id: StreamId | None = None,
        page_size: int = 1000,
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the events after position `after`, then every new event as it is appended, forever.

        Never skips or repeats an event, no matter who appends. To stop, cancel the surrounding scope or close the
        iterator.
        """
        while True:
            head = await self.wait(after)
            reading = self.read(after, upto=head, topics=topics, stream_id=stream_id, page_size=page_size)
            async with aclosing(reading) as records:
                async for record in records:
                    yield record
            after = head

    async def facts(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[HappenedFact]:
        """Return the events of `stream` without their places in the log: enough for a fold, and faster."""
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


class Locks(Protocol):
    """Locks that end with the process that holds them, no matter how it ends.

    They may also end earlier, with the database's session or the lock's file: ask `lost` at intervals.
    """

    lag: ClassVar[float]
    """Seconds for which a lock may outlast a process that was killed; 0 if it ends with the process."""

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, or return False at once if another process holds it.

        For a lock that was taken before, this asks whether it is still held, and takes it again if it has ended.
        Raises `StoreReadOnly` and, after the outage timeout, `StoreUnavailable`."""
        ...

    async def release(self, key: str) -> None:
        """Release the lock `key`, if held. Never raises: a lock that cannot be released has ended, or ends here."""
        ...

    async def lost(self) -> Collection[str]:
        """Return the keys of locks that ended without being released; they are no longer held.

        Each is returned once. `acquire` takes them again, unless another process was faster. Does not raise: if the
        database does not answer, all locks in it count as lost."""
        ...

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another engine holds the lock right now.

        Raises `StoreReadOnly` and, after the outage timeout, `StoreUnavailable`."""
        ...

    async def aclose(self) -> None:
        """Release all locks. Never raises."""
        ...
