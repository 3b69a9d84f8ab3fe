"""Databases that go away: callers wait, in order; what was acknowledged is there, once; who waited too long is told."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from faulty_socket import FaultySocket, faulty_socket

from aura_contracts.errors import StoreUnavailable, VersionConflict
from aura_contracts.ledger import LEDGER, LEDGER_ID, OutageEnded
from aura_contracts.ports import EventLog
from aura_store import open_log
from aura_store.testing.log_conformance import append, assert_sealed, everything_sealed, stream_id, titles
from conditions import until
from databases import PostgresServer

pytestmark = pytest.mark.anyio

WRITERS = 20


@pytest.fixture
def restartable(restartable_postgres: PostgresServer) -> Iterator[tuple[PostgresServer, str]]:
    """A server that may be stopped, and an empty database on it."""
    with restartable_postgres.database() as database:
        yield restartable_postgres, restartable_postgres.url(database)


async def until_more_than(number: Callable[[], int], threshold: int) -> None:
    await until(lambda: number() > threshold)


async def in_thread(work, *arguments: Any) -> None:
    await anyio.to_thread.run_sync(work, *arguments)


# --- A server that becomes a standby ----------------------------------------------------------------------------------


async def test_a_server_that_is_read_only_for_a_while_is_waited_for(postgres, postgres_database, postgres_url) -> None:
    """A failover: until another server answers under the same name, this one refuses to write."""

    def make(read_only: str) -> None:
        postgres.execute(f"ALTER DATABASE {postgres_database} SET default_transaction_read_only = {read_only}")
        others = f"FROM pg_stat_activity WHERE datname = '{postgres_database}'"
        postgres.execute(f"SELECT pg_terminate_backend(pid) {others}")

    async with open_log(postgres_url) as log, anyio.create_task_group() as tasks:
        await log.append(append(1, 0, "before"))
        make("on")
        tasks.start_soon(log.append, append(1, 1, "meanwhile"))
        await until(lambda: log._outage is not None)
        make("off")
    async with open_log(postgres_url, read_only=True) as log:
        assert titles(await log.stream(stream_id(1))) == ["before", "meanwhile"]


# --- A server that crashes --------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_appends_survive_a_crash_of_the_server(restartable: tuple[PostgresServer, str]) -> None:
    """Twice the server is killed in the middle of twenty writers; nobody is told, nothing is lost, nothing doubled."""
    server, url = restartable
    written: dict[int, list[str]] = {stream: [] for stream in range(WRITERS)}
    seen: list[int] = []
    stop = False

    async def write(stream: int) -> None:
        while not stop:
            text = f"{stream}/{len(written[stream])}"
            await log.append(append(stream, len(written[stream]), text))
            written[stream].append(text)

    async def read() -> None:
        async with aclosing(log.tail()) as records:
            async for record in records:
                seen.append(record.position)  # noqa: PERF401 - looked at while it grows

    def total() -> int:
        return sum(map(len, written.values()))

    with anyio.fail_after(180):
        async with open_log(url, outage_timeout=120) as log, anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            async with anyio.create_task_group() as writers:
                for stream in range(WRITERS):
                    writers.start_soon(write, stream)
                for _ in range(2):
                    await until_more_than(total, total() + 500)
                    await in_thread(server.stop)
                    await in_thread(server.start)
                await until_more_than(total, total() + 100)
                stop = True
            assert [titles(await log.stream(stream_id(stream))) for stream in range(WRITERS)] == [*written.values()]
            assert await log.head() == total()
            assert await log.check() is None
            assert_sealed(await everything_sealed(log))
            await until_more_than(lambda: len(seen), total() - 1)
            assert seen == list(range(1, total() + 1))
            tasks.cancel_scope.cancel()


@pytest.mark.deep
async def test_a_long_outage_is_told_and_recorded(restartable: tuple[PostgresServer, str]) -> None:
    server, url = restartable
    async with open_log(url, outage_timeout=0.3) as log:
        await log.append(append(1, 0, "before"))
        await in_thread(server.stop)
        try:
            for call in (log.append(append(1, 1, "lost")), log.stream(stream_id(1)), log.head()):
                with pytest.raises(StoreUnavailable) as told:
                    await call
                assert told.value.store == log.name
                assert told.value.waited >= 0.3
                assert told.value.attempts >= 1
                assert told.value.reason
        finally:
            await in_thread(server.start)
        with anyio.fail_after(60):
            while True:
                try:
                    await log.append(append(1, 1, "after"))
                    break
                except StoreUnavailable:
                    continue
        assert titles(await log.stream(stream_id(1))) == ["before", "after"]
        (recorded,) = await log.stream(LEDGER_ID)
        assert isinstance(recorded.event, OutageEnded)
        assert recorded.event.refused >= 3
        assert LEDGER.fold(await log.facts(LEDGER_ID)).outages == 1


async def test_a_log_is_opened_when_the_server_comes_up(restartable: tuple[PostgresServer, str]) -> None:
    server, url = restartable
    await in_thread(server.stop, "fast")
    opened = []

    async def open_it() -> None:
        async with open_log(url, outage_timeout=120) as log:
            opened.append(await log.head())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(open_it)
        await in_thread(server.start)
    assert opened == [0]


@pytest.mark.deep
async def test_an_outage_does_not_hold_up_closing(restartable: tuple[PostgresServer, str]) -> None:
    server, url = restartable
    async with open_log(url, outage_timeout=0.1) as log:
        assert await log.head() == 0
        with anyio.move_on_after(0.1):
            await log.wait(0)
        await in_thread(server.stop)
        try:
            with anyio.fail_after(60):
                await log.aclose()
        finally:
            await in_thread(server.start)


# --- A commit in doubt ------------------------------------------------------------------------------------------------


@pytest.fixture
def faulty(postgres: PostgresServer) -> Iterator[FaultySocket]:
    with faulty_socket(postgres.folder) as faulty:
        yield faulty


@pytest.mark.parametrize("swallowed", ["COMMIT", "answer to COMMIT"])
async def test_a_commit_in_doubt_is_applied_once(
    postgres: PostgresServer, postgres_database: str, faulty: FaultySocket, swallowed: str
) -> None:
    """The connection breaks before the server gets COMMIT, or after it has committed: the client cannot tell which."""
    async with open_log(postgres.url(postgres_database, host=faulty.folder)) as log:
        await log.append(append(1, 0, "1"))
        for version in range(1, 4):
            faulty.swallow = swallowed
            assert await log.append(append(1, version, f"{version + 1}")) == version + 1
        assert faulty.swallowed == [swallowed] * 3
        assert titles(await log.stream(stream_id(1))) == ["1", "2", "3", "4"]
        assert_sealed(await everything_sealed(log))


@pytest.mark.deep_but_first
@pytest.mark.parametrize("swallowed", ["COMMIT", "answer to COMMIT"])
async def test_a_batch_in_doubt_is_applied_once(
    postgres: PostgresServer, postgres_database: str, faulty: FaultySocket, swallowed: str
) -> None:
    """Also with others that append meanwhile, and with a command in the batch that is refused."""
    outcomes: dict[int, int | VersionConflict] = {}

    async def write(log: EventLog, stream: int, expected: int) -> None:
        try:
            outcomes[stream] = await log.append(append(stream, expected, f"{stream}"))
        except VersionConflict as conflict:
            outcomes[stream] = conflict

    url, other_url = postgres.url(postgres_database, host=faulty.folder), postgres.url(postgres_database)
    async with open_log(url) as log, open_log(other_url) as other:
        for turn in range(5):
            faulty.swallow = swallowed
            async with anyio.create_task_group() as tasks:
                for stream in range(20):
                    tasks.start_soon(write, log, 100 * turn + stream, 7 if stream == 5 else 0)
                    tasks.start_soon(write, other, 100 * turn + stream + 50, 0)
            assert not faulty.swallow
        refused = [stream for stream, outcome in outcomes.items() if isinstance(outcome, VersionConflict)]
        assert sorted(refused) == [5, 105, 205, 305, 405]
        assert await log.head() == len(outcomes) - len(refused)
        for stream, outcome in outcomes.items():
            records = await log.stream(stream_id(stream))
            assert [record.position for record in records] == ([] if stream in refused else [outcome])
        assert_sealed(await everything_sealed(log))


# --- A lock that somebody holds ---------------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


class Held:
    """A lock, and how to let it go."""

    def __init__(self, url: str, release) -> None:
        self.url = url
        self.release = release


@asynccontextmanager
async def sqlite_held(path: str) -> AsyncIterator[Held]:
    async with open_log(f"sqlite:///{path}"):
        pass
    async with await anyio.open_process([sys.executable, "-c", HOLD, path]) as process:
        assert (await process.stdout.receive()).strip() == b"held"

        async def release() -> None:
            await process.stdin.send(b"\n")
            await process.wait()

        yield Held(f"sqlite:///{path}", release)


@asynccontextmanager
async def postgres_held(url: str) -> AsyncIterator[Held]:
    async with open_log(url):
        pass
    with psycopg.connect(url) as connection:
        connection.execute("SELECT position FROM log_head FOR UPDATE")

        async def release() -> None:
            connection.rollback()

        yield Held(url, release)


@pytest.fixture(params=["sqlite", "postgres"])
def held(request: pytest.FixtureRequest, tmp_path):
    """A log whose write lock another process holds."""
    if request.param == "sqlite":
        return sqlite_held(str(tmp_path / "log.db"))
    return postgres_held(request.getfixturevalue("postgres_url"))


async def test_a_lock_held_too_long_is_told(held) -> None:
    async with held as holder, open_log(holder.url, outage_timeout=0.3) as log:
        with pytest.raises(StoreUnavailable, match="lock") as told:
            await log.append(append(1, 0, "a"))
        assert told.value.waited >= 0.3
        assert await log.head() == 0
        await holder.release()
        await log.append(append(1, 0, "a"))
        assert titles(await log.stream(stream_id(1))) == ["a"]
        assert [type(record.event) for record in await log.stream(LEDGER_ID)] == [OutageEnded]


@pytest.mark.deep_but_first
async def test_a_lock_held_briefly_is_waited_for(held) -> None:
    done = anyio.Event()
    async with held as holder, open_log(holder.url) as log:

        async def write() -> None:
            await log.append(append(1, 0, "a"))
            done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            with anyio.move_on_after(0.2) as waiting:
                await done.wait()
            assert waiting.cancelled_caught
            await holder.release()
            with anyio.fail_after(60):
                await done.wait()
        assert await log.head() == 1
        assert list(await log.stream(LEDGER_ID)) == []
