"""Database: where the read models are, over SQLAlchemy Core. Blocking work goes to worker threads, with patience.

Read models live in the database of their log, so that one backup holds both. What they hold can always be folded
again, so a commit here does not wait for the disk (SQLite: ``synchronous=NORMAL``): after a power cut they may be
behind, never wrong, because rows and position are in one transaction.
"""

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import msgspec
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.pool import QueuePool, StaticPool

from aura_contracts.errors import LogDamaged, StoreFull, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from aura_contracts.ports import EventLog
from aura_store._log import Patience, RecorderEventLog
from aura_store._recorder import LOCK_TIMEOUT, DatabaseAway

T = TypeVar("T")

CONNECTIONS = 4
"""Reads and writes at the same time; each uses a thread and a connection."""

PATIENT = Patience()

_BEGIN = "aura_begin"
"""The execution option that says how SQLite begins a transaction."""


class RowRefused(Exception):
    """The database does not take a row: a check, a number too large. `str()` says what it said."""


class ConnectionLost(Exception):
    """A held connection broke, and with it what was private to it."""


class Database:
    """An open database for read models. `name` is for messages, without passwords. Made by `database_of`."""

    def __init__(self, engine: Engine, name: str, *, patience: Patience = PATIENT) -> None:
        self.engine = engine
        self.name = name
        self._patience = patience
        self._threads = anyio.CapacityLimiter(CONNECTIONS)
        # One connection for all threads: each has it to itself for the length of a transaction.
        self._turn: AbstractContextManager[Any] = (
            threading.RLock() if isinstance(engine.pool, StaticPool) else nullcontext()
        )
        self._numbers = count(1)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def is_private(self) -> bool:
        """Whether nobody else can have this database open, because it is in the memory of this process."""
        return isinstance(self.engine.pool, StaticPool)

    def next_number(self) -> int:
        """Return a number that was not given out before."""
        return next(self._numbers)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that sees one moment of the database; again while the database is away.

        Raises `StoreUnavailable` when patience ends, `StoreFull`, `StoreReadOnly`, `StoreMisconfigured`, `LogDamaged`.
        """
        return await self.patiently(lambda: self.do(work, isolation="REPEATABLE READ"))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that is committed when it returns and undone when it raises.

        May run it again when it is not known whether the commit arrived: `work` has to look first. Raises as `read`,
        and `RowRefused`.
        """
        return await self.patiently(lambda: self.do(work, begin="BEGIN IMMEDIATE"))

    def do(self, work: Callable[[Connection], T], *, begin: str = "BEGIN", isolation: str = "READ COMMITTED") -> T:
        """Run `work` in a transaction; blocking, once. Raises `DatabaseAway` where trying again may help."""
        with self._turn, self.translated(), self.engine.connect() as connection:
            return self._within(connection, work, begin, isolation)

    def _within(self, connection: Connection, work: Callable[[Connection], T], begin: str, isolation: str) -> T:
        if self.is_sqlite:
            connection.execution_options(**{_BEGIN: begin})
        else:
            connection.execution_options(isolation_level=isolation)
        with connection.begin():
            return work(connection)

    @asynccontextmanager
    async def held(self) -> "AsyncIterator[Held]":
        """Lend one connection for several transactions, for what only that connection can see."""
        held = Held(self, await self.patiently(self._connect))
        try:
            yield held
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(held.close)

    def _connect(self) -> Connection:
        with self._turn, self.translated():
            return self.engine.connect()

    async def patiently(self, work: Callable[[], T]) -> T:
        """Run blocking `work` in a worker thread, again while the database is away and the caller has patience."""
        since, attempts = anyio.current_time(), 0
        while True:
            try:
                return await anyio.to_thread.run_sync(work, limiter=self._threads)
            except DatabaseAway as away:
                attempts += 1
                waited = anyio.current_time() - since
                if waited >= self._patience.outage_timeout:
                    raise StoreUnavailable(
                        store=self.name, reason=str(away), waited=waited, attempts=attempts
                    ) from away
                await anyio.sleep(self._patience.pause_after(attempts))

    async def aclose(self) -> None:
        """Close all connections."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.engine.dispose)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what SQLAlchemy and the drivers raise into what it means."""
        try:
            yield
        except OverflowError as error:
            raise RowRefused(str(error)) from error
        except StatementError as error:
            raise self._meaning(error) from error

    def _meaning(self, error: StatementError) -> Exception:
        cause = error.orig
        if not isinstance(error, DBAPIError):
            return RowRefused(str(cause or error))
        if isinstance(cause, sqlite3.Error):
            return _sqlite_meaning(cause, self.name)
        from aura_store._postgres_connections import translate  # noqa: PLC0415 - needs the extra

        state = getattr(cause, "sqlstate", None) or ""
        if state[:2] in ("22", "23", "54") or (not state and type(cause).__name__ == "DataError"):
            return RowRefused(str(cause).partition("\n")[0])  # what follows shows the whole row
        return translate(cast("Exception", cause), self.name)


class Held:
    """A connection that one task has for itself. Made by `Database.held`."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self._cleanups: list[Callable[[Connection], object]] = []

    async def run(self, work: Callable[[Connection], T], *, begin: str = "BEGIN") -> T:
        """Run `work` in a transaction, again while the database is locked. Raises `ConnectionLost`."""

        def attempt() -> T:
            with self._database._turn, self._database.translated():  # noqa: SLF001 - two halves of one thing
                return self._database._within(self._connection, work, begin, "READ COMMITTED")  # noqa: SLF001

        def attempt_or_lose() -> T:
            try:
                return attempt()
            except DatabaseAway as away:
                if self._connection.invalidated:
                    raise ConnectionLost(str(away)) from away
                raise

        return await self._database.patiently(attempt_or_lose)

    def finally_do(self, work: Callable[[Connection], object]) -> None:
        """Have `work` done before the connection is given back."""
        self._cleanups.append(work)

    def close(self) -> None:
        """Clean up and give the connection back; close it where that fails, which cleans up as well."""
        with self._database._turn:  # noqa: SLF001
            try:
                with self._connection.begin():
                    for cleanup in self._cleanups:
                        cleanup(self._connection)
            except Exception:  # noqa: BLE001 - whatever it was, nobody shall get this connection
                if not self._database.is_private:  # whose only connection is the database
                    with suppress(Exception):
                        self._connection.invalidate()
            finally:
                self._connection.close()


# --- Opening ----------------------------------------------------------------------------------------------------------


async def database_of(log: EventLog, *, read_only: bool = False) -> Database:
    """Return the database for the read models of an open `log`: its own, or one in memory.

    In memory are the read models of a ``memory:`` log, of a log that is none of AURA's own adapters, and of an
    **encrypted** log: in its database they would give away what it hides. Those are folded anew by each process.
    """
    recorder = log.recorder if isinstance(log, RecorderEventLog) else None
    if recorder is None or recorder.name.startswith("memory:"):
        return memory_database(log.name)
    meta = await anyio.to_thread.run_sync(recorder.open, {})
    if meta.get("encryption", "none") != "none":
        return memory_database(log.name)
    if recorder.name.startswith("sqlite:"):
        return sqlite_database(recorder.datastore.pool.db_name, log.name, read_only=read_only)  # type: ignore[attr-defined]
    return _postgres_database(recorder, log.name)


def memory_database(name: str = "memory:") -> Database:
    """Return a new database in the memory of this process."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    return Database(_sqlite_engine(connect, pool=StaticPool), name)


def sqlite_database(path: str | Path, name: str, *, read_only: bool = False, patience: Patience = PATIENT) -> Database:
    """Return the database in the file at `path`, which may be a ``file:`` URI."""
    uri = str(path) if str(path).startswith("file:") else Path(path).absolute().as_uri()
    if read_only and "mode=ro" not in uri:
        uri += "?mode=ro"

    def connect() -> sqlite3.Connection:
        raw = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCK_TIMEOUT)
        if "mode=ro" not in uri:
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute("PRAGMA synchronous=NORMAL")
        return raw

    return Database(_sqlite_engine(connect, pool=QueuePool), name, patience=patience)


def _sqlite_engine(connect: Callable[[], sqlite3.Connection], *, pool: type[StaticPool] | type[QueuePool]) -> Engine:
    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=pool, **_JSON_CODEC)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _postgres_database(recorder: Any, name: str) -> Database:
    """Return the log's own database and schema, connected to as the log is."""
    from psycopg.rows import tuple_row  # noqa: PLC0415 - needs the extra
    from psycopg.types.json import set_json_dumps, set_json_loads  # noqa: PLC0415

    path = "SELECT set_config('search_path', quote_ident(%s) || ', ' || current_setting('search_path'), false)"

    def connect() -> Any:
        connection = recorder._connector.connect()  # noqa: SLF001 - of this package, and only it has the password
        connection.execute("SET timezone = 'UTC'")
        connection.execute(path, (recorder.datastore.schema,))
        set_json_dumps(_JSON_CODEC["json_serializer"], connection)
        set_json_loads(_JSON_CODEC["json_deserializer"], connection)
        connection.row_factory = tuple_row
        connection.autocommit = False
        return connection

    engine = create_engine(
        "postgresql+psycopg://", creator=connect, pool_size=CONNECTIONS, use_native_hstore=False, **_JSON_CODEC
    )
    return Database(engine, name)


_JSON_CODEC: dict[str, Any] = {
    "json_serializer": lambda value: msgspec.json.encode(value).decode(),
    "json_deserializer": msgspec.json.decode,
}


# --- Errors of SQLite -------------------------------------------------------------------------------------------------

_AWAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL)
_REFUSED = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)


def _sqlite_meaning(error: sqlite3.Error, store: str) -> Exception:
    """Say what an error means for callers (https://sqlite.org/rescode.html, primary result codes)."""
    code, reason = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
    if code in _AWAY:
        return DatabaseAway(reason)
    if code in _REFUSED or code == 0:
        return RowRefused(reason)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(store=store, stream_id="", position=0, reason=reason)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreReadOnly(store=store, stream_id="", position=0, reason=reason)
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_ERROR):
        remedy = "check the path and its rights; rebuild the read models if a table is missing"
        return StoreMisconfigured(store=store, reason=reason, remedy=remedy)
    return LogDamaged(store=store, reason=reason)
