"""Reading: what was appended is there, whole, in order and sealed; so are snapshots and cursors."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import anyio.lowlevel

from aura_contracts.actors import human
from aura_contracts.events import Append, EventRecord, Snapshot
from aura_contracts.ids import TaskId
from aura_contracts.ports import EventLog
from aura_contracts.task import Priority, TaskCreated, TaskEdited, TaskQueued, TaskSpec, TaskUnqueued
from aura_store.testing.log_conformance.fixtures import OpenLog, StoreFixtures
from aura_store.testing.log_conformance.samples import (
    NOW,
    append,
    as_fact,
    assert_sealed,
    everything,
    everything_sealed,
    fact,
    stream_id,
    titles,
)


class ReadConformance(StoreFixtures):
    """What is read, waited for and kept."""

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
        assert await positions(topics=["task.deleted"]) == []
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
