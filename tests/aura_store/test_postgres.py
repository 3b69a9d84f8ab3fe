"""PostgreSQL as a store: what the conformance suite, which knows no database, cannot ask."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest

from aura_contracts.errors import LogDamaged, StoreFull, StoreMisconfigured, StoreReadOnly, VersionConflict
from aura_contracts.events import Snapshot
from aura_store import open_log
from aura_store.adapters import open_recorder
from aura_store.log._recorder import DatabaseAway
from aura_store.postgres import _connections, _watch
from aura_store.postgres._connections import Connector, parse_url, translate
from aura_store.postgres._postgres_recorder import PostgresRecorder
from aura_store.testing.log_conformance import append, assert_sealed, everything_sealed, stream_id, titles
from conditions import until
from databases import PostgresServer, running_postgres

HERE = Path(__file__).parent
META = {"format": "1", "compression": "none", "encryption": "none"}


async def waiting_for_locks(server: PostgresServer, database: str) -> int:
    """Return how many connections to `database` wait for a lock."""
    statement = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    rows = await anyio.to_thread.run_sync(server.execute, statement)
    return rows[0][0]


def connections(server: PostgresServer, database: str) -> int:
    """Return how many connections to `database` there are."""
    return server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")[0][0]


# --- Order ------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_reader_never_sees_a_position_before_the_one_below_it(postgres, postgres_database, postgres_url):
    """A transaction that has appended is held open while others append: they wait, and so does the reader."""
    seen: list[tuple[int, str | None]] = []

    async def read() -> None:
        async with aclosing(log.tail()) as records:
            async for record in records:
                seen.append((record.position, titles([record])[0]))
                if len(seen) == 4:
                    return

    async def blocked() -> bool:
        return await waiting_for_locks(postgres, postgres_database) == 1

    async with open_log(postgres_url) as log, open_log(postgres_url) as other, open_log(postgres_url) as third:
        assert await log.append(append(1, 0, "first")) == 1
        with psycopg.connect(postgres_url) as held:
            held.execute("SELECT position FROM log_head FOR UPDATE")
            held.execute(
                "INSERT INTO stored_events SELECT originator_id, 2, topic, state, 2, digest, digest FROM stored_events"
            )
            held.execute("UPDATE log_head SET position = 2")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(other.append, append(2, 0, "third"))
                await until(blocked)
                await until(lambda: seen)
                assert (await third.head(), await third.page(1), seen) == (1, [], [(1, "first")])
                held.commit()
                await until(lambda: third.page(2))
                await third.append(append(3, 0, "fourth"))
        assert seen == [(1, "first"), (2, "first"), (3, "third"), (4, "fourth")]


@pytest.mark.deep
@pytest.mark.anyio
async def test_processes_that_append_at_once_leave_no_gap(postgres_url):
    processes, streams, events = 4, 8, 12
    total = processes * streams * events
    seen: list[int] = []

    async def read() -> None:
        async with aclosing(log.tail(page_size=50)) as records:
            async for record in records:
                seen.append(record.position)
                if len(seen) == total:
                    return

    async with open_log(postgres_url) as log:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                started = []
                for number in range(processes):
                    arguments = [postgres_url, str(number * streams), str(streams), str(events)]
                    started.append(await anyio.open_process([sys.executable, str(HERE / "appender.py"), *arguments]))
                for process in started:
                    assert (await process.stdout.receive()).strip() == b"ready"
                for process in started:
                    await process.stdin.send(b"go\n")
                for process in started:
                    async with process:
                        assert await process.wait() == 0
        assert seen == list(range(1, total + 1))
        assert_sealed(await everything_sealed(log))
        for stream in range(processes * streams):
            expected = [f"{stream}/{version}" for version in range(1, events + 1)]
            assert titles(await log.stream(stream_id(stream))) == expected


@pytest.mark.anyio
async def test_each_handle_sees_what_the_other_has_appended(postgres_url):
    """What a handle remembers of its streams is out of date as soon as another one appends."""
    async with open_log(postgres_url) as one, open_log(postgres_url) as other:
        for version in range(0, 20, 2):
            await one.append(append(1, version, "x"), append(2, version, "x"))
            with pytest.raises(VersionConflict, match=f"at version {version + 1}, not at {version}"):
                await other.append(append(1, version, "y"))
            await other.append(append(2, version + 1, "y"), append(1, version + 1, "y"))
        assert_sealed(await everything_sealed(one))


@pytest.mark.anyio
async def test_isolation_and_durability_do_not_depend_on_the_defaults_of_the_database(
    postgres, postgres_database, postgres_url
):
    for setting in ("default_transaction_isolation = 'serializable'", "synchronous_commit = off"):
        postgres.execute(f"ALTER DATABASE {postgres_database} SET {setting}")
    async with open_log(postgres_url) as one, open_log(postgres_url) as other:
        async with anyio.create_task_group() as tasks:
            for stream in range(40):
                tasks.start_soon((one, other)[stream % 2].append, append(stream, 0, "x"))
        assert_sealed(await everything_sealed(one))
        with one.recorder.connections.lent() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == {"synchronous_commit": "on"}


@pytest.mark.anyio
async def test_a_batch_larger_than_one_statement_is_one_commit(postgres_url, monkeypatch):
    monkeypatch.setattr("aura_store.postgres._postgres_recorder.SLICE", 1000)
    async with open_log(postgres_url) as log:
        assert await log.append(append(1, 0, *("x" * 300 for _ in range(10))), append(2, 0, "end")) == 11
        assert_sealed(await everything_sealed(log))


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_handles_that_create_the_tables_at_the_same_time_all_succeed(postgres_url):
    recorders = [PostgresRecorder(postgres_url) for _ in range(6)]
    start = threading.Barrier(len(recorders))

    def create(recorder: PostgresRecorder) -> Any:
        start.wait()
        return recorder.open({**META, "maker": str(id(recorder))})

    with ThreadPoolExecutor(len(recorders)) as threads:
        found = list(threads.map(create, recorders))
    assert all(meta == found[0] for meta in found)
    assert [recorder.head() for recorder in recorders] == [0] * len(recorders)
    for recorder in recorders:
        recorder.close()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:s3cret@h:5433/d", "postgresql://u@h:5433/d"),
        (
            "postgres://u:s3cret@h/d?sslmode=require&connect_timeout=3",
            "postgresql://u@h/d?connect_timeout=3&sslmode=require",
        ),
        ("postgresql://u:s3cret@/d?host=/run/pg&port=5433", "postgresql://u@/d?host=/run/pg&port=5433"),
        ("postgresql:///d?password=s3cret&sslpassword=s3cret", "postgresql:///d"),
        ("postgresql://u:s3cret@h1:1,h2:2/d", "postgresql://u@/d?host=h1,h2&port=1,2"),
        ("postgresql://us%40er:s3cret@[::1]:5433/d%2Fb", "postgresql://us%40er@/d%2Fb?host=%3A%3A1&port=5433"),
        ("postgresql://", "postgresql:///"),
    ],
)
def test_a_name_is_the_url_without_passwords(url, name):
    recorder = PostgresRecorder(url)
    assert recorder.name == name
    assert PostgresRecorder(name).name == name


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@h:port/d?nonsense=1",
        "postgresql://u:s3@cret/with@h/d?no such=x",
        "postgresql://u:s3cret@[::1/d",
        "postgresql:///d?password=s3cret&nonsense=1",
        "postgres:u:s3cret",
    ],
)
def test_what_is_no_url_is_refused_without_showing_the_password(url):
    with pytest.raises(StoreMisconfigured) as refused:
        PostgresRecorder(url)
    assert "cret" not in str(refused.value).replace("postgres:u:s3cret", "")


@pytest.mark.anyio
async def test_the_search_path_of_the_url_chooses_the_schema(postgres, postgres_database):
    postgres.execute('CREATE SCHEMA "My Aura"; CREATE SCHEMA two', postgres_database)
    urls = [
        postgres.url(postgres_database, options=option)
        for option in ("-csearch_path%3D%22My%5C%20Aura%22", "-csearch_path%3Dtwo")
    ]
    for url in urls:
        async with open_log(url) as log:
            await log.append(append(1, 0, url))
            assert await log.check() is None
    for url in urls:
        async with open_log(url, read_only=True) as log:
            assert titles(await log.stream(stream_id(1))) == [url]
            assert await log.wait(0) == 1
    with pytest.raises(StoreMisconfigured, match="search_path"):
        async with open_log(postgres.url(postgres_database, options="-csearch_path%3Dnowhere")):
            pass


@pytest.mark.anyio
async def test_a_table_of_somebody_else_is_left_alone(postgres, postgres_database, postgres_url):
    postgres.execute("CREATE TABLE stored_events (a int)", postgres_database)
    with pytest.raises(StoreMisconfigured, match="not AURA's"):
        async with open_log(postgres_url):
            pass


@pytest.mark.anyio
async def test_who_may_not_come_in_is_told_at_once(postgres, postgres_database):
    postgres.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    rules = postgres.folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    try:
        postgres.execute("SELECT pg_reload_conf()")
        refused = {
            postgres.url("nothing_of_that_name"): 'database "nothing_of_that_name" does not exist',
            postgres.url(postgres_database, user="nobody"): 'role "nobody" does not exist',
            postgres.url(postgres_database, user="guarded"): "no password supplied",
            postgres.url(postgres_database, user="guarded:wrong"): "password authentication failed",
            postgres.url(postgres_database, user="guarded:right"): "permission denied for schema public",
            postgres.url(postgres_database, port="x"): "invalid integer value",
            postgres.url(postgres_database, connect_timeout="x"): "bad value for connect_timeout",
            postgres.url(postgres_database, sslmode="x"): "invalid sslmode value",
        }
        for url, reason in refused.items():
            with anyio.fail_after(60), pytest.raises(StoreMisconfigured, match=reason) as error:
                async with open_log(url):
                    pass
            assert error.value.remedy
            assert "wrong" not in str(error.value)
    finally:
        rules.write_text(before)
        postgres.execute("SELECT pg_reload_conf()")
        postgres.execute("DROP ROLE guarded")


# --- Reading only -----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_reading_needs_no_right_but_to_read(postgres, postgres_database, postgres_url):
    postgres.execute("CREATE ROLE reader LOGIN")
    url = postgres.url(postgres_database, user="reader")
    async with open_log(postgres_url) as writer:
        await writer.append(append(1, 0, "a"))
        await writer.save_snapshot(Snapshot(stream_id(1), 1, "s@1", b"state"))
        postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", postgres_database)
        async with open_log(url, read_only=True) as reader:
            assert titles(await reader.stream(stream_id(1))) == ["a"]
            assert (await reader.load_snapshot(stream_id(1))).data == b"state"
            assert await reader.check() is None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer.append, append(1, 1, "b"))
                assert await reader.wait(1) == 2
            with pytest.raises(StoreReadOnly) as refused:
                await reader.append(append(1, 2, "c"))
            assert (refused.value.stream_id, refused.value.position) == (stream_id(1), 3)
            with pytest.raises(StoreReadOnly):
                await reader.save_snapshot(Snapshot(stream_id(1), 2, "s@1", b"state"))
        async with open_log(url) as reader:
            with pytest.raises(StoreMisconfigured, match=r"permission denied.*GRANT"):
                await reader.append(append(1, 2, "c"))
        assert await writer.head() == 2
    postgres.execute("DROP OWNED BY reader", postgres_database)
    postgres.execute("DROP ROLE reader")


@pytest.mark.anyio
async def test_opening_to_read_creates_nothing(postgres, postgres_database, postgres_url):
    with pytest.raises(StoreMisconfigured, match="no log in this database"):
        async with open_log(postgres_url, read_only=True):
            pass
    tables = postgres.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace", postgres_database
    )
    assert tables == []


@pytest.mark.anyio
async def test_a_server_that_cannot_be_written_says_so(postgres, postgres_database, postgres_url):
    async with open_log(postgres_url):
        pass
    async with open_log(postgres.url(postgres_database, options="-cdefault_transaction_read_only%3Don")) as log:
        with pytest.raises(StoreReadOnly, match="primary"):
            await log.append(append(1, 0, "a"))


@pytest.mark.deep
@pytest.mark.anyio
async def test_a_standby_is_read_and_tailed_and_cannot_be_written(postgres, postgres_database, postgres_url):
    async with open_log(postgres_url) as primary:
        await primary.append(append(1, 0, "a"))
        with running_postgres(standby_of=postgres) as standby:
            async with open_log(standby.url(postgres_database)) as log, aclosing(log.tail()) as records:
                for version in range(1, 4):
                    assert titles([await anext(records)]) == ["abc"[version - 1]]
                    await primary.append(append(1, version, "bcd"[version - 1]))
                with pytest.raises(StoreReadOnly, match="primary"):
                    await log.append(append(1, 4, "e"))


# --- Tailing ----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_tail_does_not_depend_on_notifications(postgres, postgres_database, postgres_url, monkeypatch):
    monkeypatch.setattr(_watch, "LOOK_AGAIN", 0.05)
    async with open_log(postgres_url) as log:
        await log.append(append(1, 0, "a"))
        silently = (
            "INSERT INTO stored_events SELECT originator_id, 2, topic, state, 2, digest, digest FROM stored_events;"
            "UPDATE log_head SET position = 2"
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, postgres.execute, silently, postgres_database)
            with anyio.fail_after(60):
                assert await log.wait(1) == 2


@pytest.mark.anyio
async def test_a_forged_notification_does_no_harm(postgres, postgres_database, postgres_url):
    async with open_log(postgres_url) as log, open_log(postgres_url) as other, aclosing(log.tail()) as records:
        for position in (1, 2):
            postgres.execute("NOTIFY stored_events, '999'", postgres_database)
            await other.append(append(1, position - 1, "x"))
            assert (await anext(records)).position == position


@pytest.mark.anyio
async def test_lost_connections_are_replaced_unnoticed(postgres, postgres_database, postgres_url):
    lost = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'"
    async with open_log(postgres_url) as log, aclosing(log.tail()) as records:
        for version in range(5):
            await log.append(append(1, version, "x"))
            assert (await anext(records)).version == version + 1
            await anyio.to_thread.run_sync(postgres.execute, lost)
            assert len(await log.stream(stream_id(1))) == version + 1
        assert_sealed(await everything_sealed(log))


@pytest.mark.anyio
async def test_closing_leaves_no_connection_and_no_thread(postgres, postgres_database, postgres_url):
    async with open_log(postgres_url) as log:
        async with anyio.create_task_group() as tasks:
            for stream in range(10):
                tasks.start_soon(log.append, append(stream, 0, "x"))
                tasks.start_soon(log.stream, stream_id(stream))
        await log.wait(0)
        assert connections(postgres, postgres_database) > 1

    await until(lambda: connections(postgres, postgres_database) == 0)
    assert not [thread for thread in threading.enumerate() if "aura" in thread.name or "pool" in thread.name]


# --- Checking ---------------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.anyio
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM stored_events WHERE notification_id = 2",
        "UPDATE stored_events SET notification_id = 9 WHERE notification_id = 3",
        "UPDATE log_head SET position = 2",
        "DELETE FROM log_head",
    ],
)
async def test_a_check_finds_what_is_missing(postgres, postgres_database, postgres_url, damage):
    async with open_log(postgres_url) as log:
        await log.append(append(1, 0, "a", "b"), append(2, 0, "c"))
        assert await log.check() is None
        postgres.execute(damage, postgres_database)
        assert await log.check()


@pytest.mark.anyio
async def test_a_log_that_has_lost_its_end_is_not_opened(postgres, postgres_database, postgres_url):
    async with open_log(postgres_url) as log:
        await log.append(append(1, 0, "a", "b", "c"))
    postgres.execute("DELETE FROM stored_events WHERE notification_id = 3", postgres_database)
    with pytest.raises(LogDamaged) as damaged:
        async with open_log(postgres_url):
            pass
    assert damaged.value.position == 3


@pytest.mark.anyio
async def test_a_row_where_none_should_be_stops_the_log(postgres, postgres_database, postgres_url):
    async with open_log(postgres_url) as log:
        await log.append(append(1, 0, "a", "b"))
        postgres.execute("UPDATE log_head SET position = 1", postgres_database)
        with pytest.raises(LogDamaged) as damaged:
            await log.append(append(2, 0, "c"))
        assert damaged.value.position


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("08006", DatabaseAway),  # connection_failure
        ("40001", DatabaseAway),  # serialization_failure
        ("40P01", DatabaseAway),  # deadlock_detected
        ("53100", StoreFull),  # disk_full
        ("53200", DatabaseAway),  # out_of_memory
        ("53300", DatabaseAway),  # too_many_connections
        ("55P03", DatabaseAway),  # lock_not_available
        ("57014", DatabaseAway),  # query_canceled
        ("57P01", DatabaseAway),  # admin_shutdown
        ("57P02", DatabaseAway),  # crash_shutdown
        ("57P03", DatabaseAway),  # cannot_connect_now
        ("58030", DatabaseAway),  # io_error
        ("25P03", DatabaseAway),  # idle_in_transaction_session_timeout
        ("25006", StoreReadOnly),  # read_only_sql_transaction
        ("28P01", StoreMisconfigured),  # invalid_password
        ("3D000", StoreMisconfigured),  # invalid_catalog_name
        ("42501", StoreMisconfigured),  # insufficient_privilege
        ("0A000", StoreMisconfigured),  # feature_not_supported
        ("23505", LogDamaged),  # unique_violation
        ("42P01", LogDamaged),  # undefined_table
        ("58P01", LogDamaged),  # undefined_file
        ("XX001", LogDamaged),  # data_corrupted
        ("XX002", LogDamaged),  # index_corrupted
    ],
)
def test_the_servers_errors_have_a_meaning(state, meaning):
    error = translate(psycopg.errors.lookup(state)("it\n  is so"), "postgresql://h/d")
    assert type(error) is meaning
    assert "it is so" in str(error)
    assert state in str(error)


@pytest.mark.anyio
async def test_a_process_that_stops_in_the_middle_of_a_commit_does_not_stop_the_others(
    postgres, postgres_database, postgres_url, monkeypatch
):
    monkeypatch.setattr(_connections, "STALLED_AFTER", 0.2)
    stalled = PostgresRecorder(postgres_url)
    async with open_recorder(stalled), open_log(postgres_url) as log:
        with pytest.raises(DatabaseAway), stalled.writing():
            assert await log.append(append(1, 0, "a")) == 1


@pytest.mark.anyio
async def test_a_commit_of_another_process_is_waited_for(postgres, postgres_database, postgres_url):
    """Longer than one attempt waits, shorter than callers wait."""

    async def blocked() -> bool:
        return await waiting_for_locks(postgres, postgres_database) == 1

    recorder = PostgresRecorder(postgres_url, lock_timeout=0.1)
    attempts: list[str] = []
    real = translate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "aura_store.postgres._postgres_recorder.translate",
            lambda *error: (attempts.append("away"), real(*error))[1],
        )
        async with open_recorder(recorder) as log, anyio.create_task_group() as tasks:
            with psycopg.connect(postgres_url) as held:
                held.execute("SELECT position FROM log_head FOR UPDATE")
                tasks.start_soon(log.append, append(1, 0, "a"))
                await until(lambda: len(attempts) >= 3)
            await until(lambda: log.stream(stream_id(1)))


def test_a_database_that_was_there_is_away_when_it_is_gone(postgres: PostgresServer) -> None:
    def meaning(connector: Connector) -> Exception:
        with pytest.raises(psycopg.OperationalError) as gone:
            connector.connect()
        return translate(gone.value, "here")

    with postgres.database() as name:
        known, new = (Connector(parse_url(postgres.url(name)), read_only=False, lock_timeout=1) for _ in range(2))
        known.connect().close()
        postgres.execute(f"ALTER DATABASE {name} RENAME TO elsewhere")
        assert isinstance(meaning(known), DatabaseAway)
        assert isinstance(meaning(new), StoreMisconfigured)
        postgres.execute(f"ALTER DATABASE elsewhere RENAME TO {name}")
