"""PostgreSQL: a log shared by many processes on many machines, with psycopg 3.

A commit takes two round trips. The first begins the transaction, locks the row of ``log_head`` and looks up tips. This
lock is held until the commit succeeds or is rolled back, so positions become visible in order. The second carries the
rows, the new head, the notification and COMMIT. They cannot be merged: after a broken connection, taking the lock shows
that the old transaction has ended, and only then can its outcome be looked up.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import ClientCursor, Connection, Cursor
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier

from aura_contracts.errors import LogDamaged, StoreMisconfigured, StoreReadOnly
from aura_contracts.ids import StreamId
from aura_store.log._recorder import LOCK_TIMEOUT, DatabaseAway
from aura_store.log._seal import Columns, Tip
from aura_store.log._sql_recorder import HEAD, TABLES, ConnectionPool, SQLRecorder, the_head
from aura_store.postgres._connections import Connector, parse_url, public_url, translate
from aura_store.postgres._watch import LogWatch

SLICE = 8 * 1024 * 1024
"""Bytes of states in one INSERT; this bounds the memory of client and server, far below their limit of 1 GB."""

_CREATION: Final = int.from_bytes(b"aura")
"""The advisory lock for creating tables."""

_TIPS = (
    "SELECT wanted.stream, tip.* FROM unnest(%s::text[]) AS wanted (stream), LATERAL"
    " (SELECT originator_version, digest FROM stored_events WHERE originator_id = wanted.stream"
    " ORDER BY originator_version DESC LIMIT 1) AS tip"
)
# One string, not a pipeline: after a pipeline the server does not count the client as idle, and would wait forever for
# one that stopped. The tips are looked up by a separate statement, which sees what was committed before the lock came.
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {HEAD} FOR UPDATE"
_BEGIN_WITH_TIPS = f"{_BEGIN}; {_TIPS}"
_COLUMNS = "notification_id, originator_id, originator_version, topic, state, previous, digest"
_INSERT = (
    f"INSERT INTO stored_events ({_COLUMNS}) SELECT * FROM unnest"
    "(%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::bytea[], %b::bytea[])"
)
_SET_HEAD = "UPDATE log_head SET position = %s WHERE position = %s"
_NOTIFY = "NOTIFY stored_events"
_WHERE_TABLES_ARE = (
    "SELECT c.relname, n.nspname FROM unnest(?::text[]) AS wanted (name)"
    " JOIN pg_class AS c ON c.oid = to_regclass(wanted.name) JOIN pg_namespace AS n ON n.oid = c.relnamespace"
)
# Ids compare byte by byte (``COLLATE "C"``), which is faster, and safe for indexes when the system's locales change.
_EVENTS = (
    'CREATE TABLE IF NOT EXISTS {}.stored_events (originator_id text COLLATE "C" NOT NULL,'
    " originator_version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,"
    " notification_id bigint NOT NULL, previous bytea NOT NULL, digest bytea NOT NULL,"
    " PRIMARY KEY (originator_id, originator_version))"
    " WITH (autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.01)"
)
_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx ON {}.stored_events (notification_id)"
_SNAPSHOTS = (
    "CREATE TABLE IF NOT EXISTS {}.stored_snapshots (originator_id text NOT NULL, originator_version bigint NOT NULL,"
    " topic text, state bytea, PRIMARY KEY (originator_id, originator_version))"
)
_LOG_HEAD = "CREATE TABLE IF NOT EXISTS {}.log_head (position bigint PRIMARY KEY)"
_LOG_META = "CREATE TABLE IF NOT EXISTS {}.log_meta (key text PRIMARY KEY, value text NOT NULL)"
_AMCHECK = (
    "SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace"
    " WHERE e.extname = 'amcheck' AND has_function_privilege"
    "(to_regprocedure(format('%I.bt_index_check(regclass, boolean)', n.nspname)), 'EXECUTE')"
)


class _PostgresWrite:
    """See `WriteTransaction`. Rows are held back until `commit` and sent with it."""

    def __init__(self, connection: Connection[DictRow], stream_ids: Sequence[StreamId]) -> None:
        self._connection = connection
        self._rows: Sequence[Columns] = ()
        self._new_head = 0
        self._asked = list(stream_ids)
        cursor = ClientCursor(connection, row_factory=tuple_row)
        cursor.execute(_BEGIN_WITH_TIPS if self._asked else _BEGIN, (self._asked,) if self._asked else None)
        cursor.nextset()
        self._head = the_head(cursor.fetchall())
        cursor.nextset()
        self._tips = _as_tips(cursor) if self._asked else {}

    def head(self) -> int:
        return self._head

    def tips(self, stream_ids: Sequence[StreamId]) -> Mapping[StreamId, Tip]:
        if set(stream_ids) <= set(self._asked):
            return self._tips
        return _as_tips(_cursor(self._connection).execute(_TIPS, (list(stream_ids),), prepare=True))

    def digest_at(self, position: int) -> bytes | None:
        statement = "SELECT digest FROM stored_events WHERE notification_id = %s"
        row = _cursor(self._connection).execute(statement, (position,)).fetchone()
        return None if row is None else bytes(row[0])

    def insert(self, rows: Sequence[Columns]) -> None:
        self._rows = rows

    def move_head(self, before: int, after: int) -> bool:
        self._new_head = after
        return before == self._head

    def commit(self) -> None:
        connection = self._connection
        if not self._rows:
            connection.execute("ROLLBACK")
            return
        with connection.pipeline():
            for rows in _slices(self._rows):
                connection.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)], prepare=True)
            connection.execute(_SET_HEAD, (self._new_head, self._head), prepare=True)
            connection.execute(_NOTIFY)
            connection.execute("COMMIT")


class PostgresRecorder(SQLRecorder):
    """A log in a PostgreSQL database.

    `url` is any URL that libpq accepts. The tables are in the first schema of the connection's ``search_path``, which
    the URL may set: ``?options=-csearch_path%3Daura``. `read_only` needs no permission except to read.
    """

    position = "notification_id"
    topic = 'topic COLLATE "C"'

    def __init__(self, url: str, *, read_only: bool = False, lock_timeout: float = LOCK_TIMEOUT) -> None:
        parameters = parse_url(url)
        self.name = public_url(parameters)
        self.schema = "public"
        """The schema of the tables, once the log is open."""
        self._read_only = read_only
        self._was_writable = False
        connector = Connector(parameters, read_only=read_only, lock_timeout=lock_timeout)
        self.connect = connector.connect
        """Returns a new connection for the caller, set up like those of the log."""
        self.connections = ConnectionPool(self.connect, lambda connection: connection.broken)
        self._watch = LogWatch(connector, HEAD)

    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        self.schema = self._schema()
        found = {name for name, _ in self.execute(_WHERE_TABLES_ARE, list(TABLES))}
        if not self.has_tables(found):
            self._create_tables(meta)
        return self.meta()

    def _schema(self) -> str:
        """Return the schema of the log, or the one in which it would be created."""
        found = self.execute(_WHERE_TABLES_ARE, ["log_head"])
        schema = found[0][1] if found else self.execute("SELECT current_schema()")[0][0]
        if schema is None:
            remedy = "create the schema, or name an existing one"
            raise StoreMisconfigured(store=self.name, reason="its search_path has no existing schema", remedy=remedy)
        return str(schema)

    def _create_tables(self, meta: Mapping[str, str]) -> None:
        if self._read_only:
            remedy = "check the URL, or open it once for writing"
            raise StoreMisconfigured(store=self.name, reason="there is no log in this database", remedy=remedy)
        with self._connected() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATION,))
            for statement in (_EVENTS, _INDEX, _SNAPSHOTS, _LOG_HEAD, _LOG_META):
                connection.execute(SQL(statement).format(Identifier(self.schema)), prepare=False)
            connection.execute("INSERT INTO log_head SELECT 0 WHERE NOT EXISTS (SELECT FROM log_head)")
            connection.cursor().executemany(
                "INSERT INTO log_meta VALUES (%s, %s) ON CONFLICT DO NOTHING", list(meta.items())
            )

    @contextmanager
    def writing(self, stream_ids: Sequence[StreamId] = ()) -> Iterator[_PostgresWrite]:
        with self._connected() as connection:
            transaction = _PostgresWrite(connection, stream_ids)
            self._was_writable = True
            yield transaction
            transaction.commit()

    # --- Watching -----------------------------------------------------------------------------------------------------

    def heads(self) -> Iterator[int]:
        return self._watch.heads()

    def stop_watching(self) -> None:
        self._watch.stop()

    # --- Checking and closing -----------------------------------------------------------------------------------------

    def check(self) -> str | None:
        """Read the whole table, which verifies its checksums; check that both indexes agree with it and the head."""
        try:
            with self._connected() as connection:
                cursor = _cursor(connection)
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                wrong = _first_disagreement(cursor)
                cursor.execute("ROLLBACK")
        except LogDamaged as damaged:
            return damaged.reason
        return wrong

    def close(self) -> None:
        self._watch.stop()
        self.connections.close()

    # --- Connections and errors ---------------------------------------------------------------------------------------

    def execute(self, statement: str, *values: Any) -> list[Any]:
        with self._connected() as connection:
            cursor = _cursor(connection).execute(statement.replace("?", "%s").encode(), values, prepare=True)
            return cursor.fetchall() if cursor.description else []

    def execute_together(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        with self._connected() as connection, connection.pipeline(), connection.transaction():
            for statement, values in statements:
                connection.execute(statement.replace("?", "%s").encode(), values, prepare=True)

    @contextmanager
    def _connected(self) -> Iterator[Connection[DictRow]]:
        try:
            with self.connections.lent() as connection:
                yield connection
        except psycopg.Error as error:
            meaning = translate(error, self.name)
            if self._was_writable and isinstance(meaning, StoreReadOnly):  # a failover: another server takes over
                meaning = DatabaseAway(meaning.reason)
            raise meaning from error


def _cursor(connection: Connection[DictRow]) -> Cursor[tuple[Any, ...]]:
    """Return a cursor whose rows are plain tuples, transferred in binary."""
    return connection.cursor(row_factory=tuple_row, binary=True)


def _as_tips(cursor: Cursor[tuple[Any, ...]]) -> dict[StreamId, Tip]:
    return {stream: Tip(version, digest) for stream, version, digest in cursor.fetchall()}


def _slices(rows: Sequence[Columns]) -> Iterator[Sequence[Columns]]:
    """Split `rows` into slices of about `SLICE` bytes."""
    start = size = 0
    for end, row in enumerate(rows, 1):
        size += len(row[4])
        if size >= SLICE:
            yield rows[start:end]
            start, size = end, 0
    if start < len(rows):
        yield rows[start:]


def _first_disagreement(cursor: Cursor[tuple[Any, ...]]) -> str | None:
    head = the_head(cursor.execute(HEAD).fetchall())
    expected = (head, head * (head + 1) // 2)
    ways = {
        "the table": ("indexscan", "indexonlyscan", "bitmapscan"),
        "the index by position": ("seqscan",),
        "the index by stream": ("seqscan",),
    }
    for way, unused in ways.items():
        for plan in ("seqscan", "indexscan", "indexonlyscan", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{plan} = {'off' if plan in unused else 'on'}".encode())
        column = "originator_id >= ''" if way.endswith("stream") else "notification_id > 0"
        found = cursor.execute(
            f"SELECT count(*), coalesce(sum(notification_id), 0)::bigint FROM stored_events WHERE {column}".encode()
        ).fetchone()
        if found != expected:
            return f"{way} does not hold the events 1 to {head}: it holds {found and found[0]}"
    if amcheck := cursor.execute(_AMCHECK).fetchone():
        call = SQL("SELECT {}.bt_index_check(%s::regclass, true)").format(Identifier(amcheck[0]))
        for index in ("stored_events_pkey", "stored_events_notification_id_idx"):
            cursor.execute(call, (index,))
    return None
