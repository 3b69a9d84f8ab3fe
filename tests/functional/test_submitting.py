"""Proposals of an agent that runs: it waits for the decision, and so does everything else of its task."""

import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path

import anyio
import attrs
import pytest

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalKind, ApprovalStatus
from aura_contracts.errors import RuleViolated
from aura_contracts.execution import ExecutionStatus, ProcessStarted
from aura_contracts.failures import FailureReason
from aura_contracts.ports.executors import AgentRun, Capability, Executor, Launch
from aura_contracts.task import TaskStatus
from aura_engine.agent_tools import api
from aura_engine.agent_tools.access import TaskScope
from aura_engine.agent_tools.api import BETWEEN_WAITS, OwnTask
from aura_engine.runtime.gateway import Gateway
from aura_worker_protocol.messages import NoteWaiting
from conditions import until
from engines import AT_ONCE, ONCE, all_questions, events_of, open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


async def own_task(engine, task_id, **scope):
    """Return what the tools of a task's agent do, as soon as the agent runs."""
    with anyio.fail_after(PATIENCE):
        await until(lambda: _runs(engine, task_id))
    execution = (await engine.tasks.view(task_id)).execution
    core = engine.tasks._core
    return OwnTask(core.bus, core.reads, TaskScope(task_id=task_id, execution_id=execution.id, **scope))


async def _runs(engine, task_id):
    execution = (await engine.tasks.view(task_id)).execution
    return execution is not None and execution.processes


def waiting_for(path, *then):
    return scripted([{"wait_for": {"path": str(path)}}, *then])


@pytest.mark.parametrize("decision", ["approve", pytest.param("request_changes", marks=pytest.mark.deep), "reject"])
async def test_an_agent_waits_for_the_decision_and_continues_with_it(opened, repository, tmp_path, decision):
    go = tmp_path / "go"
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **waiting_for(go, write("new.txt", "x\n")))
        own = await own_task(engine, run.id)
        asked = await own.submit("I write it", confidence=0.5)
        view = await engine.tasks.view(run.id)
        assert (view.task.status, view.task.confidence) == (TaskStatus.AWAITING_APPROVAL, 0.5)
        assert view.agent.status is AgentStatus.WAITING_FOR_APPROVAL
        assert [(one.id, one.kind) for one in await open_questions(engine, run.id)] == [(asked.id, ApprovalKind.PLAN)]
        assert await own.submit("I write it") == asked
        with pytest.raises(RuleViolated, match="waits for its decision"):
            await own.submit("I write something else")
        await run.idle()
        followed = anyio.Event()

        async def follow():
            await settled(engine, run.id)
            followed.set()

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            assert not followed.is_set()
            words = () if decision == "approve" else ("Not so",)
            await getattr(engine.approvals, decision)(run.id, *words)
            told = await own.wait(asked.id, PATIENCE)
            assert (told.granted, told.feedback) == (decision == "approve", "Not so" if words else None)
            assert (await engine.tasks.view(run.id)).agent.status is AgentStatus.WORKING
            if decision != "approve":
                assert (await engine.tasks.get(run.id)).status is TaskStatus.IN_PROGRESS
                again = await own.submit("I write it")
                assert again.id != asked.id
                await engine.approvals.approve(again.id)
                assert (await own.wait(again.id)).granted
            go.touch()
        task = await engine.tasks.get(run.id)
        assert (task.status, task.executions) == (TaskStatus.AWAITING_APPROVAL, 1)
        (question,) = await open_questions(engine, run.id)
        assert "new.txt" in question.proposed_solution
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
@pytest.mark.parametrize(
    ("said", "mode", "status"),
    [
        ("approve", "changes", ApprovalStatus.APPROVED),
        ("reject", "auto", ApprovalStatus.REJECTED),
        ("never", "auto", ApprovalStatus.PENDING),
        (None, "auto", ApprovalStatus.APPROVED),
        (None, "changes", ApprovalStatus.PENDING),
    ],
)
async def test_callables_judge_a_plan_that_is_submitted_by_a_tool(opened, repository, tmp_path, said, mode, status):
    go, seen = tmp_path / "go", []

    def calm(question):
        seen.append(question.proposal)
        return said and (said, "so says calm")

    async with opened(policies=[calm]) as engine:
        run = await engine.run("Go", repositories=[str(repository)], approval=mode, **waiting_for(go))
        own = await own_task(engine, run.id, has_callables=True)
        asked = await own.submit("I write it")
        if status is ApprovalStatus.PENDING:
            await until(lambda: _judged(engine, asked.id))
            told = await engine.approvals.get(asked.id)
            assert told.needs_human is (said == "never")
        else:
            told = await own.wait(asked.id, PATIENCE)
            assert (await engine.tasks.view(run.id)).agent.status is AgentStatus.WORKING
        assert (told.status, set(seen)) == (status, {"I write it"})
        assert [one.name for one in told.policy.policies] == ["calm"]
        if status is ApprovalStatus.PENDING:
            await engine.approvals.approve(asked.id)
        go.touch()
        await settled(engine, run.id)


async def _judged(engine, approval_id):
    return (await engine.approvals.get(approval_id)).policy is not None


async def test_the_next_engine_judges_a_plan_that_waits(opened, repository, tmp_path):
    go = tmp_path / "go"
    async with opened() as engine, opened(record_only=True) as other:
        run = await engine.run("Go", repositories=[str(repository)], approval="auto", **waiting_for(go))
        own = await own_task(engine, run.id)
        core = other.tasks._core
        own = OwnTask(core.bus, core.reads, attrs.evolve(own._scope, has_callables=True))
        asked = await own.submit("I write it")
        assert (asked.status, asked.policy) == (ApprovalStatus.PENDING, None)
    async with opened(policies=[lambda _: ("approve", "fine")]) as engine:
        await engine.resume(run.id)
        await until(lambda: _judged(engine, asked.id))
        assert (await engine.approvals.get(asked.id)).granted
        go.touch()
        await settled(engine, run.id)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("tool", ["submit", "ask"])
async def test_the_time_of_an_agent_that_waits_for_a_decision_does_not_count(
    opened, repository, tmp_path, monkeypatch, tool
):
    """From when it waits until it is decided, also if another engine drives it by then."""
    go, told = tmp_path / "go", []

    async def request(gateway, asked, request=Gateway.request):
        answer = await request(gateway, asked)
        if isinstance(asked, NoteWaiting):
            told.append(0 < asked.seconds <= PATIENCE + BETWEEN_WAITS)
        return answer

    monkeypatch.setattr(Gateway, "request", request)
    work = {"approval": "changes", **waiting_for(go, write("new.txt", "x\n"))}
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **work)
        own = await own_task(engine, run.id)
        asked = await getattr(own, tool)("May I?")
        await own.wait(asked.id)
        assert told == [False], "it may do other work first"
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(own.wait, asked.id, PATIENCE)
            await until(lambda: told == [False, True])
            group.cancel_scope.cancel()
    async with opened() as engine:
        await engine.resume(run.id)
        await until(lambda: told == [False, True, True])
        await engine.approvals.approve(asked.id)
        await until(lambda: told == [False, True, True, False])
        go.touch()
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL


async def test_the_time_of_an_agent_that_works_on_after_a_wait_counts(opened, repository, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "BETWEEN_WAITS", 0.1)
    async with opened() as engine:
        work = waiting_for(tmp_path / "never", write("new.txt", "x\n"))
        run = await engine.run("Go", repositories=[str(repository)], timeout=0.5, retry=ONCE, **work)
        own = await own_task(engine, run.id)
        asked = await own.ask("May I?")
        assert (await own.wait(asked.id, 0.1)).status is ApprovalStatus.PENDING
        await settled(engine, run.id)
        failure = (await engine.tasks.get(run.id)).failure
        assert failure is not None
        assert failure.reason is FailureReason.TIMEOUT


async def test_the_mode_auto_approves_at_once(opened, repository, tmp_path):
    go = tmp_path / "go"
    async with opened() as engine:
        work = waiting_for(go, write("new.txt", "x\n"))
        run = await engine.run("Go", repositories=[str(repository)], approval="auto", **work)
        own = await own_task(engine, run.id)
        approval = await own.submit("I write it")
        assert (approval.status, approval.automatic) == (ApprovalStatus.APPROVED, True)
        assert (await own.wait(approval.id)).granted
        assert (await engine.tasks.view(run.id)).agent.status is AgentStatus.WORKING
        go.touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    ("ending", "decision"),
    [
        ("ends", "reject"),
        ("is killed", "approve"),
        pytest.param("ends", "approve", marks=pytest.mark.deep),
        pytest.param("is killed", "reject", marks=pytest.mark.deep),
    ],
)
async def test_an_agent_that_does_not_wait_gets_the_decision_with_its_next_start(
    opened, repository, tmp_path, ending, decision
):
    go = tmp_path / "go"
    rounds = [{"wait_for": {"path": str(go)}}, write("one.txt", "1\n")], [write("two.txt", "2\n")]
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], retry=AT_ONCE, cleanup="true", **scripted(*rounds))
        own = await own_task(engine, run.id)
        asked = await own.submit("I write it")
        (process,) = (await engine.tasks.view(run.id)).execution.processes
        if ending == "is killed":
            os.kill(process.identity.pid, signal.SIGKILL)
        go.touch()
        await until(lambda: _ended(engine, run.id, process))
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        assert (view.task.status, view.approval.id) == (TaskStatus.AWAITING_APPROVAL, asked.id)
        assert view.approval.status is ApprovalStatus.PENDING
        if ending == "ends":
            assert view.execution.status is ExecutionStatus.REVIEW
        await (engine.approvals.approve(asked.id) if decision == "approve" else engine.approvals.reject(asked.id, "No"))
        await settled(engine, run.id)
        (question,) = await open_questions(engine, run.id)
        assert question.kind is ApprovalKind.CHANGES
        assert ("two.txt" in question.proposed_solution) == (ending == "ends")
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        starts = [
            event
            for event in await events_of(engine, view.execution.id)
            if isinstance(event, ProcessStarted) and event.token.coding
        ]
        assert len(starts) == 2


async def _ended(engine, task_id, process):
    processes = (await engine.tasks.view(task_id)).execution.processes
    return all(one.identity.token != process.identity.token for one in processes)


@pytest.mark.deep
async def test_a_lost_worker_leaves_the_proposal_to_the_human(opened, repository, tmp_path):
    go = tmp_path / "go"
    async with opened(grace=0.1) as engine:
        run = await engine.run("Go", repositories=[str(repository)], **waiting_for(go, write("new.txt", "x\n")))
        own = await own_task(engine, run.id)
        asked = await own.submit("I write it")
    go.touch()
    async with opened(grace=0.1) as engine:
        await engine.resume(run.id)
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        assert (view.task.status, view.approval.status) == (TaskStatus.AWAITING_APPROVAL, ApprovalStatus.PENDING)
        await engine.approvals.approve(asked.id)
        await settled(engine, run.id)
        changes = (await open_questions(engine, run.id))[0]
        assert "new.txt" in changes.proposed_solution


@pytest.mark.deep
async def test_an_agent_waits_while_no_engine_runs(opened, repository, tmp_path):
    go = tmp_path / "go"
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **waiting_for(go, write("new.txt", "x\n")))
        asked = await (await own_task(engine, run.id)).submit("I write it")
    async with opened(record_only=True) as engine:
        await engine.approvals.approve(asked.id)
    async with opened() as engine:
        await engine.resume(run.id)
        assert (await (await own_task(engine, run.id)).wait(asked.id, PATIENCE)).granted
        go.touch()
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        assert (view.task.executions, view.execution.attempts["CodingInitial"], view.execution.follow_ups) == (1, 1, 0)
        assert "new.txt" in view.approval.proposed_solution


# --- With the real server ---------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, os, sys
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    async with Client(stdio_client(server)) as client:
        async def call(name, **arguments):
            answer = await client.call_tool(name, arguments)
            assert not answer.is_error, answer.content[0].text
            return answer.structured_content
        told = await call("submit_for_approval", proposal="I write it", wait_seconds=0)
        while told["status"] == "pending":
            told = await call("wait_for_approval", approval_id=told["approval_id"])
        with open("told", "w") as file:
            file.write(told["status"] + " " + told.get("feedback", ""))

asyncio.run(main())
"""


class Submitter(Executor):
    """An agent that submits a proposal with AURA's tools, and writes down the decision."""

    name = "submitter"
    capability = Capability(tool_servers=True)

    def launch(self, run: AgentRun) -> Launch:
        command = [word for server in run.tool_servers for word in server.command]
        return Launch(argv=(sys.executable, "-c", PROGRAM, *command))


@pytest.mark.deep
@pytest.mark.parametrize("killed", ["nothing", "the server", "the agent"])
async def test_an_agent_with_the_real_server_waits_through_kills(opened, repository, killed):
    async with opened(executors=[Submitter()]) as engine:
        run = await engine.run("Go", repositories=[str(repository)], executor="submitter", tools=True, retry=AT_ONCE)
        with anyio.fail_after(PATIENCE):
            async with aclosing(run.questions()) as questions:
                asked = await anext(questions)
        (process,) = (await engine.tasks.view(run.id)).execution.processes
        if killed != "nothing":
            victim = process.identity.pid if killed == "the agent" else _server_of(process.identity.pid)
            os.kill(victim, signal.SIGKILL)
            await until(lambda: _ended(engine, run.id, process))
        assert [one.id for one in await open_questions(engine, run.id)] == [asked.id]
        await engine.approvals.approve(asked.id, "Go on")
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        assert await anyio.Path(view.workspace.directory, "told").read_text() == "approved Go on"
        assert [one.kind for one in await all_questions(engine, run.id)] == ["plan", "changes"]


def _server_of(agent):
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return int(children[0])
