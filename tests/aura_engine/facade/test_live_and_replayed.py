"""What a command returns, and the engine remembers, is what the log gives back, whatever types the caller gave."""

from datetime import UTC, datetime

import msgspec
import pytest

from aura_contracts.agent import AGENT, AgentChanges
from aura_contracts.errors import InvalidInput
from aura_contracts.project import PROJECT, ProjectChanges
from aura_contracts.task import TASK, TaskChanges

pytestmark = pytest.mark.anyio


async def assert_replayed(engine, aggregate, live):
    replayed = aggregate.fold(await engine._core.log.facts(live.id))
    assert msgspec.structs.asdict(replayed) == msgspec.structs.asdict(live)
    assert await engine._core.bus.get(aggregate, live.id) == live


async def test_tasks(opened):
    async with opened(record_only=True) as engine:
        context = {"pages": ("/login", ("/a", 1)), "since": datetime(2026, 1, 4, tzinfo=UTC)}
        task = await engine.tasks.create("Fix the login", context=context, labels=["b", "a"])
        await assert_replayed(engine, TASK, task)
        assert task.context["pages"] == ["/login", ["/a", 1]]
        changes = TaskChanges(labels=["c"], priority="high", reviewers=["bob"], context={"more": (1,)})
        task = await engine.tasks.edit(task.id, changes)
        await assert_replayed(engine, TASK, task)
        agent = await engine.agents.add("outside", "custom")
        await engine.tasks.assign(task.id, agent=agent.id)
        other = await engine.tasks.create("Do it", approval="auto")
        await engine.tasks.assign(other.id, agent=(await engine.agents.add("second", "custom")).id)
        await assert_replayed(engine, TASK, await engine.tasks.complete(other.id, {"files": ("a", "b")}))


async def test_agents_and_projects(opened):
    async with opened(record_only=True) as engine:
        agent = await engine.agents.add("outside", "custom", capabilities=["python"])
        await assert_replayed(engine, AGENT, agent)
        await assert_replayed(engine, AGENT, await engine.agents.edit(agent.id, AgentChanges(capabilities=["go"])))
        project = await engine.projects.create("shop", documents=["*.md"])
        changes = ProjectChanges(documents=["docs/*.md"])
        await assert_replayed(engine, PROJECT, await engine.projects.edit(project.id, changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (TaskChanges(priority="urgent"), "urgent"),
        (TaskChanges(labels="bug"), "labels"),
        (TaskChanges(title=7), "title"),
    ],
)
async def test_changes_of_other_types_are_refused_with_their_field(opened, changes, words):
    async with opened(record_only=True) as engine:
        task = await engine.tasks.create("Fix the login")
        with pytest.raises(InvalidInput, match=words):
            await engine.tasks.edit(task.id, changes)
        assert await engine.tasks.get(task.id) == task
