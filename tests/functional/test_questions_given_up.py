"""Questions that an agent gave up: they stay open, and the answer resumes the agent's session."""

import sys
from contextlib import aclosing
from datetime import timedelta

import anyio
import pytest

from aura_contracts.approval import ApprovalStatus
from aura_contracts.execution import ExecutionStatus, StageRetried, StageRetryScheduled
from aura_contracts.failures import FailureReason
from aura_contracts.task import TaskStatus
from engines import ONCE, all_questions, events_of, next_question, settled
from repositories import content

pytestmark = pytest.mark.anyio

QWEN = """\
#!{python}
import json, sys
from pathlib import Path


def out(kind, **fields):
    print(json.dumps(dict(type=kind, session_id="s-1", **fields)), flush=True)


resumed = any(word.startswith("--resume=s-1") for word in sys.argv)
call = {{"id": f"call-{{resumed}}", "name": "write_file", "input": {{"file_path": "new.txt", "content": "x"}}}}
out("system", subtype="init", model="m")
out("assistant", message={{"id": "a", "content": [{{"type": "tool_use", **call}}]}})
asked = {{"subtype": "can_use_tool", "tool_name": call["name"], "tool_use_id": call["id"], "input": call["input"]}}
out("control_request", request_id=f"q-{{resumed}}", request=asked)
if not resumed:
    gone = "[Operation Cancelled] Reason: Error: Control request timeout"
    result = {{"type": "tool_result", "tool_use_id": call["id"], "is_error": True, "content": gone}}
    out("user", message={{"content": [result]}})
    out("result", subtype="success", is_error=False, result="Done")
    sys.exit()
for line in sys.stdin:
    response = json.loads(line).get("response", {{}})
    if response.get("request_id") == f"q-{{resumed}}":
        if response["response"]["behavior"] == "allow":
            Path("new.txt").write_text("x")
        break
out("user", message={{"content": [{{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"}}]}})
done = json.dumps(dict(proposal="I wrote it", confidence=0.9, requires_approval=False, error=None))
out("assistant", message={{"id": "b", "content": [{{"type": "text", "text": done}}]}})
out("result", subtype="success", is_error=False, result=done)
"""


@pytest.fixture
def qwen(tmp_path):
    program = tmp_path / "qwen"
    program.write_text(QWEN.format(python=sys.executable))
    program.chmod(0o755)
    return {"executor": "qwen-code", "options": {"executable": str(program)}, "approval": "auto", "retry": ONCE}


async def waiting(engine, task_id):
    """Wait until the agent has given up its question; return the question and the execution."""
    question = await next_question(engine, task_id)
    run = await engine.attach(task_id)
    with anyio.fail_after(60):
        async with aclosing(run.events(after=0, until_end=True)) as records:
            async for record in records:
                if isinstance(record.event, StageRetryScheduled):
                    break
    return question, (await engine.tasks.view(task_id)).execution


@pytest.mark.deep
async def test_the_answer_resumes_the_session_and_reaches_the_agent(opened, repository, qwen):
    async with opened() as engine:
        run = await engine.run("Write it", repositories=[str(repository)], **qwen)
        question, execution = await waiting(engine, run.id)
        assert execution.status is ExecutionStatus.CODING_INITIAL
        assert execution.failure.reason is FailureReason.PERMISSION_DENIED
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.PENDING
        await engine.approvals.approve(question.id)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.COMPLETED
        assert content(repository, "HEAD", "new.txt") == "x"
        assert [asked.id for asked in await all_questions(engine, run.id)] == [question.id]


@pytest.mark.deep
async def test_an_answer_that_is_no_reaches_it_too(opened, repository, qwen):
    async with opened() as engine:
        run = await engine.run("Write it", repositories=[str(repository)], **qwen)
        question, _ = await waiting(engine, run.id)
        await engine.approvals.reject(question.id, feedback="not there")
        task = await settled(engine, run.id)
        assert task.failure.reason is FailureReason.PERMISSION_DENIED
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.REJECTED


@pytest.mark.deep
async def test_it_waits_over_a_restart_of_the_engine(opened, repository, qwen):
    async with opened() as engine:
        run = await engine.run("Write it", repositories=[str(repository)], **qwen)
        question, _ = await waiting(engine, run.id)
    async with opened() as engine:
        await engine.attach(run.id)
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        execution = (await engine.tasks.view(run.id)).execution
        retried = [event for event in await events_of(engine, execution.id) if isinstance(event, StageRetried)]
        assert len(retried) == 1


async def test_it_waits_as_long_as_the_question_is_open(opened, repository, qwen):
    """A policy gives the question three days: the agent is not started again before."""
    (repository / ".aura").mkdir()
    rule = "rules:\n  - ask: slow\n    when: {kind: tool_call}\n    then: {deadline: 72h}\n"
    (repository / ".aura" / "policies.yaml").write_text(rule)
    async with opened() as engine:
        run = await engine.run("Write it", repositories=[str(repository)], **qwen)
        question, execution = await waiting(engine, run.id)
        approval = await engine.approvals.get(question.id)
        assert approval.deadline - approval.requested_at > timedelta(hours=71)
        assert execution.retry_at == approval.deadline
        (timer,) = await engine.timers.list(purpose="retry")
        assert timer.due_at == approval.deadline
