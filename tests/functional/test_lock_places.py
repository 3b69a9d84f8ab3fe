"""Tasks of the queue of the pool keep their places in line for locks, and no agent, while they wait."""

from contextlib import AsyncExitStack

import anyio
import pytest

from aura_contracts.approval import ApprovalKind, ApprovalStatus
from aura_contracts.lock_table import LOCK_TABLE, LOCK_TABLE_ID, LocksTaken
from aura_contracts.task import Priority, TaskChanges, TaskStatus
from aura_engine.runtime import lock_places, queue_locks, stranded_locks
from aura_executors.scripted import ScriptedExecutor
from conditions import until
from engines import ONCE, all_questions, next_question, scripted, settled, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def aged(monkeypatch):
    """Every task of the queue has waited long."""
    monkeypatch.setattr(lock_places, "AGEING", 0.0)


async def begin(engine, repository, name, gate=None, **options):
    """Start a run of a scripted agent of its own that waits until there is a file `gate`, and writes one."""
    steps = [] if gate is None else [{"wait_for": str(gate)}]
    given = {"repositories": [str(repository)], "approval": "auto", "retry": ONCE, **options}
    return await engine.run(name, **given, **scripted([*steps, write(f"{name}.txt", f"{name}\n")]))


async def queued(engine, repository, name, **options):
    """Put a task into the queue."""
    given = {"repositories": [str(repository)], "approval": "auto", "retry": ONCE, **options}
    task = await engine.tasks.create(name, **given)
    return await engine.tasks.assign(task.id, agent_type="developer")


async def add_agent(engine, name="dev", **options):
    return await engine.agents.add(name, executor="scripted", options={"steps": [{"say": "done"}]}, **options)


async def claims(engine):
    return {one.task_id: one.held for one in await engine.tasks.locks()}


async def has_claims(engine, expected):
    async def are_there():
        return await claims(engine) == expected

    await until(are_there)


async def completes(engine, task):
    return (await settled(engine, task.id)).status is TaskStatus.COMPLETED


async def turns(engine):
    events = [record.event for record in await engine.events.list(stream=LOCK_TABLE_ID, limit=1000)]
    return [event.task_id for event in events if isinstance(event, LocksTaken)]


async def is_pooled(engine, task):
    return (await engine.tasks.get(task.id)).pooled


# --- A place without an agent -----------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_a_task_that_has_waited_long_keeps_its_place_and_leaves_the_agent_to_others(
    opened, repository, tmp_path, aged
):
    async with opened() as engine:
        await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        later = await begin(engine, repository, "later", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False, later.id: False})
        assert await completes(engine, await queued(engine, repository, "free"))
        assert await is_pooled(engine, pooled)
        (tmp_path / "gate").touch()
        for one in (first, pooled, later):
            assert await completes(engine, one)
        assert await turns(engine) == [first.id, pooled.id, later.id]


async def test_a_task_takes_its_place_when_it_has_waited_long_although_nothing_happens(
    opened, repository, tmp_path, monkeypatch
):
    monkeypatch.setattr(lock_places, "AGEING", 1.0)
    async with opened() as engine:
        await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        (tmp_path / "gate").touch()
        assert await completes(engine, pooled)


async def test_a_task_with_an_agent_that_waits_behind_one_without_goes_first_if_it_has_its_only_agent(
    opened, repository, tmp_path, aged
):
    """One has the lock and needs the agent, the other one has the agent and needs the lock."""
    async with opened() as engine:
        dev = await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        given = await engine.tasks.create("given", locks=["deploy"], repositories=[str(repository)], approval="auto")
        await engine.tasks.assign(given.id, agent=dev.id)
        await has_claims(engine, {first.id: True, pooled.id: False, given.id: False})
        (tmp_path / "gate").touch()
        for one in (first, given, pooled):
            assert await completes(engine, one)
        assert await turns(engine) == [first.id, pooled.id, given.id, pooled.id]
        assert await claims(engine) == {}


async def test_a_task_whose_agent_is_disabled_gives_its_locks_to_those_behind_it(opened, repository, tmp_path, aged):
    async with opened() as engine:
        dev = await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        later = await begin(engine, repository, "later", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False, later.id: False})
        await engine.agents.disable(dev.id)
        (tmp_path / "gate").touch()
        assert await completes(engine, later)
        assert await is_pooled(engine, pooled)
        await engine.agents.enable(dev.id)
        assert await completes(engine, pooled)


async def test_a_task_that_has_its_locks_goes_first_for_the_next_agent(opened, repository, tmp_path, aged):
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"wait_for": str(tmp_path / "agent")}]})
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["deploy"], priority="low")
        await has_claims(engine, {first.id: True, pooled.id: False})
        busy = await queued(engine, repository, "busy")
        await until(lambda: is_given(engine, busy))
        urgent = await queued(engine, repository, "urgent", priority="high")
        (tmp_path / "gate").touch()
        await has_claims(engine, {pooled.id: True})
        places = [(place.task_id, place.place, place.reason) for place in await engine.tasks.queue()]
        assert places == [(one.id, n, "dev, which suits it, is busy") for n, one in enumerate((pooled, urgent), 1)]
        (tmp_path / "agent").touch()
        for one in (busy, pooled, urgent):
            assert await completes(engine, one)
        given = [record.stream_id for record in await engine.events.list(types=["task.assigned"], limit=100)]
        assert given[1:] == [busy.id, pooled.id, urgent.id]


@pytest.mark.deep_but_first
@pytest.mark.parametrize(("edited", "priority"), [("later", "high"), ("pooled", "low")])
async def test_an_edited_priority_moves_a_task_in_the_line_that_it_stands_in(
    opened, repository, tmp_path, aged, edited, priority
):
    async with opened() as engine:
        await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["a"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["a", "b"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        later = await queued(engine, repository, "later", locks=["b"])
        await has_claims(engine, {first.id: True, pooled.id: False, later.id: False})
        reasons = {place.task_id: place.reason for place in await engine.tasks.queue()}
        assert reasons == {
            pooled.id: f"it waits for task {first.id}, which has a",
            later.id: f"it waits for task {pooled.id}, which goes first with b",
        }
        moved = {"later": later, "pooled": pooled}[edited]
        await engine.tasks.edit(moved.id, TaskChanges(priority=priority))
        assert await completes(engine, later)
        assert await claims(engine) == {first.id: True, pooled.id: False}
        (tmp_path / "gate").touch()
        assert await completes(engine, pooled)
        assert await turns(engine) == [first.id, later.id, pooled.id]


async def test_a_run_that_waits_with_its_agent_moves_as_well_and_a_question_goes_that_has_no_reason_any_more(
    opened, repository, tmp_path, aged
):
    async with opened() as engine:
        await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["a"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["a", "b"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        asking = await begin(engine, repository, "asking", locks=["b"], on_collision="ask")
        question = await next_question(engine, asking.id)
        await engine.tasks.edit(asking.id, TaskChanges(priority=Priority.HIGH))
        assert await completes(engine, asking)
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.WITHDRAWN
        (tmp_path / "gate").touch()
        assert await completes(engine, pooled)


@pytest.mark.parametrize(("named", "number"), [(2, 7), pytest.param(queue_locks.NAMED, 40, marks=pytest.mark.deep)])
async def test_many_tasks_that_wait_for_locks_cost_few_open_files_and_each_has_its_turn(
    opened, tmp_path, aged, monkeypatch, named, number
):
    monkeypatch.setattr(queue_locks, "NAMED", named)
    async with opened() as engine:
        await engine.agents.add("outside", executor="custom", capacity=2)
        made = [await engine.tasks.create(f"{n}", locks=["deploy"], approval="auto") for n in range(number)]
        for task in made:
            await engine.tasks.assign(task.id, agent_type="developer")
        await has_claims(engine, {task.id: task is made[0] for task in made})
        await until(lambda: len(open_locks(tmp_path)) == named + 2)
        for task in made:
            await until(lambda: is_given(engine, task))  # noqa: B023 - awaited here
            assert len(open_locks(tmp_path)) <= 2 * named + 2, "the next are named before the last are not any more"
            await engine.tasks.complete(task.id)
        await has_claims(engine, {})
        assert await turns(engine) == [task.id for task in made]


def open_locks(tmp_path):
    """The files of locks: one that is released is removed."""
    return [*(tmp_path / "aura.db.locks").glob("*.lock")]


async def is_given(engine, task):
    return not await is_pooled(engine, task)


async def test_an_engine_learns_of_the_place_that_another_one_has_taken(opened, repository, tmp_path, aged):
    """It has no room itself, and when it has some, the task with its locks goes before a more urgent one."""
    async with opened() as holder, opened(drive_all=True, executions=1) as engine:
        await add_agent(engine)
        first = await begin(holder, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        full = await begin(engine, repository, "full", tmp_path / "slot")
        await until(lambda: has_no_room(engine))
        async with opened() as other:
            pooled = await queued(other, repository, "pooled", locks=["deploy"], priority="low")
            await has_claims(engine, {first.id: True, pooled.id: False})
        urgent = await queued(engine, repository, "urgent", priority="high")
        (tmp_path / "gate").touch()
        await has_claims(engine, {pooled.id: True})
        (tmp_path / "slot").touch()
        for one in (first, full, pooled, urgent):
            assert await completes(engine, one)
        given = [record.stream_id for record in await engine.events.list(types=["task.assigned"], limit=100)]
        assert given[-2:] == [pooled.id, urgent.id]


async def has_no_room(engine):
    return not engine._core.runtime.slots.has_room()


# --- The end of a place -----------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize("end", ["is cancelled", "leaves the queue", "waits for another one", "needs other locks"])
async def test_a_task_that_leaves_its_place_is_waited_for_no_longer(opened, repository, tmp_path, aged, end):
    async with opened() as engine:
        await add_agent(engine)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["a"])
        await has_claims(engine, {first.id: True})
        pooled = await queued(engine, repository, "pooled", locks=["a", "b"])
        await has_claims(engine, {first.id: True, pooled.id: False})
        later = await begin(engine, repository, "later", locks=["b"])
        await has_claims(engine, {first.id: True, pooled.id: False, later.id: False})
        match end:
            case "is cancelled":
                await engine.tasks.cancel(pooled.id)
            case "leaves the queue":
                await engine.tasks.move(pooled.id, "backlog")
            case "waits for another one":
                await engine.tasks.edit(pooled.id, TaskChanges(after=(first.id,)))
            case "needs other locks":
                await engine.tasks.edit(pooled.id, TaskChanges(locks=("a",)))
        assert await completes(engine, later)
        (tmp_path / "gate").touch()
        assert await completes(engine, first)
        if end in ("waits for another one", "needs other locks"):
            assert await completes(engine, pooled)
        assert await claims(engine) == {}


@pytest.mark.deep
async def test_the_place_of_a_task_whose_engine_is_gone_is_given_back(opened, repository, tmp_path, aged):
    async with opened() as other:
        async with opened() as engine:
            await add_agent(engine)
            first = await begin(other, repository, "first", tmp_path / "gate", locks=["deploy"])
            await has_claims(engine, {first.id: True})
            pooled = await queued(engine, repository, "pooled", locks=["deploy"])
            await has_claims(engine, {first.id: True, pooled.id: False})
        later = await begin(other, repository, "later", locks=["deploy"])
        await has_claims(other, {first.id: True, pooled.id: False, later.id: False})
        (tmp_path / "gate").touch()
        assert await completes(other, later)
        assert await is_pooled(other, pooled)
        await other.resume(pooled.id)
        assert await completes(other, pooled)


@pytest.mark.deep
async def test_a_place_that_waits_is_given_back_too_if_its_engine_is_gone(opened, repository, tmp_path, aged):
    """What holds one of its locks goes on, so only that of the one that is gone keeps the other lock from others."""
    async with opened() as other:
        async with opened() as engine:
            await add_agent(engine)
            first = await begin(other, repository, "first", tmp_path / "gate", locks=["a"])
            await has_claims(engine, {first.id: True})
            pooled = await queued(engine, repository, "pooled", locks=["a", "b"])
            await has_claims(engine, {first.id: True, pooled.id: False})
        later = await begin(other, repository, "later", locks=["b"])
        assert await completes(other, later)
        assert await claims(other) == {first.id: True}
        (tmp_path / "gate").touch()
        assert await completes(other, first)
        await other.resume(pooled.id)
        assert await completes(other, pooled)


class OwnExecutor(ScriptedExecutor):
    """One that only the engine has that was opened with it."""

    name = "own"


async def knows_no_own_executor(engine, repository):
    """An engine has found that it cannot begin tasks of the agent in the pool."""
    told = await queued(engine, repository, "told")
    await until(lambda: pool_of(engine)._unable == {"own"})
    await engine.tasks.cancel(told.id)


def pool_of(engine):
    return engine._core.follower.pool


async def has_looked(engine, task):
    """An engine knows that a task of the queue has its locks, and has had a round and enough looks since."""
    await until(lambda: task.id in pool_of(engine).lock_waits._holding)
    await pool_of(engine)._round_or_pause()
    for _ in range(stranded_locks._ABSENCES + 1):
        await engine._core.follower._find_stranded()


@pytest.mark.parametrize(
    ("drive_all", "ends"),
    [
        (True, False),
        (False, True),
        pytest.param(True, True, marks=pytest.mark.deep),
        pytest.param(False, False, marks=pytest.mark.deep),
    ],
)
async def test_an_engine_without_the_executor_leaves_the_place_of_a_task_to_one_that_has_it(
    opened, repository, tmp_path, aged, drive_all, ends
):
    async with opened(drive_all=True) as engine, AsyncExitStack() as stack:
        async with opened(executors=[OwnExecutor()]) as adding:
            options = {"steps": [{"wait_for": str(tmp_path / "agent")}]}
            await adding.agents.add("dev", executor="own", options=options)
        await knows_no_own_executor(engine, repository)
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        able = await stack.enter_async_context(opened(executors=[OwnExecutor()], drive_all=drive_all))
        pooled = await queued(able, repository, "pooled", locks=["deploy"], priority="high")
        await has_claims(engine, {first.id: True, pooled.id: False})
        busy = await queued(able, repository, "busy")
        await until(lambda: is_given(engine, busy))
        later = await begin(engine, repository, "later", locks=["deploy"])
        await has_claims(engine, {first.id: True, pooled.id: False, later.id: False})
        (tmp_path / "gate").touch()
        await has_claims(engine, {pooled.id: True, later.id: False})
        await has_looked(engine, pooled)
        assert await claims(engine) == {pooled.id: True, later.id: False}
        if ends:
            await stack.aclose()
            assert await completes(engine, later)
            assert await is_pooled(engine, pooled)
        else:
            (tmp_path / "agent").touch()
            for one in (busy, pooled, later):
                assert await completes(engine, one)
            assert await turns(engine) == [first.id, pooled.id, later.id]


@pytest.mark.deep
async def test_another_engine_that_works_on_the_task_keeps_its_place_if_it_can_begin_it(
    opened, repository, tmp_path, aged
):
    async with opened(drive_all=True) as engine:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"wait_for": str(tmp_path / "agent")}]})
        first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
        await has_claims(engine, {first.id: True})
        async with opened() as gone:
            async with pool_of(engine)._turn:  # so the other one takes the place
                pooled = await queued(gone, repository, "pooled", locks=["deploy"])
                await has_claims(engine, {first.id: True, pooled.id: False})
            kept_by = [claim.engine_id for claim in await engine.tasks.locks()]
            assert kept_by == ["", gone._core.runtime.gateway.engine_id]
            busy = await queued(engine, repository, "busy")
            await until(lambda: is_given(engine, busy))
        later = await begin(engine, repository, "later", locks=["deploy"])
        (tmp_path / "gate").touch()
        await has_claims(engine, {pooled.id: True, later.id: False})
        await has_looked(engine, pooled)
        (tmp_path / "agent").touch()
        for one in (pooled, later):
            assert await completes(engine, one)
        assert await turns(engine) == [first.id, pooled.id, later.id]


async def test_an_engine_that_only_records_takes_no_place_that_it_could_not_keep(opened, aged):
    async with opened(record_only=True) as engine:
        await engine.agents.add("outside", executor="custom", capacity=2)
        tasks = [await engine.tasks.create(name, locks=["deploy"], approval="auto") for name in ("first", "second")]
        given = [await engine.tasks.assign(task.id, agent_type="developer") for task in tasks]
        assert [task.pooled for task in given] == [False, True]
        assert await claims(engine) == {tasks[0].id: True}
        await engine.tasks.complete(tasks[0].id)
        assert not (await engine.tasks.assign(tasks[1].id, agent_type="developer")).pooled
        assert await claims(engine) == {tasks[1].id: True}


# --- Asking -----------------------------------------------------------------------------------------------------------


async def collision(engine, repository, tmp_path):
    """Return a run that has a lock, and a task of the queue that asks about it, with the question."""
    await add_agent(engine)
    first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
    await has_claims(engine, {first.id: True})
    pooled = await queued(engine, repository, "pooled", locks=["deploy"], on_collision="ask")
    question = await next_question(engine, pooled.id)
    assert question.kind is ApprovalKind.LOCK_CONFLICT
    assert await is_pooled(engine, pooled)
    (place,) = await engine.tasks.queue()
    asks = f"it waits for task {first.id}, which has deploy; approval {question.id} asks whether it is to wait"
    assert (place.place, place.reason) == (None, asks)
    assert await completes(engine, await queued(engine, repository, "free")), "the agent is not kept"
    return first, pooled, question


async def test_a_human_lets_a_task_of_the_queue_run_all_the_same(opened, repository, tmp_path):
    async with opened() as engine:
        first, pooled, question = await collision(engine, repository, tmp_path)
        await engine.approvals.approve(question.id)
        assert await completes(engine, pooled)
        assert await claims(engine) == {first.id: True}
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


async def test_a_human_cancels_a_task_of_the_queue(opened, repository, tmp_path):
    async with opened() as engine:
        first, pooled, question = await collision(engine, repository, tmp_path)
        await engine.approvals.reject(question.id, "not today")
        assert (await settled(engine, pooled.id)).status is TaskStatus.CANCELLED
        await has_claims(engine, {first.id: True})
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("answer", [None, "wait for it"])
async def test_a_task_of_the_queue_waits_without_an_answer_and_with_that_one(opened, repository, tmp_path, answer):
    async with opened() as engine:
        _, pooled, question = await collision(engine, repository, tmp_path)
        if answer is not None:
            await engine.approvals.request_changes(question.id, answer)
        (tmp_path / "gate").touch()
        assert await completes(engine, pooled)
        closed = await engine.approvals.get(question.id)
        assert closed.status is (ApprovalStatus.WITHDRAWN if answer is None else ApprovalStatus.NEEDS_CHANGES)


async def test_an_answer_that_no_engine_hears_is_applied_by_the_next_one(opened, repository, tmp_path):
    async with opened() as other:
        async with opened() as engine:
            await add_agent(engine)
            first = await begin(other, repository, "first", tmp_path / "gate", locks=["deploy"])
            await has_claims(engine, {first.id: True})
            pooled = await queued(engine, repository, "pooled", locks=["deploy"], on_collision="ask")
            question = await next_question(engine, pooled.id)
        async with opened(record_only=True) as recorder:
            await recorder.approvals.approve(question.id)
        with anyio.fail_after(60):
            assert (await (await other.resume(pooled.id)).result()).status is TaskStatus.COMPLETED
        assert await claims(other) == {first.id: True}
        (tmp_path / "gate").touch()
        assert await completes(other, first)


async def allowed_and_given_up(engine, repository, tmp_path):
    """Return a run, its only agent, and a task of the queue that may run alongside it but has no place any more."""
    dev = await add_agent(engine)
    first = await begin(engine, repository, "first", tmp_path / "gate", locks=["deploy"])
    await has_claims(engine, {first.id: True})
    pooled = await queued(engine, repository, "pooled", locks=["deploy"], on_collision="ask")
    question = await next_question(engine, pooled.id)
    await engine.agents.disable(dev.id)
    await engine.approvals.approve(question.id)

    async def is_given_up():
        return pooled.id in await turns(engine) and await claims(engine) == {first.id: True}

    await until(is_given_up)
    return first, dev, pooled, question


async def test_what_a_human_has_allowed_is_kept_when_the_place_is_given_back(opened, repository, tmp_path):
    async with opened() as engine:
        first, dev, pooled, question = await allowed_and_given_up(engine, repository, tmp_path)
        await engine.agents.enable(dev.id)
        assert await completes(engine, pooled)
        assert [one.id for one in await all_questions(engine, pooled.id)] == [question.id]
        assert await claims(engine) == {first.id: True}
        (tmp_path / "gate").touch()
        assert await completes(engine, first)
        table = await engine._core.bus.fetch(LOCK_TABLE, LOCK_TABLE_ID)
        assert (table.claims, table.unused) == ((), ())


async def test_what_a_human_has_allowed_beside_one_task_is_not_allowed_beside_another(opened, repository, tmp_path):
    async with opened() as engine:
        first, dev, pooled, question = await allowed_and_given_up(engine, repository, tmp_path)
        later = await begin(engine, repository, "later", tmp_path / "other", locks=["deploy"])
        await has_claims(engine, {first.id: True, later.id: False})
        (tmp_path / "gate").touch()
        await has_claims(engine, {later.id: True})
        await engine.agents.enable(dev.id)
        again = await next_question(engine, pooled.id)
        assert again.id != question.id
        await engine.tasks.cancel(pooled.id)
        (tmp_path / "other").touch()
        assert await completes(engine, later)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("answered", ["while the lock is held", "when it is free"])
async def test_a_rejected_task_whose_engine_is_gone_is_cancelled_by_those_that_wait(
    opened, repository, tmp_path, answered
):
    """The one that gives its place back is the last that finds the answer."""
    async with opened() as other, opened(record_only=True) as recorder:
        async with opened() as engine:
            await add_agent(engine)
            first = await begin(other, repository, "first", tmp_path / "gate", locks=["deploy"])
            await has_claims(engine, {first.id: True})
            pooled = await queued(engine, repository, "pooled", locks=["deploy"], on_collision="ask")
            question = await next_question(engine, pooled.id)
        if answered == "when it is free":
            (tmp_path / "gate").touch()
            await has_claims(other, {pooled.id: True})
        await recorder.approvals.reject(question.id, "never")
        later = await begin(other, repository, "later", locks=["deploy"])
        (tmp_path / "gate").touch()
        assert await completes(other, later)
        cancelled = await other.tasks.get(pooled.id)
        assert (cancelled.status, cancelled.pooled) == (TaskStatus.CANCELLED, False)
        assert await claims(other) == {}
