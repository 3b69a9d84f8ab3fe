"""The past: read models at a position or a time, and the changes between two moments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.ports import EventLog
from aura_contracts.ports.archive import RowDifference
from aura_contracts.ports.read_models import Moment, moment_of
from aura_store.read_models._check import Kind, compare_tables
from aura_store.read_models._database import Transaction, memory_database
from aura_store.read_models._models import LogReadModels


@asynccontextmanager
async def read_models_as_of(log: EventLog, at: Moment) -> AsyncIterator[LogReadModels]:
    """Open read models in memory as of a moment, folded at the first query.

    As of a time means the log as it was before the first event recorded after that time. Raises `InvalidInput` for a
    position below 0 or beyond the end, and `NaiveDatetime`.
    """
    position = await position_at(log, at)
    models = LogReadModels(log, memory_database(f"{log.name} as of position {position}"), upto=position)
    try:
        yield models
    finally:
        await models.aclose()


async def position_at(log: EventLog, at: Moment) -> int:
    """Return the position of the last event at a moment; 0 if there is no event yet."""
    if isinstance(at, date):  # a datetime is one, too
        moment = moment_of(at, "at")
        assert isinstance(moment, datetime), "a date is an instant"
        position = 0
        while records := await log.page(position):
            later = next((record for record in records if record.time > moment), None)
            if later is not None:
                return later.position - 1
            position = records[-1].position
        return position
    head = await log.head()
    if not 0 <= at <= head:
        reason = f"{at} is not a position of the log, which ends at {head}"
        raise InvalidInput(field="at", reason=reason, remedy=f"use a position from 0 to {head}, or a time")
    return at


@attrs.frozen(kw_only=True)
class ModelsDiff:
    """The changes in the read models between two positions, row by row and field by field."""

    before: int
    after: int
    differences: tuple[RowDifference, ...]


async def diff_read_models(log: EventLog, before: Moment, after: Moment) -> ModelsDiff:
    """Return the rows added, removed and changed between two moments, by table. Raises as `read_models_as_of`."""
    async with read_models_as_of(log, before) as old, read_models_as_of(log, after) as new:
        first, last = await old.catch_up(), await new.catch_up()

        def compare(before: Transaction) -> tuple[RowDifference, ...]:
            with new.database.transaction() as later:
                kinds: tuple[Kind, Kind, Kind] = ("removed", "added", "changed")
                return tuple(compare_tables((old.database, before), (new.database, later), kinds)[1])

        return ModelsDiff(before=first, after=last, differences=await old.read(compare))
