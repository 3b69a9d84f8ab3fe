"""The state of approvals, its transition table and its evolvers: see `aura_contracts.approval`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor, actor_kind
from aura_contracts.aggregate import ACTOR, TIME, Aggregate, Evolve, HappenedFact, State, Table, sets
from aura_contracts.approval import event_types as events
from aura_contracts.approval.values import ApprovalDecision, ApprovalStatus, OnExpiry, Question, Remember, Vote
from aura_contracts.events import Event
from aura_contracts.ids import ApprovalId


class Approval(Question, State, frozen=True, kw_only=True):
    """The state of an approval. Times are aware, and None until they happen."""

    id: ApprovalId
    status: ApprovalStatus
    requested_by: Actor
    requested_at: datetime
    delegations: dict[str, str] = {}
    """Delegator -> their latest delegate."""
    votes: tuple[Vote, ...] = ()
    remind_at: datetime | None = None
    """When the next reminder is due."""
    reminders: int = 0
    escalate_at: datetime | None = None
    escalated_to: tuple[str, ...] = ()
    """Names of the humans it was escalated to."""
    decision: ApprovalDecision | None = None
    feedback: str | None = None
    reviewed_by: Actor | None = None
    """Who decided: the last of several approvers, or the policy."""
    responded_at: datetime | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None
    closed_at: datetime | None = None
    """When the approval ended, for whatever reason."""

    @property
    def granted(self) -> bool:
        """Whether the request may proceed: it was approved, or it expired and expiry means to continue."""
        continued = self.status is ApprovalStatus.EXPIRED and self.on_expiry is OnExpiry.CONTINUE
        return continued or self.status is ApprovalStatus.APPROVED

    @property
    def automatic(self) -> bool:
        """Whether the policy decided rather than a human."""
        return self.reviewed_by is not None and actor_kind(self.reviewed_by) == "system"

    @property
    def seats(self) -> tuple[str, ...]:
        """Names of the humans who may decide in their own right."""
        return (*self.reviewers, *self.escalated_to)

    @property
    def open_seats(self) -> tuple[str, ...]:
        """The seats that have not voted."""
        voted = {vote.seat for vote in self.votes}
        return tuple(seat for seat in self.seats if seat not in voted)

    def holders(self, seat: str) -> tuple[str, ...]:
        """Return who may vote for `seat`: its owner, their delegate, the delegate's delegate, and so on."""
        names = [seat]
        while (delegate := self.delegations.get(names[-1])) is not None and delegate not in names:
            names.append(delegate)
        return tuple(names)

    def seats_of(self, name: str) -> tuple[str, ...]:
        """Return the seats that `name` may vote for, their own first; empty if they may not decide."""
        held = [seat for seat in self.seats if name in self.holders(seat)]
        return tuple(sorted(held, key=lambda seat: seat != name))

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of everyone whose answer would still count."""
        voted = {vote.reviewer for vote in self.votes}
        names = dict.fromkeys(name for seat in self.open_seats for name in self.holders(seat))
        return tuple(name for name in names if name not in voted)


# --- Table ------------------------------------------------------------------------------------------------------------


_S = ApprovalStatus

_TABLE: Table = MappingProxyType(
    {
        None: {events.ApprovalRequested: _S.PENDING},
        _S.PENDING: {
            events.VoteCast: _S.PENDING,
            events.ApprovalDelegated: _S.PENDING,
            events.ReminderSent: _S.PENDING,
            events.ApprovalEscalated: _S.PENDING,
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


def _requested(_: None, event: events.ApprovalRequested, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    question = event.question
    return Approval(
        id=event.approval_id,
        status=status,
        requested_by=event.requested_by,
        requested_at=fact.time,
        remind_at=_after(fact.time, question.remind_after),
        escalate_at=_after(fact.time, question.escalate_after),
        **asdict(question),
    )


def _vote_cast(state: Approval, event: events.VoteCast, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    vote = Vote(time=fact.time, **asdict(event.ballot))
    return replace(state, status=status, votes=(*state.votes, vote))


def _delegated(
    state: Approval, event: events.ApprovalDelegated, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    return replace(state, status=status, delegations={**state.delegations, event.delegator: event.delegate})


def _reminded(state: Approval, event: events.ReminderSent, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    remind_at = _after(fact.time, state.remind_after)
    return replace(state, status=status, reminders=event.number, remind_at=remind_at)


def _escalated(
    state: Approval, event: events.ApprovalEscalated, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    return replace(state, status=status, escalated_to=(*state.escalated_to, *event.to))


_CLOSED: Mapping[str, object] = MappingProxyType({"closed_at": TIME, "remind_at": None, "escalate_at": None})


def _decided(decision: ApprovalDecision, *copied: str) -> Evolve[Approval]:
    return sets("feedback", *copied, decision=decision, reviewed_by=ACTOR, responded_at=TIME, **_CLOSED)


_EVOLVERS: Mapping[type[Event], Evolve[Approval]] = MappingProxyType(
    {
        events.ApprovalRequested: _requested,
        events.VoteCast: _vote_cast,
        events.ApprovalDelegated: _delegated,
        events.ReminderSent: _reminded,
        events.ApprovalEscalated: _escalated,
        events.ApprovalGranted: _decided(ApprovalDecision.APPROVED, "remember", "pattern"),
        events.ApprovalRejected: _decided(ApprovalDecision.REJECTED),
        events.ApprovalChangesRequested: _decided(ApprovalDecision.NEEDS_CHANGES),
        events.ApprovalExpired: sets(**_CLOSED),
        events.ApprovalWithdrawn: sets(**_CLOSED),
    }
)

APPROVAL = Aggregate(
    name="approval",
    state=Approval,
    statuses=ApprovalStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
