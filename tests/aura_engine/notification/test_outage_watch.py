"""Operators are notified of an outage although nothing can be recorded, and of its end, also while nothing happens."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aura_contracts.errors import StoreUnavailable
from aura_contracts.ledger import OutageEnded
from aura_engine.clockwork import timekeeper, wall_clock
from aura_engine.notification import outage_watch
from conditions import until
from databases import PostgresServer
from notify_bench import Bench, ask, fail
from notify_servers import HttpServer, http_server

pytestmark = pytest.mark.anyio

ASK = 0.1
"""Seconds that callers wait for the database, and between two questions of the watch."""


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_watch, "ASK_EVERY", ASK)
    monkeypatch.setattr(outage_watch, "ASK_AGAIN", ASK)
    for module in (wall_clock, timekeeper):
        monkeypatch.setattr(module, "CLOCK_CHECK", ASK)


@pytest.fixture
def hook() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@pytest.fixture
def bench(tmp_path: Path, hook: HttpServer) -> Bench:
    bench = Bench(tmp_path)
    bench.settings(
        "channels:\n"
        "  log: {file: {path: told.jsonl}}\n"
        f"  hook: {{webhook: {{url: '{hook.url}', private: true}}}}\n"
        "people:\n"
        "  alice: {channels: {log: }}\n"
        "  ops: {channels: {log: , hook: {kinds: [outage]}}, operator: true, quiet: {from: '00:00', to: '23:59'}}\n"
    )
    return bench


async def test_a_service_that_idles_tells_of_an_outage_and_of_its_end_and_does_what_came_due(
    bench: Bench, hook: HttpServer, restartable_postgres: PostgresServer
) -> None:
    """A channel that fails meanwhile, too, is tried again; quiet hours hold nothing back."""
    hook.answers = [(503, {}, b""), (204, {}, b"")]
    server = restartable_postgres
    with server.database() as database:
        bench.store = server.url(database)
        async with bench.engine(record_only=False, outage_timeout=ASK) as engine:
            await engine.notifications.deliver()
            service = engine.serve()
            await service.started()
            await ask(engine, "alice", remind_after=3600.0)
            await until(bench.told)
            await anyio.to_thread.run_sync(server.stop)
            try:
                await until(lambda: len(bench.told()) == 2 and len(hook.received) == 2)
                bench.now += timedelta(hours=2)
            finally:
                await anyio.to_thread.run_sync(server.start)
            await until(lambda: len(bench.told()) == 4)
            assert service.at_work
            await fail(engine, "one")
            await until(lambda: len(bench.told()) == 5)
            outages = await engine._core.log.page(topics=["ledger.*"])
            await service.stop()
    told = [(one.kind, one.recipient) for one in bench.told()]
    assert told[:2] == [("asked", "alice"), ("outage", "ops")]
    assert sorted(told[2:4]) == [("outage_ended", "ops"), ("reminder", "alice")]
    assert told[4:] == [("failed", "alice")]
    assert "the store is away" in bench.told()[1].text
    assert len(hook.received) == 2
    assert [type(one.event) for one in outages] == [OutageEnded]


@pytest.mark.parametrize("waits", [True, False], ids=["waits for its turn", "begins meanwhile"])
async def test_a_service_that_is_not_at_work_tells_operators_once(
    bench: Bench, hook: HttpServer, restartable_postgres: PostgresServer, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one at work may have ended with its database: here it says nothing. What both say has one key."""
    server, watching = restartable_postgres, set[int]()
    ask_once = outage_watch.OutageWatch._ask

    async def asks(watch: outage_watch.OutageWatch) -> StoreUnavailable | None:
        answer = await ask_once(watch)
        watching.add(id(watch.bus))
        return answer

    monkeypatch.setattr(outage_watch.OutageWatch, "_ask", asks)
    with server.database() as database:
        bench.store = server.url(database)
        async with (
            bench.engine(record_only=False, outage_timeout=ASK) as other,
            bench.engine(record_only=False, outage_timeout=ASK) as engine,
        ):
            await other.notifications.deliver()
            if waits:
                await other.serve().started()
                engine.serve()
                await until(lambda: len(watching) == 2)
            await anyio.to_thread.run_sync(server.stop)
            try:
                if not waits:
                    engine.serve()
                count = 2 if waits else 1
                await until(lambda: len(bench.told()) == count and len(hook.received) == count)
            finally:
                await anyio.to_thread.run_sync(server.start)
            await until(lambda: any(one.kind == "outage_ended" for one in bench.told()))
    outages = [one for one in bench.told() if one.kind == "outage"]
    assert [one.recipient for one in outages] == ["ops"] * count
    assert len({one.key for one in outages}) == 1
    assert len(hook.received) == count
