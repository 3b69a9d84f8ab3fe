"""Tools of `eventsourcing`, unmodified, read AURA's tables; with AURA's mapper they give events."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    EventStore,
    InfrastructureFactory,
    NotSupportedError,
    PersistenceError,
    StoredEvent,
)

from aura_contracts.errors import UndecodableEvent, UnknownEventType
from aura_store import open_log
from aura_store.mapper import AuraMapper, RecordedEvent
from aura_store.testing.log_conformance import append, everything, everything_sealed, stream_id
from conditions import until
from databases import PostgresServer

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

AURA_SETTINGS = {
    "ORIGINATOR_ID_TYPE": "text",
    "CREATE_TABLE": "no",
    "MAPPER_TOPIC": "aura_store.mapper:AuraMapper",
    "COMPRESSOR_TOPIC": "eventsourcing.compressor:ZlibCompressor",
    "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher",
    "CIPHER_KEY": KEY,
}

Store = tuple[str, dict[str, str]]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The URL of a log, and the library's settings for the same database."""
    if request.param == "sqlite":
        path = tmp_path / "log.db"
        return f"sqlite:///{path}", {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    server: PostgresServer = request.getfixturevalue("postgres")
    database: str = request.getfixturevalue("postgres_database")
    return server.url(database), {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": database,
        "POSTGRES_HOST": str(server.folder),
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "unused",
    }


@pytest.fixture
def library(store: Store) -> Iterator[InfrastructureFactory]:
    factory = InfrastructureFactory.construct({**AURA_SETTINGS, **store[1]})
    yield factory
    factory.close()


@pytest.mark.anyio
async def test_the_librarys_recorders_read_our_tables(store: Store, library: InfrastructureFactory) -> None:
    async with open_log(store[0], compression="zlib", encryption_key=KEY) as log:
        await log.append(append(1, 0, "a", "b"), append(2, 0, "c"))
        await log.append(append(1, 2, "d"))
        rows = await everything_sealed(log)
        recorder = library.application_recorder()
        assert recorder.max_notification_id() == 4
        notifications = recorder.select_notifications(start=1, limit=10)
        assert [(n.id, n.originator_id, n.originator_version, n.topic, bytes(n.state)) for n in notifications] == [
            tuple(row[:5]) for row in rows
        ]
        assert [n.id for n in recorder.select_notifications(start=2, limit=2)] == [2, 3]
        assert len(recorder.select_notifications(start=1, limit=9, topics=["task.edited@1"])) == 4
        events = recorder.select_events(stream_id(1), gt=1)
        assert [(event.originator_version, bytes(event.state)) for event in events] == [
            (row.version, row.state) for row in rows if row.stream_id == stream_id(1) and row.version > 1
        ]


@pytest.mark.anyio
async def test_the_librarys_event_store_gives_our_events(store: Store, library: InfrastructureFactory) -> None:
    async with open_log(store[0], compression="zlib", encryption_key=KEY) as log:
        await log.append(append(1, 0, "a", "b"), append(2, 0, "c"))
        expected = await log.stream(stream_id(1))
        events = list(library.event_store().get(stream_id(1)))
        assert all(isinstance(event, RecordedEvent) for event in events)
        for event, record in zip(events, expected, strict=True):
            assert (event.originator_id, event.originator_version) == (record.stream_id, record.version)
            assert (event.event, event.time, event.actor) == (record.event, record.time, record.actor)
            assert (event.correlation_id, event.causation_id) == (record.correlation_id, record.causation_id)
        mapper, recorder = library.mapper(), library.application_recorder()
        mapped = [mapper.to_domain_event(n) for n in recorder.select_notifications(start=1, limit=10)]
        assert [(event.position, event.event) for event in mapped] == [
            (record.position, record.event) for record in await everything(log)
        ]


@pytest.mark.anyio
async def test_a_subscription_of_the_library_follows_our_log(postgres: PostgresServer, postgres_database: str) -> None:
    settings = {
        **AURA_SETTINGS,
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": postgres_database,
        "POSTGRES_HOST": str(postgres.folder),
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "unused",
    }
    async with open_log(postgres.url(postgres_database)) as log:
        factory = InfrastructureFactory.construct(settings)
        listens = f"datname = '{postgres_database}' AND state = 'idle' AND query = 'LISTEN \"stored_events\"'"
        with factory.application_recorder().subscribe(gt=0) as subscription:
            # The library waits forever for an event that is appended after its first look and before it listens.
            await until(lambda: postgres.execute(f"SELECT pid FROM pg_stat_activity WHERE {listens}"))
            await log.append(append(1, 0, "a"))
            assert next(subscription).id == 1
            await log.append(append(1, 1, "b"))
            assert next(subscription).id == 2
        factory.close()


@pytest.mark.anyio
async def test_the_library_cannot_write_into_our_log(store: Store, library: InfrastructureFactory) -> None:
    async with open_log(store[0], compression="zlib", encryption_key=KEY) as log:
        await log.append(append(1, 0, "a"))
        recorder: ApplicationRecorder = library.application_recorder()
        with pytest.raises(PersistenceError):
            recorder.insert_events([StoredEvent(stream_id(1), 2, "task.edited@1", b"{}")])
        event_store: EventStore[str] = library.event_store()
        with pytest.raises(NotSupportedError, match="open_log"):
            event_store.put(list(event_store.get(stream_id(1))))
        assert await log.head() == 1
        assert len(await everything(log)) == 1


def test_what_the_mapper_cannot_read_says_where() -> None:
    mapper = AuraMapper()
    with pytest.raises(UnknownEventType, match=stream_id(1)):
        mapper.to_domain_event(StoredEvent(stream_id(1), 1, "unheard.of@1", b"{}"))
    with pytest.raises(UndecodableEvent, match=stream_id(1)):
        mapper.to_domain_event(StoredEvent(stream_id(1), 1, "task.edited@1", b"{}"))
