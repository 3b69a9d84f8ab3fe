"""Checking: what the tables say against what the log says, row by row and field by field.

The log is folded once more, into memory, up to where the tables stand; then the two are compared in one transaction of
the database. When a runner moved the tables in between, the fold goes on from where it is, and they are compared again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal

import attrs
import msgspec
from sqlalchemy import ColumnElement, Connection, Table, select, tuple_

from aura_contracts.aggregate import Aggregate
from aura_contracts.aggregates import AGGREGATES
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_store.history import Change
from aura_store.projections import _writing as writing
from aura_store.projections._database import Database, memory_database
from aura_store.projections._rows import Row, plain_row
from aura_store.projections.projector import Projection, as_json, same
from aura_store.projections.runner import ProjectionRunner
from aura_store.repository import snapshot_schema

LISTED: Final = 1000
"""Differences that a report lists at most."""

_PAGE: Final = 500

Kind = Literal["missing", "extra", "different", "added", "removed", "changed"]

Key = tuple[Any, ...]


class RowDifference(msgspec.Struct, frozen=True):
    """A row that is not the same on both sides; values are JSON-ready.

    Of a check: ``missing`` from the table, ``extra`` in it, ``different``; `before` is what the table says, `after`
    what the log says. Of a comparison of two moments: ``added``, ``removed``, ``changed``.
    """

    table: str
    id: str
    kind: Kind
    changes: tuple[Change, ...]


class BadSnapshot(msgspec.Struct, frozen=True):
    """A snapshot that is not what its stream folds to. It is a cache: deleting it is safe."""

    aggregate: str
    stream_id: StreamId
    version: int
    reason: str


@attrs.frozen(kw_only=True)
class CheckReport:
    """What a check found. `positions` is where each projection stands, `rows` how many were compared."""

    positions: Mapping[str, int]
    rows: int
    differences: tuple[RowDifference, ...]
    snapshots: int
    bad_snapshots: tuple[BadSnapshot, ...]

    @property
    def ok(self) -> bool:
        """Whether read models and snapshots say what the log says."""
        return not self.differences and not self.bad_snapshots


async def check_read_models(runner: ProjectionRunner, *, listed: int = LISTED) -> CheckReport:
    """Compare the tables of `runner` with a fold of the log, and snapshots with their streams; change nothing.

    Lists up to `listed` differences. Raises `StoreMisconfigured` when the tables were built by another version,
    and what `ProjectionRunner.catch_up` raises for a log that does not fold.
    """
    await runner.require_built()
    fresh = memory_database()
    try:
        replays = {
            each.name: ProjectionRunner(runner.log, fresh, (each,), batch=runner.batch) for each in runner.projections
        }
        while True:
            positions = await runner.positions()
            for name, replay in replays.items():
                await replay.fold_until(positions[name])
            found = await runner.database.patiently(
                lambda expected=positions: _compare(runner, fresh, expected, listed)  # type: ignore[misc]
            )
            if found is not None:
                break
    finally:
        await fresh.aclose()
    rows, differences = found
    snapshots, bad = await _check_snapshots(runner.log)
    return CheckReport(
        positions=positions, rows=rows, differences=tuple(differences), snapshots=snapshots, bad_snapshots=tuple(bad)
    )


def _compare(
    runner: ProjectionRunner, fresh: Database, expected: Mapping[str, int], listed: int
) -> tuple[int, list[RowDifference]] | None:
    """Compare all tables while they stand at `expected`; None if they do not."""

    def both(stored: Connection) -> tuple[int, list[RowDifference]] | None:
        marks = writing.read_marks(stored, runner.projections) or {}
        if {name: mark.position for name, mark in marks.items()} != expected:
            return None

        def with_fresh(replayed: Connection) -> tuple[int, list[RowDifference]]:
            comparison = Comparison(stored, replayed, ("extra", "missing", "different"))
            differences = list(islice(comparison.all(runner.projections), listed))
            return comparison.rows, differences

        return fresh.do(with_fresh)

    return runner.database.do(both, isolation="REPEATABLE READ")


# --- Comparing --------------------------------------------------------------------------------------------------------


class Comparison:
    """Compares tables of two databases, page by page, in whatever order each sorts. `rows` counts those looked at."""

    def __init__(self, before: Connection, after: Connection, kinds: tuple[Kind, Kind, Kind]) -> None:
        """`kinds` are the words for a row that is only before, only after, and on both sides but different."""
        self.rows = 0
        self._before = before
        self._after = after
        self._kinds = kinds

    def all(self, projections: Iterable[Projection]) -> Iterator[RowDifference]:
        """Yield the differences of all tables."""
        for projection in projections:
            yield from self.table(projection.table)

    def table(self, table: Table) -> Iterator[RowDifference]:
        """Yield the differences of one table."""
        only_before, only_after, different = self._kinds
        for page in _pages(self._before, table):
            others = _by_key(self._after, table, page)
            for key, row in page.items():
                self.rows += 1
                if key not in others:
                    yield _difference(table, key, only_before, row, {})
                elif any(not same(row[name], others[key][name]) for name in row):
                    yield _difference(table, key, different, row, others[key])
        for page in _pages(self._after, table):
            known = _by_key(self._before, table, page)
            for key, row in page.items():
                if key not in known:
                    self.rows += 1
                    yield _difference(table, key, only_after, {}, row)


def _pages(connection: Connection, table: Table) -> Iterator[dict[Key, Row]]:
    columns = tuple(table.primary_key)
    last: Key | None = None
    while True:
        query = select(table).order_by(*columns).limit(_PAGE)
        if last is not None:
            query = query.where(tuple_(*columns) > tuple_(*last))
        page = _keyed(table, connection.execute(query).mappings())
        if not page:
            return
        yield page
        last = next(reversed(page))


def _by_key(connection: Connection, table: Table, keys: Collection[Key]) -> dict[Key, Row]:
    columns = tuple(table.primary_key)
    chosen: ColumnElement[bool] = (
        columns[0].in_([key[0] for key in keys]) if len(columns) == 1 else tuple_(*columns).in_(list(keys))
    )
    return _keyed(table, connection.execute(select(table).where(chosen)).mappings())


def _keyed(table: Table, rows: Iterable[Mapping[Any, Any]]) -> dict[Key, Row]:
    names = [column.name for column in table.primary_key]
    return {tuple(row[name] for name in names): plain_row(row) for row in rows}


def _difference(table: Table, key: Key, kind: Kind, before: Row, after: Row) -> RowDifference:
    old, new = as_json(before), as_json(after)
    names = [name for name in map(str, table.c.keys()) if not same(old.get(name), new.get(name))]
    changes = tuple(Change(name, old.get(name), new.get(name)) for name in names)
    return RowDifference(str(table.name), "/".join(map(str, key)), kind, changes)


# --- Snapshots --------------------------------------------------------------------------------------------------------


async def _check_snapshots(log: EventLog) -> tuple[int, list[BadSnapshot]]:
    """Fold every stream that has a snapshot this program would use, and compare."""
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
        kept = msgspec.json.decode(data, type=aggregate.state)
    except (msgspec.MsgspecError, ImpossibleTransition) as error:
        return str(error)
    return None if kept == state else "it differs from what the events fold to"
