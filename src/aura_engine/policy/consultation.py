"""Consultation: asks a question as the policies in force say. What they say and their answer are recorded with it."""

from datetime import datetime

import attrs
from msgspec.structs import replace

from aura_contracts.approval import (
    POLICY,
    ApplyPolicies,
    Approval,
    Approve,
    PolicyDecision,
    PolicyVerdict,
    Question,
    Reject,
    RequestApproval,
    ToolCall,
)
from aura_contracts.ids import ApprovalId
from aura_engine.policy.conditions import PolicySubject
from aura_engine.policy.rulebook import Rulebook
from aura_engine.policy.sources import OWN
from aura_engine.unit_of_work import UnitOfWork


def consult(
    book: Rulebook, approval_id: ApprovalId, question: Question, at: datetime, call: ToolCall | None = None
) -> tuple[Question, PolicyDecision | None]:
    """Return what the policies say about a question, and the question on their terms; None if none is in force.

    The question says what humans decided about such work before.

    `call` is its tool call before secrets were removed.
    """
    question = book.informed(book.waiting.timed(question, at))
    subject = PolicySubject.of(question, at, call)
    if subject.evidence.change is not None and subject.evidence.change.policies:
        book = attrs.evolve(book, policies=(*book.policies, OWN))
    return book.ask(question, subject, approval_id) if book else (question, None)


async def pose(unit: UnitOfWork, book: Rulebook, request: RequestApproval, *, answered: str | None = None) -> Approval:
    """Add to `unit` a question, which its actor asks, and the answer of the policies, if they answer it.

    `answered` is an approval given in advance, with its words: it holds where policies would have a human asked.
    """
    question, decision = consult(book, request.approval_id, request.question, unit.bus.clock())
    approval = await unit.handle(request.approval_id, replace(request, question=question))
    return await answer(unit, approval, decision, answered=answered)


async def pose_unjudged(unit: UnitOfWork, book: Rulebook, request: RequestApproval) -> Approval:
    """Add to `unit` a question on the terms of `book`, for another process to judge: see `judge`.

    Until then it is one for humans.
    """
    question, _ = consult(book, request.approval_id, request.question, unit.bus.clock())
    return await unit.handle(request.approval_id, replace(request, question=question))


async def judge(unit: UnitOfWork, book: Rulebook, approval: Approval, *, answered: str | None = None) -> Approval:
    """Add to `unit` what the policies say about an open question that was asked without them, and their answer."""
    decision = book.decide(PolicySubject.recorded(approval), approval.id) if book else None
    return await answer(unit, approval, decision, answered=answered)


async def answer(
    unit: UnitOfWork, approval: Approval, decision: PolicyDecision | None, *, answered: str | None = None
) -> Approval:
    """Add to `unit` a decision of policies about an open question, and the answer that follows from it, if one does."""
    if decision is not None:
        approval = await apply(unit, approval.id, decision)
    policy = unit.acting_as(POLICY)
    if decision is not None and decision.verdict is PolicyVerdict.REJECT:
        return await policy.handle(approval.id, Reject(feedback=decision.reason))
    approves = decision is not None and decision.verdict is PolicyVerdict.APPROVE
    if approves or (answered is not None and not (decision is not None and decision.holds_back)):
        return await policy.handle(approval.id, Approve(feedback=answered or None))
    return approval


async def apply(unit: UnitOfWork, approval_id: ApprovalId, decision: PolicyDecision) -> Approval:
    """Add to `unit` what the policies say about a question that it asks."""
    return await unit.acting_as(POLICY).handle(approval_id, ApplyPolicies(decision=decision))
