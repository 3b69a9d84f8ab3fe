"""Opening the read models of a log, in the right place.

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
from aura_store.read_models._models import PATIENT, LogReadModels
from aura_store.sqlite._sqlite_recorder import SQLiteRecorder

SUFFIX = ".models"
"""The suffix of the file with the read models, after the name of the log's file."""


@asynccontextmanager
async def open_read_models(log: EventLog) -> AsyncIterator[LogReadModels]:
    """Open the read models of an open log. Nothing is read or written before the first query.

    They are in the log's database on PostgreSQL, and in a file next to the log's on SQLite. They are in the memory of
    this process for a ``memory:`` log, for a log from an adapter outside AURA, for one whose database is not writable,
    and for an **encrypted** log, which they would otherwise reveal. Queries wait for a locked or unreachable database
    as long as the log does.
    """
    models = LogReadModels(
        log, database_of(log), patience=log.patience if isinstance(log, RecorderEventLog) else PATIENT
    )
    try:
        yield models
    finally:
        await models.aclose()


def database_of(log: EventLog) -> Database:
    """Return the database for the read models of `log`."""
    recorder = log.recorder if isinstance(log, RecorderEventLog) and not log.encrypted else None
    if isinstance(recorder, SQLiteRecorder):
        return SQLiteDatabase(models_path(recorder.path), f"{log.name}{SUFFIX}", lock_timeout=recorder.lock_timeout)
    if recorder is None or recorder.name.startswith("memory:"):
        return memory_database(log.name)
    return _postgres_database(recorder, log.name)


def models_path(path: Path) -> Path:
    """Return the path of the read models for the log file at `path`."""
    return path.with_name(f"{path.name}{SUFFIX}")


def _postgres_database(recorder: Any, name: str) -> Database:
    from aura_store.postgres._read_model_database import PostgresDatabase  # noqa: PLC0415 - needs the extra

    return PostgresDatabase(recorder.connect, recorder.schema, name)
