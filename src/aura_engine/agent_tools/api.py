"""Own task: what an agent at work may see and do of AURA by itself: about the one task of its scope, and nothing else.

    own = OwnTask(bus, scope)
    await own.report("half of the tests pass", percent=50)
    question = await own.ask("May I drop the old column?")
    question = await own.wait(question.id, timeout=30)

It works on the log alone, beside the engine that drives the task. Everything is done in the name of the execution's
agent, and only while that execution goes on; agents decide nothing. What it does leaves an entry in the execution log,
together with what was done, or not at all; by these entries it is counted too.

All methods raise `ScopeEnded` once the execution has ended, `TokenRefused` for one that is not in this log,
`CommandRefused` where a rule says no, and what the log raises.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, TypeVar
from uuid import UUID, uuid5

import anyio
import attrs

from aura_contracts.actors import Actor
from aura_contracts.actors import agent as agent_actor
from aura_contracts.approval import APPROVAL, Approval, ApprovalKind, ApprovalStatus, Question, RequestApproval
from aura_contracts.errors import AggregateExists, AggregateNotFound, RuleViolated, VersionConflict
from aura_contracts.execution import (
    EXECUTION,
    Action,
    Execution,
    InquiryAnswered,
    InquiryMade,
    ProgressReported,
    RecordAction,
    SubtaskCreated,
)
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.task import (
    TASK,
    CreateTask,
    ExecutionStarted,
    Priority,
    Task,
    TaskChangesRequested,
    TaskCreated,
    TaskRejected,
    TaskReparented,
    TaskStatus,
)
from aura_engine.agent_tools.token import ScopeEnded, TaskScope, TokenRefused
from aura_engine.permissions.inquiries import choice_of, choices_of, inquiries_of, inquiry_id, words_with
from aura_engine.runtime.context import reviewers_of, subtask_spec
from aura_engine.unit_of_work import CommandBus, UnitOfWork

R = TypeVar("R")

SUBTASK_LIMIT = 50
"""Subtasks that an execution may create."""

PROGRESS_LIMIT = 1000
"""Reports of progress that an execution may make."""

INQUIRY_LIMIT = 100
"""Questions that may be asked about a task."""

DEPTH_LIMIT = 5
"""Tasks above one that an agent creates."""

_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds before a decision is made again which others were faster than, besides what the bus does by itself."""


@attrs.frozen(kw_only=True)
class Story:
    """The task of an agent with what surrounds it."""

    task: Task
    parent: Task | None
    subtasks: Sequence[Task]
    feedback: Sequence[str]
    """What humans said to proposals that were not approved, the oldest first."""
    questions: Sequence[Approval]


class OwnTask:
    """The task of a scope, in the hands of its agent. Several may be used at once, in several processes."""

    def __init__(self, bus: CommandBus, scope: TaskScope) -> None:
        self._bus = bus
        self._scope = scope
        self._lock = anyio.Lock()
        self._children: dict[TaskId, TaskId | None] = {}
        self._read = 0
        self._tallied: tuple[int, Counter[type[Action]]] = (0, Counter())

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def read(self) -> Story:
        """Return the task as it is."""
        await self._live(None)
        task = await self._task(self._scope.task_id)
        parent = None if task.parent_id is None else await self._bus.get(TASK, task.parent_id)
        facts = await self._bus.log.facts(self._scope.task_id)
        return Story(
            task=task,
            parent=parent,
            subtasks=await self.subtasks(),
            feedback=[fact.event.feedback for fact in facts if isinstance(fact.event, _SENT_BACK)],
            questions=await inquiries_of(self._bus, self._scope.task_id),
        )

    async def subtasks(self) -> Sequence[Task]:
        """Return the tasks right below this one, the oldest first, whoever created them; not those deleted."""
        await self._live(None)
        topics = (TaskCreated.topic, TaskReparented.topic)
        async for record in self._bus.log.read(self._read, topics=topics):
            event = record.event
            assert isinstance(event, TaskCreated | TaskReparented), "no others were asked for"
            if record.position > self._read:  # by another call that reads at the same time
                parent_id = event.spec.parent_id if isinstance(event, TaskCreated) else event.parent_id
                self._children[TaskId(record.stream_id)] = parent_id
                self._read = record.position
        mine = [task_id for task_id, parent_id in self._children.items() if parent_id == self._scope.task_id]
        tasks = [await self._task(task_id) for task_id in mine]
        return [task for task in tasks if task.status is not TaskStatus.DELETED]

    async def _task(self, task_id: TaskId) -> Task:
        return await self._bus.require(TASK, task_id)

    # --- Telling ------------------------------------------------------------------------------------------------------

    async def report(self, message: str, *, step: str | None = None, percent: float | None = None) -> None:
        """Record how far the work is. `percent` is from 0 to 100."""
        report = ProgressReported(message=message, step=step, percent=percent)

        async def decide(unit: UnitOfWork, execution: Execution) -> None:
            await self._require_room(execution, ProgressReported, PROGRESS_LIMIT, "reports of progress")
            await self._record(unit, execution, report)

        await self._decide(decide)

    async def create_subtask(
        self, title: str, description: str = "", *, priority: Priority = Priority.MEDIUM
    ) -> tuple[Task, bool]:
        """Create a task below this one; return it, and whether it is new: the same words again are the same task.

        It is reviewed as this one is. Nobody works on it before a human, or a policy, has it worked on.
        """
        parent_id = self._scope.task_id
        task_id = TaskId(str(uuid5(UUID(parent_id), f"subtask:{title}\0{description}")))

        async def decide(unit: UnitOfWork, execution: Execution) -> tuple[Task, bool]:
            there = await unit.get(TASK, task_id)
            if there is not None:
                return there, False
            parent = await unit.require(TASK, parent_id)
            await self._require_depth(unit, parent)
            await self._require_room(execution, SubtaskCreated, SUBTASK_LIMIT, "subtasks")
            spec = subtask_spec(parent, title, description, priority=priority)
            created = await unit.handle(task_id, CreateTask(task_id=task_id, spec=spec))
            await self._record(unit, execution, SubtaskCreated(subtask_id=task_id, title=title))
            return created, True

        return await self._decide(decide)

    async def _require_depth(self, unit: UnitOfWork, parent: Task) -> None:
        above, task = 1, parent
        while task.parent_id is not None and above <= DEPTH_LIMIT:
            task = await unit.require(TASK, task.parent_id)
            above += 1
        if above > DEPTH_LIMIT:
            self._refuse("depth", f"agents create tasks with at most {DEPTH_LIMIT} others above", "do it in this task")

    # --- Asking -------------------------------------------------------------------------------------------------------

    async def ask(self, question: str, choices: Sequence[str] = ()) -> Approval:
        """Ask those who review the task; return the question, which waits for an answer.

        The same words again are the same question, until the agent was told the answer: one that was interrupted asks
        again, and finds its question open, or answered.
        """
        offered = choices_of(choices)
        words = words_with(question, offered)

        async def decide(unit: UnitOfWork, execution: Execution) -> Approval:
            asked = await inquiries_of(self._bus, self._scope.task_id)
            same = next((one for one in reversed(asked) if one.proposed_solution == words), None)
            if same is not None and (same.status is ApprovalStatus.PENDING or not await self._is_told(same)):
                return same
            if len(asked) >= INQUIRY_LIMIT:
                self._refuse("limit", f"{INQUIRY_LIMIT} questions were asked about this task", "go on without asking")
            approval_id = inquiry_id(self._scope.task_id, len(asked))
            request = RequestApproval(
                approval_id=approval_id,
                question=Question(
                    kind=ApprovalKind.QUESTION,
                    reviewers=reviewers_of(await unit.require(TASK, self._scope.task_id)),
                    task_id=self._scope.task_id,
                    execution_id=self._scope.execution_id,
                    proposed_solution=words,
                    choices=offered,
                ),
            )
            approval = await unit.handle(approval_id, request)
            await self._record(unit, execution, InquiryMade(approval_id=approval_id))
            return approval

        return await self._decide(decide)

    async def wait(self, approval_id: ApprovalId, timeout: float = 0.0) -> Approval:  # noqa: ASYNC109 - an answer
        """Return a question once it was answered, or as it is after `timeout` seconds. Cancelling only stops waiting.

        That the agent was told the answer is recorded. Raises `AggregateNotFound` for what it did not ask.
        """
        await self._live(None)
        approval = await self._question(approval_id)
        with anyio.move_on_after(timeout):
            while approval.status is ApprovalStatus.PENDING:
                head = await self._bus.log.head()
                approval = await self._question(approval_id)
                if approval.status is ApprovalStatus.PENDING:
                    await self._bus.log.wait(head)
        if approval.status is not ApprovalStatus.PENDING:
            await self._tell(approval)
        return approval

    @staticmethod
    def choice_of(question: Approval) -> str | None:
        """Return which of its choices a question was answered with; None where none was, or there were none."""
        return choice_of(question)

    async def _question(self, approval_id: ApprovalId) -> Approval:
        numbers = range(INQUIRY_LIMIT)
        mine = any(approval_id == inquiry_id(self._scope.task_id, number) for number in numbers)
        approval = await self._bus.get(APPROVAL, approval_id) if mine else None
        if approval is None:
            remedy = "ask first, and give the id of that question"
            raise AggregateNotFound(
                aggregate="question about this task", aggregate_id=approval_id, command="wait", remedy=remedy
            )
        return approval

    async def _tell(self, approval: Approval) -> None:
        async def decide(unit: UnitOfWork, execution: Execution) -> None:
            if not await self._is_told(approval):
                await self._record(unit, execution, InquiryAnswered(approval_id=approval.id, status=approval.status))

        await self._decide(decide)

    async def _is_told(self, approval: Approval) -> bool:
        """Whether some agent of the task was told what was decided."""
        facts = await self._bus.log.facts(self._scope.task_id)
        for execution_id in [fact.event.execution_id for fact in facts if isinstance(fact.event, ExecutionStarted)]:
            for fact in await self._bus.log.facts(execution_id):
                if isinstance(fact.event, InquiryAnswered) and fact.event.approval_id == approval.id:
                    return True
        return False

    # --- Deciding -----------------------------------------------------------------------------------------------------

    async def _decide(self, decide: Callable[[UnitOfWork, Execution], Awaitable[R]]) -> R:
        """Have `decide` made and recorded, in the name of the agent, however often others are faster."""

        async def in_scope(unit: UnitOfWork) -> R:
            return await decide(unit, await self._live(unit))

        actor = self._actor(await self._live(None))
        async with self._lock:
            for pause in _PAUSES:
                try:
                    return await self._bus.transact(actor, in_scope)
                except (VersionConflict, AggregateExists):  # which a question of the same number is
                    await anyio.sleep(pause)
            return await self._bus.transact(actor, in_scope)

    async def _live(self, unit: UnitOfWork | None) -> Execution:
        """Return the execution of the scope, as `unit` sees it if there is one; refuse one that has ended."""
        execution_id = self._scope.execution_id
        load = self._bus.get if unit is None else unit.get
        execution: Execution | None = await load(EXECUTION, execution_id)
        if execution is None or execution.task_id != self._scope.task_id:
            raise TokenRefused(reason="its task is not in this store")
        if execution.ended_at is not None:
            raise ScopeEnded(execution_id=execution_id, status=str(execution.status))
        return execution

    def _actor(self, execution: Execution) -> Actor:
        if execution.agent_id is None:
            self._refuse("agent", "the execution has no agent in whose name things could be done")
        return agent_actor(execution.agent_id)

    async def _require_room(self, execution: Execution, action: type[Action], limit: int, what: str) -> None:
        """Refuse one more of what this execution has done often enough, counted in its log.

        `execution` was looked at in the unit that the action is recorded in: what comes in between is a conflict.
        """
        seen, tally = self._tallied
        facts = await self._bus.log.facts(self._scope.execution_id, after=seen)
        tally = tally + Counter(type(fact.event) for fact in facts if isinstance(fact.event, Action))
        self._tallied = (seen + len(facts), tally)
        if tally[action] >= limit:
            self._refuse("limit", f"a run makes at most {limit} {what}", "go on without")

    async def _record(self, unit: UnitOfWork, execution: Execution, action: Action) -> None:
        await unit.handle(self._scope.execution_id, RecordAction(epoch=execution.epoch, action=action))

    def _refuse(self, rule: str, reason: str, remedy: str = "") -> NoReturn:
        about = {"aggregate": "task", "aggregate_id": self._scope.task_id, "command": "act"}
        raise RuleViolated(**about, rule=rule, reason=reason, remedy=remedy)


_SENT_BACK = (TaskRejected, TaskChangesRequested)
