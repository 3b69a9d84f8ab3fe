"""Question: who may ask humans to decide, and what a question needs so that they can."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from aura_contracts.approval import (
    WAIT_LIMIT,
    ApprovalEscalated,
    ApprovalKind,
    ApprovalRequested,
    Level,
    Question,
    RequestApproval,
)
from aura_contracts.errors import DomainRule
from aura_contracts.events import Event
from aura_engine.decisions._decider import (
    Context,
    Events,
    NotAllowed,
    RuleBroken,
    is_system,
    require_share,
    require_zone,
)


def require_own_name(_: None, command: RequestApproval, context: Context) -> None:
    """Only AURA asks on behalf of others."""
    if command.requested_by not in (None, context.actor) and not is_system(context):
        reason = f"only AURA asks on behalf of {command.requested_by}"
        raise NotAllowed("own_question", reason, "ask on your own behalf")


def request(_: None, command: RequestApproval, context: Context) -> Events:
    requester = command.requested_by or context.actor
    question = _once_each(command.question)
    _require_subject(command)
    _require_reachable(question)
    _require_times(command, context)
    require_share("confidence", question.confidence)
    requested = ApprovalRequested(approval_id=command.approval_id, requested_by=requester, question=question)
    return [requested, *_needed_people(question)]


def _needed_people(question: Question) -> list[Event]:
    """Escalate at once if the reviewers are too few for the quorum: to wait for them alone would be in vain."""
    if question.quorum <= len(question.reviewers):
        return []
    asked = {*question.reviewers, *(name for level in question.levels for name in level.reviewers)}
    return [ApprovalEscalated(to=tuple(name for name in question.escalate_to if name not in asked))]


def _once_each(question: Question) -> Question:
    """Return the question with each name once, and without those who may not decide."""

    def once(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in dict.fromkeys(names) if name not in question.barred)

    return replace(
        question,
        reviewers=once(question.reviewers),
        levels=tuple(replace(level, reviewers=once(level.reviewers)) for level in question.levels),
        escalate_to=once(question.escalate_to),
    )


def _require_subject(command: RequestApproval) -> None:
    """A human must be able to see what the question is about."""
    question = command.question
    _require_owner(question)
    if (question.kind is ApprovalKind.TOOL_CALL) is not (question.tool_call is not None):
        raise RuleBroken(DomainRule.TOOL_CALL, "a tool call is given for kind tool_call, and for no other")
    if question.tool_call is not None:
        if not question.tool_call.tool.strip() or not question.tool_call.fingerprint.strip():
            raise RuleBroken(DomainRule.TOOL_CALL, "a tool call has a tool and a fingerprint")
    elif not question.proposed_solution.strip():
        raise RuleBroken("proposal", "there is nothing to decide on: the proposed solution is empty")


def _require_owner(question: Question) -> None:
    """Require what the question belongs to: a task, a step of a workflow, or an agent."""
    if question.kind is ApprovalKind.WORKFLOW_STEP:
        if question.workflow_id is None or not question.step_id:
            raise RuleBroken("subject", "an approval of a workflow step names the workflow and the step")
    elif question.kind is ApprovalKind.INSTRUCTIONS:
        if question.task_id is not None:
            raise RuleBroken("subject", "an approval of instructions is about an agent, and about no task")
    elif question.task_id is None:
        raise RuleBroken("subject", f"an approval of kind {question.kind} names its task")
    if (question.kind is ApprovalKind.INSTRUCTIONS) is not (question.edit is not None):
        raise RuleBroken("subject", "an edit is given for kind instructions, and for no other")


def _require_reachable(question: Question) -> None:
    """Require enough humans to decide: at the first level those of an escalation count, too."""
    problem = asking_problem(question.reviewers, question.quorum, question.levels, escalate_to=question.escalate_to)
    if problem is not None:
        raise problem


def asking_problem(
    reviewers: Sequence[str], quorum: int, levels: Sequence[Level], *, escalate_to: Sequence[str] = ()
) -> RuleBroken | None:
    """Return why a question to these humans could never be approved; None if it could.

    A human votes once, so that a name at two levels could leave no one to decide at the second one.
    """
    later = [name for level in levels for name in level.reviewers]
    first = Level(reviewers=(*reviewers, *(name for name in escalate_to if name not in later)), quorum=quorum)
    asked = [*reviewers, *later]
    if not reviewers or not all(name.strip() for name in (*asked, *escalate_to)):
        return RuleBroken("reviewers", "no one could decide", "name at least one human, none of them blank")
    for name in asked:
        if asked.count(name) > 1:
            remedy = "a human votes once: name them at one level"
            return RuleBroken("levels", f"{name} would be asked at two levels", remedy)
    for number, level in enumerate((first, *levels), 1):
        names = set(level.reviewers)
        if not 1 <= level.quorum <= len(names):
            place = f" at level {number}" if levels else ""
            reason = f"{level.quorum} approvals cannot come from {len(names)} reviewers{place}"
            return RuleBroken("quorum", reason, "name more reviewers or ask for fewer approvals")
    return None


def _require_times(command: RequestApproval, context: Context) -> None:
    question = command.question
    require_zone("deadline", question.deadline)
    if question.deadline is not None and question.deadline <= context.now:
        raise RuleBroken("deadline", f"the deadline {question.deadline.isoformat()} has passed already")
    for name, seconds in (("remind_after", question.remind_after), ("escalate_after", question.escalate_after)):
        if seconds is not None and not 0 < seconds <= WAIT_LIMIT:
            raise RuleBroken(name, f"{seconds} seconds is not between 0 and {WAIT_LIMIT:.0f}")
