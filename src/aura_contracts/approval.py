"""Approval: a question to humans, and what they said (specification, "Approval", "Approval Timeouts").

    pending ──► approved         as many distinct approvals as the quorum asks for, or the policy's
            ──► rejected         by any one of those who may decide, with the reason
            ──► needs_changes    by any one of those who may decide, with what should be different
            ──► expired          nobody decided before the deadline: silence is no, unless configured otherwise
            ──► withdrawn        the question was taken back

Who may decide holds a **seat**: the reviewers (creator and assigned), and those it was escalated to. A delegation
hands a seat on, it does not multiply it: a seat votes once, by its holder or by whoever it was delegated to, and a
human votes once. So a quorum of two always means two of the people who were asked, and two people who looked.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor, actor_kind, system
from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event, Instant
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId, WorkflowId

POLICY = system("policy")
"""The one actor beside humans that may decide: a rule that humans configured."""

REMIND_AFTER = 24 * 3600.0
"""Seconds until a reminder is sent, and between reminders (specification, "Approval Timeouts")."""

ESCALATE_AFTER = 48 * 3600.0
"""Seconds until the question is put to others as well (specification, "Approval Timeouts")."""


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalKind(StrEnum):
    """What is asked about."""

    PLAN = "plan"
    CHANGES = "changes"
    TOOL_CALL = "tool_call"
    """An agent wants to use a tool and waits for permission."""
    DECOMPOSITION = "decomposition"
    MERGE_CONFLICT = "merge_conflict"
    QUESTION = "question"
    """An agent asks something in the middle of its work; what follows from the answer is up to the agent."""
    WORKFLOW_STEP = "workflow_step"


class ApprovalDecision(StrEnum):
    """The three answers of the specification, section "Approval"."""

    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"


class OnExpiry(StrEnum):
    """What silence means."""

    DENY = "deny"
    CONTINUE = "continue"
    """The work goes on without approval (specification, "Approval Timeouts": configurable)."""


class Remember(StrEnum):
    """For how long the answer to a tool call holds."""

    ONCE = "once"
    SESSION = "session"
    """For the same call in the same session of the agent."""
    TASK = "task"
    """For the same call in all runs of the task."""
    PATTERN = "pattern"
    """For all calls that the given pattern matches."""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """The tool call that an agent asks permission for; secrets in `arguments` are redacted before it gets here.

    `fingerprint` is the digest by which the same call is recognised, in a resumed session too. `diff` is what the call
    would change, as a unified diff, where that is known beforehand.
    """

    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None


class Ballot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one human said. `seat` is whose vote it was: the reviewer's own name, or that of who delegated to them."""

    reviewer: str
    seat: str
    decision: ApprovalDecision
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Vote(Ballot, frozen=True, kw_only=True, gc=False):
    """A ballot and when it was cast."""

    time: datetime


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What humans are asked: about what, whom, and what happens while they are silent."""

    kind: ApprovalKind
    reviewers: tuple[str, ...]
    """Names of the humans who may decide from the start: the creator and those assigned."""
    task_id: TaskId | None = None
    execution_id: ExecutionId | None = None
    workflow_id: WorkflowId | None = None
    step_id: str | None = None
    proposed_solution: str = ""
    confidence: float | None = None
    """How sure the agent is, 0 to 1."""
    choices: tuple[str, ...] = ()
    """What may be chosen from, where the question offers choices."""
    tool_call: ToolCall | None = None
    commits: dict[str, str] = {}
    """Repository -> the commit that is proposed: what was approved is this, and nothing that came later."""
    quorum: int = 1
    """How many of the reviewers have to approve."""
    deadline: Instant | None = None
    on_expiry: OnExpiry = OnExpiry.DENY
    remind_after: float | None = REMIND_AFTER
    """Seconds until the first reminder, and between reminders; None: never."""
    escalate_after: float | None = ESCALATE_AFTER
    """Seconds until the question is put to `escalate_to` as well; None: never."""
    escalate_to: tuple[str, ...] = ()
    """Names of those to whom it would be escalated."""


# --- Events -----------------------------------------------------------------------------------------------------------


class ApprovalRequested(Event, frozen=True, kw_only=True):
    """Humans were asked to decide."""

    topic = "approval.requested"
    approval_id: ApprovalId
    requested_by: Actor
    question: Question

    @property
    def task_id(self) -> TaskId | None:
        """The task that the question is about."""
        return self.question.task_id


class VoteCast(Event, frozen=True, kw_only=True):
    """A human gave their answer, for themselves or for who delegated to them."""

    topic = "approval.vote_cast"
    ballot: Ballot


class ApprovalDelegated(Event, frozen=True, kw_only=True):
    """Somebody who may decide asked another human to decide in their place."""

    topic = "approval.delegated"
    delegator: str
    delegate: str
    reason: str = ""


class ReminderSent(Event, frozen=True, kw_only=True):
    """Those who had not answered were reminded."""

    topic = "approval.reminder_sent"
    number: int
    to: tuple[str, ...]


class ApprovalEscalated(Event, frozen=True, kw_only=True):
    """The question waited for too long and was put to more humans, who may decide too."""

    topic = "approval.escalated"
    to: tuple[str, ...]


class ApprovalGranted(Event, frozen=True, kw_only=True):
    """Everybody whose approval was needed, or the policy, said yes."""

    topic = "approval.approved"
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class ApprovalRejected(Event, frozen=True, kw_only=True):
    """A human, or the policy, said no, with the reason."""

    topic = "approval.rejected"
    feedback: str


class ApprovalChangesRequested(Event, frozen=True, kw_only=True):
    """A human, or the policy, said what should be different first."""

    topic = "approval.changes_requested"
    feedback: str


class ApprovalExpired(Event, frozen=True, kw_only=True):
    """Nobody decided before the deadline; `continued` says whether the work goes on without approval."""

    topic = "approval.expired"
    continued: bool = False


class ApprovalWithdrawn(Event, frozen=True, kw_only=True):
    """The question was taken back before it was decided."""

    topic = "approval.withdrawn"
    reason: str = ""


# --- State ------------------------------------------------------------------------------------------------------------


class Approval(Question, State, frozen=True, kw_only=True):
    """What an approval is at some moment. Times are aware and None until they have come."""

    id: ApprovalId
    status: ApprovalStatus
    requested_by: Actor
    requested_at: datetime
    delegations: dict[str, str] = {}
    """Who may decide -> whom they delegated to last."""
    votes: tuple[Vote, ...] = ()
    remind_at: datetime | None = None
    """When the next reminder is due."""
    reminders: int = 0
    escalate_at: datetime | None = None
    escalated_to: tuple[str, ...] = ()
    """Names of those to whom it was escalated."""
    decision: ApprovalDecision | None = None
    feedback: str | None = None
    reviewed_by: Actor | None = None
    """Who decided: of several approvals the last, or the policy."""
    responded_at: datetime | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None
    closed_at: datetime | None = None
    """When the approval ended, however it ended."""

    @property
    def granted(self) -> bool:
        """Whether what was asked for may be done: it was approved, or silence was configured to mean yes."""
        continued = self.status is ApprovalStatus.EXPIRED and self.on_expiry is OnExpiry.CONTINUE
        return continued or self.status is ApprovalStatus.APPROVED

    @property
    def automatic(self) -> bool:
        """Whether a policy decided, not a human."""
        return self.reviewed_by is not None and actor_kind(self.reviewed_by) == "system"

    @property
    def seats(self) -> tuple[str, ...]:
        """Names of those who may decide in their own right."""
        return (*self.reviewers, *self.escalated_to)

    @property
    def open_seats(self) -> tuple[str, ...]:
        """The seats that have not voted."""
        voted = {vote.seat for vote in self.votes}
        return tuple(seat for seat in self.seats if seat not in voted)

    def holders(self, seat: str) -> tuple[str, ...]:
        """Return who may vote from `seat`: its owner, their delegate, the delegate's delegate, and so on."""
        names = [seat]
        while (delegate := self.delegations.get(names[-1])) is not None and delegate not in names:
            names.append(delegate)
        return tuple(names)

    def seats_of(self, name: str) -> tuple[str, ...]:
        """Return the seats from which `name` may vote, their own first; none for somebody who may not decide."""
        held = [seat for seat in self.seats if name in self.holders(seat)]
        return tuple(sorted(held, key=lambda seat: seat != name))

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of all whose answer would still count."""
        voted = {vote.reviewer for vote in self.votes}
        names = dict.fromkeys(name for seat in self.open_seats for name in self.holders(seat))
        return tuple(name for name in names if name not in voted)


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestApproval(Command[Approval], frozen=True, kw_only=True):
    """Ask humans to decide.

    `requested_by` None means the actor; only AURA asks on behalf of others.
    """

    emits = (ApprovalRequested,)
    approval_id: ApprovalId
    question: Question
    requested_by: Actor | None = None


class Approve(Command[Approval], frozen=True, kw_only=True):
    """Say yes. `remember` (and with it `pattern`) is for tool calls; of several approvals all must ask for the same."""

    emits = (VoteCast, ApprovalGranted)
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Reject(Command[Approval], frozen=True, kw_only=True):
    """Say no, with the reason."""

    emits = (VoteCast, ApprovalRejected)
    feedback: str


class RequestChanges(Command[Approval], frozen=True, kw_only=True):
    """Say what should be different first."""

    emits = (VoteCast, ApprovalChangesRequested)
    feedback: str


class DelegateApproval(Command[Approval], frozen=True, kw_only=True):
    """Ask another human, by name, to decide in one's place; a later delegation replaces an earlier one."""

    emits = (ApprovalDelegated,)
    delegate: str
    reason: str = ""


class RemindReviewers(Command[Approval], frozen=True, kw_only=True):
    """Remind those who have not answered, once it is due."""

    emits = (ReminderSent,)


class EscalateApproval(Command[Approval], frozen=True, kw_only=True):
    """Put the question to more humans, once it is due; `to` empty means those named in the request."""

    emits = (ApprovalEscalated,)
    to: tuple[str, ...] = ()


class ExpireApproval(Command[Approval], frozen=True, kw_only=True):
    """Close the question, since its deadline has passed."""

    emits = (ApprovalExpired,)


class WithdrawApproval(Command[Approval], frozen=True, kw_only=True):
    """Take the question back."""

    emits = (ApprovalWithdrawn,)
    reason: str = ""


# --- Table ------------------------------------------------------------------------------------------------------------

_S = ApprovalStatus

_TABLE: Table = MappingProxyType(
    {
        None: {ApprovalRequested: _S.PENDING},
        _S.PENDING: {
            VoteCast: _S.PENDING,
            ApprovalDelegated: _S.PENDING,
            ReminderSent: _S.PENDING,
            ApprovalEscalated: _S.PENDING,
            ApprovalGranted: _S.APPROVED,
            ApprovalRejected: _S.REJECTED,
            ApprovalChangesRequested: _S.NEEDS_CHANGES,
            ApprovalExpired: _S.EXPIRED,
            ApprovalWithdrawn: _S.WITHDRAWN,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _after(time: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else time + timedelta(seconds=seconds)


def _requested(_: None, event: ApprovalRequested, fact: HappenedFact, status: ApprovalStatus) -> Approval:
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


def _vote_cast(state: Approval, event: VoteCast, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    vote = Vote(time=fact.time, **asdict(event.ballot))
    return replace(state, status=status, votes=(*state.votes, vote))


def _delegated(state: Approval, event: ApprovalDelegated, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    return replace(state, status=status, delegations={**state.delegations, event.delegator: event.delegate})


def _reminded(state: Approval, event: ReminderSent, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    remind_at = _after(fact.time, state.remind_after)
    return replace(state, status=status, reminders=event.number, remind_at=remind_at)


def _escalated(state: Approval, event: ApprovalEscalated, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    return replace(state, status=status, escalated_to=(*state.escalated_to, *event.to))


def _granted(state: Approval, event: ApprovalGranted, fact: HappenedFact, status: ApprovalStatus) -> Approval:
    decided = _decided(state, event, fact, status)
    return replace(decided, remember=event.remember, pattern=event.pattern)


def _decided(
    state: Approval,
    event: ApprovalGranted | ApprovalRejected | ApprovalChangesRequested,
    fact: HappenedFact,
    status: ApprovalStatus,
) -> Approval:
    return replace(
        state,
        status=status,
        decision=ApprovalDecision(status),
        feedback=event.feedback,
        reviewed_by=fact.actor,
        responded_at=fact.time,
        closed_at=fact.time,
        remind_at=None,
        escalate_at=None,
    )


def _closed(
    state: Approval, event: ApprovalExpired | ApprovalWithdrawn, fact: HappenedFact, status: ApprovalStatus
) -> Approval:
    return replace(state, status=status, closed_at=fact.time, remind_at=None, escalate_at=None)


_EVOLVERS: Mapping[type[Event], Evolve[Approval]] = MappingProxyType(
    {
        ApprovalRequested: _requested,
        VoteCast: _vote_cast,
        ApprovalDelegated: _delegated,
        ReminderSent: _reminded,
        ApprovalEscalated: _escalated,
        ApprovalGranted: _granted,
        ApprovalRejected: _decided,
        ApprovalChangesRequested: _decided,
        ApprovalExpired: _closed,
        ApprovalWithdrawn: _closed,
    }
)

APPROVAL = Aggregate(
    name="approval",
    state=Approval,
    statuses=ApprovalStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
    commands=(
        RequestApproval,
        Approve,
        Reject,
        RequestChanges,
        DelegateApproval,
        RemindReviewers,
        EscalateApproval,
        ExpireApproval,
        WithdrawApproval,
    ),
)
