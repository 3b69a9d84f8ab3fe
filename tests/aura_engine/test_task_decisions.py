"""Tasks: nobody makes themselves able to approve."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from aura_contracts.actors import agent, human, system
from aura_contracts.approval import Level
from aura_contracts.errors import ActorNotAllowed, RuleViolated
from aura_contracts.events import Fact
from aura_contracts.ids import AgentId, ApprovalId, TaskId
from aura_contracts.task import (
    TASK,
    ApprovalMode,
    ApproveTask,
    AssignTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    EditTask,
    PoolRequest,
    QueueTask,
    ReparentTask,
    RequestTaskChanges,
    SubmitProposal,
    Task,
    TaskChanges,
    TaskEdited,
    TaskSpec,
    TaskStatus,
    UnassignTask,
    UnqueueTask,
)
from aura_engine.decisions import Context
from aura_engine.decisions._task_rules import CONTEXT_LIMIT
from aura_engine.decisions.task import TASK_DECIDER

TASK_ID = TaskId("0192f0c1-2d3e-7abc-8def-000000000001")
AGENT_ID = AgentId("0192f0c1-2d3e-7abc-8def-000000000002")
APPROVAL_ID = ApprovalId("0192f0c1-2d3e-7abc-8def-000000000003")
NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)
ALICE, BOB, MALLORY, WORKER, ENGINE = human("alice"), human("bob"), human("mallory"), agent(AGENT_ID), system("engine")


class Story:
    """A task that Alice made for Bob to review, assigned to an agent."""

    def __init__(self) -> None:
        self.state: Task | None = None
        self.do(ALICE, CreateTask(task_id=TASK_ID, spec=TaskSpec(title="Fix the login", reviewers=("bob",))))
        self.do(ALICE, AssignTask(agent_id=AGENT_ID))

    def do(self, actor, command):
        """Decide `command`, keep the state it leads to, return its events."""
        decision = TASK_DECIDER.decide(TASK_ID, self.state, command, Context(actor=actor, now=NOW))
        facts = [Fact(event, NOW, actor, "c", "c") for event in decision.events]
        assert TASK.fold(facts, self.state) == decision.state
        self.state = decision.state
        return list(decision.events)


@pytest.mark.parametrize("actor", [WORKER, MALLORY])
@pytest.mark.parametrize(
    "command",
    [
        EditTask(changes=TaskChanges(approval_mode=ApprovalMode.AUTO)),
        EditTask(changes=TaskChanges(reviewers=("mallory",))),
    ],
)
def test_who_may_not_approve_changes_neither_the_mode_nor_the_reviewers(actor, command):
    with pytest.raises(ActorNotAllowed):
        Story().do(actor, command)


@pytest.mark.parametrize("actor", [ALICE, BOB, ENGINE])
def test_who_may_approve_changes_them(actor):
    assert Story().do(actor, EditTask(changes=TaskChanges(reviewers=("carol",)))) == [
        TaskEdited(changes=TaskChanges(reviewers=("carol",)))
    ]


@pytest.mark.parametrize("actor", [WORKER, ALICE, BOB])
def test_anybody_who_works_on_it_says_it_better(actor):
    same = EditTask(changes=TaskChanges(title="Fix it", approval_mode=ApprovalMode.CHANGES, reviewers=("bob",)))
    assert Story().do(actor, same) == [TaskEdited(changes=TaskChanges(title="Fix it"))]


def created(spec, by):
    return TASK_DECIDER.decide(TASK_ID, None, CreateTask(task_id=TASK_ID, spec=spec), Context(actor=by, now=NOW)).state


@pytest.mark.parametrize("actor", [MALLORY, agent("0192f0c1-2d3e-7abc-8def-0123456789ab")])
@pytest.mark.parametrize(
    "command", [EditTask(changes=TaskChanges(title="Mine")), QueueTask(), UnqueueTask(), CancelTask()], ids=type
)
def test_strangers_leave_it_alone(actor, command):
    task = created(TaskSpec(title="Fix it", reviewers=("bob",)), ALICE)
    with pytest.raises(ActorNotAllowed):
        TASK_DECIDER.decide(TASK_ID, task, command, Context(actor=actor, now=NOW))


OTHER_ID = TaskId("0192f0c1-2d3e-7abc-8def-000000000004")


@pytest.mark.parametrize("actor", [MALLORY, agent("0192f0c1-2d3e-7abc-8def-0123456789ab")])
def test_strangers_hang_no_part_on_it(actor):
    whole = Story().state
    spec = TaskSpec(title="Mine", parent_id=TASK_ID, approval_mode=ApprovalMode.AUTO)
    alone = TASK_DECIDER.decide(OTHER_ID, None, CreateTask(task_id=OTHER_ID, spec=TaskSpec(title="Mine")), at(MALLORY))
    for before, command, by in (
        (None, CreateTask(task_id=OTHER_ID, spec=spec), actor),
        (alone.state, ReparentTask(parent_id=TASK_ID), MALLORY),
    ):
        with pytest.raises(ActorNotAllowed) as refusal:
            TASK_DECIDER.decide(OTHER_ID, before, command, at(by, parent=whole, lineage=(TASK_ID,)))
        assert (refusal.value.aggregate_id, refusal.value.rule) == (TASK_ID, "concerned")
    for by in (ALICE, BOB, WORKER, ENGINE):
        create = CreateTask(task_id=OTHER_ID, spec=spec)
        assert TASK_DECIDER.decide(OTHER_ID, None, create, at(by, parent=whole, lineage=(TASK_ID,))).events


def at(actor, **known):
    return Context(actor=actor, now=NOW, **known)


def test_the_assigned_agent_may_cancel_its_task():
    assert Story().do(WORKER, CancelTask())


def test_what_no_human_created_and_none_reviews_is_any_humans():
    task = created(TaskSpec(title="Sweep", approval_mode=ApprovalMode.AUTO), ENGINE)
    assert TASK_DECIDER.decide(TASK_ID, task, CancelTask(), Context(actor=MALLORY, now=NOW)).events


NO_PEOPLE = ["", " ", " bob", "agent:1", "bob\nroot", "bob\0"]


@pytest.mark.parametrize("name", NO_PEOPLE)
def test_only_people_review_a_task(name):
    def refused(decide):
        with pytest.raises(RuleViolated) as refusal:
            decide()
        return refusal.value.rule

    level = Level(reviewers=("dave", name))
    edit = EditTask(changes=TaskChanges(reviewers=("bob", name)))
    assert refused(lambda: Story().do(ALICE, edit)) == "reviewers"
    assert refused(lambda: created(TaskSpec(title="Fix it", reviewers=("bob", name)), ALICE)) == "reviewers"
    assert refused(lambda: created(TaskSpec(title="Fix it", levels=(level,)), ALICE)) == "levels"


QUORUM = TaskSpec(title="Fix it", reviewers=("bob",), quorum=2, approval_mode=ApprovalMode.AUTO)


def test_someone_could_approve_a_task_that_needs_no_approval_yet():
    for terms in (replace(QUORUM, quorum=3), replace(QUORUM, reviewers=(), quorum=1, no_self_approval=True)):
        with pytest.raises(RuleViolated) as refusal:
            created(terms, ALICE)
        assert refusal.value.rule in ("quorum", "reviewers")
    assert created(QUORUM, ALICE).quorum == 2


def test_someone_could_approve_a_task_that_is_to_be_approved_from_now_on():
    for task in (created(QUORUM, ALICE), created(TaskSpec(title="Sweep", approval_mode=ApprovalMode.AUTO), WORKER)):
        changes = TaskChanges(approval_mode=ApprovalMode.CHANGES, reviewers=())
        with pytest.raises(RuleViolated) as refusal:
            edited(task, changes, ENGINE)
        assert refusal.value.rule in ("quorum", "reviewers_required")
    mode = TaskChanges(approval_mode=ApprovalMode.CHANGES)
    unmet = replace(created(QUORUM, ALICE), quorum=3)
    with pytest.raises(RuleViolated, match="3 approvals cannot come from 2 reviewers"):
        edited(unmet, mode, ALICE)
    assert edited(created(QUORUM, ALICE), mode, ALICE)


def edited(task, changes, by):
    return TASK_DECIDER.decide(TASK_ID, task, EditTask(changes=changes), Context(actor=by, now=NOW)).events


def test_an_agent_does_not_complete_what_nobody_approved():
    with pytest.raises(RuleViolated, match="nothing was approved"):
        Story().do(WORKER, CompleteTask())


@pytest.mark.parametrize("actor", [WORKER, MALLORY])
def test_neither_the_agent_nor_a_stranger_approves(actor):
    story = Story()
    story.do(WORKER, SubmitProposal(approval_id=APPROVAL_ID, proposal="A plan"))
    with pytest.raises(ActorNotAllowed):
        story.do(actor, ApproveTask(approval_id=APPROVAL_ID))
    assert story.do(BOB, ApproveTask(approval_id=APPROVAL_ID))


def test_a_decision_about_the_last_proposal_is_none_about_the_next():
    story = Story()
    story.do(WORKER, SubmitProposal(approval_id=APPROVAL_ID, proposal="A plan"))
    story.do(BOB, RequestTaskChanges(approval_id=APPROVAL_ID, feedback="Keep the error's code"))
    with pytest.raises(RuleViolated) as refusal:
        story.do(WORKER, SubmitProposal(approval_id=APPROVAL_ID, proposal="A better plan"))
    assert refusal.value.rule == "used_approval"


def test_what_was_asked_of_the_pool_is_over_once_the_task_has_an_agent():
    """Given back, it waits for whoever takes it, not for another agent of the pool."""
    story = Story()
    story.do(ALICE, UnassignTask(reason="on holiday"))
    story.do(ALICE, QueueTask(request=PoolRequest(agent_type="tester")))
    assert story.state.pooled
    story.do(ENGINE, AssignTask(agent_id=AGENT_ID))
    story.do(ALICE, UnassignTask(reason="on holiday"))
    assert (story.state.status, story.state.queued, story.state.pooled) == (TaskStatus.PENDING, True, False)


@pytest.mark.parametrize("limit", [True, False])
def test_a_context_is_bounded_when_a_task_is_made_and_when_it_is_edited(limit):
    story, context = Story(), {"notes": "x" * (CONTEXT_LIMIT - len('{"notes":""}') + (not limit))}
    create = CreateTask(task_id=TASK_ID, spec=TaskSpec(title="Fix", context=context))
    edit = EditTask(changes=TaskChanges(context=context))
    if limit:
        assert TASK_DECIDER.decide(TASK_ID, None, create, Context(actor=ALICE, now=NOW)).events
        assert story.do(ALICE, edit)
        return
    for state, command in ((None, create), (story.state, edit)):
        with pytest.raises(RuleViolated, match=f"it takes {CONTEXT_LIMIT + 1} bytes; the limit is {CONTEXT_LIMIT}"):
            TASK_DECIDER.decide(TASK_ID, state, command, Context(actor=ALICE, now=NOW))


@pytest.mark.parametrize("command", [CancelTask(), EditTask(changes=TaskChanges(reviewers=("mallory",)))])
def test_whom_a_task_does_not_concern_is_told_whom_to_ask(command):
    story = Story()
    with pytest.raises(ActorNotAllowed) as refused:
        story.do(MALLORY, command)
    assert refused.value.remedy == "ask alice, bob to do it, or to name you as a reviewer"
