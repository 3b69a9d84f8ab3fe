"""Permissions: what agents asked, and how they are told what was decided. Silence is no."""

import logging
from collections.abc import Sequence

from aura_contracts.approval import APPROVAL, Approval, ApprovalKind, ApprovalStatus
from aura_contracts.errors import AuraError
from aura_contracts.execution import ActionLogged
from aura_contracts.ids import ApprovalId, ExecutionId
from aura_contracts.ports.executors import Answer
from aura_engine.runtime.context import Runtime
from aura_worker_protocol.messages import AnswerPermission

_LOG = logging.getLogger(__name__)


async def questions_of(runtime: Runtime, execution_id: ExecutionId) -> Sequence[tuple[ApprovalId, str, str]]:
    """Return the questions of an execution's agents: the approval, the process's token, the agent's name for it."""
    asked = [
        fact.event.result or {}
        for fact in await runtime.desk.log.facts(execution_id)
        if isinstance(fact.event, ActionLogged) and fact.event.action == "permission_requested"
    ]
    return [(ApprovalId(one["approval_id"]), one["token"], one["request_id"]) for one in asked]


async def answer(runtime: Runtime, approval: Approval) -> None:
    """Tell the agent that waits for `approval` what was decided; nobody may be there to be told any more."""
    if approval.kind is not ApprovalKind.TOOL_CALL or approval.execution_id is None:
        return
    for approval_id, token, request_id in await questions_of(runtime, approval.execution_id):
        if approval_id == approval.id:
            told = Answer(granted=approval.granted, feedback=approval.feedback or "")
            try:
                request = AnswerPermission(token=token, request_id=request_id, answer=told)
                await runtime.gateway.request(request)
            except AuraError as error:
                _LOG.debug("approval %s: nobody waits for the answer: %s", approval.id, error)


async def answer_decided(runtime: Runtime, execution_id: ExecutionId, token: str) -> None:
    """Tell a process that was taken over what was decided while nobody could tell it."""
    for approval_id, asked_by, _ in await questions_of(runtime, execution_id):
        approval = await runtime.desk.get(APPROVAL, approval_id)
        if asked_by == token and approval is not None and approval.status is not ApprovalStatus.PENDING:
            await answer(runtime, approval)
