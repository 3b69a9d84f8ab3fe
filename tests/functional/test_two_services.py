"""Two services of one PostgreSQL store, of which one loses its lock with the session of the database, unnoticed."""

from datetime import timedelta

import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import APPROVAL, ApprovalKind, Question, RequestApproval
from aura_contracts.service import SERVICE_ID, ServiceStarted
from aura_engine import open_engine, store_turn
from aura_engine.clockwork import effects, timekeeper, wall_clock
from aura_engine.host import Host, now
from conditions import until
from databases import end_lock_sessions
from engines import events_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", 0.02)
    monkeypatch.setattr(timekeeper, "_RETRY_AFTER", 0.02)


async def test_one_that_has_lost_its_lock_fires_nothing_and_waits(postgres, postgres_url, tmp_path, monkeypatch):
    """It is idle, so nothing has it look at its lock but what becomes due."""
    passed, fired = timedelta(), []
    fire = effects.fire

    async def fires(bus, timer, start, drive):
        fired.append(bus)
        return await fire(bus, timer, start, drive)

    def opened():
        host = Host(clock=lambda: now() + passed)
        return open_engine(postgres_url, home=tmp_path / "home", user="alice", host=host)

    monkeypatch.setattr(timekeeper, "fire", fires)
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 3600.0)
    async with opened() as one, opened() as two:
        core, task = two._core, await two.tasks.create("Something")
        about = {"kind": ApprovalKind.QUESTION, "proposed_solution": "May I?", "task_id": task.id}
        ident = core.bus.new_id()
        question = Question(**about, reviewers=("alice",), remind_after=3600.0)
        await core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))
        first = one.serve()
        await first.started()
        end_lock_sessions(postgres, postgres_url)
        monkeypatch.setattr(store_turn, "LOCK_CHECK", 0.02)
        second = two.serve()
        await second.started()
        assert first.at_work, "it does not know yet"
        passed = timedelta(hours=2)

        async def reminded():
            return (await core.bus.fetch(APPROVAL, ident)).reminders == 1

        await until(reminded)
        await until(lambda: not first.at_work)
        assert set(map(id, fired)) == {id(core.bus)}
        await second.stop()
        await first.started()
        told = await events_of(one, SERVICE_ID)
        served = [event.place.engine_id for event in told if isinstance(event, ServiceStarted)]
        ids = [each._core.runtime.gateway.engine_id for each in (one, two)]
        assert served == [ids[0], ids[1], ids[0]]
