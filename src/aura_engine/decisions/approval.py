"""Decisions about approvals.

Source: specification, "Authorization", "Approval Timeouts", "Advanced Approval Rules", "rejectTask".

Who may do what: the reviewers, those it was escalated to and their delegates decide, or the policy does; an agent never
decides, not even on its own question. The requester may withdraw the question. AURA reminds, escalates and expires.
A decision after the deadline is refused as late, even if the expiry has not been recorded yet."""

from msgspec.structs import replace

from aura_contracts.actors import actor_name
from aura_contracts.aggregate import Command
from aura_contracts.approval import (
    APPROVAL,
    POLICY,
    Approval,
    ApprovalChangesRequested,
    ApprovalDecision,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalKind,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalWithdrawn,
    Approve,
    Ballot,
    DelegateApproval,
    EscalateApproval,
    ExpireApproval,
    OnExpiry,
    Reject,
    Remember,
    ReminderSent,
    RemindReviewers,
    RequestApproval,
    RequestChanges,
    VoteCast,
    WithdrawApproval,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Event
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
    only_system,
)

WAIT_LIMIT = 366 * 24 * 3600.0
"""Seconds; a reminder or an escalation more than a year ahead is a typing error."""


# --- Asking -----------------------------------------------------------------------------------------------------------


def _require_own_name(_: None, command: RequestApproval, context: Context) -> None:
    """Only AURA asks on behalf of others."""
    if command.requested_by not in (None, context.actor) and not is_system(context):
        raise NotAllowed(f"only AURA asks on behalf of {command.requested_by}")


def _request(_: None, command: RequestApproval, context: Context) -> Events:
    requester = command.requested_by or context.actor
    question = command.question
    _require_subject(command)
    _require_reachable_quorum(command)
    _require_times(command, context)
    if question.confidence is not None and not 0 <= question.confidence <= 1:
        raise RuleBroken("confidence", f"{question.confidence} is not between 0 and 1")
    once = replace(
        question,
        reviewers=tuple(dict.fromkeys(question.reviewers)),
        escalate_to=tuple(dict.fromkeys(question.escalate_to)),
    )
    return [ApprovalRequested(approval_id=command.approval_id, requested_by=requester, question=once)]


def _require_subject(command: RequestApproval) -> None:
    """A human must be able to see what the question is about."""
    question = command.question
    if question.kind is ApprovalKind.WORKFLOW_STEP:
        if question.workflow_id is None or not question.step_id:
            raise RuleBroken("subject", "an approval of a workflow step names the workflow and the step")
    elif question.task_id is None:
        raise RuleBroken("subject", f"an approval of kind {question.kind} names its task")
    if (question.kind is ApprovalKind.TOOL_CALL) is not (question.tool_call is not None):
        raise RuleBroken("tool_call", "a tool call is given for kind tool_call, and for no other")
    if question.tool_call is not None:
        if not question.tool_call.tool.strip() or not question.tool_call.fingerprint.strip():
            raise RuleBroken("tool_call", "a tool call has a tool and a fingerprint")
    elif not question.proposed_solution.strip():
        raise RuleBroken("proposal", "there is nothing to decide on: the proposed solution is empty")


def _require_reachable_quorum(command: RequestApproval) -> None:
    """Require enough humans, asked now or by escalation, to decide."""
    question = command.question
    names = {*question.reviewers, *question.escalate_to}
    if not question.reviewers or not all(name.strip() for name in names):
        raise RuleBroken("reviewers", "no one could decide", "name at least one human, none of them blank")
    if not 1 <= question.quorum <= len(names):
        reason = f"{question.quorum} approvals cannot come from {len(names)} reviewers"
        raise RuleBroken("quorum", reason, "name more reviewers or ask for fewer approvals")


def _require_times(command: RequestApproval, context: Context) -> None:
    question = command.question
    if question.deadline is not None:
        if question.deadline.utcoffset() is None:
            raise RuleBroken("deadline", "the deadline has no time zone", "use an aware datetime")
        if question.deadline <= context.now:
            raise RuleBroken("deadline", f"the deadline {question.deadline.isoformat()} has passed already")
    for name, seconds in (("remind_after", question.remind_after), ("escalate_after", question.escalate_after)):
        if seconds is not None and not 0 < seconds <= WAIT_LIMIT:
            raise RuleBroken(name, f"{seconds} seconds is not between 0 and {WAIT_LIMIT:.0f}")


# --- Deciding ---------------------------------------------------------------------------------------------------------


def _require_before_deadline(state: Approval, context: Context) -> None:
    if state.deadline is not None and context.now >= state.deadline:
        reason = f"the deadline was {state.deadline.isoformat()}"
        raise RuleBroken("deadline_passed", reason, "ask again, with a later deadline")


def _require_seat(state: Approval, command: Command[Approval], context: Context) -> None:
    """Only humans who were asked, or act for one who was, decide or delegate."""
    if not is_human(context) or not state.seats_of(actor_name(context.actor)):
        raise NotAllowed("only a reviewer, a delegate or an escalation contact may decide")


def _require_seat_or_policy(state: Approval, command: Command[Approval], context: Context) -> None:
    """The policy decides too."""
    if context.actor != POLICY:
        _require_seat(state, command, context)


def _require_open_seat(state: Approval, name: str) -> str:
    """Return an unused seat of `name`. Each human and each seat has one vote."""
    if any(vote.reviewer == name for vote in state.votes):
        raise RuleBroken("already_voted", f"{name} has voted, and a vote is not replaced")
    for seat in state.seats_of(name):
        if seat in state.open_seats:
            return seat
    used = {vote.seat: vote.reviewer for vote in state.votes}
    seat = state.seats_of(name)[0]
    raise RuleBroken("delegation_used", f"{used[seat]} has voted with the vote of {seat} already")


def _vote(
    state: Approval, command: Approve | Reject | RequestChanges, context: Context, decision: ApprovalDecision
) -> list[Event]:
    """Return the vote of the acting human; the policy decides without a vote."""
    _require_before_deadline(state, context)
    if context.actor == POLICY:
        return []
    name = actor_name(context.actor)
    seat = _require_open_seat(state, name)
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
            )
        )
    ]


def _require_feedback(command: Reject | RequestChanges) -> None:
    if not command.feedback.strip():
        raise RuleBroken("feedback_required", "say what should be different")


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
    votes = _vote(state, command, context, ApprovalDecision.APPROVED)
    _require_rememberable(state, command)
    if votes and len(state.votes) + 1 < state.quorum:  # all votes so far are approvals: any other answer decides
        return votes
    unanimous = all((vote.remember, vote.pattern) == (command.remember, command.pattern) for vote in state.votes)
    granted = ApprovalGranted(
        feedback=command.feedback,
        remember=command.remember if unanimous else Remember.ONCE,
        pattern=command.pattern if unanimous else None,
    )
    return [*votes, granted]


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
    _require_before_deadline(state, context)
    _require_open_seat(state, name)
    if not command.delegate.strip():
        raise RuleBroken("delegate", "the delegate has no name")
    if state.seats_of(command.delegate):  # themselves, a circle, or a second vote for one human
        reason = f"{command.delegate} may decide already"
        raise RuleBroken("delegate_may_decide", reason, "delegate to a person who may not decide yet")
    return [ApprovalDelegated(delegator=name, delegate=command.delegate, reason=command.reason)]


# --- Waiting ----------------------------------------------------------------------------------------------------------


_only_system = only_system("AURA does this when it is due")


def _remind(state: Approval, command: RemindReviewers, context: Context) -> Events:
    _require_before_deadline(state, context)
    if state.remind_at is None or context.now < state.remind_at:
        due = "never" if state.remind_at is None else state.remind_at.isoformat()
        raise RuleBroken("not_due", f"the next reminder is due: {due}")
    return [ReminderSent(number=state.reminders + 1, to=state.awaited)]


def _escalate(state: Approval, command: EscalateApproval, context: Context) -> Events:
    _require_before_deadline(state, context)
    if state.escalate_at is None or context.now < state.escalate_at:
        due = "never" if state.escalate_at is None else state.escalate_at.isoformat()
        raise RuleBroken("not_due", f"the escalation is due: {due}")
    names = [name for name in dict.fromkeys(command.to or state.escalate_to) if name.strip()]
    if not names:
        raise RuleBroken("no_one_to_ask", "there is no one to escalate to")
    added = tuple(name for name in names if name not in state.seats)
    return [ApprovalEscalated(to=added)] if added else []


def _expire(state: Approval, command: ExpireApproval, context: Context) -> Events:
    if state.deadline is None or context.now < state.deadline:
        due = "it has none" if state.deadline is None else state.deadline.isoformat()
        raise RuleBroken("not_due", f"the deadline has not passed: {due}")
    return [ApprovalExpired(continued=state.on_expiry is OnExpiry.CONTINUE)]


def _require_requester(state: Approval, command: WithdrawApproval, context: Context) -> None:
    if context.actor != state.requested_by and not is_system(context):
        raise NotAllowed(f"{state.requested_by} asked, and only they may withdraw it")


APPROVAL_DECIDER = Decider(
    APPROVAL,
    {
        RequestApproval: (_require_own_name, _request),
        Approve: (_require_seat_or_policy, _approve),
        Reject: (_require_seat_or_policy, _reject),
        RequestChanges: (_require_seat_or_policy, _request_changes),
        DelegateApproval: (_require_seat, _delegate),
        RemindReviewers: (_only_system, _remind),
        EscalateApproval: (_only_system, _escalate),
        ExpireApproval: (_only_system, _expire),
        WithdrawApproval: (_require_requester, becomes(ApprovalWithdrawn)),
    },
)
