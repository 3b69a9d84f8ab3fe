"""Conformance of databases for read models: the requirements of `LogReadModels` on each of them.

A log and its database prove themselves with a small class in their own tests:

    class TestMine(ReadModelsConformance):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: my_log_and_read_models(tmp_path)

The fixture `open_store` returns a function. Each call of it returns an async context manager that opens **the same**
`StoreUnderTest` again, like a newly started process, and closes it on exit; the store is empty at the start of every
test. For stores that can be opened only once at a time, set ``shared = False``.

Crashes are injected at every statement and every commit in turn. Nothing waits for a time; `patience` only ends a hang.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import anyio
import anyio.to_thread
import attrs
import msgspec
import pytest

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import lease as le
from aura_contracts import task as ta
from aura_contracts import workflow as wf
from aura_contracts import workspace as ws
from aura_contracts.actors import human
from aura_contracts.entries import Usage
from aura_contracts.errors import EventOutOfOrder, StoreMisconfigured
from aura_contracts.events import Append, Event, EventRecord, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.identity import WorkerIdentity
from aura_contracts.ids import (
    AgentId,
    ApprovalId,
    ExecutionId,
    LeaseId,
    StreamId,
    TaskId,
    WorkerId,
    WorkflowId,
    WorkspaceId,
)
from aura_contracts.ports import EventLog
from aura_contracts.ports.read_models import TaskQuery
from aura_store.read_models import LogReadModels, ProjectionFailed, check_read_models
from aura_store.read_models import _fold as fold
from aura_store.read_models import _rows as rows
from aura_store.read_models._check import same
from aura_store.read_models._database import Database, Transaction, memory_database
from aura_store.read_models._schema import FOLDED

NOW = datetime(2026, 1, 4, 12, 0, 0, 123456, tzinfo=UTC)


@attrs.frozen
class StoreUnderTest:
    """A log, and the database of its read models."""

    log: EventLog
    database: Database

    def models(self, **more: Any) -> LogReadModels:
        """Return read models that have not read anything yet."""
        return LogReadModels(self.log, self.database, **more)


OpenStore = Callable[[], AbstractAsyncContextManager[StoreUnderTest]]


class Crashed(Exception):
    """The process ended here. It is not a database error, so nothing handles it."""


# --- Events to fold ---------------------------------------------------------------------------------------------------


def an_id(number: int) -> str:
    """Return id `number`; different numbers give different ids."""
    return str(UUID(int=0x0192F0C1_2D3E_7ABC_8DEF_000000000000 + number))


def story(chapter: int = 0) -> list[tuple[StreamId, Event]]:
    """Return the life of a task, its agent, execution, approval and workflow: events by stream, in order."""
    ids = [an_id(100 * chapter + number) for number in range(9)]
    task, agent, run, approval, flow = ids[:5]
    start, asked = _beginnings(ids)
    steps = (wf.StepDefinition(id="code", type=wf.StepType.AGENT_TASK, task_template="build"),)
    worker = ex.ExecutionLeased(lease_id=LeaseId(ids[6]), epoch=1, worker_id=WorkerId(ids[7]))
    failure = Failure(FailureReason.WORKER_LOST, "silent for 15 s", stage="Setup")
    return [
        *start,
        (
            flow,
            wf.WorkflowStarted(
                workflow_id=WorkflowId(flow),
                definition=wf.WorkflowDefinition(name="all", steps=steps, context={"π": [1.5, None]}),
            ),
        ),
        (flow, wf.StepStarted(step_id="code", task_id=TaskId(task))),
        (task, ta.TaskQueued()),
        (task, ta.TaskAssigned(agent_id=AgentId(agent), agent_type=ta.DEVELOPER)),
        (agent, ag.TaskTaken(task_id=TaskId(task))),
        (task, ta.ExecutionStarted(execution_id=ExecutionId(run))),
        (run, worker),
        (ids[6], _lease(ids)),
        (ids[8], _workspace(ids)),
        (run, ex.PreparationStarted()),
        (run, ex.ProgressReported(message="installed", step="3 packages")),
        (run, ex.UsageRecorded(usage=Usage(input_tokens=5))),
        *asked,
        (agent, ag.AgentPaused(task_id=TaskId(task), approval_id=ApprovalId(approval))),
        (
            approval,
            ap.VoteCast(ballot=ap.Ballot(reviewer="alice", seat="alice", decision=ap.ApprovalDecision.APPROVED)),
        ),
        (approval, ap.ApprovalGranted(feedback="good")),
        (task, ta.TaskApproved(approval_id=ApprovalId(approval), notes="good")),
        (run, ex.ExecutionFailed(failure=failure)),
        (ids[5], ap.ApprovalExpired()),
        (task, ta.TaskCompleted(result={"files": 2})),
        (agent, ag.AgentReleased(task_id=TaskId(task), outcome=ag.TaskOutcome.COMPLETED)),
        (flow, wf.StepCompleted(step_id="code", result={"ok": True})),
        (flow, wf.WorkflowCompleted()),
    ]


def _beginnings(ids: Sequence[str]) -> tuple[list[tuple[StreamId, Event]], list[tuple[StreamId, Event]]]:
    task, agent, run, approval = ids[:4]
    start: list[tuple[StreamId, Event]] = [
        (
            task,
            ta.TaskCreated(
                task_id=TaskId(task), spec=ta.TaskSpec(title="Straße 道", context={"n": 1e300, "deep": {"x": [{}]}})
            ),
        ),
        (
            agent,
            ag.AgentRegistered(
                agent_id=AgentId(agent),
                spec=ag.AgentSpec(name="Ada", type=ta.DEVELOPER, executor="x", capabilities=("c", "go")),
            ),
        ),
        (
            run,
            ex.ExecutionQueued(
                execution_id=ExecutionId(run),
                spec=ex.ExecutionSpec(task_id=TaskId(task), executor="codex", prompt="p", session_id="s"),
            ),
        ),
    ]

    def question(number: str) -> ap.ApprovalRequested:
        return ap.ApprovalRequested(
            approval_id=ApprovalId(number),
            requested_by=human("bob"),
            question=ap.Question(kind=ap.ApprovalKind.CHANGES, reviewers=("alice", "bob"), task_id=TaskId(task)),
        )

    asked: list[tuple[StreamId, Event]] = [
        (task, ta.ProposalSubmitted(approval_id=ApprovalId(approval), proposal="a diff", confidence=0.5)),
        (approval, question(approval)),
        (ids[5], question(ids[5])),
    ]
    return start, asked


def _lease(ids: Sequence[str]) -> le.LeaseGranted:
    return le.LeaseGranted(
        lease_id=LeaseId(ids[6]),
        execution_id=ExecutionId(ids[2]),
        worker_id=WorkerId(ids[7]),
        identity=WorkerIdentity(host="h", instance="i"),
        epoch=1,
        grace=30.0,
    )


def _workspace(ids: Sequence[str]) -> ws.WorkspaceRequested:
    layout = ws.WorkspaceLayout(
        task_id=TaskId(ids[0]),
        title="t",
        slug="t",
        branch="aura/t",
        repositories=(ws.Repository("app", "/srv/app", "main"),),
    )
    return ws.WorkspaceRequested(workspace_id=WorkspaceId(ids[8]), layout=layout)


async def tell(log: EventLog, events: Sequence[tuple[StreamId, Event]]) -> int:
    """Append `events` one after the other; return the last position."""
    position = await log.head()
    for stream_id, each in events:
        version = len(await log.facts(stream_id))
        fact = Fact(each, NOW + timedelta(seconds=position), human("alice"), "talk", "cause")
        position = await log.append(Append(stream_id, version, (fact,)))
    return position


# --- Inspection and crashes -------------------------------------------------------------------------------------------

Tables = dict[str, list[dict[str, Any]]]


async def tables_of(models: LogReadModels) -> Tables:
    """Return all rows of all tables, read in one transaction."""

    def look(transaction: Transaction) -> Tables:
        database, found = models.database, Tables()
        for table in FOLDED:
            names = ", ".join(f'"{name}"' for name in table.names)
            rows = transaction.execute(f"SELECT {names} FROM {table.name} ORDER BY id")  # noqa: S608 - our names
            found[table.name] = [database.plain(table.columns, row) for row in rows]
        for row in found["aggregates"]:
            if isinstance(row["state"], str):
                row["state"] = msgspec.json.decode(row["state"])
        return found

    return await models.read(look)


async def fresh_fold(log: EventLog, upto: int | None = None) -> Tables:
    """Return the expected tables: the log folded from its start in a fresh database."""
    models = LogReadModels(log, memory_database(), upto=await log.head() if upto is None else upto)
    try:
        await models.catch_up()
        return await tables_of(models)
    finally:
        await models.aclose()


async def spoil(models: LogReadModels, *statements: str) -> None:
    """Change the tables without the log."""

    def write(transaction: Transaction) -> None:
        for statement in statements:
            transaction.execute(statement)

    def writing() -> None:
        with models.database.transaction(writing=True) as transaction:
            write(transaction)

    await anyio.to_thread.run_sync(writing)


@contextmanager
def crash_at(database: Database, step: int) -> Iterator[list[str]]:
    """Make the process "end" before the `step`-th statement or commit, counted from 0; yield the list of those sent."""
    sent: list[str] = []
    begin, commit = database.begin, database.commit

    def count(what: str) -> None:
        if len(sent) == step:
            raise Crashed(what)
        sent.append(what)

    class Counted(Transaction):
        def __init__(self, transaction: Transaction) -> None:
            self._transaction = transaction
            self.dialect = transaction.dialect

        def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            count(statement)
            return self._transaction.execute(statement, values)

        def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
            count(statement)
            self._transaction.execute_many(statement, rows)

        def table_names(self) -> set[str]:
            return self._transaction.table_names()

    def counted_commit() -> None:
        count("COMMIT")
        commit()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "begin", lambda *, writing: Counted(begin(writing=writing)))
        patch.setattr(database, "commit", counted_commit)
        yield sent


class SlowLog:
    """A log that stops at a page until it may continue; otherwise like the original."""

    def __init__(self, log: EventLog, *, at: int) -> None:
        self._log = log
        self._pages_left = at
        self.stopped = anyio.Event()
        self.go_on = anyio.Event()

    async def page(self, *arguments: Any, **more: Any) -> Sequence[EventRecord]:
        if self._pages_left == 0:
            self.stopped.set()
            await self.go_on.wait()
        self._pages_left -= 1
        return await self._log.page(*arguments, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@contextmanager
def another_version(number: int) -> Iterator[None]:
    """Act as a program with another version of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold, "VERSION", number)
        fold.schema_version.cache_clear()
        try:
            yield
        finally:
            patch.undo()
            fold.schema_version.cache_clear()


@pytest.mark.aura_conformance
@pytest.mark.anyio
class ReadModelsConformance:
    """The requirements. Every test runs on asyncio and on trio."""

    shared: ClassVar[bool] = True
    """Whether the store can be opened twice at the same time."""

    patience: ClassVar[float] = 60.0
    """Seconds after which a hanging test fails."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """The event loops for every test."""
        return str(request.param)

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Override it; see the module's docstring."""
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
            assert [name for name, found in tables.items() if not found] == ["boards", "templates"]

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
            step += 1
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
    async def test_an_event_that_cannot_have_happened_stops_it_there(
        self,
        open_store: OpenStore,
        built: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        async with open_store() as store:
            models = store.models()
            if built:
                await models.catch_up()
            good = story()
            bad = await tell(store.log, [*good, (good[0][0], ta.TaskQueued())])
            await tell(store.log, story(1))
            for _ in range(2):
                with pytest.raises(EventOutOfOrder) as caught:
                    await models.list(TaskQuery())
                assert (caught.value.position, caught.value.stream_id) == (bad, good[0][0])
                assert await models.position() == bad - 1
                assert same(await tables_of(models), await fresh_fold(store.log, bad - 1))

    @pytest.mark.parametrize("built", [True, False])
    async def test_a_row_that_the_database_refuses_stops_it_there(
        self,
        open_store: OpenStore,
        monkeypatch: pytest.MonkeyPatch,
        built: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        tasks = rows.STATE_TABLES["task"]

        def bad_row(task: ta.Task) -> dict[str, Any]:
            more: dict[str, Any] = tasks.more(task)
            return {**more, "priority": "none"} if task.approval_notes else more

        async with open_store() as store:
            models = store.models()
            if built:
                await models.catch_up()
            monkeypatch.setattr(fold, "STATE_TABLES", {**rows.STATE_TABLES, "task": attrs.evolve(tasks, more=bad_row)})
            events = story()
            bad = 1 + next(n for n, (_, each) in enumerate(events) if isinstance(each, ta.TaskApproved))
            await tell(store.log, events)
            with pytest.raises(ProjectionFailed) as caught:
                await models.list(TaskQuery())
            assert (caught.value.position, caught.value.stream_id) == (bad, events[0][0])
            assert await models.position() == bad - 1


_SPOILED = ("DELETE FROM execution_logs", "UPDATE tasks SET title = 'spoiled'")


@asynccontextmanager
async def store_of(log: EventLog, database: Database) -> AsyncIterator[StoreUnderTest]:
    """Return `log` and `database` as a store; closes the database on exit, but not the log."""
    try:
        yield StoreUnderTest(log, database)
    finally:
        await anyio.to_thread.run_sync(database.close)
