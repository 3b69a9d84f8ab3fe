"""Handling commands at the bus: what is decided is recorded, together or not at all, on what is true when it is."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from agents_at_work import bus_on
from aura_contracts.actors import ENGINE, human
from aura_contracts.agent import AGENT
from aura_contracts.errors import AggregateExists, AggregateNotFound, CyclicParent, TransitionRefused, VersionConflict
from aura_contracts.ids import TaskId, uuid7_factory
from aura_contracts.task import (
    TASK,
    CancelTask,
    CreateTask,
    EditTask,
    QueueTask,
    ReparentTask,
    Task,
    TaskChanges,
    TaskCreated,
    TaskSpec,
    TaskStatus,
    UnqueueTask,
)
from aura_engine.state_cache import RecentStates
from aura_engine.unit_of_work import CommandBus, UnitOfWork
from aura_store import open_log

pytestmark = pytest.mark.anyio

ALICE = human("alice")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(1).getrandbits)


@pytest.fixture
async def bus() -> AsyncIterator[CommandBus]:
    async with open_log("memory:") as log:
        yield bus_on(log, clock=lambda: NOW, ids=new_id)


async def create(bus: CommandBus, parent: TaskId | None = None) -> TaskId:
    task_id = TaskId(new_id())
    await bus.handle(
        ALICE, task_id, CreateTask(task_id=task_id, spec=TaskSpec(title="Fix the login", parent_id=parent))
    )
    return task_id


async def load(bus: CommandBus, task_id: TaskId) -> Task | None:
    return await bus.get(TASK, task_id)


async def test_a_handled_command_is_recorded_with_its_circumstances(bus: CommandBus) -> None:
    task_id = await create(bus)
    (record,) = await bus.log.stream(task_id)
    assert (record.event.topic, record.actor, record.time) == ("task.created", ALICE, NOW)
    assert record.correlation_id == record.causation_id


async def test_a_unit_is_recorded_as_one_or_not_at_all(bus: CommandBus) -> None:
    first, second = await create(bus), await create(bus)
    async with bus.unit(ALICE) as unit:
        await unit.handle(first, QueueTask())
        await unit.handle(second, CancelTask(reason="not needed"))
    records = [(await bus.log.stream(task_id))[-1] for task_id in (first, second)]
    assert records[0].causation_id == records[1].causation_id
    assert unit.position == records[1].position

    before = await bus.log.head()
    with pytest.raises(TransitionRefused):
        async with bus.unit(ALICE) as unit:
            await unit.handle(first, CancelTask(reason="changed my mind"))
            await unit.handle(second, CancelTask(reason="again"))
    assert await bus.log.head() == before


async def test_later_commands_of_a_unit_see_what_earlier_ones_decided(bus: CommandBus) -> None:
    task_id = TaskId(new_id())
    async with bus.unit(ALICE) as unit:
        await unit.handle(task_id, CreateTask(task_id=task_id, spec=TaskSpec(title="Fix the login")))
        state = await unit.handle(task_id, CancelTask(reason="a duplicate"))
    assert state.status is TaskStatus.CANCELLED
    assert await load(bus, task_id) == state


async def test_a_command_that_changes_nothing_records_nothing(bus: CommandBus) -> None:
    task_id = await create(bus)
    await bus.handle(ALICE, task_id, QueueTask())
    before = await bus.log.head()
    await bus.handle(ALICE, task_id, QueueTask())
    assert await bus.log.head() == before


async def test_a_conflict_is_decided_again_on_what_is_true_now(bus: CommandBus) -> None:
    task_id = await create(bus)
    seen = []

    async def decide(unit: object) -> None:
        seen.append(await unit.handle(task_id, QueueTask()))  # type: ignore[attr-defined]
        if len(seen) == 1:
            await bus.handle(ENGINE, task_id, CancelTask(reason="faster"))

    with pytest.raises(TransitionRefused) as refusal:
        await bus.transact(ALICE, decide)
    assert refusal.value.status == "cancelled"


def edit(title: str) -> EditTask:
    return EditTask(changes=TaskChanges(title=title))


async def reading(bus: CommandBus) -> tuple[CommandBus, list[str]]:
    """Return another bus on the log of `bus`, as another process has, and what it reads from the log."""
    read = list[str]()
    other = bus_on(bus.log, clock=lambda: NOW, ids=new_id)
    stored = other.states.stored

    async def noted(aggregate: Any, aggregate_id: str) -> Any:
        read.append(aggregate_id)
        return await stored(aggregate, aggregate_id)

    other.states.stored = noted
    return other, read


async def test_what_was_just_recorded_is_not_read_again(bus: CommandBus) -> None:
    other, read = await reading(bus)
    task_id = TaskId(other.new_id())
    await other.handle(ALICE, task_id, CreateTask(task_id=task_id, spec=TaskSpec(title="Fix the login")))
    await other.handle(ALICE, task_id, edit("Fix it"))
    await other.handle(ALICE, task_id, edit("Fix it now"))
    assert read == []
    assert [record.event.topic for record in await bus.log.stream(task_id)] == ["task.created", *["task.edited"] * 2]


async def test_what_another_process_recorded_since_is_decided_on(bus: CommandBus) -> None:
    task_id, (other, read) = await create(bus), await reading(bus)
    await other.handle(ALICE, task_id, edit("Fix it"))
    await bus.handle(ALICE, task_id, QueueTask())
    edited = await other.handle(ALICE, task_id, edit("Fix it now"))
    assert (edited.status, edited.title) == (TaskStatus.PENDING, "Fix it now")
    assert edited.queued
    assert read == [task_id, task_id], "once at first, once after the conflict"
    await other.handle(ALICE, task_id, edit("Fix it soon"))
    assert len(read) == 2


async def test_a_refusal_holds_for_what_is_stored(bus: CommandBus) -> None:
    """What this process remembers is no reason to refuse, to do nothing, or to fail."""
    task_id, (other, _) = await create(bus), await reading(bus)
    await bus.handle(ALICE, task_id, QueueTask())
    assert (await other.handle(ALICE, task_id, QueueTask())).queued
    await bus.handle(ALICE, task_id, UnqueueTask())
    assert (await other.handle(ALICE, task_id, QueueTask())).queued, "it was in the queue when it was last read"
    await bus.handle(ALICE, task_id, CancelTask(reason="enough"))
    with pytest.raises(TransitionRefused):
        await other.handle(ALICE, task_id, edit("Fix it"))


async def test_a_state_that_is_remembered_as_another_kind_is_not_used(bus: CommandBus) -> None:
    task_id = await create(bus)
    await bus.handle(ALICE, task_id, edit("Fix it"))
    assert bus.states.recent.knows("task", task_id)
    assert not bus.states.recent.knows("agent", task_id)
    assert bus.states.recent.get(AGENT, task_id) is None


def test_memory_has_an_end() -> None:
    recent = RecentStates(limit=2)
    for number in range(3):
        recent.remember(TASK, str(number), None, number + 1)
    assert [recent.get(TASK, str(number)) is None for number in range(3)] == [True, False, False]
    recent.remember(TASK, "2", None, 1)
    found = recent.get(TASK, "2")
    assert found is not None
    assert found.version == 3, "the later one stays"
    recent.outdate("2", 4)
    assert recent.get(TASK, "2") is None


def test_streams_that_do_not_exist_are_remembered_up_to_the_same_limit():
    recent, ids = RecentStates(limit=2), [f"0192f0c1-2d3e-7abc-8def-00000000000{number}" for number in range(3)]
    for aggregate_id in ids:
        recent.expect_none(aggregate_id)
    assert [recent.get(TASK, aggregate_id) is not None for aggregate_id in ids] == [False, True, True]


async def test_what_is_refused_on_states_that_never_were_together_is_decided_again(bus: CommandBus) -> None:
    """Somebody records two tasks after this unit has read that the first one is missing."""
    one, other = TaskId(new_id()), TaskId(new_id())
    seen = []

    async def decide(unit: UnitOfWork) -> None:
        seen.append(await unit.get(TASK, one) is not None)
        if seen[-1]:
            return
        async with bus.unit(ALICE) as faster:
            for task_id in (one, other):
                await faster.handle(task_id, CreateTask(task_id=task_id, spec=TaskSpec(title="Mine")))
        await unit.handle(other, CreateTask(task_id=other, spec=TaskSpec(title="Mine")))

    await bus.transact(ENGINE, decide)
    assert seen == [False, True]
    seen.clear()
    one, other = TaskId(new_id()), TaskId(new_id())
    await bus.transact(ALICE, decide)
    assert seen[0] is False
    assert seen[-1] is True


async def test_many_at_once_all_get_their_turn(bus: CommandBus) -> None:
    parent = await create(bus)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(create, bus, parent)
    children = [
        r async for r in bus.log.read() if isinstance(r.event, TaskCreated) and r.event.spec.parent_id == parent
    ]
    assert [child.event.spec.parent_id for child in children].count(parent) == 20


async def test_a_cyclic_parent_is_refused_with_the_way_round(bus: CommandBus) -> None:
    grandparent = await create(bus)
    parent = await create(bus, grandparent)
    child = await create(bus, parent)
    with pytest.raises(CyclicParent) as refusal:
        await bus.handle(ALICE, grandparent, ReparentTask(parent_id=child))
    assert refusal.value.path == (child, parent, grandparent)
    with pytest.raises(CyclicParent):
        await bus.handle(ALICE, child, ReparentTask(parent_id=child))


async def test_two_units_cannot_each_put_a_task_below_the_others(bus: CommandBus) -> None:
    one, other = await create(bus), await create(bus)
    with pytest.raises(VersionConflict):
        async with bus.unit(ALICE) as unit:
            await unit.handle(one, ReparentTask(parent_id=other))
            await bus.handle(ALICE, other, ReparentTask(parent_id=one))
    state = await load(bus, one)
    assert state is not None
    assert state.parent_id is None


async def test_a_parent_must_exist(bus: CommandBus) -> None:
    missing = TaskId(new_id())
    with pytest.raises(AggregateNotFound) as refusal:
        await create(bus, missing)
    assert refusal.value.aggregate_id == missing


async def test_what_exists_is_not_created_again(bus: CommandBus) -> None:
    task_id = await create(bus)
    with pytest.raises(AggregateExists):
        await bus.handle(ALICE, task_id, CreateTask(task_id=task_id, spec=TaskSpec(title="Again")))
