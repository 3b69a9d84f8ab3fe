"""``aura mcp`` as agents see it: the official client, the real process, a store that others write to as well.

Starting a server takes a second, most of it for importing the official SDK; what does not need a process of its own is
tried on a server in this one.
"""

import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import attrs
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from agents_at_work import ALICE, AtWork, agent_at_work, put_to_work
from aura_cli.streaming.entry_text import entry_of
from aura_cli.streaming.narration import Narration
from aura_cli.tool_server import server_of
from aura_contracts.approval import Approve, Reject
from aura_contracts.ids import ApprovalId
from aura_contracts.task import Priority
from aura_engine import open_engine
from aura_engine.agent_tools.access import TaskScope, key_of, token_for, tools_for
from aura_engine.agent_tools.api import OwnTask
from command_line import ENVIRONMENT, call_aura, run_aura

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
"""Seconds within which everything happens here."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@attrs.frozen
class Place:
    """A store in which an agent is at work, and the folder of AURA's data."""

    work: AtWork
    folder: Path

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'aura.db'}"

    def environment(self, work: AtWork | None = None) -> dict[str, str]:
        return dict(self._tools(work).environment)

    def _tools(self, work: AtWork | None):
        token = token_for(key_of(self.folder / "home"), (work or self.work).scope)
        return tools_for(token, python=sys.executable, store=self.store, home=self.folder / "home", folder=self.folder)

    def parameters(self, work: AtWork | None = None, **environment: str) -> StdioServerParameters:
        tools = self._tools(work)
        command, *arguments = tools.server.command
        variables = {name: tools.environment[name] for name in tools.server.environment}  # and a clean environment
        return StdioServerParameters(
            command=command, args=arguments, env=variables | environment, cwd=str(self.folder / "worktree")
        )

    @asynccontextmanager
    async def tools(self, work: AtWork | None = None):
        """Start the server as an agent does, and connect to it."""
        with anyio.fail_after(PATIENCE):
            async with Client(stdio_client(self.parameters(work))) as client:
                yield Tools(client)

    @asynccontextmanager
    async def tools_here(self, work: AtWork | None = None, mode: str = "auto"):
        """Connect to a server in this process."""
        with anyio.fail_after(PATIENCE):
            async with Client(server_of((work or self.work).own), mode=mode) as client:
                yield Tools(client)


class Tools:
    """The tools of one server."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, name: str, **arguments):
        """Call a tool that answers; return the answer."""
        answer = await self.client.call_tool(name, arguments)
        assert not answer.is_error, answer.content[0].text
        return answer.structured_content

    async def refused(self, name: str, **arguments) -> str:
        """Call a tool that refuses; return the words."""
        answer = await self.client.call_tool(name, arguments)
        assert answer.is_error
        assert answer.structured_content is None
        return answer.content[0].text


@pytest.fixture
async def place(tmp_path):
    (tmp_path / "worktree" / "aura_cli").mkdir(parents=True)
    (tmp_path / "worktree" / "aura_cli" / "__main__.py").write_text("raise SystemExit('it is the agent who says so')")
    async with agent_at_work(tmp_path / "aura.db", description="At once", context={"issue": None}) as work:
        yield Place(work, tmp_path)


# --- The tools --------------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize("where", ["there", "here", "here, by the protocol of 2025"])
async def test_an_agent_works_with_its_task(place, where):
    mode = "legacy" if "2025" in where else "auto"
    async with place.tools() if where == "there" else place.tools_here(mode=mode) as call:
        assert "report_progress" in (call.client.instructions or "")
        made = await call("create_subtask", title="Clean up", description="Later", priority="low")
        assert made["created"]
        assert await call("create_subtask", title="Clean up", description="Later") == {**made, "created": False}
        assert await call("list_subtasks") == {"subtasks": [made["task"]]}
        assert await call("report_progress", message="half of it", percent="50", step=None) == {"recorded": True}
        task = await call("get_task")
        assert (task["id"], task["title"], task["description"]) == (place.work.task_id, "Fix the login", "At once")
        assert (task["status"], task["context"], task["subtasks"]) == ("in_progress", {"issue": None}, [made["task"]])
    assert made["task"]["priority"] == Priority.LOW


async def test_the_tools_describe_themselves(place):
    async with place.tools_here() as call:
        tools = {tool.name: tool for tool in (await call.client.list_tools()).tools}
    assert list(tools) == [
        "get_task", "report_progress", "create_subtask", "list_subtasks", "request_approval",
        "submit_for_approval", "wait_for_approval",
    ]  # fmt: skip
    for tool in tools.values():
        assert tool.description
        assert tool.output_schema
        assert (tool.input_schema["type"], tool.input_schema["additionalProperties"]) == ("object", False)
        assert "$ref" not in str(tool.input_schema) + str(tool.output_schema)
        assert "anyOf" not in str(tool.input_schema)
        for name, schema in tool.input_schema["properties"].items():
            assert schema["type"], f"{tool.name}.{name}"


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("report_progress", {}, "message"),
        ("report_progress", {"message": "x", "percent": 101}, "percent"),
        ("report_progress", {"message": "x" * 5000}, "4000"),
        ("create_subtask", {"title": "x", "priority": "urgent"}, "priority"),
        ("create_subtask", {"title": "x", "parent": "y"}, "parent"),
        ("create_subtask", {"title": " "}, "title"),
        ("request_approval", {"question": ""}, "question"),
        ("wait_for_approval", {"approval_id": "first"}, "invalid_id"),
    ],
)
async def test_mistakes_are_told_to_the_agent(place, tool, arguments, words):
    async with place.tools_here() as call:
        assert words in await call.refused(tool, **arguments)
        assert (await call("get_task"))["subtasks"] == []
        with pytest.raises(MCPError, match="unknown tool"):
            await call("delete_task")


async def test_humans_see_progress(place):
    async with place.tools_here() as call:
        await call("report_progress", message="half of it", step="tests", percent=50)
        await call("report_progress", message="more")
    records = [record async for record in place.work.bus.log.read()]
    story = Narration()
    told = [line for record in records for line in story.narrate(record)]
    assert told[-2:] == ["progress (tests, 50%): half of it", "progress: more"]
    entry = entry_of(records[-1])
    assert entry is not None
    assert (entry["type"], entry["message"]) == ("progress", "more")
    answer = await anyio.to_thread.run_sync(
        call_aura, "events", "--json", "--store", place.store, "--task", place.work.task_id
    )
    event, _ = [one for one in answer.objects if one["type"] == "execution.progress_reported"]
    assert event["fields"] == {"message": "half of it", "step": "tests", "percent": 50.0}
    assert event["actor"] == f"agent:{place.work.agent_id}"


@pytest.mark.deep
async def test_many_at_once_from_several_servers(place):
    async with place.tools() as one, place.tools() as other:
        async with anyio.create_task_group() as group:
            for number in range(24):
                call = (one, other)[number % 2]
                group.start_soon(lambda call, number: call("create_subtask", title=f"Part {number}"), call, number)
                group.start_soon(lambda call, number: call("report_progress", message=f"{number}"), call, number)
        titles = {task["title"] for task in (await one("list_subtasks"))["subtasks"]}
        assert titles == {f"Part {number}" for number in range(24)}
        assert await other("list_subtasks") == await one("list_subtasks")
    actions = [action for action, _ in await place.work.actions()]
    assert sorted(actions) == ["progress_reported"] * 24 + ["subtask_created"] * 24


# --- Asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_a_human_answers_through_the_library(place):
    async with place.tools() as call, open_engine(place.store, home=place.folder / "home", user="alice") as engine:
        asked = await call("request_approval", question="May I drop the column?", choices=["yes", "rename it"])
        assert asked == {"approval_id": asked["approval_id"], "status": "pending"}
        (question,) = (await engine.approvals.list(task=place.work.task_id, status="pending")).rows
        assert (question.id, question.kind) == (asked["approval_id"], "question")
        answers = []

        async def wait() -> None:
            answers.append(await call("wait_for_approval", approval_id=asked["approval_id"], timeout_seconds=3600))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await call("report_progress", message="waiting")  # while another call waits
            await engine.approvals.approve(question.id, "2")
        assert answers == [
            {
                "approval_id": question.id,
                "status": "approved",
                "feedback": "2",
                "choice": "rename it",
                "decided_by": "alice",
            }
        ]
        task = await call("get_task")
        assert [one["status"] for one in task["questions"]] == ["approved"]
        assert task["questions"][0]["question"].startswith("May I drop the column?")
        assert task["status"] == "in_progress"


async def test_waiting_has_an_end_and_can_be_given_up(place):
    async with place.tools_here() as call:
        asked = await call("request_approval", question="May I?", wait_seconds=0.05)
        assert asked["status"] == "pending"
        with anyio.move_on_after(0.1) as scope:
            await call("wait_for_approval", approval_id=asked["approval_id"], timeout_seconds=50)
        assert scope.cancelled_caught
        assert await call("request_approval", question="May I?") == asked
        await place.work.bus.handle(ALICE, ApprovalId(asked["approval_id"]), Reject(feedback="Not today"))
        told = await call("wait_for_approval", approval_id=asked["approval_id"])
        assert (told["status"], told["feedback"]) == ("rejected", "Not today")


async def test_a_task_that_is_over_has_no_open_questions(place, tmp_path):
    """The tools beside an engine that drives the task: what it says is heard, and what it asked is taken back."""
    folder = tmp_path / "plain"
    folder.mkdir()
    options = {"base_command": "sleep", "params": ["60"]}
    async with open_engine(place.store, home=place.folder / "home", user="alice") as engine:
        task = await engine.run("Sleep", executor="custom", options=options, repositories=[str(folder)])
        heard = []
        with anyio.fail_after(PATIENCE):
            async for record in task.events():
                heard.append(record.event.topic)
                if heard[-1] == "execution.process_started":
                    scope = TaskScope(task_id=task.id, execution_id=record.stream_id)
                    async with Client(server_of(OwnTask(place.work.bus, place.work.reads, scope))) as client:
                        call = Tools(client)
                        await call("report_progress", message="asleep")
                        asked = await call("request_approval", question="May I wake up?")
                        waits = (await engine.approvals.list(task=task.id, status="pending")).rows
                        await engine.tasks.cancel(task.id)
        assert [one.id for one in waits] == [asked["approval_id"]]
        assert {"execution.progress_reported", "approval.requested", "approval.withdrawn"} <= set(heard)
        assert (await engine.approvals.list(task=task.id, status="pending")).rows == ()


@pytest.mark.deep
async def test_a_server_that_is_killed_leaves_the_question_open(place):
    with anyio.fail_after(PATIENCE):
        async with Client(stdio_client(place.parameters())) as client:
            first = (await client.call_tool("request_approval", {"question": "May I?"})).structured_content
            (process,) = servers_of(place)
            async with anyio.create_task_group() as group:

                async def wait() -> None:
                    with pytest.raises(MCPError):
                        await client.call_tool("wait_for_approval", {"approval_id": first["approval_id"]})

                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                os.kill(process, signal.SIGKILL)
    async with place.tools() as call:
        again = await call("request_approval", question="May I?")
        assert again == first
        await place.work.bus.handle(ALICE, ApprovalId(first["approval_id"]), Approve(feedback="Go"))
    other = await place.work.again()
    async with place.tools_here(other) as call:
        told = await call("request_approval", question="May I?")
        assert (told["approval_id"], told["status"], told["feedback"]) == (first["approval_id"], "approved", "Go")
        assert (await call("request_approval", question="May I?"))["approval_id"] != first["approval_id"]


def servers_of(place: Place) -> list[int]:
    """Return the processes that this one started as servers in this place."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"aura_cli" in words and b"mcp" in words:
            found.append(int(folder.name))
    return found


# --- The scope --------------------------------------------------------------------------------------------------------


async def test_another_task_is_out_of_reach_and_a_run_that_has_ended_is_told_so(place):
    other = await put_to_work(place.work.bus, place.work.reads, "Something else")
    theirs = await other.own.ask("May I?")
    async with place.tools_here() as call:
        assert "there is no question" in await call.refused("wait_for_approval", approval_id=theirs.id)
        assert "there is no question" in await call.refused("wait_for_approval", approval_id=place.work.task_id)
        asked = await call("request_approval", question="May I?")
        assert asked["approval_id"] != theirs.id
        await place.work.end()
        head = await place.work.bus.log.head()
        for tool, arguments in {
            "get_task": {},
            "report_progress": {"message": "x"},
            "create_subtask": {"title": "x"},
            "list_subtasks": {},
            "request_approval": {"question": "May I?"},
            "wait_for_approval": {"approval_id": asked["approval_id"]},
        }.items():
            words = await call.refused(tool, **arguments)
            assert "has ended (Failed)" in words
            assert "hint: stop" in words
        assert await place.work.bus.log.head() == head


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AURA_TASK_TOKEN": ""}, "AURA_TASK_TOKEN is not set"),
        ({"AURA_TASK_TOKEN": "aura1.x.y"}, "is cut, or was changed"),
        ({"AURA_TASK_TOKEN": "Bearer x"}, "does not begin with aura1"),
        ({"AURA_HOME": "{place}/elsewhere"}, "no token was issued"),
        ({"AURA_STORE": "sqlite:///{place}/none.db"}, "the store does not exist"),
    ],
)
async def test_without_a_token_of_this_installation_there_is_no_server(place, change, words):
    given = {name: value.format(place=place.folder) for name, value in change.items()}
    answer = await anyio.to_thread.run_sync(lambda: call_aura("mcp", **place.environment() | given))
    assert (answer.code, answer.out) == (1, "")
    assert words in answer.err
    assert not (place.folder / "elsewhere").exists()


@pytest.mark.deep
async def test_a_token_of_another_installation_is_refused(place):
    key_of(place.folder / "other")
    given = place.environment() | {"AURA_HOME": str(place.folder / "other")}
    answer = await anyio.to_thread.run_sync(lambda: run_aura("mcp", **given))
    assert answer.code == 1
    assert "error[token_refused]" in answer.err
    assert "another secret" in answer.err


async def test_without_the_package_it_is_said_what_to_install(place):
    code = "import sys; sys.modules['mcp'] = None\nfrom aura_cli.main import main; sys.exit(main(['mcp', '--json']))"
    done = await anyio.run_process(
        [sys.executable, "-c", code], env=ENVIRONMENT | place.environment(), check=False, input=b""
    )
    assert done.returncode == 1
    assert b"aura-core[mcp]" in done.stderr


@pytest.mark.deep
async def test_it_goes_with_its_agent(place):
    """It ends when standard input does, whatever it was doing; and at an interrupt, of its terminal, at once."""
    environment = ENVIRONMENT | place.environment()
    process = await anyio.open_process([sys.executable, "-m", "aura_cli", "mcp"], env=environment)
    async with process:
        with anyio.fail_after(PATIENCE):
            assert process.stdin is not None
            await process.stdin.aclose()
            assert await process.wait() == 0
    process = await anyio.open_process([sys.executable, "-m", "aura_cli", "mcp"], env=environment)
    async with process:
        with anyio.fail_after(PATIENCE):
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
            assert b'"id":1' in await process.stdout.receive()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == -signal.SIGINT
