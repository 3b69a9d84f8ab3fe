"""Read models under test: their tables, crashes at any statement, and a log that stops at a page."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.to_thread
import attrs
import msgspec
import pytest

from aura_contracts.events import EventRecord
from aura_contracts.ports import EventLog
from aura_store.read_models import LogReadModels
from aura_store.read_models import _fold as fold
from aura_store.read_models._database import Database, Transaction, memory_database
from aura_store.read_models._schema import FOLDED


@attrs.frozen
class StoreUnderTest:
    """A log, and the database of its read models."""

    log: EventLog
    database: Database

    def models(self, **more: Any) -> LogReadModels:
        """Return read models that have not read anything yet."""
        return LogReadModels(self.log, self.database, **more)


OpenStore = Callable[[], AbstractAsyncContextManager[StoreUnderTest]]


class Crashed(Exception):
    """The process ended here. It is not a database error, so nothing handles it."""


Tables = dict[str, list[dict[str, Any]]]


async def tables_of(models: LogReadModels) -> Tables:
    """Return all rows of all tables, read in one transaction."""

    def look(transaction: Transaction) -> Tables:
        database, found = models.database, Tables()
        for table in FOLDED:
            names = ", ".join(f'"{name}"' for name in table.names)
            rows = transaction.execute(f"SELECT {names} FROM {table.name} ORDER BY id")
            found[table.name] = [database.plain(table.columns, row) for row in rows]
        for row in found["aggregates"]:
            if isinstance(row["state"], str):
                row["state"] = msgspec.json.decode(row["state"])
        return found

    return await models.read(look)


async def fresh_fold(log: EventLog, upto: int | None = None) -> Tables:
    """Return the expected tables: the log folded from its start in a fresh database."""
    models = LogReadModels(log, memory_database(), upto=await log.head() if upto is None else upto)
    try:
        await models.catch_up()
        return await tables_of(models)
    finally:
        await models.aclose()


async def spoil(models: LogReadModels, *statements: str) -> None:
    """Change the tables without the log."""

    def write(transaction: Transaction) -> None:
        for statement in statements:
            transaction.execute(statement)

    def writing() -> None:
        with models.database.transaction(writing=True) as transaction:
            write(transaction)

    await anyio.to_thread.run_sync(writing)


@contextmanager
def crash_at(database: Database, step: int) -> Iterator[list[str]]:
    """Make the process "end" before the `step`-th statement or commit, counted from 0; yield the list of those sent."""
    sent: list[str] = []
    begin, commit = database.begin, database.commit

    def count(what: str) -> None:
        if len(sent) == step:
            raise Crashed(what)
        sent.append(what)

    class Counted(Transaction):
        def __init__(self, transaction: Transaction) -> None:
            self._transaction = transaction
            self.dialect = transaction.dialect

        def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            count(statement)
            return self._transaction.execute(statement, values)

        def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
            count(statement)
            self._transaction.execute_many(statement, rows)

        def table_names(self) -> set[str]:
            return self._transaction.table_names()

    def counted_commit() -> None:
        count("COMMIT")
        commit()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "begin", lambda *, writing: Counted(begin(writing=writing)))
        patch.setattr(database, "commit", counted_commit)
        yield sent


class SlowLog:
    """A log that stops at a page until it may continue; otherwise like the original."""

    def __init__(self, log: EventLog, *, at: int) -> None:
        self._log = log
        self._pages_left = at
        self.stopped = anyio.Event()
        self.go_on = anyio.Event()

    async def page(self, *arguments: Any, **more: Any) -> Sequence[EventRecord]:
        if self._pages_left == 0:
            self.stopped.set()
            await self.go_on.wait()
        self._pages_left -= 1
        return await self._log.page(*arguments, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@contextmanager
def another_version(number: int) -> Iterator[None]:
    """Act as a program with another version of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold, "SCHEMA_VERSION", f"version {number}")
        yield


@asynccontextmanager
async def store_of(log: EventLog, database: Database) -> AsyncIterator[StoreUnderTest]:
    """Return `log` and `database` as a store; closes the database on exit, but not the log."""
    try:
        yield StoreUnderTest(log, database)
    finally:
        await anyio.to_thread.run_sync(database.close)
