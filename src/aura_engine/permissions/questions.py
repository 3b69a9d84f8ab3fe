"""Questions: permission requests of agents, as approvals that outlive the agent, its supervisor and AURA.

An approval belongs to the **call**, not to the process that asks. If that process dies before the call was made, and
the resumed agent asks for the same call again (the same fingerprint), it asks the same question: a decision holds, an
open question stays open, and no human is asked twice. A question whose call was made is settled: the next one is a new
question, unless a human extended the answer to later calls, or a policy covers it.

A call was made when the agent reported its result, or ended well itself. How far an allowed call came before an
interruption is unknown; since the call is allowed, the answer holds when the agent repeats it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID, uuid5

import attrs
from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AGENT
from aura_contracts.approval import (
    APPROVAL,
    POLICY,
    Approval,
    ApprovalKind,
    ApprovalRequested,
    ApprovalStatus,
    Approve,
    PolicyDecision,
    Question,
    Reject,
    Remember,
    RequestApproval,
    ToolCall,
    WithdrawApproval,
)
from aura_contracts.entries import PermissionRequested
from aura_contracts.events import Event
from aura_contracts.execution import (
    EXECUTION,
    Action,
    CallMade,
    CodingChangedNothing,
    CodingFinished,
    Execution,
    PermissionAnswered,
    PermissionAsked,
    RecordAction,
)
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId
from aura_contracts.permission import Ruling, fingerprint_of
from aura_contracts.secrets import redact
from aura_contracts.task import TASK, ExecutionStarted, Task
from aura_contracts.workspace import WORKSPACE
from aura_engine.permissions.precedence import CallDecision, GivenAnswer, decide_call
from aura_engine.policy.consultation import apply, consult
from aura_engine.policy.evidence import evidence_of
from aura_engine.policy.sources import PolicySources
from aura_engine.unit_of_work import CommandBus, UnitOfWork


@attrs.frozen
class Reviewers:
    """Who may answer an agent's question about a task: people, and the policies in force."""

    people: Callable[[Task], tuple[str, ...]]
    policies: PolicySources = attrs.field(factory=PolicySources)


@attrs.frozen(kw_only=True)
class PermissionQuestion:
    """A question as a process of an execution asked it. The same question may be asked by several, one after another.

    `answered` means that the process received the answer, `remembered` that this answer covers later calls, and `made`
    that the call is over.
    """

    execution_id: ExecutionId
    asked: PermissionAsked
    answered: bool = False
    remembered: bool = False
    made: bool = False

    @property
    def waits(self) -> bool:
        """Whether it may still be open: no policy answered it, and its process received no answer."""
        return not (self.answered or self.asked.automatic)

    def is_of(self, token: str, request_id: str) -> bool:
        """Whether this process asked it, under this name."""
        return (self.asked.token, self.asked.request_id) == (token, request_id)


async def questions_of_task(source: CommandBus | UnitOfWork, task_id: TaskId) -> list[PermissionQuestion]:
    """Return all questions of a task's agents, oldest first."""
    task = await source.get(TASK, task_id)
    if task is None or task.execution_id is None:
        return []
    if task.executions == 1:  # the common case: no need to read the stream to find the execution
        return await questions_of(source, task.execution_id)
    started = [event for event in await source.events(task_id) if isinstance(event, ExecutionStarted)]
    return [question for event in started for question in await questions_of(source, event.execution_id)]


async def questions_of(source: CommandBus | UnitOfWork, execution_id: ExecutionId) -> list[PermissionQuestion]:
    """Return the questions of an execution's agents, oldest first."""
    execution = await source.get(EXECUTION, execution_id)
    if execution is None or not execution.permissions_asked:
        return []
    return fold(execution_id, await source.events(execution_id))


def fold(execution_id: ExecutionId, events: Iterable[Event]) -> list[PermissionQuestion]:
    """Return the questions as the events leave them, in one pass: a run may ask a thousand."""
    questions: list[PermissionQuestion] = []
    of_request: dict[tuple[str, str], list[int]] = {}
    of_call: dict[str, list[int]] = {}
    unnamed: list[int] = []
    """Questions of agents that do not name their calls: what they do after the answer shows that the call is over."""

    def change(indexes: Iterable[int], **values: Any) -> None:
        for index in indexes:
            questions[index] = attrs.evolve(questions[index], **values)

    for event in events:
        match event:
            case CodingFinished() | CodingChangedNothing():  # the agent ended well: nothing is left to be made
                change(range(len(questions)), made=True)
            case PermissionAsked():
                index = len(questions)
                questions.append(PermissionQuestion(execution_id=execution_id, asked=event))
                of_request.setdefault((event.token, event.request_id), []).append(index)
                (of_call.setdefault(event.call_id, []) if event.call_id else unnamed).append(index)
            case PermissionAnswered():
                told = of_request.get((event.token, event.request_id), ())
                change(told, answered=True, remembered=event.remember is not Remember.ONCE)
            case Action():
                made = [index for index in unnamed if questions[index].answered]
                unnamed = [index for index in unnamed if not questions[index].answered]
                change(made, made=True)
                if isinstance(event, CallMade):
                    change(of_call.pop(event.entry.call_id, ()), made=True)
    return questions


async def ask(
    unit: UnitOfWork,
    execution: Execution,
    token: str,
    entry: PermissionRequested,
    reviewers: Reviewers,
    refused: str = "",
) -> None:
    """Add to `unit` the question of the process `token`: a new approval, or one that its agent asked for before.

    With `refused`, a reason, the policy rejects the question and no human is asked. A rule of this run that denies the
    call, and a policy that rejects it, also do so, whatever was decided before.
    """
    entry = _named(entry)
    asked = await questions_of_task(unit, execution.task_id)
    number = sum(question.is_of(token, entry.request_id) for question in asked)
    name = f"{token}:{entry.request_id}:{number}" if number else f"{token}:{entry.request_id}"
    approval_id = ApprovalId(str(uuid5(UUID(execution.id), name)))
    question, said = await _question(unit, execution, approval_id, entry, reviewers)
    given = [] if refused else await _given(unit, entry, asked)
    decision = CallDecision(Ruling.REFUSED, refused) if refused else _decision(execution, entry, given, said)
    open_again = decision.verdict is not Ruling.REFUSED
    approval = await _asked_before(unit, asked, token, entry) if open_again else None
    automatic = approval is None and decision.verdict is not Ruling.ASKED
    if approval is None:
        request = RequestApproval(approval_id=approval_id, question=question)
        await unit.acting_as(ENGINE).handle(approval_id, request)
        if said is not None:
            await apply(unit, approval_id, said)
        await _answer(unit, approval_id, decision)
    else:
        approval_id = approval.id
    event = PermissionAsked(
        approval_id=approval_id,
        token=token,
        request_id=entry.request_id,
        tool=entry.tool,
        fingerprint=entry.fingerprint,
        call_id=entry.call_id,
        session_id=execution.session_id,
        automatic=automatic,
    )
    await unit.handle(execution.id, RecordAction(epoch=execution.epoch, action=event))


def _named(entry: PermissionRequested) -> PermissionRequested:
    """Return a question with a tool name and a fingerprint: without them it cannot be asked, and the agent would wait
    forever.
    """
    if entry.tool.strip() and entry.fingerprint.strip():
        return entry
    tool = entry.tool.strip() or "(a tool without a name)"
    return replace(entry, tool=tool, fingerprint=entry.fingerprint.strip() or fingerprint_of(tool, entry.arguments))


async def withdraw(unit: UnitOfWork, execution: Execution, token: str, request_id: str, reason: str) -> None:
    """Withdraw an open question of the process `token`; decisions stay."""
    asked = await questions_of(unit, execution.id)
    await _withdraw(unit, [one for one in asked if one.is_of(token, request_id)], reason)


async def withdraw_all(unit: UnitOfWork, task_id: TaskId, reason: str) -> None:
    """Withdraw all open questions of a task's agents: no agent waits for the answers any more."""
    await _withdraw(unit, await questions_of_task(unit, task_id), reason)


async def _withdraw(unit: UnitOfWork, questions: Sequence[PermissionQuestion], reason: str) -> None:
    for approval_id in dict.fromkeys(one.asked.approval_id for one in questions if one.waits):
        approval = await unit.require(APPROVAL, approval_id)
        if approval.status is ApprovalStatus.PENDING:
            await unit.acting_as(ENGINE).handle(approval_id, WithdrawApproval(reason=reason))


async def _asked_before(
    unit: UnitOfWork, asked: Sequence[PermissionQuestion], token: str, entry: PermissionRequested
) -> Approval | None:
    """Return the approval of the same call, requested by a process that ended before the call was made.

    Of several, the one that was answered last, or asked if it is open; none if a human has since answered for later
    calls, too, when the same call was asked for another time, and that one is over.

    An answer of a policy does not count: asking it again costs nothing, and it may have changed."""
    same = [question for question in asked if question.asked.fingerprint == entry.fingerprint]
    last = {question.asked.approval_id: question for question in same if not question.asked.automatic}
    for approval_id in [one for one, question in last.items() if question.is_of(token, entry.request_id)]:
        approval = await unit.require(APPROVAL, approval_id)
        if approval.status is ApprovalStatus.PENDING:
            return approval
    left = [one for one, question in last.items() if question.asked.token != token and not question.made]
    unmade = [
        approval
        for one in left
        if (approval := await unit.require(APPROVAL, one)).status is not ApprovalStatus.WITHDRAWN
    ]
    if not unmade:
        return None
    over = [await unit.require(APPROVAL, one) for one, question in last.items() if question.made]
    newest = (await _last_word_first(unit, [*unmade, *filter(_lasts, over)]))[0]
    return newest if newest in unmade else None


def _lasts(approval: Approval) -> bool:
    """Whether a human gave an answer that counts for later calls: a refusal, or one to be remembered."""
    return approval.decision is not None and not (approval.granted and approval.remember is Remember.ONCE)


async def _last_word_first(unit: UnitOfWork, approvals: Sequence[Approval]) -> Sequence[Approval]:
    """Return approvals by when they were answered, or asked if they are open, the latest first.

    The log knows the order. Times do not tell: each machine on which humans answer has its own clock."""
    if len(approvals) < 2:
        return approvals
    said = {one.id: await _last_word(unit, one.id) for one in approvals}
    return sorted(approvals, key=lambda one: said[one.id], reverse=True)


async def _last_word(unit: UnitOfWork, approval_id: ApprovalId) -> int:
    """Return the position in the log at which an approval ended, or was requested if it is open."""
    words: tuple[type[Event], ...] = (ApprovalRequested, *APPROVAL.endings)
    return max(record.position for record in await unit.bus.log.stream(approval_id) if isinstance(record.event, words))


async def _question(
    unit: UnitOfWork, execution: Execution, approval_id: ApprovalId, entry: PermissionRequested, reviewers: Reviewers
) -> tuple[Question, PolicyDecision | None]:
    """Return the question on the terms of the policies in force, and what they say about it.

    They see the call as the agent makes it: a rule could match a part that redaction removes."""
    task = await unit.require(TASK, execution.task_id)
    workspace = None if execution.workspace_id is None else await unit.get(WORKSPACE, execution.workspace_id)
    agent = None if execution.agent_id is None else await unit.get(AGENT, execution.agent_id)
    shown = redact({"arguments": entry.arguments, "diff": entry.diff})
    question = Question(
        kind=ApprovalKind.TOOL_CALL,
        reviewers=reviewers.people(task),
        task_id=execution.task_id,
        execution_id=execution.id,
        tool_call=ToolCall(tool=entry.tool, fingerprint=entry.fingerprint, **shown),
        evidence=evidence_of(task, agent=agent, execution=execution, workspace=workspace, places=entry.places),
    )
    book = await reviewers.policies.book(workspace, for_call=True)
    return consult(book, approval_id, question, unit.bus.clock(), _call_of(entry))


def _call_of(entry: PermissionRequested) -> ToolCall:
    return ToolCall(tool=entry.tool, fingerprint=entry.fingerprint, arguments=entry.arguments)


async def _given(
    unit: UnitOfWork, entry: PermissionRequested, asked: Sequence[PermissionQuestion]
) -> Sequence[GivenAnswer]:
    """Return the answers of humans to earlier calls that may matter for this one, the one given last first."""
    answers: list[GivenAnswer] = []
    for question in reversed(asked):
        about = question.asked
        if about.automatic or not (question.waits or question.remembered or about.fingerprint == entry.fingerprint):
            continue
        approval = await unit.require(APPROVAL, about.approval_id)
        if _lasts(approval) and (approval.granted or about.fingerprint == entry.fingerprint):
            answers.append(GivenAnswer(approval, about.fingerprint, about.session_id))
    approvals = {one.approval.id: one.approval for one in answers}
    if all(approval.granted for approval in approvals.values()):  # only a refusal makes the order matter
        return answers
    places = {one.id: place for place, one in enumerate(await _last_word_first(unit, [*approvals.values()]))}
    return sorted(answers, key=lambda one: places[one.approval.id])


def _decision(
    execution: Execution, entry: PermissionRequested, given: Sequence[GivenAnswer], said: PolicyDecision | None
) -> CallDecision:
    """Return who decides the call. Nothing is redacted: a rule could match a part that redaction removes."""
    rules = execution.plan.permissions
    return decide_call(rules, _call_of(entry), entry.places, given, execution.session_id, said)


async def _answer(unit: UnitOfWork, approval_id: ApprovalId, decision: CallDecision) -> None:
    """Answer a question by the policy of the run, or by an answer that covers later calls."""
    policy = unit.acting_as(POLICY)
    if decision.verdict is Ruling.REFUSED:
        await policy.handle(approval_id, Reject(feedback=decision.reason))
    elif decision.verdict is Ruling.ALLOWED:
        await policy.handle(approval_id, Approve(feedback=decision.reason))
