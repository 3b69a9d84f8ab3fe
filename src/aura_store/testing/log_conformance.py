"""Conformance of event logs: the requirements on every implementation of `aura_contracts.ports.EventLog`.

An adapter proves itself with a small class in its own tests:

    class TestMyLog(EventLogConformance):
        @pytest.fixture
        def open_log(self, tmp_path):
            return lambda: my_log(tmp_path / "log")

The fixture `open_log` returns a function. Each call of it returns an async context manager that opens **the same**
store again, and closes it on exit; the store is empty at the start of every test. Every test runs on asyncio and on
trio. For stores that only one process can open, ``shared = False`` disables the tests that need two handles at once.

The suite knows nothing about the adapter. It writes AURA's own events, checks seals by the published formula
(`aura_store.log._seal`) with its own code, and waits for conditions, never for a time; `patience` only ends a hang.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from hashlib import sha256
from typing import Any, ClassVar, cast
from uuid import UUID

import anyio
import anyio.lowlevel
import msgspec
import pytest

from aura_contracts.actors import Actor, human
from aura_contracts.errors import (
    AuraError,
    EventTooLarge,
    InvalidId,
    InvalidInput,
    InvalidText,
    NaiveDatetime,
    StoreClosed,
    UnknownEventType,
    VersionConflict,
)
from aura_contracts.events import Append, Event, EventRecord, Fact, SealedRow, Snapshot
from aura_contracts.ids import StreamId, TaskId
from aura_contracts.ports import EventLog
from aura_contracts.task import Priority, TaskChanges, TaskCreated, TaskEdited, TaskQueued, TaskSpec, TaskUnqueued

OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]

NOW = datetime(2026, 1, 4, 12, 0, 0, 123456, tzinfo=UTC)
ALICE = human("alice")


class Unheard(Event, frozen=True, kw_only=True):
    """An event from a foreign catalogue."""

    topic = "conformance.unheard"
    text: str = ""


# --- Building and comparing -----------------------------------------------------------------------------------------


def stream_id(number: int) -> StreamId:
    """Return the id of stream `number`; different numbers give different streams."""
    return str(UUID(int=0x0192F0C1_2D3E_7ABC_8DEF_000000000000 + number))


def fact(event: Event | str = "", *, time: datetime = NOW, actor: Actor = ALICE, cause: str = "cause") -> Fact:
    """Return a fact; a string stands for an event that contains it."""
    return Fact(
        TaskEdited(changes=TaskChanges(title=event)) if isinstance(event, str) else event, time, actor, "talk", cause
    )


def append(stream: int, expected: int, *events: Event | str) -> Append:
    """Return an append of `events` to stream `stream`."""
    return Append(stream_id(stream), expected, tuple(fact(event) for event in events))


def titles(records: Iterable[EventRecord]) -> list[str | None]:
    """Return the strings of events made from strings."""
    return [cast("TaskEdited", record.event).changes.title for record in records]


def as_fact(record: EventRecord) -> Fact:
    """Return the fact that was appended as `record`."""
    return Fact(record.event, record.time, record.actor, record.correlation_id, record.causation_id)


def digest_of(row: SealedRow) -> bytes:
    """Return the digest that `row` must have, by the formula in `aura_store.log._seal`; deliberately reimplemented."""
    stream, topic = row.stream_id.encode(), row.topic.encode()
    numbers = row.position.to_bytes(8, "big") + row.version.to_bytes(8, "big")
    lengths = len(stream).to_bytes(2, "big") + len(topic).to_bytes(2, "big")
    return sha256(bytes(row.previous) + numbers + lengths + stream + topic + bytes(row.state)).digest()


def assert_sealed(rows: Sequence[SealedRow]) -> None:
    """Assert that `rows`, the whole log, are numbered without gaps and chained within each stream."""
    tips: dict[StreamId, tuple[int, bytes]] = {}
    for position, row in enumerate(rows, 1):
        version, digest = tips.get(row.stream_id, (0, bytes(32)))
        assert (row.position, row.version, bytes(row.previous)) == (position, version + 1, digest)
        assert bytes(row.digest) == digest_of(row)
        tips[row.stream_id] = row.version, bytes(row.digest)


async def everything(log: EventLog) -> list[EventRecord]:
    """Return all events of `log`."""
    return [record async for record in log.read(page_size=97)]


async def everything_sealed(log: EventLog) -> list[SealedRow]:
    """Return all rows of `log`."""
    rows: list[SealedRow] = []
    while more := await log.sealed_page(len(rows), limit=97):
        rows += more
    return rows


async def outcome_of(log: EventLog, *appends: Append) -> int | AuraError:
    """Append; return the position or the error."""
    try:
        return await log.append(*appends)
    except AuraError as error:
        return error


async def refusal_of(log: EventLog, *appends: Append) -> AuraError:
    """Append something that must be refused; return the error."""
    outcome = await outcome_of(log, *appends)
    assert isinstance(outcome, AuraError)
    return outcome


async def together(log: EventLog, commands: Sequence[Sequence[Append]]) -> list[int | AuraError]:
    """Append all `commands` at the same time; return their outcomes."""
    outcomes: dict[int, int | AuraError] = {}

    async def one(number: int) -> None:
        outcomes[number] = await outcome_of(log, *commands[number])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(len(commands)):
                tasks.start_soon(one, number)
    return [outcomes[number] for number in range(len(commands))]


# --- Invalid input ---------------------------------------------------------------------------------------------------

NAIVE = NOW.replace(tzinfo=None)
ENDLESS: dict[str, Any] = {}
ENDLESS["again"] = ENDLESS


def _created(**fields: Any) -> TaskCreated:
    return TaskCreated(task_id=TaskId(stream_id(1)), spec=TaskSpec(**{"title": "x", **fields}))


def _with_context(value: Any) -> Append:
    return append(1, 0, _created(context={"deep": [{"value": value}]}))


def _with_key(key: Any) -> Append:
    return append(1, 0, _created(context={"deep": [{key: 1}]}))


def _with_fact(**fields: Any) -> Append:
    return Append(stream_id(1), 0, (msgspec.structs.replace(fact("x"), **fields),))


REFUSED: dict[str, tuple[Any, type[AuraError], str]] = {
    "naive time": (_with_fact(time=NAIVE), NaiveDatetime, "time"),
    "naive time inside": (_with_context(NAIVE), NaiveDatetime, "context"),
    "naive time inside, with fractions": (_with_context(NAIVE.replace(microsecond=0)), NaiveDatetime, "context"),
    "time that UTC does not have": (
        _with_fact(time=datetime.max.replace(tzinfo=timezone(timedelta(hours=-8)))),
        InvalidInput,
        "time",
    ),
    "time that is a string": (_with_fact(time="2026-01-04"), InvalidInput, "time"),
    "NUL": (append(1, 0, "a\0b"), InvalidText, "title"),
    "NUL inside": (_with_context("a\0b"), InvalidText, "context"),
    "NUL in a key": (_with_key("a\0b"), InvalidText, "context"),
    "NUL in an actor": (_with_fact(actor="human:\0"), InvalidText, "actor"),
    "half a surrogate pair": (append(1, 0, "a\ud800b"), InvalidText, "title"),
    "half a surrogate pair inside": (_with_context("\udfff"), InvalidText, "context"),
    "half a surrogate pair in a key": (_with_key("\ud800"), InvalidText, "context"),
    "half a surrogate pair in an id": (_with_fact(causation_id="\ud800"), InvalidText, "causation_id"),
    "number for a string": (append(1, 0, _created(title=7)), InvalidInput, "title"),
    "string for a number": (
        append(1, 0, _created(retry=msgspec.structs.replace(_created().spec.retry, max_attempts="3"))),
        InvalidInput,
        "retry.max_attempts",
    ),
    "word that is not in the list": (append(1, 0, _created(priority="soon")), InvalidInput, "priority"),
    "None for a string": (append(1, 0, _created(title=None)), InvalidInput, "title"),
    "None for an id": (_with_fact(correlation_id=None), InvalidInput, "correlation_id"),
    "object that is not JSON": (_with_context(object()), InvalidInput, "task.created"),
    "value that holds itself": (append(1, 0, _created(context=ENDLESS)), InvalidInput, "task.created"),
    "not a number": (_with_context(float("nan")), InvalidInput, "context"),
    "infinite number": (_with_context(float("inf")), InvalidInput, "context"),
    "number of ten thousand digits": (_with_context(10**10_000), InvalidInput, "task.created"),
    "event of another catalogue": (append(1, 0, Unheard(text="x")), UnknownEventType, "conformance.unheard"),
    "event of 10 MB": (append(1, 0, "x" * 10_000_000), EventTooLarge, "task.edited"),
    "event of 10 MB in a context": (_with_context(["x" * 1000] * 10_000), EventTooLarge, "task.created"),
    "event without its circumstances": (Append(stream_id(1), 0, (cast("Fact", TaskQueued()),)), InvalidInput, "facts"),
    "facts that are None": (Append(stream_id(1), 0, cast("tuple[Fact, ...]", None)), InvalidInput, "facts"),
    "stream id in upper case": (Append(stream_id(0xABC).upper(), 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id without hyphens": (Append(stream_id(1).replace("-", ""), 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id that is a word": (Append("task-1", 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id with a suffix": (Append(stream_id(1) + "\n", 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id that is not a string": (Append(cast("str", UUID(int=1)), 0, (fact("x"),)), InvalidId, "stream_id"),
    "expected version below 0": (append(1, -1, "x"), InvalidInput, "expected_version"),
    "expected version that is a string": (append(1, cast("int", "0"), "x"), InvalidInput, "expected_version"),
    "expected version None": (append(1, cast("int", None), "x"), InvalidInput, "expected_version"),
    "no facts": (append(1, 0), InvalidInput, "appends"),
    "something else": (fact("x"), InvalidInput, "appends"),
}
"""The appends, the error that refuses them, and the field that it names."""


@pytest.mark.anyio
@pytest.mark.aura_conformance
class EventLogConformance:
    """Subclass it and override the fixture `open_log`; see the module's docstring."""

    shared: ClassVar[bool] = True
    """Whether the store may be open twice at the same time."""

    patience: ClassVar[float] = 60
    """Seconds after which a waiting test counts as hanging."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        pytest.importorskip(request.param)
        return str(request.param)

    @pytest.fixture
    def open_log(self) -> OpenLog:
        raise NotImplementedError("override the fixture `open_log`: see aura_store.testing.log_conformance")

    @asynccontextmanager
    async def opened(self, open_log: OpenLog, handles: int = 1) -> AsyncIterator[list[EventLog]]:
        """Open `handles` handles on the store, and cancel anything that hangs."""
        if handles > 1 and not self.shared:
            pytest.skip("this store can be opened only once at a time")
        with anyio.fail_after(self.patience):
            async with AsyncExitStack() as stack:
                yield [await stack.enter_async_context(open_log()) for _ in range(handles)]

    @pytest.fixture
    async def log(self, open_log: OpenLog) -> AsyncIterator[EventLog]:
        async with open_log() as log:
            yield log

    # --- Appending and reading ----------------------------------------------------------------------------------------

    async def test_a_new_log_is_empty(self, log: EventLog) -> None:
        assert await log.head() == 0
        assert list(await log.page()) == []
        assert list(await log.sealed_page()) == []
        assert list(await log.stream(stream_id(1))) == []
        assert list(await log.sealed_stream(stream_id(1))) == []
        assert list(await log.facts(stream_id(1))) == []
        assert await log.load_snapshot(stream_id(1)) is None
        assert await everything(log) == []

    async def test_what_is_appended_is_read(self, log: EventLog) -> None:
        facts = (
            fact("first"),
            fact(TaskQueued(), actor=human("Ægir 🦊"), time=NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))),
            fact(
                TaskCreated(
                    task_id=TaskId(stream_id(1)),
                    spec=TaskSpec(
                        title="'; DROP TABLE stored_events; --",
                        description='tab\t newline\n quote" back\\slash \\u0000 \x01 \x7f \U0010ffff',
                        priority=Priority.HIGH,
                        context={"": None, "ünï": [1, -(2**63), 2**64, 0.1, 1e300, True, {"a": {"b": []}}]},
                    ),
                ),
            ),
            fact("earlier than the others", time=datetime(1970, 1, 1, tzinfo=UTC)),
        )
        assert await log.append(Append(stream_id(1), 0, facts)) == 4
        for records in (await log.stream(stream_id(1)), await log.page(), await everything(log)):
            assert [as_fact(record) for record in records] == list(facts)
            assert [record.position for record in records] == [1, 2, 3, 4]
            assert [record.version for record in records] == [1, 2, 3, 4]
            assert {record.stream_id for record in records} == {stream_id(1)}
        assert all(record.time.utcoffset() == timedelta(0) for record in await log.page())
        assert await log.head() == 4

    async def test_everything_is_there_when_the_log_is_opened_again(self, open_log: OpenLog) -> None:
        async with self.opened(open_log) as (log,):
            await log.append(append(1, 0, "a"), append(2, 0, "b"))
            before, sealed = await everything(log), await everything_sealed(log)
        async with self.opened(open_log) as (log,):
            assert await everything(log) == before
            assert await everything_sealed(log) == sealed
            assert await log.head() == 2
            assert await log.append(append(1, 1, "c")) == 3
            assert titles(await log.stream(stream_id(1))) == ["a", "c"]

    async def test_a_stream_is_read_from_and_up_to_a_version(self, log: EventLog) -> None:
        await log.append(append(1, 0, "1", "2", "3"), append(2, 0, "other"))
        await log.append(append(1, 3, "4", "5"))
        for after in range(7):
            assert titles(await log.stream(stream_id(1), after=after)) == ["1", "2", "3", "4", "5"][after:]
            for upto in range(7):
                expected = ["1", "2", "3", "4", "5"][after:upto]
                assert titles(await log.stream(stream_id(1), after=after, upto=upto)) == expected
                sealed = await log.sealed_stream(stream_id(1), after=after, upto=upto)
                assert [row.version for row in sealed] == [int(text) for text in expected]

    async def test_facts_are_the_stream_without_its_places(self, log: EventLog) -> None:
        await log.append(append(1, 0, "1", "2", "3"))
        for after, upto in ((0, None), (1, None), (1, 2), (3, None), (0, 0)):
            facts = await log.facts(stream_id(1), after=after, upto=upto)
            records = await log.stream(stream_id(1), after=after, upto=upto)
            assert [(f.event, f.time, f.actor) for f in facts] == [(r.event, r.time, r.actor) for r in records]

    async def test_a_page_is_bounded_and_follows_the_one_before(self, log: EventLog) -> None:
        for number in range(10):
            await log.append(append(number % 3, number // 3, str(number)))
        for limit in (1, 3, 10, 1000):
            found: list[EventRecord] = []
            while page := await log.page(len(found), limit=limit):
                assert len(page) <= limit
                found += page
            assert titles(found) == [str(number) for number in range(10)]
        assert list(await log.page(10)) == []
        assert list(await log.page(99)) == []

    async def test_a_page_of_some_topics_or_of_one_stream(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a", TaskQueued(), TaskUnqueued(), "b"), append(2, 0, TaskQueued(), "c"))
        edited, queued, unqueued = TaskEdited.topic, TaskQueued.topic, TaskUnqueued.topic

        async def positions(after: int = 0, **filters: Any) -> list[int]:
            return [record.position for record in await log.page(after, **filters)]

        assert await positions(topics=[edited]) == [1, 4, 6]
        assert await positions(topics=[edited], limit=2) == [1, 4]
        assert await positions(4, topics=[edited]) == [6]
        assert await positions(topics={queued, unqueued}) == [2, 3, 5]
        assert await positions(topics=["conformance.nothing"]) == []
        assert await positions(stream_id=stream_id(2)) == [5, 6]
        assert await positions(5, stream_id=stream_id(2)) == [6]
        assert await positions(stream_id=stream_id(1), topics=[queued]) == [2]
        assert await positions(stream_id=stream_id(1), limit=2) == [1, 2]
        assert await positions(stream_id=stream_id(3)) == []

    async def test_reading_goes_to_the_end_or_as_far_as_asked(self, log: EventLog) -> None:
        for number in range(10):
            await log.append(append(number, 0, str(number), TaskQueued()))
        for page_size in (1, 3, 20, 1000):
            every = [record.position async for record in log.read(page_size=page_size)]
            assert every == list(range(1, 21))
            some = [record.position async for record in log.read(4, upto=9, page_size=page_size)]
            assert some == [5, 6, 7, 8, 9]
            queued = [r.position async for r in log.read(4, upto=9, topics=["task.queued"], page_size=page_size)]
            assert queued == [6, 8]

    async def test_events_are_sealed_to_the_one_before_in_their_stream(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a", "b"), append(2, 0, "c"))
        await log.append(append(1, 2, "d"), append(3, 0, "e"), append(1, 3, "f"))
        rows = await everything_sealed(log)
        assert_sealed(rows)
        assert [row.stream_id for row in rows] == [stream_id(n) for n in (1, 1, 2, 1, 3, 1)]
        assert list(await log.sealed_stream(stream_id(1))) == [row for row in rows if row.stream_id == stream_id(1)]
        assert list(await log.sealed_page(2, limit=2)) == rows[2:4]

    # --- Versions -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    async def test_an_append_to_another_version_is_refused(self, log: EventLog, expected: int) -> None:
        await log.append(append(1, 0, "a", "b"))
        with pytest.raises(VersionConflict) as caught:
            await log.append(append(1, expected, "late"))
        assert caught.value.facts() == {"stream_id": stream_id(1), "expected": expected, "actual": 2}
        assert caught.value.remedy
        assert titles(await everything(log)) == ["a", "b"]

    async def test_an_append_to_a_stream_that_is_not_there_is_refused(self, log: EventLog) -> None:
        with pytest.raises(VersionConflict) as caught:
            await log.append(append(1, 1, "too early"))
        assert (caught.value.expected, caught.value.actual) == (1, 0)
        assert await log.head() == 0

    async def test_several_streams_at_once(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a"))
        assert await log.append(append(1, 1, "b", "c"), append(2, 0, "d"), append(3, 0, "e")) == 5
        assert titles(await everything(log)) == ["a", "b", "c", "d", "e"]
        assert [record.version for record in await everything(log)] == [1, 2, 3, 1, 1]

    @pytest.mark.parametrize("stale", range(3))
    async def test_one_stale_stream_and_nothing_of_the_append_is_stored(self, log: EventLog, stale: int) -> None:
        await log.append(append(0, 0, "a"), append(1, 0, "b"), append(2, 0, "c"))
        before = await everything_sealed(log)
        with pytest.raises(VersionConflict) as caught:
            await log.append(*(append(n, 0 if n == stale else 1, "x", "y") for n in range(3)))
        assert caught.value.stream_id == stream_id(stale)
        assert await everything_sealed(log) == before
        assert await log.append(*(append(n, 1, "x") for n in range(3))) == 6

    async def test_a_stream_may_be_named_twice_in_one_append(self, log: EventLog) -> None:
        assert await log.append(append(1, 0, "a", "b"), append(2, 0, "c"), append(1, 2, "d")) == 4
        assert titles(await log.stream(stream_id(1))) == ["a", "b", "d"]
        for second in (3, 4, 6, 0):
            with pytest.raises(VersionConflict) as caught:
                await log.append(append(1, 3, "e", "f"), append(1, second, "g"))
            assert (caught.value.expected, caught.value.actual) == (second, 5)
        assert await log.head() == 4
        assert_sealed(await everything_sealed(log))

    async def test_an_append_without_facts_guards_a_version(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a"))
        assert await log.append(append(1, 1), append(2, 0, "b")) == 2
        with pytest.raises(VersionConflict):
            await log.append(append(1, 0), append(2, 1, "c"))
        assert await log.head() == 2

    # --- Concurrency --------------------------------------------------------------------------------------------------

    async def test_many_appends_at_once_are_all_stored_in_one_order(self, log: EventLog) -> None:
        outcomes = await together(log, [[append(number, 0, str(number), "second")] for number in range(150)])
        assert sorted(cast("list[int]", outcomes)) == list(range(2, 301, 2))
        records = await everything(log)
        assert [record.position for record in records] == list(range(1, 301))
        for number, position in enumerate(outcomes):
            last = records[cast("int", position) - 1]
            assert (last.stream_id, last.version) == (stream_id(number), 2)
        assert_sealed(await everything_sealed(log))

    async def test_a_conflict_fails_alone(self, log: EventLog) -> None:
        await log.append(append(0, 0, "there already"))
        commands = [[append(0 if number % 3 == 0 else number, 0, str(number))] for number in range(60)]
        outcomes = await together(log, commands)
        for number, outcome in enumerate(outcomes):
            assert isinstance(outcome, VersionConflict if number % 3 == 0 else int), number
        assert await log.head() == 41
        assert titles(await log.stream(stream_id(0))) == ["there already"]

    async def test_of_many_for_the_same_version_one_wins(self, log: EventLog) -> None:
        for version in range(5):
            outcomes = await together(log, [[append(1, version, f"{version} {n}")] for n in range(20)])
            won = [outcome for outcome in outcomes if isinstance(outcome, int)]
            lost = [outcome for outcome in outcomes if isinstance(outcome, VersionConflict)]
            assert (len(won), len(lost)) == (1, 19)
            assert {conflict.actual for conflict in lost} == {version + 1}
        assert len(await log.stream(stream_id(1))) == 5

    async def test_appends_of_several_streams_never_interleave(self, log: EventLog) -> None:
        commands = [[append(2 * n, 0, f"{n}", f"{n}"), append(2 * n + 1, 0, f"{n}")] for n in range(40)]
        await together(log, commands)
        texts = titles(await everything(log))
        assert [len(set(texts[at : at + 3])) for at in range(0, 120, 3)] == [1] * 40

    async def test_the_order_in_a_stream_is_the_order_of_the_appends(self, log: EventLog) -> None:
        async def writer(stream: int) -> None:
            for version in range(20):
                await log.append(append(stream, version, str(version)))

        with anyio.fail_after(self.patience):
            async with anyio.create_task_group() as tasks:
                for stream in range(8):
                    tasks.start_soon(writer, stream)
        for stream in range(8):
            assert titles(await log.stream(stream_id(stream))) == [str(version) for version in range(20)]

    async def test_two_handles_write_one_log(self, open_log: OpenLog) -> None:
        async with self.opened(open_log, 2) as handles:

            async def writer(handle: int) -> None:
                for version in range(15):
                    await handles[handle].append(append(handle, version, f"{handle} {version}"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer, 0)
                tasks.start_soon(writer, 1)
            assert await everything(handles[0]) == await everything(handles[1])
            assert [record.position for record in await everything(handles[0])] == list(range(1, 31))
            assert_sealed(await everything_sealed(handles[1]))

    async def test_two_handles_see_each_others_versions(self, open_log: OpenLog) -> None:
        async with self.opened(open_log, 2) as (one, other):
            for version in range(0, 10, 2):
                await one.append(append(1, version, "one"))
                with pytest.raises(VersionConflict) as caught:
                    await other.append(append(1, version, "other"))
                assert caught.value.actual == version + 1
                await other.append(append(1, version + 1, "other"))
                with pytest.raises(VersionConflict):
                    await one.append(append(1, version + 1, "one"))
            assert titles(await one.stream(stream_id(1))) == ["one", "other"] * 5

    # --- Tailing ------------------------------------------------------------------------------------------------------

    async def test_waiting_returns_at_once_when_there_is_more(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a", "b"))
        with anyio.fail_after(self.patience):
            assert await log.wait(0) == 2
            assert await log.wait(1) == 2

    async def test_waiting_ends_with_the_next_append(self, log: EventLog) -> None:
        heads: list[int] = []

        async def waiter(after: int) -> None:
            heads.append(await log.wait(after))

        with anyio.fail_after(self.patience):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(waiter, 0)
                await anyio.wait_all_tasks_blocked()
                assert heads == []
                await log.append(append(1, 0, "a"))
        assert heads == [1] * 5

    async def test_waiting_can_be_cancelled(self, log: EventLog) -> None:
        for _ in range(3):
            with anyio.move_on_after(0) as scope:
                await log.wait(0)
            assert scope.cancelled_caught
        assert await log.append(append(1, 0, "a")) == 1
        assert await log.wait(0) == 1

    async def test_a_tail_yields_what_is_there_and_what_comes(self, log: EventLog) -> None:
        await log.append(append(1, 0, "0", "1"))
        with anyio.fail_after(self.patience):
            async with aclosing(log.tail(1, page_size=2)) as tail:
                assert titles([await anext(tail)]) == ["1"]
                for version in range(2, 12, 3):
                    await log.append(append(1, version, *map(str, range(version, version + 3))))
                    got = [await anext(tail) for _ in range(3)]
                    assert titles(got) == [str(number) for number in range(version, version + 3)]

    async def test_a_tail_of_topics_passes_over_the_others(self, log: EventLog) -> None:
        with anyio.fail_after(self.patience):
            async with aclosing(log.tail(topics=["task.queued"])) as tail:
                for version in range(0, 8, 2):
                    await log.append(append(1, version, "text", TaskQueued()))
                    assert (await anext(tail)).position == version + 2

    async def test_a_tail_sees_what_another_handle_appends(self, open_log: OpenLog) -> None:
        async with self.opened(open_log, 2) as (writer, reader), aclosing(reader.tail()) as tail:
            for version in range(10):
                await writer.append(append(1, version, str(version)))
                assert titles([await anext(tail)]) == [str(version)]

    async def test_a_tail_neither_skips_nor_repeats(self, open_log: OpenLog) -> None:
        async with self.opened(open_log, 2) as handles:
            tails: list[list[int]] = [[], [], []]

            async def reader(number: int) -> None:
                async with aclosing(handles[number % 2].tail(page_size=3 + number)) as tail:
                    async for record in tail:
                        tails[number].append(record.position)
                        if record.position == 60:
                            return

            async def writer(number: int) -> None:
                for version in range(5):
                    await handles[number % 2].append(append(number, 2 * version, "a", "b"))

            async with anyio.create_task_group() as tasks:
                for number in range(len(tails)):
                    tasks.start_soon(reader, number)
                for number in range(6):
                    tasks.start_soon(writer, number)
            assert tails == [list(range(1, 61))] * len(tails)

    # --- Snapshots ----------------------------------------------------------------------------------------------------

    async def test_the_newest_snapshot_is_loaded(self, open_log: OpenLog) -> None:
        blob = bytes(range(256)) * 10
        async with self.opened(open_log) as (log,):
            await log.save_snapshot(Snapshot(stream_id(1), 5, "task/1", b"five"))
            await log.save_snapshot(Snapshot(stream_id(2), 7, "task/1", b"other"))
            await log.save_snapshot(Snapshot(stream_id(1), 9, "task/2", blob))
            assert await log.load_snapshot(stream_id(1)) == Snapshot(stream_id(1), 9, "task/2", blob)
            assert await log.load_snapshot(stream_id(1), upto=9) == Snapshot(stream_id(1), 9, "task/2", blob)
            assert await log.load_snapshot(stream_id(2), upto=6) is None
            older = await log.load_snapshot(stream_id(1), upto=8)
            assert older in (None, Snapshot(stream_id(1), 5, "task/1", b"five")), "it may be kept, never made up"
        async with self.opened(open_log) as (log,):
            assert await log.load_snapshot(stream_id(1)) == Snapshot(stream_id(1), 9, "task/2", blob)
            assert await log.head() == 0

    async def test_an_older_snapshot_that_comes_late_does_not_replace_a_newer_one(self, log: EventLog) -> None:
        newer = Snapshot(stream_id(1), 9, "task/1", b"nine")
        await log.save_snapshot(newer)
        await log.save_snapshot(Snapshot(stream_id(1), 5, "task/1", b"five"))
        assert await log.load_snapshot(stream_id(1)) == newer

    async def test_a_snapshot_of_the_same_version_replaces_the_one_before(self, log: EventLog) -> None:
        await log.save_snapshot(Snapshot(stream_id(1), 9, "task/1", b"old shape"))
        await log.save_snapshot(Snapshot(stream_id(1), 9, "task/2", b"new shape"))
        assert await log.load_snapshot(stream_id(1)) == Snapshot(stream_id(1), 9, "task/2", b"new shape")

    # --- Cursors ------------------------------------------------------------------------------------------------------

    async def test_a_cursor_is_the_position_that_was_saved_last(self, open_log: OpenLog) -> None:
        async with self.opened(open_log) as (log,):
            assert await log.load_cursor("audit") is None
            for position in (0, 7, 3, 2**63 - 1):
                await log.save_cursor("audit", position)
                assert await log.load_cursor("audit") == position
            await log.save_cursor("mail", 5)
        async with self.opened(open_log) as (log,):
            assert await log.load_cursor("audit") == 2**63 - 1
            assert await log.load_cursor("mail") == 5
            assert await log.load_cursor("aud") is None
            assert await log.head() == 0, "a cursor is not an event"

    async def test_a_cursor_is_seen_by_other_handles(self, open_log: OpenLog) -> None:
        async with self.opened(open_log, 2) as (one, other):
            await one.save_cursor("audit", 4)
            assert await other.load_cursor("audit") == 4

    # --- Cancelling ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("doomed", ["first", "last", "rest", "every second", "all"])
    async def test_a_cancelled_append_is_stored_whole_or_not_at_all(self, log: EventLog, doomed: str) -> None:
        numbers = {"first": [0], "last": [9], "rest": range(1, 10), "every second": range(0, 10, 2), "all": range(10)}
        with anyio.fail_after(self.patience):
            for round_, checkpoints in enumerate((0, 1, 2, 3, 5, 8, 20)):
                await self._cancel_some(log, 10 * round_, set(numbers[doomed]), checkpoints)
        assert_sealed(await everything_sealed(log))

    async def _cancel_some(self, log: EventLog, first: int, doomed: set[int], checkpoints: int) -> None:
        scopes = [anyio.CancelScope() for _ in range(10)]
        acknowledged: set[int] = set()

        async def one(number: int) -> None:
            with scopes[number]:
                await log.append(append(first + number, 0, "a", "b", "c"))
                acknowledged.add(number)

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(one, number)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            for number in doomed:
                scopes[number].cancel()
        assert acknowledged >= set(range(10)) - doomed, "callers that were not cancelled get an answer"
        position = await log.append(append(1000, first // 10, "the log still works"))
        assert position == await log.head()
        for number in range(10):
            stored = len(await log.stream(stream_id(first + number)))
            assert stored == 3 if number in acknowledged else stored in (0, 3)

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_asyncios_own_cancellation_is_no_different(self, log: EventLog) -> None:
        """`asyncio.wait_for`, `asyncio.timeout` and `Task.cancel` reach through the shields of other libraries."""
        for round_, passes in enumerate((0, 1, 2, 3, 5, 8, 20)):
            first = 10 * round_
            commands = [append(first + number, 0, "a", "b", "c") for number in range(10)]
            tasks = [asyncio.ensure_future(log.append(command)) for command in commands]
            for _ in range(passes):
                await asyncio.sleep(0)
            for task in tasks[:7]:
                task.cancel()
                task.cancel()
            await asyncio.wait_for(asyncio.wait(tasks), self.patience)
            await asyncio.wait_for(log.append(append(1000, round_, "the log still works")), self.patience)
            for number, task in enumerate(tasks):
                stored = len(await log.stream(stream_id(first + number)))
                assert stored == 3 if not task.cancelled() else stored in (0, 3)
            assert not any(task.cancelled() for task in tasks[7:])
        assert_sealed(await everything_sealed(log))

    # --- Closing ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("checkpoints", [0, 1, 2, 5, 20])
    async def test_closing_finishes_what_was_accepted(self, open_log: OpenLog, checkpoints: int) -> None:
        outcomes: dict[int, int | AuraError] = {}
        async with self.opened(open_log) as (log,):

            async def one(number: int) -> None:
                outcomes[number] = await outcome_of(log, append(number, 0, "a", "b"))

            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(one, number)
                for _ in range(checkpoints):
                    await anyio.lowlevel.checkpoint()
                await log.aclose()
        async with self.opened(open_log) as (log,):
            for number, outcome in outcomes.items():
                assert isinstance(outcome, int | StoreClosed)
                assert len(await log.stream(stream_id(number))) == (2 if isinstance(outcome, int) else 0)
            assert_sealed(await everything_sealed(log))

    async def test_closing_lets_reads_finish(self, open_log: OpenLog) -> None:
        answers: list[object] = []
        async with self.opened(open_log) as (log,):
            await log.append(append(1, 0, *map(str, range(50))))

            async def read() -> None:
                try:
                    answers.append(titles(await log.stream(stream_id(1))))
                except StoreClosed:
                    answers.append(StoreClosed)

            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(read)
                await anyio.lowlevel.checkpoint()
                await log.aclose()
        assert len(answers) == 20
        assert all(answer in (StoreClosed, [str(number) for number in range(50)]) for answer in answers)

    async def test_closing_ends_waiting(self, open_log: OpenLog) -> None:
        ended: list[str] = []

        async def wait(log: EventLog) -> None:
            with pytest.raises(StoreClosed):
                await log.wait(0)
            ended.append("wait")

        async def tail(log: EventLog) -> None:
            with pytest.raises(StoreClosed):
                await anext(log.tail())
            ended.append("tail")

        async with self.opened(open_log) as (log,), anyio.create_task_group() as tasks:
            tasks.start_soon(wait, log)
            tasks.start_soon(tail, log)
            await anyio.wait_all_tasks_blocked()
            await log.aclose()
        assert sorted(ended) == ["tail", "wait"]

    async def test_a_closed_log_says_so(self, open_log: OpenLog) -> None:
        async with self.opened(open_log) as (log,):
            await log.append(append(1, 0, "a"))
            await log.aclose()
            await log.aclose()
            calls: list[Callable[[], Any]] = [
                lambda: log.append(append(1, 1, "b")),
                lambda: log.stream(stream_id(1)),
                lambda: log.facts(stream_id(1)),
                lambda: log.sealed_stream(stream_id(1)),
                log.page,
                log.sealed_page,
                log.head,
                lambda: log.wait(0),
                lambda: anext(log.read()),
                lambda: anext(log.tail()),
                lambda: log.save_snapshot(Snapshot(stream_id(1), 1, "task/1", b"")),
                lambda: log.load_snapshot(stream_id(1)),
                lambda: log.save_cursor("audit", 1),
                lambda: log.load_cursor("audit"),
            ]
            for call in calls:
                with pytest.raises(StoreClosed) as caught:
                    await call()
                assert caught.value.remedy
                assert caught.value.store == log.name
        async with self.opened(open_log) as (log,):
            assert titles(await everything(log)) == ["a"]

    # --- Invalid input ------------------------------------------------------------------------------------------------

    async def test_what_cannot_be_stored_is_refused(self, log: EventLog) -> None:
        for case, (bad, kind, field) in REFUSED.items():
            for appends in ([bad], [append(2, 0, "good"), bad], [bad, append(2, 0, "good")]):
                if case == "no facts" and len(appends) > 1:
                    continue  # it only asserts a version then
                refusal = await refusal_of(log, *appends)
                assert type(refusal) is kind, case
                assert field in (refusal.field if isinstance(refusal, InvalidInput) else str(refusal)), case
                assert refusal.remedy, case
                assert len(str(refusal).encode()) < 2000, case
            assert await log.head() == 0, case
        assert await log.append(append(1, 0, "the log still works")) == 1

    async def test_an_append_of_nothing_is_refused(self, log: EventLog) -> None:
        with pytest.raises(InvalidInput) as caught:
            await log.append()
        assert caught.value.field == "appends"

    async def test_bad_input_fails_alone(self, log: EventLog) -> None:
        bad = [bad for bad, _, _ in REFUSED.values()]
        good = [append(100 + number, 0, "good") for number in range(len(bad))]
        outcomes = await together(log, [[one] for pair in zip(good, bad, strict=True) for one in pair])
        assert [isinstance(outcome, int) for outcome in outcomes] == [True, False] * len(bad)
        assert titles(await everything(log)) == ["good"] * len(good)

    async def test_questions_that_make_no_sense_are_refused(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a", "b"))
        numbers = (-1, 2**63, 1.5, "1")
        calls: list[tuple[str, Callable[[], Any]]] = []
        for bad in cast("tuple[Any, ...]", numbers):
            calls += [
                ("after", partial(log.page, bad)),
                ("after", partial(log.sealed_page, bad)),
                ("after", partial(log.wait, bad)),
                ("after", partial(log.stream, stream_id(1), after=bad)),
                ("upto", partial(log.stream, stream_id(1), upto=bad)),
                ("upto", partial(log.facts, stream_id(1), upto=bad)),
                ("upto", partial(log.sealed_stream, stream_id(1), upto=bad)),
                ("upto", partial(log.load_snapshot, stream_id(1), upto=bad)),
                ("version", partial(log.save_snapshot, Snapshot(stream_id(1), bad, "", b""))),
                ("position", partial(log.save_cursor, "audit", bad)),
                ("limit", partial(log.page, limit=bad)),
                ("limit", partial(log.sealed_page, limit=bad)),
            ]
        calls += [("limit", lambda: log.page(limit=0)), ("limit", lambda: log.sealed_page(limit=0))]
        for bad in cast("tuple[Any, ...]", ("task-1", stream_id(0xABC).upper(), "\ud800", UUID(int=1))):
            calls += [
                ("stream_id", partial(log.stream, bad)),
                ("stream_id", partial(log.facts, bad)),
                ("stream_id", partial(log.sealed_stream, bad)),
                ("stream_id", partial(log.page, stream_id=bad)),
                ("stream_id", partial(log.load_snapshot, bad)),
                ("stream_id", partial(log.save_snapshot, Snapshot(bad, 1, "", b""))),
            ]
        calls += [("topics", lambda: log.page(topics="task.edited")), ("topics", lambda: log.page(topics=["\ud800"]))]
        for field, call in calls:
            with anyio.fail_after(self.patience), pytest.raises(InvalidInput) as caught:
                await call()
            assert caught.value.field == field
            assert caught.value.remedy
        assert await log.head() == 2


__all__ = [
    "ALICE",
    "NOW",
    "REFUSED",
    "EventLogConformance",
    "OpenLog",
    "append",
    "as_fact",
    "assert_sealed",
    "digest_of",
    "everything",
    "everything_sealed",
    "fact",
    "outcome_of",
    "refusal_of",
    "stream_id",
    "titles",
    "together",
]
