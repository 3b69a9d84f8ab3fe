"""Answers: reports decisions about their questions to agents. Silence means no."""

import logging

from aura_contracts.actors import ENGINE
from aura_contracts.approval import APPROVAL, Approval, ApprovalKind, ApprovalStatus
from aura_contracts.errors import AuraError
from aura_contracts.execution import EXECUTION, Execution, PermissionAnswered, RecordAction
from aura_contracts.ids import ExecutionId
from aura_contracts.ports.executors import Answer
from aura_contracts.task import TASK
from aura_engine.permissions.questions import PermissionQuestion, questions_of
from aura_engine.runtime.context import Runtime
from aura_worker_protocol.messages import AnswerPermission

_LOG = logging.getLogger(__name__)

_SILENCE = "No one answered in time, so the answer is no."


async def answer(runtime: Runtime, approval: Approval) -> None:
    """Send the decision to the agent that waits for `approval`, if it still runs.

    An agent that receives several answers keeps the first."""
    if approval.kind is not ApprovalKind.TOOL_CALL or approval.task_id is None:
        return
    task = await runtime.bus.get(TASK, approval.task_id)
    execution = None if task is None or task.execution_id is None else await _at_work(runtime, task.execution_id)
    if execution is None:
        return
    for question in await questions_of(runtime.bus, execution.id):
        if question.asked.approval_id == approval.id:
            await _tell(runtime, question, approval)


async def answer_decided(runtime: Runtime, execution: Execution, token: str) -> None:
    """Send a process that was taken over the decisions made while it was unreachable."""
    for question in await questions_of(runtime.bus, execution.id):
        approval = await runtime.bus.get(APPROVAL, question.asked.approval_id)
        if question.asked.token == token and approval is not None and approval.final:
            await _tell(runtime, question, approval)


async def _at_work(runtime: Runtime, execution_id: ExecutionId) -> Execution | None:
    """Return an execution that is still running. One that is being ended gets no answers: it must not begin anything
    new.
    """
    execution = await runtime.bus.get(EXECUTION, execution_id)
    over = execution is None or execution.final or execution.interrupted
    return None if over else execution


async def _tell(runtime: Runtime, question: PermissionQuestion, approval: Approval) -> None:
    silence = _SILENCE if approval.status is ApprovalStatus.EXPIRED and not approval.granted else ""
    told = Answer(granted=approval.granted, feedback=approval.feedback or silence)
    request = AnswerPermission(token=question.asked.token, request_id=question.asked.request_id, answer=told)
    try:
        await runtime.gateway.request(request)
    except AuraError as error:
        _LOG.debug("approval %s: no agent waits for the answer: %s", approval.id, error)
        return
    key = (question.asked.token, question.asked.request_id)
    if not question.answered and key not in runtime.gateway.answered:
        runtime.gateway.answered.add(key)
        await _record_answer(runtime, question, approval)


async def _record_answer(runtime: Runtime, question: PermissionQuestion, approval: Approval) -> None:
    """Record that an agent received the answer, unless its execution has ended meanwhile."""
    execution = await runtime.bus.get(EXECUTION, question.execution_id)
    if execution is None or execution.final:
        return
    event = PermissionAnswered(
        approval_id=approval.id,
        token=question.asked.token,
        request_id=question.asked.request_id,
        granted=approval.granted,
    )
    action = RecordAction(epoch=execution.epoch, action=event)
    try:
        await runtime.bus.handle(ENGINE, question.execution_id, action)
    except AuraError as error:
        _LOG.debug("approval %s: the answer is not on record: %s", approval.id, error)
