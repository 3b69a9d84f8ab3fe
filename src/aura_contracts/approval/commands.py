"""The commands of approvals: see `aura_contracts.approval`."""

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Command
from aura_contracts.approval import event_types as events
from aura_contracts.approval.state import Approval
from aura_contracts.approval.values import Question, Remember
from aura_contracts.ids import ApprovalId


class RequestApproval(Command[Approval], frozen=True, kw_only=True):
    """Ask humans to decide.

    `requested_by` defaults to the actor; only AURA may ask on behalf of others.
    """

    emits = (events.ApprovalRequested,)
    approval_id: ApprovalId
    question: Question
    requested_by: Actor | None = None


class Approve(Command[Approval], frozen=True, kw_only=True):
    """Approve. `remember` and `pattern` are for tool calls; if several must approve, all must choose the same."""

    emits = (events.VoteCast, events.ApprovalGranted)
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Reject(Command[Approval], frozen=True, kw_only=True):
    """Reject, with a reason."""

    emits = (events.VoteCast, events.ApprovalRejected)
    feedback: str


class RequestChanges(Command[Approval], frozen=True, kw_only=True):
    """Ask for changes first."""

    emits = (events.VoteCast, events.ApprovalChangesRequested)
    feedback: str


class DelegateApproval(Command[Approval], frozen=True, kw_only=True):
    """Delegate the decision to another human, by name. A later delegation replaces an earlier one."""

    emits = (events.ApprovalDelegated,)
    delegate: str
    reason: str = ""


class RemindReviewers(Command[Approval], frozen=True, kw_only=True):
    """Remind the reviewers who have not answered, once a reminder is due."""

    emits = (events.ReminderSent,)


class EscalateApproval(Command[Approval], frozen=True, kw_only=True):
    """Put the question to more humans, once escalation is due; empty `to` means those named in the request."""

    emits = (events.ApprovalEscalated,)
    to: tuple[str, ...] = ()


class ExpireApproval(Command[Approval], frozen=True, kw_only=True):
    """Close the question after its deadline."""

    emits = (events.ApprovalExpired,)


class WithdrawApproval(Command[Approval], frozen=True, kw_only=True):
    """Withdraw the question."""

    emits = (events.ApprovalWithdrawn,)
    reason: str = ""
