"""Turns at what one engine of a store does: across engines and within one, through lost sessions and outages."""

import anyio
import pytest

from aura_contracts.errors import StoreReadOnly
from aura_engine import store_turn
from aura_engine.store_turn import StoreTurn
from aura_store import locks_for
from conditions import until
from databases import end_lock_sessions

pytestmark = pytest.mark.anyio

KEY = "service"


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 0.02)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/aura.db"


class Engine:
    """An engine that takes turns, and says when it has one."""

    def __init__(self, url):
        self.locks = locks_for(url)
        self.turn = StoreTurn(self.locks, KEY)
        self.at_work = False

    async def run(self):
        """Take turns for good."""
        while True:
            await self.once()

    async def once(self):
        async with self.turn.lasting():
            self.at_work = True
            try:
                await anyio.sleep_forever()
            finally:
                self.at_work = False


@pytest.fixture
async def engines(url):
    made = [Engine(url), Engine(url)]
    yield made
    for engine in made:
        await engine.locks.aclose()


async def test_a_second_one_waits_until_the_first_has_ended(engines):
    first, second = engines
    async with anyio.create_task_group() as group:
        async with first.turn.lasting():
            group.start_soon(second.run)
            assert not await second.turn.confirm()
            assert not second.at_work
        await until(lambda: second.at_work)
        group.cancel_scope.cancel()


async def test_what_goes_wrong_in_a_turn_ends_it(engines):
    first, second = engines
    with pytest.raises(ExceptionGroup) as raised:
        async with first.turn.lasting():
            raise RuntimeError("a defect")
    assert raised.group_contains(RuntimeError, match="a defect")
    with pytest.raises(RuntimeError, match="another"):
        async with second.turn.brief() as taken:
            assert taken
            raise RuntimeError("another")
    assert not await first.locks.held_elsewhere(KEY)


async def test_within_an_engine_turns_exclude_each_other_too(engines):
    first, second = engines
    async with anyio.create_task_group() as group:
        group.start_soon(first.run)
        await until(lambda: first.at_work)
        async with first.turn.brief(wait=False) as taken:
            assert not taken
        async with second.turn.brief() as taken:
            assert not taken
        assert await second.locks.held_elsewhere(KEY), "who did not get it gives nothing back"
        group.cancel_scope.cancel()
    got = []

    async def take():
        async with first.turn.brief() as taken:
            got.append(taken)
            assert got.count("left") == len(got) // 2
            await anyio.lowlevel.checkpoint()
            got.append("left")

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(take)
    assert got == [True, "left"] * 3


async def test_where_there_can_be_no_lock_there_is_no_turn(tmp_path):
    (tmp_path / "aura.db.locks").touch()
    with pytest.raises(StoreReadOnly):
        await Engine(f"sqlite:///{tmp_path}/aura.db").once()


async def test_one_that_nothing_told_of_its_lost_session_stops_when_it_asks(postgres, postgres_url, monkeypatch):
    """It looks at its lock only after an hour, and before it does anything."""
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 3600.0)
    first, second = Engine(postgres_url), Engine(postgres_url)
    async with anyio.create_task_group() as group:
        group.start_soon(first.once)
        await until(lambda: first.at_work)
        assert await first.turn.confirm()
        end_lock_sessions(postgres, postgres_url)
        assert await first.turn.confirm(), "no one was faster"
        end_lock_sessions(postgres, postgres_url)
        await until(lambda: second.locks.acquire(KEY))
        assert first.at_work, "it does not know yet"
        assert not await first.turn.confirm()
        await until(lambda: not first.at_work)
    assert await second.turn.confirm()
    for engine in (first, second):
        await engine.locks.aclose()


async def test_what_must_not_be_interrupted_ends_by_itself_though_the_turn_is_lost(postgres, postgres_url):
    first, second = Engine(postgres_url), Engine(postgres_url)
    async with first.turn.uninterrupted():
        end_lock_sessions(postgres, postgres_url)
        await until(lambda: second.locks.acquire(KEY))
        assert not await first.turn.confirm()
        await anyio.lowlevel.checkpoint()
        ended = True
    assert ended
    assert await second.turn.confirm(), "who has lost it gives nothing back"
    for engine in (first, second):
        await engine.locks.aclose()


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_after_a_restart_of_the_server_one_is_at_work(restartable_postgres, mode):
    with restartable_postgres.database() as database:
        engines = [Engine(restartable_postgres.url(database)) for _ in range(2)]
        async with anyio.create_task_group() as group:
            for engine in engines:
                group.start_soon(engine.run)
            await until(lambda: any(engine.at_work for engine in engines))
            await anyio.to_thread.run_sync(restartable_postgres.stop, mode)
            await anyio.to_thread.run_sync(restartable_postgres.start)
            asking = locks_for(restartable_postgres.url(database))
            await until(lambda: asking.held_elsewhere(KEY))

            async def one():
                holds = [await engine.turn.confirm() for engine in engines]
                return sum(holds) == 1 and [engine.at_work for engine in engines] == holds

            await until(one)
            await asking.aclose()
            group.cancel_scope.cancel()
        for engine in engines:
            await engine.locks.aclose()
