"""Loading aggregates: states, versions, and snapshots that save work and never change an answer."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from aura_contracts.actors import human
from aura_contracts.events import Append, Event, Fact, Snapshot
from aura_contracts.ids import StreamId, TaskId, uuid7_factory
from aura_contracts.ports import EventLog
from aura_contracts.task import TASK, TaskChanges, TaskCreated, TaskEdited, TaskSpec
from aura_store import open_log
from aura_store.repository import AggregateRepository, Loaded, snapshot_schema

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(1).getrandbits)


def fact(event: Event) -> Fact:
    return Fact(event, NOW, human("alice"), new_id(), new_id())


async def write_task(log: EventLog, events: int) -> TaskId:
    task_id = TaskId(new_id())
    edits = tuple(fact(TaskEdited(changes=TaskChanges(title=f"Title {n}"))) for n in range(1, events))
    await log.append(Append(task_id, 0, (fact(TaskCreated(task_id=task_id, spec=TaskSpec(title="Title 0"))), *edits)))
    return task_id


def reads(log: EventLog) -> list[int]:
    """Note from which version on each stream is read."""
    starts: list[int] = []
    original = log.facts

    async def facts(stream_id: StreamId, *, after: int = 0, upto: int | None = None) -> object:
        starts.append(after)
        return await original(stream_id, after=after, upto=upto)

    log.facts = facts  # type: ignore[method-assign, assignment]
    return starts


async def test_what_does_not_exist_is_at_version_0() -> None:
    async with open_log("memory:") as log:
        assert await AggregateRepository(log).load(TASK, new_id()) == Loaded(None, 0)


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{folder}/aura.db"])
@pytest.mark.parametrize("protection", [{}, {"compression": "zlib", "encryption_key": "MDEyMzQ1Njc4OWFiY2RlZg=="}])
async def test_a_snapshot_saves_reading_and_gives_the_same(
    url: str, protection: dict[str, str], tmp_path: Path
) -> None:
    async with open_log(url.format(folder=tmp_path), **protection) as log:  # type: ignore[arg-type]
        task_id = await write_task(log, 10)
        starts = reads(log)
        repository = AggregateRepository(log, snapshot_after=5)
        first = await repository.load(TASK, task_id)
        await log.append(Append(task_id, 10, (fact(TaskEdited(changes=TaskChanges(title="Newer"))),)))
        second = await repository.load(TASK, task_id)
        other = await AggregateRepository(log, snapshot_after=5).load(TASK, task_id)
        whole = await AggregateRepository(log, snapshot_after=None).load(TASK, task_id)
    told = "the beginning, which tells how long it is, once; then what the snapshot does not know"
    assert starts == [0, 5, 10, 0, 10, 0], told
    assert other == whole
    assert first.version == 10
    assert second == whole
    assert second.state is not None
    assert second.state.title == "Newer"


async def test_a_snapshot_is_encrypted_with_the_log(tmp_path: Path) -> None:
    path = tmp_path / "aura.db"
    async with open_log(f"sqlite:///{path}", encryption_key="MDEyMzQ1Njc4OWFiY2RlZg==") as log:
        task_id = await write_task(log, 3)
        await AggregateRepository(log, snapshot_after=1).load(TASK, task_id)
        assert await log.load_snapshot(task_id) is not None
    assert b"Title" not in path.read_bytes()


async def test_a_snapshot_of_another_shape_is_not_used() -> None:
    async with open_log("memory:") as log:
        task_id = await write_task(log, 3)
        await log.save_snapshot(Snapshot(task_id, 3, "task@0:000000000000", b'{"nonsense": true}'))
        loaded = await AggregateRepository(log, snapshot_after=100).load(TASK, task_id)
        assert loaded.state is not None
        assert loaded.state.title == "Title 2"


def test_another_meaning_has_another_schema() -> None:
    newer = attrs.evolve(TASK, snapshot_version=TASK.snapshot_version + 1)
    assert snapshot_schema(newer) != snapshot_schema(TASK)


async def test_a_log_that_is_only_read_is_loaded_from(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    async with open_log(url) as log:
        task_id = await write_task(log, 5)
    async with open_log(url, read_only=True) as log:
        assert (await AggregateRepository(log, snapshot_after=2).load(TASK, task_id)).version == 5


@pytest.mark.parametrize(
    "change",
    [
        "state = x'00'",
        "state = x''",
        "state = 5",
        "state = CAST(replace(CAST(state AS TEXT), 'Title 4', 'Title 5') AS BLOB)",
        "originator_version = 4",
        "originator_version = 7",
        "state = (SELECT state FROM stored_snapshots WHERE originator_id = '{other}')",
    ],
)
async def test_a_damaged_snapshot_changes_no_answer(change: str, tmp_path: Path) -> None:
    path = tmp_path / "aura.db"
    async with open_log(f"sqlite:///{path}") as log:
        task_id, other = await write_task(log, 5), await write_task(log, 5)
        before = [await AggregateRepository(log, snapshot_after=2).load(TASK, id_) for id_ in (task_id, other)]
    with closing(sqlite3.connect(path)) as connection, connection:
        statement = f"UPDATE stored_snapshots SET {change.format(other=other)} WHERE originator_id = ?"
        assert connection.execute(statement, (task_id,)).rowcount == 1
    async with open_log(f"sqlite:///{path}") as log:
        assert await log.load_snapshot(task_id) is None
        assert [await AggregateRepository(log).load(TASK, id_) for id_ in (task_id, other)] == before
