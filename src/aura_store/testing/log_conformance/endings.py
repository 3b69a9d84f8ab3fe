"""Cancelling and closing: an append is stored whole or not at all, and a closed log says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aura_contracts.errors import AuraError, StoreClosed
from aura_contracts.events import Snapshot
from aura_contracts.ports import EventLog
from aura_store.testing.log_conformance.fixtures import OpenLog, StoreFixtures
from aura_store.testing.log_conformance.samples import (
    append,
    assert_sealed,
    everything,
    everything_sealed,
    outcome_of,
    stream_id,
    titles,
)


class EndingConformance(StoreFixtures):
    """What ends early."""

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
