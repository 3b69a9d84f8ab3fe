"""Links: to whom they are issued, and that an answer with one counts once, for its seat, while it lives."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, observer, system
from aura_contracts.approval import (
    APPROVAL,
    LINK_LIFETIME,
    POLICY,
    ApprovalKind,
    ApprovalStatus,
    Approve,
    DelegateApproval,
    IssueLink,
    Level,
    LinkPurpose,
    LinksRevoked,
    Question,
    Reject,
    RequestApproval,
    RequestChanges,
    RevokeLinks,
    VoteCast,
)
from aura_contracts.errors import ActorNotAllowed, AlreadyAnswered, CommandRefused, QuestionExpired, RuleViolated
from aura_contracts.events import Fact
from aura_engine.decisions import Context
from aura_engine.decisions._link_rules import ADDRESS_LIMIT, LINK_LIMIT
from aura_engine.decisions.approval import APPROVAL_DECIDER

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ALICE, BOB, CAROL, ENGINE = human("alice"), human("bob"), human("carol"), system("engine")


class Story:
    """A question to alice and bob, of whom one has to approve unless `quorum` says otherwise."""

    def __init__(self, **request):
        self.facts, self.now = [], START
        fields = {"kind": ApprovalKind.CHANGES, "reviewers": ("alice", "bob"), "task_id": "t", "commits": {"app": "a1"}}
        question = Question(**{**fields, "proposed_solution": "Add an index.", **request})
        self.do(ENGINE, RequestApproval(approval_id="a", question=question))

    @property
    def state(self):
        return APPROVAL.fold(self.facts)

    def do(self, actor, command):
        decision = APPROVAL_DECIDER.decide("a", self.state, command, Context(actor=actor, now=self.now))
        self.facts += [Fact(event, self.now, actor, "", "") for event in decision.events]
        return list(decision.events)

    def issue(self, link_id="l1", reviewer="alice", by=ENGINE, after=DAY, **terms):
        expires_at = self.now + after
        self.do(by, IssueLink(link_id=link_id, reviewer=reviewer, expires_at=expires_at, **terms))
        return self.state.link(link_id)


@contextmanager
def refused(rule, error=RuleViolated):
    with pytest.raises(error) as caught:
        yield caught
    assert caught.value.rule == rule
    assert caught.value.reason
    assert caught.value.remedy


def test_a_link_answers_for_the_seat_it_was_issued_for():
    story = Story()
    link = story.issue(address="alice@example.com")
    assert (link.reviewer, link.seat, link.purpose) == ("alice", "alice", LinkPurpose.ANSWER)
    assert (link.issued_at, link.expires_at, link.revoked_at) == (START, START + DAY, None)
    story.do(ALICE, Approve(link="l1"))
    assert story.state.status is ApprovalStatus.APPROVED
    vote = story.state.vote_by("l1")
    assert (vote.reviewer, vote.seat, vote.link) == ("alice", "alice", "l1")
    assert story.state.link(vote.link).address == "alice@example.com"


@pytest.mark.parametrize("answer", [Approve, RequestChanges, Reject])
def test_a_link_answers_once(answer):
    story = Story(quorum=2)
    story.issue()
    story.do(ALICE, Approve(link="l1"))
    feedback = {} if answer is Approve else {"feedback": "no"}
    with refused("link_used") as caught:
        story.do(ALICE, answer(link="l1", **feedback))
    assert "approved at 2026-01-04T12:00" in caught.value.reason
    assert story.state.status is ApprovalStatus.PENDING


def test_a_seat_votes_once_however_many_links_it_has():
    story = Story(quorum=2)
    story.issue("l1")
    story.issue("l2")
    story.do(ALICE, Approve(link="l2"))
    with refused("already_voted"):
        story.do(ALICE, Approve(link="l1"))
    with refused("already_voted"):
        story.do(ALICE, Approve())
    assert [vote.seat for vote in story.state.votes] == ["alice"]


def test_a_link_expires():
    story = Story()
    story.issue()
    story.now += DAY
    with refused("link_expired"):
        story.do(ALICE, Approve(link="l1"))
    story.do(ALICE, Approve())  # who is asked can answer all the same


def test_a_revoked_link_answers_nothing():
    story = Story()
    for link_id in ("l1", "l2"):
        story.issue(link_id)
    story.issue("l3", "bob")
    assert story.do(BOB, RevokeLinks(links=("l1", "l1"), reason="mailbox lost")) == [
        LinksRevoked(links=("l1",), reason="mailbox lost")
    ]
    assert story.do(BOB, RevokeLinks(links=("l1",))) == []
    with refused("link_revoked"):
        story.do(ALICE, Approve(link="l1"))
    assert story.do(ENGINE, RevokeLinks()) == [LinksRevoked(links=("l2", "l3"))]
    with refused("link_revoked"):
        story.do(BOB, Reject(feedback="no", link="l3"))
    with refused("link_unknown"):
        story.do(ALICE, RevokeLinks(links=("l9",)))
    with refused("no_agent", ActorNotAllowed):
        story.do(agent("g"), RevokeLinks())


def test_a_used_link_needs_no_revocation():
    story = Story(quorum=2)
    story.issue()
    story.do(ALICE, Approve(link="l1"))
    assert story.do(ALICE, RevokeLinks()) == []


def test_a_link_that_shows_a_question_answers_nothing():
    story = Story()
    assert story.issue(reviewer="zoe", purpose=LinkPurpose.VIEW).seat == ""
    story.issue("l2", purpose=LinkPurpose.VIEW)
    with refused("seat", ActorNotAllowed):
        story.do(human("zoe"), Approve(link="l1"))
    with refused("link_purpose"):
        story.do(ALICE, Approve(link="l2"))


def test_a_link_is_good_for_no_other_person_and_no_other_question():
    story = Story()
    story.issue()
    with refused("own_link", ActorNotAllowed):
        story.do(BOB, Approve(link="l1"))
    with refused("link_unknown"):
        story.do(ALICE, Approve(link="l2"))
    other = Story()
    with refused("link_unknown"):
        other.do(ALICE, Approve(link="l1"))


def test_a_link_names_the_commits_like_any_answer():
    story = Story()
    story.issue()
    with pytest.raises(CommandRefused, match="shows a1 of app"):
        story.do(ALICE, Approve(link="l1", commits={"app": "b2"}))
    story.do(ALICE, Approve(link="l1", commits={"app": "a1"}))


def test_a_link_does_not_outlast_the_question():
    story = Story(deadline=START + timedelta(hours=2))
    story.issue()
    story.now += timedelta(hours=2)
    with pytest.raises(QuestionExpired):
        story.do(ALICE, Approve(link="l1"))
    with pytest.raises(QuestionExpired):
        story.issue("l2")
    decided = Story()
    decided.issue()
    decided.do(BOB, Reject(feedback="no"))
    for command in (Approve(link="l1"), RevokeLinks()):
        with pytest.raises(AlreadyAnswered, match="bob"):
            decided.do(ALICE, command)


# --- Seats ------------------------------------------------------------------------------------------------------------


def test_a_delegate_has_a_link_for_the_seat_of_another_until_the_delegation_ends():
    story = Story(quorum=2)
    story.do(ALICE, DelegateApproval(delegate="carol", until=START + timedelta(hours=1)))
    assert story.issue(reviewer="carol").seat == "alice"
    story.now += timedelta(hours=1)
    with refused("delegation_ended", ActorNotAllowed):
        story.do(CAROL, Approve(link="l1"))
    story.do(ALICE, Approve())


def test_a_link_does_not_pass_to_another_seat_of_the_same_person():
    story = Story(reviewers=("alice", "bob", "dave"), quorum=2)
    story.do(ALICE, DelegateApproval(delegate="carol", until=START + timedelta(hours=1)))
    story.issue(reviewer="carol")
    story.do(ALICE, Approve())  # uses her own seat
    with refused("delegation_used"):
        story.do(CAROL, Approve(link="l1"))
    other = Story(reviewers=("alice", "bob"), quorum=2)
    other.do(ALICE, DelegateApproval(delegate="carol", until=START + timedelta(hours=1)))
    assert other.issue(reviewer="carol").seat == "alice"
    other.do(BOB, DelegateApproval(delegate="eve"))
    other.do(human("eve"), DelegateApproval(delegate="frank"))
    with refused("own_link", ActorNotAllowed):
        other.do(human("frank"), Approve(link="l1"))


def test_a_link_of_one_level_is_none_for_the_next():
    story = Story(reviewers=("alice", "bob"), levels=(Level(reviewers=("carol",)),))
    story.issue("l1", "bob")
    with refused("level", ActorNotAllowed):
        story.issue("l2", "carol")
    story.do(ALICE, Approve())
    with refused("level", ActorNotAllowed):
        story.do(BOB, Approve(link="l1"))
    story.issue("l2", "carol")
    story.do(CAROL, Approve(link="l2"))
    assert story.state.status is ApprovalStatus.APPROVED


def test_who_answered_another_way_is_told_so_by_the_link():
    story = Story(quorum=2)
    story.issue()
    story.do(ALICE, Approve())
    with refused("already_voted"):
        story.do(ALICE, Approve(link="l1"))


# --- Issuing ----------------------------------------------------------------------------------------------------------


def test_no_one_gets_a_link_of_another_person():
    story = Story(quorum=2)
    story.issue(by=ALICE)
    with refused("own_link", ActorNotAllowed):
        story.issue("l2", "bob", by=ALICE)
    with refused("own_link", ActorNotAllowed):
        story.issue("l2", "bob", by=ALICE, purpose=LinkPurpose.VIEW)
    with refused("seat", ActorNotAllowed):
        story.issue("l2", "alice", by=agent("alice"))
    with refused("observer", ActorNotAllowed):
        story.issue("l2", "alice", by=observer("alice"))


@pytest.mark.parametrize("by", [ENGINE, POLICY, CAROL])
def test_who_is_not_asked_gets_no_link_that_answers(by):
    with refused("seat", ActorNotAllowed):
        Story().issue(reviewer="carol", by=by)


def test_who_may_not_decide_gets_no_link_that_answers():
    with refused("self_approval", ActorNotAllowed):
        Story(barred=("carol",)).issue(reviewer="carol")


def test_who_has_voted_gets_no_link():
    story = Story(quorum=2)
    story.do(ALICE, Approve())
    with refused("already_voted"):
        story.issue()


@pytest.mark.parametrize("name", ["", " ", "agent:x", "a\nb", " alice"])
def test_a_link_is_for_a_person_with_a_name(name):
    with refused("reviewer"):
        Story().issue(reviewer=name)


@pytest.mark.parametrize("after", [timedelta(0), -DAY, LINK_LIFETIME + timedelta(seconds=1)])
def test_a_link_lives_for_a_while(after):
    with refused("expires_at"):
        Story().issue(after=after)
    Story().issue(after=LINK_LIFETIME)


def test_a_time_without_a_zone_is_no_end():
    with refused("expires_at"):
        Story().do(ENGINE, IssueLink(link_id="l1", reviewer="alice", expires_at=datetime(2026, 1, 5)))  # noqa: DTZ001


@pytest.mark.parametrize("address", ["a@b\nBcc: c@d", "x" * (ADDRESS_LIMIT + 1), "a\u202eb", "\0"])
def test_an_address_is_one_line(address):
    with refused("address"):
        Story().issue(address=address)


@pytest.mark.deep
def test_the_links_of_a_question_are_counted_and_distinct():
    story = Story()
    story.issue()
    with refused("link_id"):
        story.issue()
    for number in range(1, LINK_LIMIT):
        story.issue(f"n{number}")
    with refused("links"):
        story.issue("one more")
    story.do(ALICE, Approve(link="l1"))
    assert [event.event.ballot.link for event in story.facts if isinstance(event.event, VoteCast)] == ["l1"]
