"""What can be asked of read models: filters, sorting by any column, pages that stay stable, refusals that help."""

import base64
import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import task as ta
from aura_contracts import workflow as wf
from aura_contracts.actors import agent, human, system
from aura_contracts.errors import InvalidId, InvalidInput, InvalidText, NaiveDatetime
from aura_contracts.events import Append, Fact
from aura_store import open_log
from aura_store.projections import (
    AgentRow,
    ApprovalRow,
    ExecutionLogRow,
    TaskRow,
    UsageRow,
    WorkflowRow,
    open_read_models,
)
from aura_store.projections.tables import METADATA
from aura_store.testing.projections import an_id, story, tell

NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)
ROW_TYPES = {
    "tasks": TaskRow,
    "agents": AgentRow,
    "approvals": ApprovalRow,
    "workflows": WorkflowRow,
    "execution_logs": ExecutionLogRow,
    "usage": UsageRow,
}

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


async def every_page(listing, **how):
    """All rows of a listing, page by page, and the number of pages."""
    rows, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await listing(cursor=cursor, **how)
        rows += page.rows
        cursor, pages = page.next_cursor, pages + 1
    return rows, pages


def test_rows_have_the_columns_of_their_tables():
    for name, table in METADATA.tables.items():
        assert list(ROW_TYPES[name].__struct_fields__) == [column.name for column in table.c]


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
        page = await models.tasks(**filters, sort="id", descending=False)
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
    assert [row.name for row in (await models.agents(type="tester")).rows] == ["tester"]
    assert [row.name for row in (await models.agents(status="idle")).rows] == ["developer"]
    assert [row.name for row in (await models.agents(capability="tester")).rows] == ["tester"]
    assert len((await models.agents(capability='it"s %')).rows) == 2
    assert (await models.agents(capability="o")).rows == ()
    row = await models.agent(an_id(1))
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
        page = await models.approvals(**filters, sort="id", descending=False)
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
    first, third = await models.approval(an_id(1)), await models.approval(an_id(3))
    assert first.reviewed_by == "alice, bob, carol"
    assert (third.reviewed_by, third.automatic, third.decision) == ("policy", True, ap.ApprovalDecision.APPROVED)
    assert first.votes[0].reviewer == "alice"
    assert (await models.approval(an_id(2))).task_id is None


async def test_workflows_tell_their_progress(log, models):
    step = wf.StepDefinition(id="code", type=wf.StepType.AGENT_TASK, task_template="x")
    other = msgspec.structs.replace(step, id="test", dependencies=("code",))
    await put(
        log,
        an_id(1),
        wf.WorkflowStarted(
            workflow_id=an_id(1), definition=wf.WorkflowDefinition(name="w", steps=(step, other), project="p")
        ),
    )
    await put(log, an_id(1), wf.StepStarted(step_id="code", task_id=an_id(2)), wf.StepCompleted(step_id="code"))
    await models.catch_up()
    (row,) = (await models.workflows(status="active", project="p")).rows
    assert (row.steps_over, row.steps_total, row.current_step_index) == (1, 2, 1)
    assert [each.status for each in row.steps] == [wf.StepStatus.COMPLETED, wf.StepStatus.PENDING]
    assert (await models.workflows(status="paused")).rows == ()


async def test_execution_logs_tell_what_happened(log, models):
    await tell(log, story())
    await models.catch_up()
    page = await models.execution_logs(task=an_id(0), descending=False)
    told = [(row.action, row.success, row.agent_type, row.stage) for row in page.rows]
    assert told == [
        ("execution.queued", True, "codex", "Queued"),
        ("execution.leased", True, "codex", "Queued"),
        ("execution.preparation_started", True, "codex", "PrepareWorkspace"),
        ("execution.progress_reported", True, "codex", "PrepareWorkspace"),
        ("execution.failed", False, "codex", "Failed"),
        ("approval.expired", False, "human", None),
    ]
    (failed, expired) = (await models.execution_logs(success=False, descending=False)).rows
    assert failed.error == "WorkerLost: silent for 15 s"
    assert failed.result["failure"]["reason"] == "WorkerLost"
    assert expired.error
    (installed,) = (await models.execution_logs(action="execution.progress_reported", execution=an_id(2))).rows
    assert installed.result == {"message": "installed", "step": "3 packages", "percent": None}
    assert "prompt" not in page.rows[0].result
    after = (await models.execution_logs(executed_after=failed.executed_at, descending=False)).rows
    assert [row.action for row in after] == ["execution.failed", "approval.expired"]
    assert (await models.execution_logs(executed_before=failed.executed_at, success=False)).rows == ()


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
    page = await models.execution_logs(action="execution.process_exited", descending=False)
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
    assert (await models.task(an_id(0))).status is ta.TaskStatus.DELETED
    assert await models.task(an_id(1)) is None
    assert await models.agent(an_id(0)) is await models.approval(an_id(0)) is await models.workflow(an_id(0)) is None
    with pytest.raises(InvalidId):
        await models.task("x")


async def test_counts_and_short_ids(log, models):
    await put_tasks(log, 3)
    await put(log, an_id(2), ta.TaskCancelled())
    await models.catch_up()
    assert await models.counts("tasks") == {"cancelled": 1, "pending": 2}
    assert await models.counts("agents") == {}
    assert await models.ids("tasks", an_id(2)) == (an_id(2),)
    assert await models.ids("tasks", an_id(2)[:-1].upper()) == (an_id(0), an_id(1), an_id(2))
    assert await models.ids("tasks", "f") == ()
    for wrong in ("nothing", "execution_logs"):
        with pytest.raises(InvalidInput):
            await models.counts(wrong)


# --- Order and pages --------------------------------------------------------------------------------------------------


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
    sortable = [str(c.name) for c in METADATA.tables["tasks"].c if "JSON" not in repr(c.type)]
    assert len(sortable) > 20
    for sort in sortable:
        for descending in (False, True):
            whole = (await models.tasks(sort=sort, descending=descending, limit=1000)).rows
            paged, pages = await every_page(models.tasks, sort=sort, descending=descending, limit=4)
            assert pages == 6
            assert paged == list(whole)
            assert len({row.id for row in whole}) == 23
            values = [getattr(row, sort) for row in whole]
            there = [value for value in values if value is not None]
            assert values[: len(there)] == there, "rows without a value come last"
            if sort == "priority":
                there = [list(ta.Priority).index(value) for value in there]
            if sort != "title":  # which sorts as the database's language does
                assert there == sorted(there, reverse=descending)


async def test_a_full_last_page_has_no_next(log, models):
    await put_tasks(log, 4)
    await models.catch_up()
    first = await models.tasks(limit=2)
    second = await models.tasks(limit=2, cursor=first.next_cursor)
    assert second.next_cursor is None
    assert len(second.rows) == 2


async def test_what_is_inserted_between_pages_moves_nothing(log, models):
    await put_tasks(log, 10)
    await models.catch_up()
    page = await models.tasks(limit=4)
    seen = [row.title for row in page.rows]
    for n in range(20, 25):
        await put(log, an_id(n), ta.TaskCreated(task_id=an_id(n), spec=ta.TaskSpec(title="later")), minutes=n)
        await put(
            log, an_id(10 + n), ta.TaskCreated(task_id=an_id(10 + n), spec=ta.TaskSpec(title="older")), minutes=-n
        )
    await models.catch_up()
    while page.next_cursor:
        page = await models.tasks(limit=4, cursor=page.next_cursor)
        seen += [row.title for row in page.rows]
    assert seen == [f"task {n}" for n in reversed(range(10))] + ["older"] * 5


# --- Refusals ---------------------------------------------------------------------------------------------------------


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
        ("agents", {"type": "wizard"}, "type"),
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
        await getattr(models, listing)(**wrong)
    assert caught.value.field == field
    assert caught.value.reason
    assert caught.value.remedy


async def test_texts_and_times_that_no_database_takes_are_refused(models):
    for wrong in ({"search": "a\0b"}, {"search": "\ud800"}, {"agent": "\0"}, {"project": "\0"}):
        with pytest.raises(InvalidText):
            await models.tasks(**wrong)
    with pytest.raises(InvalidText):
        await models.agents(capability="\0")
    for field in ("created_after", "created_before"):
        with pytest.raises(NaiveDatetime) as caught:
            await models.tasks(**{field: datetime(2026, 1, 1)})  # noqa: DTZ001
        assert caught.value.field == field


async def test_a_cursor_fits_its_own_order_only(log, models):
    await put_tasks(log, 3)
    await models.catch_up()
    cursor = (await models.tasks(limit=1)).next_cursor
    for other in ({"sort": "title"}, {"descending": False}):
        with pytest.raises(InvalidInput, match="sorted by created_at, descending") as caught:
            await models.tasks(limit=1, cursor=cursor, **other)
        assert caught.value.field == "cursor"
    with pytest.raises(InvalidInput, match="from tasks"):
        await models.agents(cursor=cursor)


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
            await models.tasks(cursor=cursor)
        assert caught.value.field == "cursor"
    with pytest.raises(InvalidInput):
        await models.tasks(sort="position", cursor=forged(2**70, sort="position"))
    with pytest.raises(InvalidInput):
        await models.tasks(sort="title", cursor=forged("\0", sort="title"))


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-23))),
    ],
)
async def test_an_instant_that_no_calendar_has_is_refused_by_name(models, instant):
    with pytest.raises(InvalidInput) as caught:
        await models.tasks(created_after=instant)
    assert caught.value.field == "created_after"


@pytest.mark.parametrize("given", ["2026-01-01", 5])
async def test_what_is_no_datetime_is_refused_by_name(models, given):
    with pytest.raises(InvalidInput) as caught:
        await models.tasks(created_before=given)
    assert caught.value.field == "created_before"
