"""``aura serve`` in a process of its own: its first line, its end by a signal, and one taking over from another."""

import json
import signal
import subprocess
import sys
from datetime import timedelta

import anyio
import pytest

from aura_cli import _call
from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalKind, OnExpiry, Question, RequestApproval
from aura_contracts.service import SERVICE, SERVICE_ID, ServiceStatus
from aura_engine import open_engine
from aura_engine.host import Host, now
from command_line import ENVIRONMENT, call_aura

PATIENT = """
from aura_cli.commands import serve
from aura_cli.main import program
serve.END_WITHIN = 300.0
program()
"""
"""On a busy machine an end in order may take longer than it may elsewhere."""


@pytest.fixture
def serve(tmp_path):
    """Starts services on one store; ends what is left of them."""
    started = []

    def start(*arguments):
        environment = ENVIRONMENT | {"AURA_HOME": str(tmp_path / "home"), "AURA_USER": "alice"}
        url = f"sqlite:///{tmp_path / 'aura.db'}"
        command = [sys.executable, "-c", PATIENT, "serve", "--store", url, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, env=environment, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def service_in(tmp_path):
    """The service as the log has it."""

    async def read():
        async with open_engine(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path / "home", read_only=True) as engine:
            return await engine._core.bus.fetch(SERVICE, SERVICE_ID)

    return anyio.run(read)


@pytest.mark.deep_but_first
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_its_first_line_tells_where_it_serves_and_a_signal_ends_it(serve, tmp_path, number, code):
    process = serve("--json")
    first = json.loads(process.stdout.readline())
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    assert first.items() >= {"kind": "serving", "store": url, "process_id": process.pid}.items()
    assert service_in(tmp_path).status is ServiceStatus.SERVING
    process.send_signal(number)
    rest, said = process.communicate(timeout=60)
    assert (process.returncode, rest, said) == (code, "", "")
    ended = service_in(tmp_path)
    assert (ended.status, ended.engine_id) == (ServiceStatus.STOPPED, first["engine_id"])


@pytest.mark.deep
def test_a_second_one_says_for_whom_it_waits_and_takes_over_from_one_that_was_killed(serve, tmp_path):
    first = serve()
    assert first.stdout.readline() == f"serving sqlite:///{tmp_path / 'aura.db'}\n"
    second = serve()
    assert f"process {first.pid} on " in second.stderr.readline()
    first.kill()
    assert second.stdout.readline().startswith("serving ")
    assert service_in(tmp_path).process_id == second.pid


def test_a_command_does_what_is_due_and_says_so(tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path / 'aura.db'}"
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURA_USER", "alice")

    async def ask_yesterday():
        host = Host(clock=lambda: now() - timedelta(hours=25))
        async with open_engine(store, home=tmp_path / "home", user="alice", host=host) as engine:
            core, task = engine._core, await engine.tasks.create("Something")
            about = {"kind": ApprovalKind.QUESTION, "proposed_solution": "May I?", "task_id": task.id}
            ident = core.bus.new_id()
            question = Question(**about, reviewers=("alice",))
            await core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))

    anyio.run(ask_yesterday)
    assert "due" not in call_aura("task", "list", "--store", store).err
    said = call_aura("task", "create", "More", "--store", store).err
    assert said.count("was due and is done first: 1 reminder\n") == 1
    assert "due" not in call_aura("task", "create", "Still more", "--store", store).err


@pytest.mark.parametrize("flags", [[], ["--json"], ["--quiet"]])
def test_an_expiry_is_said_whatever_the_output_is_and_a_command_does_a_part_of_much(tmp_path, monkeypatch, flags):
    """Of three questions that expired into "continue", a command that does two at once leaves one to the next."""
    monkeypatch.setattr(_call, "DUE_AT_ONCE", 2)
    store = f"sqlite:///{tmp_path / 'aura.db'}"
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURA_USER", "alice")
    asked = []

    async def ask_yesterday():
        host = Host(clock=lambda: now() - timedelta(hours=10))
        async with open_engine(store, home=tmp_path / "home", user="alice", host=host) as engine:
            core, task = engine._core, await engine.tasks.create("Something")
            about = {"kind": ApprovalKind.QUESTION, "proposed_solution": "May I?", "task_id": task.id}
            for hours in (9, 8, 7):
                until = {"deadline": now() - timedelta(hours=hours), "on_expiry": OnExpiry.CONTINUE}
                ident = core.bus.new_id()
                question = Question(**about, **until, reviewers=("alice",))
                await core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))
                asked.append(ident)

    anyio.run(ask_yesterday)
    said = [call_aura("task", "create", "More", "--store", store, *flags).err for _ in range(3)]
    first, second, third = (["was due" in line for line in text.splitlines()].count(True) for text in said)
    assert (first, second, third) == (1, 1, 0)
    told = [f"2 deadlines; expired: {asked[0]}, {asked[1]}", f"1 deadline; expired: {asked[2]}"]
    for text, words, expired in zip(said, told, (asked[:2], asked[2:]), strict=False):
        line = next(line for line in text.splitlines() if "was due" in line)
        message = f"was due and is done first: {words}"
        object_ = {"notice": "expired", "message": message, "approvals": expired}
        assert (json.loads(line) == object_) if "--json" in flags else (line == message)
