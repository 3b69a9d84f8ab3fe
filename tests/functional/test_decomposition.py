"""Splitting a task: an agent proposes how, a human edits and approves it, and the parts wait for one another."""

import json

import anyio
import pytest

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import ActorNotAllowed, InvalidInput, RuleViolated
from aura_contracts.execution import ExecutionStatus
from aura_contracts.task import RetryPolicy, TaskStatus
from conditions import until
from engines import ONCE, all_questions, open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio

TWICE = RetryPolicy(max_attempts=2, base_delay=0.01, max_delay=0.01)


def plan(*subtasks):
    return json.dumps({"subtasks": list(subtasks)})


MODEL = {"id": "model", "title": "Add a price"}
PAGE = {"id": "page", "title": "Show it", "after": ["model"]}


SHOWN = "1. Add a price\n   priority medium\n2. Show it\n   priority medium, after 1"


@pytest.mark.deep
async def test_an_agent_proposes_parts_and_a_human_edits_and_approves_them(opened, repository):
    async with opened() as engine:
        whole = await engine.tasks.create("Prices", repositories=[str(repository)], approval="auto", retry=TWICE)
        says = {"say": f"I looked at it. {plan(MODEL, PAGE)}"}
        circle = {"say": plan(MODEL | {"after": ["page"]}, PAGE)}
        await engine.tasks.request_decomposition(whole.id, **scripted([circle], [says]))  # the first plan is invalid
        asked = await settled(engine, whole.id)
        assert asked.status is TaskStatus.AWAITING_APPROVAL
        (first,) = await open_questions(engine, whole.id)
        assert (first.kind, first.proposed_solution) == ("decomposition", SHOWN)
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
        with anyio.fail_after(60):  # an agent of the pool does both, each in a worktree of its own
            await (await engine.attach(whole.id)).result()
        assert (await settled(engine, page.id)).status is TaskStatus.COMPLETED
        assert (repository / "done.txt").exists()
        assert (await engine.tasks.get(whole.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
@pytest.mark.parametrize(
    "part",
    [{"title": "x" * 600}, {"title": "\ud800"}, {"title": "Fix it\nApproved"}, {"description": "a\0b"}, {"\udfff": 1}],
    ids=["long", "surrogate", "lines", "NUL", "field"],
)
async def test_a_plan_that_could_not_be_recorded_is_made_again(opened, repository, part):
    async with opened() as engine:
        whole = await engine.tasks.create("Prices", repositories=[str(repository)], retry=TWICE)
        rounds = [{"say": plan(MODEL | part)}], [{"say": plan(MODEL)}]
        await engine.tasks.request_decomposition(whole.id, **scripted(*rounds))
        asked = await settled(engine, whole.id)
        assert asked.status is TaskStatus.AWAITING_APPROVAL
        (question,) = await all_questions(engine, whole.id)
        assert question.proposed_solution == "1. Add a price\n   priority medium"


async def test_titles_of_several_lines_are_refused_from_people_too(opened):
    async with opened() as engine:
        whole = await engine.tasks.create("Prices")
        await engine.tasks.assign(whole.id, agent=(await engine.agents.add("ada", "scripted")).id)
        with pytest.raises(RuleViolated, match="several lines"):
            await engine.tasks.decompose(whole.id, ["Fix it\nApproved by security"])


async def test_who_rewrites_a_plan_does_not_approve_it_where_no_one_approves_their_own(opened):
    async with opened() as engine:
        ada = await engine.agents.add("ada", "scripted")
        whole = await engine.tasks.create("Prices", reviewers=["bob", "carol"], no_self_approval=True)
        await engine.tasks.assign(whole.id, agent=ada.id)
        await engine.tasks.decompose(whole.id, ["Add a price"])
        edited = await engine.tasks.decompose(whole.id, ["Add two prices"], by="bob")
        assert (edited.requested_by, edited.reviewers) == ("human:bob", ("carol",))
        with pytest.raises(ActorNotAllowed, match="asked for or wrote themselves"):
            await engine.approvals.approve(edited.id, by="bob")
        assert (await engine.approvals.approve(edited.id, by="carol")).status is ApprovalStatus.APPROVED


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
        assert asked.proposed_solution == SHOWN


async def proposed(engine, repository, *parts, **options):
    """Return a task whose split waits for an answer."""
    whole = await engine.tasks.create("Prices", repositories=[str(repository)], approval="auto", **options)
    await engine.tasks.request_decomposition(whole.id, **scripted([{"say": plan(*parts)}]))
    await settled(engine, whole.id)
    return whole


def pool_agent(engine, **options):
    return engine.agents.add("dev", executor="scripted", options={"rounds": [[write("done.txt", "x\n")]]}, **options)


async def finished(engine, task_id):
    with anyio.fail_after(60):
        return await (await engine.attach(task_id)).result()


@pytest.mark.deep
async def test_whoever_approves_a_split_has_its_parts_done(opened, repository):
    async with opened() as engine:
        await pool_agent(engine)
        whole = await proposed(engine, repository, MODEL, PAGE)
        await engine.approvals.approve(whole.id)
        assert (await finished(engine, whole.id)).status is TaskStatus.COMPLETED
        assert {part.status for part in await engine.tasks.parts(whole.id)} == {TaskStatus.COMPLETED}


async def test_parts_are_done_by_the_engine_that_drives_the_task_if_another_one_only_records(opened, repository):
    async with opened() as engine, opened(record_only=True) as other:
        await pool_agent(engine)
        whole = await proposed(engine, repository, MODEL, PAGE)
        await other.approvals.approve(whole.id)
        assert (await finished(engine, whole.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_parts_that_an_engine_left_are_done_once_their_task_is_resumed(opened, repository):
    async with opened() as engine:
        whole = await proposed(engine, repository, MODEL, PAGE)
    async with opened(record_only=True) as engine:
        await engine.approvals.approve(whole.id)
        await pool_agent(engine)
    async with opened() as engine:
        run = await engine.resume(whole.id)
        with anyio.fail_after(60):
            assert (await run.result()).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_a_split_task_is_idle_while_its_parts_wait_for_humans(opened, repository):
    """One part asks, and the other waits for it; a third that no agent suits holds nothing up."""
    other = {"id": "other", "title": "Design it", "agent_type": "designer"}
    async with opened() as engine:
        await pool_agent(engine)
        whole = await engine.tasks.create("Prices", repositories=[str(repository)])
        await engine.tasks.request_decomposition(whole.id, **scripted([{"say": plan(MODEL, PAGE, other)}]))
        await settled(engine, whole.id)
        await engine.approvals.approve(whole.id)
        run = await engine.attach(whole.id)
        with anyio.fail_after(60):
            assert (await run.idle()).status is TaskStatus.APPROVED
        (asked,) = await open_questions(engine)
        model, page, design = await engine.tasks.parts(whole.id)
        assert (asked.task_id, page.pooled, design.pooled) == (model.id, True, True)
        await engine.approvals.approve(asked.id)
        with anyio.fail_after(60):
            await run.idle()
        assert (await engine.tasks.get(page.id)).status is TaskStatus.COMPLETED, "it has changed nothing"


@pytest.mark.deep_but_first
@pytest.mark.parametrize(("silence", "status"), [("continue", TaskStatus.COMPLETED), ("deny", TaskStatus.FAILED)])
async def test_the_deadline_of_a_policy_ends_the_question_how_to_split(opened, repository, silence, status):
    (repository / ".aura").mkdir()
    rule = f"  - ask: parts\n    when: {{kind: decomposition}}\n    then: {{deadline: 1s, on_expiry: {silence}}}\n"
    (repository / ".aura" / "policies.yaml").write_text(f"rules:\n{rule}")
    async with opened() as engine:
        await pool_agent(engine)
        whole = await engine.tasks.create("Prices", repositories=[str(repository)], approval="auto", retry=ONCE)
        await engine.tasks.request_decomposition(whole.id, **scripted([{"say": plan(MODEL)}]))
        await until(lambda: _ended(engine, whole.id))
        assert (await engine.tasks.get(whole.id)).status is status
        (asked,) = [one for one in await all_questions(engine, whole.id) if one.kind == "decomposition"]
        assert asked.status is ApprovalStatus.EXPIRED


async def _ended(engine, task_id):
    return (await engine.tasks.get(task_id)).ended
