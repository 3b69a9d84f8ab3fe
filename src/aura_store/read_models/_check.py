"""Checking: compares the tables with the log, row by row and field by field.

The log is folded again, in memory, up to the position of the tables; then the two are compared in one transaction of
the database. If another process moves the tables in between, the fold continues from where it is, and the comparison
starts over.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, Literal

import attrs
import msgspec

from aura_contracts.aggregate import Aggregate
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Snapshot
from aura_contracts.first_use import decode_json
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_contracts.ports.archive import BadSnapshot, Change, RowDifference, StoreReport
from aura_store.read_models._database import Database, Transaction, memory_database
from aura_store.read_models._fold import find_mark
from aura_store.read_models._models import LogReadModels
from aura_store.read_models._rows import Row
from aura_store.read_models._schema import FOLDED
from aura_store.read_models._table import Table
from aura_store.repository import snapshot_schema

LISTED: Final = 1000
"""The most differences in a report."""

_PAGE: Final = 500

Kind = Literal["missing", "extra", "different"]


async def check_read_models(models: LogReadModels) -> StoreReport:
    """Catch up, then compare the tables with a fold of the log, and snapshots with their streams; change nothing else.

    Lists up to `LISTED` differences. Raises the errors of `LogReadModels.catch_up`.
    """
    position = await models.catch_up()
    while True:
        fresh = LogReadModels(models.log, memory_database(), upto=position)
        try:
            await fresh.catch_up()
            found = await models.read(partial(_compare, models, fresh, position))
        finally:
            await fresh.aclose()
        if found is not None:
            break
        position = await models.catch_up()
    rows, differences = found
    snapshots, bad = await _check_snapshots(models.log)
    return StoreReport(
        events=await models.log.head(),
        position=position,
        rows=rows,
        differences=tuple(differences),
        snapshots=snapshots,
        bad_snapshots=tuple(bad),
    )


def _compare(
    models: LogReadModels, fresh: LogReadModels, position: int, stored: Transaction
) -> tuple[int, list[RowDifference]] | None:
    """Compare all tables if they are at `position`; otherwise return None."""
    mark = find_mark(stored)
    if mark is None or mark.position != position:
        return None
    with fresh.database.transaction() as folded:
        comparison = _Comparison(_Side(models.database, stored), _Side(fresh.database, folded))
        found = list(islice(comparison.all(), LISTED))
        return comparison.rows, found


# --- Comparing --------------------------------------------------------------------------------------------------------


Key = Any


@attrs.frozen
class _Side:
    """One of the two databases to compare, page by page, in the database's own sort order."""

    database: Database
    transaction: Transaction

    def pages(self, table: Table) -> Iterator[dict[Key, Row]]:
        last: Key = ""
        while page := self._rows(table, f'"{table.key}" > ?', (last,)):
            yield page
            last = next(reversed(page))

    def by_key(self, table: Table, keys: Collection[Key]) -> dict[Key, Row]:
        return self._rows(table, f'"{table.key}" IN ({", ".join("?" * len(keys))})', tuple(keys))

    def _rows(self, table: Table, condition: str, values: tuple[Any, ...]) -> dict[Key, Row]:
        names = ", ".join(
            f'"{name}"::text' if column.kind == "state" and self.database.dialect == "postgresql" else f'"{name}"'
            for name, column in zip(table.names, table.columns, strict=True)
        )
        statement = f'SELECT {names} FROM {table.name} WHERE {condition} ORDER BY "{table.key}" LIMIT {_PAGE}'
        rows = self.transaction.execute(statement, values)
        plain = (self.database.plain(table.columns, row) for row in rows)
        return {row[table.key]: row for row in plain}


class _Comparison:
    """Compares tables; `rows` counts the rows seen."""

    def __init__(self, before: _Side, after: _Side) -> None:
        self.rows = 0
        self._before = before
        self._after = after

    def all(self) -> Iterator[RowDifference]:
        """Yield the differences of all tables."""
        for table in FOLDED:
            yield from self._table(table)

    def _table(self, table: Table) -> Iterator[RowDifference]:
        for page in self._before.pages(table):
            others = self._after.by_key(table, page)
            for key, row in page.items():
                self.rows += 1
                if key not in others:
                    yield _difference(table, key, "extra", row, {})
                elif any(not same(row[name], others[key][name]) for name in row):
                    yield _difference(table, key, "different", row, others[key])
        for page in self._after.pages(table):
            known = self._before.by_key(table, page)
            for key, row in page.items():
                if key not in known:
                    self.rows += 1
                    yield _difference(table, key, "missing", {}, row)


def _difference(table: Table, key: Key, kind: Kind, before: Row, after: Row) -> RowDifference:
    old: Row = msgspec.to_builtins(before)
    new: Row = msgspec.to_builtins(after)
    names = [name for name in table.names if not same(old.get(name), new.get(name))]
    changes = tuple(Change(name, old.get(name), new.get(name)) for name in names)
    return RowDifference(table.name, str(key), kind, changes)


def same(one: Any, other: Any) -> bool:
    """Whether two values of a row are the same after a round trip through a database.

    Databases store JSON numbers as written or as decimals: 1e300 may come back as an integer.
    """
    if isinstance(one, float) ^ isinstance(other, float) and not isinstance(one, bool | None | str):
        return isinstance(other, int | float) and float(one) == float(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# --- Snapshots --------------------------------------------------------------------------------------------------------


async def _check_snapshots(log: EventLog) -> tuple[int, list[BadSnapshot]]:
    """Fold and compare every stream with a snapshot that this program would use."""
    aggregate_of = {event: aggregate for aggregate in AGGREGATES for event in aggregate.table[None]}
    streams: dict[StreamId, Aggregate[Any]] = {}
    async for record in log.read(topics=[event.topic for event in aggregate_of]):
        streams.setdefault(record.stream_id, aggregate_of[type(record.event)])
    checked, bad = 0, []
    for stream_id, aggregate in streams.items():
        snapshot = await log.load_snapshot(stream_id)
        if snapshot is None or snapshot.schema != snapshot_schema(aggregate):
            continue
        checked += 1
        reason = await _wrong_with(log, aggregate, stream_id, snapshot.version, snapshot.data)
        if reason:
            bad.append(BadSnapshot(aggregate.name, stream_id, snapshot.version, reason))
    return checked, bad


async def _wrong_with(
    log: EventLog, aggregate: Aggregate[Any], stream_id: StreamId, version: int, data: bytes
) -> str | None:
    facts = await log.facts(stream_id, upto=version)
    if len(facts) < version:
        return f"the stream ends at version {len(facts)}"
    try:
        state = aggregate.fold(facts)
        kept = decode_json(data, aggregate.state)
    except (msgspec.MsgspecError, ImpossibleTransition) as error:
        return str(error)
    return None if kept == state else "it differs from the fold of the events"


async def repair_snapshot(log: EventLog, bad: BadSnapshot) -> None:
    """Replace a bad snapshot by one that its stream folds to."""
    aggregate = next(each for each in AGGREGATES if each.name == bad.aggregate)
    facts = await log.facts(bad.stream_id)
    if len(facts) >= bad.version:
        data = msgspec.json.encode(aggregate.fold(facts))
        await log.save_snapshot(Snapshot(bad.stream_id, len(facts), snapshot_schema(aggregate), data))
