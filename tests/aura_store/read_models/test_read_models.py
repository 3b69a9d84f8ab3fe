"""Opening read models: where they are, who may write them, what a check finds, what was in the past."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import msgspec
import pytest

from aura_contracts import task as ta
from aura_contracts.actors import human
from aura_contracts.catalogue import CATALOGUE
from aura_contracts.errors import (
    InvalidInput,
    NaiveDatetime,
    NewerEventVersion,
    StoreUnavailable,
    UnknownEventType,
)
from aura_contracts.events import Append, Event, Fact, Snapshot
from aura_contracts.output import Chunk, OutputRecorded, OutputSource
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.task import TASK
from aura_store import open_log, open_read_models
from aura_store._read_model_location import models_path
from aura_store.log._patience import Patience
from aura_store.read_models import LogReadModels, _check, check_read_models, position_at, read_models_as_of
from aura_store.read_models._check import same
from aura_store.read_models._database import SQLiteDatabase
from aura_store.read_models._fold import Fold, derived_schema_version, schema_version
from aura_store.repository import snapshot_schema
from read_model_story import NOW, an_id, story, tell
from read_models_under_test import fresh_fold, spoil, tables_of

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SPECIFIED_INDEXES = {
    "idx_tasks_status": "tasks",
    "idx_tasks_assigned_agent": "tasks",
    "idx_tasks_parent": "tasks",
    "idx_tasks_created_at": "tasks",
    "idx_agents_status": "agents",
    "idx_agents_type": "agents",
    "idx_approvals_task": "approvals",
    "idx_approvals_decision": "approvals",
    "idx_workflows_status": "workflows",
    "idx_execution_logs_task": "execution_logs",
    "idx_execution_logs_executed_at": "execution_logs",
}

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "aura.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


# --- Their schema -----------------------------------------------------------------------------------------------------


async def test_the_schema_version_in_the_source_is_that_of_the_tables_states_and_events():
    assert schema_version() == derived_schema_version(), "run: python docs/generate.py"


# --- Where they are ---------------------------------------------------------------------------------------------------


async def test_they_are_in_a_file_next_to_the_log_with_the_indexes_of_the_specification(url, path):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
    with sqlite3.connect(models_path(path)) as raw:
        found = raw.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        indexes = dict(found.fetchall())
        assert SPECIFIED_INDEXES.items() <= indexes.items()
        descending = {"idx_tasks_created_at", "idx_execution_logs_executed_at"}
        for name in descending:
            (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
            assert "DESC" in sql
        assert raw.execute("SELECT created_at FROM tasks").fetchone() == ("2026-01-04 12:00:00.123456",)
    raw.close()


async def test_on_postgresql_beside_the_log(postgres_url, postgres, postgres_database):
    async with open_log(postgres_url) as log, open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
    found = dict(postgres.execute("SELECT indexname, tablename FROM pg_indexes", postgres_database))
    assert SPECIFIED_INDEXES.items() <= found.items()
    types = dict(
        postgres.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'tasks'",
            postgres_database,
        )
    )
    assert (types["metadata"], types["created_at"]) == ("jsonb", "timestamp with time zone")
    ((context,),) = postgres.execute("SELECT metadata->'context'->'deep' FROM tasks", postgres_database)
    assert context == {"x": [{}]}


@pytest.mark.deep
async def test_a_rebuild_that_loses_its_connection_begins_again(postgres_url, postgres, postgres_database, monkeypatch):
    ends = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'"
    apply, ended = Fold.apply, []

    def ending(*arguments, **named):
        if not ended:
            ended.append(postgres.execute(ends))
        apply(*arguments, **named)

    async with open_log(postgres_url) as log, open_read_models(log) as models:
        await tell(log, story())
        position = await models.catch_up()
        monkeypatch.setattr(Fold, "apply", ending)
        with anyio.fail_after(60):
            assert await models.rebuild() == position


async def test_in_the_schema_that_the_log_is_in(postgres_url, postgres, postgres_database):
    postgres.execute("CREATE SCHEMA aura", postgres_database)
    url = postgres_url + "&options=-csearch_path%3Daura"
    async with open_log(url) as log, open_read_models(log) as models:
        assert await models.catch_up() == 0
    found = postgres.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'tasks'", postgres_database)
    assert found == [("aura",)]


async def test_those_of_an_encrypted_log_stay_in_memory(url, path):
    async with open_log(url, encryption_key=KEY) as log, open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
        assert (await models.get(TASK, an_id(0))).title == "Straße 道"
        for file in path.parent.iterdir():
            assert "Straße 道".encode() not in file.read_bytes()
        assert not models_path(path).exists()


async def test_in_memory_for_a_log_in_memory():
    async with open_log("memory:") as log:
        await tell(log, story())
        async with open_read_models(log) as models:
            assert (await check_read_models(models)).ok
            await tell(log, story(1))
            assert await models.catch_up() == 2 * len(story())
            assert await models.rebuild() == 2 * len(story())
            assert (await check_read_models(models)).ok


async def test_nothing_is_made_before_the_first_question(url, path):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, story())
        assert not models_path(path).exists()
        await models.list(TaskQuery())
        assert models_path(path).exists()


# --- Reading only -----------------------------------------------------------------------------------------------------


@contextmanager
def unwritable(*paths):
    """Take the right to write away; for root, to whom rights mean nothing, by the flag that even root heeds."""
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


NOBODY = """
import os, sys, anyio
from aura_contracts.ports.read_models import TaskQuery
from aura_store import open_log, open_read_models

async def ask(url):
    async with open_log(url, read_only=url != "memory:") as log, open_read_models(log) as models:
        return len((await models.list(TaskQuery())).rows)

anyio.run(ask, "memory:")  # imports all that is needed, from where nobody may not look
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(anyio.run(ask, sys.argv[1]))
"""


@pytest.mark.deep_but_first
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody without rights")
@pytest.mark.parametrize("built", ["not", "behind", "current"])
def test_whoever_may_only_read_gets_answers_too(built):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aura.db"

        async def prepare():
            async with open_log(f"sqlite:///{path}") as log, open_read_models(log) as models:
                await tell(log, story())
                if built != "not":
                    await models.catch_up()
                if built == "behind":
                    await tell(log, story(1))

        anyio.run(prepare)
        files = list(path.parent.iterdir())
        with unwritable(path.parent, *files):
            command = [sys.executable, "-c", NOBODY, f"sqlite:///{path}"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == ("2" if built == "behind" else "1")
        assert sorted(path.parent.iterdir()) == sorted(files)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("built", [False, True])
async def test_a_role_that_may_only_read_gets_answers_too(postgres_url, postgres, postgres_database, built):
    async with open_log(postgres_url) as log, open_read_models(log) as models:
        await tell(log, story())
        if built:
            await models.catch_up()
    role = f"reader_{postgres_database}"
    postgres.execute(f"CREATE ROLE {role} LOGIN", postgres_database)
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", postgres_database)
    try:
        url = postgres.url(postgres_database, user=role)
        for _ in range(2):
            async with open_log(url, read_only=True) as log, open_read_models(log) as models:
                assert len((await models.list(TaskQuery())).rows) == 1
                assert models.database.private is not built
    finally:
        postgres.execute(f"DROP OWNED BY {role}", postgres_database)
        postgres.execute(f"DROP ROLE {role}", postgres_database)


# --- Repairs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"no database", b"", None])
async def test_a_file_that_was_damaged_or_deleted_is_made_again(url, path, damage):
    file = models_path(path)
    async with open_log(url) as log:
        await tell(log, story())
        async with open_read_models(log) as models:
            await models.catch_up()
        for each in path.parent.glob(f"{file.name}*"):
            each.unlink()
        if damage is not None:
            file.write_bytes(damage * 1000)
        async with open_read_models(log) as models:
            assert len((await models.list(TaskQuery())).rows) == 1
            assert (await check_read_models(models)).ok
        assert not models.database.private
        assert sqlite3.connect(file).execute("SELECT count(*) FROM tasks").fetchone() == (1,)


@pytest.mark.deep
async def test_a_file_that_is_damaged_while_it_is_open_is_made_again(url, path):
    file = models_path(path)
    async with open_log(url) as log, open_read_models(log) as models, open_read_models(log) as other:
        for chapter in range(30):
            await tell(log, story(chapter))
        await models.rebuild()
        await other.list(TaskQuery())
        await models.aclose()  # writes everything into the file
        size = file.stat().st_size
        with file.open("r+b") as raw:
            raw.seek(4096)
            raw.write(b"\xff" * (size - 4096))
        assert len((await models.list(TaskQuery())).rows) == 30
        await tell(log, story(30))
        for each in (models, other):
            assert len((await each.list(TaskQuery())).rows) == 31
            assert (await check_read_models(each)).ok


async def test_another_log_in_the_place_of_the_old_one(url, path):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, [*story(), *story(1)])
        await models.catch_up()
    for each in path.parent.glob("aura.db*"):
        if each.is_file() and not each.name.startswith(models_path(path).name):
            each.unlink()
    async with open_log(url) as log, open_read_models(log) as models:
        assert (await models.list(TaskQuery())).rows == ()
        await tell(log, story(2))
        assert [row.id for row in (await models.list(TaskQuery())).rows] == [an_id(200)]


async def test_positions_move_over_events_that_rows_are_not_made_of(url):
    async with open_log(url) as log, open_read_models(log) as models:
        fact = Fact(ta.TaskCreated(task_id=an_id(0), spec=ta.TaskSpec(title="t")), NOW, human("alice"), "c", "c")
        await log.append(Append(an_id(0), 0, (fact,)))
        await models.catch_up()
        chunk = Chunk(OutputSource.STDOUT, NOW, "x")
        outputs = tuple(
            Fact(OutputRecorded(execution_id=an_id(1), first=n, chunks=(chunk,)), NOW, human("a"), "c", "c")
            for n in range(1, 501)
        )
        await log.append(Append(an_id(1), 0, outputs))
        assert await models.catch_up() == await models.position() == 501


# --- Errors -----------------------------------------------------------------------------------------------------------


def overwrite(path, position, state):
    """Overwrite a stored event; return what was there."""
    with closing(sqlite3.connect(path)) as raw, raw:
        (found,) = raw.execute("SELECT state FROM stored_events WHERE rowid = ?", (position,)).fetchone()
        raw.execute("UPDATE stored_events SET state = ? WHERE rowid = ?", (state, position))
    return found


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("bad", [1, 5])
async def test_an_event_that_does_not_decode_leaves_out_its_own_stream_only(url, path, built, bad):
    async with open_log(url) as log, open_read_models(log) as models:
        if built:
            await models.catch_up()
        await tell(log, story())
        end = await tell(log, story(1))
    intact = overwrite(path, bad, "x")
    stream_id, event = story()[bad - 1]
    kind = event.topic.partition(".")[0]
    readable = [each for n, (each, _) in enumerate([*story(), *story(1)], 1) if each != stream_id or n < bad]
    async with open_log(url) as log, open_read_models(log) as models:
        assert await models.catch_up() == end
        damaged = await models.first_damaged()
        assert (damaged.id, damaged.kind, damaged.position) == (stream_id, kind, bad)
        assert [match.id for match in await models.find(kind, stream_id[-12:])] == [stream_id]
        found = await tables_of(models)
        assert {row["id"]: row["version"] for row in found["aggregates"]} == Counter(readable)
        await models.rebuild()
        assert same(await tables_of(models), found)
        async with read_models_as_of(log, bad - 1) as past:
            assert await past.catch_up() == bad - 1
    overwrite(path, bad, intact)
    async with open_log(url) as log, open_read_models(log) as models:
        assert await models.first_damaged() is None
        assert (await check_read_models(models)).ok
        assert len((await models.list(TaskQuery())).rows) == 2


async def test_what_follows_the_damage_of_a_stream_is_left_out_whenever_it_is_recorded(url, path):
    task = [(an_id(0), ta.TaskCreated(task_id=an_id(0), spec=ta.TaskSpec(title="t"))), (an_id(0), ta.TaskQueued())]
    async with open_log(url) as log:
        await tell(log, task)
    overwrite(path, 2, "x")
    async with open_log(url) as log, open_read_models(log) as models, open_read_models(log) as other:
        await models.catch_up()
        await other.catch_up()
        with closing(sqlite3.connect(path)) as raw, raw:  # as by a program that had it in memory
            columns = "originator_id, originator_version, topic, state, previous, digest"
            raw.execute(
                f"INSERT INTO stored_events ({columns}) SELECT originator_id, 3, 'task.unqueued@1',"
                " (SELECT state FROM stored_events WHERE rowid = 1), digest, digest FROM stored_events WHERE rowid = 2"
            )
            raw.execute("UPDATE log_head SET position = 3")
        for each in (models, other):
            assert await each.catch_up() == 3
            assert (await each.first_damaged()).position == 2
            assert [row["version"] for row in (await tables_of(each))["tasks"]] == [1]


async def test_an_event_of_a_newer_program_in_between_is_not_passed_over(url, path):
    async with open_log(url) as log:
        await tell(
            log,
            [(an_id(0), ta.TaskCreated(task_id=an_id(0), spec=ta.TaskSpec(title="t"))), (an_id(0), ta.TaskQueued())],
        )
        await tell(log, [(an_id(0), ta.TaskUnqueued())])
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE stored_events SET topic = 'task.queued@7' WHERE rowid = 2")
    raw.close()
    async with open_log(url) as log, open_read_models(log) as models:
        with pytest.raises(NewerEventVersion) as caught:
            await models.catch_up()
        assert (caught.value.position, caught.value.stream_id) == (2, an_id(0))
        assert [row["version"] for row in (await tables_of(models))["tasks"]] == [1]


@pytest.mark.parametrize(("label", "error"), [("task.queued@7", NewerEventVersion), ("task.sung@1", UnknownEventType)])
async def test_an_event_of_a_newer_program_at_the_end_of_a_stream_is_not_passed_over(url, path, label, error):
    async with open_log(url) as log:
        await tell(
            log,
            [(an_id(0), ta.TaskCreated(task_id=an_id(0), spec=ta.TaskSpec(title="t"))), (an_id(0), ta.TaskQueued())],
        )
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE stored_events SET topic = ? WHERE rowid = 2", (label,))
    raw.close()
    async with open_log(url) as log, open_read_models(log) as models:
        for look in (models.catch_up, models.rebuild):
            with pytest.raises(error) as caught:
                await look()
            assert (caught.value.position, caught.value.stream_id) == (2, an_id(0))


async def test_a_lock_is_waited_for_and_the_log_writes_meanwhile(url, path):
    async with open_log(url) as log, open_read_models(log) as models:
        await models.catch_up()
        blocker = sqlite3.connect(models_path(path), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            end = await tell(log, story())
            tasks.start_soon(models.catch_up)
            await tell(log, story(1))
            blocker.execute("ROLLBACK")
        blocker.close()
        assert await models.position() >= end


async def test_a_lock_that_stays_ends_in_a_typed_error_and_nothing_is_lost(url, path):
    async with open_log(url) as log:
        database = SQLiteDatabase(models_path(path), url, lock_timeout=0.001)
        models = LogReadModels(log, database, patience=Patience(outage_timeout=0.01))
        await models.catch_up()
        await tell(log, story())
        blocker = sqlite3.connect(models_path(path), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await models.catch_up()
        blocker.execute("ROLLBACK")
        blocker.close()
        assert await models.catch_up() == len(story())
        assert same(await tables_of(models), await fresh_fold(log))
        await models.aclose()


async def test_the_patience_of_the_log_is_that_of_its_read_models(url, path):
    async with open_log(url, outage_timeout=0.01) as log, open_read_models(log) as models:
        await models.catch_up()
        await tell(log, story())
        with closing(sqlite3.connect(models_path(path), isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            with anyio.fail_after(4), pytest.raises(StoreUnavailable, match="locked") as caught:
                await models.catch_up()
        assert caught.value.store == f"{url}.models"


async def test_a_cancelled_catch_up_goes_on_later(url):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, [*story(), *story(1)])
        with anyio.CancelScope() as scope:
            scope.cancel()
            await models.catch_up()
        assert scope.cancelled_caught
        assert await models.catch_up() == 2 * len(story())
        assert (await check_read_models(models)).ok


# --- Checking ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
async def log(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'a.db'}"
    async with open_log(url) as log:
        yield log


@pytest.mark.deep_but_first
async def test_a_check_names_each_row_and_field_that_is_wrong(log, monkeypatch):
    async with open_read_models(log) as models:
        await tell(log, [*story(), *story(1)])
        await models.catch_up()
        report = await check_read_models(models)
        assert report.ok
        assert report.rows == 2 * (8 + 8 + 6 + 1 + 1 + 4 + 4)
        await spoil(
            models,
            f"UPDATE tasks SET title = 'another' WHERE id = '{an_id(0)}'",
            f"DELETE FROM tasks WHERE id = '{an_id(100)}'",
            f"INSERT INTO execution_sessions VALUES ('{an_id(999)}', '{an_id(2)}', 's', 1)",
        )
        report = await check_read_models(models)
        assert not report.ok
        found = {(each.table, each.id): each for each in report.differences}
        assert {key: each.kind for key, each in found.items()} == {
            ("tasks", an_id(0)): "different",
            ("tasks", an_id(100)): "missing",
            ("execution_sessions", an_id(999)): "extra",
        }
        (change,) = found["tasks", an_id(0)].changes
        assert (change.field, change.before, change.after) == ("title", "another", "Straße 道")
        monkeypatch.setattr(_check, "LISTED", 2)
        assert len((await check_read_models(models)).differences) == 2
        await models.rebuild()
        assert (await check_read_models(models)).ok


@pytest.mark.deep
async def test_a_check_folds_snapshots_too(log):
    async with open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
        state = TASK.fold(await log.facts(an_id(0)))
        schema, version = snapshot_schema(TASK), len(await log.facts(an_id(0)))
        await log.save_snapshot(Snapshot(an_id(0), version, schema, msgspec.json.encode(state)))
        report = await check_read_models(models)
        assert (report.ok, report.snapshots) == (True, 1)
        wrong = msgspec.structs.replace(state, title="another")
        await log.save_snapshot(Snapshot(an_id(0), version, schema, msgspec.json.encode(wrong)))
        report = await check_read_models(models)
        assert [(bad.aggregate, bad.stream_id) for bad in report.bad_snapshots] == [("task", an_id(0))]
        assert not report.ok


# --- The past ---------------------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_any_position_and_any_instant_of_the_past(log):
    events = story()
    await tell(log, events)
    for position in (0, 1, 9, len(events)):
        async with read_models_as_of(log, position) as past:
            assert await past.catch_up() == position
            await past.list(TaskQuery())
            assert same(await tables_of(past), await fresh_fold(log, position))
    async with read_models_as_of(log, NOW + timedelta(seconds=2)) as past:
        assert await past.catch_up() == 3
        assert (await past.get(TASK, an_id(0))).status is ta.TaskStatus.PENDING
    for instant, position in ((-1, 0), (0, 1), (0.5, 1), (1000, len(events))):
        assert await position_at(log, NOW + timedelta(seconds=instant)) == position


async def test_a_clock_that_goes_back_hides_nothing(log):
    """As of an instant means before the first event that was recorded after it."""
    for n, second in enumerate((0, 5, 3, 9)):
        created = ta.TaskCreated(task_id=an_id(n), spec=ta.TaskSpec(title="t"))
        time = NOW + timedelta(seconds=second)
        await log.append(Append(an_id(n), 0, (Fact(created, time, human("alice"), "c", "c"),)))
    assert await position_at(log, NOW + timedelta(seconds=4)) == 1
    assert await position_at(log, NOW + timedelta(seconds=6)) == 3


async def test_moments_that_are_none_are_refused(log):
    await tell(log, story())
    for wrong in (-1, len(story()) + 1):
        with pytest.raises(InvalidInput, match="not a position of the log"):
            await position_at(log, wrong)
    with pytest.raises(NaiveDatetime):
        await position_at(log, NOW.replace(tzinfo=None))


async def test_events_of_other_catalogues_do_not_disturb(url):
    class Foreign(Event, frozen=True, kw_only=True):
        topic = "foreign.happened"

    async with open_log(url, catalogue=CATALOGUE.extended([Foreign])) as log:
        await log.append(Append(an_id(500), 0, (Fact(Foreign(), NOW, human("alice"), "c", "c"),)))
        await tell(log, story())
    async with open_log(url, catalogue=CATALOGUE.extended([Foreign])) as log, open_read_models(log) as models:
        assert (await check_read_models(models)).ok
        assert len((await models.list(TaskQuery())).rows) == 1
