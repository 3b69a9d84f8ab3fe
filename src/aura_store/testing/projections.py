"""Conformance of databases for read models: what a `ProjectionRunner` must keep on every one of them.

A log and database prove themselves with one small class in their own tests:

    class TestMine(ProjectionConformance):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: my_log_and_database(tmp_path)

`open_store` is a fixture that returns a function; each call of the function returns an async context manager that opens
**the same** `Store` again, as a process that starts does, and closes it when left; empty at the start of every test. A
store that only one opening can have at a time sets ``shared = False``.

Crashes are injected at every statement and every commit that a runner sends, one after the other. Nothing waits for a
time; `patience` only ends a hang.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import anyio
import attrs
import pytest
from sqlalchemy import event, func, select

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import task as ta
from aura_contracts import workflow as wf
from aura_contracts.actors import human
from aura_contracts.agent import AgentRegistered, AgentSpec
from aura_contracts.errors import EventOutOfOrder, StoreMisconfigured
from aura_contracts.events import Append, Event, EventRecord, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, LeaseId, StreamId, TaskId, WorkerId, WorkflowId
from aura_contracts.ports import EventLog
from aura_store.projections import PROJECTIONS, Database, Projection, ProjectionFailed, ProjectionRunner, Step
from aura_store.projections._checking import check_read_models
from aura_store.projections._database import memory_database
from aura_store.projections.projector import same
from aura_store.projections.tables import EXECUTION_LOGS, METADATA, TASKS

NOW = datetime(2026, 1, 4, 12, 0, 0, 123456, tzinfo=UTC)


@attrs.frozen
class Store:
    """A log, and the database that its read models are in."""

    log: EventLog
    database: Database


OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


class Crashed(Exception):
    """The process ended here. No error of a database, so nothing handles it."""


# --- A story to fold --------------------------------------------------------------------------------------------------


def an_id(number: int) -> str:
    """Return id `number`; different numbers, different ids."""
    return str(UUID(int=0x0192F0C1_2D3E_7ABC_8DEF_000000000000 + number))


def story(chapter: int = 0) -> list[tuple[StreamId, Event]]:
    """Return what happens to a task, its agent, execution, approval and workflow, as events by stream, in order."""
    ids = [an_id(100 * chapter + number) for number in range(8)]
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
        (run, ex.PreparationStarted()),
        (run, ex.ProgressReported(message="installed", step="3 packages")),
        (run, ex.UsageRecorded(usage=ex.Usage(input_tokens=5))),
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
        (agent, ag.AgentReleased(task_id=TaskId(task), outcome=ag.Outcome.COMPLETED)),
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
            AgentRegistered(
                agent_id=AgentId(agent),
                spec=AgentSpec(name="Ada", type=ta.DEVELOPER, executor="x", capabilities=("c", "go")),
            ),
        ),
        (
            run,
            ex.ExecutionQueued(
                execution_id=ExecutionId(run), spec=ex.ExecutionSpec(task_id=TaskId(task), executor="codex", prompt="p")
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


async def tell(log: EventLog, events: Sequence[tuple[StreamId, Event]]) -> int:
    """Append `events` one after the other; return the last position."""
    position = await log.head()
    for stream_id, each in events:
        version = len(await log.facts(stream_id))
        fact = Fact(each, NOW + timedelta(seconds=position), human("alice"), "talk", "cause")
        position = await log.append(Append(stream_id, version, (fact,)))
    return position


# --- Looking and crashing ---------------------------------------------------------------------------------------------


async def tables_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, as they are in one transaction."""
    return await database.read(
        lambda c: {
            str(table.name): [tuple(row) for row in c.execute(select(table).order_by(table.c.id))]
            for table in METADATA.tables.values()
        }
    )


async def fresh_fold(log: EventLog, upto: int | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the tables should hold: the log folded from its beginning in a database that nobody has touched."""
    database = memory_database()
    try:
        runner = ProjectionRunner(log, database)
        await runner.fold_until(await log.head() if upto is None else upto)
        return await tables_of(database)
    finally:
        await database.aclose()


@contextmanager
def crash_at(database: Database, step: int) -> Iterator[list[str]]:
    """Have the process "end" before the `step`-th statement or commit, counted from 0; yield the list of those sent."""
    sent: list[str] = []

    def count(what: str) -> None:
        if len(sent) == step:
            raise Crashed(what)
        sent.append(what)

    def before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        count(statement)

    def before_commit(_connection: Any) -> None:
        count("COMMIT")

    event.listen(database.engine, "before_cursor_execute", before_statement)
    event.listen(database.engine, "commit", before_commit)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", before_statement)
        event.remove(database.engine, "commit", before_commit)


class SlowLog:
    """A log that stops at a page until it is let go on; everything else is the log's."""

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


@pytest.mark.aura_conformance
@pytest.mark.anyio
class ProjectionConformance:
    """The promises. Every test runs on asyncio and on trio."""

    shared: ClassVar[bool] = True
    """Whether the store can be opened twice at the same time."""

    patience: ClassVar[float] = 60.0
    """Seconds after which a test that hangs fails."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """The event loops that every test runs on."""
        return str(request.param)

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Override it: see the module's docstring."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    async def _in_time(self, anyio_backend: str) -> AsyncIterator[None]:
        with anyio.fail_after(self.patience):
            yield

    # --- Incrementally ------------------------------------------------------------------------------------------------

    async def test_rows_are_the_fold_of_the_log(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            end = await tell(store.log, story())
            runner = ProjectionRunner(store.log, store.database)
            assert await runner.catch_up() == end
            assert await runner.positions() == dict.fromkeys((each.name for each in PROJECTIONS), end)
            tables = await tables_of(store.database)
            assert same(tables, await fresh_fold(store.log))
            assert all(tables.values())

    async def test_events_apply_once_however_often_it_runs(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for chapter in range(3):
                await tell(store.log, story(chapter))
                for _ in range(2):
                    await ProjectionRunner(store.log, store.database, batch=7).catch_up()
                assert same(await tables_of(store.database), await fresh_fold(store.log))

    @pytest.mark.parametrize("batch", [1, 5])
    async def test_it_goes_on_from_any_position(self, open_store: OpenStore, batch: int) -> None:
        events = story()
        async with open_store() as store:
            await tell(store.log, events)
            await ProjectionRunner(store.log, store.database).rebuild()
            end = await tell(store.log, story(1))
        for upto in range(len(events) + batch, end + 1, 2 * batch):
            async with open_store() as store:
                runner = ProjectionRunner(store.log, store.database, batch=batch)
                assert await runner.catch_up(upto) == upto
                assert same(await tables_of(store.database), await fresh_fold(store.log, upto))

    async def test_states_that_were_forgotten_are_folded_again(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            runner = ProjectionRunner(store.log, store.database, batch=2, states_kept=1)
            await runner.rebuild()
            await tell(store.log, story(1))
            await runner.catch_up()
            assert same(await tables_of(store.database), await fresh_fold(store.log))

    async def test_running_it_follows_the_log(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            runner = ProjectionRunner(store.log, store.database)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.run)
                for chapter in range(2):
                    end = await tell(store.log, story(chapter))
                    while set((await runner.positions()).values()) != {end}:
                        pass
                tasks.cancel_scope.cancel()
            assert same(await tables_of(store.database), await fresh_fold(store.log))

    # --- Crashes ------------------------------------------------------------------------------------------------------

    async def test_a_crash_at_any_step_loses_and_doubles_nothing(self, open_store: OpenStore) -> None:
        """Each run dies one step later than the one before, until one gets through; batches of three events."""
        async with open_store() as store:
            await ProjectionRunner(store.log, store.database).build()
            end = await tell(store.log, story()[:9])
        step, reached = 0, -1
        while reached < end:
            async with open_store() as store:
                runner = ProjectionRunner(store.log, store.database, batch=3)
                with crash_at(store.database, step), suppress(Crashed):
                    await runner.catch_up()
            async with open_store() as store:
                positions = set((await ProjectionRunner(store.log, store.database).positions()).values())
                assert len(positions) == 1, "all projections move together"
                before, reached = reached, positions.pop()
                assert reached >= before
                assert same(await tables_of(store.database), await fresh_fold(store.log, reached))
            step += 1

    async def test_a_crash_in_a_rebuild_leaves_what_was_there(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            await ProjectionRunner(store.log, store.database).rebuild()
            await self._spoil(store)
            spoiled, whole = await tables_of(store.database), await fresh_fold(store.log)
        step, done = 0, False
        while not done:
            async with open_store() as store:
                with crash_at(store.database, step) as sent:
                    with suppress(Crashed):
                        await ProjectionRunner(store.log, store.database, batch=10).rebuild()
                    done = len(sent) < step
            async with open_store() as store:
                found = await tables_of(store.database)
                assert same(found, spoiled) or same(found, whole), f"after a crash at step {step}"
                done = done or same(found, whole)
            step += 1
        assert step > 10

    @staticmethod
    async def _spoil(store: Store) -> None:
        """Change the tables behind the back of the log."""
        await store.database.write(lambda c: c.execute(EXECUTION_LOGS.delete()))
        await store.database.write(lambda c: c.execute(TASKS.update().values(title="spoiled")))

    # --- Rebuilding ---------------------------------------------------------------------------------------------------

    async def test_a_rebuild_equals_going_step_by_step(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            runner = ProjectionRunner(store.log, store.database, batch=1)
            await runner.build()
            await tell(store.log, story())
            await runner.catch_up()
            step_by_step = await tables_of(store.database)
            await self._spoil(store)
            assert await runner.rebuild() == len(story())
            assert await tables_of(store.database) == step_by_step
            assert (await check_read_models(runner)).ok

    async def test_readers_see_no_half_built_model(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            await ProjectionRunner(store.log, store.database).rebuild()
            whole = await tables_of(store.database)
            slow: Any = SlowLog(store.log, at=2)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ProjectionRunner(slow, store.database, batch=3).rebuild)
                await slow.stopped.wait()
                assert await tables_of(store.database) == whole
                await tell(store.log, story(1))
                slow.go_on.set()
            runner = ProjectionRunner(store.log, store.database)
            reached = (await runner.positions())["tasks"]
            assert same(await tables_of(store.database), await fresh_fold(store.log, reached))

    async def test_another_schema_is_another_build(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await tell(store.log, story())
            await ProjectionRunner(store.log, store.database).rebuild()
            await self._spoil(store)
            newer = [attrs.evolve(each, version=each.version + 1) for each in PROJECTIONS]
            await ProjectionRunner(store.log, store.database, newer).catch_up()
            assert same(await tables_of(store.database), await fresh_fold(store.log))
            with pytest.raises(StoreMisconfigured, match="another version"):
                await ProjectionRunner(store.log, store.database).catch_up()

    async def test_what_follows_does_not_fight_with_a_newer_program(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            old = ProjectionRunner(store.log, store.database)
            await tell(store.log, story())
            await old.catch_up()
            newer = [attrs.evolve(each, version=each.version + 1) for each in PROJECTIONS]
            await ProjectionRunner(store.log, store.database, newer).catch_up()
            await tell(store.log, story(1))
            with pytest.raises(StoreMisconfigured, match="another version"):
                await old.catch_up()

    async def test_tables_of_somebody_else_are_left_alone(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.database.write(TASKS.create)
            with pytest.raises(StoreMisconfigured, match="table tasks that is not AURA's"):
                await ProjectionRunner(store.log, store.database).catch_up()
            assert await store.database.read(lambda c: c.scalar(select(func.count()).select_from(TASKS))) == 0

    # --- Several runners ----------------------------------------------------------------------------------------------

    async def test_two_runners_apply_each_event_once(self, open_store: OpenStore) -> None:
        if not self.shared:
            pytest.skip("the store cannot be opened twice")
        async with open_store() as one, open_store() as other:
            runners = [ProjectionRunner(store.log, store.database, batch=2) for store in (one, other)]
            async with anyio.create_task_group() as tasks:  # both build
                for runner in runners:
                    tasks.start_soon(runner.build)
            end = await tell(one.log, [*story(), *story(1)])
            async with anyio.create_task_group() as tasks:  # both follow
                for runner in runners:
                    tasks.start_soon(runner.catch_up)
            assert set((await runners[0].positions()).values()) == {end}
            assert same(await tables_of(other.database), await fresh_fold(one.log))

    async def test_a_rebuild_beside_a_runner_that_follows(self, open_store: OpenStore) -> None:
        if not self.shared:
            pytest.skip("the store cannot be opened twice")
        async with open_store() as one, open_store() as other:
            follower = ProjectionRunner(one.log, one.database, batch=1)
            await follower.build()
            end = await tell(one.log, [*story(), *story(1)])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follower.catch_up)
                tasks.start_soon(ProjectionRunner(other.log, other.database, batch=4).rebuild)
            assert set((await follower.positions()).values()) == {end}
            assert same(await tables_of(one.database), await fresh_fold(one.log))

    # --- Errors -------------------------------------------------------------------------------------------------------

    async def test_an_event_that_cannot_have_happened_stops_it_there(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            runner = ProjectionRunner(store.log, store.database)
            await runner.build()
            good = story()
            bad = await tell(store.log, [*good, (good[0][0], ta.TaskQueued())])
            await tell(store.log, story(1))
            for _ in range(2):
                with pytest.raises(EventOutOfOrder) as caught:
                    await runner.catch_up()
                assert (caught.value.position, caught.value.stream_id) == (bad, good[0][0])
                assert set((await runner.positions()).values()) == {bad - 1}
                assert same(await tables_of(store.database), await fresh_fold(store.log, bad - 1))

    @pytest.mark.parametrize("rebuilding", [False, True])
    async def test_a_row_that_the_database_refuses_stops_it_there(
        self,
        open_store: OpenStore,
        rebuilding: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        def rows(step: Step) -> Sequence[dict[str, Any]]:
            made = PROJECTIONS[0].rows(step)
            return [{**row, "priority": "none"} for row in made] if row_is_bad(step) else made

        def row_is_bad(step: Step) -> bool:
            return isinstance(step.record.event, ta.TaskApproved)

        projections: list[Projection] = [attrs.evolve(PROJECTIONS[0], rows=rows), *PROJECTIONS[1:]]
        async with open_store() as store:
            events = story()
            bad = 1 + next(n for n, (_, each) in enumerate(events) if isinstance(each, ta.TaskApproved))
            if rebuilding:
                await tell(store.log, events[:bad])
            runner = ProjectionRunner(store.log, store.database, projections)
            if not rebuilding:
                await runner.build()
                await tell(store.log, events[:bad])
            with pytest.raises(ProjectionFailed) as caught:
                await runner.catch_up()
            assert (caught.value.position, caught.value.stream_id) == (bad, events[0][0])
            assert set((await runner.positions()).values()) == {0 if rebuilding else bad - 1}


@asynccontextmanager
async def store_of(log: EventLog, database: Database) -> AsyncIterator[Store]:
    """Return `log` and `database` as a store; closes the database when left, and not the log."""
    try:
        yield Store(log, database)
    finally:
        await database.aclose()
