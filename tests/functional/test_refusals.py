"""Refusals: who may do what, and that every refusal stays on record, on the aggregate that it was about."""

import pytest

from aura_contracts.actors import observer
from aura_contracts.errors import ActorNotAllowed, InvalidInput
from aura_contracts.execution import CancelExecution
from aura_contracts.task import TaskStatus
from aura_engine.host import Host
from engines import events_of, next_question, scripted, settled, write

pytestmark = pytest.mark.anyio

OBSERVER = Host(environment={"AURA_USER": "carol", "AURA_ROLE": "observer", "PATH": "/usr/bin:/bin"})
AGENT = "agent:0192f0c1-2d3e-7abc-8def-000000000005"


async def refusals(engine, stream_id):
    """Return what was refused on an aggregate: who, what and by which rule."""
    found = [event.refusal for event in await events_of(engine, stream_id) if event.topic.endswith(".command_refused")]
    return [(one.by, one.command, one.rule) for one in found]


async def refused(call, rule):
    with pytest.raises(ActorNotAllowed) as error:
        await call
    assert error.value.rule == rule


@pytest.mark.deep
async def test_every_refusal_is_an_event_with_its_rule_and_changes_nothing_else(opened, repository):
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], reviewers=["bob"], **scripted([write("a", "1")]))
        asked = await next_question(engine, run.id)
        task, question = await engine.tasks.get(run.id), await engine.approvals.get(asked.id)
        for actor, rule in (("mallory", "seat"), (AGENT, "seat"), ("observer:carol", "observer")):
            await refused(engine.approvals.approve(asked.id, by=actor), rule)
        await refused(engine.tasks.cancel(run.id, by="mallory"), "concerned")
        await refused(engine.tasks.cancel(run.id, by=AGENT), "assigned_agent")
        await refused(engine.tasks.interrupt(run.id, by="observer:bob"), "concerned")
        await refused(engine.tasks.cancel(run.id, by="observer:bob"), "observer")
        assert (await engine.tasks.get(run.id), await engine.approvals.get(asked.id)) == (task, question)
        assert await refusals(engine, asked.id) == [
            ("human:mallory", "Approve", "seat"),
            (AGENT, "Approve", "seat"),
            ("observer:carol", "Approve", "observer"),
        ]
        await engine.approvals.approve(asked.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        await refused(engine.tasks.follow_up(run.id, "more", by="mallory"), "concerned")
        assert [rule for _, _, rule in await refusals(engine, run.id)] == [
            "concerned", "assigned_agent", "concerned", "observer", "concerned",
        ]  # fmt: skip
        assert (await engine.store.check()).ok


async def test_an_observer_reads_everything_and_changes_nothing(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Go")
    assert OBSERVER.user == observer("carol")
    with pytest.raises(InvalidInput, match="role"):
        _ = Host(environment={"AURA_USER": "carol", "AURA_ROLE": "king"}).user
    async with opened() as engine:
        who = "observer:carol"
        assert (await engine.tasks.get(task.id)).title == "Go"
        for call in (
            engine.tasks.create("Stop", by=who),
            engine.tasks.delete(task.id, by=who),
            engine.tasks.retry(task.id, by=who),
            engine.tasks.assign(task.id, executor="custom", options={"base_command": "true"}, by=who),
        ):
            with pytest.raises(ActorNotAllowed):
                await call
        assert [one.id for one in (await engine.tasks.list()).rows] == [task.id]
        assert not (await engine.agents.list()).rows


async def test_no_one_acts_as_a_part_of_aura_and_an_observer_as_no_one_else(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Go", approval="plan")
        await engine.tasks.assign(task.id, executor="custom")
        asked = await engine.tasks.submit(task.id, "I go")
        for part in ("system:policy", "system:engine"):
            with pytest.raises(InvalidInput, match="by") as error:
                await engine.approvals.approve(asked.id, by=part)
            assert error.value.field == "by"
    async with opened(host=OBSERVER, user=None) as engine:
        for call in (
            engine.approvals.approve(asked.id, by="alice"),
            engine.tasks.create("Stop", by="alice"),
            engine.tasks.cancel(task.id, by=AGENT),
        ):
            with pytest.raises(ActorNotAllowed) as refusal:
                await call
            assert refusal.value.actor == "observer:carol"
        assert (await engine.approvals.get(asked.id)).status == "pending"


@pytest.mark.deep
async def test_refusals_stay_on_whatever_they_were_about(opened, repository):
    """On agents, runs and worktrees as on tasks: where a decider refuses, and where no decider is asked."""
    async with opened() as engine:
        agent = await engine.agents.add("dev", executor="scripted")
        await refused(engine.agents.disable(agent.id, by=AGENT), "no_agent")
        assert await refusals(engine, agent.id) == [(AGENT, "DisableAgent", "no_agent")]
        run = await engine.run("Go", repositories=[str(repository)], **scripted([write("a", "1")]))
        await settled(engine, run.id)
        workspace = (await engine.tasks.view(run.id)).workspace
        execution = (await engine.tasks.view(run.id)).execution
        await refused(engine._core.bus.handle(AGENT, execution.id, CancelExecution()), "no_agent")
        assert await refusals(engine, execution.id) == [(AGENT, "CancelExecution", "no_agent")]
    async with opened(host=OBSERVER, user=None) as engine:
        await refused(engine.workspaces.snapshot(workspace.id), "observer")
        await refused((await engine.attach(run.id)).kill(), "observer")
        await refused(engine.resume(run.id), "observer")
        assert [rule for _, _, rule in await refusals(engine, run.id)] == ["observer", "observer"]
        found = await refusals(engine, workspace.id)
        assert ("observer:carol", "snapshot", "observer") in found
        assert {by for by, _, _ in found} == {"observer:carol"}
        assert (await engine.store.check()).ok
    async with opened(user="mallory") as engine:
        await refused((await engine.attach(run.id)).kill(), "concerned")
        await refused(engine.workspaces.clean(workspace.id), "concerned")
        found = await refusals(engine, run.id)
        assert [rule for _, _, rule in found] == ["observer", "observer", "concerned", "concerned"]
