"""A Hypothesis state machine of an event log: the log must always equal a list and a dictionary.

The model is as simple as possible: a list of facts (the log) and a dictionary of lists (the streams). The machine
appends, races, reads, tails and takes snapshots through two handles on the same store, reopens them, and compares.

    class MyMachine(EventLogMachine):
        def open_log(self, handle, faults):
            return my_log(self.folder / "log")

    TestMyLog = MyMachine.TestCase

To test its crashes too, an adapter over `Recorder` returns ``open_recorder(FaultyRecorder(recorder, faults), ...)`` and
sets ``crashes = True``. The machine then makes the database go away, or kills the handle, between any two steps of a
commit, before and after it reached the database. It asserts the guarantees that hold in every case:

- everything acknowledged is stored, and nothing refused is;
- a commit that was neither is stored as a whole or not at all, and nothing is stored twice;
- every stored append was decided on the version that its stream had.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from functools import partial
from itertools import groupby
from typing import Any, ClassVar, TypeVar

import anyio
import attrs
from anyio.from_thread import start_blocking_portal
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aura_contracts.errors import AuraError, StoreUnavailable, VersionConflict
from aura_contracts.events import Append, EventRecord, Fact, Snapshot
from aura_contracts.ids import StreamId
from aura_contracts.ledger import LEDGER_ID
from aura_contracts.ports import EventLog
from aura_contracts.task import TaskChanges, TaskEdited, TaskQueued
from aura_store.testing.faults import STEPS, Faults, FaultyRecorder, HandleKilled, Step
from aura_store.testing.log_conformance import (
    ALICE,
    NOW,
    as_fact,
    assert_sealed,
    everything,
    everything_sealed,
    stream_id,
)

R = TypeVar("R")

# --- The model --------------------------------------------------------------------------------------------------------

Outcome = int | AuraError | HandleKilled | None
"""The outcome of an append: its position, its error, or None if no caller was left to receive it."""

Wish = tuple[int, int, int]
"""A planned append: the stream's number, the number of events, and the error in the expected version."""


@attrs.define
class LogModel:
    """The expected contents of the log: facts in order, each with its stream."""

    log: list[tuple[StreamId, Fact]] = attrs.field(factory=list)
    streams: dict[StreamId, list[Fact]] = attrs.field(factory=dict)
    snapshots: dict[StreamId, dict[int, Snapshot]] = attrs.field(factory=dict)

    def version(self, stream: StreamId) -> int:
        return len(self.streams.get(stream, ()))

    def add(self, stream: StreamId, fact: Fact) -> None:
        self.log.append((stream, fact))
        self.streams.setdefault(stream, []).append(fact)

    def conflict(self, appends: Sequence[Append]) -> tuple[StreamId, int, int] | None:
        """Return the stream, the expected and the actual version of the first stale append, if there is one."""
        ahead: dict[StreamId, int] = {}
        for append in appends:
            version = ahead.get(append.stream_id, self.version(append.stream_id))
            if version != append.expected_version:
                return append.stream_id, append.expected_version, version
            ahead[append.stream_id] = version + len(append.facts)
        return None


STREAMS = 4

wishes = st.tuples(st.integers(1, STREAMS), st.integers(1, 3), st.sampled_from([0, 0, 0, 0, 1, -1]))
commands = st.lists(wishes, min_size=1, max_size=3)
batches = st.lists(commands, min_size=1, max_size=6)
handles = st.integers(0, 1)


class EventLogMachine(RuleBasedStateMachine):
    """Subclass it and implement `open_log`; see the module's docstring."""

    backend: ClassVar[str] = "asyncio"
    """The event loop: ``asyncio`` or ``trio``."""

    crashes: ClassVar[bool] = False
    """Whether `open_log` passes its faults on to the store."""

    patience: ClassVar[float] = 60
    """Seconds after which a step counts as hanging."""

    def open_log(self, handle: int, faults: Faults) -> AbstractAsyncContextManager[EventLog]:
        """Open this machine's own store again, through handle number `handle` (0 or 1).

        A store that can be opened only once at a time may return the same log for both.
        """
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.model = LogModel()
        self._cleanup = ExitStack()
        self.portal = self._cleanup.enter_context(start_blocking_portal(self.backend))
        self._open: dict[int, Any] = {}
        self._serial = 0
        for handle in (0, 1):
            self._reopen(handle)

    def teardown(self) -> None:
        if not hasattr(self, "_cleanup"):
            return
        for handle in (0, 1):
            self._close(handle)
        self._cleanup.close()

    # --- Handles ------------------------------------------------------------------------------------------------------

    def _reopen(self, handle: int) -> None:
        self._close(handle)
        faults = Faults()
        manager = self.portal.wrap_async_context_manager(self.open_log(handle, faults))
        self._open[handle] = manager, manager.__enter__(), faults

    def _close(self, handle: int) -> None:
        if handle in self._open:
            self._open.pop(handle)[0].__exit__(None, None, None)

    def log(self, handle: int) -> EventLog:
        opened: EventLog = self._open[handle][1]
        return opened

    def run(self, work: Callable[[], Awaitable[R]]) -> R:
        """Run `work` in the machine's event loop; cancel it if it hangs."""

        async def limited() -> R:
            with anyio.fail_after(self.patience):
                return await work()

        return self.portal.call(limited)

    # --- Appending ----------------------------------------------------------------------------------------------------

    def _appends(self, command: Sequence[Wish]) -> list[Append]:
        """Build the appends of one command; its serial number is the correlation id of all its facts."""
        self._serial += 1
        ahead: dict[StreamId, int] = {}
        appends = []
        for number, events, off in command:
            stream = stream_id(number)
            version = ahead.get(stream, self.model.version(stream))
            facts = tuple(
                Fact(
                    TaskEdited(changes=TaskChanges(title=f"{self._serial}.{n}")) if n else TaskQueued(),
                    NOW,
                    ALICE,
                    str(self._serial),
                    "",
                )
                for n in range(events)
            )
            appends.append(Append(stream, max(version + off, 0), facts))
            ahead[stream] = version + events
        return appends

    def _append_all(self, handle: int, batch: Sequence[Sequence[Append]]) -> list[Outcome]:
        """Append all commands of `batch` at the same time; return their outcomes."""
        outcomes: list[Outcome] = [None] * len(batch)
        log = self.log(handle)

        async def one(number: int) -> None:
            try:
                outcomes[number] = await log.append(*batch[number])
            except (AuraError, HandleKilled) as error:
                outcomes[number] = error

        async def all_() -> None:
            async with anyio.create_task_group() as tasks:
                for number in range(len(batch)):
                    tasks.start_soon(one, number)

        self.run(all_)
        return outcomes

    @rule(handle=handles, command=commands)
    def append(self, handle: int, command: list[Wish]) -> None:
        appends = self._appends(command)
        conflict = self.model.conflict(appends)
        (outcome,) = self._append_all(handle, [appends])
        if conflict is not None:
            assert isinstance(outcome, VersionConflict), outcome
            assert (outcome.stream_id, outcome.expected, outcome.actual) == conflict
        else:
            for append in appends:
                for fact in append.facts:
                    self.model.add(append.stream_id, fact)
            assert outcome == len(self.model.log)

    @rule(handle=handles, batch=batches)
    def append_many_at_once(self, handle: int, batch: list[list[Wish]]) -> None:
        made = [self._appends(command) for command in batch]
        outcomes = self._append_all(handle, made)
        assert all(isinstance(outcome, int | VersionConflict) for outcome in outcomes), outcomes
        self._reconcile(1 - handle, made, outcomes)

    @precondition(lambda self: self.crashes)
    @rule(
        handle=handles,
        batch=batches,
        away=st.dictionaries(st.sampled_from(STEPS), st.integers(1, 2), max_size=3),
        kill_at=st.none() | st.sampled_from(STEPS),
    )
    def crash(self, handle: int, batch: list[list[Wish]], away: dict[Step, int], kill_at: Step | None) -> None:
        faults: Faults = self._open[handle][2]
        faults.away, faults.kill_at = dict(away), kill_at
        made = [self._appends(command) for command in batch]
        outcomes = self._append_all(handle, made)
        faults.heal()
        note(f"outcomes: {outcomes}")
        assert all(isinstance(o, int | VersionConflict | StoreUnavailable | HandleKilled) for o in outcomes), outcomes
        assert faults.killed or not any(isinstance(outcome, HandleKilled) for outcome in outcomes)
        if faults.killed:
            self._reopen(handle)
        self.run(self.log(handle).head)  # the database is back: the log may now record the outage
        self._reconcile(1 - handle, made, outcomes)

    def _reconcile(self, handle: int, batch: Sequence[Sequence[Append]], outcomes: Sequence[Outcome]) -> None:
        """Find out in which order the log took `batch`, check that it was allowed to, and update the model."""
        before = {append.stream_id: self.model.version(append.stream_id) for appends in batch for append in appends}
        commands = {appends[0].facts[0].correlation_id: appends for appends in batch}
        known = len(self.model.log)
        added = [record for record in self.run(lambda: everything(self.log(handle))) if record.position > known]
        found: dict[str, int] = {}
        for serial, group in groupby(added, key=lambda record: record.correlation_id):
            records = list(group)
            assert serial not in found, f"command {serial} is stored twice, or in pieces"
            found[serial] = records[-1].position
            if serial == LEDGER_ID:
                self._follow_ledger(records)
                continue
            appends = commands[serial]
            assert self.model.conflict(appends) is None, f"command {serial} was decided on other versions"
            expected = [(append.stream_id, fact) for append in appends for fact in append.facts]
            assert [(record.stream_id, as_fact(record)) for record in records] == expected
            for stream, fact in expected:
                self.model.add(stream, fact)
        for appends, outcome in zip(batch, outcomes, strict=True):
            position = found.get(appends[0].facts[0].correlation_id)
            if isinstance(outcome, int):
                assert position == outcome
            elif isinstance(outcome, VersionConflict):
                assert position is None
                assert outcome.actual != outcome.expected
                most = sum(len(a.facts) for a in appends if a.stream_id == outcome.stream_id)
                least = before[outcome.stream_id]
                assert least <= outcome.actual <= self.model.version(outcome.stream_id) + most

    def _follow_ledger(self, records: Sequence[EventRecord]) -> None:
        """Update the model with outages that the store may have recorded itself."""
        for record in records:
            assert record.stream_id == LEDGER_ID
            self.model.add(LEDGER_ID, as_fact(record))

    # --- Other operations ---------------------------------------------------------------------------------------------

    @rule(handle=handles)
    def reopen(self, handle: int) -> None:
        self._reopen(handle)

    @rule(handle=handles, number=st.integers(1, STREAMS), after=st.integers(0, 6), count=st.none() | st.integers(0, 6))
    def read_a_stream(self, handle: int, number: int, after: int, count: int | None) -> None:
        stream, upto = stream_id(number), None if count is None else after + count
        expected = self.model.streams.get(stream, [])[after:upto]
        records = self.run(lambda: self.log(handle).stream(stream, after=after, upto=upto))
        assert [as_fact(record) for record in records] == expected
        assert [record.version for record in records] == list(range(after + 1, after + 1 + len(expected)))
        facts = self.run(lambda: self.log(handle).facts(stream, after=after, upto=upto))
        assert [fact.event for fact in facts] == [fact.event for fact in expected]

    @rule(
        handle=handles,
        after=st.integers(0, 20),
        limit=st.integers(1, 10),
        topics=st.sets(st.sampled_from([TaskEdited.topic, TaskQueued.topic]), max_size=1),
        number=st.none() | st.integers(1, STREAMS),
    )
    def read_a_page(self, handle: int, after: int, limit: int, topics: set[str], number: int | None) -> None:
        stream = None if number is None else stream_id(number)
        records = self.run(lambda: self.log(handle).page(after, limit=limit, topics=topics, stream_id=stream))
        expected = [
            (position, of, fact)
            for position, (of, fact) in enumerate(self.model.log, 1)
            if position > after and stream in (None, of) and (not topics or type(fact.event).topic in topics)
        ]
        assert [(record.position, record.stream_id, as_fact(record)) for record in records] == expected[:limit]

    @rule(handle=handles, after=st.integers(0, 20), batch=batches)
    def tail(self, handle: int, after: int, batch: list[list[Wish]]) -> None:
        """Start a tail on one handle and append on the other; the tail yields everything in order."""
        after = min(after, len(self.model.log))
        made = [self._appends(command) for command in batch]
        last = self._appends([(1, 1, 0)])
        outcomes: list[Outcome] = [None] * (len(made) + 1)
        seen: list[EventRecord] = []
        reader, writer = self.log(handle), self.log(1 - handle)

        async def follow() -> None:
            async with aclosing(reader.tail(after, page_size=3)) as records:
                async for record in records:
                    seen.append(record)
                    if record.correlation_id == last[0].facts[0].correlation_id:
                        return

        async def both() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                for number, appends in enumerate(made):
                    try:
                        outcomes[number] = await writer.append(*appends)
                    except VersionConflict as conflict:
                        outcomes[number] = conflict
                last[0] = Append(last[0].stream_id, len(await writer.stream(last[0].stream_id)), last[0].facts)
                outcomes[-1] = await writer.append(*last)

        self.run(both)
        self._reconcile(handle, [*made, last], outcomes)
        assert [record.position for record in seen] == list(range(after + 1, len(self.model.log) + 1))
        assert [(record.stream_id, as_fact(record)) for record in seen] == self.model.log[after:]

    @rule(handle=handles, number=st.integers(1, STREAMS), version=st.integers(0, 9), data=st.binary(max_size=8))
    def save_snapshot(self, handle: int, number: int, version: int, data: bytes) -> None:
        snapshot = Snapshot(stream_id(number), version, f"task/{len(data)}", data)
        self.run(lambda: self.log(handle).save_snapshot(snapshot))
        self.model.snapshots.setdefault(snapshot.stream_id, {})[version] = snapshot

    @rule(handle=handles, number=st.integers(1, STREAMS))
    def load_snapshot(self, handle: int, number: int) -> None:
        saved = self.model.snapshots.get(stream_id(number), {})
        loaded = self.run(lambda: self.log(handle).load_snapshot(stream_id(number)))
        assert loaded == (saved[max(saved)] if saved else None)

    # --- Invariants ---------------------------------------------------------------------------------------------------

    @invariant()
    def the_log_equals_the_model(self) -> None:
        if not hasattr(self, "_open"):
            return
        for handle in (0, 1):
            records = self.run(partial(everything, self.log(handle)))
            assert [(record.stream_id, as_fact(record)) for record in records] == self.model.log
            assert [record.position for record in records] == list(range(1, len(self.model.log) + 1))
            assert self.run(self.log(handle).head) == len(self.model.log)
        assert_sealed(self.run(lambda: everything_sealed(self.log(0))))


__all__ = ["STEPS", "EventLogMachine", "Faults", "FaultyRecorder", "HandleKilled", "LogModel", "Step"]
