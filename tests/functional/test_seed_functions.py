"""The functions of the specification: each test walks the logic steps of one, by number, on a real execution."""

import json
from contextlib import aclosing

import anyio
import pytest

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalKind, ApprovalRequested, ApprovalStatus
from aura_contracts.errors import AggregateNotFound, InvalidInput, RuleViolated
from aura_contracts.execution import ExecutionStatus
from aura_contracts.task import TaskStatus
from conditions import until
from engines import AT_ONCE, events_of, open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio


def rounds_of(*rounds):
    return {"rounds": [list(steps) for steps in rounds]}


async def topics(engine, stream_id):
    return [event.topic for event in await events_of(engine, stream_id)]


async def test_create_task(opened, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "agent-types.toml").write_text('[labels]\nmigration = "database"\n')
    async with opened() as engine:
        for wrong in ({"title": " "}, {"title": "x", "priority": "urgent"}, {"title": "x", "agent_type": "A B"}):
            with pytest.raises((InvalidInput, RuleViolated)):  # 1. validate input
                await engine.tasks.create(wrong.pop("title"), **wrong)
        with pytest.raises(AggregateNotFound):
            await engine.tasks.create("x", parent="ffffffff")
        task = await engine.tasks.create("Migrate", labels=["migration"], priority="high")
        assert (task.agent_type, task.agent_type_reason) == (
            "database",
            "rule for the label migration",
        )  # 2. which agent
        assert await topics(engine, task.id) == ["task.created"]  # 3. stored, as pending
        assert (await engine.tasks.list(status="pending")).rows == (task,)
        assert (task.status, task.title, task.created_by) == (
            TaskStatus.PENDING,
            "Migrate",
            "human:alice",
        )  # 4. returned


async def test_assign_task(opened, repository, tmp_path):
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted", type="developer")
        hold = rounds_of([{"wait_for": str(tmp_path / "go")}])
        dba = await engine.agents.add("dba", executor="scripted", type="database", options=hold)
        task = await engine.tasks.create("Migrate", repositories=[str(repository)])
        assigned = await engine.tasks.assign(task.id, agent_type="database")
        assert assigned.assigned_agent == dba.id  # 1. an idle agent of the type; 2. the task names it
        assert assigned.status is TaskStatus.IN_PROGRESS  # 3.
        agent = await engine.agents.get(dba.id)
        assert (agent.status, agent.current_task_id) == (AgentStatus.WORKING, task.id)  # 4. and 5.
        await until(lambda: is_at_work(engine, task))  # 6. its execution is triggered
        assert (await topics(engine, task.id))[-2:] == ["task.assigned", "task.execution_started"]
        assert (await topics(engine, dba.id)) == ["agent.registered", "agent.task_taken"]
        more = await engine.tasks.assign((await engine.tasks.create("More")).id, agent_type="database")
        assert more.pooled  # no agent of the type is idle: it waits for one
        (tmp_path / "go").touch()
        await settled(engine, task.id)


async def is_at_work(engine, task):
    execution = (await engine.tasks.view(task.id)).execution
    return execution is not None and bool(execution.processes)


async def test_submit_for_approval(opened, repository):
    notified = []
    async with opened() as engine:
        engine.on(ApprovalRequested, notified.append)
        said = {"say": json.dumps({"proposal": "Use a lock", "confidence": 0.7, "error": None})}
        run = await engine.run("Fix it", repositories=[str(repository)], approval="plan", **scripted([said]))
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL  # 1.
        assert task.proposed_solution == "Use a lock"  # 2.
        (approval,) = await open_questions(engine, task.id)  # 3. an approval record
        assert (approval.task_id, approval.proposed_solution, approval.confidence) == (task.id, "Use a lock", 0.7)
        await until(lambda: [record.stream_id for record in notified] == [approval.id])  # 4. the human is notified
        assert (await engine.approvals.list(awaiting="alice")).rows == (approval,)
        agent = await engine.agents.get(task.assigned_agent)
        assert (agent.status, agent.current_task_id) == (AgentStatus.WAITING_FOR_APPROVAL, task.id)  # 5. paused


async def test_approve_task(opened, repository):
    async with opened() as engine:
        rounds = scripted([{"say": "I will write it"}], [write("new.txt", "x\n")])
        run = await engine.run("Write", repositories=[str(repository)], approval="plan", **rounds)
        await settled(engine, run.id)
        approved = await engine.approvals.approve(run.id, "mind the tests")
        assert (approved.decision, approved.feedback) == ("approved", "mind the tests")  # 1. and 3.
        assert approved.responded_at is not None  # 2.
        done = await run.result()
        assert "task.approved" in await topics(engine, run.id)  # 4.
        assert done.approval_notes == "mind the tests"
        assert done.status is TaskStatus.COMPLETED  # 5. the solution was executed
        assert (repository / "new.txt").read_text() == "x\n"


async def test_reject_task(opened, repository):
    async with opened() as engine:
        rounds = scripted([write("new.txt", "x\n")], [write("new.txt", "better\n")])
        run = await engine.run("Write", repositories=[str(repository)], **rounds)
        await settled(engine, run.id)
        (first,) = await open_questions(engine, run.id)
        with pytest.raises(InvalidInput):
            await engine.approvals.reject(first.id, " ")  # 3. feedback is required
        rejected = await engine.approvals.reject(first.id, "say it better")
        assert (rejected.decision, rejected.feedback) == ("rejected", "say it better")  # 1. and 3.
        assert rejected.responded_at is not None  # 2.
        task = await settled(engine, run.id)
        happened = await topics(engine, run.id)
        assert happened[-3:] == ["task.rejected", "task.revision_started", "task.proposal_submitted"]  # 4. in_progress
        execution = (await engine.tasks.view(run.id)).execution
        assert "say it better" in execution.prompt  # 5. the agent has the feedback
        (second,) = await open_questions(engine, run.id)  # 6. it revised its work and submitted again
        assert (second.id != first.id, task.status) == (True, TaskStatus.AWAITING_APPROVAL)


async def test_execute_task(opened, repository):
    async with opened() as engine:
        rounds = scripted([{"fail": {"exit_code": 3}}], [write("new.txt", "x\n")])
        task = await engine.tasks.create("Write", repositories=[str(repository)], approval="auto", retry=AT_ONCE)
        await engine.tasks.assign(task.id, **rounds)  # 1. the task is retrieved with what was approved: here, all of it
        later = await engine.tasks.create("Later", repositories=[str(repository)], approval="auto", after=[task.id])
        await engine.tasks.assign(later.id, **scripted([write("later.txt", "x\n")]))
        done = await settled(engine, task.id)
        assert (repository / "new.txt").exists()  # 2. the solution is executed
        logged = [entry async for entry in entries(engine, task)]
        assert {"execution.stage_retry_scheduled", "execution.completed"} <= {entry.action for entry in logged}  # 3.
        assert [entry.success for entry in logged if entry.action == "execution.stage_retry_scheduled"] == [False]  # 4.
        assert done.status is TaskStatus.COMPLETED  # 5.
        await until(lambda: is_idle(engine, done.assigned_agent))  # 6. the agent is free
        assert (await settled(engine, later.id)).status is TaskStatus.COMPLETED  # 7. the next task was triggered


async def entries(engine, task):
    page = await engine.logs.list(task=task.id, limit=1000)
    for entry in page.rows:
        yield entry


async def is_idle(engine, agent_id):
    return (await engine.agents.get(agent_id)).status is AgentStatus.IDLE


async def test_decompose_task(opened, repository):
    parts = [{"id": "prices", "title": "Prices"}, {"id": "basket", "title": "Basket", "after": ["prices"]}]
    async with opened() as engine:
        dev = await engine.agents.add("dev", executor="scripted", options=rounds_of([write("made.txt", "x\n")]))
        task = await engine.tasks.create("Build the shop", repositories=[str(repository)], approval="auto")
        plan = {"say": f"It takes two steps. {json.dumps({'subtasks': parts})}"}
        await engine.tasks.request_decomposition(task.id, **scripted([plan]))
        assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL
        execution = (await engine.tasks.view(task.id)).execution
        analysed = await topics(engine, execution.id)
        assert "split it into subtasks" in execution.prompt  # 1. an agent analyses the task
        assert {"execution.process_started", "execution.coding_changed_nothing"} <= set(analysed)
        assert (await topics(engine, task.id))[-1] == "task.decomposition_proposed"  # 2. it proposes a decomposition
        (asked,) = await open_questions(engine, task.id)
        assert (asked.kind, asked.requested_by) == (ApprovalKind.DECOMPOSITION, f"agent:{execution.agent_id}")
        assert (await engine.tasks.parts(task.id)) == []
        assert (await engine.approvals.approve(asked.id)).status is ApprovalStatus.APPROVED  # 3. a human approves
        assert (await topics(engine, asked.id))[-2:] == ["approval.vote_cast", "approval.approved"]
        prices, basket = await engine.tasks.parts(task.id)
        assert [(part.title, part.parent_id) for part in (prices, basket)] == [
            ("Prices", task.id),
            ("Basket", task.id),
        ]  # 4. records of the subtasks, with their parent
        for part in (basket, prices):
            assert (await topics(engine, part.id))[:2] == ["task.created", "task.queued"]  # 5. queued for agents
            await engine.resume(part.id)
        assert (await settled(engine, basket.id)).assigned_agent == dev.id


@pytest.mark.parametrize("error", [None, "no network"])
async def test_execute_agent(opened, repository, error):
    said = {"proposal": "I wrote it", "confidence": 0.6, "requires_approval": True, "error": error}
    async with opened() as engine:
        run = await engine.run(
            "Write",
            repositories=[str(repository)],
            approval="auto",
            retry=AT_ONCE,
            **scripted([write("a", "a\n"), {"say": json.dumps(said)}]),
        )
        if error is not None:  # AgentResult.success and .error
            with anyio.fail_after(60):
                async with aclosing(run.events(after=0)) as records:
                    failed = [r.event async for r in records if r.event.topic == "execution.stage_retry_scheduled"]
            assert {event.failure.message for event in failed} == {"the agent reports: no network"}
            return
        task = await settled(engine, run.id)
        result = (await engine.tasks.view(run.id)).execution.result
        assert (result.proposal, result.confidence, result.requires_approval) == ("I wrote it", 0.6, True)
        assert task.status is TaskStatus.AWAITING_APPROVAL  # requiresApproval
        assert (await engine.tasks.view(run.id)).execution.status is ExecutionStatus.REVIEW


async def test_execute_agent_in_process(opened, repository):
    """Option A of the specification: a function in the program's own process, with the same result."""
    calls = []

    async def architect(call):
        calls.append(call.prompt)
        await (anyio.Path(call.folder) / "design").write_text("two layers\n")
        return json.dumps({"proposal": "Two layers", "confidence": 0.8, "requires_approval": True, "error": None})

    async with opened(agents={"architect": architect}) as engine:
        task = await engine.tasks.create("Design", repositories=[str(repository)], approval="auto")
        await engine.tasks.assign(task.id, agent_type="architect")
        assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL  # requiresApproval
        assert [call.partition("\n")[0] for call in calls] == ["Design"]  # agents[agentType].execute(task)
        result = (await engine.tasks.view(task.id)).execution.result
        assert (result.proposal, result.confidence, result.error) == ("Two layers", 0.8, None)
        assert not (repository / "design").exists()
        await engine.approvals.approve(task.id)
        assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED  # success
        assert (repository / "design").read_text() == "two layers\n"
