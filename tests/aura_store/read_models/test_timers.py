"""The timers of all states: in one table, each with its moment, and gone as soon as nothing waits for it."""

from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import lease as le
from aura_contracts import task as ta
from aura_contracts.actors import human
from aura_contracts.events import Append, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import WorkerIdentity
from aura_contracts.ports.read_models import TimerQuery
from aura_store import open_log, open_read_models
from read_model_story import an_id

NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)
IDENTITY = WorkerIdentity("host", "one")

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


async def put(log, stream_id, *events, minutes=0):
    version = len(await log.facts(stream_id))
    time = NOW + timedelta(minutes=minutes)
    await log.append(Append(stream_id, version, tuple(Fact(e, time, human("alice"), "c", "c") for e in events)))


def minutes_to(row):
    return round((row.due_at - NOW).total_seconds() / 60)


async def timers(models, **filters):
    """What is due, as purpose and minutes from the start."""
    return [(str(row.purpose), minutes_to(row)) for row in (await models.list(TimerQuery(**filters))).rows]


def asked(n, **fields):
    given = {"kind": ap.ApprovalKind.PLAN, "reviewers": ("ann",), "remind_after": 600.0, "escalate_after": 1200.0}
    question = ap.Question(**{**given, "escalate_to": ("eve",), **fields})
    return ap.ApprovalRequested(approval_id=an_id(n), requested_by=human("bob"), question=question)


async def test_timers_of_an_approval_move_and_go_with_it(log, models):
    await put(log, an_id(1), asked(1, deadline=NOW + timedelta(minutes=60), task_id=an_id(50)))
    assert await timers(models) == [("remind", 10), ("escalate", 20), ("expire", 60)]
    await put(log, an_id(1), ap.ReminderSent(number=1, to=("ann",)), minutes=12)
    assert await timers(models) == [("escalate", 20), ("remind", 22), ("expire", 60)]
    await put(log, an_id(1), ap.ApprovalEscalated(to=("eve",)), minutes=20)
    assert await timers(models, due_before=NOW + timedelta(minutes=22, seconds=1)) == [("remind", 22)]
    assert await timers(models, due_after=NOW + timedelta(minutes=23)) == [("expire", 60)]
    assert await timers(models, task=an_id(50), kind="approval", purpose=["expire"]) == [("expire", 60)]
    assert await timers(models, task=an_id(51)) == []
    await put(log, an_id(1), ap.ApprovalGranted(), minutes=21)
    assert await timers(models) == []


async def test_nothing_is_due_that_would_change_nothing(log, models):
    """Nothing after the deadline, no escalation to those who are asked already, no reminder of those who voted."""
    await put(log, an_id(1), asked(1, deadline=NOW + timedelta(minutes=15)))
    assert await timers(models) == [("remind", 10), ("expire", 15)]
    await put(log, an_id(2), asked(2, escalate_to=("ann",), remind_after=None))
    assert await timers(models, stream=an_id(2)) == []


async def test_the_end_of_a_delegation_is_a_reminder(log, models):
    await put(log, an_id(1), asked(1, escalate_after=None))
    away = ap.ApprovalDelegated(delegator="ann", delegate="zoe", until=NOW + timedelta(minutes=5))
    await put(log, an_id(1), away, minutes=1)
    assert await timers(models) == [("remind", 5)]
    await put(log, an_id(1), ap.ReminderSent(number=1, to=("ann",)), minutes=5)
    assert await timers(models) == [("remind", 15)]


async def test_an_offline_worker_is_due_until_it_returns(log, models):
    granted = le.LeaseGranted(
        lease_id=an_id(6), execution_id=an_id(2), worker_id=an_id(7), identity=IDENTITY, epoch=1, grace=120.0
    )
    await put(log, an_id(6), granted)
    assert await timers(models) == []
    await put(log, an_id(6), le.WorkerWentOffline(epoch=1, last_seen=NOW), minutes=1)
    assert await timers(models, kind="lease") == [("lose_worker", 3)]
    await put(log, an_id(6), le.WorkerReturned(epoch=1), minutes=2)
    assert await timers(models) == []


async def test_a_moment_that_no_calendar_has_is_never_due(log, models):
    granted = le.LeaseGranted(
        lease_id=an_id(6), execution_id=an_id(2), worker_id=an_id(7), identity=IDENTITY, epoch=1, grace=1e300
    )
    await put(log, an_id(6), granted, le.WorkerWentOffline(epoch=1, last_seen=NOW))
    assert await timers(models) == []


@pytest.mark.deep
async def test_retries_of_tasks_and_of_stages_end_with_their_beginning(log, models):
    failure = Failure(FailureReason.WORKER_LOST, "silent")
    await put(log, an_id(1), ta.TaskCreated(task_id=an_id(1), spec=ta.TaskSpec(title="x")), ta.TaskQueued())
    await put(log, an_id(1), ta.TaskAssigned(agent_id=an_id(9)), ta.ExecutionStarted(execution_id=an_id(2)))
    assert await timers(models) == []
    again = NOW + timedelta(minutes=3)
    await put(log, an_id(1), ta.AttemptFailed(failure=failure, attempt=1, retry_at=again))
    assert await timers(models, task=an_id(1), kind="task") == [("retry", 3)]
    await put(log, an_id(1), ta.ExecutionStarted(execution_id=an_id(3)))
    assert await timers(models) == []
    spec = ex.ExecutionSpec(task_id=an_id(1), executor="scripted", prompt="x")
    await put(log, an_id(3), ex.ExecutionQueued(execution_id=an_id(3), spec=spec))
    await put(
        log, an_id(3), ex.ExecutionLeased(lease_id=an_id(6), epoch=1, worker_id=an_id(7)), ex.PreparationStarted()
    )
    await put(log, an_id(3), ex.StageRetryScheduled(failure=failure, attempt=1, retry_at=again))
    assert await timers(models, task=an_id(1)) == [("retry", 3)]
    await put(log, an_id(3), ex.ExecutionFailed(failure=failure))
    assert await timers(models) == []
