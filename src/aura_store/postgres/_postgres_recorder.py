"""PostgreSQL: a log shared by many processes on many machines, on `eventsourcing`'s recorder and psycopg 3.

A commit takes two round trips. The first begins the transaction, locks the row of ``log_head`` and looks up tips. This
lock is held until the commit succeeds or is rolled back, so positions become visible in order. The second carries the
rows, the new head, the notification and COMMIT. They cannot be merged: after a broken connection, taking the lock shows
that the old transaction has ended, and only then can its outcome be looked up.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from eventsourcing.persistence import PersistenceError
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresApplicationRecorder, PostgresDatastore
from psycopg import ClientCursor, Connection, Cursor
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier

from aura_contracts.errors import LogDamaged, StoreMisconfigured
from aura_contracts.events import Snapshot
from aura_contracts.ids import StreamId
from aura_store.log._recorder import BEFORE_ALL, LOCK_TIMEOUT, FactRow, Recorder, RecordRow, StreamRow
from aura_store.log._seal import Columns, Tip
from aura_store.postgres._connections import ConnectionPool, Connector, parse_url, public_url, translate
from aura_store.postgres._watch import LogWatch

SLICE = 8 * 1024 * 1024
"""Bytes of states in one INSERT; this bounds the memory of client and server, far below their limit of 1 GB."""

_TABLES: Final = ("stored_events", "stored_snapshots", "log_head", "log_meta")
_CREATION: Final = int.from_bytes(b"aura")
"""The advisory lock for creating tables."""

# The head is found through its index, from above. While a long transaction elsewhere (a backup) keeps old versions of
# the row alive, any other way would scan all of them, at every commit.
_HEAD = "SELECT position FROM log_head ORDER BY position DESC LIMIT 1"
_TIPS = (
    "SELECT wanted.stream, tip.* FROM unnest(%s::text[]) AS wanted (stream), LATERAL"
    " (SELECT originator_version, digest FROM stored_events WHERE originator_id = wanted.stream"
    " ORDER BY originator_version DESC LIMIT 1) AS tip"
)
# One string, not a pipeline: after a pipeline the server does not count the client as idle, and would wait forever for
# one that stopped. The tips are looked up by a separate statement, which sees what was committed before the lock came.
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {_HEAD} FOR UPDATE"
_BEGIN_WITH_TIPS = f"{_BEGIN}; {_TIPS}"
_COLUMNS = "notification_id, originator_id, originator_version, topic, state, previous, digest"
_INSERT = (
    f"INSERT INTO stored_events ({_COLUMNS}) SELECT * FROM unnest"  # noqa: S608 - columns are ours
    "(%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::bytea[], %b::bytea[])"
)
_SET_HEAD = "UPDATE log_head SET position = %s WHERE position = %s"
_NOTIFY = "NOTIFY stored_events"
_SNAPSHOT = (
    "WITH older AS (DELETE FROM stored_snapshots WHERE originator_id = %(stream)s AND originator_version < %(version)s)"
    " INSERT INTO stored_snapshots (originator_id, originator_version, topic, state)"
    " VALUES (%(stream)s, %(version)s, %(schema)s, %(data)b)"
    " ON CONFLICT (originator_id, originator_version) DO UPDATE SET topic = excluded.topic, state = excluded.state"
)
_WHERE_TABLES_ARE = (
    "SELECT c.relname, n.nspname FROM unnest(%s::text[]) AS wanted (name)"
    " JOIN pg_class AS c ON c.oid = to_regclass(wanted.name) JOIN pg_namespace AS n ON n.oid = c.relnamespace"
)
_AMCHECK = (
    "SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace"
    " WHERE e.extname = 'amcheck' AND has_function_privilege"
    "(to_regprocedure(format('%I.bt_index_check(regclass, boolean)', n.nspname)), 'EXECUTE')"
)


class _Datastore(PostgresDatastore):
    """The library's datastore with our own connections, and without its composite types: rows are sent as arrays."""

    def __init__(self, connector: Connector, schema: str) -> None:
        super().__init__("", "", "", "", "", schema=schema, originator_id_type="text")
        self.pool = ConnectionPool(connector)  # type: ignore[assignment]  # has all that the datastore uses

    def register_type_adapters(self) -> None:
        """Do nothing, so that recorders can be created without a connection."""


class _SealedPostgresRecorder(PostgresApplicationRecorder):
    """The library's recorder on our table. It can read as it is; writing is refused, because its types are missing.

    Ids compare byte by byte (``COLLATE "C"``), which is faster, and safe for indexes when the system's locales change.
    """

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore)
        schema = Identifier(datastore.schema)
        events = (
            'CREATE TABLE IF NOT EXISTS {}.stored_events (originator_id text COLLATE "C" NOT NULL,'
            " originator_version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,"
            " notification_id bigint NOT NULL, previous bytea NOT NULL, digest bytea NOT NULL,"
            " PRIMARY KEY (originator_id, originator_version))"
            " WITH (autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.01)"
        )
        index = (
            "CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx ON {}.stored_events (notification_id)"
        )
        self.sql_create_statements = [
            SQL(events).format(schema),
            SQL(index).format(schema),
            SQL("CREATE TABLE IF NOT EXISTS {}.log_head (position bigint PRIMARY KEY)").format(schema),
            SQL("CREATE TABLE IF NOT EXISTS {}.log_meta (key text PRIMARY KEY, value text NOT NULL)").format(schema),
        ]


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
        self._head = _the_head(cursor)
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


class PostgresRecorder(Recorder):
    """A log in a PostgreSQL database.

    `url` is any URL that libpq accepts. The tables are in the first schema of the connection's ``search_path``, which
    the URL may set: ``?options=-csearch_path%3Daura``. `read_only` needs no permission except to read.
    """

    def __init__(self, url: str, *, read_only: bool = False, lock_timeout: float = LOCK_TIMEOUT) -> None:
        parameters = parse_url(url)
        self.name = public_url(parameters)
        self._read_only = read_only
        self._connector = Connector(parameters, read_only=read_only, lock_timeout=lock_timeout)
        self._use_schema("public")
        self._watch = LogWatch(self._connector, _HEAD)

    @property
    def schema(self) -> str:
        """The schema of the tables."""
        return str(self.datastore.schema)

    def connect(self) -> Connection[Any]:
        """Return a new connection for the caller, set up like those of the log."""
        return self._connector.connect()

    def _use_schema(self, schema: str) -> None:
        self.datastore = _Datastore(self._connector, schema)
        self.events = _SealedPostgresRecorder(self.datastore)
        self.snapshots = PostgresAggregateRecorder(self.datastore, events_table_name="stored_snapshots")

    def open(self, meta: Mapping[str, str]) -> Mapping[str, str]:
        schema = self._schema()
        if schema != self.datastore.schema:
            self.datastore.close()
            self._use_schema(schema)
        with self._cursor() as cursor:
            found = {name for name, _ in cursor.execute(_WHERE_TABLES_ARE, (list(_TABLES),)).fetchall()}
        if "stored_events" in found and not found >= set(_TABLES):
            reason = "it has a table stored_events that is not AURA's"
            raise StoreMisconfigured(store=self.name, reason=reason, remedy="give AURA a database or schema of its own")
        if not found >= set(_TABLES):
            self._create_tables(meta)
        with self._cursor() as cursor:
            return dict(cursor.execute("SELECT key, value FROM log_meta").fetchall())

    def _schema(self) -> str:
        """Return the schema of the log, or the one in which it would be created."""
        with self._cursor() as cursor:
            found = cursor.execute(_WHERE_TABLES_ARE, (["log_head"],)).fetchone()
            current = cursor.execute("SELECT current_schema()").fetchone()
        schema = found[1] if found else current and current[0]
        if schema is None:
            remedy = "create the schema, or name an existing one"
            raise StoreMisconfigured(store=self.name, reason="its search_path has no existing schema", remedy=remedy)
        return str(schema)

    def _create_tables(self, meta: Mapping[str, str]) -> None:
        if self._read_only:
            remedy = "check the URL, or open it once for writing"
            raise StoreMisconfigured(store=self.name, reason="there is no log in this database", remedy=remedy)
        tables = [*self.events.sql_create_statements]
        tables.append(self.snapshots.sql_create_statements[self.snapshots.create_table_statement_index])
        with self._connected() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATION,))
            for statement in tables:
                connection.execute(statement, prepare=False)
            connection.execute("INSERT INTO log_head SELECT 0 WHERE NOT EXISTS (SELECT FROM log_head)")
            connection.cursor().executemany(
                "INSERT INTO log_meta VALUES (%s, %s) ON CONFLICT DO NOTHING", list(meta.items())
            )

    @contextmanager
    def writing(self, stream_ids: Sequence[StreamId] = ()) -> Iterator[_PostgresWrite]:
        with self._connected() as connection:
            transaction = _PostgresWrite(connection, stream_ids)
            yield transaction
            transaction.commit()

    # --- Reading ------------------------------------------------------------------------------------------------------

    def select_facts(self, stream_id: StreamId, after: int, upto: int | None) -> tuple[int, list[FactRow]]:
        rows = self._select_stream("originator_version, topic, state", stream_id, after, upto)
        return rows[-1][0] if rows else after, [row[1:] for row in rows]

    def select_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[StreamRow]:
        return self._select_stream("notification_id, originator_version, topic, state", stream_id, after, upto)

    def select_sealed_stream(self, stream_id: StreamId, after: int, upto: int | None) -> list[tuple[Any, ...]]:
        return self._select_stream(_COLUMNS, stream_id, after, upto)

    def _select_stream(self, columns: str, stream_id: StreamId, after: int, upto: int | None) -> list[Any]:
        statement = f"SELECT {columns} FROM stored_events WHERE originator_id = %s"  # noqa: S608 - columns are ours
        arguments: list[Any] = [stream_id]
        if after:
            statement += " AND originator_version > %s"
            arguments.append(after)
        if upto is not None:
            statement += " AND originator_version <= %s"
            arguments.append(upto)
        return self._rows(statement + " ORDER BY originator_version", arguments)

    def select_records(
        self, after: int, limit: int, prefixes: Collection[str], stream_id: StreamId | None
    ) -> list[RecordRow]:
        statement = (
            "SELECT notification_id, originator_id, originator_version, topic, state"
            " FROM stored_events WHERE notification_id > %s"
        )
        arguments: list[Any] = [after]
        if prefixes:
            statement += " AND topic LIKE ANY(%s)"
            arguments.append([prefix.replace("_", r"\_") + "%" for prefix in prefixes])
        # Within a stream the order is the same; written like this, the planner uses the stream's index.
        order = "notification_id" if stream_id is None else "originator_version"
        if stream_id is not None:
            statement += " AND originator_id = %s"
            arguments.append(stream_id)
        return self._rows(f"{statement} ORDER BY {order} LIMIT %s", [*arguments, limit])

    def select_sealed(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        statement = f"SELECT {_COLUMNS} FROM stored_events WHERE notification_id > %s"  # noqa: S608 - columns are ours
        return self._rows(f"{statement} ORDER BY notification_id LIMIT %s", [after or BEFORE_ALL, limit])

    def head(self) -> int:
        with self._cursor() as cursor:
            return _the_head(cursor.execute(_HEAD, prepare=True))

    def last_position(self) -> int:
        found: int = self._rows("SELECT coalesce(max(notification_id), 0) FROM stored_events", [])[0][0]
        return found

    def select_snapshot(self, stream_id: StreamId, upto: int | None) -> Snapshot | None:
        statement = (
            "SELECT originator_id, originator_version, topic, state FROM stored_snapshots WHERE originator_id = %s"
        )
        arguments: list[Any] = [stream_id]
        if upto is not None:
            statement += " AND originator_version <= %s"
            arguments.append(upto)
        found = self._rows(statement + " ORDER BY originator_version DESC LIMIT 1", arguments)
        return Snapshot(*found[0]) if found else None

    def write_meta(self, key: str, value: str) -> None:
        statement = "INSERT INTO log_meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        with self._cursor() as cursor:
            cursor.execute(statement, (key, value))

    def read_meta(self, key: str) -> str | None:
        found = self._rows("SELECT value FROM log_meta WHERE key = %s", [key])
        return str(found[0][0]) if found else None

    def insert_snapshot(self, snapshot: Snapshot) -> None:
        named = {"stream": snapshot.stream_id, "version": snapshot.version}
        with self._cursor() as cursor:
            cursor.execute(_SNAPSHOT, {**named, "schema": snapshot.schema, "data": snapshot.data}, prepare=True)

    # --- Watching -----------------------------------------------------------------------------------------------------

    def heads(self) -> Iterator[int]:
        return self._watch.heads()

    def stop_watching(self) -> None:
        self._watch.stop()

    # --- Checking and closing -----------------------------------------------------------------------------------------

    def check(self) -> str | None:
        """Read the whole table, which verifies its checksums; check that both indexes agree with it and the head."""
        try:
            with self._cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                wrong = _first_disagreement(cursor)
                cursor.execute("ROLLBACK")
        except LogDamaged as damaged:
            return damaged.reason
        return wrong

    def close(self) -> None:
        self._watch.stop()
        self.datastore.close()

    # --- Connections and errors ---------------------------------------------------------------------------------------

    def _rows(self, statement: str, arguments: Sequence[Any]) -> list[Any]:
        with self._cursor() as cursor:
            return cursor.execute(statement.encode(), arguments, prepare=True).fetchall()

    @contextmanager
    def _cursor(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        with self._connected() as connection:
            yield _cursor(connection)

    @contextmanager
    def _connected(self) -> Iterator[Connection[DictRow]]:
        try:
            with self.datastore.get_connection() as connection:
                yield connection
        except (psycopg.Error, PersistenceError) as error:
            raise translate(error, self.name) from error


def _cursor(connection: Connection[DictRow]) -> Cursor[tuple[Any, ...]]:
    """Return a cursor whose rows are plain tuples, transferred in binary; the library's own cursors return mappings."""
    return connection.cursor(row_factory=tuple_row, binary=True)


def _the_head(cursor: Cursor[tuple[Any, ...]]) -> int:
    row = cursor.fetchone()
    if row is None:
        raise LogDamaged(reason="the table log_head is empty")
    position: int = row[0]
    return position


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
    head = _the_head(cursor.execute(_HEAD))
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
            f"SELECT count(*), coalesce(sum(notification_id), 0)::bigint FROM stored_events WHERE {column}".encode()  # noqa: S608
        ).fetchone()
        if found != expected:
            return f"{way} does not hold the events 1 to {head}: it holds {found and found[0]}"
    if amcheck := cursor.execute(_AMCHECK).fetchone():
        call = SQL("SELECT {}.bt_index_check(%s::regclass, true)").format(Identifier(amcheck[0]))
        for index in ("stored_events_pkey", "stored_events_notification_id_idx"):
            cursor.execute(call, (index,))
    return None
