"""An event log in plain dictionaries: the smallest store adapter that keeps every promise of `EventLog`."""

from collections.abc import Collection, Sequence

import anyio
import anyio.lowlevel

from aura_contracts.catalogue import CATALOGUE
from aura_contracts.errors import AuraError, InvalidInput, StoreClosed
from aura_contracts.events import Append, EventRecord, SealedRow, Snapshot
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_store.adapters import NO_STREAM, FactCodec, Tip, plan_commit, require_numbers, require_stream_id


class Shelf:
    """What would be the database: it is there before a log is opened and after it is closed."""

    def __init__(self) -> None:
        self.rows: list[SealedRow] = []
        self.tips: dict[StreamId, Tip] = {}
        self.snapshots: dict[StreamId, Snapshot] = {}
        self.cursors: dict[str, int] = {}
        self.waiting: set[anyio.Event] = set()

    def wake(self) -> None:
        for event in self.waiting:
            event.set()


class DictLog(EventLog):
    """One handle on a shelf."""

    def __init__(self, shelf: Shelf, name: str = "dict:") -> None:
        self.name = name
        self._shelf = shelf
        self._codec = FactCodec(CATALOGUE)
        self._closed = False

    # --- Writing ------------------------------------------------------------------------------------------------------

    async def append(self, *appends: Append) -> int:
        await self._checkpoint()
        command = [self._codec.encode_append(append) for append in appends]
        if not any(append.events for append in command):
            raise InvalidInput(field="appends", reason="they contain no events", remedy="append at least one fact")
        shelf = self._shelf
        # From here on nothing waits: no other task sees a part of it, and no cancellation comes in between.
        plan = plan_commit(len(shelf.rows), lambda stream: shelf.tips.get(stream, NO_STREAM), [command])
        if isinstance(outcome := plan.outcomes[0], AuraError):
            raise outcome
        shelf.rows += map(SealedRow._make, plan.rows)
        shelf.tips |= plan.tips
        shelf.wake()
        return outcome

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def sealed_page(self, after: int = 0, *, limit: int = 1000) -> Sequence[SealedRow]:
        require_numbers(after=after, limit=limit)
        await self._checkpoint()
        return self._shelf.rows[after : after + limit]

    async def sealed_stream(
        self, stream_id: StreamId, *, after: int = 0, upto: int | None = None
    ) -> Sequence[SealedRow]:
        require_stream_id(stream_id)
        require_numbers(after=after, upto=upto)
        await self._checkpoint()
        return [row for row in self._shelf.rows if row.stream_id == stream_id][after:upto]

    async def stream(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[EventRecord]:
        return self._codec.records([row[:5] for row in await self.sealed_stream(stream_id, after=after, upto=upto)])

    async def page(
        self, after: int = 0, *, limit: int = 1000, topics: Collection[str] = (), stream_id: StreamId | None = None
    ) -> Sequence[EventRecord]:
        prefixes = self._codec.label_prefixes(topics) or ("",)
        if stream_id is not None:
            require_stream_id(stream_id)
        require_numbers(after=after, limit=limit)
        await self._checkpoint()
        rows = [
            row[:5]
            for row in self._shelf.rows[after:]
            if row.topic.startswith(prefixes) and stream_id in (None, row.stream_id)
        ]
        return self._codec.records(rows[:limit])

    async def head(self) -> int:
        await self._checkpoint()
        return len(self._shelf.rows)

    async def wait(self, after: int) -> int:
        require_numbers(after=after)
        while await self.head() <= after:
            grown = anyio.Event()
            self._shelf.waiting.add(grown)
            try:
                await grown.wait()
            finally:
                self._shelf.waiting.discard(grown)
        return len(self._shelf.rows)

    # --- Snapshots ----------------------------------------------------------------------------------------------------

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        require_stream_id(snapshot.stream_id)
        require_numbers(version=snapshot.version)
        await self._checkpoint()
        kept = self._shelf.snapshots.get(snapshot.stream_id)
        if kept is None or kept.version <= snapshot.version:
            self._shelf.snapshots[snapshot.stream_id] = snapshot

    async def load_snapshot(self, stream_id: StreamId) -> Snapshot | None:
        require_stream_id(stream_id)
        await self._checkpoint()
        return self._shelf.snapshots.get(stream_id)

    # --- Cursors ------------------------------------------------------------------------------------------------------

    async def save_cursor(self, name: str, position: int) -> None:
        require_numbers(position=position)
        await self._checkpoint()
        self._shelf.cursors[name] = position

    async def load_cursor(self, name: str) -> int | None:
        await self._checkpoint()
        return self._shelf.cursors.get(name)

    # --- Closing ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        self._closed = True
        self._shelf.wake()

    async def _checkpoint(self) -> None:
        """Let other tasks run, as a real database would; refuse to work when closed."""
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise StoreClosed(store=self.name)
