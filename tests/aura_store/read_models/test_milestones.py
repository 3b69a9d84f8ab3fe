"""Milestones: which events count for agents' records and metrics, for whom, and how they are added up."""

from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import task as ta
from aura_contracts.actors import human
from aura_contracts.errors import InvalidId, NaiveDatetime
from aura_contracts.events import Append, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.milestones import Milestone
from aura_contracts.ports.read_models import MilestoneQuery
from aura_store import open_log, open_read_models
from read_model_story import an_id

NOW = datetime(2026, 1, 4, 23, tzinfo=UTC)
ADA, BOB = an_id(1), an_id(2)
ALICE = human("alice")

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
async def models(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'a.db'}"
    async with open_log(url) as log, open_read_models(log) as models:
        yield models


async def put(models, stream_id, *events, hours=0.0, actor=ALICE):
    version = len(await models.log.facts(stream_id))
    facts = tuple(Fact(event, NOW + timedelta(hours=hours), actor, "c", "c") for event in events)
    await models.log.append(Append(stream_id, version, facts))


async def put_task(models, number, *events, hours=0.0, **spec):
    created = ta.TaskCreated(task_id=an_id(number), spec=ta.TaskSpec(title="t", **spec))
    await put(models, an_id(number), created, *events, hours=hours)


async def put_verdict(models, number, answer, *, actor=ALICE, agent=ADA, confidence=None, hours=1.0, **evidence):
    known = ap.Evidence(agent="ada", agent_id=agent, executor="x", task_type="developer", **evidence)
    question = ap.Question(
        kind=ap.ApprovalKind.CHANGES, reviewers=("alice",), evidence=known, confidence=confidence, task_id=an_id(99)
    )
    asked = ap.ApprovalRequested(approval_id=an_id(number), requested_by=ALICE, question=question)
    await put(models, an_id(number), asked)
    await put(models, an_id(number), answer, hours=hours, actor=actor)


def given_to(agent):
    return ta.TaskAssigned(agent_id=agent, agent_type=ta.AgentType("developer"))


@pytest.mark.deep_but_first
async def test_equal_verdicts_of_humans_are_counted_and_those_of_policies_are_not(models):
    await put_verdict(models, 10, ap.ApprovalGranted(), confidence=0.5)
    await put_verdict(models, 11, ap.ApprovalGranted(), confidence=0.5)
    await put_verdict(models, 12, ap.ApprovalChangesRequested(feedback="no"), model="m")
    await put_verdict(models, 13, ap.ApprovalGranted(), actor=ap.POLICY)
    await put_verdict(models, 14, ap.ApprovalExpired())
    await put_verdict(models, 15, ap.ApprovalWithdrawn())
    counted, upto = await models.verdicts()
    found = {(one.verdict, one.model, one.confidence): one.count for one in counted}
    assert found == {(Milestone.APPROVED, None, 0.5): 2, (Milestone.NEEDS_CHANGES, "m", None): 1}
    assert {(one.agent_id, one.executor, one.agent_type, one.kind) for one in counted} == {
        (ADA, "x", "developer", "changes")
    }
    assert upto == await models.log.head()
    await put_verdict(models, 16, ap.ApprovalRejected(feedback="no"))
    (new,), upto = await models.verdicts(since=upto)
    assert (new.verdict, new.count) == (Milestone.REJECTED, 1)
    assert await models.verdicts(since=upto) == ((), upto)


async def test_what_came_back_counts_for_the_agent_that_completed_it(models):
    await put_task(models, 20, given_to(ADA), ta.TaskCompleted(), ta.TaskReopened(feedback="more"))
    await put(models, an_id(20), ta.TaskCompleted())
    await put_task(models, 21, fixes=an_id(20))  # repairs the work of ada, whoever does it
    await put(models, an_id(21), given_to(BOB), ta.TaskFailed(failure=Failure(FailureReason.TIMEOUT)))
    await put_task(models, 22, given_to(BOB), ta.TaskCompleted(), reverts=an_id(20))
    await put_task(models, 23, fixes=an_id(24))  # of a task that never was completed
    await put_task(models, 25, given_to(BOB), ta.TaskCancelled())
    await put_task(models, 26, given_to(BOB), reverts=an_id(20))  # not undone yet
    assert await models.milestones_of(ADA) == {
        Milestone.COMPLETED: 2,
        Milestone.REOPENED: 1,
        Milestone.REPAIRED: 1,
        Milestone.REVERTED: 1,
    }
    assert await models.milestones_of(BOB) == {Milestone.COMPLETED: 1, Milestone.FAILED: 1, Milestone.CANCELLED: 1}
    assert await models.milestones_of(an_id(3)) == {}
    with pytest.raises(InvalidId):
        await models.milestones_of("ada")


@pytest.mark.deep
async def test_milestones_are_counted_by_utc_day_within_a_half_open_time(models):
    await put_task(models, 30)
    await put_task(models, 31, hours=0.5)
    await put_task(models, 32, hours=1)
    await put_verdict(models, 33, ap.ApprovalGranted(), hours=2.5)
    found = await models.milestone_counts(NOW, NOW + timedelta(hours=3))
    assert [(one.day, one.milestone, one.count, one.seconds) for one in found] == [
        ("2026-01-04", Milestone.CREATED, 2, 0),
        ("2026-01-05", Milestone.APPROVED, 1, 9000),
        ("2026-01-05", Milestone.CREATED, 1, 0),
    ]
    assert await models.milestone_counts(NOW + timedelta(hours=1), NOW + timedelta(hours=1)) == ()
    assert sum(one.count for one in await models.milestone_counts(NOW, NOW + timedelta(hours=1))) == 2
    with pytest.raises(NaiveDatetime):
        await models.milestone_counts(datetime(2026, 1, 4), NOW)  # noqa: DTZ001 - what is refused


async def test_runs_count_by_the_type_of_their_agent_or_their_executor(models):
    lease = ex.ExecutionLeased(lease_id=an_id(98), epoch=1, worker_id=an_id(97))
    begun = ex.PreparationStarted()
    for number, agent_type, end in (
        (40, "tester", ex.ExecutionFailed(failure=Failure(FailureReason.TIMEOUT))),
        (41, None, ex.ExecutionCancelled()),
    ):
        spec = ex.ExecutionSpec(task_id=an_id(99), executor="x", prompt="p", agent_type=agent_type)
        await put(models, an_id(number), ex.ExecutionQueued(execution_id=an_id(number), spec=spec), lease, begun, end)
    found = await models.milestone_counts(NOW, NOW + timedelta(hours=1))
    assert {(one.milestone, one.agent_type) for one in found} == {
        (Milestone.RUN_FAILED, "tester"),
        (Milestone.RUN_CANCELLED, "x"),
    }


async def test_spells_begin_with_the_last_before_the_time(models):
    spec = ag.AgentSpec(name="ada", type=ta.AgentType("developer"), executor="x")
    await put(models, ADA, ag.AgentRegistered(agent_id=ADA, spec=spec), hours=-9)
    await put(models, ADA, ag.TaskTaken(task_id=an_id(99)), hours=-2)
    await put(models, ADA, ag.AgentEdited(changes=ag.AgentChanges(model="m")), hours=-1)
    await put(models, ADA, ag.AgentReleased(task_id=an_id(99), outcome=ag.TaskOutcome.COMPLETED), hours=1)
    await put(models, ADA, ag.AgentDisabled(), hours=3)
    await put(models, BOB, ag.AgentRegistered(agent_id=BOB, spec=spec), hours=3)
    found = await models.agent_spells(NOW, NOW + timedelta(hours=3))
    assert [(one.agent_id, one.status, (one.began_at - NOW) / timedelta(hours=1)) for one in found] == [
        (ADA, ag.AgentStatus.WORKING, -2),
        (ADA, ag.AgentStatus.IDLE, 1),
    ]
    later = await models.agent_spells(NOW + timedelta(hours=3), NOW + timedelta(hours=4))
    assert [(one.agent_id, one.status) for one in later] == [
        (ADA, ag.AgentStatus.IDLE),
        (ADA, ag.AgentStatus.DISABLED),
        (BOB, ag.AgentStatus.IDLE),
    ]


async def test_verdicts_are_listed_with_their_approvals(models):
    await put_verdict(models, 50, ap.ApprovalRejected(feedback="no"))
    await put_verdict(models, 51, ap.ApprovalGranted())
    await put_verdict(models, 52, ap.ApprovalRejected(feedback="no"), agent=BOB)
    page = await models.list(MilestoneQuery(agent=ADA, milestone="rejected"))
    assert [row.approval_id for row in page] == [an_id(50)]
    (row,) = page
    assert (row.reached_at, row.seconds, row.kind) == (NOW + timedelta(hours=1), 3600, "changes")
