"""A signal ends a service although its database hangs, and a mail server never answers; its agents live on.

The database is stopped where it is, and continues only after the service has exited: nothing else can have ended it.
``--log-cli-level=info`` shows how long that took, which depends on what else the machine does.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from aura_cli.commands import serve
from aura_contracts.actors import ENGINE
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.service import SERVICE_ID, ServiceStarted, ServiceStopped
from aura_contracts.task import TaskStatus
from aura_contracts.task.commands import FailTask
from aura_engine import open_engine
from command_line import ENVIRONMENT
from conditions import until
from engines import events_of
from notify_servers import raw_server

pytestmark = pytest.mark.anyio

_LOG = logging.getLogger(__name__)

BOUND = 2.0
"""Seconds within which a signal ends a service."""

LONG = 300.0
"""Seconds after which a process is taken to hang, however busy the machine is."""

PROGRAM = """
import sys
from aura_cli.commands import serve
from aura_cli.main import program
if len(sys.argv) > 1:
    serve.END_WITHIN = float(sys.argv.pop(1))
sys.argv[:] = ["aura", "serve"]
program()
"""

AGENT = "echo $$ >> {0}/starts; until [ -e {0}/gate ]; do sleep 0.02; done; echo done > done.txt"

MAIL = """
channels: {{mail: {{smtp: {{host: 127.0.0.1, port: {port}, security: none, from: a@b.org}}}}}}
people: {{alice: {{channels: {{mail: a@b.org}}}}}}
"""


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own."""
    return "asyncio"


@pytest.fixture
def store(restartable_postgres):
    with restartable_postgres.database() as database:
        yield restartable_postgres.url(database)


@pytest.fixture
def begin(store, tmp_path):
    """Starts services on the store, whose orderly ends may take so many seconds; kills what is left of them."""
    with ExitStack() as stack:

        def start(*end_within):
            own = {"AURA_HOME": str(tmp_path / "home"), "AURA_USER": "alice", "AURA_STORE": store, "AURA_GRACE": "600"}
            environment = ENVIRONMENT | own | {"PYTHONPATH": os.pathsep.join(sys.path)}
            command = [sys.executable, "-c", PROGRAM, *map(str, end_within)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen(command, env=environment, **pipes))
            stack.callback(process.kill)
            return process

        yield start


def lives(pid):
    """Whether a process is there, and not only its entry in the table of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def end_by(process, number):
    """Have a service end; return the seconds that it took, its exit code, and what it said."""
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=LONG)
    return time.monotonic() - began, process.returncode, said


def test_what_ends_it_is_within_the_bound():
    assert serve.END_WITHIN + serve._LAST_WORDS < BOUND


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), pytest.param(signal.SIGINT, 130, marks=pytest.mark.deep)]
)
async def test_a_database_and_a_mail_server_that_hang_hold_up_no_end(
    restartable_postgres, store, begin, repository, tmp_path, number, code
):
    with raw_server(lambda _: None) as mail:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/notifications.yaml").write_text(MAIL.format(port=mail.port))
        service = begin()
        assert service.stdout.readline().startswith("serving ")
        async with open_engine(store, home=tmp_path / "home", user="alice", record_only=True) as engine:
            options = {"base_command": "sh", "params": ["-c", AGENT.format(tmp_path)]}
            how = {"executor": "custom", "options": options, "approval": "auto"}
            run = await engine.run("Work", repositories=[str(repository)], **how)
            await until(lambda: starts(tmp_path), patience=LONG)
            await fail(engine)
            await until(mail.accepted.is_set, patience=LONG)
        with restartable_postgres.hanging():
            took, returned, said = end_by(service, number)
            (agent,) = starts(tmp_path)
            assert lives(agent)
        _LOG.info("the service ended %.2f s after the signal", took)
        assert (returned, "exiting at once" in said) == (code, True)
        (tmp_path / "home/notifications.yaml").unlink()
        following = begin(LONG)
        assert following.stdout.readline().startswith("serving ")
        (tmp_path / "gate").touch()
        async with open_engine(store, home=tmp_path / "home", user="alice", record_only=True) as engine:

            async def completed():
                return (await engine.tasks.get(run.id)).status is TaskStatus.COMPLETED

            await until(completed, patience=LONG)
            assert starts(tmp_path) == [agent], "its agent lived on, and the next service took it over"
            _, returned, _ = end_by(following, signal.SIGTERM)
            kinds = [type(event) for event in await events_of(engine, SERVICE_ID)]
        assert (returned, kinds) == (0, [ServiceStarted, ServiceStarted, ServiceStopped])


async def test_a_mail_server_that_hangs_does_not_keep_it_from_an_end_in_order(store, begin, tmp_path):
    with raw_server(lambda _: None) as mail:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/notifications.yaml").write_text(MAIL.format(port=mail.port))
        service = begin(LONG)
        assert service.stdout.readline().startswith("serving ")
        async with open_engine(store, home=tmp_path / "home", user="alice", record_only=True) as engine:
            await fail(engine)
            await until(mail.accepted.is_set, patience=LONG)
            assert not mail.left.is_set(), "it still waits for an answer"
            _, returned, said = end_by(service, signal.SIGTERM)
            assert (returned, "exiting at once" in said) == (0, False)
            kinds = [type(event) for event in await events_of(engine, SERVICE_ID)]
        assert kinds == [ServiceStarted, ServiceStopped]


def starts(folder):
    """The process ids of the agents that were started."""
    path = folder / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def fail(engine):
    """Have something fail that people are notified of."""
    task = await engine.tasks.create("Something")
    failure = Failure(FailureReason.AGENT_ERROR, "it broke")
    await engine._core.bus.handle(ENGINE, task.id, FailTask(failure=failure))
