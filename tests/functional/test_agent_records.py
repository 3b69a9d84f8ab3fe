"""Records of agents, on real runs: humans answer, and selection and policies look at what they said."""

from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AgentChanges
from aura_contracts.approval import (
    ApprovalKind,
    ApprovalStatus,
    Evidence,
    OnExpiry,
    Question,
    RecordSoFar,
    RequestApproval,
)
from aura_contracts.project import ProjectChanges
from aura_contracts.task import TaskAssigned, TaskStatus
from aura_engine.host import Host, now
from aura_engine.record.acceptance import Posterior
from aura_engine.record.verdicts import AssessedAgent, Verdicts
from engines import all_questions, events_of, settled, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


BRIEF = {"options": {"steps": [{"say": "done"}]}}
"""The profile of an agent whose runs change nothing."""


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


async def judged(engine, agent, *answers, kind=ApprovalKind.CHANGES):
    """Have humans answer about work that no engine drives; nothing of it concerns the agent's own stream."""
    for answer in answers:
        ident = engine._core.bus.new_id()
        evidence = Evidence(agent_id=agent.id, executor=agent.executor, task_type=agent.type)
        task = await engine.tasks.create("Work that was done elsewhere")
        about = {"task_id": task.id, "proposed_solution": "as shown", "evidence": evidence}
        question = Question(kind=kind, reviewers=("alice",), **about)
        await engine._core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))
        await (engine.approvals.approve(ident) if answer else engine.approvals.reject(ident, "No"))


async def selected(engine, repository):
    """Have a task done by the pool, without asking; return why its agent was chosen."""
    task = await engine.tasks.create("Say hello", repositories=[str(repository)], approval="auto")
    task = await engine.tasks.assign(task.id, agent_type="tester")
    assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
    (assigned,) = [event for event in await events_of(engine, task.id) if isinstance(event, TaskAssigned)]
    return assigned.selection


async def test_engines_choose_alike_whenever_they_last_looked_at_an_agent(opened, repository):
    """One engine has had the agents in its schedule since before any answer; the other one sees them afterwards."""
    async with opened() as early, opened() as other:
        old, new = await make_agent(early, "old", **BRIEF), await make_agent(early, "new", **BRIEF)
        waiting = await enqueued(early, repository, agent_type="dba")
        assert waiting.pooled, "so this engine keeps its schedule up to date from now on"
        assert (await selected(early, repository)).candidates[0].agent_id == old.id, "it was registered first"
        await judged(other, old, False, False)
        head = await other.events.head()
        choices = [await selected(engine, repository) for engine in (early, other)]
        for choice in choices:
            assert choice.candidates[0].agent_id == new.id, choice
            assert choice.verdicts_until >= head
        figures = [[(one.agent_id, one.posterior, one.lower_bound) for one in each.candidates] for each in choices]
        assert figures[0] == figures[1]
        verdicts = Verdicts.of((await early._core.reads.verdicts())[0])
        for one in choices[0].candidates:
            expected = verdicts.expected(AssessedAgent(one.agent_id, "tester", one.executor, one.model))
            assert one.posterior == (expected.a, expected.b), "the choice can be computed again from the log"
        await judged(other, new, False, False, False)
        choices = [await selected(engine, repository) for engine in (early, other)]
        assert [choice.candidates[0].agent_id for choice in choices] == [old.id, old.id]
        await early.tasks.cancel(waiting.id)


async def test_an_agent_that_gets_another_executor_is_judged_by_what_others_achieve(opened, repository):
    async with opened() as engine:
        bad, good = await make_agent(engine, "bad", **BRIEF), await make_agent(engine, "good", **BRIEF)
        await judged(engine, bad, *[False] * 6)
        await judged(engine, good, *[True] * 6)
        before = await selected(engine, repository)
        options = {"base_command": "true"}
        await engine.agents.edit(bad.id, AgentChanges(executor="custom", options=options))
        after = await selected(engine, repository)
        known = [{one.agent_id: Posterior(*one.posterior) for one in each.candidates} for each in (before, after)]
        assert known[0][good.id] == known[1][good.id]
        was, now = known[0][bad.id], known[1][bad.id]
        assert now.mean > was.mean, "what it did with the other executor says less"
        assert now.a + now.b < was.a + was.b
        assert [one.executor for one in after.candidates] == ["scripted", "custom"]


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


async def test_a_project_has_agents_sampled_for_its_tasks_from_the_moment_it_says_so(opened, repository):
    async with opened() as engine:
        await make_agent(engine, "first", **BRIEF)
        await make_agent(engine, "second", **BRIEF)
        await engine.projects.create("shop", repositories=[str(repository)])
        waiting = await enqueued(engine, repository, agent_type="dba")
        assert waiting.pooled, "so this engine keeps its schedule"
        for sampling in (False, True, False):
            await engine.projects.edit("shop", ProjectChanges(sample_agents=sampling))
            with anyio.fail_after(30):  # until this engine has heard of it
                while all(one.draw is None for one in (await selected(engine, repository)).candidates) is sampling:
                    pass
        await engine.tasks.cancel(waiting.id)


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


async def test_answers_by_links_count_as_humans_and_what_expired_does_not(opened, repository):
    later = Host(clock=lambda: now() + timedelta(hours=2))
    async with opened() as engine, opened(record_only=True, host=later) as timekeeper:
        ada = await make_agent(engine, "ada")
        question = await asked(engine, repository)
        link = await engine.approvals.link(question.id, base_url="https://aura.example.org")
        page = await engine.links.page(link.url)
        await engine.links.answer(link.url, page.form, "rejected", "No")
        await engine.tasks.cancel(question.task_id)
        record = await engine.agents.record(ada.id)
        assert (record.acceptance.approved, record.acceptance.decided) == (0, 1)

        task = await engine.tasks.create("Work that was done elsewhere")
        evidence = Evidence(agent_id=ada.id, executor=ada.executor, task_type=ada.type)
        terms = {"task_id": task.id, "proposed_solution": "as shown", "deadline": now() + timedelta(hours=1)}
        for on_expiry in (OnExpiry.DENY, OnExpiry.CONTINUE):
            ident = engine._core.bus.new_id()
            asking = Question(
                kind=ApprovalKind.CHANGES, reviewers=("alice",), evidence=evidence, on_expiry=on_expiry, **terms
            )
            await engine._core.bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=asking))
        assert [timer.purpose for timer in await timekeeper.timers.fire_due()] == ["expire", "expire"]
        after = await engine.agents.record(ada.id)
        assert (after.acceptance, after.cells) == (record.acceptance, record.cells)


def written(view):
    """Return the prompt that an agent wrote down."""
    return Path(view.workspace.directory, "told.txt").read_text()


async def test_an_agent_is_told_in_its_next_run_what_it_learned_from_a_rejection(opened, repository):
    writes = {"base_command": "sh", "params": ["-c", "cat > told.txt"], "prompt_via": "stdin"}
    async with opened() as engine:
        ada = await engine.agents.add("Ada", "custom", type="tester", options=writes, prompt="You test.", capacity=5)

        async def run():
            task = await engine.tasks.create("Test the shop", repositories=[str(repository)])
            await engine.tasks.assign(task.id, agent=ada.id)
            await settled(engine, task.id)
            told = written(await engine.tasks.view(task.id))
            (question,) = await all_questions(engine, task.id)
            return told, question

        told, question = await run()
        assert told.startswith("You test.")
        assert "English" not in told
        await engine.approvals.reject(question.id, "Write in English")
        await engine.tasks.cancel(question.task_id)
        approval = await engine.agents.learn(ada.id)
        told, question = await run()
        assert "English" not in told, "no one has agreed yet"
        await engine.tasks.cancel(question.task_id)
        await engine.approvals.approve(approval.id)
        told, question = await run()
        assert "## What reviewers asked for\n\n- Write in English" in told
        assert told.index("You test.") < told.index("English") < told.index("Test the shop")
        await engine.tasks.cancel(question.task_id)
