"""Link page: what a link shows. Pure.

A page is a value that a server renders. Making one decides nothing, however often it is asked for and by whom: programs
that scan mail, or show previews of links, open every link that they see. An answer is sent by the form of the page.

Whether an answer would count is asked of the decider itself, so the page offers what will be accepted, and says in the
decider's words why nothing is.
"""

from datetime import datetime
from types import MappingProxyType

import msgspec

from aura_contracts.actors import Actor, actor_name, human
from aura_contracts.approval import (
    APPROVAL,
    Approval,
    ApprovalDecision,
    ApprovalKind,
    ApprovalStatus,
    Approve,
    IssuedLink,
    LinkPurpose,
    ToolCall,
)
from aura_contracts.errors import CommandRefused, RuleViolated
from aura_contracts.events import Instant
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.plain_data import Plain
from aura_engine import decisions
from aura_engine.answer_refusal import AnswerRefusal, refusal_of

LINK_HEADERS = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
    }
)
"""The headers of a page: it is kept nowhere, loads nothing from elsewhere, and tells no other site its address, with
which it is opened."""


class AskedQuestion(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A question as its page shows it: nothing of it is about other links, or where others answered from."""

    approval_id: ApprovalId
    task_id: TaskId | None
    kind: ApprovalKind
    status: ApprovalStatus
    requested_by: Actor
    requested_at: datetime
    deadline: Instant | None
    proposal: str
    confidence: float | None
    choices: tuple[str, ...]
    tool_call: ToolCall | None
    commits: dict[str, str]
    diff: str
    """The changes in question as a unified diff, see `Approvals.diff`."""


class LinkPage(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """What a link shows. Texts in it come from agents: a server escapes them."""

    id: str
    """The id of the link."""
    approval_id: ApprovalId
    reviewer: str
    """Whom the link was made out to; the answer counts as theirs."""
    seat: str
    address: str
    purpose: LinkPurpose
    expires_at: Instant
    question: AskedQuestion | None
    """None if the link was revoked or has expired."""
    answers: tuple[ApprovalDecision, ...]
    """Those that would count now."""
    form: str
    """What the form sends with the answer: see `Links.answer`. Empty if no answer would count."""
    refused: AnswerRefusal | None
    """Why no answer would count; None if one would, or if the link answers nothing anyway."""
    outcome: str
    """Who has answered what so far, in words; empty if no one has, and for a revoked link."""
    newer: AskedQuestion | None
    """The question that is open instead, about newer commits of the same work; this link does not answer it."""


def asked_question(approval: Approval, diff: str) -> AskedQuestion:
    """Return a question as a page shows it."""
    return AskedQuestion(
        approval_id=approval.id,
        task_id=approval.task_id,
        kind=approval.kind,
        status=approval.status,
        requested_by=approval.requested_by,
        requested_at=approval.requested_at,
        deadline=approval.deadline,
        proposal=approval.proposed_solution,
        confidence=approval.confidence,
        choices=approval.choices,
        tool_call=approval.tool_call,
        commits=approval.commits,
        diff=diff,
    )


def page_of(
    approval: Approval, link: IssuedLink, now: datetime, form: str, diff: str, newer: AskedQuestion | None
) -> LinkPage:
    """Return the page of a link as of `now`. `form` is the token of its form."""
    alive = link.is_alive(now)
    refused = why_refused(approval, link, now)
    counts = refused is None and link.purpose is LinkPurpose.ANSWER
    return LinkPage(
        id=link.id,
        approval_id=approval.id,
        reviewer=link.reviewer,
        seat=link.seat,
        address=link.address,
        purpose=link.purpose,
        expires_at=link.expires_at,
        question=asked_question(approval, diff) if alive else None,
        answers=tuple(ApprovalDecision) if counts else (),
        form=form if counts else "",
        refused=refused,
        outcome="" if link.revoked_at is not None else outcome_of(approval, link),
        newer=newer if alive else None,
    )


def why_refused(approval: Approval, link: IssuedLink, now: datetime) -> AnswerRefusal | None:
    """Return why the link does not do what its purpose says; None if it does."""
    if link.purpose is LinkPurpose.ANSWER:
        approve = Approve(link=link.id, commits=approval.commits)
        context = decisions.Context(actor=human(link.reviewer), now=now)
        try:
            decisions.decider_of(approve).decide(approval.id, approval, approve, context)
        except CommandRefused as refused:
            return refusal_of(refused)
        return None
    if (over := decisions.why_over(link, now)) is None:
        return None
    about = {"aggregate": APPROVAL.name, "aggregate_id": approval.id, "command": "ViewLink"}
    return refusal_of(RuleViolated(**about, rule=over.rule, reason=over.reason, remedy=over.remedy))


def outcome_of(approval: Approval, link: IssuedLink) -> str:
    """Return in words who has answered what."""
    said = [
        f"{vote.reviewer} answered {_words(vote.decision)}{' with this link' if vote.link == link.id else ''}"
        f" at {vote.time.isoformat()}"
        for vote in approval.votes
    ]
    match approval.status:
        case ApprovalStatus.PENDING:
            pass
        case ApprovalStatus.WITHDRAWN:
            said.append(f"the question was withdrawn: {approval.withdrawal_reason or 'no reason was given'}")
        case ApprovalStatus.EXPIRED:
            said.append("the deadline passed without a decision, and the work " + _expired(approval))
        case decided if approval.reviewed_by is not None and approval.responded_at is not None:
            by, at = actor_name(approval.reviewed_by), approval.responded_at.isoformat()
            said.append(f"decided by {by} at {at}: {_words(decided)}")
        case _:
            pass
    return "; ".join(said)


def _expired(approval: Approval) -> str:
    return "continues" if approval.granted else "does not continue without one"


def _words(decision: ApprovalDecision | ApprovalStatus) -> str:
    return str(decision).replace("_", " ")
