"""Tasks: nobody makes themselves able to approve."""

from datetime import UTC, datetime

import pytest

from aura_contracts.actors import agent, human, system
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
    QueueTask,
    RequestTaskChanges,
    SubmitProposal,
    Task,
    TaskChanges,
    TaskEdited,
    TaskSpec,
    UnqueueTask,
)
from aura_engine.decisions import Context
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


def test_the_assigned_agent_may_cancel_its_task():
    assert Story().do(WORKER, CancelTask())


def test_what_no_human_created_and_none_reviews_is_any_humans():
    task = created(TaskSpec(title="Sweep", approval_mode=ApprovalMode.AUTO), ENGINE)
    assert TASK_DECIDER.decide(TASK_ID, task, CancelTask(), Context(actor=MALLORY, now=NOW)).events


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
