"""The commands of approvals: see `aura_contracts.approval`."""

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Command
from aura_contracts.approval import event_types as events
from aura_contracts.approval.evidence import PolicyDecision
from aura_contracts.approval.state import Approval
from aura_contracts.approval.values import AnswerSource, LinkPurpose, Question, Remember
from aura_contracts.events import CommandRefusal, Instant
from aura_contracts.ids import ApprovalId
from aura_contracts.patches import LineAnchor


class RequestApproval(Command[Approval], frozen=True, kw_only=True):
    """Ask humans to decide; those of the escalation at once, if there cannot be enough approvals without them.

    `requested_by` defaults to the actor; only AURA may ask on behalf of others.
    """

    emits = (events.ApprovalRequested,)
    followed_by = (events.ApprovalEscalated,)
    approval_id: ApprovalId
    question: Question
    requested_by: Actor | None = None


class ApplyPolicies(Command[Approval], frozen=True, kw_only=True):
    """Record what the policies in force say, before anyone answers."""

    emits = (events.PoliciesApplied,)
    decision: PolicyDecision


class AnswerApproval(Command[Approval], frozen=True, kw_only=True):
    """Base of the answers. `commits`, if any, are those that were shown: for a question about others it is refused.

    `link` is the id of the link that it is given with, which is used up then.
    """

    commits: dict[str, str] = {}
    source: AnswerSource = AnswerSource()
    link: str | None = None


class Approve(AnswerApproval, frozen=True, kw_only=True):
    """Approve. `remember` and `pattern` are for tool calls; if several must approve, all must choose the same.

    With several levels, the approval of one has the next one asked.
    """

    emits = (events.VoteCast, events.LevelApproved, events.ApprovalGranted)
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Reject(AnswerApproval, frozen=True, kw_only=True):
    """Reject, with a reason."""

    emits = (events.VoteCast, events.ApprovalRejected)
    feedback: str


class RequestChanges(AnswerApproval, frozen=True, kw_only=True):
    """Ask for changes first."""

    emits = (events.VoteCast, events.ApprovalChangesRequested)
    feedback: str


class DelegateApproval(Command[Approval], frozen=True, kw_only=True):
    """Delegate the decision to another human, by name. A later delegation replaces an earlier one.

    After `until` the delegate may not decide any more; who delegated still may.
    """

    emits = (events.ApprovalDelegated,)
    delegate: str
    reason: str = ""
    until: Instant | None = None


class IssueLink(Command[Approval], frozen=True, kw_only=True):
    """Issue a link for a human who is asked now: they themselves, or AURA, which sends it to them."""

    emits = (events.LinkIssued,)
    link_id: str
    reviewer: str
    expires_at: Instant
    purpose: LinkPurpose = LinkPurpose.ANSWER
    address: str = ""


class RevokeLinks(Command[Approval], frozen=True, kw_only=True):
    """Revoke links by their ids; empty `links` means all that can still be used."""

    emits = (events.LinksRevoked,)
    links: tuple[str, ...] = ()
    reason: str = ""


class CommentOnLine(Command[Approval], frozen=True, kw_only=True):
    """Comment on a line of the diff in question, or answer a comment; the agent reads it when the work is sent back."""

    emits = (events.CommentAdded,)
    comment_id: str
    text: str
    anchor: LineAnchor | None = None
    reply_to: str | None = None


class RemindReviewers(Command[Approval], frozen=True, kw_only=True):
    """Remind the reviewers who have not answered, once a reminder is due."""

    emits = (events.ReminderSent,)


class EscalateApproval(Command[Approval], frozen=True, kw_only=True):
    """Put the question to more humans, once escalation is due; empty `to` means those named in the request."""

    emits = (events.ApprovalEscalated,)
    to: tuple[str, ...] = ()


class MoveApprovalTimes(Command[Approval], frozen=True, kw_only=True):
    """Have a reminder, escalation or deadline come earlier, if the clock was set back behind the moment it counts from.

    Otherwise nothing changes.
    """

    emits = (events.ApprovalTimesMoved,)


class ExpireApproval(Command[Approval], frozen=True, kw_only=True):
    """Close the question after its deadline."""

    emits = (events.ApprovalExpired,)


class WithdrawApproval(Command[Approval], frozen=True, kw_only=True):
    """Withdraw the question."""

    emits = (events.ApprovalWithdrawn,)
    reason: str = ""


class RecordApprovalRefusal(Command[Approval], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.ApprovalCommandRefused,)
    refusal: CommandRefusal
