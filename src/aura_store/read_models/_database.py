"""Database: storage for the read models. Plain SQL over sqlite3 and psycopg; values are always bound. Blocking.

The contents of the tables can always be folded again, so no commit here waits for the disk:

    SQLite       a separate file next to the log's, WAL, ``synchronous=OFF``. The log's file holds only what auditors
                 need, folding never holds the lock that appends wait for, and a damaged file (by a power cut, say) is
                 deleted and recreated.
    PostgreSQL   in the schema of the log, ``synchronous_commit=off``. Rows and position change in one transaction, so
                 after a crash they may be behind, but never wrong.
    memory       a SQLite database private to this process.

Invariants: each `Database` has one transaction at a time, in one thread at a time; every transaction is committed or
rolled back; after an error that leaves its state unknown, a connection is not used again.
"""

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from aura_contracts.errors import StoreFull
from aura_contracts.file_locks import lock_folder
from aura_contracts.private_files import make_private_file
from aura_store.log._recorder import LOCK_TIMEOUT, DatabaseAway
from aura_store.read_models._table import DialectName, Kind, TableColumn
from aura_store.sqlite._room import why_full

_encode_json = msgspec.json.encode
_decode_json = msgspec.json.decode


class RowRefused(Exception):
    """The database refuses a row: a check failed, a number is too large. `str()` is the database's message."""


class Unusable(Exception):
    """The tables cannot be used as they are: lost, damaged or not writable. `str()` says why."""


class Damaged(Unusable):
    """The file is not a sound database, and must be replaced."""


class TablesLost(Unusable):
    """A table or column is missing; all tables must be recreated."""


class NotWritable(Unusable):
    """This process may not write to the database, or not even open it."""


class Transaction(ABC):
    """An open transaction of a `Database`."""

    dialect: DialectName

    @abstractmethod
    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, with a ``?`` for each of `values`; return its rows."""

    @abstractmethod
    def execute_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each of `rows`."""

    @abstractmethod
    def table_names(self) -> set[str]:
        """Return the names of the existing tables and views."""


class Database(ABC):
    """A database for read models, connected on first use. `name` is for messages, without passwords."""

    dialect: DialectName
    private = False
    """Whether no other process can open it."""

    errors: ClassVar[tuple[type[Exception], ...]]
    """The errors that `meaning_of` translates."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._turn = threading.Lock()
        self._connection: Any = None

    @contextmanager
    def transaction(self, *, writing: bool = False) -> Iterator[Transaction]:
        """Enter a transaction with a consistent view; it is committed on exit, and rolled back on errors.

        Raises `DatabaseAway` if a retry may help, `RowRefused`, `Unusable` and `StoreFull`.
        """
        with self._turn:
            try:
                yield self.begin(writing=writing)
                self.commit()
            except BaseException:
                self.roll_back()
                raise

    @abstractmethod
    def begin(self, *, writing: bool) -> Transaction:
        """Begin a transaction; for callers that cannot hold a context open, see `transaction`."""

    def commit(self) -> None:
        """Commit the transaction."""
        with self.translated():
            self._connection.commit()

    def roll_back(self) -> None:
        """Roll the transaction back. Never raises; closes a connection that does not respond."""
        if self._connection is not None:
            try:
                self._connection.rollback()
            except self.errors:
                self._drop_connection()

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        with self._turn:
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self.errors):
                connection.close()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate the errors of the driver."""
        try:
            yield
        except self.errors as error:
            raise self.meaning_of(error) from error

    @abstractmethod
    def meaning_of(self, error: Exception) -> Exception:
        """Return what an error of the driver means for callers of `transaction`."""

    def replace_file(self) -> bool:
        """Delete a damaged file, so that the next use creates a new one; return whether there is such a file."""
        return False

    @abstractmethod
    def to_database(self, kind: Kind, value: Any) -> Any:
        """Return `value` in the form that the driver accepts for a column of this kind."""

    @abstractmethod
    def from_database(self, kind: Kind, value: Any) -> Any:
        """Undo `to_database` for a value that the driver returned for a column of this kind."""

    def plain(self, columns: Sequence[TableColumn], row: Sequence[Any]) -> dict[str, Any]:
        """Return a row as a mapping from column names to the original values."""
        return {column.name: self.from_database(column.kind, value) for column, value in zip(columns, row, strict=True)}


# --- SQLite -----------------------------------------------------------------------------------------------------------


_AWAY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL)
_MEANING: Final[Mapping[int, type[Exception]]] = {
    **dict.fromkeys(_AWAY, DatabaseAway),
    **dict.fromkeys((sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG), RowRefused),
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN), NotWritable),
    **dict.fromkeys((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB), Damaged),
    sqlite3.SQLITE_ERROR: TablesLost,
}
"""The meaning of errors (https://sqlite.org/rescode.html, primary result codes)."""

_TIME: Final = "%Y-%m-%d %H:%M:%S.%f"


class _SQLiteTransaction(Transaction):
    dialect = "sqlite"

    def __init__(self, database: "SQLiteDatabase", connection: sqlite3.Connection) -> None:
        self._database = database
        self._connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._database.translated():
            return self._connection.execute(statement, values).fetchall()

    def execute_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._database.translated():
            self._connection.executemany(statement, rows)

    def table_names(self) -> set[str]:
        return {row[0] for row in self.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}


class SQLiteDatabase(Database):
    """A file, or an in-memory database without a path."""

    dialect = "sqlite"
    errors = (sqlite3.Error, OverflowError, OSError)

    def __init__(self, path: Path | None, name: str, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        super().__init__(name)
        self.private = path is None
        self._path = path
        self._lock_timeout = lock_timeout
        self._inode = 0

    def begin(self, *, writing: bool) -> Transaction:
        with self.translated():
            self._connection = self._connection or self._connect()
            self._connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        return _SQLiteTransaction(self, self._connection)

    def _connect(self) -> sqlite3.Connection:
        """Connect, and touch the write-ahead log, so that the open file and log belong together."""
        if self._path is None:
            return self._raw_connection(":memory:")
        if (lock := lock_folder(self._path.parent.resolve(), self._lock_timeout, shared=True)) is None:
            raise DatabaseAway(f"{self._path} is being replaced")
        with lock:
            connection = self._raw_connection(str(self._path))
            try:
                with suppress(sqlite3.OperationalError):  # a read-only file can still be read
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.execute("PRAGMA synchronous=OFF")
                connection.execute("PRAGMA schema_version").fetchone()
                self._inode = self._path.stat().st_ino
            except BaseException:
                connection.close()
                raise
        return connection

    def _raw_connection(self, database: str) -> sqlite3.Connection:
        if self._path is not None:
            with suppress(OSError):  # SQLite says why
                make_private_file(self._path)
        return sqlite3.connect(
            database, isolation_level=None, check_same_thread=False, timeout=self._lock_timeout, cached_statements=256
        )

    def replace_file(self) -> bool:
        """Delete the file, unless another process has already replaced it.

        Connections are made under a shared lock and files deleted under an exclusive one, so no process can have the
        old file open with the new file's write-ahead log. A process with the old file and the old log continues to use
        them.
        """
        self.close()
        if self._path is None:
            return True
        with suppress(OSError), lock_folder(self._path.parent.resolve(), self._lock_timeout) or nullcontext() as alone:
            if alone and self._inode in (0, self._path.stat().st_ino):
                for name in ("", "-wal", "-shm"):
                    Path(f"{self._path}{name}").unlink(missing_ok=True)
        return not self._path.exists() or self._path.stat().st_ino != self._inode

    def to_database(self, kind: Kind, value: Any) -> Any:
        if value is None:
            return None
        if kind == "time":
            return value.astimezone(UTC).strftime(_TIME)
        return _encode_json(value).decode() if kind == "json" else value

    def from_database(self, kind: Kind, value: Any) -> Any:
        if value is None:
            return None
        if kind == "time":
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        if kind == "json":
            return _decode_json(value)
        return bool(value) if kind == "boolean" else value

    def meaning_of(self, error: Exception) -> Exception:
        code, reason = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
        if isinstance(error, OSError):
            return NotWritable(reason)
        if code == sqlite3.SQLITE_IOERR and self._path is not None and (full := why_full(self._path)):
            return StoreFull(store=self.name, stream_id="", position=0, reason=full)
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(store=self.name, stream_id="", position=0, reason=reason)
        return _MEANING.get(code, RowRefused)(reason)


def memory_database(name: str = "memory:") -> SQLiteDatabase:
    """Return a new in-memory database."""
    return SQLiteDatabase(None, name)
