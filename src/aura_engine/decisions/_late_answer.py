"""Late answers: the errors for answers to a question that was decided or withdrawn, or that has expired."""

from datetime import datetime
from typing import Any

from aura_contracts.actors import actor_name
from aura_contracts.aggregate import Command
from aura_contracts.approval import (
    APPROVAL,
    AnswerApproval,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    CommentOnLine,
    DelegateApproval,
    IssueLink,
    OnExpiry,
    RevokeLinks,
)
from aura_contracts.errors import AlreadyAnswered, QuestionExpired, QuestionWithdrawn
from aura_engine.decisions._decider import Context

_ASKED_AGAIN = frozenset({ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION})
"""Questions whose task fails without an answer, and asks again when it is retried."""

_IN_TIME = AnswerApproval | DelegateApproval | CommentOnLine | IssueLink | RevokeLinks
"""Commands of humans, who get to know why it is too late for them."""


def too_late(
    state: Approval, command: Command[Approval], context: Context, facts: dict[str, Any]
) -> AlreadyAnswered | QuestionWithdrawn | QuestionExpired | None:
    """Return the error that tells a human who answers why it is too late."""
    if not isinstance(command, _IN_TIME):
        return None
    match state.status:
        case ApprovalStatus.WITHDRAWN:
            return QuestionWithdrawn(**facts, reason=state.withdrawal_reason or "no reason was given")
        case ApprovalStatus.EXPIRED:
            return _expired(state, facts)
        case _:
            return _answered(state, context, facts)


def require_before_deadline(state: Approval, command: Command[Approval], context: Context) -> None:
    """Refuse an answer after the deadline, even if the expiry has not been recorded yet."""
    if state.deadline is not None and context.now >= state.deadline:
        about = {"aggregate": APPROVAL.name, "aggregate_id": state.id, "command": type(command).__name__}
        raise _expired(state, {**about, "status": state.status})


def _expired(state: Approval, facts: dict[str, Any]) -> QuestionExpired:
    continues = state.on_expiry is OnExpiry.CONTINUE and not state.needs_human
    remedy = "no answer meant yes, and the work continues" if continues else "no answer meant no"
    if state.task_id is not None and state.status is ApprovalStatus.PENDING:
        remedy += f": engine.resume({state.task_id!r}) records that"
    elif state.task_id is not None and not continues and state.kind in _ASKED_AGAIN:
        remedy += f": tasks.retry({state.task_id!r}) asks again"
    return QuestionExpired(**facts, deadline=_text_of(state.deadline), remedy=remedy)


def _answered(state: Approval, context: Context, facts: dict[str, Any]) -> AlreadyAnswered:
    decider, name = state.reviewed_by, actor_name(context.actor)
    by = "" if decider is None else actor_name(decider)
    error = AlreadyAnswered(**facts, answered_by=by, answered_at=_text_of(state.responded_at))
    for vote in state.votes:
        if vote.reviewer == name:
            error.remedy = f"you answered {vote.decision} at {_text_of(vote.time)}, which counts and is not replaced"
    return error


def _text_of(time: datetime | None) -> str:
    return "" if time is None else time.isoformat()
