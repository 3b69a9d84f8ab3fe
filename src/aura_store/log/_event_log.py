"""The event log over any recorder: encoding, group commit, retries, tailing."""

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import attrs
import msgspec

from aura_contracts.actors import system
from aura_contracts.aggregate import HappenedFact
from aura_contracts.errors import (
    AuraError,
    EventOutOfOrder,
    InvalidInput,
    LogDamaged,
    StoreClosed,
    StoreReadOnly,
    UnknownEventType,
)
from aura_contracts.events import Append, EventRecord, Fact, SealedRow, Snapshot
from aura_contracts.ids import StreamId
from aura_contracts.ledger import LEDGER_ID, OutageEnded
from aura_contracts.ports import Clock, EventLog
from aura_store.log._codec import FactCodec, require_numbers, require_stream_id, to_utc
from aura_store.log._committer import BatchCommitter, check_ends
from aura_store.log._group_commit import GroupCommit
from aura_store.log._patience import Patience
from aura_store.log._recorder import DatabaseAway, Recorder, RecordRow, StreamRow, located
from aura_store.log._seal import GENESIS, EncodedAppend, seal

R = TypeVar("R")

READERS = 4
"""The number of concurrent reads; each uses a thread and a connection."""


@attrs.define
class _Outage:
    """An outage of the database: its start, and whether callers saw it."""

    began_at: datetime
    reason: str
    attempts: int = 0
    refused: int = 0


class RecorderEventLog(EventLog):
    """See `EventLog` for its guarantees. Created by `aura_store.open_log`."""

    def __init__(self, recorder: Recorder, codec: FactCodec, clock: Clock, patience: Patience) -> None:
        self.recorder = recorder
        self.name = recorder.name
        self._codec = codec
        self._clock = clock
        self.patience = patience
        """For this database, and for those that belong to the log."""
        self._outage: _Outage | None = None
        self._commits = GroupCommit(BatchCommitter(recorder), self)
        self._readers = anyio.CapacityLimiter(READERS)
        self._head = 0
        self._grown: anyio.Event | None = None
        self._watcher: threading.Thread | None = None
        self._closed = False

    @property
    def encrypted(self) -> bool:
        """Whether events can be read only with a key."""
        return self._codec.encrypts

    # --- Writing ------------------------------------------------------------------------------------------------------

    async def append(self, *appends: Append) -> int:
        self._require_open()
        command = [self._codec.encode_append(append) for append in appends]
        if not any(events for _, _, events in command):
            raise InvalidInput(field="appends", reason="they contain no events", remedy="append at least one fact")
        return await self._submit(command)

    async def _submit(self, command: Sequence[EncodedAppend]) -> int:
        outcome = await self._commits.submit(command)
        if isinstance(outcome, AuraError):
            raise located(outcome, command[0].stream_id, self._head + 1)
        if isinstance(outcome, BaseException):
            raise outcome
        self._saw_head(outcome)
        if self._outage is not None:
            await self._outage_ended()
        return outcome

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def stream(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[EventRecord]:
        require_stream_id(stream_id)
        require_numbers(after=after, upto=upto)

        def read() -> list[EventRecord]:
            rows = self.recorder.select_stream(stream_id, after, upto)
            self._require_all_versions(stream_id, after, rows)
            return self._codec.records([(at, stream_id, version, name, data) for at, version, name, data in rows])

        return await self.patiently(read)

    async def facts(self, stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> Sequence[HappenedFact]:
        require_stream_id(stream_id)
        require_numbers(after=after, upto=upto)

        def read() -> Sequence[HappenedFact] | None:
            rows = self.recorder.select_facts(stream_id, after, upto)
            complete = not rows or rows[-1][0] == after + len(rows)
            return self._codec.facts(rows) if complete else None

        facts = await self.patiently(read)
        # None: something is wrong with this stream; reading it as records finds out what and where.
        return await self.stream(stream_id, after=after, upto=upto) if facts is None else facts

    async def page(
        self, after: int = 0, *, limit: int = 1000, topics: Collection[str] = (), stream_id: StreamId | None = None
    ) -> Sequence[EventRecord]:
        if stream_id is not None:
            require_stream_id(stream_id)
        require_numbers(after=after, limit=limit)
        prefixes = self._codec.label_prefixes(topics)

        def read() -> list[EventRecord]:
            rows = self.recorder.select_records(after, limit, prefixes, stream_id)
            if not prefixes and stream_id is None:
                self._require_all_positions(after, rows)
            return self._codec.records(rows)

        return await self.patiently(read)

    async def sealed_page(self, after: int = 0, *, limit: int = 1000) -> Sequence[SealedRow]:
        require_numbers(after=after, limit=limit)
        return await self.patiently(lambda: list(map(SealedRow._make, self.recorder.select_sealed(after, limit))))

    async def sealed_stream(
        self, stream_id: StreamId, *, after: int = 0, upto: int | None = None
    ) -> Sequence[SealedRow]:
        require_stream_id(stream_id)
        require_numbers(after=after, upto=upto)
        return await self.patiently(
            lambda: list(map(SealedRow._make, self.recorder.select_sealed_stream(stream_id, after, upto)))
        )

    async def head(self) -> int:
        head = await self.patiently(self.recorder.head)
        self._saw_head(head)
        return head

    async def check_ends(self) -> None:
        """Raise `LogDamaged` unless the last event is at the head; from then on errors can name positions."""
        self._saw_head(await self.patiently(lambda: check_ends(self.recorder)))

    async def check(self) -> str | None:
        """See `SelfChecking`."""
        return await self.patiently(self.recorder.check)

    def _require_all_versions(self, stream_id: StreamId, after: int, rows: Sequence[StreamRow]) -> None:
        if rows and (rows[0][1] != after + 1 or rows[-1][1] != after + len(rows)):
            missing, position = next((n, row[0]) for n, row in enumerate(rows, after + 1) if n != row[1])
            reason = f"version {missing} of the stream is missing before this one"
            raise EventOutOfOrder(store=self.name, stream_id=stream_id, position=position, reason=reason)

    def _require_all_positions(self, after: int, rows: Sequence[RecordRow]) -> None:
        if rows and (rows[0][0] != after + 1 or rows[-1][0] != after + len(rows)):
            missing, row = next((n, row) for n, row in enumerate(rows, after + 1) if n != row[0])
            reason = f"the event is missing; the next one is at {row[0]}, in stream {row[1]}"
            raise LogDamaged(store=self.name, position=missing, reason=reason)

    # --- Tailing ------------------------------------------------------------------------------------------------------

    async def wait(self, after: int) -> int:
        self._require_open()
        require_numbers(after=after)
        if self._watcher is None:
            self._watch()  # it tells the head as soon as it has begun
        while self._head <= after:
            self._require_open()
            self._grown = self._grown or anyio.Event()
            await self._grown.wait()
        return self._head

    def _watch(self) -> None:
        """Start the thread that notices appends of other processes; it ends with the log."""
        token = anyio.lowlevel.current_token()
        self._watcher = threading.Thread(target=self._run_watcher, args=(token,), name="aura-watch", daemon=True)
        self._watcher.start()

    def _run_watcher(self, token: anyio.lowlevel.EventLoopToken) -> None:
        for head in self.recorder.heads():
            if head <= self._head:  # which only grows: this process has appended it
                continue
            try:
                anyio.from_thread.run_sync(self._saw_head, head, token=token)
            except anyio.RunFinishedError:
                return

    def _saw_head(self, head: int) -> None:
        if head > self._head:
            self._head = head
            self._wake_waiters()

    def _wake_waiters(self) -> None:
        if self._grown is not None:
            self._grown.set()
            self._grown = None

    # --- Snapshots ----------------------------------------------------------------------------------------------------

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        require_stream_id(snapshot.stream_id)
        require_numbers(version=snapshot.version)
        packed = msgspec.structs.replace(snapshot, data=self._codec.pack(_snapshot_seal(snapshot) + snapshot.data))
        await self.patiently(lambda: self.recorder.insert_snapshot(packed))

    async def save_cursor(self, name: str, position: int) -> None:
        require_numbers(position=position)
        await self.patiently(lambda: self.recorder.write_meta(f"cursor:{name}", str(position)))

    async def load_cursor(self, name: str) -> int | None:
        found = await self.patiently(lambda: self.recorder.read_meta(f"cursor:{name}"))
        return None if found is None else int(found)

    async def load_snapshot(self, stream_id: StreamId) -> Snapshot | None:
        require_stream_id(stream_id)
        packed = await self.patiently(lambda: self.recorder.select_snapshot(stream_id))
        if packed is None:
            return None
        try:
            data = self._codec.unpack(packed.data)
            snapshot = msgspec.structs.replace(packed, data=data[len(GENESIS) :])
            sound = data[: len(GENESIS)] == _snapshot_seal(snapshot)
        except (TypeError, ValueError, AttributeError):  # the columns do not even have the right types
            return None
        return snapshot if sound else None  # a snapshot is a cache and can be recreated from the events

    # --- Closing ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.recorder.stop_watching()
        self._wake_waiters()
        with anyio.CancelScope(shield=True):
            if self._watcher is not None:
                await anyio.to_thread.run_sync(self._watcher.join)
            await self._commits.aclose()
            for reader in range(READERS):  # running reads finish first
                await self._readers.acquire_on_behalf_of(reader)
            await anyio.to_thread.run_sync(self.recorder.close)
            for reader in range(READERS):
                self._readers.release_on_behalf_of(reader)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreClosed(store=self.name)

    # --- Outages ------------------------------------------------------------------------------------------------------

    async def patiently(self, work: Callable[[], R]) -> R:
        """Run blocking `work` in a worker thread; retry while the database is down and the caller has patience."""

        def attempt() -> R:
            self._require_open()
            return work()

        answer = await self.patience.run(attempt, limiter=self._readers, give_up=self.give_up)
        if self._outage is not None:
            await self._outage_ended()
        return answer

    def pause(self, attempt: int) -> float:
        return self.patience.pause_after(attempt)

    def give_up(self, waited: float, away: DatabaseAway, attempts: int) -> AuraError | None:
        outage = self._outage  # also called in the writer thread: the field may change at any time
        if outage is None:
            outage = self._outage = _Outage(began_at=self._clock(), reason=str(away))
        outage.attempts = max(outage.attempts, attempts)
        error = self.patience.give_up(self.name)(waited, away, attempts)
        outage.refused += error is not None
        return error

    async def _outage_ended(self) -> None:
        """Record an outage that was reported to callers. A short one only delayed them and does not need an event."""
        outage, self._outage = self._outage, None
        if outage is None or not outage.refused or self._closed:
            return
        event = OutageEnded(
            began_at=outage.began_at, reason=outage.reason, attempts=outage.attempts, refused=outage.refused
        )
        fact = Fact(event, self._clock(), system("store"), LEDGER_ID, LEDGER_ID)
        with anyio.CancelScope(shield=True):  # or the first caller's cancellation would lose it
            try:
                await self._submit([EncodedAppend(LEDGER_ID, None, [self._codec.encode(LEDGER_ID, to_utc(fact))])])
            except (StoreReadOnly, UnknownEventType):
                pass  # this log cannot record it: it is read-only, or its catalogue lacks the ledger
            except AuraError:
                self._outage = outage  # down again: still the same outage


def _snapshot_seal(snapshot: Snapshot) -> bytes:
    """Return a seal that detects a snapshot which was altered, or belongs to another stream or version."""
    return seal(GENESIS, 0, snapshot.version, snapshot.stream_id, snapshot.schema, snapshot.data)
