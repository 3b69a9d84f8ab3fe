"""Read models on PostgreSQL: in the log's own database and schema, with the log's connection settings."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row
from psycopg.types.json import set_json_loads

from aura_contracts.errors import StoreReadOnly
from aura_store.postgres._connections import translate
from aura_store.read_models._database import (
    Database,
    NotWritable,
    RowRefused,
    TablesLost,
    Transaction,
)
from aura_store.read_models._table import Kind

_PATH: Final = "SELECT set_config('search_path', quote_ident(%s) || ', ' || current_setting('search_path'), false)"
_NAMES: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')"
)
_CREATION: Final = int.from_bytes(b"auraread")
"""The advisory lock for which writers of read models queue; held to the end of the transaction."""

_MISSING: Final = ("42P01", "42703", "3F000")
"""The SQLSTATEs of a missing table, column or schema."""


class _PostgresTransaction(Transaction):
    dialect = "postgresql"

    def __init__(self, database: "PostgresDatabase", connection: Connection[Any]) -> None:
        self._database = database
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._database.translated():
            cursor = self._connection.execute(_with_percent(statement).encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._database.translated(), self._connection.cursor() as cursor:
            cursor.executemany(_with_percent(statement).encode(), rows)

    def table_names(self) -> set[str]:
        return {row[0] for row in self.execute(_NAMES)}


def _with_percent(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s") if "?" in statement else statement


class PostgresDatabase(Database):
    """The schema `schema` of the database to which `connect` connects."""

    dialect = "postgresql"
    errors = (psycopg.Error,)

    def __init__(self, connect: Callable[[], Connection[Any]], schema: str, name: str) -> None:
        super().__init__(name)
        self._connect_to = connect
        self._schema = schema

    def begin(self, *, writing: bool) -> Transaction:
        with self.translated():
            connection = self._connection = self._connection or self._connect()
            level = "READ COMMITTED" if writing else "REPEATABLE READ, READ ONLY"
            connection.execute(f"BEGIN ISOLATION LEVEL {level}")
            if writing:
                connection.execute("SET LOCAL synchronous_commit TO off")
                connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_CREATION >> 33, self._schema))
        return _PostgresTransaction(self, connection)

    def _connect(self) -> Connection[Any]:
        connection = self._connect_to()
        try:
            connection.autocommit = True  # BEGIN and COMMIT are explicit here
            connection.row_factory = tuple_row
            set_json_loads(msgspec.json.decode, connection)
            connection.execute("SET timezone = 'UTC'")
            connection.execute(_PATH, (self._schema,))
        except BaseException:
            connection.close()
            raise
        return connection

    def to_database(self, kind: Kind, value: Any) -> Any:
        return msgspec.json.encode(value).decode() if kind == "json" and value is not None else value

    def from_database(self, kind: Kind, value: Any) -> Any:
        return value

    def meaning_of(self, error: Exception) -> Exception:
        assert isinstance(error, psycopg.Error)
        state, reason = error.sqlstate or "", str(error).partition("\n")[0]  # the other lines show the whole row
        if state in _MISSING:
            return TablesLost(reason)
        if state[:2] in ("22", "23", "54") or (not state and isinstance(error, psycopg.DataError)):
            return RowRefused(reason)
        meaning = translate(error, self.name)
        if state == "42501" or isinstance(meaning, StoreReadOnly):  # insufficient_privilege, read-only transaction
            return NotWritable(reason)
        return meaning
