"""The notifier on a real store, with a real mail server and a real file."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.alerts import ALERTS, ALERTS_ID
from aura_contracts.approval.commands import (
    EscalateApproval,
    ExpireApproval,
    RemindReviewers,
    WithdrawApproval,
)
from aura_contracts.errors import (
    CommandRefused,
    DeliveryFailed,
    DeliveryRefused,
    InvalidFile,
    InvalidInput,
    StoreUnavailable,
)
from aura_contracts.events import Append
from aura_contracts.execution import ExecutionStatus
from aura_contracts.outbox import OUTBOX, outbox_id
from aura_engine.host import Host
from aura_engine.notification.alert_search import look
from aura_engine.notification.notifier import CURSOR
from aura_notify.http import HttpSender
from conditions import until
from notify_bench import FILE, Bench, ask, fail
from notify_servers import headers_of, http_server, mail_server, raw_server

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_the_life_of_a_question_reaches_those_it_concerns(bench: Bench) -> None:
    bench.settings(
        FILE + "people:\n  ann: {channels: {log: }}\n  bob: {channels: {log: }}\n  eve: {channels: {log: }}\n"
    )
    async with bench.engine() as engine:
        assert await engine.notifications.deliver()
        deadline = bench.now + 60 * HOUR
        times = {"remind_after": 24 * 3600.0, "escalate_after": 48 * 3600.0, "escalate_to": ("eve",)}
        ident = await ask(engine, "ann", "bob", deadline=deadline, **times)
        for hours, command in ((24, RemindReviewers()), (24, EscalateApproval()), (13, ExpireApproval())):
            await engine.notifications.deliver()
            bench.now += hours * HOUR
            await engine._core.bus.handle(ENGINE, ident, command)
        await engine.notifications.deliver()
    told = sorted((one.kind, one.recipient) for one in bench.told())
    assert told == [
        ("asked", "ann"),
        ("asked", "bob"),
        ("escalated", "eve"),
        ("expired", "ann"),
        ("expired", "bob"),
        ("expired", "eve"),
        ("reminder", "ann"),
        ("reminder", "bob"),
    ]
    assert {one.thread for one in bench.told()} == {ident}
    assert len({one.key for one in bench.told()}) == 8


async def test_a_question_that_was_answered_meanwhile_is_not_asked(bench: Bench) -> None:
    bench.settings(FILE + "people: {ann: {channels: {log: }}}")
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        ident = await ask(engine, "ann", "alice")
        await engine.approvals.approve(ident)
        await engine.notifications.deliver()
    assert bench.told() == []


async def test_opening_an_engine_sends_nothing_and_what_was_before_the_first_time_is_not_told(bench: Bench) -> None:
    bench.settings(FILE + "people: {alice: {channels: {log: }}}")
    async with bench.engine() as engine:
        await fail(engine, "before")
        await engine.notifications.deliver()
        await fail(engine, "after")
    async with bench.engine():
        pass
    assert bench.told() == []
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await engine.notifications.deliver()
    (message,) = bench.told()
    assert message.subject == "after failed: AgentError"
    assert "it broke" in message.text


async def test_more_than_so_many_a_minute_are_told_in_one(bench: Bench) -> None:
    bench.settings(FILE + "people: {alice: {channels: {log: }}, ann: {channels: {log: }, watches: true}}")
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        for number in range(30):
            await fail(engine, f"task {number}")
        await engine.notifications.deliver()
        outbox = await engine._core.bus.fetch(OUTBOX, outbox_id("log"))
        assert outbox is not None
        assert (outbox.sent, outbox.pending) == (2, ())
    assert [(one.kind, one.count) for one in bench.told()] == [("digest", 30)] * 2
    assert {one.recipient for one in bench.told()} == {"alice", "ann"}


async def test_quiet_hours_hold_back_and_end_in_one_message_but_not_for_what_is_always_told(bench: Bench) -> None:
    quiet = 'quiet: {from: "22:00", to: "07:00"}'
    bench.settings(FILE + f"people: {{alice: {{channels: {{log: }}, {quiet}, kinds: {{blocked: always}}}}}}")
    bench.now = bench.now.replace(hour=23)
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await fail(engine, "one")
        await fail(engine, "two")
        await engine.notifications.deliver()
        assert bench.told() == []
    bench.now += 8 * HOUR
    async with bench.engine() as engine:  # another program: nothing was kept in memory
        await engine.notifications.deliver()
    (message,) = bench.told()
    assert (message.kind, message.count) == ("digest", 2)


async def test_a_digest_is_sent_once_a_day(bench: Bench) -> None:
    bench.settings(FILE + 'people: {alice: {channels: {log: }, kinds: {failed: digest}, digest: "18:00"}}')
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await fail(engine, "one")
        bench.now += 5 * HOUR
        await engine.notifications.deliver()
        assert bench.told() == []
        await fail(engine, "two")
        bench.now += HOUR
        await engine.notifications.deliver()
        await engine.notifications.deliver()
    (message,) = bench.told()
    assert message.count == 2


async def test_a_preference_that_changes_while_a_digest_waits_neither_loses_nor_repeats(bench: Bench) -> None:
    """What waited for a digest is sent at once, what was sent at once is in no digest."""

    def kinds(failed: str, asked: str) -> str:
        return FILE + f"people: {{alice: {{channels: {{log: }}, kinds: {{failed: {failed}, asked: {asked}}}}}}}"

    bench.settings(kinds("digest", "now"))
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await fail(engine, "one")
        await ask(engine, "alice")
        await engine.notifications.deliver()
        assert [one.kind for one in bench.told()] == ["asked"]
    bench.settings(kinds("now", "digest"))
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        assert [one.kind for one in bench.told()] == ["asked", "failed"]
        await ask(engine, "alice")
        await engine.notifications.deliver()
        bench.now += 24 * HOUR
        await engine.notifications.deliver()
    told = [(item.kind, item.key) for message in bench.told() for item in message.items]
    assert [kind for kind, _ in told] == ["asked", "failed", "asked"]
    assert len(set(told)) == 3


@pytest.mark.parametrize("hours", [24, 365 * 24])
async def test_a_digest_is_not_held_by_a_clock_that_was_ahead(bench: Bench, hours: int) -> None:
    bench.settings(FILE + "people: {alice: {channels: {log: }, kinds: {failed: digest}}}")
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        bench.now += hours * HOUR
        await fail(engine, "one")
        await engine.notifications.deliver()
        assert bench.told() == []
        bench.now -= hours * HOUR
        await engine.notifications.deliver()
        await engine.notifications.deliver()
    assert [one.subject for one in bench.told()] == ["one failed: AgentError"]


async def test_a_crash_between_sending_and_recording_sends_again_under_the_same_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aura_engine.notification import lane

    class Killed(BaseException):
        pass

    recorded = lane.DeliveryLane._record

    async def dies(self: lane.DeliveryLane, command: Any) -> Any:
        if type(command).__name__ == "RecordNotificationSent":
            raise Killed
        return await recorded(self, command)

    with mail_server() as mailbox:
        bench.settings(
            f"channels: {{mail: {{smtp: {{host: localhost, port: {mailbox.port}, security: none, from: a@b.org}}}}}}\n"
            "people: {alice: {channels: {mail: alice@example.org}}}"
        )
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
        monkeypatch.setattr(lane.DeliveryLane, "_record", dies)
        with pytest.raises(Killed):
            async with bench.engine() as engine:
                await engine.notifications.deliver()
        monkeypatch.undo()
        async with bench.engine() as engine:
            await fail(engine, "two")  # what came since does not change the message
            await engine.notifications.deliver()
        sent = [headers_of(envelope) for envelope in mailbox.envelopes]
    assert [one["Subject"] for one in sent] == ["one failed: AgentError"] * 2 + ["two failed: AgentError"]
    assert sent[0]["Message-ID"] == sent[1]["Message-ID"] != sent[2]["Message-ID"]


@pytest.mark.parametrize("left", ["channels: {log: {file: {path: a}}}\npeople: {alice: {channels: {log: }}}", ""])
async def test_messages_for_whom_the_settings_name_no_more_are_listed_as_orphaned(bench: Bench, left: str) -> None:
    """Whether the person lost the channel, or the channel is gone."""
    with http_server() as server:
        server.answers = [(500, {}, b"later")]
        before = f"channels: {{hook: {{webhook: {{url: '{server.url}', private: true}}}}}}\n"
        before += "people: {alice: {channels: {hook: }}}"
        bench.settings(before)
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            await engine.notifications.deliver()
            (waiting,) = await engine.notifications.list()
            assert (waiting.status, waiting.channel) == ("pending", "hook")
        bench.settings(left)
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            (orphan,) = await engine.notifications.list()
            assert (orphan.status, orphan.id) == ("orphaned", waiting.id)
            assert await engine.notifications.list(channel="hook") == [orphan]
            (found,) = [one async for one in engine.doctor.examine() if one.kind == "notification"]
            assert found.id == orphan.id
            assert "one failed" in found.text
            assert "name alice with the channel hook in notifications.yaml" in found.remedy
        bench.settings(before)
        server.answers = [(204, {}, b"")]
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            assert await engine.notifications.list() == []
        assert server.received[-1].headers["webhook-id"] == orphan.id


SECRET_PATH = "/services/T0A1/B0B2/XyZsecret123?token=q9w8e7r6t5"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("status", [404, 410, 500])
@pytest.mark.parametrize(
    "told", ["Cannot POST {path}", "<p>no {url}</p>", "{last}", "{path} " * 40, "x" * 174 + "{path}"]
)
async def test_what_a_server_repeats_of_a_secret_address_is_kept_nowhere(
    bench: Bench, status: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    bench.settings("channels: {s: {slack: {url: env:HOOK, private: true}}}\npeople: {alice: {channels: {s: }}}")
    with http_server() as server:
        url = server.url.removesuffix("/hook") + SECRET_PATH
        body = told.format(path=SECRET_PATH, url=url, last="XyZsecret123")
        server.answers = [(status, {}, body.encode())]
        host = Host(clock=lambda: bench.now, environment={"HOOK": url, "PATH": "/usr/bin:/bin"})
        async with bench.engine(host=host) as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            await engine.notifications.deliver()
            if status == 500:  # until it is given up
                bench.now += 25 * HOUR
                await engine.notifications.deliver()
            (dead,) = await engine.notifications.list()
            assert (dead.status, str(status) in dead.reason) == ("dead", True)
            with pytest.raises(DeliveryFailed) as failed:
                await engine.notifications.test("s")
            found = [str(one) async for one in engine.doctor.examine()]
            stored = [str(one) for one in await engine._core.log.page(0)]
    kept = " ".join([dead.reason, str(failed.value), *found, *stored, caplog.text])
    for secret in ("XyZ", "T0A1", "B0B2", "q9w8", "secret123"):
        assert secret not in kept


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_what_a_mail_server_repeats_of_a_password_is_kept_nowhere(bench: Bench) -> None:
    with mail_server(password="letmein") as mailbox:
        bench.settings(
            f"channels: {{mail: {{smtp: {{host: localhost, port: {mailbox.port}, security: none, from: a@b.org,"
            " login: aura, password: env:PASSWORD}}}\npeople: {alice: {channels: {mail: alice@example.org}}}"
        )
        mailbox.replies["alice@example.org"] = "550 letmein: bGV0bWVpbg== AGF1cmEAbGV0bWVpbg=="
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            await engine.notifications.deliver()
            (dead,) = await engine.notifications.list()
    assert dead.reason == "the server answered 550 [redacted]: [redacted] [redacted]"


async def test_what_a_library_raises_is_logged_without_the_address(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(self: HttpSender, *_: Any) -> None:
        raise RuntimeError(f"cannot parse {self.url}")

    monkeypatch.setattr(HttpSender, "post", breaks)
    url = "https://hooks.example.org" + SECRET_PATH
    bench.settings("channels: {s: {slack: {url: env:HOOK}}}\npeople: {alice: {channels: {s: }}}")
    host = Host(clock=lambda: bench.now, environment={"HOOK": url, "PATH": "/usr/bin:/bin"})
    async with bench.engine(host=host) as engine:
        with pytest.raises(DeliveryFailed, match="the channel itself failed: RuntimeError"):
            await engine.notifications.test("s")
    assert "RuntimeError: cannot parse [redacted]" in caplog.text
    assert "XyZ" not in caplog.text


def store_is_away() -> StoreUnavailable:
    return StoreUnavailable(store="s", reason="gone", waited=60.0, attempts=1)


@pytest.mark.parametrize("stored", [False, True])
async def test_a_message_whose_queueing_failed_is_queued_once_whether_or_not_it_was_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    bench.settings(FILE + "people: {alice: {channels: {log: }}}")
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        await fail(engine, "one")
        notifier = await engine.notifications._notifier()
        await notifier._restore()
        await notifier._read()
        lane = notifier.lanes["log", "alice"]
        log, append = type(engine._core.log), type(engine._core.log).append

        async def fails(self: Any, *appends: Append) -> int:
            await notifier._save()  # which runs at the same time
            if stored:
                await append(self, *appends)
            raise store_is_away()

        monkeypatch.setattr(log, "append", fails)
        assert await lane.step()  # a pause
        monkeypatch.undo()
        await notifier._save()
        (failed,) = await engine._core.log.page(topics=["task.failed"])
        assert await engine._core.log.load_cursor(CURSOR) == failed.position - 1
        await fail(engine, "two")
        await notifier._read()
        lane._not_before = 0.0  # the pause is over
        while await lane.step() == 0.0:
            pass
        assert len(bench.told()) == 2
        assert await engine.notifications.deliver()  # as another program would
    assert [one.subject for one in bench.told()] == ["one failed: AgentError", "two failed: AgentError"]


async def test_a_notifier_that_ends_before_the_store_has_answered_does_not_begin_at_the_first_event(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settings(FILE + "people: {alice: {channels: {log: }}}")
    async with bench.engine() as engine:
        await fail(engine, "before")
        await engine.notifications.deliver()
        log, asked = type(engine._core.log), anyio.Event()

        async def fails(self: Any, name: str) -> int:
            asked.set()
            raise store_is_away()

        monkeypatch.setattr(log, "load_cursor", fails)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.notifications.serve)
            await asked.wait()
            group.cancel_scope.cancel()
        monkeypatch.undo()
        await engine.notifications.deliver()
    assert bench.told() == []


async def test_a_dead_channel_holds_up_no_other_and_its_letter_can_be_retried(bench: Bench) -> None:
    with mail_server() as mailbox:
        bench.settings(
            "channels:\n"
            f"  mail: {{smtp: {{host: localhost, port: {mailbox.port}, security: none, from: a@b.org}}}}\n"
            "  log: {file: {path: told.jsonl}}\n"
            "people: {alice: {channels: {log: , mail: alice@example.org}}}"
        )
        mailbox.replies["alice@example.org"] = "550 no such user"
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            await engine.notifications.deliver()
            assert len(bench.told()) == 1
            (dead,) = await engine.notifications.list()
            assert (dead.status, dead.channel, dead.attempts) == ("dead", "mail", 1)
            assert "550 no such user" in dead.reason
            found = [one async for one in engine.doctor.examine() if one.kind == "notification"]
            assert [(one.status, one.id) for one in found] == [("wrong", dead.id)]
            with pytest.raises(CommandRefused):
                await engine.notifications.retry(dead.id, by="agent:1")
            mailbox.replies.clear()
            assert (await engine.notifications.retry(dead.id)).status == "pending"
            assert (await engine.notifications.retry(dead.id)).status == "pending"
            await engine.notifications.deliver()
            assert await engine.notifications.list() == []
        (envelope,) = mailbox.envelopes
        assert headers_of(envelope)["Message-ID"] == f"<{dead.id}@b.org>"
        assert len(bench.told()) == 1


@pytest.mark.deep_but_first
async def test_a_channel_that_never_answers_is_left_and_tried_again(bench: Bench) -> None:
    with raw_server(lambda _: None) as server:
        bench.settings(
            "channels:\n"
            f"  mail: {{smtp: {{host: 127.0.0.1, port: {server.port}, security: none, from: a@b.org}}, timeout: 1s}}\n"
            "  log: {file: {path: told.jsonl}}\n"
            "people: {alice: {channels: {log: , mail: alice@example.org}}}"
        )
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            await engine.notifications.deliver()
            assert len(bench.told()) == 1
            (waiting,) = await engine.notifications.list()
            assert waiting.status == "pending"
            bench.now += 25 * HOUR
            await engine.notifications.deliver()
            (dead,) = await engine.notifications.list()
        assert (dead.id, dead.status, dead.reason) == (waiting.id, "dead", "no answer within 1 s")


async def test_a_receiver_that_says_when_to_come_back_is_left_alone_until_then(bench: Bench) -> None:
    with http_server() as server:
        server.answers = [(429, {"Retry-After": "3600"}, b"slow down"), (204, {}, b"")]
        bench.settings(
            f"channels: {{hook: {{webhook: {{url: '{server.url}', private: true}}}}}}\n"
            "people: {alice: {channels: {hook: }}}"
        )
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            await fail(engine, "one")
            notifier = await engine.notifications._notifier()
            await notifier._restore()
            await notifier._read()
            lane = notifier.lanes["hook", "alice"]
            assert await lane.step() == 0.0  # it is queued
            assert await lane.step() == 3600.0
            await fail(engine, "two")
            await notifier._read()
            pause = await lane.step()
            assert pause is not None
            assert 0 < pause <= 3600
            assert len(server.received) == 1
            lane._not_before = 0.0  # an hour later
            while await lane.step() == 0.0:
                pass
            assert await engine.notifications.list() == []
        keys = [one.headers["webhook-id"] for one in server.received]
    assert keys[0] == keys[1] != keys[2]
    assert len(keys) == 3


async def test_one_program_serves_a_store_and_the_next_takes_over(bench: Bench) -> None:
    bench.settings(FILE + "people: {alice: {channels: {log: }}}")
    async with bench.engine() as first, anyio.create_task_group() as group:
        group.start_soon(first.notifications.serve)
        async with bench.engine() as second:

            async def is_served() -> bool:
                return not await second.notifications.deliver()

            await until(is_served)
            await fail(first, "one")
            await until(lambda: len(bench.told()) == 1)
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
    async with bench.engine() as third:
        await fail(third, "two")
        assert await third.notifications.deliver()
    told = {one.key: one.subject for one in bench.told()}  # the first may have been closed before it had recorded
    assert list(told.values()) == ["one failed: AgentError", "two failed: AgentError"]


async def test_a_question_that_waits_for_a_day_is_an_alert_once(bench: Bench) -> None:
    bench.settings(FILE + "people: {ann: {channels: {log: }}, ops: {channels: {log: }, operator: true}}")
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        core = engine._core
        ident = await ask(engine, "ann", remind_after=None)
        for hours in (23, 2, 1):
            bench.now += hours * HOUR
            await look(core.bus, core.reads, bench.now)
            await engine.notifications.deliver()
        told = [(one.kind, one.recipient) for one in bench.told()]
        assert sorted(told) == [("asked", "ann"), ("waiting", "ann"), ("waiting", "ops")]
        await core.bus.handle(ENGINE, ident, WithdrawApproval())
        await look(core.bus, core.reads, bench.now)
        alerts = await core.bus.fetch(ALERTS, ALERTS_ID)
        assert alerts is not None
        assert alerts.open == ()


async def test_who_is_reminded_after_a_day_gets_no_alert_of_the_same(bench: Bench) -> None:
    """Also an operator who is asked, and who watches; but not who wants no reminders, or gets them by no channel."""
    people = ("ann: {channels: {log: }, operator: true}", "ops: {channels: {log: }, operator: true}")
    more = ("eve: {channels: {log: }, watches: true}", "bob: {channels: {log: }, kinds: {reminder: off}}")
    elsewhere = (
        "carol: {channels: {log: {kinds: [asked, waiting]}}}",
        "dan: {channels: {log: }, kinds: {reminder: digest}}",
    )
    bench.settings(FILE + "people: {" + ", ".join((*people, *more, *elsewhere)) + "}")
    async with bench.engine() as engine:
        await engine.notifications.deliver()
        core = engine._core
        ident = await ask(engine, "ann", "bob", "carol", "dan", remind_after=24 * 3600.0)
        await engine.notifications.deliver()
        bench.now += 24.1 * HOUR
        await look(core.bus, core.reads, bench.now)
        await engine.notifications.deliver()
        await core.bus.handle(ENGINE, ident, RemindReviewers())
        await engine.notifications.deliver()
    told = sorted((one.recipient, one.kind) for one in bench.told() if one.kind != "asked")
    assert told == [
        ("ann", "reminder"),
        ("bob", "waiting"),
        ("carol", "waiting"),
        ("dan", "waiting"),
        ("eve", "reminder"),
        ("ops", "waiting"),
    ]


async def test_an_error_rate_about_its_limit_is_one_alert_that_ends_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settings(FILE + "people: {ops: {channels: {log: }, operator: true}}")
    counted: dict[ExecutionStatus, int] = {}

    async def counts(*_: Any) -> dict[ExecutionStatus, int]:
        return counted

    async with bench.engine() as engine:
        await engine.notifications.deliver()
        core = engine._core
        monkeypatch.setattr(type(core.reads), "counts", counts)
        rates = ((1, 9), (2, 8), (1, 9), (2, 18), (1, 7), (2, 8), (1, 19), (1, 11), (0, 3), (2, 7), (2, 8))
        raised = []
        for failed, completed in rates:
            counted = {ExecutionStatus.FAILED: failed, ExecutionStatus.DONE: completed}
            await look(core.bus, core.reads, bench.now)
            alerts = await core.bus.fetch(ALERTS, ALERTS_ID)
            raised.append(bool(alerts and alerts.open))
        await engine.notifications.deliver()
    o, x = False, True
    assert raised == [o, x, x, x, x, x, o, o, o, o, x]
    assert [one.kind for one in bench.told()] == ["error_rate"] * 2


async def test_a_test_reaches_a_person_and_secrets_stay_where_they_are(bench: Bench) -> None:
    bench.settings(
        FILE.replace("}}\n", "}, s: {slack: {url: env:MISSING}}}\n", 1).replace("per_minute: 3}", "per_minute: 3}")
        + "people: {alice: {channels: {log: , s: }}}"
    )
    async with bench.engine() as engine:
        head = await engine._core.log.head()
        sent = await engine.notifications.test("log")
        assert bench.told() == [sent]
        with pytest.raises(DeliveryRefused, match="MISSING is not set"):
            await engine.notifications.test("s")
        with pytest.raises(InvalidInput, match="bob is not notified"):
            await engine.notifications.test("log", person="bob")
        with pytest.raises(InvalidInput, match="nosuch"):
            await engine.notifications.test("nosuch")
        assert await engine._core.log.head() == head


async def test_a_file_with_faults_is_said_and_opens_nothing(bench: Bench) -> None:
    bench.settings("channels: {a: {}}")
    async with bench.engine() as engine:
        with pytest.raises(InvalidFile, match="channel"):
            await engine.notifications.deliver()
        found = [one async for one in engine.doctor.examine() if one.kind == "notification"]
        assert [one.status for one in found] == ["wrong"]
