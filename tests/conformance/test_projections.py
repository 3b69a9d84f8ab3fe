"""Read models keep their promises on every database: SQLite, PostgreSQL, and in memory."""

from contextlib import asynccontextmanager

import pytest

from aura_store import open_log
from aura_store._memory import MemoryRecorder
from aura_store.adapters import open_recorder
from aura_store.projections._database import database_of, memory_database
from aura_store.testing.projections import OpenStore, ProjectionConformance, Store


def opening(url: str) -> OpenStore:
    @asynccontextmanager
    async def open_store():
        async with open_log(url) as log:
            database = await database_of(log)
            try:
                yield Store(log, database)
            finally:
                await database.aclose()

    return open_store


class TestSQLite(ProjectionConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        return opening(f"sqlite:///{tmp_path / 'aura.db'}")


class TestPostgres(ProjectionConformance):
    @pytest.fixture
    def open_store(self, postgres_url):
        return opening(postgres_url)


class TestMemory(ProjectionConformance):
    """One database in memory outlives its runners, as the recorder outlives its logs."""

    @pytest.fixture
    def open_store(self):
        recorder, database = MemoryRecorder(), memory_database()

        @asynccontextmanager
        async def open_store():
            async with open_recorder(recorder) as log:
                yield Store(log, database)

        yield open_store
        database.engine.dispose()
