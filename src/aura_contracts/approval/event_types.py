"""The events of approvals: see `aura_contracts.approval`."""

from aura_contracts.actors import Actor
from aura_contracts.approval.evidence import PolicyDecision
from aura_contracts.approval.values import Ballot, Comment, Link, Question, Remember
from aura_contracts.events import CommandRefusal, Event, Instant
from aura_contracts.ids import ApprovalId, TaskId


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


class PoliciesApplied(Event, frozen=True, kw_only=True):
    """The policies in force gave their verdict; an answer in their name follows if it is to approve or to reject."""

    topic = "approval.policies_applied"
    decision: PolicyDecision


class VoteCast(Event, frozen=True, kw_only=True):
    """A human answered, for themselves or for the person who delegated to them."""

    topic = "approval.vote_cast"
    ballot: Ballot


class ApprovalDelegated(Event, frozen=True, kw_only=True):
    """A person who may decide delegated the decision to another human, for good or until a moment."""

    topic = "approval.delegated"
    delegator: str
    delegate: str
    reason: str = ""
    until: Instant | None = None


class LevelApproved(Event, frozen=True, kw_only=True):
    """As many humans of a level as needed have approved; the next level is asked. Levels count from 1."""

    topic = "approval.level_approved"
    level: int


class CommentAdded(Event, frozen=True, kw_only=True):
    """A human commented on a line of the diff in question."""

    topic = "approval.comment_added"
    comment: Comment


class LinkIssued(Event, frozen=True, kw_only=True):
    """A link to the question was issued. What opens it is derived from a key that the log does not have."""

    topic = "approval.link_issued"
    link: Link


class LinksRevoked(Event, frozen=True, kw_only=True):
    """Links to the question were revoked, by their ids: they show and answer nothing any more."""

    topic = "approval.links_revoked"
    links: tuple[str, ...]
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


class ApprovalTimesMoved(Event, frozen=True, kw_only=True):
    """The clock was set back behind the moment from which a time of the question counts: that time comes earlier.

    It is as far away from now as it was when it was set. Fields are seconds by which a time is earlier; 0 if it stays.
    """

    topic = "approval.times_moved"
    reminder: float = 0.0
    """It counts from the last reminder, or from when the level was asked. Ends of delegations stay where they are."""
    escalation: float = 0.0
    """It counts from when the level was asked."""
    deadline: float = 0.0
    """It counts from when the question was asked, as does how long the question has waited, also without a deadline."""


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


class ApprovalCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "approval.command_refused"
    refusal: CommandRefusal
