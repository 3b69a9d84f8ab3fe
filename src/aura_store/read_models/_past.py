"""The past: read models at a position or a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from aura_contracts.errors import InvalidInput
from aura_contracts.ports import EventLog
from aura_contracts.ports.time_arguments import Moment, instant_of
from aura_store.read_models._database import memory_database
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
        return await log.position_at(instant_of(at, "at"))
    head = await log.head()
    if not 0 <= at <= head:
        reason = f"{at} is not a position of the log, which ends at {head}"
        raise InvalidInput(field="at", reason=reason, remedy=f"use a position from 0 to {head}, or a time")
    return at
