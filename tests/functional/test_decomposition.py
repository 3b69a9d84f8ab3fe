"""Splitting a task: an agent proposes how, a human edits and approves it, and the parts wait for one another."""

import json

import pytest

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import ExecutionStatus
from aura_contracts.task import RetryPolicy, TaskStatus
from conditions import until
from engines import open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio

TWICE = RetryPolicy(max_attempts=2, base_delay=0.01, max_delay=0.01)


def plan(*subtasks):
    return json.dumps({"subtasks": list(subtasks)})


MODEL = {"id": "model", "title": "Add a price"}
PAGE = {"id": "page", "title": "Show it", "after": ["model"]}


async def test_an_agent_proposes_parts_and_a_human_edits_and_approves_them(opened, repository):
    async with opened() as engine:
        whole = await engine.tasks.create("Prices", repositories=[str(repository)], approval="auto", retry=TWICE)
        says = {"say": f"I looked at it. {plan(MODEL, PAGE)}"}
        circle = {"say": plan(MODEL | {"after": ["page"]}, PAGE)}
        await engine.tasks.request_decomposition(whole.id, **scripted([circle], [says]))  # the first plan is invalid
        asked = await settled(engine, whole.id)
        assert asked.status is TaskStatus.AWAITING_APPROVAL
        (first,) = await open_questions(engine, whole.id)
        assert (first.kind, first.proposed_solution) == ("decomposition", "Add a price\nShow it (after Add a price)")
        with pytest.raises(InvalidInput, match="wait for one another"):
            await engine.tasks.decompose(whole.id, plan=plan(MODEL | {"after": ["page"]}, PAGE))
        edited = await engine.tasks.decompose(whole.id, plan=plan(MODEL | {"title": "Add two prices"}, PAGE))
        assert (await engine.approvals.get(first.id)).status is ApprovalStatus.WITHDRAWN
        await engine.approvals.approve(edited.id)
        split = await settled_parts(engine, whole)
        model, page = await engine.tasks.parts(whole.id)
        assert (model.title, page.after, page.queued) == ("Add two prices", (model.id,), True)
        assert (split.status, (await engine.tasks.view(whole.id)).execution.status) == (
            "approved",
            ExecutionStatus.DONE,
        )
        assert (await engine.agents.get(split.assigned_agent)).status is AgentStatus.IDLE
        await engine.agents.add("dev", executor="scripted", options={"rounds": [[write("done.txt", "x\n")]]})
        for part in (page, model):
            await engine.resume(part.id)  # an agent of the pool does both, each in a worktree of its own
        assert (await settled(engine, page.id)).status is TaskStatus.COMPLETED
        assert (repository / "done.txt").exists()
        assert (await engine.tasks.get(whole.id)).status is TaskStatus.COMPLETED


async def settled_parts(engine, whole):
    await until(lambda: is_split(engine, whole))
    return await engine.tasks.get(whole.id)


async def is_split(engine, whole):
    return (await engine.tasks.get(whole.id)).decomposed


async def test_a_rejected_plan_is_revised(opened, repository):
    async with opened() as engine:
        whole = await engine.tasks.create("Prices", repositories=[str(repository)])
        rounds = [{"say": plan(MODEL)}], [{"say": plan(MODEL, PAGE)}]
        await engine.tasks.request_decomposition(whole.id, **scripted(*rounds))
        await settled(engine, whole.id)
        await engine.approvals.reject(whole.id, "and the page?")
        assert (await settled(engine, whole.id)).status is TaskStatus.AWAITING_APPROVAL
        (asked,) = await open_questions(engine, whole.id)
        assert asked.proposed_solution == "Add a price\nShow it (after Add a price)"
