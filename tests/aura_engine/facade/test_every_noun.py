"""A program that uses every noun, on an empty, a busy and a read-only store: what an embedder writes, typed."""

import anyio
import pytest

from aura_contracts.actors import human
from aura_contracts.agent import AgentChanges, AgentSpec, RegisterAgent
from aura_contracts.errors import (
    AggregateNotFound,
    CyclicParent,
    EngineClosed,
    InvalidId,
    InvalidInput,
    RuleViolated,
    StoreReadOnly,
    UnknownExecutor,
)
from aura_contracts.ids import AgentId
from aura_contracts.ports.archive import UsageKey
from aura_contracts.task import AgentType
from aura_contracts.workflow import StepDefinition, WaitStep, WorkflowDefinition
from aura_engine import open_engine
from aura_engine.facade.engine import Engine
from engines import next_question, scripted, write
from repositories import make_repository

pytestmark = pytest.mark.anyio


async def use_every_noun(engine: Engine) -> dict[str, int]:
    """Ask every noun for everything; return how much there was of each."""
    tasks = await engine.tasks.list(limit=10)
    approvals = await engine.approvals.list(pending=True)
    agents = await engine.agents.list(status="idle")
    workspaces = await engine.workspaces.list(removed=False)
    executions = await engine.executions.list(ended=False)
    sessions = await engine.sessions.list()
    events = await engine.events.list(types=["task"], limit=100)
    usage = await engine.usage.costs(by=UsageKey.MODEL)
    world = await engine.history.list()
    checkpoints = await engine.audit.list()
    entries = await engine.logs.list()
    timers = await engine.timers.list()
    workflows = await engine.workflows.list(ended=False)
    definitions = await engine.workflows.definitions(status="active")
    store = await engine.store.get()
    counts = await engine.store.list()
    report = await engine.audit.verify()
    assert report.first_bad is None
    assert report.events == store.events == await engine.events.head() == world.position
    check = await engine.store.check()
    assert check.ok
    for row in tasks.rows:
        assert await engine.tasks.get(row.id) == row
        assert (await engine.history.get(row.id)).state == row
        assert (await engine.usage.get(row.id)).id == row.id
    for approval in approvals.rows:
        assert await engine.approvals.get(approval.id) == approval
    for agent in agents.rows:
        assert await engine.agents.get(agent.id) == agent
    for workspace in workspaces.rows:
        assert await engine.workspaces.get(workspace.id) == workspace
    for execution in executions.rows:
        assert await engine.executions.get(execution.id) == execution
    for workflow in workflows.rows:
        assert await engine.workflows.get(workflow.id[:23]) == workflow
        assert [record.stream_id for record in await engine.workflows.history(workflow.id)][0] == workflow.id
        assert await (await engine.workflows.attach(workflow.id)).state() == workflow
    for definition in definitions.rows:
        assert await engine.workflows.definition(definition.name) == definition
        assert len(await engine.workflows.revisions(definition.id)) == definition.revision
    for session in sessions.rows:
        assert await engine.sessions.get(session.id) == await engine.sessions.get(session.id[:-1]) == session
    return {
        "tasks": len(tasks.rows),
        "approvals": len(approvals.rows),
        "agents": len(agents.rows),
        "workspaces": len(workspaces.rows),
        "executions": len(executions.rows),
        "sessions": len(sessions.rows),
        "events": len(events),
        "usage": len(usage),
        "states": sum(map(len, world.states.values())),
        "checkpoints": len(checkpoints),
        "entries": len(entries.rows),
        "timers": len(timers.rows),
        "workflows": len(workflows.rows),
        "definitions": len(definitions.rows),
        "counts": sum(sum(each.values()) for each in counts.values()),
    }


@pytest.fixture
def opened(tmp_path):
    def open_one(**options):
        return open_engine(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path / "home", user="alice", **options)

    return open_one


async def test_an_empty_store(opened):
    async with opened() as engine:
        assert set((await use_every_noun(engine)).values()) == {0}
        assert (await engine.executors.get("custom")).name == "custom"
        assert {found.kind for found in await engine.doctor.list()} >= {"python", "git", "store"}
        with pytest.raises(AggregateNotFound):
            await engine.tasks.get("0192f0c1-2d3e-7abc-8def-0123456789ab")


async def test_a_store_in_memory(tmp_path):
    async with open_engine("memory:", home=tmp_path, user="alice") as engine:
        assert set((await use_every_noun(engine)).values()) == {0}


async def test_a_busy_store_and_then_a_read_only_one(opened, tmp_path):
    repository = make_repository(tmp_path / "app")
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        waiting = await run.idle()
        assert waiting.status.value == "awaiting_approval"
        found = await use_every_noun(engine)
        assert found["tasks"] == found["approvals"] == found["workspaces"] == found["executions"] == 1
        assert found["events"] > 3
        assert "+more" in await engine.approvals.diff(run.id)
        assert (await engine.workspaces.diff(run.id)).files[0].path == "new.txt"
        await engine.audit.checkpoint()
        await engine.approvals.approve(run.id[-8:], "fine")
        done = await run.result()
        assert done.status.value == "completed"
        assert b"session" in await engine.logs.get(str(done.execution_id))
        await engine.agents.add("Bob", "custom", type="tester")
        hear = StepDefinition(id="hear", config=WaitStep(signal="ready"))
        await engine.workflows.create(WorkflowDefinition(name="hear", steps=(hear,)))
        await engine.workflows.start("hear")
        busy = await use_every_noun(engine)
        assert busy["agents"] == 2
        assert busy["workflows"] == busy["definitions"] == 1
        assert busy["checkpoints"] == 1
        assert (await engine.store.rebuild()).ok
    (tmp_path / "aura.db").chmod(0o400)
    async with opened(read_only=True) as engine:
        assert await use_every_noun(engine) == busy
        with pytest.raises(StoreReadOnly):
            await engine.tasks.create("Something else")
        with pytest.raises(StoreReadOnly):
            await engine.run("Say more", repositories=[str(repository)], executor="scripted")


async def test_an_agent_of_the_pool_is_edited(opened):
    async with opened() as engine:
        agent = await engine.agents.add("Bob", "custom", options={"base_command": "sh"})
        edited = await engine.agents.edit(agent.id[:24], AgentChanges(name="Bo", capabilities=("sql",)), by="carol")
        assert (edited.name, edited.capabilities, edited.options) == ("Bo", ("sql",), {"base_command": "sh"})
        assert await engine.agents.get(agent.id) == edited
        with pytest.raises(InvalidInput):
            await engine.agents.edit(agent.id, AgentChanges(options={"no_such_option": 1}))
        with pytest.raises(UnknownExecutor):
            await engine.agents.edit(agent.id, AgentChanges(executor="nothing"))
        assert await engine.agents.get(agent.id) == edited


async def test_a_task_is_moved_below_another_one_and_back(opened):
    async with opened() as engine:
        whole = await engine.tasks.create("Whole")
        part = await engine.tasks.create("Part")
        moved = await engine.tasks.reparent(part.id, whole.id[-8:])
        assert [task.id for task in await engine.tasks.list(parent=whole.id)] == [part.id] == [moved.id]
        with pytest.raises(CyclicParent):
            await engine.tasks.reparent(whole.id, part.id)
        assert (await engine.tasks.reparent(part.id, None)).parent_id is None


async def test_an_agent_whose_executor_is_gone_is_renamed(opened):
    async with opened() as engine:
        spec = AgentSpec(name="Bob", type=AgentType("developer"), executor="gone")
        agent_id = AgentId("0192f0c1-2d3e-7abc-8def-0123456789ab")
        await engine._core.bus.handle(human("alice"), agent_id, RegisterAgent(agent_id=agent_id, spec=spec))
        edited = await engine.agents.edit(agent_id, AgentChanges(name="Bo", executor="gone"))
        assert (edited.name, edited.executor) == ("Bo", "gone")
        with pytest.raises(UnknownExecutor):
            await engine.agents.edit(agent_id, AgentChanges(variant="plan"))


async def test_edits_at_once_of_executor_and_options_are_checked_together(opened):
    async with opened() as engine:
        agent = await engine.agents.add("Bob", "scripted")
        refused: list[InvalidInput] = []

        async def edit(changes: AgentChanges) -> None:
            try:
                await engine.agents.edit(agent.id, changes)
            except InvalidInput as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(edit, AgentChanges(executor="custom"))
            group.start_soon(edit, AgentChanges(options={"steps": [write("a", "1")]}))
        edited = await engine.agents.get(agent.id)
        assert len(refused) == 1
        assert (edited.executor, edited.options) != ("custom", {"steps": [write("a", "1")]})


async def test_a_deleted_task_is_not_a_parent(opened):
    async with opened() as engine:
        deleted = await engine.tasks.create("Gone")
        part = await engine.tasks.create("Part", parent=deleted.id)
        other = await engine.tasks.create("Other")
        await engine.tasks.delete(deleted.id)
        for attempt in (
            lambda: engine.tasks.create("New", parent=deleted.id),
            lambda: engine.tasks.reparent(other.id, deleted.id),
        ):
            with pytest.raises(RuleViolated, match="is deleted; name another parent, or none") as refusal:
                await attempt()
            assert refusal.value.rule == "deleted_parent"
        assert (await engine.tasks.get(part.id)).status == "deleted"


MISSING = "0192f0c1-2d3e-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    ("find", "remedy"),
    [
        (lambda e: e.tasks.get(MISSING), "`tasks.list()` lists the tasks"),
        (lambda e: e.approvals.get(MISSING), "`approvals.list()` lists the approvals"),
        (lambda e: e.agents.get(MISSING), "`agents.list()` lists the agents"),
        (lambda e: e.executions.get(MISSING), "`executions.list()` lists the executions"),
        (lambda e: e.workspaces.get(MISSING), "`workspaces.list()` lists the workspaces"),
        (lambda e: e.workflows.get(MISSING), "`workflows.list()` lists the workflows"),
        (lambda e: e.workflows.definition("none"), "`workflows.definitions()` lists the workflow definitions"),
        (lambda e: e.sessions.get("none"), "`sessions.list()` lists the sessions"),
        (lambda e: e.events.get(7), "`events.list()` lists the events"),
        (lambda e: e.audit.get(7), "`audit.list()` lists the checkpoints"),
        (lambda e: e.doctor.get("none"), "`doctor.list()` lists the findings"),
        (lambda e: e.history.get(MISSING), "`history.list()` lists everything in the log"),
        (lambda e: e.events.list(stream=MISSING), "`history.list()` lists everything in the log"),
    ],
)
async def test_what_is_missing_says_how_to_list_what_exists(opened, find, remedy):
    async with opened() as engine:
        with pytest.raises(AggregateNotFound) as missing:
            await find(engine)
        assert missing.value.remedy == remedy


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("stream", lambda e: e.events.list(stream="zzz")),
        ("task", lambda e: e.events.list(task="zzz")),
        ("aggregate", lambda e: e.history.get("zzz")),
        ("parent", lambda e: e.tasks.create("New", parent="zzz")),
    ],
)
async def test_a_text_that_is_not_an_id_is_refused_as_its_argument(opened, field, call):
    async with opened() as engine:
        with pytest.raises(InvalidId) as refusal:
            await call(engine)
        assert refusal.value.field == field


async def test_what_is_read_row_by_row_ends_with_the_engine(opened):
    async with opened() as engine:
        for number in range(3):
            await engine.tasks.create(f"Task {number}")
        exported, read = engine.audit.export(), engine.events.read()
        unstarted = engine.audit.export()
        assert (await anext(exported)).record == await anext(read)
    for rows in (exported, read, unstarted):
        with pytest.raises(EngineClosed, match="the engine is closed; open it again"):
            [row async for row in rows]


async def test_cancelling_says_who_withdrew_the_questions_and_why(opened, tmp_path):
    repository = make_repository(tmp_path / "app")
    call = {"ask": {"tool": "Bash", "arguments": {"command": "make"}, "then": []}}
    async with opened() as engine:
        run = await engine.run("Make it", repositories=[str(repository)], reviewers=["carol"], **scripted([call]))
        question = await next_question(engine, run.id)
        await engine.tasks.cancel(run.id, "not this week", by="carol")
        records = await engine.events.list(stream=question.id, types=["approval.withdrawn"])
        (cancelled,) = await engine.events.list(stream=run.id, types=["task.cancelled"])
        assert [record.event.reason for record in records] == ["carol cancelled the task: not this week"]
        assert (records[0].correlation_id, cancelled.actor) == (cancelled.correlation_id, human("carol"))
