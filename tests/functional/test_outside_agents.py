"""Tasks of agents outside AURA: assigned, proposed, approved and completed through the facade, without an execution."""

import pytest

from aura_contracts.agent import AgentStatus
from aura_contracts.errors import ActorNotAllowed, InvalidInput, RuleViolated, TransitionRefused
from aura_contracts.task import TaskStatus
from aura_store.log._event_log import RecorderEventLog
from engines import events_of, scripted, settled, write

pytestmark = pytest.mark.anyio


async def test_what_was_approved_is_completed_and_the_agent_is_free(opened):
    async with opened() as engine:
        agent = await engine.agents.add("operator", executor="custom")
        task = await engine.tasks.create("Rotate the keys", approval="plan")
        await engine.tasks.assign(task.id, agent=agent.id)
        with pytest.raises(RuleViolated, match="nothing was approved"):
            await engine.tasks.complete(task.id)
        question = await engine.tasks.submit(task.id, "I replace all three")
        with pytest.raises((RuleViolated, TransitionRefused)):
            await engine.tasks.complete(task.id)
        await engine.approvals.approve(question.id)
        with pytest.raises(ActorNotAllowed):
            await engine.tasks.complete(task.id, by="mallory")
        with pytest.raises(InvalidInput):
            await engine.tasks.complete(task.id, {"key": "\0"})
        done = await engine.tasks.complete(task.id, {"keys": 3})
        assert (done.status, done.result) == (TaskStatus.COMPLETED, {"keys": 3})
        assert (await engine.agents.get(agent.id)).status is AgentStatus.IDLE
        with pytest.raises(TransitionRefused):
            await engine.tasks.complete(task.id)
        topics = [event.topic for event in (*await events_of(engine, task.id), *await events_of(engine, question.id))]
        assert topics == [
            *("task.created", "task.assigned", "task.proposal_submitted", "task.approved"),
            *("task.command_refused", "task.completed"),
            *("approval.requested", "approval.vote_cast", "approval.approved"),
        ]
    async with opened() as engine:
        assert (await engine.tasks.get(task.id)).status is TaskStatus.COMPLETED


async def test_what_one_process_records_about_a_task_it_does_not_read_again(opened, monkeypatch):
    read, facts = [], RecorderEventLog.facts

    async def noted(log, stream_id, **bounds):
        read.append(stream_id)
        return await facts(log, stream_id, **bounds)

    async with opened() as engine:
        agent = await engine.agents.add("operator", executor="custom")
        monkeypatch.setattr(RecorderEventLog, "facts", noted)
        task = await engine.tasks.create("Rotate the keys", approval="plan")
        await engine.tasks.assign(task.id, agent=agent.id)
        question = await engine.tasks.submit(task.id, "I replace all three")
        await engine.approvals.approve(question.id)
        await engine.tasks.complete(task.id)
        assert read == []
        assert (await engine.tasks.get(task.id)).status is TaskStatus.COMPLETED
        assert read == [task.id]


async def test_the_work_of_an_agent_of_aura_is_not_completed_by_others(opened, repository):
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        with pytest.raises(RuleViolated, match="an agent of AURA works on it"):
            await engine.tasks.complete(run.id)
        assert (await engine.tasks.get(run.id)).status is TaskStatus.AWAITING_APPROVAL
