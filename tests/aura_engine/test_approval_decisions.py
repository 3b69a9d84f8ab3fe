"""Approvals: who decides, how many have to, until when, and what silence means."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.approval import (
    APPROVAL,
    ESCALATE_AFTER,
    POLICY,
    REMIND_AFTER,
    AnswerSource,
    ApplyPolicies,
    ApprovalChangesRequested,
    ApprovalDecision,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalKind,
    ApprovalRejected,
    ApprovalStatus,
    ApprovalTimesMoved,
    Approve,
    Ballot,
    Channel,
    DelegateApproval,
    Entitlement,
    EscalateApproval,
    ExpireApproval,
    Level,
    LevelApproved,
    MoveApprovalTimes,
    OnExpiry,
    PolicyDecision,
    PolicyVerdict,
    Question,
    Reject,
    Remember,
    ReminderSent,
    RemindReviewers,
    RequestApproval,
    RequestChanges,
    RuleMatch,
    ToolCall,
    VoteCast,
    WithdrawApproval,
)
from aura_contracts.clocks import CLOCK_TOLERANCE
from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateExists,
    AggregateNotFound,
    AlreadyAnswered,
    QuestionChanged,
    QuestionExpired,
    QuestionWithdrawn,
    RuleViolated,
    TransitionRefused,
)
from aura_contracts.events import Fact
from aura_contracts.timers import TimerPurpose, timers_of
from aura_engine.decisions import Context
from aura_engine.decisions.approval import APPROVAL_DECIDER

APPROVAL_ID = "0192f0c1-2d3e-7abc-8def-000000000001"
TASK_ID = "0192f0c1-2d3e-7abc-8def-000000000002"
EXECUTION_ID = "0192f0c1-2d3e-7abc-8def-000000000003"
WORKFLOW_ID = "0192f0c1-2d3e-7abc-8def-000000000004"
AGENT_ID = "0192f0c1-2d3e-7abc-8def-000000000005"

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
DEADLINE = START + timedelta(hours=72)
ENGINE, AGENT = system("engine"), agent(AGENT_ID)
ALICE, BOB, CAROL, DAVE, EVE = (human(name) for name in ("alice", "bob", "carol", "dave", "eve"))
CALL = ToolCall(tool="Bash", fingerprint="5f2c", arguments={"command": "rm -r build"}, diff="-a\n+b\n")


class Story:
    """The events of one approval so far; each command is decided on what they fold to."""

    def __init__(self, by=AGENT, requested_by=None, **request):
        self.facts = []
        fields = {
            "kind": ApprovalKind.PLAN,
            "reviewers": ("alice", "bob"),
            "task_id": TASK_ID,
            "proposed_solution": "Add an index.",
            "deadline": DEADLINE,
        }
        self.do(
            by,
            RequestApproval(approval_id=APPROVAL_ID, requested_by=requested_by, question=Question(**fields | request)),
        )

    @property
    def state(self):
        return APPROVAL.fold(self.facts)

    def do(self, actor, command, after=60.0):
        now = START + timedelta(seconds=after if self.facts else 0)
        decision = APPROVAL_DECIDER.decide(APPROVAL_ID, self.state, command, Context(actor=actor, now=now))
        self.facts += [Fact(event, now, actor, "", "") for event in decision.events]
        assert decision.state == self.state
        return list(decision.events)


def tool_call(**request):
    return Story(kind=ApprovalKind.TOOL_CALL, tool_call=CALL, proposed_solution="", **request)


@contextmanager
def refused(rule):
    """Expect a rule of this name to refuse, with all facts."""
    with pytest.raises(RuleViolated) as refusal:
        yield refusal
    error = refusal.value
    assert (error.aggregate, error.aggregate_id, error.rule) == ("approval", APPROVAL_ID, rule)
    assert error.reason


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_a_request_says_what_is_asked_by_whom_of_whom_until_when():
    approval = Story(confidence=0.8, execution_id=EXECUTION_ID).state
    assert approval.status == "pending"
    assert (approval.kind, approval.task_id, approval.execution_id) == ("plan", TASK_ID, EXECUTION_ID)
    assert (approval.requested_by, approval.requested_at) == (AGENT, START)
    assert (approval.reviewers, approval.quorum, approval.confidence) == (("alice", "bob"), 1, 0.8)
    assert approval.proposed_solution == "Add an index."
    assert (approval.deadline, approval.on_expiry) == (DEADLINE, "deny")
    assert (approval.decision, approval.responded_at, approval.reviewed_by) == (None, None, None)
    assert approval.awaited == ("alice", "bob")


def test_a_reviewer_named_twice_is_one_reviewer():
    assert Story(reviewers=("alice", "bob", "alice")).state.reviewers == ("alice", "bob")


def test_the_engine_asks_in_the_name_of_an_agent():
    assert Story(by=ENGINE, requested_by=AGENT).state.requested_by == AGENT


@pytest.mark.parametrize("actor", [AGENT, ALICE])
def test_nobody_else_asks_in_the_name_of_another(actor):
    with pytest.raises(ActorNotAllowed, match=f"only AURA asks on behalf of {BOB}"):
        Story(by=actor, requested_by=BOB)


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        ("reviewers", {"reviewers": ()}),
        ("reviewers", {"reviewers": ("alice", " ")}),
        ("quorum", {"quorum": 0}),
        ("quorum", {"quorum": 3}),
        ("quorum", {"quorum": 2, "reviewers": ("alice", "alice")}),
        ("proposal", {"proposed_solution": "  \n"}),
        ("subject", {"task_id": None}),
        ("subject", {"kind": ApprovalKind.WORKFLOW_STEP}),
        ("subject", {"kind": ApprovalKind.WORKFLOW_STEP, "workflow_id": WORKFLOW_ID}),
        ("tool_call", {"kind": ApprovalKind.TOOL_CALL}),
        ("tool_call", {"tool_call": CALL}),
        ("tool_call", {"kind": ApprovalKind.TOOL_CALL, "tool_call": ToolCall(tool="Bash", fingerprint="")}),
        ("confidence", {"confidence": 1.01}),
        ("confidence", {"confidence": float("nan")}),
        ("deadline", {"deadline": START}),
        ("deadline", {"deadline": DEADLINE.replace(tzinfo=None)}),
        ("remind_after", {"remind_after": 0.0}),
        ("escalate_after", {"escalate_after": float("inf")}),
    ],
)
def test_a_question_that_cannot_be_decided_is_refused(rule, request_):
    with refused(rule):
        Story(**request_)


def test_those_without_whom_there_is_no_quorum_are_asked_at_once():
    levels = (Level(reviewers=("dave",)),)
    story = Story(quorum=3, barred=("zoe",), escalate_to=("alice", "zoe", "carol", "dave"), levels=levels)
    assert [fact.event for fact in story.facts[1:]] == [ApprovalEscalated(to=("carol",))]
    assert (story.state.quorum, story.state.escalated_to) == (3, ("carol",))
    assert set(story.state.awaited) == {"alice", "bob", "carol"}
    for name in (ALICE, BOB, CAROL):
        story.do(name, Approve())
    assert story.state.level == 2
    assert TimerPurpose.ESCALATE not in timers_of(story.state)


@pytest.mark.parametrize("quorum", [1, 2])
def test_a_question_whose_reviewers_suffice_is_escalated_later(quorum):
    story = Story(quorum=quorum, escalate_to=("carol",))
    assert len(story.facts) == 1
    assert TimerPurpose.ESCALATE in timers_of(story.state)


def test_a_step_of_a_workflow_needs_no_task():
    story = Story(kind=ApprovalKind.WORKFLOW_STEP, task_id=None, workflow_id=WORKFLOW_ID, step_id="deploy")
    assert (story.state.workflow_id, story.state.step_id) == (WORKFLOW_ID, "deploy")


def test_a_tool_call_carries_what_would_be_run():
    assert tool_call().state.tool_call == CALL


def test_an_agent_asks_in_the_middle_of_its_work():
    asked = Story(kind=ApprovalKind.QUESTION, execution_id=EXECUTION_ID, proposed_solution="May I?", deadline=None)
    assert (asked.state.kind, asked.state.requested_by) == ("question", AGENT)
    with pytest.raises(ActorNotAllowed):
        asked.do(AGENT, Approve())
    with refused("remember"):
        asked.do(ALICE, Approve(remember=Remember.TASK))
    asked.do(ALICE, Approve(feedback="On a copy"))
    assert (asked.state.granted, asked.state.feedback) == (True, "On a copy")


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        ("subject", {"task_id": None}),
        ("proposal", {"proposed_solution": " "}),
        ("tool_call", {"tool_call": CALL}),
        ("reviewers", {"reviewers": ()}),
    ],
)
def test_a_question_has_words_and_somebody_to_answer_it(rule, request_):
    with refused(rule):
        Story(kind=ApprovalKind.QUESTION, **request_)


def test_an_approval_is_requested_once_and_must_exist():
    with pytest.raises(AggregateExists):
        Story().do(
            AGENT,
            RequestApproval(approval_id=APPROVAL_ID, question=Question(kind=ApprovalKind.PLAN, reviewers=("alice",))),
        )
    with pytest.raises(AggregateNotFound):
        APPROVAL_DECIDER.decide(APPROVAL_ID, None, Approve(), Context(actor=ALICE, now=START))


# --- Deciding ---------------------------------------------------------------------------------------------------------


def test_a_reviewer_approves():
    story = Story()
    events = story.do(ALICE, Approve(feedback="Good."))
    vote = VoteCast(ballot=Ballot(reviewer="alice", seat="alice", decision=ApprovalDecision.APPROVED, feedback="Good."))
    assert events == [vote, ApprovalGranted(feedback="Good.")]
    approval = story.state
    assert (approval.status, approval.decision, approval.feedback) == ("approved", "approved", "Good.")
    assert (approval.reviewed_by, approval.responded_at) == (ALICE, START + timedelta(minutes=1))
    assert approval.granted
    assert not approval.automatic


@pytest.mark.parametrize(
    ("command", "event", "status"),
    [
        (Reject(feedback="Too slow."), ApprovalRejected(feedback="Too slow."), "rejected"),
        (RequestChanges(feedback="Add a test."), ApprovalChangesRequested(feedback="Add a test."), "needs_changes"),
    ],
)
def test_a_single_no_decides_at_once_whatever_the_quorum(command, event, status):
    story = Story(quorum=2)
    story.do(ALICE, Approve())
    assert story.do(BOB, command)[-1] == event
    approval = story.state
    assert (approval.status, approval.decision, approval.feedback) == (status, status, command.feedback)
    assert approval.reviewed_by == BOB
    assert not approval.granted


@pytest.mark.parametrize("actor", [ALICE, POLICY])
@pytest.mark.parametrize("command", [Reject(feedback=""), Reject(feedback=" \n"), RequestChanges(feedback="\t")])
def test_saying_no_needs_words(command, actor):
    story = Story()
    with refused("feedback_required"):
        story.do(actor, command)
    assert story.state.votes == ()


ANSWERS = [Approve(), Reject(feedback="no"), RequestChanges(feedback="more")]
OUTCOMES = ["approved", "rejected", "needs_changes"]


@pytest.mark.parametrize("command", ANSWERS)
@pytest.mark.parametrize("actor", [CAROL, AGENT, agent("alice"), ENGINE, system("worker")])
def test_others_do_not_decide(actor, command):
    with pytest.raises(ActorNotAllowed) as refusal:
        Story().do(actor, command)
    assert (refusal.value.actor, refusal.value.command) == (actor, type(command).__name__)


def test_an_agent_does_not_decide_even_when_its_id_is_a_reviewers_name():
    with pytest.raises(ActorNotAllowed):
        Story(reviewers=(AGENT_ID,)).do(AGENT, Approve())


@pytest.mark.parametrize(("command", "status"), list(zip(ANSWERS, OUTCOMES, strict=True)))
def test_the_policy_decides_alone_without_a_vote(command, status):
    story = Story(quorum=2)
    assert len(story.do(POLICY, command)) == 1
    assert (story.state.status, story.state.votes, story.state.automatic) == (status, (), True)


def test_the_policy_approves_nothing_that_a_rule_which_refuses_holds_back():
    story = Story(on_expiry=OnExpiry.CONTINUE)
    match = RuleMatch("user", "lock", PolicyVerdict.REJECT, sure=False)
    story.do(POLICY, ApplyPolicies(decision=PolicyDecision(verdict=PolicyVerdict.ASK, matched=(match,))))
    with refused("policy"):
        story.do(POLICY, Approve())
    (expired,) = story.do(ENGINE, ExpireApproval(), after=72 * 3600)
    assert (expired.continued, story.state.granted) == (False, False), "silence is not a human's approval"


def test_as_many_humans_as_the_quorum_asks_for_have_to_approve():
    story = Story(quorum=2, reviewers=("alice", "bob", "carol"))
    assert [type(event) for event in story.do(CAROL, Approve())] == [VoteCast]
    assert story.state.status == "pending"
    assert story.state.awaited == ("alice", "bob")
    assert [type(event) for event in story.do(ALICE, Approve())] == [VoteCast, ApprovalGranted]
    assert story.state.status == "approved"
    assert [vote.reviewer for vote in story.state.votes] == ["carol", "alice"]


@pytest.mark.parametrize("command", ANSWERS)
def test_one_human_has_one_vote(command):
    story = Story(quorum=2)
    story.do(ALICE, Approve())
    with refused("already_voted"):
        story.do(ALICE, command)
    assert story.state.status == "pending"


# --- Delegation -------------------------------------------------------------------------------------------------------


def test_a_delegate_decides_and_delegates_on():
    story = Story()
    delegated = ApprovalDelegated(delegator="alice", delegate="carol", reason="holiday")
    assert story.do(ALICE, DelegateApproval(delegate="carol", reason="holiday")) == [delegated]
    story.do(CAROL, DelegateApproval(delegate="dave"))
    assert story.state.awaited == ("alice", "carol", "dave", "bob")
    vote, _ = story.do(DAVE, Approve())
    assert (vote.ballot.reviewer, vote.ballot.seat) == ("dave", "alice")
    assert (story.state.status, story.state.reviewed_by) == ("approved", DAVE)


def test_a_delegation_hands_a_vote_on_and_makes_no_second_one():
    story = Story(quorum=2)
    story.do(ALICE, DelegateApproval(delegate="carol"))
    story.do(CAROL, Approve())
    with refused("delegation_used"):
        story.do(ALICE, Approve())
    story.do(BOB, Approve())
    assert story.state.status == "approved"


def test_who_delegated_may_still_decide():
    story = Story(quorum=2)
    story.do(ALICE, DelegateApproval(delegate="carol"))
    story.do(ALICE, Approve())
    with refused("delegation_used"):
        story.do(CAROL, Approve())


def test_a_later_delegation_replaces_the_earlier_one():
    story = Story()
    story.do(ALICE, DelegateApproval(delegate="carol"))
    story.do(ALICE, DelegateApproval(delegate="dave"))
    with pytest.raises(ActorNotAllowed):
        story.do(CAROL, Approve())
    story.do(DAVE, Approve())
    assert story.state.granted


@pytest.mark.parametrize(("delegate", "rule"), [("alice", "delegation_loop"), ("bob", "delegate_may_decide")])
def test_a_delegation_to_somebody_who_may_decide_is_refused(delegate, rule):
    with refused(rule):
        Story().do(ALICE, DelegateApproval(delegate=delegate))


def test_who_a_decision_was_delegated_to_is_awaited_until_that_ends():
    story = Story()
    story.do(ALICE, DelegateApproval(delegate="carol", until=START + timedelta(seconds=120)))
    assert story.state.awaited_at(START) == ("alice", "carol", "bob")
    assert story.state.awaited_at(START + timedelta(seconds=120)) == ("alice", "bob")


@pytest.mark.parametrize("name", ["", " erin ", "dave\nroot", "agent:1"])
def test_only_people_are_delegates(name):
    with refused("delegate"):
        Story().do(ALICE, DelegateApproval(delegate=name))


def test_delegations_do_not_go_in_circles():
    story = Story()
    story.do(ALICE, DelegateApproval(delegate="carol"))
    story.do(CAROL, DelegateApproval(delegate="dave"))
    for actor, delegate in ((CAROL, "alice"), (DAVE, "carol"), (DAVE, "alice"), (DAVE, "dave")):
        with refused("delegation_loop"):
            story.do(actor, DelegateApproval(delegate=delegate))


def test_a_vote_that_was_cast_is_not_delegated():
    story = Story(quorum=2)
    story.do(ALICE, Approve())
    with refused("already_voted"):
        story.do(ALICE, DelegateApproval(delegate="carol"))


@pytest.mark.parametrize("actor", [CAROL, AGENT, ENGINE, POLICY])
def test_only_who_may_decide_delegates(actor):
    with pytest.raises(ActorNotAllowed):
        Story().do(actor, DelegateApproval(delegate="dave"))


def test_a_delegate_has_a_name():
    with refused("delegate"):
        Story().do(ALICE, DelegateApproval(delegate=" "))


def test_a_delegation_ends_and_then_the_vote_is_the_owners_alone():
    story = Story()
    story.do(ALICE, DelegateApproval(delegate="carol", until=START + timedelta(seconds=120)))
    with pytest.raises(ActorNotAllowed, match="has ended") as refusal:
        story.do(CAROL, Approve(), after=120)
    assert refusal.value.rule == "delegation_ended"
    with refused("delegation_ended"):
        story.do(ALICE, DelegateApproval(delegate="dave", until=START), after=120)
    story.do(ALICE, DelegateApproval(delegate="carol"), after=121)
    story.do(CAROL, Approve(), after=10_000)
    assert story.state.votes[0].entitlement is Entitlement.DELEGATION


# --- Levels -----------------------------------------------------------------------------------------------------------


def levelled(**request):
    levels = (Level(reviewers=("carol", "dave"), quorum=2), Level(reviewers=("eve",)))
    return Story(**{"quorum": 2, "levels": levels} | request)


def test_levels_are_asked_one_after_another():
    story = levelled()
    story.do(BOB, Approve())
    with pytest.raises(ActorNotAllowed, match="asked at level 2") as refusal:
        story.do(CAROL, Approve())
    assert refusal.value.rule == "level"
    assert [type(event) for event in story.do(ALICE, Approve())] == [VoteCast, LevelApproved]
    assert (story.state.status, story.state.level, story.state.awaited) == ("pending", 2, ("carol", "dave"))
    with pytest.raises(ActorNotAllowed):
        story.do(ALICE, Reject(feedback="after all"))
    story.do(DAVE, Approve())
    story.do(CAROL, Approve())
    assert [type(event) for event in story.do(EVE, Approve())] == [VoteCast, ApprovalGranted]
    assert [vote.level for vote in story.state.votes] == [1, 1, 2, 2, 3]


def test_a_no_at_any_level_decides():
    story = levelled(quorum=1)
    story.do(ALICE, Approve())
    story.do(CAROL, RequestChanges(feedback="Add a test."))
    assert (story.state.status, story.state.reviewed_by) == ("needs_changes", CAROL)


def test_the_next_level_has_its_own_time_and_its_own_people():
    story = levelled(quorum=1, escalate_to=("frank",))
    story.do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER)
    story.do(human("frank"), Approve(), after=ESCALATE_AFTER)
    assert story.state.votes[0].entitlement is Entitlement.ESCALATION
    assert story.state.awaited == ("carol", "dave")
    with refused("not_due"):
        story.do(ENGINE, RemindReviewers(), after=ESCALATE_AFTER + 1)
    for delegate, rule in (("eve", "delegate_may_decide"), ("frank", "delegate_has_voted")):
        with refused(rule):
            story.do(CAROL, DelegateApproval(delegate=delegate), after=ESCALATE_AFTER)


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        ("levels", {"levels": (Level(reviewers=("alice",)),)}),
        ("levels", {"levels": (Level(reviewers=("carol",)), Level(reviewers=("carol",)))}),
        ("quorum", {"levels": (Level(reviewers=("carol", "carol"), quorum=2),)}),
        ("quorum", {"levels": (Level(reviewers=("carol",), quorum=0),)}),
        ("quorum", {"levels": (Level(reviewers=()),)}),
        ("quorum", {"levels": (Level(reviewers=("carol",)),), "quorum": 3, "escalate_to": ("carol",)}),
        ("reviewers", {"reviewers": ("alice",), "barred": ("alice",)}),
        ("quorum", {"levels": (Level(reviewers=("carol",)),), "barred": ("carol",)}),
    ],
)
def test_levels_that_nobody_could_pass_are_refused(rule, request_):
    with refused(rule):
        Story(**request_)


def test_who_asked_for_the_work_does_not_decide_about_it_where_that_is_barred():
    story = Story(barred=("alice",))
    assert story.state.awaited == ("bob",)
    with pytest.raises(ActorNotAllowed) as refusal:
        story.do(ALICE, Approve())
    assert refusal.value.rule == "self_approval"
    with refused("self_approval"):
        story.do(BOB, DelegateApproval(delegate="alice"))
    story.do(BOB, Approve())
    assert story.state.granted


# --- Late, wrong and doubtful answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [*ANSWERS, DelegateApproval(delegate="carol")])
def test_an_answer_that_comes_too_late_is_told_why(answer):
    story = Story()
    story.do(BOB, Reject(feedback="no"))
    with pytest.raises(AlreadyAnswered, match=r"bob has answered .* rejected") as refusal:
        story.do(ALICE, answer)
    assert (refusal.value.answered_by, refusal.value.status) == ("bob", "rejected")
    withdrawn = Story()
    withdrawn.do(AGENT, WithdrawApproval(reason="the task was cancelled"))
    with pytest.raises(QuestionWithdrawn, match="the task was cancelled"):
        withdrawn.do(ALICE, answer)
    expired = Story()
    expired.do(ENGINE, ExpireApproval(), after=72 * 3600)
    with pytest.raises(QuestionExpired):
        expired.do(ALICE, answer)


def test_an_answer_holds_for_the_commits_that_were_shown():
    story = Story(kind=ApprovalKind.CHANGES, commits={"app": "a1", "lib": "b2"})
    for commits in ({"app": "a0", "lib": "b2"}, {"app": "a1"}):
        with pytest.raises(QuestionChanged, match="shows a1 of app, b2 of lib"):
            story.do(ALICE, Approve(commits=commits))
    source = AnswerSource(channel=Channel.HTTP, host="desk", session="tab 3")
    story.do(ALICE, Approve(commits={"lib": "b2", "app": "a1"}, source=source))
    (vote,) = story.state.votes
    assert (vote.commits, vote.source, vote.entitlement) == (story.state.commits, source, Entitlement.REVIEWER)


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_those_who_have_not_answered_are_reminded_every_24_hours():
    story = Story(quorum=2)
    story.do(BOB, Approve())
    with refused("not_due"):
        story.do(ENGINE, RemindReviewers(), after=REMIND_AFTER - 1)
    assert story.do(ENGINE, RemindReviewers(), after=REMIND_AFTER) == [ReminderSent(number=1, to=("alice",))]
    with refused("not_due"):
        story.do(ENGINE, RemindReviewers(), after=REMIND_AFTER + 1)
    assert story.do(ENGINE, RemindReviewers(), after=2 * REMIND_AFTER)[0].number == 2
    assert story.state.reminders == 2


DAY = 24 * 3600.0


def test_a_clock_that_is_set_back_behind_the_question_lets_it_wait_no_longer_than_it_would_have():
    story = Story(escalate_to=("carol",))
    (moved,) = story.do(ENGINE, MoveApprovalTimes(), after=-365 * DAY)
    assert moved == ApprovalTimesMoved(reminder=365 * DAY, escalation=365 * DAY, deadline=365 * DAY)
    since = START - timedelta(days=365)
    times = (story.state.remind_at, story.state.escalate_at, story.state.deadline)
    assert times == tuple(since + timedelta(hours=hours) for hours in (24, 48, 72))
    assert story.do(ENGINE, MoveApprovalTimes(), after=-365 * DAY) == []
    with refused("not_due"):
        story.do(ENGINE, RemindReviewers(), after=-364 * DAY - 1)
    story.do(ENGINE, RemindReviewers(), after=-364 * DAY)
    story.do(ENGINE, ExpireApproval(), after=-362 * DAY)


def test_a_question_without_a_deadline_has_waited_since_the_clock_was_set_back():
    story = Story(deadline=None, remind_after=None, escalate_after=None)
    assert story.do(ENGINE, MoveApprovalTimes(), after=-DAY) == [ApprovalTimesMoved(deadline=DAY)]
    assert story.state.open_since == START - timedelta(days=1)
    assert (story.state.deadline, story.state.remind_at, story.state.escalate_at) == (None, None, None)
    assert story.do(ENGINE, MoveApprovalTimes(), after=-DAY) == []


def test_a_reminder_by_a_clock_that_was_ahead_leaves_deadline_and_escalation_where_they_are():
    """The clock jumps two days forward, people are reminded, and it is corrected an hour later."""
    story = Story(escalate_to=("carol",))
    story.do(ENGINE, RemindReviewers(), after=47 * 3600)
    assert story.do(ENGINE, MoveApprovalTimes(), after=3600) == [ApprovalTimesMoved(reminder=46 * 3600.0)]
    times = (story.state.remind_at, story.state.escalate_at, story.state.deadline)
    assert times == tuple(START + timedelta(hours=hours) for hours in (25, 48, 72))
    assert story.do(ENGINE, MoveApprovalTimes(), after=3600) == []


def test_each_time_moves_by_the_moment_from_which_it_counts():
    story = Story(escalate_to=("carol",), levels=(Level(reviewers=("dave",)),))
    story.do(BOB, Approve(), after=10 * 3600)
    assert story.state.level == 2
    story.do(ENGINE, RemindReviewers(), after=34 * 3600)
    (moved,) = story.do(ENGINE, MoveApprovalTimes(), after=-3600)
    assert moved == ApprovalTimesMoved(reminder=35 * 3600.0, escalation=11 * 3600.0, deadline=3600.0)
    times = (story.state.remind_at, story.state.escalate_at, story.state.deadline)
    assert times == tuple(START + timedelta(hours=hours - 1) for hours in (24, 48, 72))
    assert story.do(ENGINE, MoveApprovalTimes(), after=-3600) == []


def test_the_end_of_a_delegation_is_never_moved_nor_forgotten():
    story = Story(remind_after=None)
    end = START + timedelta(hours=1)
    story.do(ALICE, DelegateApproval(delegate="eve", until=end), after=60)
    story.do(ENGINE, RemindReviewers(), after=2 * 3600)
    assert story.state.remind_at is None
    story.do(BOB, DelegateApproval(delegate="dave", until=START + timedelta(hours=90)), after=2 * 3600)
    story.do(ENGINE, MoveApprovalTimes(), after=60)
    assert story.state.remind_at == end
    assert story.do(ENGINE, MoveApprovalTimes(), after=3600) == []


def test_what_is_due_already_is_not_moved():
    """A delegation ended after the clock was corrected, before anything looked again."""
    story = Story(remind_after=1800.0)
    story.do(ENGINE, RemindReviewers(), after=20 * 3600)
    end = START + timedelta(hours=2)
    story.do(ALICE, DelegateApproval(delegate="eve", until=end), after=3600)
    assert story.do(ENGINE, MoveApprovalTimes(), after=2 * 3600) == []
    (reminder,) = story.do(ENGINE, RemindReviewers(), after=2 * 3600)
    assert reminder.number == 2
    assert story.state.remind_at == end + timedelta(minutes=30)


@pytest.mark.parametrize("after", [-CLOCK_TOLERANCE + 1, 0.0, 60.0, 30 * DAY])
def test_a_clock_that_is_right_moves_nothing(after):
    story = Story()
    before = story.state
    assert story.do(ENGINE, MoveApprovalTimes(), after=after) == []
    assert story.state == before


def test_nobody_is_reminded_where_that_is_switched_off():
    with refused("not_due"):
        Story(remind_after=None).do(ENGINE, RemindReviewers(), after=REMIND_AFTER)


def test_after_48_hours_others_may_decide_too():
    story = Story(escalate_to=("carol", "alice"))
    with refused("not_due"):
        story.do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER - 1)
    with pytest.raises(ActorNotAllowed):
        story.do(CAROL, Approve(), after=ESCALATE_AFTER)
    assert story.do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER) == [ApprovalEscalated(to=("carol",))]
    assert story.state.escalated_to == ("carol",)
    story.do(CAROL, Approve(), after=ESCALATE_AFTER + 1)
    assert (story.state.status, story.state.reviewed_by) == ("approved", CAROL)


def test_who_it_was_escalated_to_may_delegate():
    story = Story(escalate_to=("carol",))
    story.do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER)
    story.do(CAROL, DelegateApproval(delegate="eve"), after=ESCALATE_AFTER)
    vote, _ = story.do(EVE, Reject(feedback="no"), after=ESCALATE_AFTER)
    assert vote.ballot.seat == "carol"


def test_an_escalation_that_changes_nothing_is_no_event():
    story = Story(escalate_to=("carol",))
    story.do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER)
    assert story.do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER) == []
    assert story.do(ENGINE, EscalateApproval(to=("dave",)), after=ESCALATE_AFTER) == [ApprovalEscalated(to=("dave",))]


def test_an_escalation_needs_somebody_and_a_time():
    with refused("no_one_to_ask"):
        Story().do(ENGINE, EscalateApproval(), after=ESCALATE_AFTER)
    with refused("not_due"):
        Story(escalate_after=None).do(ENGINE, EscalateApproval(to=("carol",)), after=ESCALATE_AFTER)


@pytest.mark.parametrize("command", [*ANSWERS, DelegateApproval(delegate="carol")])
@pytest.mark.parametrize("late", [0, 1])
def test_after_the_deadline_nobody_decides(command, late):
    story = Story()
    with pytest.raises(QuestionExpired, match=DEADLINE.isoformat()[:19]):
        story.do(ALICE, command, after=72 * 3600 + late)
    assert story.state.status == "pending"


def test_the_policy_is_late_too():
    with pytest.raises(QuestionExpired):
        Story().do(POLICY, Approve(), after=72 * 3600)


def test_a_moment_before_the_deadline_is_in_time():
    story = Story()
    story.do(ALICE, Approve(), after=72 * 3600 - 0.001)
    assert story.state.granted


@pytest.mark.parametrize("command", [RemindReviewers(), EscalateApproval(to=("carol",))])
def test_after_the_deadline_nobody_is_asked_again(command):
    with pytest.raises(QuestionExpired):
        Story().do(ENGINE, command, after=72 * 3600)


@pytest.mark.parametrize(("on_expiry", "granted"), [(OnExpiry.DENY, False), (OnExpiry.CONTINUE, True)])
def test_silence_is_no_unless_configured_otherwise(on_expiry, granted):
    story = Story(on_expiry=on_expiry)
    with refused("not_due"):
        story.do(ENGINE, ExpireApproval(), after=72 * 3600 - 1)
    assert story.do(ENGINE, ExpireApproval(), after=72 * 3600) == [ApprovalExpired(continued=granted)]
    approval = story.state
    assert (approval.status, approval.granted, approval.decision) == ("expired", granted, None)
    assert (approval.responded_at, approval.closed_at, approval.remind_at) == (None, DEADLINE, None)


def test_without_a_deadline_nothing_expires():
    with refused("not_due"):
        Story(deadline=None).do(ENGINE, ExpireApproval(), after=1e9)


@pytest.mark.parametrize(
    "command", [RemindReviewers(), EscalateApproval(to=("carol",)), ExpireApproval(), MoveApprovalTimes()]
)
@pytest.mark.parametrize("actor", [ALICE, AGENT])
def test_aura_alone_minds_the_clock(actor, command):
    with pytest.raises(ActorNotAllowed):
        Story().do(actor, command, after=ESCALATE_AFTER)


@pytest.mark.parametrize("actor", [AGENT, ENGINE])
def test_who_asked_takes_the_question_back(actor):
    story = Story()
    story.do(actor, WithdrawApproval(reason="better idea"))
    assert (story.state.status, story.state.decision, story.state.granted) == ("withdrawn", None, False)


@pytest.mark.parametrize("actor", [ALICE, agent("another")])
def test_others_do_not_take_the_question_back(actor):
    with pytest.raises(ActorNotAllowed):
        Story().do(actor, WithdrawApproval())


# --- Remembering ------------------------------------------------------------------------------------------------------


def test_the_answer_to_a_tool_call_is_remembered_as_asked():
    story = tool_call()
    story.do(ALICE, Approve(remember=Remember.PATTERN, pattern="Bash(rm -r build*)"))
    assert (story.state.remember, story.state.pattern) == ("pattern", "Bash(rm -r build*)")


def test_of_several_approvals_all_must_want_it_remembered():
    story = tool_call(quorum=2)
    story.do(ALICE, Approve(remember=Remember.TASK))
    story.do(BOB, Approve(remember=Remember.SESSION))
    assert story.state.remember == "once"
    story = tool_call(quorum=2)
    story.do(ALICE, Approve(remember=Remember.TASK))
    story.do(BOB, Approve(remember=Remember.TASK))
    assert story.state.remember == "task"


def test_a_plan_is_approved_once():
    with refused("remember"):
        Story().do(ALICE, Approve(remember=Remember.TASK))


@pytest.mark.parametrize(
    "command",
    [
        Approve(remember=Remember.PATTERN),
        *(Approve(remember=Remember.PATTERN, pattern=pattern) for pattern in (" ", "rm -r build*", "Bash(rm", "Edit")),
        Approve(pattern="Bash(rm *)"),
    ],
)
def test_a_pattern_goes_with_remembering_by_pattern(command):
    with refused("pattern"):
        tool_call().do(ALICE, command)


# --- The end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last",
    [
        (ALICE, Approve(), 60),
        (ALICE, Reject(feedback="no"), 60),
        (ALICE, RequestChanges(feedback="more"), 60),
        (ENGINE, ExpireApproval(), 72 * 3600),
        (AGENT, WithdrawApproval(), 60),
    ],
)
@pytest.mark.parametrize(
    ("actor", "command"),
    [
        (ALICE, Approve()),
        (BOB, Reject(feedback="no")),
        (BOB, RequestChanges(feedback="more")),
        (BOB, DelegateApproval(delegate="carol")),
        (ENGINE, RemindReviewers()),
        (ENGINE, EscalateApproval(to=("carol",))),
        (ENGINE, ExpireApproval()),
        (AGENT, WithdrawApproval()),
    ],
)
def test_what_has_ended_stays_ended(last, actor, command):
    story = Story()
    story.do(*last)
    with pytest.raises(TransitionRefused) as refusal:
        story.do(actor, command, after=72 * 3600)
    assert refusal.value.status == story.state.status
    assert refusal.value.allowed_in == ("pending",)


def test_statuses_are_the_words_of_the_specification():
    words = {"pending", "approved", "rejected", "needs_changes", "expired", "withdrawn"}
    assert {str(status) for status in ApprovalStatus} == words
    assert {str(status) for status in APPROVAL.final} == words - {"pending"}
