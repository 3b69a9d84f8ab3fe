"""What agents say about their runs, and what follows from it."""

import json

import pytest

from aura_contracts.failures import FailureReason
from aura_contracts.task import RetryPolicy, TaskStatus
from aura_engine import agent_results
from aura_engine.agent_results import SCHEMA
from aura_engine.runtime import prompts
from engines import ONCE, open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio

TWICE = RetryPolicy(max_attempts=2, base_delay=0.01, max_delay=0.01)


def result(**said):
    return {"say": "Done. " + json.dumps({"proposal": "I added a file", "confidence": 0.8, "error": None, **said})}


async def ran(engine, repository, *steps, **options):
    run = await engine.run("Write it", repositories=[str(repository)], **options, **scripted(steps))
    return await settled(engine, run.id)


@pytest.mark.deep
async def test_a_reviewer_sees_what_the_agent_says_and_how_sure_it_is(opened, repository):
    async with opened() as engine:
        task = await ran(engine, repository, write("new.txt", "x\n"), result())
        (question,) = await open_questions(engine, task.id)
        assert question.confidence == task.confidence == 0.8
        assert question.proposed_solution.endswith("The agent says:\nI added a file")
        planned = await ran(engine, repository, result(proposal="First a test"), approval="plan")
        assert (planned.proposed_solution, planned.confidence) == ("First a test", 0.8)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("said", [{"say": "Done."}, {"say": '{"confidence": "high"}'}, result(requires_approval=False)])
async def test_no_agent_skips_the_human(opened, repository, said):
    async with opened() as engine:
        task = await ran(engine, repository, write("new.txt", "x\n"), said)
        assert task.status is TaskStatus.AWAITING_APPROVAL


@pytest.mark.deep_but_first
@pytest.mark.parametrize(("requires", "status"), [(True, "awaiting_approval"), (False, "completed")])
async def test_an_agent_that_wants_a_human_gets_one_although_none_is_required(opened, repository, requires, status):
    async with opened() as engine:
        said = result(requires_approval=requires)
        task = await ran(engine, repository, write("new.txt", "x\n"), said, approval="auto")
        assert task.status == status
        if requires:
            await engine.approvals.approve(task.id)
            assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"say": "Done."}, "awaiting_approval"),
        ({"say": '{"proposal": "x", "requires_approval": "no", "error": null}'}, "awaiting_approval"),
        (result(requires_approval=False), "completed"),
    ],
)
async def test_a_human_is_asked_where_an_agent_does_not_say_whether_one_should_look(
    opened, repository, monkeypatch, said, status
):
    """It was asked, so its silence means nothing; in mode auto as well, and after feedback."""
    monkeypatch.setattr(prompts, "ASKED", frozenset({"scripted"}))
    async with opened() as engine:
        task = await ran(engine, repository, write("new.txt", "x\n"), said, approval="auto")
        assert task.status == status
        if status == "awaiting_approval":
            await engine.approvals.reject(task.id, "say it")
            task = await settled(engine, task.id)
            assert task.status == status
            execution = await engine.executions.get(task.execution_id)
            assert agent_results.REQUEST in execution.prompt, "the follow-up asks, too"


async def test_an_error_fails_the_attempt(opened, repository):
    async with opened() as engine:
        task = await ran(engine, repository, write("new.txt", "x\n"), result(error="no network"), retry=ONCE)
        assert (task.status, task.failure.reason) == (TaskStatus.FAILED, FailureReason.AGENT_ERROR)
        assert "the agent reports: no network" in task.failure.message
        rounds = [result(error="no network")], [write("new.txt", "x\n"), result()]
        run = await engine.run("Again", repositories=[str(repository)], retry=TWICE, **scripted(*rounds))
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL


@pytest.mark.parametrize("prompt", ["Fix it", "/review the code"])
async def test_a_prompt_asks_for_it_unless_a_command_would_get_the_text(opened, repository, prompt):
    async with opened() as engine:
        task = await engine.tasks.create(prompt, repositories=[str(repository)])
        prompts = engine._core.runtime.prompts
        asked = await prompts.asking("coding", task, {}, "claude")
        untouched = prompt.startswith("/")
        assert (asked == prompt) is untouched
        if not untouched:
            assert asked.startswith(f"{prompt}\n\n")
            assert json.loads(asked[asked.index("{") :]) == SCHEMA
        assert await prompts.asking("coding", task, {}, "custom") == prompt


async def test_a_task_that_fails_gives_its_agent_back_with_its_failure(opened, repository):
    """In one append: a task that has failed is finished, so no engine would look for an agent that still has it."""
    async with opened() as engine:
        task = await ran(engine, repository, {"fail": 1}, retry=ONCE)
        assert task.status is TaskStatus.FAILED
        records = await engine.events.list(limit=1000)
        (failed,) = [one for one in records if one.event.topic == "task.failed"]
        (released,) = [one for one in records if one.event.topic == "agent.released"]
    assert released.correlation_id == failed.correlation_id
