"""What is due of a task and of its questions while only a service is there: retries, deadlines, ends of delegations.

Each is on the index of due times, and the service does it when its time has come.
"""

from datetime import timedelta

import pytest

from aura_contracts.approval import ApprovalStatus
from aura_contracts.task import RetryPolicy, TaskStatus
from aura_engine import store_turn
from aura_engine.clockwork import timekeeper, wall_clock
from aura_engine.host import Host, now
from conditions import until
from engines import next_question, scripted, settled, write

pytestmark = pytest.mark.anyio

HOURLY = RetryPolicy(base_delay=3600.0, max_delay=3600.0, jitter=0.0)


class Passing:
    """A clock that runs, and that a test sets forward."""

    def __init__(self):
        self.passed = timedelta()

    def __call__(self):
        return now() + self.passed

    def passes(self, hours):
        self.passed += timedelta(hours=hours)


@pytest.fixture
def clock(monkeypatch):
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.02)
    monkeypatch.setattr(wall_clock, "HOLD", 0.02)
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 0.02)
    return Passing()


async def due(engine, clock):
    """What is due: the aggregates and purposes, with the hours until then."""
    rows = await engine.timers.list()
    return [(row.kind, str(row.purpose), round((row.due_at - clock()).total_seconds() / 3600)) for row in rows]


async def completes(engine, task_id):
    async def is_over():
        return (await engine.tasks.get(task_id)).status is TaskStatus.COMPLETED

    await until(is_over)


async def test_a_stage_and_a_task_are_tried_again(opened, repository, tmp_path, clock):
    """The agent fails twice: its stage is tried again in an hour, and after that the task."""
    agent = f"echo x >> {tmp_path}/starts; test $(wc -l < {tmp_path}/starts) -gt 2 && echo done > a.md"
    how = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", agent]}, "approval": "auto"}
    async with opened(host=Host(clock=clock)) as engine, opened(host=Host(clock=clock), record_only=True) as asking:
        await engine.serve().started()
        run = await asking.run("Go", repositories=[str(repository)], retry=HOURLY, **how)
        for _ in range(2):

            async def waits():
                return [hours for _, purpose, hours in await due(asking, clock) if purpose == "retry"] == [1]

            await until(waits)
            clock.passes(1)
        await completes(asking, run.id)
        assert (tmp_path / "starts").read_text().count("x") == 3
        assert await due(asking, clock) == []


async def test_work_continues_without_a_human_where_a_policy_says_so(opened, repository, tmp_path, clock):
    (tmp_path / "home").mkdir()
    policy = "rules:\n  - {ask: soon, when: {kind: changes}, then: {deadline: 2h, on_expiry: continue}}\n"
    (tmp_path / "home/policies.yaml").write_text(policy)
    how = {"repositories": [str(repository)], **scripted([write("a.md", "x\n")])}
    async with opened(host=Host(clock=clock)) as engine:
        run = await engine.run("Go", **how)
        question = await next_question(engine, run.id)
        assert await due(engine, clock) == [("approval", "expire", 2)]
    async with opened(host=Host(clock=clock)) as engine:
        await engine.serve().started()
        clock.passes(3)
        await completes(engine, run.id)
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.EXPIRED
        assert await due(engine, clock) == []


async def test_the_owner_of_a_seat_is_reminded_when_a_delegation_ends(opened, repository, clock):
    how = {"repositories": [str(repository)], **scripted([write("a.md", "x\n")])}
    async with opened(host=Host(clock=clock)) as engine:
        run = await engine.run("Go", **how)
        await settled(engine, run.id)
        question = await next_question(engine, run.id)
        await engine.approvals.delegate(question.id, to="eve", until=clock() + timedelta(hours=5))
        assert await due(engine, clock) == [("approval", "remind", 5)]
    async with opened(host=Host(clock=clock)) as engine:
        await engine.serve().started()
        clock.passes(5)

        async def reminded():
            return (await engine.approvals.get(question.id)).reminders == 1

        await until(reminded)
        assert await due(engine, clock) == [("approval", "remind", 24)]
