"""Two notifiers of one store: within an engine they take turns, and no one is told anything twice."""

from pathlib import Path

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.errors import RuleViolated
from aura_contracts.notification import OutgoingMessage
from aura_contracts.outbox import OUTBOX, QueueNotification, outbox_id
from aura_engine import store_turn
from aura_engine.notification.notifier import LOCK, Notifier
from aura_store._locks import FileLocks
from conditions import until
from notify_bench import FILE, Bench, fail

pytestmark = pytest.mark.anyio

ALICE = "people: {alice: {channels: {log: }}}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def steps(notifier: Notifier) -> None:
    for lane in notifier.lanes.values():
        while await lane.step() == 0.0:
            pass


async def test_to_deliver_while_this_engine_serves_does_nothing_and_leaves_the_lock_of_the_service(
    bench: Bench,
) -> None:
    bench.settings(FILE + ALICE)
    async with bench.engine() as other, bench.engine(record_only=False) as engine:
        await engine.notifications.deliver()
        serving = engine.serve()
        await serving.started()
        locked = other._core.locks.held_elsewhere
        await until(lambda: locked(LOCK))
        assert await engine.notifications.deliver() is False
        assert await locked(LOCK)
        assert await other.notifications.deliver() is False
        await serving.stop()
        assert await engine.notifications.deliver() is True


async def test_what_another_notifier_has_told_meanwhile_is_not_told_again(bench: Bench) -> None:
    bench.settings(FILE.replace("per_minute: 3", "per_minute: 1") + ALICE)
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        first, second = [await engine.notifications._notifier() for _ in range(2)]
        for title in ("one", "two"):
            await fail(engine, title)
        for notifier in (first, second):
            await notifier._restore()
        await first._read()
        await fail(engine, "three")
        await second._read()
        for notifier in (first, second):
            await steps(notifier)
        assert [lane.superseded for lane in second.lanes.values()] == [True]
        await second._part()
        assert await second.deliver()
        second.lanes["log", "alice"]._meter._times.clear()  # a minute later
        assert await second.deliver()
    told = [item.subject for message in bench.told() for item in message.items]
    assert told == [f"{title} failed: AgentError" for title in ("one", "two", "three")]


async def test_a_lane_that_was_overtaken_is_not_written_to(bench: Bench) -> None:
    async with bench.engine() as engine:

        async def queue(after: int, position: int) -> None:
            message = OutgoingMessage(
                key=str(position), kind="failed", recipient="ann", subject="s", text="t", time=bench.now
            )
            lane = "ann/failed"
            command = QueueNotification(channel="log", after={lane: after}, positions={lane: position}, message=message)
            await engine._core.bus.handle(ENGINE, outbox_id("log"), command)

        await queue(0, 5)
        for after in (0, 4, 6):
            with pytest.raises(RuleViolated, match="is at 5, not at"):
                await queue(after, 7)
        await queue(0, 5)  # once more, and not after all
        await queue(5, 7)
        outbox = await engine._core.bus.fetch(OUTBOX, outbox_id("log"))
        assert outbox is not None
        assert [one.message.key for one in outbox.pending] == ["5", "7"]


async def test_a_notifier_whose_lock_has_ended_leaves_the_store_to_the_next_and_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 0.01)
    bench.settings(FILE + ALICE)
    async with bench.engine() as first, bench.engine() as second, anyio.create_task_group() as group:
        await first.notifications.deliver()
        notifiers = [await engine.notifications._notifier() for engine in (first, second)]
        locks = first._core.locks
        group.start_soon(notifiers[0].run)
        await until(lambda: second._core.locks.held_elsewhere(LOCK))
        assert isinstance(locks, FileLocks)
        locks._path(LOCK).unlink()
        assert await second._core.locks.acquire(LOCK)
        group.start_soon(notifiers[1].run)
        await until(lambda: LOCK not in locks._held)  # it has noticed
        await fail(first, "one")
        await until(bench.told)
        group.cancel_scope.cancel()
    assert [one.subject for one in bench.told()] == ["one failed: AgentError"]
