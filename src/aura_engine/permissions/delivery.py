"""Delivery: takes each decision about a tool call to the agent that waits for it, and what humans write to agents.

Silence until the deadline means no. An agent that takes no messages while it works gets them when its turn is over.

What an agent asks with AURA's own tools, it is answered by them; its worker is only told whether it waits.

Invariants:

- Only the engine that drives a task delivers its answers; an answer that arrives twice is the same answer.
- An answer is sent until the worker has it, or says that no process waits for it.
- A question has at most one deadline running here. It ends when the question is decided, by anyone.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup

from aura_contracts.actors import ENGINE
from aura_contracts.approval import (
    APPROVAL,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    ExpireApproval,
    MoveApprovalTimes,
)
from aura_contracts.clocks import is_ahead
from aura_contracts.errors import AuraError, ProcessError, Recovery, RemoteError
from aura_contracts.events import EventRecord
from aura_contracts.execution import (
    EXECUTION,
    Execution,
    InquiryAwaited,
    MessageQueued,
    PermissionAnswered,
    PermissionAsked,
    RecordAction,
    SessionRecorded,
)
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId
from aura_contracts.ports.executors import Answer
from aura_contracts.task import TASK
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.permissions.questions import PermissionQuestion, questions_of, questions_of_task
from aura_engine.unit_of_work import CommandBus
from aura_worker_protocol.messages import AnswerPermission, NoteWaiting, TellAgent
from aura_worker_protocol.request import Request

R = TypeVar("R", bound=msgspec.Struct)

_LOG = logging.getLogger(__name__)

_SILENCE = "No one answered in time, so the answer is no."

_RETRY_AFTER = 1.0
"""Seconds before an answer that could not be sent, or an expiry that could not be recorded, is tried again."""


class AgentLine(Protocol):
    """What delivery needs of the engine's end of the connection to the worker."""

    bus: CommandBus
    answered: set[tuple[str, str]]
    """Questions, by process and name, whose answer was recorded as received."""

    async def request(self, request: Request[R]) -> R:
        """Send a request to the worker; return its result."""
        ...


async def answer(line: AgentLine, approval: Approval) -> None:
    """Send the decision to the agent that waits for `approval`, if it still runs.

    An agent that receives several answers keeps the first. Raises `WorkerUnavailable`."""
    if approval.kind is not ApprovalKind.TOOL_CALL or approval.task_id is None:
        return
    task = await line.bus.get(TASK, approval.task_id)
    execution = None if task is None or task.execution_id is None else await _at_work(line, task.execution_id)
    if execution is None:
        return
    for question in await questions_of(line.bus, execution.id):
        if question.asked.approval_id == approval.id:
            await _tell(line, question, approval)


async def answer_decided(line: AgentLine, execution: Execution, token: str) -> None:
    """Send a process that was taken over the decisions made and the messages written while it was unreachable.

    Raises `WorkerUnavailable` if it is unreachable again. What the worker fails on is left: the process still runs.
    """
    try:
        await _note_waiting(line, execution.id)
        await _pass_on(line, execution.id)
        for question in await questions_of(line.bus, execution.id):
            approval = await line.bus.get(APPROVAL, question.asked.approval_id)
            if question.asked.token == token and approval is not None and approval.final:
                await _tell(line, question, approval)
    except RemoteError as error:
        _LOG.warning("execution %s: its agent is not told what was decided: %s", execution.id, error)


async def _at_work(line: AgentLine, execution_id: ExecutionId) -> Execution | None:
    """Return an execution that is still running. One that is being ended gets no answers: it must not begin anything
    new.
    """
    execution = await line.bus.get(EXECUTION, execution_id)
    over = execution is None or execution.final or execution.interrupted
    return None if over else execution


async def _note_waiting(line: AgentLine, execution_id: ExecutionId) -> None:
    """Tell the worker how long the agent waits with AURA's own tools; again if that changes meanwhile."""
    noted: list[datetime] | None = None
    while (execution := await _at_work(line, execution_id)) is not None:
        asked = [(await line.bus.get(APPROVAL, one), until) for one, until in execution.awaited.items()]
        waits = [until for approval, until in asked if approval is not None and not approval.final]
        if waits == noted:
            return
        left = (max(waits) - line.bus.clock()).total_seconds() if waits else 0.0
        try:
            await line.request(NoteWaiting(token=str(execution.process_token), seconds=max(left, 0.0)))
        except ProcessError as error:
            _LOG.debug("execution %s: no agent waits: %s", execution_id, error)
            return
        noted = waits


async def _pass_on(line: AgentLine, execution_id: ExecutionId) -> None:
    """Send the messages that wait to the agent, which takes each once, if it takes any while it works."""
    execution = await _at_work(line, execution_id)
    if execution is None:
        return
    token = str(execution.process_token)
    for message in (one for one in execution.messages if one.id):  # without one nothing could confirm it
        text = f"{message.author}: {message.text}"
        try:
            await line.request(TellAgent(token=token, message_id=message.id, text=text))
        except ProcessError as error:
            _LOG.debug("execution %s: no agent takes messages: %s", execution_id, error)
            return


async def _tell(line: AgentLine, question: PermissionQuestion, approval: Approval) -> None:
    silence = _SILENCE if approval.status is ApprovalStatus.EXPIRED and not approval.granted else ""
    told = Answer(granted=approval.granted, feedback=approval.feedback or silence)
    request = AnswerPermission(token=question.asked.token, request_id=question.asked.request_id, answer=told)
    try:
        await line.request(request)
    except ProcessError as error:
        _LOG.debug("approval %s: no agent waits for the answer: %s", approval.id, error)
        return
    key = (question.asked.token, question.asked.request_id)
    if not question.answered and key not in line.answered:
        line.answered.add(key)
        await _record_answer(line, question, approval)


async def _record_answer(line: AgentLine, question: PermissionQuestion, approval: Approval) -> None:
    """Record that an agent received the answer, unless its execution has ended meanwhile."""
    execution = await line.bus.get(EXECUTION, question.execution_id)
    if execution is None or execution.final:
        return
    event = PermissionAnswered(
        approval_id=approval.id,
        token=question.asked.token,
        request_id=question.asked.request_id,
        granted=approval.granted,
        remember=approval.remember,
    )
    action = RecordAction(epoch=execution.epoch, action=event)
    try:
        await line.bus.handle(ENGINE, question.execution_id, action)
    except AuraError as error:
        _LOG.debug("approval %s: the answer is not on record: %s", approval.id, error)


class Deliveries:
    """The answers on their way to agents, and the deadlines of open questions."""

    def __init__(self, line: AgentLine, drives: Callable[[TaskId], bool], clock: WallClock) -> None:
        self._line = line
        self._clock = clock
        self._drives = drives
        self._deadlines: dict[ApprovalId, anyio.CancelScope] = {}

    def on_record(self, record: EventRecord, group: TaskGroup) -> None:
        """Act on an event of the log: a new question starts its deadline, a decision is delivered."""
        event = record.event
        if isinstance(event, PermissionAsked | InquiryAwaited):
            group.start_soon(self._attend, event.approval_id)
        elif isinstance(event, MessageQueued | SessionRecorded):
            group.start_soon(self._tell, ExecutionId(record.stream_id))
        elif isinstance(event, APPROVAL.endings):
            approval_id = ApprovalId(record.stream_id)
            if approval_id in self._deadlines:
                self._deadlines[approval_id].cancel()
            group.start_soon(self._attend, approval_id)

    async def attend_open(self, task_id: TaskId, group: TaskGroup) -> None:
        """Attend to the questions that a task's agent asked before this engine drove it."""
        try:
            asked = await questions_of_task(self._line.bus, task_id)
            for approval_id in dict.fromkeys(one.asked.approval_id for one in asked if one.waits):
                if (await self._approval(approval_id)).status is ApprovalStatus.PENDING:
                    group.start_soon(self._attend, approval_id)
        except AuraError as error:
            _LOG.warning("the questions of task %s are not attended to: %s", task_id, error)

    async def _attend(self, approval_id: ApprovalId) -> None:
        await self._persist(f"approval {approval_id}", lambda: self._answer_or_expire(approval_id))

    async def _tell(self, execution_id: ExecutionId) -> None:
        await self._persist(f"execution {execution_id}", lambda: self._pass_on(execution_id))

    async def _pass_on(self, execution_id: ExecutionId) -> None:
        execution = await self._line.bus.get(EXECUTION, execution_id)
        if execution is not None and execution.messages and self._drives(execution.task_id):
            await _pass_on(self._line, execution_id)

    async def _persist(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something, again after errors that time removes; other errors are logged."""
        while True:
            try:
                await act()
            except AuraError as error:
                if error.recovery is not Recovery.LATER:  # attended to again when the task is next taken on
                    _LOG.warning("%s is not attended to: %s", what, error)
                    return
                _LOG.debug("%s is attended to again soon: %s", what, error)
                await anyio.sleep(_RETRY_AFTER)
            except Exception:  # noqa: BLE001 - a bug: it must not end the engine, which drives other tasks
                _LOG.exception("%s is not attended to", what)
                return
            else:
                return

    async def _answer_or_expire(self, approval_id: ApprovalId) -> None:
        approval = await self._approval(approval_id)
        if approval.task_id is None or not self._drives(approval.task_id):
            return
        if approval.kind is not ApprovalKind.TOOL_CALL:
            task = await self._line.bus.get(TASK, approval.task_id)
            if task is not None and task.execution_id is not None:
                await _note_waiting(self._line, task.execution_id)
        elif approval.status is not ApprovalStatus.PENDING:
            await answer(self._line, approval)
        elif approval.deadline is not None and approval_id not in self._deadlines:
            with anyio.CancelScope() as scope:
                self._deadlines[approval_id] = scope
                try:
                    await self._expire(approval_id)
                finally:
                    del self._deadlines[approval_id]

    async def _expire(self, approval_id: ApprovalId) -> None:
        """Wait for the deadline, which may move, then close the question; retried until it is closed."""
        pause: float | None = 0.0
        while pause is not None:
            await anyio.sleep(pause)
            try:
                pause = await self._expire_or_wait(await self._approval(approval_id))
            except AuraError as error:
                _LOG.debug("approval %s did not expire: %s", approval_id, error)
                pause = _RETRY_AFTER

    async def _expire_or_wait(self, approval: Approval) -> float | None:
        """Close a question after its deadline; return the seconds until the next look, None if none is needed."""
        if approval.status is not ApprovalStatus.PENDING or approval.deadline is None:
            return None
        now = self._clock.now()
        if now < approval.deadline:
            if is_ahead(approval.open_since, now):
                await self._line.bus.handle(ENGINE, approval.id, MoveApprovalTimes())
                return 0.0
            return self._clock.until(approval.deadline)
        if held := await self._clock.held_once_reached(self._line.bus.log.head):
            return held
        await self._line.bus.handle(ENGINE, approval.id, ExpireApproval())
        return None

    async def _approval(self, approval_id: ApprovalId) -> Approval:
        approval = await self._line.bus.get(APPROVAL, approval_id)
        assert approval is not None, "its stream has begun"
        return approval
