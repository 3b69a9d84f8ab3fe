"""Bootstrap: where the engine meets its adapters. No other module of the engine imports them.

async with open_desk("sqlite:///aura.db", clock=clock, ids=ids) as desk:
    await desk.handle(human("alice"), task_id, CreateTask(task_id=task_id, title="Fix the login"))
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aura_contracts.ids import IdFactory
from aura_contracts.ports import Clock, EventLog
from aura_engine.commands import Desk
from aura_store import open_log
from aura_store._open import Compression
from aura_store.repository import Repository


@asynccontextmanager
async def open_desk(
    url: str,
    *,
    clock: Clock,
    ids: IdFactory,
    encryption_key: str | None = None,
    compression: Compression | None = None,
) -> AsyncIterator[Desk]:
    """Open the log at `url`, see `aura_store.open_log`, and give a desk at which commands on it are handled."""
    async with open_log(url, encryption_key=encryption_key, compression=compression, clock=clock) as log:
        yield desk_on(log, clock=clock, ids=ids)


def desk_on(log: EventLog, *, clock: Clock, ids: IdFactory) -> Desk:
    """Return a desk on a log that is open already."""
    return Desk(log=log, load=Repository(log).load, clock=clock, ids=ids)
