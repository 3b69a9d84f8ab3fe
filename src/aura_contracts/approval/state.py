"""The state of approvals, its transition table and its evolvers: see `aura_contracts.approval`."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor, actor_kind
from aura_contracts.aggregate import (
    ACTOR,
    TIME,
    Aggregate,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.approval import event_types as events
from aura_contracts.approval.evidence import PolicyDecision
from aura_contracts.approval.values import (
    ApprovalDecision,
    ApprovalStatus,
    Comment,
    Delegation,
    IssuedLink,
    Level,
    OnExpiry,
    Question,
    Remember,
    Vote,
)
from aura_contracts.events import Event
from aura_contracts.ids import ApprovalId


class Approval(Question, State, frozen=True, kw_only=True):
    """The state of an approval. Times are aware, and None until they happen."""

    id: ApprovalId
    status: ApprovalStatus
    requested_by: Actor
    requested_at: datetime
    level: int = 1
    """The level that is asked, or that decided: 1 for the reviewers, then those of `levels`."""
    delegations: dict[str, Delegation] = {}
    """Delegator -> their latest delegation."""
    votes: tuple[Vote, ...] = ()
    comments: tuple[Comment, ...] = ()
    """Those written on this question, oldest first."""
    links: tuple[IssuedLink, ...] = ()
    """Oldest first."""
    remind_at: datetime | None = None
    """When the next reminder is due: after some time, or when a delegation ends."""
    reminders: int = 0
    escalate_at: datetime | None = None
    escalated_to: tuple[str, ...] = ()
    """Names of the humans it was escalated to."""
    waits_since: datetime
    """When the people it waits for were asked or reminded last. The next reminder counts from here.

    This and the two that follow are the moments from which times count: see `ApprovalTimesMoved`, which moves them.
    """
    level_since: datetime
    """When its level was asked. The escalation counts from here."""
    open_since: datetime
    """When it was asked. The deadline counts from here, and how long it has waited."""
    decision: ApprovalDecision | None = None
    feedback: str | None = None
    reviewed_by: Actor | None = None
    """Who decided: the last of several approvers, or the policy."""
    responded_at: datetime | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None
    closed_at: datetime | None = None
    """When the approval ended, for whatever reason."""
    withdrawal_reason: str = ""
    policy: PolicyDecision | None = None
    """What the policies in force said; None if there were none."""

    @property
    def granted(self) -> bool:
        """Whether the request may proceed: it was approved, or it expired and expiry means to continue."""
        continues = self.on_expiry is OnExpiry.CONTINUE and not self.needs_human
        return self.status is ApprovalStatus.APPROVED or (self.status is ApprovalStatus.EXPIRED and continues)

    @property
    def needs_human(self) -> bool:
        """Whether a policy says that only a human may approve it."""
        return self.policy is not None and self.policy.holds_back

    @property
    def automatic(self) -> bool:
        """Whether the policy decided rather than a human."""
        return self.reviewed_by is not None and actor_kind(self.reviewed_by) == "system"

    @property
    def stages(self) -> tuple[Level, ...]:
        """All levels, the first one included."""
        return (Level(reviewers=self.reviewers, quorum=self.quorum), *self.levels)

    @property
    def asked(self) -> Level:
        """The level that is asked, or that decided."""
        return self.stages[min(max(self.level, 1), len(self.stages)) - 1]

    @property
    def seats(self) -> tuple[str, ...]:
        """Names of the humans who may decide now in their own right."""
        return (*self.asked.reviewers, *self.escalated_to)

    @property
    def escalation(self) -> tuple[str, ...]:
        """Names of the humans whom an escalation would ask: those named in the request who are not asked already."""
        return self.not_asked(self.escalate_to)

    def not_asked(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of `names` who may be asked and are not asked yet, at any level, each once."""
        asked = {*self.barred, *self.escalated_to, *(name for level in self.stages for name in level.reviewers)}
        known = asked | {vote.reviewer for vote in self.votes}
        return tuple(name for name in dict.fromkeys(names) if name.strip() and name not in known)

    @property
    def level_votes(self) -> tuple[Vote, ...]:
        """The votes at the level that is asked."""
        return tuple(vote for vote in self.votes if vote.level == self.level)

    @property
    def open_seats(self) -> tuple[str, ...]:
        """The seats that have not voted."""
        voted = {vote.seat for vote in self.level_votes}
        return tuple(seat for seat in self.seats if seat not in voted)

    def holders(self, seat: str, now: datetime | None = None) -> tuple[str, ...]:
        """Return who may vote for `seat` at `now`: its owner, their delegate, the delegate's delegate, and so on.

        Without a time, delegations that have ended count as well.
        """
        names = [seat]
        while (found := self.delegations.get(names[-1])) is not None and found.holds(now):
            if found.delegate in names:
                break
            names.append(found.delegate)
        return tuple(names)

    def seats_of(self, name: str, now: datetime | None = None) -> tuple[str, ...]:
        """Return the seats that `name` may vote for at `now`, their own first; empty if they may not decide."""
        held = [seat for seat in self.seats if name in self.holders(seat, now)]
        return tuple(sorted(held, key=lambda seat: seat != name))

    def link(self, link_id: str | None) -> IssuedLink | None:
        """Return the link with this id; None without one."""
        return next((link for link in self.links if link.id == link_id), None)

    def vote_by(self, link_id: str) -> Vote | None:
        """Return the vote that was cast with a link; None if it was not used."""
        return next((vote for vote in self.votes if vote.link == link_id), None)

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of everyone whose answer would still count, of delegates even if the delegation has ended."""
        return self.awaited_at(None)

    def awaited_at(self, now: datetime | None) -> tuple[str, ...]:
        """Return the names of everyone whose answer would count at `now`."""
        voted = {vote.reviewer for vote in self.votes}
        names = dict.fromkeys(name for seat in self.open_seats for name in self.holders(seat, now))
        return tuple(name for name in names if name not in voted)


# --- Table ------------------------------------------------------------------------------------------------------------


_S = ApprovalStatus

_TABLE: Table = MappingProxyType(
    {
        None: {events.ApprovalRequested: _S.PENDING},
        _S.PENDING: {
            events.PoliciesApplied: _S.PENDING,
            events.VoteCast: _S.PENDING,
            events.LevelApproved: _S.PENDING,
            events.ApprovalDelegated: _S.PENDING,
            events.CommentAdded: _S.PENDING,
            events.LinkIssued: _S.PENDING,
            events.LinksRevoked: _S.PENDING,
            events.ReminderSent: _S.PENDING,
            events.ApprovalEscalated: _S.PENDING,
            events.ApprovalTimesMoved: _S.PENDING,
            events.ApprovalGranted: _S.APPROVED,
            events.ApprovalRejected: _S.REJECTED,
            events.ApprovalChangesRequested: _S.NEEDS_CHANGES,
            events.ApprovalExpired: _S.EXPIRED,
            events.ApprovalWithdrawn: _S.WITHDRAWN,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _after(time: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else time + timedelta(seconds=seconds)


def _reminder(state: Approval, time: datetime) -> datetime | None:
    """Return when the next reminder is due, as seen at `time`: also when a delegation ends.

    The seat is its owner's again then, who may not have looked at the question for as long.
    """
    ends = [one.until for one in state.delegations.values() if one.until is not None and one.until > time]
    next_one = _after(time, state.remind_after)
    return min(ends if next_one is None else [next_one, *ends], default=None)


def _requested(_: None, event: events.ApprovalRequested, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    question = event.question
    return Approval(
        id=event.approval_id,
        status=status,
        requested_by=event.requested_by,
        requested_at=fact.time,
        remind_at=_after(fact.time, question.remind_after),
        escalate_at=_after(fact.time, question.escalate_after),
        waits_since=fact.time,
        level_since=fact.time,
        open_since=fact.time,
        **asdict(question),
    )


def _vote_cast(state: Approval, event: events.VoteCast, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    vote = Vote(time=fact.time, **asdict(event.ballot))
    return replace(state, status=status, votes=(*state.votes, vote))


def _delegated(
    state: Approval, event: events.ApprovalDelegated, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    delegation = Delegation(delegate=event.delegate, until=event.until, reason=event.reason)
    due = [time for time in (state.remind_at, event.until) if time is not None]
    delegations = {**state.delegations, event.delegator: delegation}
    return replace(state, status=status, delegations=delegations, remind_at=min(due, default=None))


def _commented(state: Approval, event: events.CommentAdded, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    return replace(state, status=status, comments=(*state.comments, event.comment))


def _link_issued(state: Approval, event: events.LinkIssued, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    link = IssuedLink(issued_at=fact.time, **asdict(event.link))
    return replace(state, status=status, links=(*state.links, link))


def _links_revoked(state: Approval, event: events.LinksRevoked, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    links = (replace(link, revoked_at=fact.time) if link.id in event.links else link for link in state.links)
    return replace(state, status=status, links=tuple(links))


def _level_approved(
    state: Approval, event: events.LevelApproved, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    """Ask the next level. Its time begins now; the people that the last one was escalated to are not part of it."""
    return replace(
        state,
        status=status,
        level=event.level + 1,
        escalated_to=(),
        remind_at=_reminder(state, fact.time),
        escalate_at=_after(fact.time, state.escalate_after),
        waits_since=fact.time,
        level_since=fact.time,
    )


def _reminded(state: Approval, event: events.ReminderSent, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    remind_at = _reminder(state, fact.time)
    return replace(state, status=status, reminders=event.number, remind_at=remind_at, waits_since=fact.time)


def _escalated(
    state: Approval, event: events.ApprovalEscalated, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    return replace(state, status=status, escalated_to=(*state.escalated_to, *event.to))


def _times_moved(
    state: Approval, event: events.ApprovalTimesMoved, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    moved: dict[str, datetime | None] = {}
    if event.reminder:
        moved |= {"waits_since": fact.time, "remind_at": _reminder(state, fact.time)}
    if event.escalation and state.escalate_at is not None:
        moved |= {"level_since": fact.time, "escalate_at": _after(state.escalate_at, -event.escalation)}
    if event.deadline:
        deadline = None if state.deadline is None else _after(state.deadline, -event.deadline)
        moved |= {"open_since": fact.time, "deadline": deadline}
    return replace(state, status=status, **moved)


_CLOSED: Mapping[str, object] = MappingProxyType({"closed_at": TIME, "remind_at": None, "escalate_at": None})


def _decided(decision: ApprovalDecision, *copied: str) -> Evolve[Approval]:
    return sets("feedback", *copied, decision=decision, reviewed_by=ACTOR, responded_at=TIME, **_CLOSED)


_EVOLVERS: Mapping[type[Event], Evolve[Approval]] = MappingProxyType(
    {
        events.ApprovalRequested: _requested,
        events.PoliciesApplied: sets(policy=given("decision")),
        events.VoteCast: _vote_cast,
        events.LevelApproved: _level_approved,
        events.ApprovalDelegated: _delegated,
        events.CommentAdded: _commented,
        events.LinkIssued: _link_issued,
        events.LinksRevoked: _links_revoked,
        events.ReminderSent: _reminded,
        events.ApprovalEscalated: _escalated,
        events.ApprovalTimesMoved: _times_moved,
        events.ApprovalGranted: _decided(ApprovalDecision.APPROVED, "remember", "pattern"),
        events.ApprovalRejected: _decided(ApprovalDecision.REJECTED),
        events.ApprovalChangesRequested: _decided(ApprovalDecision.NEEDS_CHANGES),
        events.ApprovalExpired: sets(**_CLOSED),
        events.ApprovalCommandRefused: status_only,
        events.ApprovalWithdrawn: sets(withdrawal_reason=given("reason"), **_CLOSED),
    }
)

APPROVAL = Aggregate(
    name="approval",
    state=Approval,
    statuses=ApprovalStatus,
    table=in_every_status(_TABLE, events.ApprovalCommandRefused, ApprovalStatus),
    after_the_end=frozenset({events.ApprovalCommandRefused}),
    evolvers=_EVOLVERS,
    snapshot_version=2,
)
