"""Every event log keeps the promises of `aura_contracts.ports.EventLog`: AURA's own, and one from outside."""

from pathlib import Path

import pytest
from dict_log import DictLog, Shelf

from aura_store import open_log as open_url
from aura_store.adapters import open_recorder
from aura_store.log._memory import MemoryRecorder
from aura_store.testing.log_conformance import EventLogConformance, OpenLog
from databases import PostgresServer, new_schema

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


class TestMemory(EventLogConformance):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        recorder = MemoryRecorder()
        return lambda: open_recorder(recorder.another())


class TestSQLite(EventLogConformance):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> OpenLog:
        return lambda: open_url(f"sqlite:///{tmp_path}/log.db")


class OnAsyncioUnlessDeep(EventLogConformance):
    @pytest.fixture(params=["asyncio", pytest.param("trio", marks=pytest.mark.deep)])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestSQLiteEncrypted(OnAsyncioUnlessDeep):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> OpenLog:
        return lambda: open_url(f"sqlite:///{tmp_path}/log.db", compression="zlib", encryption_key=KEY)


@pytest.mark.deep
class TestSQLiteZstd(EventLogConformance):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> OpenLog:
        return lambda: open_url(f"sqlite:///{tmp_path}/log.db", compression="zstd")


class TestDict(EventLogConformance):
    """The adapter of docs/how-to/write-a-store-adapter.md."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        shelf = Shelf()
        return lambda: DictLog(shelf)


class TestPostgres(OnAsyncioUnlessDeep):
    @pytest.fixture
    def open_log(self, postgres: PostgresServer) -> OpenLog:
        url = new_schema(postgres)
        return lambda: open_url(url)
