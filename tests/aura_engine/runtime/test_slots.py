"""Slots: no more at once than the limits say, and nobody is forgotten."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.runtime.context import Slots

pytestmark = pytest.mark.anyio


async def test_who_waits_gets_room_when_there_is_some():
    slots = Slots(total=1)
    order = []

    async def work(name):
        await slots.take(name, "custom", "")
        order.append(name)

    async with anyio.create_task_group() as group:
        await slots.take("a", "custom", "")
        await slots.take("a", "custom", "")  # again is harmless
        group.start_soon(work, "b")
        await anyio.wait_all_tasks_blocked()
        assert order == []
        slots.give_back("never had one")
        await anyio.wait_all_tasks_blocked()
        assert order == []
        slots.give_back("a")
    assert order == ["b"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@given(
    total=st.none() | st.integers(1, 4),
    limit=st.none() | st.integers(1, 3),
    executors=st.lists(st.sampled_from(["claude", "codex"]), max_size=12),
)
def test_the_limits_hold(total, limit, executors, anyio_backend):
    async def main():
        slots = Slots(total, {} if limit is None else {"claude": limit})
        busy = []

        async def work(number, executor):
            await slots.take(str(number), executor, executor)
            busy.append(executor)
            assert total is None or len(busy) <= total
            assert limit is None or busy.count("claude") <= limit
            await anyio.lowlevel.checkpoint()
            busy.remove(executor)
            slots.give_back(str(number))

        async with anyio.create_task_group() as group:
            for number, executor in enumerate(executors):
                group.start_soon(work, number, executor)

    anyio.run(main)


async def test_groups_take_turns():
    slots = Slots(total=1)
    order = []

    async def work(name, group, executor="custom"):
        await slots.take(name, executor, group)
        order.append(name)

    async with anyio.create_task_group() as group:
        await slots.take("first", "custom", "big")
        for number in range(4):
            group.start_soon(work, f"big-{number}", "big")
            await anyio.wait_all_tasks_blocked()
        group.start_soon(work, "small", "small")
        await anyio.wait_all_tasks_blocked()
        held = ["first", *order]
        while len(order) < 5:
            slots.give_back(held[-1])
            await anyio.wait_all_tasks_blocked()
            held.append(order[-1])
    assert order == ["big-0", "small", "big-1", "big-2", "big-3"]


async def test_who_stops_waiting_keeps_nothing():
    slots = Slots(total=1)
    await slots.take("a", "custom", "one")
    with anyio.move_on_after(0):
        await slots.take("b", "custom", "two")
    slots.give_back("a")
    assert not slots.has("b")
    with anyio.fail_after(5):
        await slots.take("c", "custom", "two")


async def test_an_executor_at_its_limit_keeps_no_other_waiting():
    slots = Slots(None, {"claude": 1})
    await slots.take("a", "claude", "one")
    async with anyio.create_task_group() as group:
        group.start_soon(slots.take, "b", "claude", "one")
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await slots.take("c", "codex", "one")
        assert not slots.has("b")
        slots.give_back("a")
    assert slots.has("b")
