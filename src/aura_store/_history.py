"""Time travel: the state at a position or a time, its history, and the changes between two moments.

A moment is a position of the log or an aware datetime. The log *as of* a time consists of everything appended before
the first event with a later time arrived.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from aura_contracts.aggregate import Aggregate, State
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import EventOutOfOrder, ImpossibleTransition
from aura_contracts.events import Event, EventRecord, event_fields
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_contracts.ports.archive import Change, HistoryLine, Progress, World
from aura_contracts.ports.time_arguments import Moment, moment_of
from aura_store.repository import Loaded, fold_records

S = TypeVar("S", bound=State)

PROGRESS_EVERY = 10_000
"""Events between two reports of progress."""


async def state_at(log: EventLog, aggregate: Aggregate[S], aggregate_id: StreamId, at: Moment) -> Loaded[S]:
    """Return an aggregate at a moment; its state is None if it did not exist yet."""
    records = await _stream_until(log, aggregate_id, at)
    return Loaded(fold_records(log, aggregate, records), len(records))


async def history(log: EventLog, aggregate: Aggregate[Any], aggregate_id: StreamId) -> list[HistoryLine]:
    """Return the history of one aggregate: a line for each event, with what it changed."""
    lines: list[HistoryLine] = []
    state: State | None = None
    for record in await log.stream(aggregate_id):
        before, state = state, fold_records(log, aggregate, [record], state)
        changes = tuple(diff(before, state))
        fields = event_fields(record.event)
        line = HistoryLine(
            record.position, record.version, record.time, record.actor, record.event.topic, fields, changes
        )
        lines.append(line)
    return lines


def diff(before: State | None, after: State | None) -> list[Change]:
    """Return the fields in which two states differ, in the order of their definition."""
    old: dict[str, Any] = {} if before is None else msgspec.to_builtins(before)
    new: dict[str, Any] = {} if after is None else msgspec.to_builtins(after)
    names = dict.fromkeys([*new, *old])
    return [Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


class WorldFold:
    """Every aggregate of a log, folded event by event.

    `states` maps the name of an aggregate to its states by id. Events of unknown aggregates are skipped.
    """

    def __init__(self) -> None:
        self.position = 0
        self.states: dict[str, dict[StreamId, Any]] = {}
        self._aggregate_of: dict[type[Event], Aggregate[Any]] = {
            event: aggregate for aggregate in AGGREGATES for event in aggregate.events
        }

    def apply(self, record: EventRecord) -> None:
        """Fold one more event. Raises `EventOutOfOrder` if it is not possible in the current state."""
        aggregate = self._aggregate_of.get(type(record.event))
        if aggregate is not None:
            states = self.states.setdefault(aggregate.name, {})
            try:
                states[record.stream_id] = aggregate.evolve(states.get(record.stream_id), record)
            except ImpossibleTransition as miss:
                raise EventOutOfOrder(stream_id=record.stream_id, position=record.position, reason=str(miss)) from miss
        self.position = record.position


async def world_at(log: EventLog, at: Moment | None = None, *, on_progress: Progress | None = None) -> World:
    """Return all aggregates at a moment (None: now)."""
    fold, head = WorldFold(), await log.head()
    async with aclosing(read_until(log, at)) as records:
        async for record in records:
            fold.apply(record)
            if on_progress is not None and fold.position % PROGRESS_EVERY == 0:
                on_progress(fold.position, head)
    if on_progress is not None:
        on_progress(fold.position, fold.position)
    return World(fold.position, fold.states)


async def read_until(log: EventLog, at: Moment | None) -> AsyncGenerator[EventRecord, None]:
    """Yield the log from its start to a moment. Raises `InvalidInput` for a negative position or a naive time."""
    moment = None if at is None else moment_of(at, "at")
    until = moment if isinstance(moment, datetime) else None
    async with aclosing(log.read(upto=moment if isinstance(moment, int) else None)) as records:
        async for record in records:
            if until is not None and record.time > until:
                return
            yield record


async def _stream_until(log: EventLog, stream_id: StreamId, at: Moment) -> Sequence[EventRecord]:
    """Return the events of a stream that are in the log as of a moment.

    For a time, the whole log is read up to there: the order of events in different streams may differ from the order of
    their times, and the state of one aggregate must agree with that of the whole log.
    """
    moment = moment_of(at, "at")
    records = await log.stream(stream_id)
    if not isinstance(moment, int):
        moment = await log.position_at(moment, upto=records[-1].position if records else 0)
    return [record for record in records if record.position <= moment]
