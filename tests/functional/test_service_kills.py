"""A service that is killed before, while and after each timer is due: each is told once all the same, by real mail.

``AURA_KILLS`` is how often each case is played: 1 by default. 10 are a hundred kills about each timer.
"""

import json
import os
import random
import signal
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import attrs
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import (
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalKind,
    ApprovalStatus,
    Question,
    ReminderSent,
    RequestApproval,
)
from aura_contracts.outbox import NotificationQueued, NotificationSent, outbox_id
from aura_contracts.service import SERVICE_ID, ServiceStarted, ServiceStopped
from aura_engine.host import Host
from conditions import until
from notify_servers import Mailbox, headers_of, mail_server

pytestmark = pytest.mark.anyio

DRIVER = Path(__file__).parent / "service_driver.py"
KILLS = range(int(os.environ.get("AURA_KILLS", "1")))
PATIENCE = 300

START = datetime(2026, 1, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SETTINGS = """
channels: {mail: {smtp: {host: localhost, port: %s, security: none, from: aura@example.org}}}
people:
  alice: {channels: {mail: alice@example.org}, kinds: {waiting: off}}
  eve: {channels: {mail: eve@example.org}, kinds: {waiting: off}}
"""


@attrs.frozen
class Stage:
    """A timer, who is told when it has fired, and how they can tell."""

    hours: int
    event: type
    kind: str
    people: tuple[str, ...]
    says: str

    @property
    def due(self):
        return START + timedelta(hours=self.hours)


STAGES = (
    Stage(24, ReminderSent, "reminder", ("alice",), "still waits for"),
    Stage(30, ApprovalEscalated, "escalated", ("eve",), "was escalated:"),
    Stage(40, ApprovalExpired, "expired", ("alice", "eve"), "got no answer"),
)

OWN = "the timer's"
STEPS = {
    "while it begins to fire": (OWN, "begun"),
    "while it has fired": (OWN, "done"),
    "while the message is queued": (NotificationQueued.topic, "begun"),
    "while the message waits": (NotificationQueued.topic, "done"),
    "while the message is noted as sent": (NotificationSent.topic, "begun"),
    "after it was noted": (NotificationSent.topic, "done"),
}
"""Where the service kills itself, as no one else can hit that: at which event, and when."""

MOMENTS = ("while the server takes it", "before", *STEPS, "while, at any moment", "after")
TAKEN = MOMENTS[0]
UNSENT = ("before", *list(STEPS)[:4])
"""Moments at which nothing can have been sent."""


@attrs.define
class Deadly(Mailbox):
    """Takes a message, kills who sent it, and answers."""

    victim: int | None = None

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        reply = await super().handle_DATA(server, session, envelope)
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        return reply


@attrs.define
class Story:
    """A question that nobody answers, the service, and the mail server."""

    folder: Path
    mailbox: Deadly
    engine: object
    """One that only reads."""
    asked: str
    process: anyio.abc.Process | None = None
    output: bytes = b""
    noted: set[str] = attrs.field(factory=set)
    """The keys of messages that were noted as sent when the service that sent them was killed."""

    async def serve(self):
        """Start a service, and wait until it is at work."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "AURA_HOME": str(self.folder / "home"),
            "AURA_STORE": f"sqlite:///{self.folder / 'aura.db'}",
            "AURA_USER": "alice",
        }
        self.folder.joinpath("doom").unlink(missing_ok=True)
        self.output = b""
        self.process = await anyio.open_process([sys.executable, DRIVER, self.folder], env=environment, stderr=None)
        await self.says(b'"serving"')

    async def says(self, words):
        while words not in self.output:
            self.output += await self.process.stdout.receive()

    async def ended(self):
        """Wait for the end of the service, and return its exit code."""
        code = await self.process.wait()
        await self.process.aclose()
        return code

    def set_clock(self, moment):
        self.folder.joinpath("next").write_text(moment.isoformat())
        self.folder.joinpath("next").replace(self.folder / "clock")

    async def looks_at(self, moment):
        """Set the clock, and wait until the service has looked for what is due then."""
        self.set_clock(moment)
        await self.says(json.dumps({"looked": moment.isoformat()}).encode())

    async def events(self, stream_id):
        """Return what has happened in a stream; nothing, if it has not begun."""
        return [fact.event for fact in await self.engine._core.log.facts(stream_id)]

    async def fired(self, stage):
        return any(isinstance(event, stage.event) for event in await self.events(self.asked))

    async def sent(self, stage):
        """Return the keys of the messages that are noted as sent, by recipient."""
        events = await self.events(outbox_id("mail"))
        sent = {event.key for event in events if isinstance(event, NotificationSent)}
        queued = [event.message for event in events if isinstance(event, NotificationQueued)]
        return {one.recipient: one.key for one in queued if one.kind == stage.kind and one.key in sent}

    async def all_are_told(self, stage):
        return {*await self.sent(stage)} == {*stage.people}

    def mails(self, stage):
        """Return the keys of the messages that came, by recipient, with how often each came."""
        found = {}
        for envelope in self.mailbox.envelopes:
            headers = headers_of(envelope)
            if stage.says in headers["Subject"]:
                found.setdefault(headers["To"].partition("@")[0], Counter())[key_of(headers)] += 1
        return found


async def play(story, stage, moment):
    """Have a service at work killed once, at this moment, and another one do the rest."""
    await story.looks_at(stage.due - SECOND)
    assert not await story.fired(stage), "none is early"
    assert not story.mails(stage)
    if moment in STEPS:
        topic, step = STEPS[moment]
        story.folder.joinpath("doom").write_text(f"{stage.event.topic if topic == OWN else topic} {step}")
    elif moment == "before":
        story.process.kill()
    elif moment == TAKEN:
        story.mailbox.victim = story.process.pid
    story.set_clock(stage.due)
    if moment == "while, at any moment":
        await anyio.sleep(random.uniform(0, 2))
        story.process.kill()
    elif moment == "after":
        await until(lambda: story.all_are_told(stage), PATIENCE)
        story.process.kill()
    assert await story.ended() == -signal.SIGKILL
    if moment == "before":
        assert not await story.fired(stage)
    if moment in UNSENT:
        assert not story.mails(stage)
    story.noted |= {*(await story.sent(stage)).values()}
    await story.serve()
    await until(lambda: story.all_are_told(stage), PATIENCE)


async def asked(engine):
    """Ask alice something; return the question's id."""
    core, task = engine._core, await engine.tasks.create("Something")
    about = {"kind": ApprovalKind.QUESTION, "proposed_solution": "May I?", "task_id": task.id}
    remind, escalate, expire = STAGES
    times = {"remind_after": remind.hours * 3600, "escalate_after": escalate.hours * 3600, "deadline": expire.due}
    ident = core.bus.new_id()
    question = Question(**about, **times, reviewers=("alice",), escalate_to=("eve",))
    await core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))
    return ident


@pytest.mark.parametrize("_", KILLS)
@pytest.mark.parametrize(
    "moment", [MOMENTS[0], *(pytest.param(moment, marks=pytest.mark.deep) for moment in MOMENTS[1:])]
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what is tested runs in processes of its own
async def test_each_is_told_once(opened, tmp_path, moment, _):
    (tmp_path / "home").mkdir()
    with mail_server(Deadly()) as mailbox:
        (tmp_path / "home" / "notifications.yaml").write_text(SETTINGS % mailbox.port)
        async with opened(record_only=True, host=Host(clock=lambda: START)) as engine:
            ident = await asked(engine)
        async with opened(read_only=True) as engine:
            story = Story(tmp_path, mailbox, engine, ident)
            story.set_clock(START)
            with anyio.fail_after(PATIENCE):
                await story.serve()
            for stage in STAGES:
                with anyio.fail_after(PATIENCE):
                    await play(story, stage, moment)
            story.process.terminate()
            assert await story.ended() == 0
            counts = Counter(type(event) for event in await story.events(ident))
            services = Counter(type(event) for event in await story.events(SERVICE_ID))
            assert (await engine.approvals.get(ident)).status is ApprovalStatus.EXPIRED
        async with opened(record_only=True, host=Host(clock=lambda: STAGES[-1].due + SECOND)) as engine:
            assert await engine.notifications.deliver()  # there is nothing more to tell
            assert await engine.notifications.list() == []
    assert [counts[stage.event] for stage in STAGES] == [1, 1, 1]
    assert (services[ServiceStarted], services[ServiceStopped]) == (4, 1)
    for stage in STAGES:
        mails = story.mails(stage)
        assert {name: len(keys) for name, keys in mails.items()} == dict.fromkeys(stage.people, 1), "by its key"
        for key, times in (one for keys in mails.values() for one in keys.items()):
            once = key in story.noted or moment in UNSENT
            assert times in ((1,) if once else (1, 2)), "none comes again but where it was not noted as sent"
        if moment == TAKEN:
            assert 2 in {times for keys in mails.values() for times in keys.values()}, "the kill has hit"
    everything = {key_of(headers_of(one)) for one in mailbox.envelopes}
    assert everything == {key for stage in STAGES for keys in story.mails(stage).values() for key in keys}


def key_of(headers):
    return headers["Message-ID"].strip("<>").partition("@")[0]
