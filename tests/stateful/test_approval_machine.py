"""Approvals under any sequence of commands: a model that knows people, seats and levels decides beside them.

The model repeats the promises in other words than the engine: nothing is approved unless as many of the people asked
at each level voted for it as that level demands, each of them once, whom they delegated to included.
"""

from datetime import timedelta

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.json import encode
from msgspec.structs import replace

from aura_contracts.actors import actor_kind, actor_name, agent, human
from aura_contracts.actors import system as part
from aura_contracts.approval import (
    APPROVAL,
    POLICY,
    ApprovalDecision,
    ApprovalKind,
    Approve,
    DelegateApproval,
    EscalateApproval,
    ExpireApproval,
    IssueLink,
    Level,
    LinkPurpose,
    Question,
    Reject,
    RequestApproval,
    RequestChanges,
    RevokeLinks,
    VoteCast,
    WithdrawApproval,
)
from aura_contracts.errors import CommandRefused
from aura_contracts.events import Fact
from aura_contracts.first_use import decode_json
from aura_engine.decisions import Context
from aura_engine.decisions.approval import APPROVAL_DECIDER
from strategies import EPOCH, IDS

NAMES = ("alice", "bob", "carol", "dave", "eve", "frank")
ENGINE = part("engine")
ACTORS = (*map(human, NAMES), agent("alice"), ENGINE, POLICY)
ENDS = (WithdrawApproval(), RequestChanges(feedback="more"))
ANSWERS = (Approve(), Approve(commits={"app": "a1"}), Approve(commits={"app": "b2"}), Reject(feedback="no"))


class Approvals(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.facts, self.now, self.ended = [], EPOCH, False
        self.delegates: dict[str, tuple[str, object]] = {}

    @property
    def state(self):
        return APPROVAL.fold(self.facts)

    def do(self, actor, command):
        """Give a command; return the events, or None for a refusal, which changes nothing."""
        before = self.state
        try:
            decision = APPROVAL_DECIDER.decide(IDS[0], before, command, Context(actor=actor, now=self.now))
        except CommandRefused:
            assert self.state == before
            return None
        self.facts += [Fact(event, self.now, actor, "", "") for event in decision.events]
        stored = [replace(fact, event=decode_json(encode(fact.event), type(fact.event))) for fact in self.facts]
        assert decision.state == self.state == APPROVAL.fold(stored), "replay equals live state"
        assert not (self.ended and decision.events), "terminal means terminal"
        self.ended = self.state.final
        return decision.events

    @initialize(
        people=st.permutations(NAMES),
        first=st.integers(1, 2),
        quorum=st.integers(1, 2),
        later=st.integers(0, 2),
        barred=st.booleans(),
        deadline=st.booleans(),
    )
    def ask(self, people, first, quorum, later, barred, deadline):
        self.levels = [people[:first], *([people[first + number]] for number in range(later))]
        self.quorums = [quorum, *([1] * later)]
        self.barred = people[-1:] if barred else []
        question = Question(
            kind=ApprovalKind.PLAN,
            task_id=IDS[1],
            proposed_solution="build",
            commits={"app": "a1"},
            reviewers=tuple(self.levels[0]),
            quorum=quorum,
            levels=tuple(Level(reviewers=tuple(names)) for names in self.levels[1:]),
            barred=tuple(self.barred),
            escalate_to=("frank",),
            escalate_after=3600.0,
            deadline=EPOCH + timedelta(days=3) if deadline else None,
        )
        later = {name for names in self.levels[1:] for name in names}
        able = {*self.levels[0], "frank"} - later - set(self.barred)
        asked = self.do(ENGINE, RequestApproval(approval_id=IDS[0], question=question))
        assert asked is not None or quorum > len(able)
        assume(asked is not None)

    @rule(actor=st.sampled_from(ACTORS), answer=st.sampled_from(ANSWERS))
    def answer(self, actor, answer):
        before = self.state
        events = self.do(actor, answer)
        if events is None or actor == POLICY:
            return
        name = actor_name(actor)
        assert actor_kind(actor) == "human"
        assert not before.final
        assert name not in self.barred
        assert answer.commits in ({}, {"app": "a1"})
        assert name not in [vote.reviewer for vote in before.votes]
        ballot = events[0].ballot
        assert isinstance(events[0], VoteCast)
        assert ballot.level == before.level
        assert ballot.seat in (*self.levels[ballot.level - 1], *before.escalated_to)
        assert name in self.chain(ballot.seat)

    def chain(self, owner):
        """Return who may vote for a seat now: its owner, and whom they delegated to."""
        names = [owner]
        while names[-1] in self.delegates:
            delegate, until = self.delegates[names[-1]]
            if until is not None and self.now >= until:
                break
            assert delegate not in names, "a delegation never goes in a circle"
            names.append(delegate)
        return names

    @rule(
        actor=st.sampled_from(ACTORS),
        reviewer=st.sampled_from(NAMES),
        purpose=st.sampled_from(LinkPurpose),
        hours=st.sampled_from([1, 20]),
    )
    def issue_link(self, actor, reviewer, purpose, hours):
        before, link_id = self.state, f"l{len(self.state.links)}"
        terms = {"purpose": purpose, "expires_at": self.now + timedelta(hours=hours)}
        if self.do(actor, IssueLink(link_id=link_id, reviewer=reviewer, **terms)) is None:
            return
        assert actor in (human(reviewer), ENGINE, POLICY)
        if purpose is LinkPurpose.ANSWER:
            link = self.state.link(link_id)
            assert link.seat in before.open_seats
            assert reviewer in self.chain(link.seat)

    @rule(data=st.data(), actor=st.sampled_from(ACTORS))
    def revoke_link(self, data, actor):
        if links := self.state.links:
            self.do(actor, RevokeLinks(links=(data.draw(st.sampled_from(links)).id,)))

    @rule(data=st.data(), answer=st.sampled_from(ANSWERS), honest=st.booleans(), other=st.sampled_from(ACTORS))
    def answer_by_link(self, data, answer, honest, other):
        if not (links := self.state.links):
            return
        link = data.draw(st.sampled_from(links))
        used = self.state.vote_by(link.id) is not None
        actor = human(link.reviewer) if honest else other
        events = self.do(actor, replace(answer, link=link.id))
        if events and actor != POLICY:
            ballot = events[0].ballot
            assert (ballot.reviewer, ballot.seat, ballot.link) == (link.reviewer, link.seat, link.id)
            assert (used, link.revoked_at, link.purpose) == (False, None, LinkPurpose.ANSWER)
            assert self.now < link.expires_at
            assert link.reviewer in self.chain(link.seat)

    @rule(actor=st.sampled_from(ACTORS), delegate=st.sampled_from(NAMES), days=st.sampled_from([None, 1]))
    def delegate(self, actor, delegate, days):
        until = None if days is None else self.now + timedelta(days=days)
        if self.do(actor, DelegateApproval(delegate=delegate, until=until)) is not None:
            self.delegates[actor_name(actor)] = (delegate, until)

    @rule(actor=st.sampled_from(ACTORS), hours=st.sampled_from([1, 30]), end=st.booleans())
    def wait(self, actor, hours, end):
        self.now += timedelta(hours=hours)
        self.do(actor, EscalateApproval())
        if end:
            self.do(actor, ExpireApproval())

    @rule(
        actor=st.sampled_from([human("alice"), ENGINE]),
        command=st.sampled_from([WithdrawApproval(), RequestChanges(feedback="more")]),
    )
    def end(self, actor, command):
        self.do(actor, command)

    @invariant()
    def approved_only_as_demanded(self):
        state = self.state
        if state is None or state.decision is not ApprovalDecision.APPROVED or state.automatic:
            return
        seats = [(vote.level, vote.seat) for vote in state.votes]
        voters = [vote.reviewer for vote in state.votes]
        assert len(set(voters)) == len(voters)
        assert len(set(seats)) == len(seats)
        links = [vote.link for vote in state.votes if vote.link is not None]
        assert len(set(links)) == len(links)
        assert {vote.decision for vote in state.votes} == {ApprovalDecision.APPROVED}
        for number, quorum in enumerate(self.quorums, 1):
            assert sum(level == number for level, _ in seats) == quorum

    @invariant()
    def somebody_can_always_decide(self):
        state = self.state
        if state is not None and not state.final:
            voted = {vote.reviewer for vote in state.votes}
            able = [seat for seat in state.open_seats if set(state.holders(seat, self.now)) - voted]
            assert len(able) + len(state.level_votes) >= state.asked.quorum or state.escalate_to


TestApprovals = Approvals.TestCase
TestApprovals.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
