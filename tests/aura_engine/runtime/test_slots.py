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
        await slots.take(name, "custom")
        order.append(name)

    async with anyio.create_task_group() as group:
        await slots.take("a", "custom")
        await slots.take("a", "custom")  # again is harmless
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
            await slots.take(str(number), executor)
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
