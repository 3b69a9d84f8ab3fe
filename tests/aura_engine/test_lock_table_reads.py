"""The lock table is one stream for all tasks and forever: what a process reads of it depends on neither."""

from collections import Counter

import pytest
from msgspec.json import encode

from agents_at_work import bus_on
from aura_contracts.actors import ENGINE
from aura_contracts.lock_table import LOCK_TABLE, LOCK_TABLE_ID, LocksRequested, ReleaseLocks, RequestLocks, TaskLocks
from aura_store import open_log
from aura_store.repository import SNAPSHOT_AFTER

pytestmark = pytest.mark.anyio


def events_read(log):
    """Count, by stream, the events that are read from here on."""
    read, original = Counter(), log.facts

    async def facts(stream_id, **where):
        found = await original(stream_id, **where)
        read[stream_id] += len(found)
        return found

    log.facts = facts
    return read


async def take_turns(bus, tasks):
    """Claim and release a lock for so many tasks, of which two always hold and one waits."""
    claimed = []
    for _ in range(tasks):
        claimed.append(bus.ids())
        locks = TaskLocks(names=(f"lock-{len(claimed) % 2}",))
        await bus.handle(ENGINE, LOCK_TABLE_ID, RequestLocks(task_id=claimed[-1], locks=locks))
        if len(claimed) == 3:
            await bus.handle(ENGINE, LOCK_TABLE_ID, ReleaseLocks(task_id=claimed.pop(0), reason="it is done"))


@pytest.fixture
def anyio_backend():
    """It is about what is read, not about the event loop."""
    return "asyncio"


@pytest.mark.parametrize(
    ("url", "tasks", "kept"),
    [
        ("memory:", 1_000, True),
        pytest.param("memory:", 1_000, False, marks=pytest.mark.deep),
        pytest.param("sqlite:///{folder}/aura.db", 10_000, True, marks=pytest.mark.deep),
    ],
)
async def test_a_process_reads_a_bounded_part_however_many_tasks_had_locks(url, tasks, kept, tmp_path):
    """Also if the one that wrote them had the table in memory all the time, as an engine at work does."""
    async with open_log(url.format(folder=tmp_path)) as log:
        bus = bus_on(log)
        if kept:
            bus.states.keep([LOCK_TABLE_ID])
        read = events_read(log)
        await take_turns(bus, tasks)
        if kept:
            assert read[LOCK_TABLE_ID] <= await log.head(), "it knows what it wrote: a look now and then is enough"
        assert await log.head() > 2.5 * tasks
        read.clear()
        other = bus_on(log)
        first = await other.fetch(LOCK_TABLE, LOCK_TABLE_ID)
        assert read[LOCK_TABLE_ID] < 3 * SNAPSHOT_AFTER, "how long it is, and what has come since the snapshot"
        read.clear()
        assert await other.fetch(LOCK_TABLE, LOCK_TABLE_ID) == first == await bus.fetch(LOCK_TABLE, LOCK_TABLE_ID)
        assert read[LOCK_TABLE_ID] < 4 * SNAPSHOT_AFTER, "two processes, only what has come since"


async def test_the_events_of_a_claim_are_as_large_however_many_wait_before_it():
    async with open_log("memory:") as log:
        bus = bus_on(log)
        bus.states.keep([LOCK_TABLE_ID])
        locks = TaskLocks(names=("deploy",))
        tasks = [bus.ids() for _ in range(300)]
        for task_id in tasks:
            await bus.handle(ENGINE, LOCK_TABLE_ID, RequestLocks(task_id=task_id, locks=locks))
        requested = [one.event for one in await log.stream(LOCK_TABLE_ID) if isinstance(one.event, LocksRequested)]
        sizes = {len(encode(event)) for event in requested[1:]}
        assert max(sizes) - min(sizes) <= len("299") - len("1") + len(".123456"), "the number of those before it"
        table = await bus.fetch(LOCK_TABLE, LOCK_TABLE_ID)
        assert [one.task_id for one in table.before(table.claims[-1])] == tasks[:-1]
        assert (requested[-1].last_ahead, requested[-1].ahead) == (tasks[-2], 299)
        state = await bus.handle(ENGINE, LOCK_TABLE_ID, ReleaseLocks(task_id=tasks[0], reason="it is done"))
        assert [one.task_id for one in state.claims if one.held] == tasks[1:2]
