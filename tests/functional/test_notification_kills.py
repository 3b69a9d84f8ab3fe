"""A program that sends notifications, killed while a mail server takes the message and before it can record that."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio
import attrs
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from aura_contracts.actors import ENGINE
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.task.commands import FailTask
from aura_engine import Engine, open_engine
from notify_servers import Mailbox, headers_of, mail_server

pytestmark = pytest.mark.anyio

TIMES = int(os.environ.get("AURA_KILLS", "4"))

PROGRAM = """
import sys, anyio
from aura_engine import open_engine

async def main():
    async with open_engine(sys.argv[1], home=sys.argv[2], user="alice", record_only=True) as engine:
        await engine.notifications.serve()

anyio.run(main, backend=sys.argv[3])
"""


@attrs.define
class Deadly(Mailbox):
    """Takes a message, kills who sent it, and answers."""

    victims: list[int] = attrs.field(factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = await super().handle_DATA(server, session, envelope)
        if self.victims:
            os.kill(self.victims.pop(), signal.SIGKILL)
        return reply


async def _fail(engine: Engine, title: str) -> None:
    task = await engine.tasks.create(title)
    failure = Failure(FailureReason.AGENT_ERROR, "it broke")
    await engine._core.bus.handle(ENGINE, task.id, FailTask(failure=failure))


def _start(url: str, home: Path, backend: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PROGRAM, url, str(home), backend])


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_each_message_arrives_and_repetitions_have_its_id(tmp_path: Path, anyio_backend: str) -> None:
    home, url = tmp_path / "home", f"sqlite:///{tmp_path / 'aura.db'}"
    home.mkdir()
    with mail_server(Deadly()) as mailbox:
        (home / "notifications.yaml").write_text(
            f"channels: {{mail: {{smtp: {{host: localhost, port: {mailbox.port}, security: none, from: a@b.org}}}}}}\n"
            "people: {alice: {channels: {mail: alice@example.org}}}"
        )
        async with open_engine(url, home=home, user="alice", record_only=True) as engine:
            await engine.notifications.deliver()
            for number in range(TIMES):
                await _fail(engine, f"task {number}")
                program = _start(url, home, anyio_backend)
                mailbox.victims.append(program.pid)
                assert await anyio.to_thread.run_sync(program.wait) == -signal.SIGKILL
            await _fail(engine, "the last")
            await engine.notifications.deliver()
            assert await engine.notifications.list() == []
        sent = [headers_of(envelope) for envelope in mailbox.envelopes]
    subjects = {headers["Message-ID"]: headers["Subject"] for headers in sent}
    told = Counter(subjects.values())
    wanted = [f"task {number} failed: AgentError" for number in range(TIMES)] + ["the last failed: AgentError"]
    assert told == Counter(wanted)  # each under one id
    assert len(sent) > len(wanted)  # and some again: the kills have hit
