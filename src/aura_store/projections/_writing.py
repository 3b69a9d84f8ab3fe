"""Writing: what a runner does to the tables, each function inside one transaction. Blocking.

Every transaction of a runner begins by locking the rows of ``projection_positions`` and looking where they stand. It
goes on only when they stand where the changes were made from (compare and set), so of any number of runners exactly one
applies an event.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    MetaData,
    Table,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable, DropTable

from aura_contracts.errors import StoreMisconfigured
from aura_store.projections._rows import Row
from aura_store.projections.projector import Changes, Projection
from aura_store.projections.tables import POSITIONS

_CREATION = int.from_bytes(b"auraread")
"""PostgreSQL's advisory lock under which ``projection_positions`` is created."""


@attrs.frozen
class Mark:
    """Where a projection stands. `schema` is empty before the first build."""

    position: int
    schema: str


Marks = Mapping[str, Mark]
"""Name of a projection -> where it stands."""


# --- Positions --------------------------------------------------------------------------------------------------------


def read_marks(connection: Connection, projections: Iterable[Projection]) -> dict[str, Mark] | None:
    """Return where `projections` stand; None if somebody has to `create_marks` first."""
    if not inspect(connection).has_table(POSITIONS.name):
        return None
    marks = _marks(connection, projections, lock=False)
    return marks if len(marks) == len(tuple(projections)) else None


def create_marks(connection: Connection, projections: Iterable[Projection]) -> None:
    """Create the table of positions, and a row for each of `projections` that has none."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_CREATION)))
    connection.execute(CreateTable(POSITIONS, if_not_exists=True))
    rows = [{"name": each.name, "position": 0, "schema_version": ""} for each in projections]
    connection.execute(_upsertable(connection, POSITIONS).on_conflict_do_nothing(), rows)


def lock_marks(connection: Connection, projections: Iterable[Projection]) -> dict[str, Mark]:
    """Return where `projections` stand, and let nobody move them until the transaction ends."""
    return _marks(connection, projections, lock=True)


def _marks(connection: Connection, projections: Iterable[Projection], *, lock: bool) -> dict[str, Mark]:
    names = [each.name for each in projections]
    wanted = select(POSITIONS).where(POSITIONS.c.name.in_(names)).order_by(POSITIONS.c.name)
    rows = connection.execute(wanted.with_for_update() if lock else wanted)
    return {row.name: Mark(row.position, row.schema_version) for row in rows}


def _set_marks(connection: Connection, marks: Marks) -> None:
    statement = update(POSITIONS).where(POSITIONS.c.name == bindparam("which"))
    values: dict[str, Any] = {"position": bindparam("at"), "schema_version": bindparam("schema")}
    rows = [{"which": name, "at": mark.position, "schema": mark.schema} for name, mark in marks.items()]
    connection.execute(statement.values(values), rows)


# --- One batch --------------------------------------------------------------------------------------------------------


def apply_batch(
    connection: Connection, projections: Sequence[Projection], changes: Changes, expected: Marks, position: int
) -> bool:
    """Apply `changes` and move to `position`, if the projections stand as `expected`; say whether they did."""
    if lock_marks(connection, projections) != expected:
        return False
    put_rows(connection, {each.name: each.table for each in projections}, changes)
    _set_marks(
        connection,
        {name: Mark(position, mark.schema) for name, mark in expected.items() if mark.position < position},
    )
    return True


def put_rows(connection: Connection, tables: Mapping[str, Table], changes: Changes) -> None:
    """Put the rows of `changes` into `tables` (by the projection's name), in place of those of the same key."""
    for name, rows in changes.items():
        if rows:
            _upsert(connection, tables[name], list(rows.values()))


def _upsert(connection: Connection, table: Table, rows: list[Row]) -> None:
    statement = _upsertable(connection, table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)


def _upsertable(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def create_empty(connection: Connection, projections: Sequence[Projection], store: str) -> None:
    """Create the tables of `projections` with nothing in them, standing at position 0."""
    create_marks(connection, projections)
    marks = lock_marks(connection, projections)
    for each in projections:
        _create_anew(connection, each, marks[each.name], store)
    _set_marks(connection, {each.name: Mark(0, each.schema) for each in projections})


# --- Rebuilding -------------------------------------------------------------------------------------------------------


def shadow_of(table: Table, number: int) -> Table:
    """Return the definition of a table like `table` that only one connection sees, and that is gone when it closes.

    It has the checks, so that what would be refused is refused at its event; it has no indexes, which nobody would use.
    """
    columns = (Column(c.name, c.type, primary_key=c.primary_key, nullable=c.nullable) for c in table.c)
    checks = (CheckConstraint(str(c.sqltext)) for c in table.constraints if isinstance(c, CheckConstraint))
    return Table(f"rebuild_{number}_{table.name}", MetaData(), *columns, *checks, prefixes=["TEMPORARY"])


def create_shadows(connection: Connection, shadows: Mapping[str, Table]) -> None:
    """Create the tables that a rebuild fills."""
    for shadow in shadows.values():
        connection.execute(CreateTable(shadow))


def drop_shadows(connection: Connection, shadows: Mapping[str, Table]) -> None:
    """Remove the tables that a rebuild has filled."""
    for shadow in shadows.values():
        connection.execute(DropTable(shadow, if_exists=True))


def swap_in(
    connection: Connection, projections: Sequence[Projection], shadows: Mapping[str, Table], position: int, store: str
) -> bool:
    """Replace what the tables hold by what `shadows` hold, which is the fold up to `position`.

    Return False, having changed nothing, where the tables are further on already under the same schema. Raises
    `StoreMisconfigured` for tables that are somebody else's.
    """
    marks = lock_marks(connection, projections)
    if any(marks[each.name].schema == each.schema and marks[each.name].position > position for each in projections):
        return False
    for projection in projections:
        table, shadow = projection.table, shadows[projection.name]
        if marks[projection.name].schema == projection.schema:
            connection.execute(delete(table))
        else:
            _create_anew(connection, projection, marks[projection.name], store)
        names = [column.name for column in table.c]
        connection.execute(insert(table).from_select(names, select(shadow)))
    _set_marks(connection, {each.name: Mark(position, each.schema) for each in projections})
    return True


def _create_anew(connection: Connection, projection: Projection, mark: Mark, store: str) -> None:
    """Create the table as it is defined now; what an older program made is dropped, what is not AURA's never."""
    table = projection.table
    if not mark.schema and inspect(connection).has_table(table.name):
        raise StoreMisconfigured(
            store=store,
            reason=f"it has a table {table.name} that is not AURA's",
            remedy="give AURA a database or schema of its own",
        )
    if mark.schema:
        table.drop(connection, checkfirst=True)
    table.create(connection, checkfirst=False)
