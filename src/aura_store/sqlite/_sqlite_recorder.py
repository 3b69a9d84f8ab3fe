"""SQLite: the embedded default, with a write-ahead log and ``synchronous=FULL``.

Every process that has the file open may append. A commit first takes SQLite's write lock (``BEGIN IMMEDIATE``), and
waits for it for at most `lock_timeout`. Commits of other processes are noticed through ``PRAGMA data_version``, which
takes a few microseconds and reads nothing.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from aura_contracts.errors import LogDamaged, StoreError, StoreFull, StoreMisconfigured, StoreReadOnly
from aura_contracts.ids import StreamId
from aura_contracts.private_files import make_private_file, make_private_folder
from aura_contracts.quoting import cut
from aura_store.log._recorder import LOCK_TIMEOUT, DatabaseAway, WriteTransaction
from aura_store.log._seal import Columns, Tip
from aura_store.log._sql_recorder import HEAD, TABLES, ConnectionPool, SQLRecorder, the_head
from aura_store.sqlite._room import why_full

_MAGIC = b"SQLite format 3\0"
"""See https://sqlite.org/fileformat.html, section 1.3."""

WATCH_INTERVAL = 0.01
"""Seconds between two checks of ``PRAGMA data_version``: 0.1 % of a core, and the longest delay of a tail."""

_AWAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL)
_MEANING: dict[int, type[StoreFull | StoreReadOnly]] = {
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_PERM: StoreReadOnly,
}

_NAMES = "SELECT name FROM sqlite_master WHERE type <> 'index'"
_INSERT = "INSERT INTO stored_events VALUES (?,?,?,?,?,?,?)"
_TIPS = (
    "SELECT wanted.value, e.originator_version, e.digest FROM json_each(?) AS wanted JOIN stored_events AS e"
    " ON e.rowid = (SELECT rowid FROM stored_events WHERE originator_id = wanted.value"
    " ORDER BY originator_version DESC LIMIT 1)"
)
# The layout of `eventsourcing`, so that its own tools can read it, with extra columns for the seals. ``rowid`` is named
# because SQLite may renumber an unnamed one on VACUUM.
_TABLES = (
    (
        "CREATE TABLE IF NOT EXISTS stored_events (rowid INTEGER PRIMARY KEY, originator_id TEXT NOT NULL,"
        " originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL, previous BLOB NOT NULL,"
        " digest BLOB NOT NULL, UNIQUE (originator_id, originator_version))"
    ),
    (
        "CREATE TABLE IF NOT EXISTS stored_snapshots (originator_id TEXT, originator_version INTEGER, topic TEXT,"
        " state BLOB, PRIMARY KEY (originator_id, originator_version)) WITHOUT ROWID"
    ),
    "CREATE TABLE IF NOT EXISTS log_head (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS log_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


class _SQLiteWrite:
    """See `WriteTransaction`."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    def head(self) -> int:
        return the_head(self._cursor.execute(HEAD).fetchall())

    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        rows = self._cursor.execute(_TIPS, (msgspec.json.encode(stream_ids).decode(),)).fetchall()
        return {stream: Tip(version, digest) for stream, version, digest in rows}

    def digest_at(self, position: int) -> bytes | None:
        row = self._cursor.execute("SELECT digest FROM stored_events WHERE rowid = ?", (position,)).fetchone()
        return None if row is None else bytes(row[0])

    def insert(self, rows: Sequence[Columns]) -> None:
        self._cursor.executemany(_INSERT, rows)

    def move_head(self, before: int, after: int) -> bool:
        moved = self._cursor.execute("UPDATE log_head SET position = ? WHERE position = ?", (after, before))
        return moved.rowcount == 1


class _Writing:
    """A write transaction, as a class with its own connection: nested generators cost a fifth of a small commit."""

    def __init__(self, recorder: "SQLiteRecorder") -> None:
        self._recorder = recorder

    def __enter__(self) -> _SQLiteWrite:
        try:
            self._cursor = self._recorder.writer()
            self._cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._recorder.discard_writer()
            raise self._recorder.translate(error) from error
        return _SQLiteWrite(self._cursor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._cursor.execute("COMMIT")
            except sqlite3.Error as failure:
                self._recorder.discard_writer()
                raise self._recorder.translate(failure) from failure
            return
        self._recorder.discard_writer()
        if isinstance(error, sqlite3.Error):
            raise self._recorder.translate(error) from error


class SQLiteRecorder(SQLRecorder):
    """A log in one SQLite file. `read_only` opens it without writing a byte."""

    position = "rowid"

    def __init__(self, path: Path, *, read_only: bool = False, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self.name = f"sqlite:///{path}"
        self.path = path
        self._read_only = read_only
        self.lock_timeout = lock_timeout
        self._database = f"{path.absolute().as_uri()}?mode=ro" if read_only else str(path.absolute())
        self._connections = ConnectionPool(self._connect)
        self._writer: sqlite3.Cursor | None = None
        self._stop = threading.Event()

    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        try:
            if "\0" in str(self.path):
                raise ValueError("the path holds a NUL character")  # noqa: TRY301 - reported like the others
            if self.path.exists() and not self.path.is_file():
                raise StoreMisconfigured(store=self.name, reason="it is not a file", remedy="use the path of a file")
            if not self._read_only:
                make_private_folder(self.path.parent)
                if not self.path.exists():
                    make_private_file(self.path)
            elif not self.path.exists():
                raise StoreMisconfigured(store=self.name, reason="there is no such file", remedy="check the path")
            else:
                self._read_what_cannot_change()
        except (OSError, ValueError) as error:
            remedy = "use a path in a folder that can be read and written"
            raise StoreMisconfigured(store=self.name, reason=str(error), remedy=remedy) from error
        if not self._require_own() >= TABLES and not self._has_tables():
            self._create_tables(meta)
        return self.meta()

    def _read_what_cannot_change(self) -> None:
        """Declare the file immutable if it is, because SQLite cannot otherwise even read it in a read-only folder.

        A file without a WAL next to it is not open anywhere. This handle does not notice if it is later opened for
        writing.
        """
        file = self.path.absolute()
        if not os.access(file.parent, os.W_OK) and not os.access(f"{file}-wal", os.F_OK):
            self._database = f"{file.as_uri()}?mode=ro&immutable=1"

    def _require_database(self) -> None:
        """Raise `LogDamaged` for a file that begins as no database does, which SQLite says less clearly.

        Only for a file that SQLite cannot read: to close a file ends all locks that this process has on it, those of
        other connections too, and another process that closes the database would then delete the WAL under them.
        """
        with suppress(OSError):
            with self.path.open("rb") as file:
                head = file.read(len(_MAGIC))
            if head and head != _MAGIC:
                raise LogDamaged(
                    store=self.name,
                    reason=f"{self.path} is another kind of file, not an SQLite database",
                    remedy="check --store and AURA_STORE; if it was a store, restore the newest backup",
                )

    def _require_own(self) -> set[str]:
        """Refuse the database of another program, on a connection that changes nothing: not even the journal mode.

        Return the names of the tables that it sees. The connection ignores a WAL, so it may see nothing yet of a log
        that another process creates.
        """
        file = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(file, uri=True)) as connection:
                found = {name for (name,) in connection.execute(_NAMES)}
        except sqlite3.Error as error:  # said better by the connections that follow
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                self._require_database()
            return set()
        if "read_models" in found and "stored_events" not in found:
            reason = "it holds the read models of a store, not the store"
            raise StoreMisconfigured(store=self.name, reason=reason, remedy="use the file name without .models")
        if found and not found & TABLES:
            reason = f"it is the database of another program: it has {cut(', '.join(sorted(found)))}"
            raise StoreMisconfigured(store=self.name, reason=reason, remedy="give AURA a file of its own")
        return found

    def _has_tables(self) -> bool:
        return self.has_tables({name for (name,) in self.execute(_NAMES)})

    def _create_tables(self, meta: Mapping[str, str]) -> None:
        if self._read_only:
            remedy = "check the path, or open it once for writing"
            raise StoreMisconfigured(store=self.name, reason="there is no log in this file", remedy=remedy)
        with self._transaction() as cursor:
            for statement in _TABLES:
                cursor.execute(statement)
            cursor.execute("INSERT INTO log_head VALUES (1, 0) ON CONFLICT DO NOTHING")
            cursor.executemany("INSERT INTO log_meta VALUES (?, ?) ON CONFLICT DO NOTHING", list(meta.items()))

    def writing(self, stream_ids: Sequence[StreamId] = ()) -> AbstractContextManager[WriteTransaction]:
        return _Writing(self)

    def heads(self) -> Iterator[int]:
        while not self._stop.is_set():
            seen: int | None = None  # each connection counts for itself, and a head that was not read is read again
            with suppress(DatabaseAway, StoreError), self._reading() as cursor:
                while not self._stop.is_set():
                    (version,) = cursor.execute("PRAGMA data_version").fetchone()
                    if version != seen:
                        seen = version
                        yield _SQLiteWrite(cursor).head()
                    self._stop.wait(WATCH_INTERVAL)
            self._stop.wait(WATCH_INTERVAL)

    def stop_watching(self) -> None:
        self._stop.set()

    def check(self) -> str | None:
        found = [text for (text,) in self.execute("PRAGMA integrity_check(1)")]
        return None if found == ["ok"] else "; ".join(found)

    def close(self) -> None:
        self._stop.set()
        self.discard_writer()
        self._connections.close()

    # --- Connections and errors ---------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        """Return a new connection, which caches its statements and syncs every commit."""
        connection = sqlite3.connect(
            self._database,
            uri=True,
            check_same_thread=False,
            isolation_level=None,
            cached_statements=256,
            timeout=self.lock_timeout,
        )
        try:
            if not self._database.startswith("file:"):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def writer(self) -> sqlite3.Cursor:
        """Return the cursor of the connection that commits batches, outside the pool."""
        if self._writer is None:
            self._writer = self._connect().cursor()
        return self._writer

    def discard_writer(self) -> None:
        """Roll back the uncommitted work of that connection and close it; after an error it is no longer trusted.

        Closing alone does not roll back: the connection lives on, with its lock, as long as an unfinished statement
        does, and a statement lives as long as the traceback of the error that stopped it.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            for step in (writer.connection.rollback, writer.close, writer.connection.close):
                with suppress(sqlite3.Error):
                    step()

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with self._reading() as cursor:
            return cursor.execute(statement, values).fetchall()

    def execute_together(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        with self._transaction() as cursor:
            for statement, values in statements:
                cursor.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._translated(), self._connections.lent() as connection:
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    cursor.execute("ROLLBACK")
                cursor.close()  # otherwise the file would stay open as long as the error that stopped it is referenced
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Cursor]:
        with self._translated(), self._connections.lent() as connection:
            yield connection.cursor()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self.translate(error) from error

    def translate(self, error: Exception) -> Exception:
        """Translate an error of SQLite for the caller (https://sqlite.org/rescode.html, primary result codes)."""
        cause = error
        while not isinstance(cause, sqlite3.Error) and isinstance(cause.args[0] if cause.args else None, Exception):
            cause = cause.args[0]
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_IOERR and (full := why_full(self.path)):  # reading needs room as well, for the index
            return StoreFull(
                store=self.name,
                stream_id="",
                position=0,
                reason=full,
                remedy="raise the limit, or free space on the disk that holds the database, then append again",
            )
        if code in _AWAY or not isinstance(cause, sqlite3.DatabaseError) or isinstance(cause, sqlite3.InternalError):
            return DatabaseAway(str(cause))
        if code == sqlite3.SQLITE_CANTOPEN and _only_lacks_a_wal(self.path):
            reason = f"no file can be made in {self.path.parent}"
            return StoreReadOnly(store=self.name, stream_id="", position=0, reason=reason)
        if code == sqlite3.SQLITE_CANTOPEN:
            remedy = "check that the folder exists and can be read and written"
            return StoreMisconfigured(store=self.name, reason=str(cause), remedy=remedy)
        kind = _MEANING.get(code, LogDamaged)
        return kind(store=self.name, stream_id="", position=0, reason=str(cause))


def _only_lacks_a_wal(path: Path) -> bool:
    """Whether the database may be read, but not get a file next to it, which every writer needs."""
    return os.access(path, os.R_OK) and not os.access(path.parent, os.W_OK)
