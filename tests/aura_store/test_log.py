"""Reading a log from which events were taken: it is said, with the place, before anybody builds on it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aura_contracts.errors import EventOutOfOrder, LogDamaged
from aura_contracts.events import Append
from aura_contracts.ids import TaskId
from aura_contracts.task import TaskChanges, TaskCreated, TaskEdited, TaskSpec
from aura_store import open_log, world_at
from aura_store.testing.log_conformance import fact, stream_id

pytestmark = pytest.mark.anyio

TASKS = [TaskId(stream_id(number)) for number in (1, 2)]


@pytest.fixture
async def without_position_3(tmp_path: Path) -> str:
    """The URL of a log of two tasks that take turns; the second event of the first is gone."""
    path = tmp_path / "aura.db"
    async with open_log(f"sqlite:///{path}") as log:
        for version in range(3):
            for task_id in TASKS:
                event = (
                    TaskEdited(changes=TaskChanges(title=f"Edit {version}"))
                    if version
                    else TaskCreated(task_id=task_id, spec=TaskSpec(title="New"))
                )
                await log.append(Append(task_id, version, (fact(event),)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM stored_events WHERE rowid = 3")
    return f"sqlite:///{path}"


async def test_a_reader_of_the_log_does_not_pass_over_a_missing_event(without_position_3: str) -> None:
    async with open_log(without_position_3) as log:
        with pytest.raises(LogDamaged) as damage:
            await world_at(log)
        assert damage.value.position == 3
        assert [record.position for record in await log.page(3)] == [4, 5, 6]
        assert [record.position for record in await log.page(topics=["task.edited"])] == [4, 5, 6]


async def test_a_reader_of_the_stream_is_told_where_it_breaks(without_position_3: str) -> None:
    async with open_log(without_position_3) as log:
        with pytest.raises(EventOutOfOrder, match="version 2") as damage:
            await log.facts(TASKS[0])
    assert (damage.value.position, damage.value.stream_id) == (5, TASKS[0])
