"""Appending: to the version that was expected, all or nothing, also when many do it at once."""

from typing import cast

import anyio
import anyio.lowlevel
import pytest

from aura_contracts.errors import VersionConflict
from aura_contracts.ports import EventLog
from aura_store.testing.log_conformance.fixtures import OpenLog, StoreFixtures
from aura_store.testing.log_conformance.samples import (
    append,
    assert_sealed,
    everything,
    everything_sealed,
    stream_id,
    titles,
    together,
)


class AppendConformance(StoreFixtures):
    """What is appended."""

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
