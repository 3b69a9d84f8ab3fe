"""Approval: a question to humans, and their answer (specification, "Approval", "Approval Timeouts").

    pending ──► approved         the quorum of distinct approvals was reached, or the policy approved
            ──► rejected         by any one reviewer, with a reason
            ──► needs_changes    by any one reviewer, with the changes wanted
            ──► expired          no decision before the deadline: this means no, unless configured otherwise
            ──► withdrawn        the question was withdrawn

Only the holder of a **seat** may decide: the reviewers (the creator and those assigned) and those the question was
escalated to. A delegation passes a seat on and never multiplies it: a seat votes once, through its owner or a delegate,
and a human votes once. A quorum of two therefore always means two of the people asked, and two people who looked.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor, actor_kind, system
from aura_contracts.aggregate import ACTOR, TIME, Aggregate, Command, Evolve, HappenedFact, State, Table, sets
from aura_contracts.events import Event, Instant
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId, WorkflowId

POLICY = system("policy")
"""The only actor besides humans that may decide: a rule that humans configured."""

REMIND_AFTER = 24 * 3600.0
"""Seconds until the first reminder, and between reminders (specification, "Approval Timeouts")."""

ESCALATE_AFTER = 48 * 3600.0
"""Seconds until the question is escalated (specification, "Approval Timeouts")."""


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalKind(StrEnum):
    """The subject of the question."""

    PLAN = "plan"
    CHANGES = "changes"
    TOOL_CALL = "tool_call"
    """An agent asks for permission to use a tool."""
    DECOMPOSITION = "decomposition"
    MERGE_CONFLICT = "merge_conflict"
    QUESTION = "question"
    """An agent asks something in the middle of its work; the agent decides what to do with the answer."""
    WORKFLOW_STEP = "workflow_step"


class ApprovalDecision(StrEnum):
    """The three answers of the specification, section "Approval"."""

    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"


class OnExpiry(StrEnum):
    """The meaning of no answer."""

    DENY = "deny"
    CONTINUE = "continue"
    """The work continues without approval (specification, "Approval Timeouts": configurable)."""


class Remember(StrEnum):
    """How long the answer to a tool call applies."""

    ONCE = "once"
    SESSION = "session"
    """The same call in the same agent session."""
    TASK = "task"
    """The same call in all runs of the task."""
    PATTERN = "pattern"
    """All calls that match the given pattern."""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call that an agent asks permission for. Secrets in `arguments` are already redacted.

    `fingerprint` is a digest that identifies the same call, even in a resumed session. `diff` is the change the call
    would make, as a unified diff, if known in advance.
    """

    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None


class Ballot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One human's answer. `seat` is the seat it counts for: the reviewer's own name, or that of the delegator."""

    reviewer: str
    seat: str
    decision: ApprovalDecision
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Vote(Ballot, frozen=True, kw_only=True, gc=False):
    """A ballot with the time it was cast."""

    time: datetime


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The question: its subject, the people asked, and what happens without an answer."""

    kind: ApprovalKind
    reviewers: tuple[str, ...]
    """Names of the humans who may decide from the start: the creator and the assigned reviewers."""
    task_id: TaskId | None = None
    execution_id: ExecutionId | None = None
    workflow_id: WorkflowId | None = None
    step_id: str | None = None
    proposed_solution: str = ""
    confidence: float | None = None
    """The agent's confidence, 0 to 1."""
    choices: tuple[str, ...] = ()
    """The possible answers, if the question offers a choice."""
    tool_call: ToolCall | None = None
    commits: dict[str, str] = {}
    """Repository -> the proposed commit. The approval covers this commit and nothing later."""
    quorum: int = 1
    """The number of reviewers who must approve."""
    deadline: Instant | None = None
    on_expiry: OnExpiry = OnExpiry.DENY
    remind_after: float | None = REMIND_AFTER
    """Seconds until the first reminder, and between reminders; None means never."""
    escalate_after: float | None = ESCALATE_AFTER
    """Seconds until the question goes to `escalate_to` as well; None means never."""
    escalate_to: tuple[str, ...] = ()
    """Names of the humans to escalate to."""


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
    """A human answered, for themselves or for the person who delegated to them."""

    topic = "approval.vote_cast"
    ballot: Ballot


class ApprovalDelegated(Event, frozen=True, kw_only=True):
    """A person who may decide delegated the decision to another human."""

    topic = "approval.delegated"
    delegator: str
    delegate: str
    reason: str = ""


class ReminderSent(Event, frozen=True, kw_only=True):
    """The reviewers who had not answered were reminded."""

    topic = "approval.reminder_sent"
    number: int
    to: tuple[str, ...]


class ApprovalEscalated(Event, frozen=True, kw_only=True):
    """The question waited too long and was put to more humans, who may also decide."""

    topic = "approval.escalated"
    to: tuple[str, ...]


class ApprovalGranted(Event, frozen=True, kw_only=True):
    """The question was approved, by as many reviewers as needed or by the policy."""

    topic = "approval.approved"
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class ApprovalRejected(Event, frozen=True, kw_only=True):
    """A human or the policy rejected it, with a reason."""

    topic = "approval.rejected"
    feedback: str


class ApprovalChangesRequested(Event, frozen=True, kw_only=True):
    """A human or the policy asked for changes first."""

    topic = "approval.changes_requested"
    feedback: str


class ApprovalExpired(Event, frozen=True, kw_only=True):
    """The deadline passed without a decision; `continued` is true if the work continues without approval."""

    topic = "approval.expired"
    continued: bool = False


class ApprovalWithdrawn(Event, frozen=True, kw_only=True):
    """The question was withdrawn before it was decided."""

    topic = "approval.withdrawn"
    reason: str = ""


# --- State ------------------------------------------------------------------------------------------------------------


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


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestApproval(Command[Approval], frozen=True, kw_only=True):
    """Ask humans to decide.

    `requested_by` defaults to the actor; only AURA may ask on behalf of others.
    """

    emits = (ApprovalRequested,)
    approval_id: ApprovalId
    question: Question
    requested_by: Actor | None = None


class Approve(Command[Approval], frozen=True, kw_only=True):
    """Approve. `remember` and `pattern` are for tool calls; if several must approve, all must choose the same."""

    emits = (VoteCast, ApprovalGranted)
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Reject(Command[Approval], frozen=True, kw_only=True):
    """Reject, with a reason."""

    emits = (VoteCast, ApprovalRejected)
    feedback: str


class RequestChanges(Command[Approval], frozen=True, kw_only=True):
    """Ask for changes first."""

    emits = (VoteCast, ApprovalChangesRequested)
    feedback: str


class DelegateApproval(Command[Approval], frozen=True, kw_only=True):
    """Delegate the decision to another human, by name. A later delegation replaces an earlier one."""

    emits = (ApprovalDelegated,)
    delegate: str
    reason: str = ""


class RemindReviewers(Command[Approval], frozen=True, kw_only=True):
    """Remind the reviewers who have not answered, once a reminder is due."""

    emits = (ReminderSent,)


class EscalateApproval(Command[Approval], frozen=True, kw_only=True):
    """Put the question to more humans, once escalation is due; empty `to` means those named in the request."""

    emits = (ApprovalEscalated,)
    to: tuple[str, ...] = ()


class ExpireApproval(Command[Approval], frozen=True, kw_only=True):
    """Close the question after its deadline."""

    emits = (ApprovalExpired,)


class WithdrawApproval(Command[Approval], frozen=True, kw_only=True):
    """Withdraw the question."""

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


_CLOSED: Mapping[str, Any] = MappingProxyType({"closed_at": TIME, "remind_at": None, "escalate_at": None})


def _decided(decision: ApprovalDecision, *copied: str) -> Evolve[Approval]:
    return sets("feedback", *copied, decision=decision, reviewed_by=ACTOR, responded_at=TIME, **_CLOSED)


_EVOLVERS: Mapping[type[Event], Evolve[Approval]] = MappingProxyType(
    {
        ApprovalRequested: _requested,
        VoteCast: _vote_cast,
        ApprovalDelegated: _delegated,
        ReminderSent: _reminded,
        ApprovalEscalated: _escalated,
        ApprovalGranted: _decided(ApprovalDecision.APPROVED, "remember", "pattern"),
        ApprovalRejected: _decided(ApprovalDecision.REJECTED),
        ApprovalChangesRequested: _decided(ApprovalDecision.NEEDS_CHANGES),
        ApprovalExpired: sets(**_CLOSED),
        ApprovalWithdrawn: sets(**_CLOSED),
    }
)

APPROVAL = Aggregate(
    name="approval",
    state=Approval,
    statuses=ApprovalStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
