"""The examples of gates: a LangGraph node and a Prefect task that wait for approvals, cancelled and killed.

Each runs as a program of its own, in an environment with its library; the test is the human who answers.
"""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import attrs
import pytest
from benchmarks._environments import CannotInstall, python_with

from aura_contracts.execution import ProcessStarted
from aura_contracts.task import TaskStatus
from aura_engine import open_engine
from command_line import ENVIRONMENT
from conditions import until
from engines import events_of, open_questions, write
from repositories import ENVIRONMENT as GIT
from repositories import content, git
from sites import Site, children_of, made_site
from supervised import alive

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/embed.md").read_text("utf-8")
PROGRAMS = {"langgraph": "examples/langgraph-gate/change_graph.py", "prefect": "examples/prefect-gate/change_flow.py"}
PATIENCE = 300

pytestmark = [pytest.mark.anyio, pytest.mark.deep]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=PROGRAMS, scope="module")
def program(request, tmp_path_factory):
    """The command of an example and its environment, where its requirements and AURA are installed."""
    path = ROOT / PROGRAMS[request.param]
    needed = (path.parent / "requirements.txt").read_text("utf-8").split()
    try:
        python = python_with(f"gate-{request.param}", *("-e", str(ROOT)), *(set(needed) - {"aura-core"}))
    except CannotInstall as error:
        pytest.skip(str(error))
    command = [str(python), str(path)]
    if request.param == "langgraph":
        yield command, {}
        return
    with serving(python, tmp_path_factory.mktemp("prefect")) as environment:
        yield command, environment


@contextmanager
def serving(python, folder):
    """Run a Prefect server; yield the environment of its flows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"PREFECT_HOME": str(folder), "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [str(python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env={**ENVIRONMENT, **own}, stdout=log, stderr=log, start_new_session=True)
    try:
        anyio.run(until, lambda: is_serving(server, port), PATIENCE)
        yield {**own, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def is_serving(server, port):
    assert server.poll() is None, "the server has ended"
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/health") as answer:
            return answer.status == HTTPStatus.OK
    except OSError:
        return False


@attrs.define
class Host(Site):
    """The program of an example on a site; `words` are its command, to which the agent is handed in AGENT."""

    def run(self, *rounds):
        """Start the graph or the flow."""
        return self._start("monday", str(self.repository), "Say more", rounds=rounds)

    def serve(self, *rounds):
        """Start the program that has Prefect start and cancel the flow."""
        return self._start(rounds=rounds)

    def _start(self, *arguments, rounds):
        agent = {"executor": "scripted", "options": {"rounds": [list(steps) for steps in rounds]}}
        own = {"AURA_HOME": str(self.root / "home"), "AURA_USER": "alice", "AURA_TEST_MARK": self.mark}
        process = subprocess.Popen(
            [*self.words, *arguments],
            cwd=self.root,
            env={**ENVIRONMENT, **GIT, **own, **self.variables, "AGENT": json.dumps(agent)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process


@pytest.fixture
def host(program, tmp_path):
    """The program on a site of its own, where nothing runs after the test."""
    command, environment = program
    with made_site(tmp_path, command, kind=Host) as site:
        site.variables = environment
        yield site
    for process in site.started:
        process.stdout.close()


@pytest.fixture
async def human(tmp_path):
    """An engine on the store of the program, which only answers."""
    async with open_engine(
        f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path / "home", user="alice", record_only=True
    ) as engine:
        yield engine


async def eventually(process, find):
    """Return what `find` finds, as soon as it finds something, while the program runs."""
    found = []

    async def look():
        assert process.poll() is None, "the program has ended"
        found[:] = await find()
        return found

    await until(look, PATIENCE)
    return found


async def question(human, process, but=None):
    """Return the question that the program has asked, as soon as there is one, or another one than `but`."""

    async def asked():
        return [one for one in await open_questions(human) if one.id != but]

    (found,) = await eventually(process, asked)
    return found


async def agents_of(human, process):
    """Return the process ids of the agent, as soon as it runs."""

    async def running():
        tasks = (await human.tasks.list()).rows
        execution = (await human.tasks.view(tasks[0].id)).execution if tasks else None
        return [one.identity.pid for one in execution.processes] if execution is not None else []

    return await eventually(process, running)


async def ended(process):
    """Wait for the end of the program; return what it has written last."""
    await until(lambda: process.poll() is not None, PATIENCE)
    written = process.stdout.read().splitlines()
    return written[-1] if written else ""


async def runs(human):
    """Return how often an agent was started, for the only task there is."""
    (task,) = (await human.tasks.list()).rows
    events = await events_of(human, task.execution_id)
    return sum(isinstance(event, ProcessStarted) and event.token.coding for event in events)


def merged(repository):
    return f"merged {git(repository, 'rev-parse', 'main')}"


async def test_it_goes_on_with_the_commit_that_a_human_approved(host, human):
    process = host.run([write("new.txt", "more\n")])
    asked = await question(human, process)
    assert "new.txt" in asked.proposed_solution
    await human.approvals.approve(asked.id)
    assert await ended(process) == merged(host.repository)
    assert (process.returncode, content(host.repository, "main", "new.txt")) == (0, "more")


async def test_a_rejection_goes_to_the_agent_and_it_asks_again(host, human):
    edit = {"edit": {"path": "new.txt", "old": "more", "new": "MORE"}}
    process = host.run([write("new.txt", "more\n")], [{"expect_prompt": "louder, please"}, edit])
    first = await question(human, process)
    await human.approvals.reject(first.id, "louder, please")
    await human.approvals.approve((await question(human, process, first.id)).id)
    assert await ended(process) == merged(host.repository)
    assert content(host.repository, "main", "new.txt") == "MORE"


@pytest.mark.parametrize("moment", ["the agent works", "the question waits"])
async def test_cancelling_it_cancels_the_run(host, human, moment):
    process = host.run(*rounds_until(moment))
    agents = await reached(moment, human, process)
    process.send_signal(signal.SIGINT)
    await ended(process)
    await is_withdrawn(host, human, agents)


@pytest.mark.parametrize("program", ["prefect"], indirect=True)
@pytest.mark.parametrize("moment", ["the agent works", "the question waits", "its process hangs"])
async def test_a_flow_that_prefect_cancels_cancels_the_run(host, human, moment):
    process = host.serve(*rounds_until(moment))
    deployment = await deployed(host, process)
    given = {"key": "monday", "repository": str(host.repository), "request": "Say more"}
    flow_run = asked_of_prefect(host, f"deployments/{deployment}/create_flow_run", {"parameters": given})["id"]
    agents = await reached(moment, human, process)
    if moment == "its process hangs":  # until Prefect kills it
        os.kill(flow_of(process), signal.SIGSTOP)
    cancel = [host.words[0], "-m", "prefect", "flow-run", "cancel", flow_run]
    await anyio.run_process(cancel, env={**ENVIRONMENT, **host.variables})

    async def cancelled():
        state = asked_of_prefect(host, f"flow_runs/{flow_run}")["state"]
        return [state] if state["type"] == "CANCELLED" else []

    await eventually(process, cancelled)
    await is_withdrawn(host, human, agents)
    process.terminate()
    await ended(process)
    await host.is_quiet()


def rounds_until(moment):
    """Return what the agent does: its work, which in some moments it never begins."""
    wait = [] if moment == "the question waits" else [{"wait_for": {"path": "/never"}}]
    return ([*wait, write("new.txt", "more\n")],)


async def reached(moment, human, process):
    """Return the process ids of the agent at the moment at which it is to be cancelled."""
    if moment == "the question waits":
        await question(human, process)
        return []
    return await agents_of(human, process)


async def is_withdrawn(host, human, agents):
    """Assert that the run is cancelled, asks nothing and runs nowhere, and that every worktree is known."""
    (task,) = (await human.tasks.list()).rows
    assert task.status is TaskStatus.CANCELLED
    assert await open_questions(human) == ()
    assert [pid for pid in agents if alive(pid)] == []
    assert [finding for finding in await human.doctor.list() if finding.status == "wrong"] == []
    kept = (await human.workspaces.list(removed=False)).rows
    worktrees = {line.split()[0] for line in git(host.repository, "worktree", "list").splitlines()[1:]}
    assert worktrees == {tree.path for workspace in kept for tree in workspace.worktrees}
    assert git(host.repository, "rev-list", "--count", "main") == "1"


def flow_of(process):
    """Return the process id of the flow that a program serves; the other children are Python's own."""
    (pid,) = [pid for pid in children_of([process.pid]) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid


async def deployed(host, process):
    """Return the id of the flow's deployment, as soon as Prefect knows it."""

    async def find():
        with suppress(HTTPError):
            return [asked_of_prefect(host, "deployments/name/changed/gate")["id"]]
        return []

    (found,) = await eventually(process, find)
    return found


def asked_of_prefect(host, path, body=None):
    """Return what the server of Prefect answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{host.variables['PREFECT_API_URL']}/{path}", data, headers)) as answer:
        return json.load(answer)


@pytest.mark.parametrize("moment", ["the agent works", "the question waits"])
async def test_killed_it_continues_with_the_same_agent_and_question(host, human, tmp_path, moment):
    go = tmp_path / "go"
    steps = [{"wait_for": {"path": str(go)}}, write("new.txt", "more\n")]
    process = host.run(steps)
    asked = None
    if moment == "the agent works":
        await agents_of(human, process)
    else:
        go.touch()
        asked = await question(human, process)
    process.kill()
    await ended(process)
    again = host.run(steps)
    go.touch()
    same = await question(human, again)
    assert asked is None or same.id == asked.id
    await human.approvals.approve(same.id)
    assert await ended(again) == merged(host.repository)
    assert await runs(human) == 1


@pytest.mark.parametrize("path", PROGRAMS.values())
def test_the_page_shows_the_programs_as_they_are(path):
    blocks = re.findall(rf"^`{re.escape(path)}`:\n\n```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (shown,) = blocks
    assert shown in (ROOT / path).read_text("utf-8")
