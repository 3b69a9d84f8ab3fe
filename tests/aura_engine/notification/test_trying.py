"""How long a message is tried: a day, but not one in which nobody tried; and again as soon as a person says so."""

from datetime import timedelta
from pathlib import Path

import pytest

from aura_engine import Engine
from aura_engine.notification.lane import DeliveryLane, DeliveryPatience
from aura_engine.notification.notifier import LOCK, Notifier
from notify_bench import Bench, fail
from notify_servers import HttpServer, http_server

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def hook(bench: Bench, server: HttpServer) -> None:
    webhook = f"webhook: {{url: '{server.url}', private: true}}"
    bench.settings(f"channels: {{hook: {{{webhook}}}}}\npeople: {{alice: {{channels: {{hook: }}}}}}")


async def begin(engine: Engine) -> tuple[Notifier, DeliveryLane]:
    """Return a notifier as at the beginning of a turn, and its lane."""
    notifier = await engine.notifications._notifier()
    await notifier._restore()
    while await notifier._read():
        pass
    return notifier, notifier.lanes["hook", "alice"]


async def test_what_nobody_has_tried_for_days_is_tried_for_an_hour_before_it_is_given_up(bench: Bench) -> None:
    with http_server() as server:
        hook(bench, server)
        server.answers = [(503, {}, b"asleep, too")]
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            await engine.notifications.deliver()
        bench.now += 3 * DAY  # nobody serves
        async with bench.engine() as engine:
            notifier, lane = await begin(engine)
            async with notifier.turn.lasting():
                for _ in range(3):
                    assert await lane.step(notifier.turn)  # a pause
                    lane._not_before = 0.0  # it is over
                (waiting,) = await engine.notifications.list()
                assert waiting.status == "pending"
                assert lane._tried_since is not None
                lane._tried_since -= lane.patience.try_for  # an hour later
                assert await lane.step(notifier.turn)
                (dead,) = await engine.notifications.list()
            assert (dead.id, dead.status, dead.attempts) == (waiting.id, "dead", 4)
            assert lane._tried_since is None  # the next one has its own time


async def test_one_that_is_not_a_day_old_is_not_given_up_however_long_it_is_tried(bench: Bench) -> None:
    with http_server() as server:
        hook(bench, server)
        server.answers = [(503, {"Retry-After": str(10 * 24 * 3600)}, b"in ten days")]
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            notifier, lane = await begin(engine)
            lane.patience = DeliveryPatience(try_for=0.0)
            async with notifier.turn.lasting():
                assert await lane.step(notifier.turn) == 0.0  # it is queued
                assert await lane.step(notifier.turn) == lane.patience.give_up / 2  # not after ten days
                (waiting,) = await engine.notifications.list()
                assert waiting.status == "pending"
                bench.now += DAY + timedelta(seconds=1)
                lane._not_before = 0.0
                assert await lane.step(notifier.turn)
                (dead,) = await engine.notifications.list()
            assert (dead.status, dead.attempts) == ("dead", 2)


async def test_a_letter_that_is_retried_does_not_wait_for_the_pause_of_its_channel(bench: Bench) -> None:
    with http_server() as server:
        hook(bench, server)
        server.answers = [(410, {"Retry-After": "36000"}, b"gone"), (204, {}, b"")]
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            notifier, lane = await begin(engine)
            assert await lane.step() == 0.0  # it is queued
            assert await lane.step()  # it is given up, and the channel has a pause
            (dead,) = await engine.notifications.list()
            assert dead.status == "dead"
            lane._pause(36000.0)
            assert await lane.step()
            await engine.notifications.retry(dead.id)
            await notifier._read()
            while await lane.step() == 0.0:
                pass
            assert await engine.notifications.list() == []
        keys = [one.headers["webhook-id"] for one in server.received]
    assert keys == [dead.id] * 2


async def test_a_notifier_whose_turn_was_taken_sends_nothing_of_what_waits(bench: Bench) -> None:
    """Also before it has noticed by itself that its lock has ended."""
    with http_server() as server:
        hook(bench, server)
        async with bench.engine() as engine, bench.engine() as other:
            await engine.notifications.deliver()
            await fail(engine, "one")
            notifier, lane = await begin(engine)
            async with notifier.turn.lasting():
                assert await lane.step(notifier.turn) == 0.0  # it is queued
                locks = engine._core.locks
                locks._path(LOCK).unlink()  # type: ignore[attr-defined]
                assert await other._core.locks.acquire(LOCK)
                pause = await lane.step(notifier.turn)
            assert pause
            assert server.received == []
            await other._core.locks.release(LOCK)
            assert await other.notifications.deliver()
            assert len(server.received) == 1
            (waiting, *_) = lane.pending
        assert [one.headers["webhook-id"] for one in server.received] == [waiting.message.key]
