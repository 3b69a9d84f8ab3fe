"""Time travel: what was, as of a position or an instant; how it came about; what changed in between."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import human
from aura_contracts.errors import EventOutOfOrder, InvalidInput, NaiveDatetime
from aura_contracts.events import Append, Event, Fact
from aura_contracts.ids import AgentId, TaskId, uuid7_factory
from aura_contracts.ports import EventLog
from aura_contracts.task import (
    TASK,
    TaskAssigned,
    TaskCancelled,
    TaskChanges,
    TaskCreated,
    TaskEdited,
    TaskQueued,
    TaskSpec,
    TaskStatus,
)
from aura_store import diff, history, open_log, state_at, world_at
from aura_store.repository import AggregateRepository

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(1).getrandbits)
TASK_ID, OTHER_ID = TaskId(new_id()), TaskId(new_id())


def fact(event: Event, minute: int) -> Fact:
    return Fact(event, START + timedelta(minutes=minute), human("alice"), new_id(), new_id())


@pytest.fixture
async def log() -> AsyncIterator[EventLog]:
    """Two tasks: one created, queued and assigned, with the life of the other in between."""
    async with open_log("memory:") as opened:
        await opened.append(
            Append(TASK_ID, 0, (fact(TaskCreated(task_id=TASK_ID, spec=TaskSpec(title="Fix the login")), 1),))
        )
        await opened.append(
            Append(OTHER_ID, 0, (fact(TaskCreated(task_id=OTHER_ID, spec=TaskSpec(title="Add a test")), 2),))
        )
        await opened.append(Append(TASK_ID, 1, (fact(TaskQueued(), 3),)))
        await opened.append(Append(OTHER_ID, 1, (fact(TaskCancelled(reason="done already"), 4),)))
        await opened.append(Append(TASK_ID, 2, (fact(TaskAssigned(agent_id=AgentId(new_id())), 5),)))
        yield opened


async def test_an_aggregate_as_of_a_position(log: EventLog) -> None:
    seen = [await state_at(log, TASK, TASK_ID, position) for position in range(6)]
    assert [loaded.version for loaded in seen] == [0, 1, 1, 2, 2, 3]
    assert seen[0].state is None
    assert [loaded.state.queued for loaded in seen[1:] if loaded.state] == [False, False, True, True, False]
    assert seen[5].state == (await AggregateRepository(log).load(TASK, TASK_ID)).state


async def test_an_aggregate_as_of_an_instant(log: EventLog) -> None:
    before = await state_at(log, TASK, TASK_ID, START)
    at_creation = await state_at(log, TASK, TASK_ID, START + timedelta(minutes=1))
    later = await state_at(log, TASK, TASK_ID, START + timedelta(days=1))
    assert before.state is None
    assert at_creation.version == 1
    assert later.state is not None
    assert later.state.status is TaskStatus.IN_PROGRESS


async def test_the_same_instant_in_another_zone_is_the_same_instant(log: EventLog) -> None:
    from datetime import timezone

    elsewhere = (START + timedelta(minutes=3)).astimezone(timezone(timedelta(hours=9)))
    assert (await state_at(log, TASK, TASK_ID, elsewhere)).version == 2


async def test_a_naive_instant_is_refused(log: EventLog) -> None:
    with pytest.raises(NaiveDatetime):
        await state_at(log, TASK, TASK_ID, datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(NaiveDatetime):
        await world_at(log, datetime(2026, 1, 1))  # noqa: DTZ001


async def test_a_negative_position_is_refused(log: EventLog) -> None:
    with pytest.raises(InvalidInput, match="below 0"):
        await world_at(log, -1)


@pytest.mark.parametrize("position", range(6))
async def test_the_whole_system_is_what_its_aggregates_are(log: EventLog, position: int) -> None:
    world = await world_at(log, position)
    assert world.position == position
    for task_id in (TASK_ID, OTHER_ID):
        expected = (await state_at(log, TASK, task_id, position)).state
        assert world.states.get("task", {}).get(task_id) == expected


async def test_the_system_now_is_the_system_at_the_head(log: EventLog) -> None:
    assert (await world_at(log)).states == (await world_at(log, await log.head())).states


async def test_history_reads_as_a_story(log: EventLog) -> None:
    lines = await history(log, TASK, TASK_ID)
    assert [line.topic for line in lines] == ["task.created", "task.queued", "task.assigned"]
    assert [change.field for change in lines[1].changes] == ["queued", "queued_at"]
    first = str(lines[0])
    assert "2026-01-01 12:01:00.000Z" in first
    assert "human:alice" in first
    assert "pending" in first
    assert "Fix the login" in first
    assert "pending → in_progress" in str(lines[2])
    assert all("\n" not in str(line) for line in lines)


async def test_a_difference_names_the_fields_that_changed(log: EventLog) -> None:
    before = (await state_at(log, TASK, TASK_ID, 3)).state
    after = (await state_at(log, TASK, TASK_ID, 5)).state
    changes = {change.field: (change.before, change.after) for change in diff(before, after)}
    assert changes["status"] == ("pending", "in_progress")
    assert changes["queued"] == (True, False)
    assert "title" not in changes
    assert diff(after, after) == []
    assert {change.field for change in diff(None, before)} >= {"id", "status", "title"}


async def test_events_that_cannot_follow_one_another_are_named(log: EventLog) -> None:
    await log.append(Append(OTHER_ID, 2, (fact(TaskQueued(), 6),)))
    with pytest.raises(EventOutOfOrder) as damage:
        await world_at(log)
    assert (damage.value.position, damage.value.stream_id) == (6, OTHER_ID)
    with pytest.raises(EventOutOfOrder) as damage:
        await AggregateRepository(log).load(TASK, OTHER_ID)
    assert damage.value.stream_id == OTHER_ID
    assert "cancelled" in str(damage.value)


async def test_as_of_an_instant_an_aggregate_is_what_it_is_in_the_world(log: EventLog) -> None:
    """The clocks of two processes differ: an event of an earlier time arrives after one of a later time."""
    await log.append(Append(TASK_ID, 3, (fact(TaskEdited(changes=TaskChanges(title="Fix it now")), 2),)))
    for minute in range(7):
        instant = START + timedelta(minutes=minute)
        world = await world_at(log, instant)
        assert (await state_at(log, TASK, TASK_ID, instant)).state == world.states.get("task", {}).get(TASK_ID)


async def test_the_event_that_cannot_have_happened_is_named(log: EventLog) -> None:
    await log.append(Append(OTHER_ID, 2, (fact(TaskQueued(), 6),)))
    for attempt in (AggregateRepository(log).load(TASK, OTHER_ID), history(log, TASK, OTHER_ID)):
        with pytest.raises(EventOutOfOrder) as damage:
            await attempt
        assert (damage.value.position, damage.value.stream_id) == (6, OTHER_ID)


async def test_there_is_nothing_as_of_a_negative_position(log: EventLog) -> None:
    with pytest.raises(InvalidInput):
        await state_at(log, TASK, TASK_ID, -1)
