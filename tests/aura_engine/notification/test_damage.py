"""What no time repairs keeps no one from being notified of the rest, and is no outage."""

import json
import sqlite3
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.alerts import ALERTS_ID, RaiseAlert
from aura_contracts.approval import APPROVAL
from aura_contracts.errors import LogDamaged
from aura_contracts.outbox import outbox_id
from aura_engine import Engine, Host
from aura_engine.notification import notifier
from conditions import until
from notify_bench import FILE, Bench, ask, fail
from notify_servers import http_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.settings(FILE + "people: {alice: {channels: {log: , all: }, operator: true}}")
    path = bench.home / "notifications.yaml"
    path.write_text(path.read_text().replace("channels: {", "channels: {all: {file: {path: all.jsonl}}, ", 1))
    return bench


async def test_a_damaged_question_leaves_out_its_link_only(tmp_path: Path) -> None:
    """What waits behind the message is sent, and so is the message, with the links of the others."""
    bench = Bench(tmp_path)

    def engine() -> AbstractAsyncContextManager[Engine]:
        base = "https://aura.example.org"
        environment = {"AURA_BASE_URL": base, "PATH": "/usr/bin:/bin"}
        return bench.engine(host=Host(clock=lambda: bench.now, environment=environment))

    with http_server() as server:
        bench.settings(
            f"channels: {{hook: {{webhook: {{url: '{server.url}', private: true}}, links: true}}}}\n"
            "people: {ann: {channels: {hook: }, kinds: {asked: digest}}, alice: {channels: {hook: }}}"
        )
        server.answers = [(503, {}, b"later")]
        async with engine() as first:
            await first.notifications.deliver()
            asked = [await ask(first, "ann") for _ in range(2)]
            bench.now += timedelta(days=1)
            await first.notifications.deliver()
        assert damage(bench, asked[0], "= 1")
        server.answers = [(204, {}, b"")]
        async with engine() as second:
            await fail(second, "one")
            await second.notifications.deliver()
            assert await second.notifications.list() == []
            intact = await second._core.bus.get(APPROVAL, asked[1])
        assert [link.reviewer for link in intact.links] == ["ann"]
        texts = [json.loads(one.body)["data"]["text"].count("/links/") for one in server.received]
    assert sorted(texts) == [0, 1, 2]


def damage(bench: Bench, stream_id: str, versions: str) -> int:
    """Overwrite stored events of a stream; return how many."""
    with sqlite3.connect(bench.folder / "aura.db") as database:
        update = "UPDATE stored_events SET state = x'00' WHERE originator_id = ? AND originator_version "
        changed = database.execute(update + versions, (stream_id,)).rowcount
    database.close()
    return changed


@pytest.mark.deep_but_first
@pytest.mark.parametrize("versions", ["= 1", "> 1"], ids=["its beginning", "what notifies"])
async def test_a_damaged_task_is_skipped(bench: Bench, versions: str) -> None:
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await fail(engine, "before")
        damaged = await fail(engine, "damaged")
        await fail(engine, "after")
    assert damage(bench, damaged, versions)
    async with bench.engine() as engine, anyio.create_task_group() as group:
        group.start_soon(engine.notifications.serve)
        await until(lambda: len(bench.told()) == 2)
        group.cancel_scope.cancel()
    assert [one.subject for one in bench.told()] == ["before failed: AgentError", "after failed: AgentError"]


async def test_a_damaged_outbox_stops_its_channel_only_and_loses_nothing(bench: Bench) -> None:
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await fail(engine, "one")
        await engine.notifications.deliver()
    assert damage(bench, outbox_id("all"), "= 1")
    async with bench.engine() as engine:
        await fail(engine, "two")
        assert await engine.notifications.deliver()
        (failed,) = (await engine._core.log.page(topics=["task.failed"]))[1:]
        cursor = await engine._core.log.load_cursor(notifier.CURSOR)
        assert cursor is not None
        assert cursor < failed.position
    assert [one.subject for one in bench.told()] == ["one failed: AgentError", "two failed: AgentError"]


async def test_damage_that_is_of_no_one_event_is_said_and_is_no_outage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "RETRY_PAUSE", 0.0)
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        log, asked = type(engine._core.log), []

        async def damaged(self: object, *_: object, **__: object) -> object:
            asked.append(self)
            raise LogDamaged(reason="the file is not a database")

        with monkeypatch.context() as patch, pytest.raises(LogDamaged):
            patch.setattr(log, "page", damaged)
            await engine.notifications.deliver()
        monkeypatch.setattr(log, "page", damaged)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.notifications.serve)
            await until(lambda: len(asked) > 3)
            group.cancel_scope.cancel()
    assert bench.told() == []


async def test_an_alert_of_an_unknown_kind_is_skipped(bench: Bench) -> None:
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        for kind in ("sunspots", "error_rate"):
            await engine._core.bus.handle(ENGINE, ALERTS_ID, RaiseAlert(kind=kind, about="", subject=kind))
        await engine.notifications.deliver()
    assert [one.kind for one in bench.told()] == ["error_rate"]
