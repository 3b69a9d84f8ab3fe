"""Decisions about approvals.

Source: specification, "Authorization", "Approval Timeouts", "Advanced Approval Rules", "rejectTask".

Who may do what: the reviewers, those it was escalated to and their delegates decide, or the policy does; an agent never
decides, not even on its own question. The requester may withdraw the question. AURA reminds, escalates and expires.
A decision after the deadline is refused as late, even if the expiry has not been recorded yet."""

from collections.abc import Mapping
from datetime import UTC, datetime

from aura_contracts.actors import actor_name
from aura_contracts.aggregate import Command
from aura_contracts.approval import (
    APPROVAL,
    POLICY,
    AnswerApproval,
    ApplyPolicies,
    Approval,
    ApprovalChangesRequested,
    ApprovalCommandRefused,
    ApprovalDecision,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalKind,
    ApprovalRejected,
    ApprovalTimesMoved,
    ApprovalWithdrawn,
    Approve,
    Ballot,
    Comment,
    CommentAdded,
    CommentOnLine,
    DelegateApproval,
    EscalateApproval,
    ExpireApproval,
    IssueLink,
    LevelApproved,
    MoveApprovalTimes,
    OnExpiry,
    PoliciesApplied,
    RecordApprovalRefusal,
    Reject,
    Remember,
    ReminderSent,
    RemindReviewers,
    RequestApproval,
    RequestChanges,
    RevokeLinks,
    VoteCast,
    WithdrawApproval,
)
from aura_contracts.clocks import is_ahead
from aura_contracts.errors import InvalidInput, QuestionChanged
from aura_contracts.events import Event
from aura_contracts.patches import LineAnchor
from aura_contracts.permission import Rule
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    NotAllowed,
    RuleBroken,
    becomes,
    is_human,
    is_system,
    no_agent,
    only_system,
    require_zone,
)
from aura_engine.decisions._late_answer import require_before_deadline, too_late
from aura_engine.decisions._link_rules import issue, require_own_link, revoke, seat_of_link
from aura_engine.decisions._question import request, require_own_name
from aura_engine.decisions._seats import entitlement, require_delegate, require_open_seat, require_seat, waits_for

COMMENT_LIMIT = 500
"""The most comments on one question."""


# --- Deciding ---------------------------------------------------------------------------------------------------------


def _require_seat_or_policy(state: Approval, command: Command[Approval], context: Context) -> None:
    """The policy decides too."""
    if context.actor != POLICY:
        require_seat(state, command, context)


def _require_same_commits(state: Approval, command: AnswerApproval) -> None:
    """Refuse an answer about other commits than the question shows: the human has looked at something else."""
    if command.commits and command.commits != state.commits:
        about = {"aggregate": APPROVAL.name, "aggregate_id": state.id, "command": type(command).__name__}
        raise QuestionChanged(**about, shown=_commits_text(state.commits), named=_commits_text(command.commits))


def _commits_text(commits: Mapping[str, str]) -> str:
    return ", ".join(f"{commit} of {repository}" for repository, commit in commits.items()) or "no commits"


def _vote(
    state: Approval, command: Approve | Reject | RequestChanges, context: Context, decision: ApprovalDecision
) -> list[Event]:
    """Return the vote of the acting human; the policy decides without a vote."""
    require_before_deadline(state, command, context)
    _require_same_commits(state, command)
    if context.actor == POLICY:
        return []
    name = actor_name(context.actor)
    by_link = command.link is not None
    seat = seat_of_link(state, command, name, context) if by_link else require_open_seat(state, name, context)
    remember, pattern = (command.remember, command.pattern) if isinstance(command, Approve) else (Remember.ONCE, None)
    return [
        VoteCast(
            ballot=Ballot(
                reviewer=name,
                seat=seat,
                decision=decision,
                feedback=command.feedback,
                remember=remember,
                pattern=pattern,
                level=state.level,
                entitlement=entitlement(state, name, seat),
                source=command.source,
                commits=command.commits,
                link=command.link,
            )
        )
    ]


def _require_feedback(command: Reject | RequestChanges) -> None:
    if not command.feedback.strip():
        raise RuleBroken("feedback_required", "a no needs a reason", "say what should be different")


def _require_rememberable(state: Approval, command: Approve) -> None:
    if command.remember is not Remember.ONCE and state.kind is not ApprovalKind.TOOL_CALL:
        raise RuleBroken("remember", f"only an answer to a tool call is remembered, this is a {state.kind}")
    if (command.remember is Remember.PATTERN) is not bool(command.pattern and command.pattern.strip()):
        raise RuleBroken("pattern", "a pattern is given to remember by pattern, and only then")
    if command.pattern and state.tool_call is not None:
        _require_rule_about(command.pattern, state.tool_call.tool)


def _require_rule_about(pattern: str, tool: str) -> None:
    try:
        rule = Rule.parse(pattern)
    except InvalidInput as error:
        raise RuleBroken("pattern", error.reason, error.remedy) from error
    if not rule.names(tool):
        reason = f"{pattern!r} is not a rule about the tool {tool}"
        raise RuleBroken("pattern", reason, "write Tool, or Tool(what it is used on); * stands for anything")


def _approve(state: Approval, command: Approve, context: Context) -> Events:
    _require_policies_agree(state, context)
    votes = _vote(state, command, context, ApprovalDecision.APPROVED)
    _require_rememberable(state, command)
    # all votes so far are approvals: any other answer decides
    if votes and len(state.level_votes) + 1 < state.asked.quorum:
        return votes
    if votes and state.level < len(state.stages):
        return [*votes, LevelApproved(level=state.level)]
    unanimous = all((vote.remember, vote.pattern) == (command.remember, command.pattern) for vote in state.votes)
    granted = ApprovalGranted(
        feedback=command.feedback,
        remember=command.remember if unanimous else Remember.ONCE,
        pattern=command.pattern if unanimous else None,
    )
    return [*votes, granted]


def _require_policy(state: Approval, command: Command[Approval], context: Context) -> None:
    if context.actor != POLICY:
        raise NotAllowed("policies", "only AURA applies policies", "approve or reject it instead")


def _apply_policies(state: Approval, command: ApplyPolicies, context: Context) -> Events:
    if state.policy is not None or state.votes:
        raise RuleBroken("policies_applied", "policies speak once, before anyone else")
    return [PoliciesApplied(decision=command.decision)]


def _require_policies_agree(state: Approval, context: Context) -> None:
    """What policies refuse, or leave to humans alone, no answer given in advance approves."""
    if context.actor == POLICY and state.policy is not None and state.policy.holds_back:
        raise RuleBroken("policy", f"the policies say {state.policy.verdict}", "ask a human")


def _reject(state: Approval, command: Reject, context: Context) -> Events:
    votes = _vote(state, command, context, ApprovalDecision.REJECTED)
    _require_feedback(command)
    return [*votes, ApprovalRejected(feedback=command.feedback)]


def _request_changes(state: Approval, command: RequestChanges, context: Context) -> Events:
    votes = _vote(state, command, context, ApprovalDecision.NEEDS_CHANGES)
    _require_feedback(command)
    return [*votes, ApprovalChangesRequested(feedback=command.feedback)]


def _delegate(state: Approval, command: DelegateApproval, context: Context) -> Events:
    name = actor_name(context.actor)
    require_before_deadline(state, command, context)
    require_open_seat(state, name, context)
    require_zone("until", command.until)
    if command.until is not None and command.until <= context.now:
        ended = command.until.isoformat()
        raise RuleBroken("delegation_ended", f"it would have ended at {ended} already", "name a later end, or none")
    require_delegate(state, name, command.delegate, context)
    delegate, reason, until = command.delegate, command.reason, command.until
    return [ApprovalDelegated(delegator=name, delegate=delegate, reason=reason, until=until)]


# --- Commenting -------------------------------------------------------------------------------------------------------


def _require_asked(state: Approval, command: Command[Approval], context: Context) -> None:
    """Humans who are asked at any level, or act for one who is, comment; so does who may not decide about it."""
    name = actor_name(context.actor)
    asked = {name for level in state.stages for name in level.reviewers} | {*state.barred, *state.escalated_to}
    if not is_human(context) or not (name in asked or state.seats_of(name, context.now)):
        remedy = f"tell {waits_for(state, context)} what you would comment"
        raise NotAllowed("asked", "only humans who are asked comment on it", remedy)


def _comment(state: Approval, command: CommentOnLine, context: Context) -> Events:
    if not command.text.strip():
        raise RuleBroken("text", "the comment is empty")
    if any(one.id == command.comment_id for one in state.comments):
        return []
    if len(state.comments) >= COMMENT_LIMIT:
        raise RuleBroken("limit", f"a question has at most {COMMENT_LIMIT} comments")
    comment = Comment(
        id=command.comment_id,
        author=actor_name(context.actor),
        time=context.now,
        anchor=_anchor(state, command),
        text=command.text,
        reply_to=command.reply_to,
    )
    return [CommentAdded(comment=comment)]


def _anchor(state: Approval, command: CommentOnLine) -> LineAnchor:
    """Return the line of a comment; an answer is about the line of the comment that it answers."""
    if command.reply_to is None:
        if command.anchor is None:
            raise RuleBroken("anchor", "a comment is about a line, or answers another comment")
        return command.anchor
    for one in state.comments:
        if one.id == command.reply_to:
            if one.reply_to is not None:
                raise RuleBroken(
                    "reply_to", "it is an answer itself", f"answer the first of its thread: {one.reply_to}"
                )
            return one.anchor
    raise RuleBroken("reply_to", f"there is no comment {command.reply_to} on this question")


# --- Waiting ----------------------------------------------------------------------------------------------------------


_only_system = only_system("AURA does this when it is due")


def _remind(state: Approval, command: RemindReviewers, context: Context) -> Events:
    require_before_deadline(state, command, context)
    if state.remind_at is None or context.now < state.remind_at:
        due = "never" if state.remind_at is None else state.remind_at.isoformat()
        raise RuleBroken("not_due", f"the next reminder is due: {due}")
    return [ReminderSent(number=state.reminders + 1, to=state.awaited_at(context.now))]


def _escalate(state: Approval, command: EscalateApproval, context: Context) -> Events:
    require_before_deadline(state, command, context)
    if state.escalate_at is None or context.now < state.escalate_at:
        due = "never" if state.escalate_at is None else state.escalate_at.isoformat()
        raise RuleBroken("not_due", f"the escalation is due: {due}")
    names = command.to or state.escalate_to
    if not any(name.strip() for name in names):
        raise RuleBroken("no_one_to_ask", "there is no one to escalate to")
    added = state.not_asked(names)
    return [ApprovalEscalated(to=added)] if added else []


def _expire(state: Approval, command: ExpireApproval, context: Context) -> Events:
    if state.deadline is None or context.now < state.deadline:
        due = "it has none" if state.deadline is None else state.deadline.isoformat()
        raise RuleBroken("not_due", f"the deadline has not passed: {due}")
    return [ApprovalExpired(continued=state.on_expiry is OnExpiry.CONTINUE and not state.needs_human)]


def _move_times(state: Approval, command: MoveApprovalTimes, context: Context) -> Events:
    """Let each time count again from now on, if it counts from a moment that is still to come."""
    moved = ApprovalTimesMoved(
        reminder=_seconds_ahead(state.waits_since, state.remind_at, context.now),
        escalation=_seconds_ahead(state.level_since, state.escalate_at, context.now),
        deadline=_seconds_ahead(state.open_since, state.deadline or _NEVER, context.now),
    )
    return [] if moved == ApprovalTimesMoved() else [moved]


_NEVER = datetime.max.replace(tzinfo=UTC)
"""The deadline of a question that has none: how long it has waited counts all the same."""


def _seconds_ahead(since: datetime, due_at: datetime | None, now: datetime) -> float:
    """Return by how much a time that counts from `since` has to come earlier; 0 if it is right, or due already."""
    waits = due_at is not None and due_at > now
    return (since - now).total_seconds() if waits and is_ahead(since, now) else 0.0


def _require_requester(state: Approval, command: WithdrawApproval, context: Context) -> None:
    if context.actor != state.requested_by and not is_system(context):
        reason = f"{state.requested_by} asked, and only they may withdraw it"
        raise NotAllowed("own_question", reason, "ask them to withdraw it, or answer it")


APPROVAL_DECIDER = Decider(
    APPROVAL,
    {
        RequestApproval: (require_own_name, request),
        ApplyPolicies: (_require_policy, _apply_policies),
        Approve: (_require_seat_or_policy, _approve),
        Reject: (_require_seat_or_policy, _reject),
        RequestChanges: (_require_seat_or_policy, _request_changes),
        DelegateApproval: (require_seat, _delegate),
        RecordApprovalRefusal: (_only_system, becomes(ApprovalCommandRefused)),
        CommentOnLine: (_require_asked, _comment),
        IssueLink: (require_own_link, issue),
        RevokeLinks: (no_agent("agents do not revoke links"), revoke),
        RemindReviewers: (_only_system, _remind),
        EscalateApproval: (_only_system, _escalate),
        ExpireApproval: (_only_system, _expire),
        MoveApprovalTimes: (_only_system, _move_times),
        WithdrawApproval: (_require_requester, becomes(ApprovalWithdrawn)),
    },
    impossible=too_late,
)
