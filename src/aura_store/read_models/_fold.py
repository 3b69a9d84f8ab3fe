"""Fold: records of the log into rows, inside one transaction. Blocking.

    records ──► state before (table ``aggregates``) ──► the aggregate's own `evolve` ──► rows ──► tables, position

A row is derived from the state that the contracts fold, so read models and states agree by construction. The stored
state is the one before the next record, because the tables are the fold of exactly the events before it. The states of
recently used streams are also kept in memory. Such a state is (stream, version) -> fold of immutable events, so it
stays valid whatever happens to a transaction.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

import msgspec

from aura_contracts.catalogue import label
from aura_contracts.errors import EventOutOfOrder, ImpossibleTransition, StoreMisconfigured
from aura_contracts.events import EventRecord
from aura_contracts.first_use import json_decoder
from aura_contracts.ids import StreamId
from aura_store.read_models import _schema as schema
from aura_store.read_models._damage import damaged_streams
from aura_store.read_models._database import Database, Transaction
from aura_store.read_models._rows import AGGREGATE_OF, STATE_TABLES, Row, event_rows, timer_rows
from aura_store.read_models._schema import MARK, TABLES
from aura_store.read_models._schema_version import SCHEMA_VERSION
from aura_store.read_models._table import Table

VERSION: Final = 1
"""Increase it when rows change in a way that neither the tables nor the states show."""

STATES_KEPT: Final = 2_000
"""Streams whose state is kept in memory, at about a kilobyte each."""

_UNFOLDABLE: Final = (ImpossibleTransition, ArithmeticError, LookupError, TypeError, ValueError)
"""Errors that `evolve` raises for an event that no decision would have allowed."""

_NAME: Final = "aura"
"""The id of the only row of ``read_models``."""


class Mark(msgspec.Struct, frozen=True):
    """How far the tables are: they fold the events up to `position`, whose seal is `digest`, under `schema`."""

    position: int
    digest: str
    schema: str


def schema_version() -> str:
    """Return the name of everything that rows depend on. Tables with another schema version are recreated.

    It is in the source, because to derive it takes as long as to open the log; ``docs/generate.py`` writes it.
    """
    return SCHEMA_VERSION


def derived_schema_version() -> str:
    """Return a name for everything that rows depend on: the tables, the shapes of states and events, and `VERSION`."""
    kinds = [each.aggregate for each in STATE_TABLES.values()]
    shapes = _undescribed(msgspec.json.schema_components(kind.state for kind in kinds))
    parts = [str(VERSION), *schema.creation("sqlite"), msgspec.json.encode(shapes, order="deterministic").decode()]
    for kind in kinds:
        parts += [f"{kind.name}@{kind.snapshot_version}", *sorted(map(label, kind.events))]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _undescribed(shape: Any) -> Any:
    """Return a JSON schema without the docstrings in it: no row depends on how they are worded."""
    match shape:
        case dict():
            rest = {name: part for name, part in shape.items() if name != "description" or not isinstance(part, str)}
            return {name: _undescribed(part) for name, part in rest.items()}
        case list() | tuple():
            return [_undescribed(part) for part in shape]
        case _:
            return shape


# --- Tables -----------------------------------------------------------------------------------------------------------


def find_mark(transaction: Transaction) -> Mark | None:
    """Return how far the tables are, or None if there are no tables."""
    return mark_among(transaction, transaction.table_names())


def mark_among(transaction: Transaction, there: Collection[str]) -> Mark | None:
    """Return how far the tables are, where tables with the names `there` exist; None if these are not AURA's."""
    return read_mark(transaction) if MARK.name in there else None


def read_mark(transaction: Transaction) -> Mark | None:
    """Return how far the tables are, or None if that is not recorded. Raises `TablesLost` if they do not exist."""
    found = transaction.execute(f"SELECT position, digest, schema_version FROM {MARK.name}")
    return Mark(*found[0]) if found else None


def write_mark(transaction: Transaction, mark: Mark) -> None:
    """Store how far the tables are."""
    statement = f"UPDATE {MARK.name} SET position = ?, digest = ?, schema_version = ?"
    transaction.execute(statement, (mark.position, mark.digest, mark.schema))


def create_tables(transaction: Transaction, store: str, there: set[str]) -> Mark:
    """Recreate all tables, empty, where tables with the names `there` exist; never drops one that is not AURA's.

    Raises `StoreMisconfigured` if a foreign table is in the way.
    """
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
    insert = f"INSERT INTO {MARK.name} VALUES (?, ?, ?, ?)"
    transaction.execute(insert, (_NAME, mark.position, mark.digest, mark.schema))
    return mark


def empty_tables(transaction: Transaction, store: str, there: set[str]) -> Mark:
    """Empty all tables, keeping those of this program's schema and recreating the others.

    Raises the errors of `create_tables`.
    """
    mark = mark_among(transaction, there)
    if mark is None or mark.schema != schema_version() or not TABLES.keys() <= there:
        return create_tables(transaction, store, there)
    for table in schema.FOLDED:
        transaction.execute(f"DELETE FROM {table.name}")
    empty = Mark(0, "", mark.schema)
    write_mark(transaction, empty)
    return empty


@cache
def _upsert(table: Table) -> str:
    names = ", ".join(f'"{name}"' for name in table.names)
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in table.names if name != table.key)
    values = ", ".join("?" * len(table.columns))
    return f'INSERT INTO {table.name} ({names}) VALUES ({values}) ON CONFLICT ("{table.key}") DO UPDATE SET {others}'


# --- Folding ----------------------------------------------------------------------------------------------------------


class Fold:
    """Folds records into the tables of a database, in one transaction at a time."""

    def __init__(self, database: Database, store: str, *, states_kept: int = STATES_KEPT) -> None:
        """`store` is the log's name, for errors."""
        self._database = database
        self._store = store
        self._states_kept = states_kept
        self._states: OrderedDict[StreamId, tuple[int, Any]] = OrderedDict()

    def apply(self, transaction: Transaction, records: Sequence[EventRecord]) -> None:
        """Write the rows for `records`, which must follow those already folded.

        Leaves out streams that are damaged. Raises `EventOutOfOrder` for the first that is not possible, and the errors
        of the transaction.
        """
        damaged = damaged_streams(transaction)
        records = [record for record in records if record.stream_id not in damaged]
        self._load(transaction, records)
        before = {record.stream_id: self._states.get(record.stream_id, (0, None))[1] for record in records}
        last: dict[StreamId, EventRecord] = {}
        rows: dict[Table, list[Row]] = {}
        for record in records:
            state = self._evolve(record)
            last[record.stream_id] = record
            for table, row in event_rows(record, state):
                rows.setdefault(table, []).append(row)
        for record in last.values():
            self._add_state(record, rows)
        self._set_timers(transaction, last.values(), before, rows)
        for table, found in rows.items():
            self._write(transaction, table, found)
        while len(self._states) > self._states_kept:
            self._states.popitem(last=False)

    def _load(self, transaction: Transaction, records: Iterable[EventRecord]) -> None:
        """Load the states before `records` of all their streams."""
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
            statement = f"SELECT id, kind, version, {state_column(transaction)} FROM aggregates WHERE id IN ({marks})"
            for stream_id, kind, version, state in transaction.execute(statement, some):
                self._states[stream_id] = (version, decoder_of(kind).decode(state))

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
        """Add the rows for the state after the last event of a stream."""
        kind = AGGREGATE_OF[type(record.event)].name
        _, state = self._states[record.stream_id]
        place = {"version": record.version, "position": record.position}
        whole = {"id": record.stream_id, "kind": kind, **place, "state": msgspec.json.encode(state).decode()}
        rows.setdefault(schema.AGGREGATES, []).append(whole)
        listed = STATE_TABLES[kind]
        rows.setdefault(listed.table, []).append(listed.row(record, state))

    def _set_timers(
        self,
        transaction: Transaction,
        last: Iterable[EventRecord],
        before: Mapping[StreamId, Any],
        rows: dict[Table, list[Row]],
    ) -> None:
        """Add the timers that streams have now and did not have `before` their events; remove those that are gone."""
        gone: list[tuple[str]] = []
        for record in last:
            kind = AGGREGATE_OF[type(record.event)].name
            _, state = self._states[record.stream_id]
            new, over = timer_rows(record.stream_id, kind, before[record.stream_id], state)
            gone += [(timer,) for timer in over]
            if new:
                rows.setdefault(schema.TIMERS, []).extend(new)
        if gone:
            transaction.execute_many(f"DELETE FROM {schema.TIMERS.name} WHERE id = ?", gone)

    def _write(self, transaction: Transaction, table: Table, rows: Iterable[Row]) -> None:
        convert = self._database.to_database
        columns = table.columns
        values = [[convert(column.kind, row[column.name]) for column in columns] for row in rows]
        transaction.execute_many(_upsert(table), values)

    def _out_of_order(self, record: EventRecord, reason: str) -> EventOutOfOrder:
        return EventOutOfOrder(store=self._store, stream_id=record.stream_id, position=record.position, reason=reason)


def state_column(transaction: Transaction) -> str:
    """Return the expression for the column ``state`` as the text that was stored."""
    return "state" if transaction.dialect == "sqlite" else "state::text"


@cache
def decoder_of(kind: str) -> msgspec.json.Decoder[Any]:
    """Return the decoder of stored aggregate states of `kind`."""
    return json_decoder(STATE_TABLES[kind].aggregate.state)
