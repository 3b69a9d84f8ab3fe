"""Read models keep their promises on every database: SQLite, PostgreSQL, and in memory.

Crashes are injected at every statement and every commit in turn. Nothing waits for a time; `patience` only ends a hang.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import anyio
import anyio.to_thread
import msgspec
import pytest

from aura_contracts import task as ta
from aura_contracts.errors import StoreMisconfigured
from aura_contracts.ports.read_models import TaskQuery
from aura_store import open_log
from aura_store._read_model_location import database_of
from aura_store.adapters import open_recorder
from aura_store.log._memory import MemoryRecorder
from aura_store.read_models import LogReadModels, ProjectionFailed, check_read_models
from aura_store.read_models import _fold as fold
from aura_store.read_models import _rows as rows
from aura_store.read_models._check import same
from aura_store.read_models._database import memory_database
from read_model_story import story, tell
from read_models_under_test import (
    Crashed,
    OpenStore,
    SlowLog,
    StoreUnderTest,
    another_version,
    crash_at,
    fresh_fold,
    spoil,
    store_of,
    tables_of,
)


@pytest.mark.anyio
class ReadModelsConformance:
    """The requirements of `LogReadModels` on a database. Every test runs on asyncio and on trio.

    `open_store` returns a function. Each call of it returns an async context manager that opens **the same**
    `StoreUnderTest` again, like a newly started process; the store is empty at the start of every test.
    """

    shared: ClassVar[bool] = True
    """Whether the store can be opened twice at the same time."""

    patience: ClassVar[float] = 300.0
    """Seconds after which a hanging test fails."""

    stride: ClassVar[int] = 1
    """The statements from one that a crash comes at to the next."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """The event loops for every test."""
        return str(request.param)

    @pytest.fixture
    def open_store(self) -> OpenStore:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    async def _in_time(self, anyio_backend: str) -> AsyncIterator[None]:
        with anyio.fail_after(self.patience):
            yield

    # --- Incremental folding ------------------------------------------------------------------------------------------

    async def test_rows_are_the_fold_of_the_log(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            end = await tell(store.log, story())
            models = store.models()
            assert await models.position() == 0
            assert await models.catch_up() == await models.position() == end
            tables = await tables_of(models)
            assert same(tables, await fresh_fold(store.log))
            empty = [name for name, found in tables.items() if not found]
            stored = ["workflow_definitions", "workflow_schedules", "boards", "templates", "projects"]
            assert empty == [*stored, "timers", "damaged_streams"]

    async def test_answers_include_what_was_appended_before(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            models = store.models()
            assert (await models.list(TaskQuery())).rows == ()
            end = 0
            for chapter in range(3):
                end = await tell(store.log, story(chapter))
                page = await models.list(TaskQuery())
                assert len(page.rows) == chapter + 1
                assert page.position == end
            await tell(store.log, story(3))
            assert (await models.list(TaskQuery(), at_least=end)).position == end, "no more than requested"

    async def test_events_apply_once_however_often_it_is_opened(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for chapter in range(3):
                await tell(store.log, story(chapter))
                await store.models(batch=7).catch_up()
                models = store.models(batch=7)
                await models.catch_up()
                assert same(await tables_of(models), await fresh_fold(store.log))

    @pytest.mark.parametrize("batch", [1, 5])
    async def test_it_goes_on_from_any_position(self, open_store: OpenStore, batch: int) -> None:
        events = story()
        async with open_store() as store:
            await tell(store.log, events)
            await store.models().catch_up()
            end = await tell(store.log, story(1))
        for upto in range(len(events) + batch, end + 1, 2 * batch):
            async with open_store() as store:
                models = store.models(batch=batch)
                assert await models.catch_up(upto) >= upto
                assert same(await tables_of(models), await fresh_fold(store.log, await models.position()))

    # --- Crashes ------------------------------------------------------------------------------------------------------

    async def test_a_crash_at_any_step_loses_and_doubles_nothing(self, open_store: OpenStore) -> None:
        """Each catch-up crashes one step later than the one before, until one completes; batches of three events."""
        async with open_store() as store:
            await store.models().catch_up()
            end = await tell(store.log, story()[:9])
        step, reached = 0, -1
        while reached < end:
            async with open_store() as store:
                with crash_at(store.database, step), suppress(Crashed):
                    await store.models(batch=3).catch_up()
            async with open_store() as store:
                models = store.models()
                before, reached = reached, await models.position()
                assert reached >= before
                assert same(await tables_of(models), await fresh_fold(store.log, reached))
            step += 1

    async def test_a_crash_in_a_rebuild_leaves_what_was_there(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            models = store.models()
            await models.catch_up()
            await spoil(models, *_SPOILED)
            spoiled, whole = await tables_of(models), await fresh_fold(store.log)
        step, done = 0, False
        while not done:
            async with open_store() as store:
                with crash_at(store.database, step) as sent:
                    with suppress(Crashed):
                        await store.models(batch=10).rebuild()
                    done = len(sent) < step
            async with open_store() as store:
                found = await tables_of(store.models())
                assert same(found, spoiled) or same(found, whole), f"after a crash at step {step}"
                done = done or same(found, whole)
            step += self.stride
        assert step > 10

    # --- Rebuilding ---------------------------------------------------------------------------------------------------

    async def test_a_rebuild_equals_going_step_by_step(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            models = store.models(batch=1)
            await models.catch_up()
            await tell(store.log, story())
            await models.catch_up()
            step_by_step = await tables_of(models)
            await spoil(models, *_SPOILED)
            assert await models.rebuild() == len(story())
            assert await tables_of(models) == step_by_step
            assert (await check_read_models(models)).ok

    async def test_readers_see_no_half_built_model(self, open_store: OpenStore) -> None:
        if not self.shared:
            pytest.skip("the store cannot be opened twice")
        async with open_store() as store, open_store() as other:
            await tell(store.log, story())
            models = store.models()
            await models.catch_up()
            whole = await tables_of(models)
            slow: Any = SlowLog(other.log, at=2)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(LogReadModels(slow, other.database, batch=3).rebuild)
                await slow.stopped.wait()
                if store.database.dialect == "sqlite":  # others wait until it is done
                    assert await tables_of(models) == whole
                await tell(store.log, story(1))
                slow.go_on.set()
            assert same(await tables_of(models), await fresh_fold(store.log, await models.position()))

    async def test_another_schema_is_another_build(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            models = store.models()
            await models.catch_up()
            await spoil(models, *_SPOILED)
            with another_version(-1):
                newer = store.models()
                await newer.catch_up()
                assert same(await tables_of(newer), await fresh_fold(store.log))

    async def test_a_program_does_not_fight_with_a_newer_one(self, open_store: OpenStore) -> None:
        if not self.shared:
            pytest.skip("the store cannot be opened twice")
        async with open_store() as store, open_store() as other:
            old = store.models()
            await tell(store.log, story())
            await old.catch_up()
            with another_version(-1):
                newer = other.models()
                await newer.catch_up()
            end = await tell(store.log, story(1))
            assert len((await old.list(TaskQuery())).rows) == 2
            assert old.database.private
            with another_version(-1):
                assert await newer.position() == len(story()), "its tables are left alone"
                assert await newer.catch_up() == end

    @pytest.mark.parametrize("table", ["tasks", "aggregates", "read_models"])
    async def test_lost_tables_are_made_again(self, open_store: OpenStore, table: str) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            models = store.models()
            await models.catch_up()
            if table == "read_models":
                await models.rebuild()
                await spoil(models, "DELETE FROM read_models")
            else:
                await spoil(models, f"DROP TABLE {table}")
            await tell(store.log, story(1))
            for each in (models, store.models()):
                assert len((await each.list(TaskQuery())).rows) == 2
                assert same(await tables_of(each), await fresh_fold(store.log))

    async def test_tables_of_another_log_are_made_again(self, open_store: OpenStore) -> None:
        """As when a log is restored from a backup: its contents now count."""
        async with open_store() as store:
            await tell(store.log, story())
            models = store.models()
            await models.catch_up()
            await spoil(models, "UPDATE read_models SET digest = 'another'", *_SPOILED)
            for _ in range(2):
                again = store.models()
                await again.catch_up()
                assert same(await tables_of(again), await fresh_fold(store.log))
                await spoil(again, "UPDATE read_models SET position = 10000", *_SPOILED)

    async def test_tables_of_somebody_else_are_left_alone(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            models = store.models()
            await spoil(models, "CREATE TABLE tasks (id TEXT)")
            with pytest.raises(StoreMisconfigured, match="table tasks that is not AURA's"):
                await models.catch_up()
            assert await models.read(lambda transaction: transaction.execute("SELECT * FROM tasks")) == []

    # --- Concurrency --------------------------------------------------------------------------------------------------

    async def test_two_that_catch_up_apply_each_event_once(self, open_store: OpenStore) -> None:
        if not self.shared:
            pytest.skip("the store cannot be opened twice")
        async with open_store() as one, open_store() as other:
            several = [store.models(batch=2) for store in (one, other)]
            for chapter in range(3):  # the first time both build
                end = await tell(one.log, story(chapter))
                async with anyio.create_task_group() as tasks:
                    for models in several:
                        tasks.start_soon(models.catch_up)
                assert [await models.position() for models in several] == [end, end]
                assert same(await tables_of(several[1]), await fresh_fold(one.log))

    async def test_a_rebuild_while_another_catches_up(self, open_store: OpenStore) -> None:
        if not self.shared:
            pytest.skip("the store cannot be opened twice")
        async with open_store() as one, open_store() as other:
            follower = one.models(batch=1)
            await follower.catch_up()
            end = await tell(one.log, [*story(), *story(1)])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follower.catch_up)
                tasks.start_soon(other.models(batch=4).rebuild)
            assert await follower.position() == end
            assert same(await tables_of(follower), await fresh_fold(one.log))

    async def test_questions_of_several_tasks_at_once(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            models = store.models()
            await tell(store.log, story())
            found: list[int] = []

            async def ask() -> None:
                found.append(len((await models.list(TaskQuery())).rows))

            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(ask)
            assert found == [1] * 5

    # --- Errors -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("built", [True, False])
    async def test_an_event_that_cannot_have_happened_leaves_out_its_own_stream_only(
        self,
        open_store: OpenStore,
        built: bool,
    ) -> None:
        async with open_store() as store:
            models = store.models()
            if built:
                await models.catch_up()
            good = story()
            bad = await tell(store.log, [*good, (good[0][0], ta.TaskQueued())])
            end = await tell(store.log, story(1))
            for _ in range(2):
                assert len((await models.list(TaskQuery())).rows) == 2
                damaged = await models.first_damaged()
                assert damaged is not None
                assert (damaged.position, damaged.id, damaged.kind) == (bad, good[0][0], "task")
                assert await models.position() == end
                found, alone = await tables_of(models), await fresh_fold(store.log, bad - 1)
                mine = [row for row in found["aggregates"] if row["position"] < bad]
                assert same(mine, alone["aggregates"])
                assert (await check_read_models(models)).ok
                models = store.models()

    @pytest.mark.parametrize("built", [True, False])
    async def test_a_row_that_the_database_refuses_stops_it_there(
        self,
        open_store: OpenStore,
        monkeypatch: pytest.MonkeyPatch,
        built: bool,
    ) -> None:
        tasks = rows.STATE_TABLES["task"]

        def bad_row(task: ta.Task) -> dict[str, Any]:
            more: dict[str, Any] = tasks.more(task)
            return {**more, "priority": "none"} if task.approval_notes else more

        async with open_store() as store:
            models = store.models()
            if built:
                await models.catch_up()
            table = msgspec.structs.replace(tasks, more=bad_row)
            monkeypatch.setattr(fold, "STATE_TABLES", {**rows.STATE_TABLES, "task": table})
            events = story()
            bad = 1 + next(n for n, (_, each) in enumerate(events) if isinstance(each, ta.TaskApproved))
            await tell(store.log, events)
            with pytest.raises(ProjectionFailed) as caught:
                await models.list(TaskQuery())
            assert (caught.value.position, caught.value.stream_id) == (bad, events[0][0])
            assert await models.position() == bad - 1


_SPOILED = ("DELETE FROM execution_logs", "UPDATE tasks SET title = 'spoiled'")


def opening(url: str) -> OpenStore:
    @asynccontextmanager
    async def open_store():
        async with open_log(url) as log, store_of(log, database_of(log)) as store:
            yield store

    return open_store


class TestSQLite(ReadModelsConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        return opening(f"sqlite:///{tmp_path / 'aura.db'}")


class OnAsyncioUnlessDeep(ReadModelsConformance):
    @pytest.fixture(params=["asyncio", pytest.param("trio", marks=pytest.mark.deep)])
    def anyio_backend(self, request):
        return request.param


class TestPostgres(OnAsyncioUnlessDeep):
    stride = 1 if os.environ.get("AURA_DEEP") else 5

    @pytest.fixture
    def open_store(self, postgres_url):
        return opening(postgres_url)


class TestMemory(OnAsyncioUnlessDeep):
    """One database in memory outlives its models, as the recorder outlives its logs. No other process can have it."""

    shared = False

    @pytest.fixture
    def open_store(self):
        recorder, database = MemoryRecorder(), memory_database()

        @asynccontextmanager
        async def open_store():
            async with open_recorder(recorder) as log:
                yield StoreUnderTest(log, database)

        yield open_store
        database.close()
