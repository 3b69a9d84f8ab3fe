"""Questions: what agents ask permission for, made approvals that outlive the agent, its supervisor and AURA.

An approval belongs to the **call**, not to the process that asks. When that process is gone before the call was made,
and the agent, resumed, asks for the same call again (the same fingerprint), it is asking the same question: what was
decided holds, what is still open stays open, and nobody is asked twice. A question whose call was made is settled: the
next one is a new question, unless a human said that the answer is to be remembered, or a policy has one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import attrs

from aura_contracts.actors import system
from aura_contracts.approval import (
    APPROVAL,
    POLICY,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    Approve,
    Reject,
    Remember,
    RequestApproval,
    ToolCall,
    WithdrawApproval,
)
from aura_contracts.environment import redact
from aura_contracts.execution import ActionLogged, CodingChangedNothing, CodingFinished, Execution, LogAction
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId
from aura_contracts.permission import matches
from aura_contracts.ports.executors import PermissionRequested
from aura_contracts.task import TASK, ExecutionStarted, Task
from aura_engine.commands import Desk, Unit

_ENGINE = system("engine")

PERMISSION_WAIT = timedelta(hours=24)
"""How long an agent waits for an answer; silence is no."""

ASKED, ANSWERED, MADE = "permission_requested", "permission_answered", "tool_result"
"""Actions in the execution log that tell the story of a question."""


@attrs.frozen(kw_only=True)
class Question:
    """A question as a process of an execution asked it. The same question may be asked by several, one after another.

    `made` says that the call came to its end; `answered` that the process was told.
    """

    approval_id: ApprovalId
    execution_id: ExecutionId
    session_id: str | None
    token: str
    request_id: str
    call_id: str
    fingerprint: str
    answered: bool = False
    made: bool = False


async def questions_of_task(desk: Desk, task_id: TaskId) -> list[Question]:
    """Return all questions of the agents of a task, the oldest first."""
    started = [fact.event for fact in await desk.log.facts(task_id) if isinstance(fact.event, ExecutionStarted)]
    return [question for event in started for question in await questions_of(desk, event.execution_id)]


async def questions_of(desk: Desk, execution_id: ExecutionId) -> list[Question]:
    """Return the questions of an execution's agents, the oldest first."""
    questions: list[Question] = []
    for fact in await desk.log.facts(execution_id):
        event = fact.event
        if isinstance(event, CodingFinished | CodingChangedNothing):  # the agent ended well: nothing is left to be made
            questions = [attrs.evolve(question, made=True) for question in questions]
        elif isinstance(event, ActionLogged):
            about = event.result or {}
            if event.action == ASKED:
                names = ("approval_id", "session_id", "token", "request_id", "call_id", "fingerprint")
                questions.append(Question(execution_id=execution_id, **{name: about[name] for name in names}))
            else:
                questions = [_later(question, event.action, about) for question in questions]
    return questions


def _later(question: Question, action: str, about: Mapping[str, Any]) -> Question:
    """Return the question after something else was logged."""
    if action == ANSWERED:
        told = (question.token, question.request_id) == (about["token"], about["request_id"])
        return attrs.evolve(question, answered=True) if told else question
    if not question.call_id:  # an agent that names no calls goes on when this one was made
        return attrs.evolve(question, made=question.answered)
    made = action == MADE and about.get("call_id") == question.call_id
    return attrs.evolve(question, made=True) if made else question


async def ask(
    unit: Unit,
    execution: Execution,
    token: str,
    entry: PermissionRequested,
    reviewers: Callable[[Task], tuple[str, ...]],
) -> None:
    """Add to `unit` the question of the process `token`: a new approval, or one that its agent asked for before."""
    asked = await questions_of_task(unit.desk, execution.task_id)
    approval = await _asked_before(unit, asked, token, entry)
    if approval is None:
        approval = await _request(unit, execution, token, entry, reviewers)
        await _decide_by_rule(unit, execution, approval, asked)
    about = {
        "approval_id": approval.id,
        "session_id": execution.session_id,
        "token": token,
        "request_id": entry.request_id,
        "call_id": entry.call_id,
        "tool": entry.tool,
        "fingerprint": entry.fingerprint,
    }
    await unit.handle(execution.id, LogAction(epoch=execution.epoch, action=ASKED, success=True, result=about))


async def withdraw(unit: Unit, execution: Execution, token: str, request_id: str | None, reason: str) -> None:
    """Take back what the process `token` asked, or one question of it; what was decided stays decided."""
    for question in await questions_of(unit.desk, ExecutionId(execution.id)):
        if question.token == token and request_id in (None, question.request_id):
            approval: Approval = await unit.look(APPROVAL, question.approval_id)
            if approval.status is ApprovalStatus.PENDING:
                await unit.acting_as(_ENGINE).handle(approval.id, WithdrawApproval(reason=reason))


async def withdraw_all(unit: Unit, task_id: TaskId, reason: str) -> None:
    """Take back all that agents asked about a task that is over, and nobody has answered."""
    for question in await questions_of_task(unit.desk, task_id):
        approval: Approval = await unit.look(APPROVAL, question.approval_id)
        if approval.status is ApprovalStatus.PENDING:
            await unit.acting_as(_ENGINE).handle(approval.id, WithdrawApproval(reason=reason))


async def _asked_before(
    unit: Unit, asked: Sequence[Question], token: str, entry: PermissionRequested
) -> Approval | None:
    """Return the approval of the same call, asked for by a process that went before the call was made."""
    last = {question.approval_id: question for question in asked if question.fingerprint == entry.fingerprint}
    for question in reversed(last.values()):
        again = question.token == token and question.request_id == entry.request_id
        if again or (question.token != token and not question.made):
            approval: Approval = await unit.look(APPROVAL, question.approval_id)
            if approval.status is not ApprovalStatus.WITHDRAWN:
                return approval
    return None


async def _request(
    unit: Unit,
    execution: Execution,
    token: str,
    entry: PermissionRequested,
    reviewers: Callable[[Task], tuple[str, ...]],
) -> Approval:
    task: Task = await unit.look(TASK, execution.task_id)
    approval_id = ApprovalId(str(uuid5(UUID(execution.id), f"{token}:{entry.request_id}")))
    call = ToolCall(tool=entry.tool, fingerprint=entry.fingerprint, arguments=redact(entry.arguments), diff=entry.diff)
    command = RequestApproval(
        approval_id=approval_id,
        kind=ApprovalKind.TOOL_CALL,
        reviewers=reviewers(task),
        task_id=execution.task_id,
        execution_id=ExecutionId(execution.id),
        tool_call=call,
        deadline=unit.desk.clock() + PERMISSION_WAIT,
    )
    approval: Approval = await unit.acting_as(_ENGINE).handle(approval_id, command)
    return approval


async def _decide_by_rule(unit: Unit, execution: Execution, approval: Approval, asked: Sequence[Question]) -> None:
    """Have the policy of the run, or what a human said for more than one call, decide; nothing else does."""
    call = approval.tool_call
    assert call is not None, "it is about a tool call"
    policy = execution.plan.permissions
    refused = next((rule for rule in policy.deny if matches(rule, call, denying=True)), None)
    if refused is not None:
        feedback = f"the rule {refused!r} of this run does not permit it"
        await unit.acting_as(POLICY).handle(approval.id, Reject(feedback=feedback))
        return
    allowed = next((rule for rule in policy.allow if matches(rule, call)), None)
    if allowed is not None:
        await unit.acting_as(POLICY).handle(approval.id, Approve(feedback=f"the rule {allowed!r} of this run"))
        return
    remembered = await _remembered(unit, execution, call, asked)
    if remembered is not None:
        feedback = f"{remembered.reviewed_by} allowed it in approval {remembered.id}"
        await unit.acting_as(POLICY).handle(approval.id, Approve(feedback=feedback))


async def _remembered(unit: Unit, execution: Execution, call: ToolCall, asked: Sequence[Question]) -> Approval | None:
    """Return the approval by which a human allowed also this call."""
    for question in asked:
        given: Approval = await unit.look(APPROVAL, question.approval_id)
        if given.status is not ApprovalStatus.APPROVED or given.remember is Remember.ONCE or given.tool_call is None:
            continue
        same = given.tool_call.fingerprint == call.fingerprint
        session = question.session_id is not None and question.session_id == execution.session_id
        if (
            (given.remember is Remember.TASK and same)
            or (given.remember is Remember.SESSION and same and session)
            or (given.remember is Remember.PATTERN and given.pattern is not None and matches(given.pattern, call))
        ):
            return given
    return None
