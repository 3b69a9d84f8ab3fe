"""Fold: records of the log into rows, inside one transaction. Blocking.

    records ──► state before (table ``aggregates``) ──► the aggregate's own `evolve` ──► rows ──► tables, position

A row is made of the state that the contracts fold, so a read model and a state agree by construction. The state that a
record begins at is the one that is stored, since the tables are the fold of exactly the events before it; the states of
streams that were touched lately are kept in memory too. A kept state is (stream, version) -> fold of immutable events:
it stays right whatever becomes of a transaction.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

import attrs
import msgspec

from aura_contracts.catalogue import label
from aura_contracts.errors import EventOutOfOrder, ImpossibleTransition, StoreMisconfigured
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId
from aura_store.read_models import _schema as schema
from aura_store.read_models._database import Database, Transaction
from aura_store.read_models._rows import AGGREGATE_OF, STATE_TABLES, Row, event_rows
from aura_store.read_models._schema import MARK, TABLES, Table
from aura_store.repository import snapshot_schema

VERSION: Final = 1
"""Raised when rows change in a way that neither the tables nor the states show."""

STATES_KEPT: Final = 2_000
"""Streams whose state is kept in memory, about a kilobyte each."""

_UNFOLDABLE: Final = (ImpossibleTransition, ArithmeticError, LookupError, TypeError, ValueError)
"""What `evolve` raises for an event that no decision would have let in."""

_NAME: Final = "aura"
"""Of the one row of ``read_models``."""


@attrs.frozen
class Mark:
    """How far the tables are: the fold of the events up to `position`, whose seal is `digest`; under `schema`."""

    position: int
    digest: str
    schema: str


@cache
def schema_version() -> str:
    """Return a name for all that rows depend on: the tables, the shapes of states, the events; `VERSION` for the rest.

    Tables under another one are made again.
    """
    parts = [str(VERSION), *schema.creation("sqlite")]
    for each in STATE_TABLES.values():
        parts += [snapshot_schema(each.aggregate), *sorted(label(event) for event in each.aggregate.events)]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


# --- Tables -----------------------------------------------------------------------------------------------------------


def find_mark(transaction: Transaction) -> Mark | None:
    """Return how far the tables are, None where there are none."""
    return read_mark(transaction) if MARK.name in transaction.table_names() else None


def read_mark(transaction: Transaction) -> Mark | None:
    """Return how far the tables are, None if that is not recorded. Raises `TablesLost` if they do not exist."""
    found = transaction.execute(f"SELECT position, digest, schema_version FROM {MARK.name}")  # noqa: S608 - our name
    return Mark(*found[0]) if found else None


def write_mark(transaction: Transaction, mark: Mark) -> None:
    """Store how far the tables are."""
    statement = f"UPDATE {MARK.name} SET position = ?, digest = ?, schema_version = ?"  # noqa: S608 - our name
    transaction.execute(statement, (mark.position, mark.digest, mark.schema))


def create_tables(transaction: Transaction, store: str) -> Mark:
    """Make all tables again, with nothing in them; what is not AURA's is never dropped.

    Raises `StoreMisconfigured` where a table that is somebody else's is in the way.
    """
    there = transaction.table_names()
    if MARK.name in there:
        for table in (*reversed(TABLES.values()), MARK):
            transaction.execute(table.drop())
    elif foreign := there & TABLES.keys():
        raise StoreMisconfigured(
            store=store,
            reason=f"it has a table {min(foreign)} that is not AURA's",
            remedy="give AURA a database or schema of its own",
        )
    for statement in schema.creation(transaction.dialect):
        transaction.execute(statement)
    mark = Mark(0, "", schema_version())
    insert = f"INSERT INTO {MARK.name} VALUES (?, ?, ?, ?)"  # noqa: S608 - our name
    transaction.execute(insert, (_NAME, mark.position, mark.digest, mark.schema))
    return mark


def empty_tables(transaction: Transaction, store: str) -> Mark:
    """Have all tables there with nothing in them, and keep those of this program's schema.

    Raises as `create_tables`.
    """
    mark = find_mark(transaction)
    if mark is None or mark.schema != schema_version() or not TABLES.keys() <= transaction.table_names():
        return create_tables(transaction, store)
    for table in schema.FOLDED:
        transaction.execute(f"DELETE FROM {table.name}")  # noqa: S608 - our name
    empty = Mark(0, "", mark.schema)
    write_mark(transaction, empty)
    return empty


@cache
def _upsert(table: Table) -> str:
    names = ", ".join(f'"{name}"' for name in table.names)
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in table.names if name != table.key)
    values = ", ".join("?" * len(table.columns))
    return (
        f"INSERT INTO {table.name} ({names}) VALUES ({values})"  # noqa: S608 - our names
        f' ON CONFLICT ("{table.key}") DO UPDATE SET {others}'
    )


# --- Folding ----------------------------------------------------------------------------------------------------------


class Fold:
    """Folds records into the tables of a database. For one transaction at a time."""

    def __init__(self, database: Database, store: str, *, states_kept: int = STATES_KEPT) -> None:
        """`store` is the log's name, for errors."""
        self._database = database
        self._store = store
        self._states_kept = states_kept
        self._states: OrderedDict[StreamId, tuple[int, Any]] = OrderedDict()

    def apply(self, transaction: Transaction, records: Sequence[EventRecord]) -> None:
        """Write the rows of `records`, which follow what the tables hold.

        Raises `EventOutOfOrder` for the first that cannot have happened, and what the transaction raises.
        """
        self._load(transaction, records)
        last: dict[StreamId, EventRecord] = {}
        rows: dict[Table, list[Row]] = {}
        for record in records:
            state = self._evolve(record)
            last[record.stream_id] = record
            for table, row in event_rows(record, state):
                rows.setdefault(table, []).append(row)
        for record in last.values():
            self._add_state(record, rows)
        for table, found in rows.items():
            self._write(transaction, table, found)
        while len(self._states) > self._states_kept:
            self._states.popitem(last=False)

    def _load(self, transaction: Transaction, records: Iterable[EventRecord]) -> None:
        """Have at hand the states that the streams of `records` begin at."""
        first: dict[StreamId, EventRecord] = {}
        for record in records:
            first.setdefault(record.stream_id, record)
        wanted = []
        for stream_id, record in first.items():
            if self._states.get(stream_id, (0, None))[0] != record.version - 1:
                self._states.pop(stream_id, None)
                if record.version > 1:
                    wanted.append(stream_id)
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            marks = ", ".join("?" * len(some))
            statement = f"SELECT id, kind, version, {state_column(transaction)} FROM aggregates WHERE id IN ({marks})"  # noqa: S608
            for stream_id, kind, version, state in transaction.execute(statement, some):
                self._states[stream_id] = (version, decode_state(kind, state))

    def _evolve(self, record: EventRecord) -> Any:
        version, before = self._states.get(record.stream_id, (0, None))
        if version != record.version - 1:
            raise self._out_of_order(record, f"version {version + 1} of the stream is missing before this one")
        try:
            state = AGGREGATE_OF[type(record.event)].evolve(before, record)
        except _UNFOLDABLE as miss:
            raise self._out_of_order(record, str(miss)) from miss
        self._states[record.stream_id] = (record.version, state)
        self._states.move_to_end(record.stream_id)
        return state

    def _add_state(self, record: EventRecord, rows: dict[Table, list[Row]]) -> None:
        """Add the rows that the state after the last event of a stream makes."""
        kind = AGGREGATE_OF[type(record.event)].name
        _, state = self._states[record.stream_id]
        place = {"version": record.version, "position": record.position}
        whole = {"id": record.stream_id, "kind": kind, **place, "state": msgspec.json.encode(state).decode()}
        rows.setdefault(schema.AGGREGATES, []).append(whole)
        listed = STATE_TABLES[kind]
        rows.setdefault(listed.table, []).append(listed.row(record, state))

    def _write(self, transaction: Transaction, table: Table, rows: Iterable[Row]) -> None:
        convert = self._database.to_database
        columns = table.columns
        values = [[convert(column.kind, row[column.name]) for column in columns] for row in rows]
        transaction.execute_many(_upsert(table), values)

    def _out_of_order(self, record: EventRecord, reason: str) -> EventOutOfOrder:
        return EventOutOfOrder(store=self._store, stream_id=record.stream_id, position=record.position, reason=reason)


def state_column(transaction: Transaction) -> str:
    """Return the expression that gives the column ``state`` as the text it was stored as."""
    return "state" if transaction.dialect == "sqlite" else "state::text"


def decode_state(kind: str, state: str) -> Any:
    """Return the state of an aggregate of `kind` as it was before it was stored."""
    return msgspec.json.decode(state, type=STATE_TABLES[kind].aggregate.state)
