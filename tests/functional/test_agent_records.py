"""Records of agents, on real runs: humans answer, and selection and policies look at what they said."""

import pytest

from aura_contracts.approval import ApprovalStatus, RecordSoFar
from aura_contracts.task import TaskAssigned, TaskStatus
from aura_engine.host import Host
from engines import all_questions, events_of, settled, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def make_agent(engine, name, **profile):
    return await engine.agents.add(name, "scripted", **{"type": "tester", **profile})


async def enqueued(engine, repository, **named):
    task = await engine.tasks.create("Say hello", repositories=[str(repository)])
    said = {"say": '{"proposal": "a file", "confidence": 0.9}'}
    rounds = [[write(f"{task.id}.txt", text), said] for text in ("hello\n", "HELLO\n")]
    return await engine.tasks.assign(task.id, options={"rounds": rounds}, **(named or {"agent_type": "tester"}))


async def asked(engine, repository, **named):
    """Have a task done; return its question."""
    task = await settled(engine, (await enqueued(engine, repository, **named)).id)
    (question,) = await all_questions(engine, task.id)
    return question


@pytest.mark.deep
async def test_answers_of_humans_become_the_record_and_those_of_policies_do_not(opened, repository):
    (repository / ".aura").mkdir()
    rule = "rules:\n  - approve: known\n    when: {kind: changes, record: {count: {at_least: 2}}}\n"
    (repository / ".aura" / "policies.yaml").write_text(rule)
    async with opened() as engine:
        ada = await make_agent(engine, "ada")
        first = await asked(engine, repository)
        assert first.evidence.record == RecordSoFar(0)
        await engine.approvals.request_changes(first.id, "Say it louder")
        task = await settled(engine, first.task_id)
        second = next(one for one in await all_questions(engine, task.id) if one.status is ApprovalStatus.PENDING)
        assert (second.evidence.agent_id, second.evidence.record) == (ada.id, RecordSoFar(1))
        await engine.approvals.approve(second.id)
        assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
        third = await asked(engine, repository)
        assert (third.status, third.reviewed_by) == (ApprovalStatus.APPROVED, "system:policy")
        assert third.policy.values["record"] == {"count": 2, "lower_bound": None}
        record = await engine.agents.record(ada.id[-8:])
        (cell,) = record.cells
        assert (cell.kind, cell.agent_type, cell.executor, cell.model) == ("changes", "tester", "scripted", None)
        assert (cell.acceptance.approved, cell.acceptance.decided) == (1, 2)
        assert (cell.at_once, cell.needs_changes, cell.rejected) == (0, 1, 0), "approved, but not at once"
        assert (record.completed, record.calibration.answers) == (2, 2)


@pytest.mark.deep
async def test_the_agent_whose_work_is_approved_more_surely_gets_the_task(opened, repository):
    async with opened() as engine:
        bad, good = await make_agent(engine, "bad"), await make_agent(engine, "good")
        question = await asked(engine, repository, agent=bad.id)
        await engine.approvals.reject(question.id, "No")
        await engine.tasks.cancel(question.task_id)
        question = await asked(engine, repository, agent=good.id)
        await engine.approvals.approve(question.id)
        await settled(engine, question.task_id)
        task = await enqueued(engine, repository)
        assigned = next(event for event in await events_of(engine, task.id) if isinstance(event, TaskAssigned))
        assert assigned.agent_id == good.id, assigned.selection
        bounds = {one.agent_id: one.lower_bound for one in assigned.selection.candidates}
        assert bounds[good.id] > bounds[bad.id]
        await engine.tasks.cancel(task.id)


async def test_sampled_agents_are_recorded_with_their_draws(opened, repository):
    numbers = iter([0.1, 0.9])
    host = Host(random=lambda: next(numbers, 0.5))
    async with opened(sample_agents=True, host=host) as engine:
        first, second = await make_agent(engine, "first"), await make_agent(engine, "second")
        task = await enqueued(engine, repository)
        assert task.assigned_agent == second.id
        assigned = next(event for event in await events_of(engine, task.id) if isinstance(event, TaskAssigned))
        draws = {one.agent_id: one.draw for one in assigned.selection.candidates}
        assert draws == {second.id: pytest.approx(0.9), first.id: pytest.approx(0.1)}
        await engine.tasks.cancel(task.id)


async def test_a_reopened_and_a_repaired_task_are_remembered(opened, repository):
    async with opened() as engine:
        ada = await make_agent(engine, "ada")
        question = await asked(engine, repository)
        await engine.approvals.approve(question.id)
        await settled(engine, question.task_id)
        await engine.tasks.create("Mend it", fixes=question.task_id)
        await engine.tasks.follow_up(question.task_id, "Once more")
        assert (await settled(engine, question.task_id)).status is TaskStatus.AWAITING_APPROVAL
        record = await engine.agents.record(ada.id)
        assert (record.completed, record.reopened, record.repaired, record.reverted) == (1, 1, 1, 0)
