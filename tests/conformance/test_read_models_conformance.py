"""Read models keep their promises on every database: SQLite, PostgreSQL, and in memory."""

from contextlib import asynccontextmanager

import pytest

from aura_store import open_log
from aura_store._read_model_location import database_of
from aura_store.adapters import open_recorder
from aura_store.log._memory import MemoryRecorder
from aura_store.read_models._database import memory_database
from aura_store.testing.read_model_conformance import OpenStore, ReadModelsConformance, StoreUnderTest, store_of


def opening(url: str) -> OpenStore:
    @asynccontextmanager
    async def open_store():
        async with open_log(url) as log, store_of(log, database_of(log)) as store:
            yield store

    return open_store


class TestSQLite(ReadModelsConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        return opening(f"sqlite:///{tmp_path / 'aura.db'}")


class TestPostgres(ReadModelsConformance):
    @pytest.fixture
    def open_store(self, postgres_url):
        return opening(postgres_url)


class TestMemory(ReadModelsConformance):
    """One database in memory outlives its models, as the recorder outlives its logs. No other process can have it."""

    shared = False

    @pytest.fixture
    def open_store(self):
        recorder, database = MemoryRecorder(), memory_database()

        @asynccontextmanager
        async def open_store():
            async with open_recorder(recorder) as log:
                yield StoreUnderTest(log, database)

        yield open_store
        database.close()
