"""What waits too long is told, by the clock as it is now.

Agents that say nothing are stuck only if someone could hear them, and an alert of it is one until it ends.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agents_at_work import AtWork, put_to_work
from aura_contracts.alerts import ALERTS, ALERTS_ID, AlertRaised
from aura_engine import Engine
from aura_engine.facade.core import Core
from aura_engine.notification import notifier
from aura_engine.notification.alert_search import AlertSearch
from engines import events_of
from notify_bench import FILE, Bench, ask

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
NIGHT = timedelta(hours=8)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
async def engine(bench: Bench) -> AsyncIterator[Engine]:
    async with bench.engine() as engine:
        yield engine


@pytest.fixture
async def agent(engine: Engine) -> AtWork:
    return await put_to_work(engine._core.bus, engine._core.reads)


async def stuck(core: Core) -> list[str]:
    alerts = await core.bus.fetch(ALERTS, ALERTS_ID)
    return [] if alerts is None else [one.about for one in alerts.open]


async def minutes_until_stuck(search: AlertSearch, bench: Bench, core: Core) -> int:
    """Look every minute; return how many it takes."""
    for minute in range(1, 60):
        bench.now += MINUTE
        await search.look()
        if await stuck(core):
            return minute
    return 0


async def test_an_agent_that_no_one_heard_for_a_night_is_stuck_half_an_hour_later(
    bench: Bench, engine: Engine, agent: AtWork
) -> None:
    core = engine._core
    bench.now += NIGHT
    search = AlertSearch(core.bus, core.reads)
    await search.look()
    assert await stuck(core) == []
    assert await minutes_until_stuck(search, bench, core) == 30
    assert await stuck(core) == [agent.execution_id]


async def test_an_agent_that_slept_with_its_machine_is_not_stuck(bench: Bench, engine: Engine, agent: AtWork) -> None:
    core = engine._core
    search = AlertSearch(core.bus, core.reads)
    for pause in (MINUTE, NIGHT):
        bench.now += pause
        await search.look()
    assert await stuck(core) == []
    assert await minutes_until_stuck(search, bench, core) == 30
    assert await stuck(core) == [agent.execution_id]


async def test_who_takes_over_leaves_an_alert_open_until_the_agent_ends(
    bench: Bench, engine: Engine, agent: AtWork
) -> None:
    core = engine._core
    assert await minutes_until_stuck(AlertSearch(core.bus, core.reads), bench, core) >= 30
    following = AlertSearch(core.bus, core.reads)
    for _ in range(40):
        bench.now += MINUTE
        await following.look()
        assert await stuck(core) == [agent.execution_id]
    await agent.end()
    await following.look()
    assert await stuck(core) == []
    raised = [one for one in await events_of(engine, ALERTS_ID) if isinstance(one, AlertRaised)]
    assert len(raised) == 1


async def test_a_notifier_that_begins_does_not_look_at_once(
    bench: Bench, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settings(FILE)
    done = []

    class LookedError(Exception):
        pass

    async def sleep(seconds: float) -> None:
        done.append(seconds)

    async def look(_: AlertSearch) -> None:
        raise LookedError

    beginning = engine._core.make_notifier()
    with monkeypatch.context() as patched:
        patched.setattr(AlertSearch, "look", look)
        patched.setattr("anyio.sleep", sleep)
        with pytest.raises(LookedError):
            await beginning._keep_looking()
    assert done == [notifier.LOOK_EVERY]


@pytest.mark.parametrize("timed", [True, False], ids=["with a reminder", "with nothing that is due"])
async def test_a_question_asked_by_a_clock_that_was_ahead_has_waited_since_it_was_set_back(
    bench: Bench, engine: Engine, timed: bool
) -> None:
    core = engine._core
    right = bench.now
    bench.now += timedelta(days=365)
    asked = await ask(engine, "ann", **({} if timed else {"remind_after": None, "escalate_after": None}))
    answered = await ask(engine, "ann")
    bench.now = right
    await engine.approvals.approve(answered, by="ann")
    search = AlertSearch(core.bus, core.reads)
    await search.look()
    bench.now += timedelta(hours=24)
    await search.look()
    assert await stuck(core) == []
    bench.now += timedelta(seconds=1)
    await search.look()
    assert await stuck(core) == [asked]
    (raised,) = [event for event in await events_of(engine, ALERTS_ID) if isinstance(event, AlertRaised)]
    assert f"since {right:%Y-%m-%d %H:%M}" in raised.subject
