"""Reading: all things of a kind, from the log alone. Opens nothing but the log, and only to read."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from aura_cli._settings import Settings
from aura_cli._store import is_absent
from aura_cli.rendering.terminal import Terminal
from aura_contracts.execution import EXECUTION, Execution
from aura_contracts.ids import StreamId
from aura_contracts.machine import Aggregate, State
from aura_contracts.ports import EventLog
from aura_store import open_log
from aura_store.repository import Repository

S = TypeVar("S", bound=State)


@asynccontextmanager
async def reading(settings: Settings, terminal: Terminal) -> AsyncIterator[EventLog]:
    """Open the log to read it: an empty one where the default store is not there yet."""
    absent = is_absent(settings, terminal)
    async with open_log("memory:" if absent else settings.store, **{} if absent else settings.reading) as log:
        yield log


async def all_of(log: EventLog, aggregate: Aggregate[S]) -> Sequence[S]:
    """Return the states of all aggregates of a kind, the oldest first."""
    load = Repository(log).load
    topics = [event.topic for event in aggregate.table[None]]
    ids = dict.fromkeys([record.stream_id async for record in log.read(topics=topics)])
    loaded = [(await load(aggregate, stream_id)).state for stream_id in ids]
    return [state for state in loaded if state is not None]


async def one_of(log: EventLog, aggregate: Aggregate[S], stream_id: StreamId) -> S:
    """Return the state of an aggregate that is there, as `aura_cli._lookup.find_id` has found."""
    state = (await Repository(log).load(aggregate, stream_id)).state
    assert state is not None, "its stream has begun"
    return state


async def sessions(log: EventLog) -> Sequence[Execution]:
    """Return the runs whose agent named a session, the newest of each session, the oldest session first."""
    newest: dict[tuple[str, str], Execution] = {}
    for execution in await all_of(log, EXECUTION):
        if execution.session_id is not None:
            key = (execution.executor, execution.session_id)
            newest.pop(key, None)
            newest[key] = execution
    return list(newest.values())
