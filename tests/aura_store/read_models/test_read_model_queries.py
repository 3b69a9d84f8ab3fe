"""What can be asked of read models: filters, sorting by any column, pages that stay stable, refusals that help."""

import base64
import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import lease as le
from aura_contracts import task as ta
from aura_contracts import workflow as wf
from aura_contracts import workspace as ws
from aura_contracts.actors import agent, human, system
from aura_contracts.agent import AGENT
from aura_contracts.approval import APPROVAL
from aura_contracts.errors import InvalidId, InvalidInput, InvalidText, NaiveDatetime
from aura_contracts.events import Append, Fact
from aura_contracts.ports.milestones import MilestoneRow
from aura_contracts.ports.read_models import (
    QUERIES,
    AgentQuery,
    ApprovalQuery,
    DefinitionQuery,
    ExecutionLogQuery,
    ExecutionQuery,
    LeaseQuery,
    ProjectQuery,
    SessionQuery,
    TaskQuery,
    WorkflowQuery,
    WorkspaceQuery,
)
from aura_contracts.ports.rows import ExecutionLogRow, Match, SessionRow, TimerRow, UsageRow
from aura_contracts.project import ProjectCreated, ProjectRemoved, ProjectSpec, project_id
from aura_contracts.task import TASK
from aura_contracts.workflow import WORKFLOW
from aura_contracts.workflow_definition import DefinitionCreated, DefinitionRetired, DefinitionRevised, definition_id
from aura_store import open_log, open_read_models
from aura_store.read_models._schema import TABLES
from read_model_story import an_id, story, tell
from read_models_under_test import tables_of

NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)
BY_TABLE = {query.table: query for query in QUERIES}

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
async def log(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'a.db'}"
    async with open_log(url) as log:
        yield log


@pytest.fixture
async def models(log):
    async with open_read_models(log) as models:
        yield models


async def put(log, stream_id, *events, minutes=0, actor=None):
    version = len(await log.facts(stream_id))
    time = NOW + timedelta(minutes=minutes)
    await log.append(
        Append(stream_id, version, tuple(Fact(e, time, actor or human("alice"), "c", "c") for e in events))
    )


async def put_tasks(log, count, **fields):
    for n in range(count):
        created = ta.TaskCreated(task_id=an_id(n), spec=ta.TaskSpec(title=f"task {n}", **fields))
        await put(log, an_id(n), created, minutes=n)


async def every_page(models, query):
    """All rows of a listing, page by page, and the number of pages."""
    rows, pages = [], 0
    while pages == 0 or query.cursor is not None:
        page = await models.list(query)
        rows += page.rows
        query = msgspec.structs.replace(query, cursor=page.next_cursor)
        pages += 1
    return rows, pages


def test_rows_that_are_no_states_have_the_columns_of_their_tables():
    for name, row in {
        "sessions": SessionRow,
        "execution_logs": ExecutionLogRow,
        "usage": UsageRow,
        "timers": TimerRow,
        "milestones": MilestoneRow,
    }.items():
        assert row.__struct_fields__ == TABLES[name].names


@pytest.mark.deep_but_first
@pytest.mark.parametrize("query", QUERIES)
async def test_everything_that_can_be_listed_can_be_sorted_and_counted(models, query):
    await tell(models.log, story())
    table = TABLES[query.table]
    for column in table.columns:
        if column.kind != "json":
            rows = (await models.list(query(sort=column.name))).rows
            assert len(rows) == len((await models.list(query())).rows)
    if table.column("status") is not None:
        assert sum((await models.counts(query())).values()) == len((await models.list(query())).rows)
    else:
        with pytest.raises(InvalidInput):
            await models.counts(query())


# --- Filters ----------------------------------------------------------------------------------------------------------


async def test_tasks_by_everything_that_they_can_be_filtered_by(log, models):
    await put_tasks(log, 6)
    await put(log, an_id(1), ta.TaskAssigned(agent_id=an_id(50)))
    await put(
        log,
        an_id(2),
        ta.TaskQueued(),
        ta.TaskEdited(changes=ta.TaskChanges(priority=ta.Priority.HIGH, title="Äpfel 100% _x_")),
    )
    await put(log, an_id(3), ta.TaskReparented(parent_id=an_id(2)))
    await put(log, an_id(4), ta.TaskDeleted())
    await put(
        log,
        an_id(9),
        ta.TaskCreated(task_id=an_id(9), spec=ta.TaskSpec(title="x", project="p", description="BUILD it")),
        minutes=9,
    )
    await models.catch_up()

    async def numbers(**filters):
        page = await models.list(TaskQuery(**filters, sort="id", descending=False))
        return [int(row.id[-2:], 16) for row in page.rows]

    assert await numbers() == [0, 1, 2, 3, 5, 9], "what was deleted is not listed"
    assert await numbers(status="deleted") == [4]
    assert await numbers(status=[ta.TaskStatus.DELETED, "in_progress"]) == [1, 4]
    assert await numbers(status=[]) == []
    assert await numbers(agent=an_id(50)) == [1]
    assert await numbers(priority="high") == [2]
    assert await numbers(priority=["high", "low"]) == [2]
    assert await numbers(parent=an_id(2)) == [3]
    assert await numbers(parent=an_id(2).upper()) == [3]
    assert await numbers(project="p") == [9]
    assert await numbers(queued=True) == [2]
    assert await numbers(search="100%") == [2]
    assert await numbers(search="_X_") == [2], "no wildcard, and the case does not matter"
    assert await numbers(search="%") == [2]
    assert await numbers(search="build") == [9]
    assert await numbers(search="task", queued=False) == [0, 1, 3, 5]
    two = NOW + timedelta(minutes=2)
    assert await numbers(created_after=two) == [2, 3, 5, 9]
    assert await numbers(created_before=two) == [0, 1]
    east = timezone(timedelta(hours=9))
    assert await numbers(created_after=two.astimezone(east), created_before=NOW + timedelta(minutes=3)) == [2]
    assert await numbers(search="'; DROP TABLE tasks; --") == []


async def test_agents_by_status_type_and_capability(log, models):
    for n, kind in enumerate(("developer", "tester")):
        event = ag.AgentRegistered(
            agent_id=an_id(n),
            spec=ag.AgentSpec(name=kind, type=kind, executor="x", capabilities=(kind, 'it"s %', "go")),
        )
        await put(log, an_id(n), event)
    await put(log, an_id(1), ag.AgentDisabled(reason="broken"))
    await models.catch_up()
    assert [row.name for row in (await models.list(AgentQuery(type="tester"))).rows] == ["tester"]
    assert [row.name for row in (await models.list(AgentQuery(status="idle"))).rows] == ["developer"]
    assert [row.name for row in (await models.list(AgentQuery(capability="tester"))).rows] == ["tester"]
    assert len((await models.list(AgentQuery(capability='it"s %'))).rows) == 2
    assert (await models.list(AgentQuery(capability="o"))).rows == ()
    row = await models.get(AGENT, an_id(1))
    assert (row.disabled_reason, row.status) == ("broken", ag.AgentStatus.DISABLED)


async def test_approvals_as_an_inbox(log, models):
    def request(n, **fields):
        question = ap.Question(**{"kind": ap.ApprovalKind.PLAN, "reviewers": ("alice", "bob"), **fields})
        return ap.ApprovalRequested(approval_id=an_id(n), requested_by=agent(an_id(70)), question=question)

    await put(log, an_id(1), request(1, task_id=an_id(40), quorum=2))
    vote = ap.VoteCast(ballot=ap.Ballot(reviewer="alice", seat="alice", decision=ap.ApprovalDecision.APPROVED))
    await put(log, an_id(1), vote, ap.ApprovalDelegated(delegator="bob", delegate="carol"))
    await put(log, an_id(2), request(2, reviewers=("dora",), workflow_id=an_id(60)))
    await put(log, an_id(3), request(3), ap.ApprovalGranted(), actor=system("policy"))
    await put(log, an_id(4), request(4), ap.ApprovalWithdrawn())
    await models.catch_up()

    async def numbers(**filters):
        page = await models.list(ApprovalQuery(**filters, sort="id", descending=False))
        return [int(row.id[-1]) for row in page.rows]

    assert await numbers(pending=True) == [1, 2]
    assert await numbers(pending=False) == [3, 4]
    assert await numbers(decision="approved") == [3]
    assert await numbers(status=["withdrawn"]) == [4]
    assert await numbers(task=an_id(40)) == [1]
    assert await numbers(kind="plan", pending=True) == [1, 2]
    assert await numbers(reviewer="carol") == [1]
    assert await numbers(reviewer="alice") == [1, 3, 4]
    assert await numbers(awaiting="alice") == [], "she has answered"
    assert await numbers(awaiting="carol") == await numbers(awaiting="bob") == [1]
    assert await numbers(awaiting="dora") == [2]
    rows = {row["id"]: row for row in (await tables_of(models))["approvals"]}
    assert rows[an_id(1)]["reviewed_by"] == "alice, bob, carol"
    assert (rows[an_id(3)]["reviewed_by"], rows[an_id(3)]["automatic"]) == ("policy", True)
    assert (await models.get(APPROVAL, an_id(1))).votes[0].reviewer == "alice"
    assert (await models.get(APPROVAL, an_id(2))).task_id is None


async def test_projects_by_name_and_repository_without_removed_ones(log, models):
    for number, (name, paths) in enumerate([("shop", ("/a", "/b")), ("web", ("/b",)), ("old", ("/a",))]):
        spec = ProjectSpec(name=name, repositories=paths, documents=("docs/*.md",))
        await put(log, project_id(name), ProjectCreated(project_id=project_id(name), spec=spec), minutes=number)
    await put(log, project_id("old"), ProjectRemoved())
    await models.catch_up()

    async def names(**filters):
        return [row.name for row in (await models.list(ProjectQuery(descending=False, **filters))).rows]

    assert await names() == ["shop", "web"]
    assert await names(status="removed") == ["old"]
    assert await names(name=["web", "old"]) == ["web"]
    assert await names(repository="/a") == ["shop"]
    assert await names(repository=["/a", "/b"]) == ["shop", "web"]
    assert await names(repository="/") == []


async def test_workflows_tell_their_progress(log, models):
    code = wf.StepDefinition(id="code", config=wf.AgentTaskStep(task_template="x"))
    ask = wf.StepDefinition(id="ask", config=wf.ApprovalStep(question="?"), dependencies=("code",))
    definition = wf.WorkflowDefinition(name="w", description="Of two steps.", steps=(code, ask), project="p")
    started = wf.WorkflowStarted(workflow_id=an_id(1), definition=definition, revision="w@3")
    await put(log, an_id(1), started)
    await put(log, an_id(1), wf.StepStarted(step_id="code", task_id=an_id(2)), wf.StepCompleted(step_id="code"))
    inner = wf.WorkflowDefinition(name="inner", steps=(code,))
    parent = wf.ParentStep(an_id(1), "each[0]/call")
    await put(log, an_id(3), wf.WorkflowStarted(workflow_id=an_id(3), definition=inner, parent=parent), minutes=1)
    await models.catch_up()

    async def names(**filters):
        return [row.name for row in (await models.list(WorkflowQuery(descending=False, **filters))).rows]

    assert await names() == ["w", "inner"]
    assert await names(status="active", project="p") == await names(name="w") == await names(nested=False) == ["w"]
    assert await names(definition=["w@2", "w@3"]) == await names(search="two") == ["w"]
    assert await names(parent=an_id(1)) == await names(nested=True) == ["inner"]
    assert await names(waits=True) == await names(status="paused") == await names(ended=True) == []
    (row, _) = (await tables_of(models))["workflows"]
    assert (row["steps_over"], row["steps_total"], row["current_step_index"], row["awaiting"]) == (1, 2, 1, [])
    assert (row["definition"], row["description"], row["parent_workflow_id"]) == ("w@3", "Of two steps.", None)
    assert [(each["id"], each["type"], each["status"]) for each in row["steps"]] == [
        ("code", "agent_task", "completed"),
        ("ask", "human_approval", "pending"),
    ]
    asked = wf.StepAwaitingApproval(step_id="ask", approval_id=an_id(4))
    await put(log, an_id(1), wf.StepStarted(step_id="ask", approval_id=an_id(4)), asked)
    await models.catch_up()
    assert await names(waits=True) == ["w"]
    assert (await tables_of(models))["workflows"][0]["awaiting"] == ["ask"]
    await put(log, an_id(1), wf.StepCompleted(step_id="ask"), wf.WorkflowCompleted())
    await models.catch_up()
    assert await names(ended=True) == await names(status="completed") == ["w"]
    assert await names(ended=False) == ["inner"]
    assert await models.counts(WorkflowQuery()) == {"active": 1, "completed": 1}


async def test_definitions_by_name_and_by_what_they_use(log, models):
    def uses(*names):
        return tuple(
            wf.StepDefinition(id=f"s{n}", config=wf.SubWorkflowStep(workflow=name)) for n, name in enumerate(names)
        )

    for number, (name, steps) in enumerate([("ship", ("build@1", "test")), ("build", ("lint",)), ("old", ("lint",))]):
        saved = wf.WorkflowDefinition(name=name, description=f"To {name}.", steps=uses(*steps))
        event = DefinitionCreated(workflow_definition_id=definition_id(name), definition=saved)
        await put(log, definition_id(name), event, minutes=number)
    again = wf.WorkflowDefinition(name="ship", project="shop", steps=uses("build@2"))
    await put(log, definition_id("ship"), DefinitionRevised(revision=2, definition=again))
    await put(log, definition_id("old"), DefinitionRetired(reason="replaced"))
    await models.catch_up()

    async def names(**filters):
        page = await models.list(DefinitionQuery(descending=False, **filters))
        return [(row.name, row.revision) for row in page.rows]

    assert await names() == [("ship", 2), ("build", 1), ("old", 1)]
    assert await names(status="active", uses="lint") == [("build", 1)]
    assert await names(uses="test") == [], "only the newest revision counts"
    assert await names(uses=["build", "test"]) == await names(project="shop") == [("ship", 2)]
    assert await names(search="TO BUI") == await names(name="build") == [("build", 1)]
    (found,) = await models.find("workflow_definition", definition_id("build")[:9])
    assert found.id == definition_id("build")
    assert await models.counts(DefinitionQuery()) == {"active": 2, "retired": 1}


async def test_execution_logs_tell_what_happened(log, models):
    await tell(log, story())
    await models.catch_up()
    page = await models.list(ExecutionLogQuery(task=an_id(0), descending=False))
    told = [(row.action, row.success, row.agent_type, row.stage) for row in page.rows]
    assert told == [
        ("execution.queued", True, "codex", "Queued"),
        ("execution.leased", True, "codex", "Queued"),
        ("execution.preparation_started", True, "codex", "PrepareWorkspace"),
        ("execution.progress_reported", True, "codex", "PrepareWorkspace"),
        ("execution.failed", False, "codex", "Failed"),
        ("approval.expired", False, "human", None),
    ]
    (failed, expired) = (await models.list(ExecutionLogQuery(success=False, descending=False))).rows
    assert failed.error == "WorkerLost: silent for 15 s"
    assert failed.result["failure"]["reason"] == "WorkerLost"
    assert expired.error
    (installed,) = (await models.list(ExecutionLogQuery(action="execution.progress_reported", execution=an_id(2)))).rows
    assert installed.result == {"message": "installed", "step": "3 packages", "percent": None}
    assert "prompt" not in page.rows[0].result
    after = (await models.list(ExecutionLogQuery(executed_after=failed.executed_at, descending=False))).rows
    assert [row.action for row in after] == ["execution.failed", "approval.expired"]
    assert (await models.list(ExecutionLogQuery(executed_before=failed.executed_at, success=False))).rows == ()


async def test_exits_of_processes_say_how(log, models):
    queued = ex.ExecutionQueued(
        execution_id=an_id(1), spec=ex.ExecutionSpec(task_id=an_id(2), executor="x", prompt="p")
    )
    exits = [
        ex.ProcessExited(exit=ex.Exit(token="t", exit_code=code, signal=signal))
        for code, signal in ((0, None), (3, None), (None, 9), (None, None))
    ]
    await put(log, an_id(1), queued, ex.PreparationStarted(), *exits)
    await models.catch_up()
    page = await models.list(ExecutionLogQuery(action="execution.process_exited", descending=False))
    assert [(row.success, row.error) for row in page.rows] == [
        (True, None),
        (False, "exit code 3"),
        (False, "ended by signal 9"),
        (False, "vanished"),
    ]


async def test_one_row_by_id(log, models):
    await put_tasks(log, 1)
    await put(log, an_id(0), ta.TaskDeleted())
    await models.catch_up()
    assert (await models.get(TASK, an_id(0))).status is ta.TaskStatus.DELETED
    assert await models.get(TASK, an_id(1)) is None
    assert (
        await models.get(AGENT, an_id(0))
        is await models.get(APPROVAL, an_id(0))
        is await models.get(WORKFLOW, an_id(0))
        is None
    )
    with pytest.raises(InvalidId):
        await models.get(TASK, "x")


async def test_counts_of_what_fits(log, models):
    await put_tasks(log, 3)
    await put(log, an_id(2), ta.TaskCancelled())
    await put(log, an_id(4), ta.TaskCreated(task_id=an_id(4), spec=ta.TaskSpec(title="x", project="p")))
    assert await models.counts(TaskQuery()) == {"cancelled": 1, "pending": 3}
    assert await models.counts(TaskQuery(project="p", limit=1)) == {"pending": 1}
    assert await models.counts(AgentQuery()) == {}


async def test_an_id_by_its_beginning_or_its_end(log, models):
    first, second = "0192f0c1-2d3e-7abc-8def-aaaa00000001", "0192f0c1-2d3e-7abc-9def-bbbb00000002"
    for task_id in (first, second):
        await put(log, task_id, ta.TaskCreated(task_id=task_id, spec=ta.TaskSpec(title="t")))
    await put(
        log, an_id(3), ag.AgentRegistered(agent_id=an_id(3), spec=ag.AgentSpec(name="a", type="tester", executor="x"))
    )

    async def found(kind, text):
        return [match.id for match in await models.find(kind, text)]

    for text in (
        first,
        first.upper(),
        first.replace("-", ""),
        "0192f0c12d3e7abc8",
        "0192f0c1-2d3e-7abc-8d",
        "0001",
        "a1"[1],
    ):
        assert await found("task", text) == [first], text
    assert await found("task", "aaaa00000001") == await found("task", "8def-aaaa00000001") == [first]
    assert await found("task", "abc8defaaaa00000001") == [first]
    assert await found("task", "0192f0c1") == [first, second], "ambiguous"
    assert await models.find("task", "0192f0c1", limit=1) == (Match("task", first),)
    assert await found("task", "f") == await found("agent", first) == []
    assert await models.find("", an_id(3)[-2:]) == (Match("agent", an_id(3)),)
    for wrong in ("", "x", "0192_", "%", "0" * 33):
        with pytest.raises(InvalidId):
            await models.find("task", wrong)
    with pytest.raises(InvalidInput):
        await models.find("wizard", "0")


async def test_an_approval_by_the_id_of_its_task(log, models):
    task = "0192f0c1-2d3e-7abc-8def-aaaa00000001"
    await put(log, task, ta.TaskCreated(task_id=task, spec=ta.TaskSpec(title="t")))
    for n in (5, 6, 7):
        asked = ap.ApprovalRequested(
            approval_id=an_id(n),
            requested_by=human("a"),
            question=ap.Question(kind=ap.ApprovalKind.PLAN, reviewers=("a",), task_id=task),
        )
        await put(log, an_id(n), asked, minutes=n)
        if n < 7:
            await put(log, an_id(n), ap.ApprovalWithdrawn())
    assert await models.find("approval", an_id(5)[-3:]) == (Match("approval", an_id(5)),)
    assert await models.find("approval", "aaaa00000001") == (Match("approval", an_id(7)),), "the pending one"
    await put(log, an_id(7), ap.ApprovalGranted())
    assert await models.find("approval", task) == (Match("approval", an_id(7)),), "the last one"


async def queued(log, n, task, *events, minutes=0, **fields):
    event = ex.ExecutionQueued(
        execution_id=an_id(n), spec=ex.ExecutionSpec(task_id=task, **{"executor": "claude", "prompt": "p"} | fields)
    )
    await put(log, an_id(n), event, *events, minutes=minutes)


CODING = (
    ex.ExecutionLeased(lease_id=an_id(90), epoch=1, worker_id=an_id(91)),
    ex.PreparationStarted(),
    ex.PreparationFinished(workspace_id=an_id(60)),
    ex.SetupFinished(),
)


async def test_sessions_are_listed_once_with_their_newest_run(log, models):
    await put(
        log,
        an_id(60),
        ws.WorkspaceRequested(
            workspace_id=an_id(60),
            layout=ws.WorkspaceLayout(
                task_id=an_id(1), title="t", slug="t", branch="b", repositories=(), root="/w/app"
            ),
        ),
    )
    await queued(log, 10, an_id(1), *CODING, ex.SessionRecorded(session_id="s-1"))
    await queued(log, 11, an_id(1), workspace_id=an_id(60), session_id="s-1", minutes=1)
    await queued(log, 12, an_id(2), executor="codex", session_id="s-1", minutes=2)
    await queued(log, 13, an_id(3), minutes=3)
    await queued(log, 14, an_id(3), *CODING, ex.SessionRecorded(session_id="t-2"), minutes=4)

    async def sessions(**filters):
        return [row.execution_id for row in (await models.list(SessionQuery(**filters))).rows]

    assert await sessions() == [an_id(14), an_id(12), an_id(11)]
    assert await sessions(executor="claude", id="s-1") == [an_id(11)]
    assert await sessions(task=an_id(2)) == [an_id(12)]
    assert await sessions(folder="/w") == await sessions(folder="/w/app/") == [an_id(14), an_id(11)]
    assert await sessions(folder="/w/ap") == []
    (row,) = (await models.list(SessionQuery(id="s-1", executor="claude"))).rows
    assert (row.id, row.directory, row.status, row.prompt) == ("s-1", "/w/app", ex.ExecutionStatus.QUEUED, "p")
    assert [match.id for match in await models.find("session", "s")] == ["s-1"]
    assert [match.id for match in await models.find("session", "-2")] == ["t-2"]

    async def runs(**filters):
        page = await models.list(ExecutionQuery(**filters, descending=False))
        return [row.id for row in page.rows]

    assert await runs(session="s-1") == [an_id(10), an_id(11), an_id(12)]
    assert await runs(session={"s-1", "t-2"}, executor="claude") == [an_id(10), an_id(11), an_id(14)]
    assert await runs(session=[]) == []
    assert await runs(status="Queued", task=an_id(3)) == [an_id(13)]
    assert (
        await runs(worker=an_id(91))
        == await runs(workspace=an_id(60), status="CodingInitial")
        == [an_id(10), an_id(14)]
    )
    assert await runs(ended=True) == []


async def test_what_has_something_left_to_do(log, models):
    """As the drivers of an engine that starts look for it."""
    await put_tasks(log, 6)
    for n in range(5):
        await put(log, an_id(n), ta.TaskAssigned(agent_id=an_id(50)), ta.ExecutionStarted(execution_id=an_id(20 + n)))
        granted = le.LeaseGranted(
            lease_id=an_id(30 + n),
            execution_id=an_id(20 + n),
            worker_id=an_id(91),
            identity=le.WorkerIdentity(host="h", instance="i"),
            epoch=1,
            grace=1.0,
        )
        await put(log, an_id(30 + n), granted)
        requested = ws.WorkspaceRequested(
            workspace_id=an_id(40 + n),
            layout=ws.WorkspaceLayout(
                task_id=an_id(n),
                title="t",
                slug="t",
                branch="b",
                repositories=(ws.Repository("app", f"/home/{n}/app", "main"),),
            ),
        )
        await put(log, an_id(40 + n), requested)
    closed = (le.LeaseReleased(epoch=1), le.LeaseClosed())
    await put(log, an_id(1), ta.TaskCancelled())
    for n in (2, 3, 4):
        await put(log, an_id(30 + n), *closed)
    await put(log, an_id(2), ta.TaskCancelled())
    for n in (3, 4):
        asked = ta.ProposalSubmitted(approval_id=an_id(80), proposal="p")
        await put(log, an_id(n), asked, ta.TaskApproved(approval_id=an_id(80)), ta.TaskCompleted())
    await put(log, an_id(44), ws.WorkspaceRemoved())

    async def tasks(**filters):
        return [int(row.id[-2:], 16) for row in (await models.list(TaskQuery(**filters, descending=False))).rows]

    assert await tasks(unfinished=True) == [0, 1, 3], "works, still leased, worktrees remain"
    assert await tasks(unfinished=False) == [2, 4, 5]
    assert await tasks(folder="/home/3") == await tasks(folder="/home/3/app") == [3]
    assert await tasks(folder="/") == [0, 1, 2, 3, 4]
    there = await models.list(WorkspaceQuery(task=[an_id(0), an_id(4)], removed=False))
    assert [row.id for row in there.rows] == [an_id(40)]
    held = await models.list(LeaseQuery(status="held", worker=an_id(91), execution=[an_id(20), an_id(22)]))
    assert [row.id for row in held.rows] == [an_id(30)]
    with pytest.raises(InvalidInput):
        await tasks(folder="home")


async def test_approvals_that_are_due(log, models):
    for n, deadline in ((1, 5), (2, 50), (3, None)):
        asked = ap.ApprovalRequested(
            approval_id=an_id(n),
            requested_by=human("a"),
            question=ap.Question(
                kind=ap.ApprovalKind.PLAN,
                reviewers=("a",),
                deadline=None if deadline is None else NOW + timedelta(minutes=deadline),
                remind_after=None,
                escalate_after=None,
            ),
        )
        await put(log, an_id(n), asked)
    due = await models.list(ApprovalQuery(due_before=NOW + timedelta(minutes=6)))
    assert [row.id for row in due.rows] == [an_id(1)]


async def test_rows_come_page_by_page_to_the_end(log, models):
    await put_tasks(log, 7)
    rows = [row.title async for row in models.rows(TaskQuery(limit=3, descending=False))]
    assert rows == [f"task {n}" for n in range(7)]


# --- Order and pages --------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
async def test_any_column_sorts_both_ways_and_pages_hold_every_row_once(log, models):
    rng = random.Random(5)
    for n in range(23):
        priority = rng.choice(list(ta.Priority))
        await put(
            log,
            an_id(n),
            ta.TaskCreated(task_id=an_id(n), spec=ta.TaskSpec(title=rng.choice("abÄ"), priority=priority)),
            minutes=n // 5,
        )
        if n % 3:
            await put(log, an_id(n), ta.TaskAssigned(agent_id=an_id(50 + n % 2)), minutes=rng.randrange(9))
            await put(log, an_id(n), ta.ProposalSubmitted(approval_id=an_id(90), proposal="p", confidence=n % 2 / 3))
    await models.catch_up()
    sortable = [column.name for column in TABLES["tasks"].columns if column.kind != "json"]
    assert len(sortable) > 20
    for sort in sortable:
        for descending in (False, True):
            whole = (await models.list(TaskQuery(sort=sort, descending=descending, limit=1000))).rows
            paged, pages = await every_page(models, TaskQuery(sort=sort, descending=descending, limit=4))
            assert pages == 6
            assert paged == list(whole)
            assert len({row.id for row in whole}) == 23
            stored = {row["id"]: row for row in (await tables_of(models))["tasks"]}
            values = [stored[row.id][sort] for row in whole]
            there = [value for value in values if value is not None]
            assert values[: len(there)] == there, "rows without a value come last"
            if sort == "priority":
                there = [list(ta.Priority).index(value) for value in there]
            if sort != "title":  # which sorts as the database's language does
                assert there == sorted(there, reverse=descending)


async def test_a_full_last_page_has_no_next(log, models):
    await put_tasks(log, 4)
    await models.catch_up()
    first = await models.list(TaskQuery(limit=2))
    second = await models.list(TaskQuery(limit=2, cursor=first.next_cursor))
    assert second.next_cursor is None
    assert len(second.rows) == 2


async def test_what_is_inserted_between_pages_moves_nothing(log, models):
    await put_tasks(log, 10)
    await models.catch_up()
    page = await models.list(TaskQuery(limit=4))
    seen = [row.title for row in page.rows]
    for n in range(20, 25):
        await put(log, an_id(n), ta.TaskCreated(task_id=an_id(n), spec=ta.TaskSpec(title="later")), minutes=n)
        await put(
            log, an_id(10 + n), ta.TaskCreated(task_id=an_id(10 + n), spec=ta.TaskSpec(title="older")), minutes=-n
        )
    await models.catch_up()
    while page.next_cursor:
        page = await models.list(TaskQuery(limit=4, cursor=page.next_cursor))
        seen += [row.title for row in page.rows]
    assert seen == [f"task {n}" for n in reversed(range(10))] + ["older"] * 5


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("listing", "wrong", "field"),
    [
        ("tasks", {"status": "done"}, "status"),
        ("tasks", {"status": ["pending", "done"]}, "status"),
        ("tasks", {"priority": "urgent"}, "priority"),
        ("tasks", {"parent": "7"}, "parent"),
        ("tasks", {"sort": "nothing"}, "sort"),
        ("tasks", {"sort": "metadata"}, "sort"),
        ("tasks", {"sort": "id; DROP TABLE tasks"}, "sort"),
        ("tasks", {"limit": 0}, "limit"),
        ("tasks", {"limit": 1001}, "limit"),
        ("tasks", {"limit": True}, "limit"),
        ("tasks", {"cursor": "!"}, "cursor"),
        ("tasks", {"cursor": ""}, "cursor"),
        ("tasks", {"cursor": "ä"}, "cursor"),
        ("tasks", {"queued": 1}, "queued"),
        ("agents", {"status": 3}, "status"),
        ("approvals", {"decision": "pending"}, "decision"),
        ("workflows", {"status": "done"}, "status"),
        ("execution_logs", {"task": ""}, "task"),
    ],
)
async def test_what_means_nothing_is_refused_with_field_and_remedy(models, listing, wrong, field):
    with pytest.raises(InvalidInput) as caught:
        if isinstance(wrong.get("status"), int):
            wrong = {"status": [wrong["status"]]}
        await models.list(BY_TABLE[listing](**wrong))
    assert caught.value.field == field
    assert caught.value.reason
    assert caught.value.remedy


async def test_texts_and_times_that_no_database_takes_are_refused(models):
    for wrong in ({"search": "a\0b"}, {"search": "\ud800"}, {"project": "\0"}):
        with pytest.raises(InvalidText):
            await models.list(TaskQuery(**wrong))
    with pytest.raises(InvalidText):
        await models.list(AgentQuery(capability="\0"))
    for field in ("created_after", "created_before"):
        with pytest.raises(NaiveDatetime) as caught:
            await models.list(TaskQuery(**{field: datetime(2026, 1, 1)}))  # noqa: DTZ001
        assert caught.value.field == field


async def test_a_cursor_fits_its_own_order_only(log, models):
    await put_tasks(log, 3)
    await models.catch_up()
    cursor = (await models.list(TaskQuery(limit=1))).next_cursor
    for other in ({"sort": "title"}, {"descending": False}):
        with pytest.raises(InvalidInput, match="sorted by created_at, descending") as caught:
            await models.list(TaskQuery(limit=1, cursor=cursor, **other))
        assert caught.value.field == "cursor"
    with pytest.raises(InvalidInput, match="from tasks"):
        await models.list(AgentQuery(cursor=cursor))


async def test_a_forged_cursor_is_refused(log, models):
    await put_tasks(log, 3)
    await models.catch_up()

    def forged(value, row_id="x", sort="created_at"):
        return base64.urlsafe_b64encode(msgspec.json.encode(["tasks", sort, True, value, row_id])).decode()

    for cursor in (
        forged(7),
        forged("no time"),
        forged("2026-01-01T00:00:00"),
        forged([1]),
        forged("2026-01-01T00:00:00Z", row_id="a\0"),
        base64.urlsafe_b64encode(b"[]").decode(),
    ):
        with pytest.raises(InvalidInput) as caught:
            await models.list(TaskQuery(cursor=cursor))
        assert caught.value.field == "cursor"
    with pytest.raises(InvalidInput):
        await models.list(TaskQuery(sort="position", cursor=forged(2**70, sort="position")))
    with pytest.raises(InvalidInput):
        await models.list(TaskQuery(sort="title", cursor=forged("\0", sort="title")))


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-23))),
    ],
)
async def test_an_instant_that_no_calendar_has_is_refused_by_name(models, instant):
    with pytest.raises(InvalidInput) as caught:
        await models.list(TaskQuery(created_after=instant))
    assert caught.value.field == "created_after"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("given", ["2026-01-01", 5])
async def test_what_is_no_datetime_is_refused_by_name(models, given):
    with pytest.raises(InvalidInput) as caught:
        await models.list(TaskQuery(created_before=given))
    assert caught.value.field == "created_before"
