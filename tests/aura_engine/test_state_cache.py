"""The state cache, under any interleaving: no state that the stream never had, none older than what was observed.

Loads are suspended before and after they read, appends before they are taken over, and the tail is behind by as much
as it likes. Another writer appends in between.
"""

import random
from collections.abc import Coroutine, Generator
from datetime import UTC, datetime
from types import coroutine
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from aura_contracts.actors import human
from aura_contracts.aggregate import Aggregate
from aura_contracts.events import Event, EventRecord, Fact
from aura_contracts.ids import TaskId, uuid7_factory
from aura_contracts.task import TASK, Task, TaskChanges, TaskCreated, TaskEdited, TaskSpec
from aura_engine.state_cache import StateCache

ALICE = human("alice")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(1).getrandbits)
STREAMS = tuple(TaskId(new_id()) for _ in range(2))


@attrs.frozen
class Loaded:
    state: Any
    version: int


@coroutine
def _suspend() -> Generator[None, None, None]:
    yield


@attrs.define(eq=False)
class Pending:
    """A load on its way, and the version that its result must not be older than."""

    stream_id: TaskId
    at_least: int
    running: Coroutine[Any, Any, Any]


@attrs.define(eq=False)
class Appended:
    """An append that is stored, and not yet taken over by the cache."""

    stream_id: TaskId
    state: Task
    version: int
    position: int
    evictions: int


class Interleavings(RuleBasedStateMachine):
    loads = Bundle("loads")
    appends = Bundle("appends")
    streams = st.sampled_from(STREAMS)

    @initialize()
    def begin(self) -> None:
        self.log: list[EventRecord] = []
        self.states: dict[TaskId, list[Task | None]] = {stream_id: [None] for stream_id in STREAMS}
        self.tailed = 0
        self.observed = dict.fromkeys(STREAMS, 0)
        self.kept: list[TaskId] = []
        self.cache = StateCache(self.stored)
        self.running: list[Coroutine[Any, Any, Any]] = []

    # --- The log ------------------------------------------------------------------------------------------------------

    async def stored(self, aggregate: Aggregate[Any], stream_id: Any) -> Loaded:
        await _suspend()
        states = self.states[stream_id]
        loaded = Loaded(states[-1], len(states) - 1)
        await _suspend()
        return loaded

    def append(self, stream_id: TaskId) -> None:
        version = len(self.states[stream_id])
        event: Event = TaskEdited(changes=TaskChanges(title=f"{version}"))
        if version == 1:
            event = TaskCreated(task_id=stream_id, spec=TaskSpec(title="1"))
        fact = Fact(event, NOW, ALICE, "c", "c")
        self.states[stream_id].append(TASK.evolve(self.states[stream_id][-1], _record(fact, stream_id, version, 0)))
        self.log.append(_record(fact, stream_id, version, len(self.log) + 1))

    @rule(stream_id=streams)
    def another_writer_appends(self, stream_id: TaskId) -> None:
        self.append(stream_id)

    @rule(target=appends, stream_id=streams)
    def this_process_appends(self, stream_id: TaskId) -> Appended:
        self.append(stream_id)
        state = self.states[stream_id][-1]
        assert state is not None
        return Appended(stream_id, state, len(self.states[stream_id]) - 1, len(self.log), self.cache.evictions)

    # --- The cache ----------------------------------------------------------------------------------------------------

    @rule(append=consumes(appends), collected=st.booleans())
    def an_append_is_taken_over(self, append: Appended, collected: bool) -> None:
        about = {"version": append.version, "position": append.position, "evictions": append.evictions}
        if collected:
            with self.cache.collecting() as streams:
                self.cache.committed(append.stream_id, TASK, append.state, **about)
            assert streams == {append.stream_id}
            self.kept += streams
        else:
            self.cache.committed(append.stream_id, TASK, append.state, **about)
        self.observed[append.stream_id] = max(append.version, self.observed[append.stream_id])

    @rule(number=st.integers(1, 4))
    def the_tail_delivers(self, number: int) -> None:
        for record in self.log[self.tailed : self.tailed + number]:
            self.cache.observe(record)
            self.observed[record.stream_id] = max(record.version, self.observed[record.stream_id])
            self.tailed = record.position

    @rule(data=st.data())
    def a_watcher_reads_on_its_own(self, data: st.DataObject) -> None:
        if self.log:
            record = data.draw(st.sampled_from(self.log))
            self.cache.observe(record)
            self.observed[record.stream_id] = max(record.version, self.observed[record.stream_id])

    @rule()
    def an_append_conflicts(self) -> None:
        self.cache.evict(STREAMS)
        self.observed = {one: len(states) - 1 for one, states in self.states.items()}

    @rule(stream_id=streams)
    def keep(self, stream_id: TaskId) -> None:
        self.cache.keep([stream_id])
        self.kept.append(stream_id)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.kept:
            stream_id = data.draw(st.sampled_from(self.kept))
            self.kept.remove(stream_id)
            self.cache.release([stream_id])

    @rule(target=loads, stream_id=streams)
    def a_load_begins(self, stream_id: TaskId) -> Any:
        pending = Pending(stream_id, self.observed[stream_id], self.cache.load(TASK, stream_id))
        self.running.append(pending.running)
        return multiple() if self.advance(pending) else pending

    @rule(target=loads, pending=consumes(loads))
    def a_load_proceeds(self, pending: Pending) -> Any:
        return multiple() if self.advance(pending) else pending

    def advance(self, pending: Pending) -> bool:
        """Let a load run until it is suspended again; return whether it is done, having looked at its result."""
        try:
            pending.running.send(None)
        except StopIteration as done:
            loaded = done.value
            states = self.states[pending.stream_id]
            assert pending.at_least <= loaded.version < len(states)
            assert loaded.state == states[loaded.version]
            return True
        return False

    def teardown(self) -> None:
        """What is kept is right in the end: when all was delivered, nothing is behind."""
        if not hasattr(self, "cache"):
            return
        self.the_tail_delivers(len(self.log))
        for stream_id in STREAMS:
            pending = Pending(stream_id, len(self.states[stream_id]) - 1, self.cache.load(TASK, stream_id))
            while not self.advance(pending):
                pass
        for running in self.running:
            running.close()


def _record(fact: Fact, stream_id: TaskId, version: int, position: int) -> EventRecord:
    return EventRecord(
        **{name: getattr(fact, name) for name in Fact.__struct_fields__},
        stream_id=stream_id,
        version=version,
        position=position,
    )


Interleavings.TestCase.settings = settings(max_examples=settings.default.max_examples, stateful_step_count=40)
TestInterleavings = Interleavings.TestCase
