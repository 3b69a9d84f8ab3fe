"""Opening the read models of a log: where they are.

async with open_log(url) as log, open_read_models(log) as models:
    page = await models.list(TaskQuery(status="awaiting_approval"))
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aura_contracts.ports import EventLog
from aura_store.log._event_log import RecorderEventLog
from aura_store.read_models._database import Database, SQLiteDatabase, memory_database
from aura_store.read_models._models import LogReadModels
from aura_store.sqlite._recorder import SQLiteRecorder

SUFFIX = ".models"
"""Of the file with the read models, behind the name of the log's."""


@asynccontextmanager
async def open_read_models(log: EventLog, *, private: bool = False) -> AsyncIterator[LogReadModels]:
    """Open the read models of an open log. Nothing is read or written before the first question.

    They are in the log's database on PostgreSQL and in a file beside the log's on SQLite. With `private` they are in
    the memory of this process, and always so for a ``memory:`` log, for a log that is none of AURA's own adapters, for
    one whose database may not be written, and for an **encrypted** log: elsewhere they would give away what it hides.
    """
    models = LogReadModels(log, memory_database(log.name) if private else database_of(log))
    try:
        yield models
    finally:
        await models.aclose()


def database_of(log: EventLog) -> Database:
    """Return the database for the read models of `log`."""
    recorder = log.recorder if isinstance(log, RecorderEventLog) and not log.encrypted else None
    if isinstance(recorder, SQLiteRecorder):
        return SQLiteDatabase(models_path(recorder.path), log.name)
    if recorder is None or recorder.name.startswith("memory:"):
        return memory_database(log.name)
    return _postgres_database(recorder, log.name)


def models_path(path: Path) -> Path:
    """Return the file of the read models of the log in the file at `path`."""
    return path.with_name(f"{path.name}{SUFFIX}")


def _postgres_database(recorder: Any, name: str) -> Database:
    from aura_store.postgres._read_models import PostgresDatabase  # noqa: PLC0415 - needs the extra

    return PostgresDatabase(recorder.connect, recorder.schema, name)
