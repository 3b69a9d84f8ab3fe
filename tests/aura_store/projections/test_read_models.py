"""Opening read models: where they are, who may write them, what a check finds, what was in the past."""

import sqlite3
import subprocess
import sys
from datetime import timedelta

import anyio
import msgspec
import pytest
from sqlalchemy import delete, insert, select, update

from aura_contracts import task as ta
from aura_contracts.actors import human
from aura_contracts.aggregates import CATALOGUE
from aura_contracts.errors import (
    InvalidInput,
    NaiveDatetime,
    NewerEventVersion,
    StoreMisconfigured,
    StoreUnavailable,
    UndecodableEvent,
    UnknownEventType,
)
from aura_contracts.events import Append, Event, Fact, Snapshot
from aura_contracts.task import TASK
from aura_store import open_log
from aura_store._log import Patience
from aura_store.projections import (
    ProjectionRunner,
    diff_read_models,
    open_read_models,
    position_at,
    read_models_as_of,
    sqlite_database,
)
from aura_store.projections.projector import same
from aura_store.projections.tables import EXECUTION_LOGS, POSITIONS, TASKS
from aura_store.repository import snapshot_schema
from aura_store.testing.projections import NOW, an_id, fresh_fold, story, tables_of, tell
from conditions import until

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SEED_INDEXES = {
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


# --- Where they are ---------------------------------------------------------------------------------------------------


async def test_they_are_in_the_database_of_the_log_with_the_indexes_of_the_seed(url, path):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
    with sqlite3.connect(path) as raw:
        found = raw.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        indexes = dict(found.fetchall())
        assert SEED_INDEXES.items() <= indexes.items()
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
    assert SEED_INDEXES.items() <= found.items()
    types = dict(
        postgres.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'tasks'",
            postgres_database,
        )
    )
    assert (types["metadata"], types["created_at"]) == ("jsonb", "timestamp with time zone")
    ((context,),) = postgres.execute("SELECT metadata->'context'->'deep' FROM tasks", postgres_database)
    assert context == {"x": [{}]}


async def test_in_the_schema_that_the_log_is_in(postgres_url, postgres, postgres_database):
    postgres.execute("CREATE SCHEMA aura", postgres_database)
    url = postgres_url + "&options=-csearch_path%3Daura"
    async with open_read_models(url) as models:
        assert await models.catch_up() == 0
    found = postgres.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'tasks'", postgres_database)
    assert found == [("aura",)]


async def test_by_url_with_the_options_of_the_log(url):
    async with open_log(url, compression="zlib") as log:
        await tell(log, story())
    async with open_read_models(url, compression="zlib") as models:
        assert (await models.task(an_id(0))).title == "Straße 道"


async def test_those_of_an_encrypted_log_stay_in_memory(url, path):
    async with open_log(url, encryption_key=KEY) as log, open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
        assert (await models.task(an_id(0))).title == "Straße 道"
    for file in path.parent.iterdir():
        assert "Straße 道".encode() not in file.read_bytes()
    with sqlite3.connect(path) as raw:
        assert not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchall()
    raw.close()


async def test_in_memory_for_a_log_in_memory():
    async with open_log("memory:") as log:
        await tell(log, story())
        async with open_read_models(log) as models:
            assert (await models.check()).ok
            await tell(log, story(1))
            assert await models.catch_up() == 2 * len(story())
            assert await models.rebuild() == 2 * len(story())
            assert (await models.check()).ok


def test_the_store_alone_does_not_import_sqlalchemy():
    code = "import sys, aura_store, aura_store.history; aura_store.open_log; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Reading only -----------------------------------------------------------------------------------------------------


async def test_read_only_answers_and_writes_nothing(url):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
        await tell(log, story(1))
    async with open_read_models(url, read_only=True) as models:
        assert len((await models.tasks()).rows) == 1
        assert set((await models.positions()).values()) == {len(story())}


async def test_read_only_and_never_built_says_what_to_do(url):
    async with open_log(url):
        pass
    with pytest.raises(StoreMisconfigured, match="read_models_as_of"):
        async with open_read_models(url, read_only=True):
            pass


async def test_positions_move_over_events_that_are_nobodys(url):
    async with open_log(url) as log, open_read_models(log) as models:
        fact = Fact(ta.TaskCreated(task_id=an_id(0), spec=ta.TaskSpec(title="t")), NOW, human("alice"), "c", "c")
        await log.append(Append(an_id(0), 0, (fact,)))
        await models.catch_up()
        from aura_contracts.output import Chunk, OutputRecorded, OutputSource

        chunk = Chunk(OutputSource.STDOUT, NOW, "x")
        outputs = tuple(
            Fact(OutputRecorded(execution_id=an_id(1), first=n, chunks=(chunk,)), NOW, human("a"), "c", "c")
            for n in range(1, 1501)
        )
        await log.append(Append(an_id(1), 0, outputs[:500]))
        assert await models.catch_up() == 501
        assert (await models.positions())["tasks"] == 1, "not worth a transaction yet"
        await log.append(Append(an_id(1), 500, outputs[500:]))
        assert await models.catch_up() == 1501
        assert (await models.positions())["tasks"] == 1501


# --- Errors -----------------------------------------------------------------------------------------------------------


async def test_an_event_that_does_not_decode_stops_them_right_before_it(url, path):
    async with open_log(url) as log, open_read_models(log):
        end = await tell(log, story())
        await tell(log, story(1))
    bad = 5
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE stored_events SET state = 'x' WHERE rowid = ?", (bad,))
    raw.close()
    async with open_log(url) as log, open_read_models(log) as models:
        for _ in range(2):
            with pytest.raises(UndecodableEvent) as caught:
                await models.catch_up()
            assert (caught.value.position, caught.value.stream_id) == (bad, story()[bad - 1][0])
            assert set((await models.positions()).values()) == {bad - 1}
        with pytest.raises(UndecodableEvent):
            await models.rebuild()
    assert end > bad


async def test_an_event_of_a_newer_program_in_between_is_not_passed_over(url, path):
    async with open_log(url) as log, open_read_models(log):
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
        assert await models.task(an_id(0)) is None or (await models.task(an_id(0))).version == 1


@pytest.mark.parametrize(("label", "error"), [("task.queued@7", NewerEventVersion), ("task.sung@1", UnknownEventType)])
async def test_an_event_of_a_newer_program_at_the_end_of_a_stream_is_not_passed_over(url, path, label, error):
    async with open_log(url) as log, open_read_models(log):
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
    """While a runner waits for the write lock it holds none: the log goes on as soon as the lock is free."""
    async with open_log(url) as log:
        database = sqlite_database(path, url, patience=Patience(outage_timeout=60))
        runner = ProjectionRunner(log, database)
        await runner.build()
        await tell(log, story())
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.catch_up)
            await until(lambda: database._threads.borrowed_tokens)
            blocker.execute("ROLLBACK")
        blocker.close()
        assert set((await runner.positions()).values()) == {len(story())}
        await database.aclose()


async def test_a_lock_that_stays_ends_in_a_typed_error_and_nothing_is_lost(url, path):
    async with open_log(url) as log:
        patience = Patience(outage_timeout=0.01)
        database = sqlite_database(path, url, patience=patience)
        runner = ProjectionRunner(log, database)
        await runner.build()
        await tell(log, story())

        def impatient(raw, _record, _proxy):
            raw.execute("PRAGMA busy_timeout = 1")

        from sqlalchemy import event

        event.listen(database.engine, "checkout", impatient)
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await runner.catch_up()
        blocker.execute("ROLLBACK")
        blocker.close()
        assert await runner.catch_up() == len(story())
        assert same(await tables_of(database), await fresh_fold(log))
        await database.aclose()


async def test_a_cancelled_runner_goes_on_later(url):
    async with open_log(url) as log, open_read_models(log) as models:
        await tell(log, [*story(), *story(1)])
        with anyio.CancelScope() as scope:
            scope.cancel()
            await models.catch_up()
        assert scope.cancelled_caught
        assert await models.catch_up() == 2 * len(story())
        assert (await models.check()).ok


# --- Checking ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
async def log(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'a.db'}"
    async with open_log(url) as log:
        yield log


async def test_a_check_names_each_row_and_field_that_is_wrong(log):
    async with open_read_models(log) as models:
        await tell(log, [*story(), *story(1)])
        await models.catch_up()
        report = await models.check()
        assert report.ok
        assert report.rows == 2 * (1 + 1 + 2 + 1 + 6 + 1)
        database = models._database
        await database.write(lambda c: c.execute(update(TASKS).where(TASKS.c.id == an_id(0)).values(title="?")))
        await database.write(lambda c: c.execute(delete(TASKS).where(TASKS.c.id == an_id(100))))
        kept = await database.read(lambda c: dict(c.execute(select(EXECUTION_LOGS)).mappings().first()))
        extra = {str(name): value for name, value in kept.items()} | {"id": an_id(999)}
        await database.write(lambda c: c.execute(insert(EXECUTION_LOGS), [extra]))
        report = await models.check()
        assert not report.ok
        found = {(each.table, each.id): each for each in report.differences}
        assert {key: each.kind for key, each in found.items()} == {
            ("tasks", an_id(0)): "different",
            ("tasks", an_id(100)): "missing",
            ("execution_logs", an_id(999)): "extra",
        }
        (change,) = found["tasks", an_id(0)].changes
        assert (change.field, change.before, change.after) == ("title", "?", "Straße 道")
        assert len((await models.check(listed=2)).differences) == 2
        await models.rebuild(["tasks"])
        assert [each.kind for each in (await models.check()).differences] == ["extra"]
        await models.rebuild()
        assert (await models.check()).ok


async def test_a_check_is_about_where_the_tables_stand(log):
    async with open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up(7)
        await models._runner.rebuild(["agents"])
        positions = await models.positions()
        assert positions["tasks"] == 7
        assert positions["agents"] == len(story())
        report = await models.check()
        assert report.ok
        assert report.positions == positions
        assert await models.catch_up() == len(story())
        assert set((await models.positions()).values()) == {len(story())}
        assert (await models.check()).ok


async def test_a_check_folds_snapshots_too(log):
    async with open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
        state = TASK.fold(await log.facts(an_id(0)))
        schema, version = snapshot_schema(TASK), len(await log.facts(an_id(0)))
        await log.save_snapshot(Snapshot(an_id(0), version, schema, msgspec.json.encode(state)))
        report = await models.check()
        assert (report.ok, report.snapshots) == (True, 1)
        wrong = msgspec.structs.replace(state, title="another")
        await log.save_snapshot(Snapshot(an_id(0), version, schema, msgspec.json.encode(wrong)))
        report = await models.check()
        assert [(bad.aggregate, bad.stream_id) for bad in report.bad_snapshots] == [("task", an_id(0))]
        assert not report.ok


async def test_tables_that_are_ahead_of_the_log_are_reported(log):
    async with open_read_models(log) as models:
        await tell(log, story())
        await models.catch_up()
        await models._database.write(lambda c: c.execute(update(POSITIONS).values(position=10_000)))
    from aura_contracts.errors import LogDamaged

    with pytest.raises(LogDamaged, match="but the log ends at"):
        async with open_read_models(log) as models:
            await models.catch_up()


# --- The past ---------------------------------------------------------------------------------------------------------


async def test_any_position_and_any_instant_of_the_past(log):
    events = story()
    await tell(log, events)
    for position in (0, 1, 9, len(events)):
        async with read_models_as_of(log, position) as past:
            assert past.position == position
            assert same(await tables_of(past._database), await fresh_fold(log, position))
    async with read_models_as_of(log, NOW + timedelta(seconds=2)) as past:
        assert past.position == 3
        assert (await past.task(an_id(0))).status is ta.TaskStatus.PENDING
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


async def test_what_changed_between_two_moments(log):
    end = await tell(log, story())
    await tell(log, [(an_id(0), ta.TaskCreated(task_id=an_id(0), spec=ta.TaskSpec(title="x")))][:0])
    found = await diff_read_models(log, 1, end)
    assert (found.before, found.after) == (1, end)
    reported = ("execution_logs", "usage")
    kinds = {(each.table, each.id): each.kind for each in found.differences if each.table not in reported}
    assert kinds == {
        ("tasks", an_id(0)): "changed",
        ("agents", an_id(1)): "added",
        ("approvals", an_id(3)): "added",
        ("approvals", an_id(5)): "added",
        ("workflows", an_id(4)): "added",
    }
    changes = next(each.changes for each in found.differences if each.table == "tasks")
    fields = {change.field: (change.before, change.after) for change in changes}
    assert fields["status"] == ("pending", "completed")
    assert fields["result"] == (None, {"files": 2})
    assert "title" not in fields
    back = await diff_read_models(log, end, 1)
    assert {each.kind for each in back.differences} == {"changed", "removed"}
    assert (await diff_read_models(log, 5, 5)).differences == ()


async def test_events_of_other_catalogues_do_not_disturb(url):
    class Foreign(Event, frozen=True, kw_only=True):
        topic = "foreign.happened"

    async with open_log(url, catalogue=CATALOGUE.extended([Foreign])) as log:
        await log.append(Append(an_id(500), 0, (Fact(Foreign(), NOW, human("alice"), "c", "c"),)))
        await tell(log, story())
    async with open_read_models(url) as models:
        assert (await models.check()).ok
        assert len((await models.tasks()).rows) == 1
