"""Projector: from events to changes of rows. No SQL here, and no rule of the domain either.

    records ──► the aggregate's own `evolve` ──► state after each record ──► the projection's rows ──► `Changes`

A row is made of the state that the contracts fold, so a read model and a state agree by construction. The states of
the streams last touched are kept; others are folded from their streams up to the record at hand. A kept state is
(stream, version) -> fold of immutable events: it stays right whatever becomes of a transaction.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import attrs
import msgspec
from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex, CreateTable

from aura_contracts.agent import AGENT
from aura_contracts.aggregate import Aggregate
from aura_contracts.approval import APPROVAL
from aura_contracts.catalogue import label
from aura_contracts.errors import EventOutOfOrder, ImpossibleTransition, StoreError
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import EXECUTION
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_contracts.task import TASK
from aura_contracts.workflow import WORKFLOW
from aura_store.projections._rows import (
    Row,
    Step,
    agent_row,
    approval_row,
    execution_log_rows,
    task_row,
    usage_rows,
    workflow_row,
)
from aura_store.projections.tables import AGENTS, APPROVALS, EXECUTION_LOGS, TASKS, USAGE, WORKFLOWS
from aura_store.repository import snapshot_schema

STATES_KEPT = 10_000
"""Streams whose state is kept in memory, about a kilobyte each."""


@attrs.define(kw_only=True, eq=False)
class ProjectionFailed(StoreError):
    """A projection cannot go on: the database does not take what it makes of an event. Nothing was skipped."""

    code = "projection_failed"
    store: str
    position: int
    stream_id: StreamId
    reason: str
    remedy: str = "run `aura db check`; the log itself is not touched"

    def message(self) -> str:
        return f"the read models of {self.store} stop at position {self.position}, {self.stream_id}: {self.reason}"


# --- Projections ------------------------------------------------------------------------------------------------------


def _schema_of(projection: "Projection") -> str:
    """Return the version of a projection and a digest of all that its rows depend on beside it."""
    parts = [str(CreateTable(projection.table))]
    parts += sorted(str(CreateIndex(index)) for index in projection.table.indexes)
    for aggregate in projection.aggregates:
        parts += [snapshot_schema(aggregate), *sorted(label(event) for event in aggregate.events)]
    return f"{projection.version}:{sha256(chr(10).join(parts).encode()).hexdigest()[:12]}"


@attrs.frozen(kw_only=True)
class Projection:
    """One table of the read models, and how events become its rows.

    `rows` gets an event and the state after it and returns rows to be there from now on; a row replaces the one of the
    same primary key. With `latest_only` the rows depend on the state alone, so of several events of a stream in one
    batch it gets only the last. `version` is raised when the rows change in a way that the table does not show; the
    table's own definition, and the events and states it is made of, are part of the schema by themselves.
    """

    name: str
    version: int = 1
    table: Table
    aggregates: tuple[Aggregate[Any], ...]
    rows: Callable[[Step], Sequence[Row]] = attrs.field(repr=False)
    latest_only: bool = False
    schema: str = attrs.field(init=False, default=attrs.Factory(_schema_of, takes_self=True))
    """Under which rows and position are stored; another schema means another build."""

    @property
    def topics(self) -> frozenset[str]:
        """What it is made of: all events of its aggregates, also those that only a newer program knows.

        Any may change the state, so one that cannot be read must stop the projection rather than be passed over.
        """
        return frozenset(f"{aggregate.name}.*" for aggregate in self.aggregates)


def _state_projection(table: Table, aggregate: Aggregate[Any], row: Callable[[Step], Row]) -> Projection:
    """Return a projection with one row per aggregate."""
    rows = lambda step: (row(step),)  # noqa: E731 - a name of its own would say no more
    return Projection(name=str(table.name), table=table, aggregates=(aggregate,), rows=rows, latest_only=True)


PROJECTIONS: Final = (
    _state_projection(TASKS, TASK, task_row),
    _state_projection(AGENTS, AGENT, agent_row),
    _state_projection(APPROVALS, APPROVAL, approval_row),
    _state_projection(WORKFLOWS, WORKFLOW, workflow_row),
    Projection(
        name=str(EXECUTION_LOGS.name),
        table=EXECUTION_LOGS,
        aggregates=(EXECUTION, APPROVAL),
        rows=execution_log_rows,
    ),
    Projection(name=str(USAGE.name), table=USAGE, aggregates=(EXECUTION,), rows=usage_rows),
)
"""AURA's own."""


_UNFOLDABLE: Final = (ImpossibleTransition, ArithmeticError, LookupError, TypeError, ValueError)
"""What `evolve` raises for an event that no decision would have let in."""


# --- Folding ----------------------------------------------------------------------------------------------------------

Changes = Mapping[str, Mapping[tuple[Any, ...], Row]]
"""Name of a projection -> primary key -> row."""


class Projector:
    """Folds records and asks projections for rows. Holds states, nothing that a transaction could make wrong."""

    def __init__(self, log: EventLog, projections: Iterable[Projection], *, states_kept: int = STATES_KEPT) -> None:
        self._log = log
        self._projections = tuple(projections)
        self._states_kept = states_kept
        self._states: OrderedDict[StreamId, tuple[int, Any]] = OrderedDict()
        self._aggregates: dict[type[Event], Aggregate[Any]] = {
            event: aggregate
            for each in self._projections
            for aggregate in each.aggregates
            for event in aggregate.events
        }

    async def load(self, records: Sequence[EventRecord]) -> None:
        """Have at hand the states that `records` begin at."""
        versions: dict[StreamId, int] = {}
        for record in records:
            if versions.get(record.stream_id) == record.version - 1:
                versions[record.stream_id] = record.version
                continue
            versions[record.stream_id] = record.version
            await self._load(record)

    async def _load(self, record: EventRecord) -> None:
        before = record.version - 1
        kept = self._states.get(record.stream_id)
        if before == 0:
            self._states.pop(record.stream_id, None)
        elif kept is None or kept[0] != before:
            aggregate = self._aggregates[type(record.event)]
            facts = await self._log.facts(record.stream_id, upto=before)
            try:
                state = aggregate.fold(facts)
            except _UNFOLDABLE as miss:
                raise self._out_of_order(record, miss) from miss
            if len(facts) != before:
                reason = f"version {before} of the stream is missing"
                raise EventOutOfOrder(
                    store=self._log.name, stream_id=record.stream_id, position=record.position, reason=reason
                )
            self._states[record.stream_id] = (before, state)

    def fold(self, records: Sequence[EventRecord], positions: Mapping[str, int]) -> Changes:
        """Return what `records` change. Each projection sees those after its own position in `positions`, in order.

        Pure but for the states kept: `load` must have been called with the same records. Raises `EventOutOfOrder`.
        """
        steps = [self._step(record) for record in records]
        self._forget()
        last = {step.record.stream_id: step for step in steps}
        changes: dict[str, dict[tuple[Any, ...], Row]] = {}
        for projection in self._projections:
            after = positions.get(projection.name)
            if after is None:
                continue
            rows = changes.setdefault(projection.name, {})
            keys = [column.name for column in projection.table.primary_key]
            for step in last.values() if projection.latest_only else steps:
                if step.record.position > after and self._concerns(projection, step):
                    for row in _rows_of(projection, step):
                        rows[tuple(row[key] for key in keys)] = row
        return changes

    def _concerns(self, projection: Projection, step: Step) -> bool:
        return self._aggregates[type(step.record.event)] in projection.aggregates

    def _step(self, record: EventRecord) -> Step:
        _, before = self._states.get(record.stream_id, (0, None))
        try:
            state = self._aggregates[type(record.event)].evolve(before, record)
        except _UNFOLDABLE as miss:
            raise self._out_of_order(record, miss) from miss
        self._states[record.stream_id] = (record.version, state)
        self._states.move_to_end(record.stream_id)
        return Step(record, state)

    def _forget(self) -> None:
        while len(self._states) > self._states_kept:
            self._states.popitem(last=False)

    def _out_of_order(self, record: EventRecord, miss: Exception) -> EventOutOfOrder:
        return EventOutOfOrder(
            store=self._log.name, stream_id=record.stream_id, position=record.position, reason=f"{miss}"
        )


def _rows_of(projection: Projection, step: Step) -> Sequence[Row]:
    try:
        return projection.rows(step)
    except Exception as error:
        record = step.record
        error.add_note(f"projection {projection.name}, position {record.position}, stream {record.stream_id}")
        raise


def same(one: Any, other: Any) -> bool:
    """Whether two values of a row are the same once they went through a database.

    Databases keep JSON numbers as they are written or as decimals: 1e300 may come back as an integer.
    """
    if isinstance(one, float) ^ isinstance(other, float) and not isinstance(one, bool | None | str):
        return isinstance(other, int | float) and float(one) == float(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def as_json(row: Mapping[str, Any]) -> Row:
    """Return `row` as JSON-ready values."""
    values: Row = msgspec.to_builtins(dict(row))
    return values
