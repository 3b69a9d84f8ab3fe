"""Own task: everything that an agent may see and do in AURA, limited to the one task of its scope.

    own = OwnTask(bus, reads, scope)
    await own.report("half of the tests pass", percent=50)
    question = await own.ask("May I drop the old column?")
    question = await own.wait(question.id, timeout=30)

It uses the store only, alongside the engine that drives the task. It acts on behalf of the execution's agent, and only
while that execution is running; agents decide nothing. Each action is recorded together with an entry in the execution
log, or not at all; the limits below count these entries.

All methods raise `ScopeEnded` once the execution has ended, `TokenRefused` for an execution that is not in this log,
`CommandRefused` if a rule forbids the action, and the errors of the log.
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
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import ReadModels, TaskQuery
from aura_contracts.task import (
    TASK,
    CreateTask,
    ExecutionStarted,
    Priority,
    Task,
    TaskChangesRequested,
    TaskRejected,
)
from aura_engine.agent_tools.access import ScopeEnded, TaskScope, TokenRefused
from aura_engine.permissions.inquiries import choice_of, choices_of, inquiries_of, inquiry_id, words_with
from aura_engine.runtime.context import reviewers_of, subtask_spec
from aura_engine.unit_of_work import CommandBus, UnitOfWork

R = TypeVar("R")

SUBTASK_LIMIT = 50
"""Maximum subtasks that an execution creates."""

PROGRESS_LIMIT = 1000
"""Maximum progress reports of an execution."""

INQUIRY_LIMIT = 100
"""Maximum questions about a task."""

DEPTH_LIMIT = 5
"""Maximum ancestors of a task that an agent creates."""

_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds before a decision that lost to faster writers is repeated, after the retries of the bus."""


@attrs.frozen(kw_only=True)
class TaskContext(Plain):
    """The task of an agent and its context."""

    task: Task
    parent: Task | None
    subtasks: Sequence[Task]
    feedback: Sequence[str]
    """Human feedback on proposals that were not approved, oldest first."""
    questions: Sequence[Approval]


class OwnTask:
    """The task of a scope, for its agent. Several may be used at once, also in different processes."""

    def __init__(self, bus: CommandBus, reads: ReadModels, scope: TaskScope) -> None:
        self._bus = bus
        self._reads = reads
        self._scope = scope
        self._lock = anyio.Lock()
        self._tallied: tuple[int, Counter[type[Action]]] = (0, Counter())

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def read(self) -> TaskContext:
        """Return the task and its context."""
        await self._live(None)
        task = await self._bus.require(TASK, self._scope.task_id)
        parent = None if task.parent_id is None else await self._bus.get(TASK, task.parent_id)
        facts = await self._bus.log.facts(self._scope.task_id)
        return TaskContext(
            task=task,
            parent=parent,
            subtasks=await self.subtasks(),
            feedback=[fact.event.feedback for fact in facts if isinstance(fact.event, _SENT_BACK)],
            questions=await inquiries_of(self._bus, self._scope.task_id),
        )

    async def subtasks(self) -> Sequence[Task]:
        """Return the direct subtasks of this task, oldest first, no matter who created them; without deleted ones."""
        await self._live(None)
        query = TaskQuery(parent=self._scope.task_id, descending=False)
        return [task async for task in self._reads.rows(query)]

    # --- Writing ------------------------------------------------------------------------------------------------------

    async def report(self, message: str, *, step: str | None = None, percent: float | None = None) -> None:
        """Record the progress of the work. `percent` is from 0 to 100."""
        report = ProgressReported(message=message, step=step, percent=percent)

        async def decide(unit: UnitOfWork, execution: Execution) -> None:
            await self._require_room(execution, ProgressReported, PROGRESS_LIMIT, "reports of progress")
            await self._record(unit, execution, report)

        await self._decide(decide)

    async def create_subtask(
        self, title: str, description: str = "", *, priority: Priority = Priority.MEDIUM
    ) -> tuple[Task, bool]:
        """Create a subtask; return it, and whether it is new: equal title and description give the same task.

        It is reviewed like this task. No agent works on it until a human or a policy starts it."""
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
        """Ask the reviewers of the task; return the question, which waits for an answer.

        The same words give the same question until the agent has received the answer: an agent that was interrupted
        asks again and finds its question open or answered.
        """
        offered = choices_of(choices)
        words = words_with(question, offered)

        async def decide(unit: UnitOfWork, execution: Execution) -> Approval:
            asked = await inquiries_of(self._bus, self._scope.task_id)
            same = next((one for one in reversed(asked) if one.proposed_solution == words), None)
            if same is not None and (same.status is ApprovalStatus.PENDING or not await self._is_told(same)):
                return same
            if len(asked) >= INQUIRY_LIMIT:
                self._refuse("limit", f"{INQUIRY_LIMIT} questions were asked about this task", "continue without it")
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
        """Return a question once it is answered, or as it is after `timeout` seconds. Cancelling only stops the wait.

        Records that the agent received the answer. Raises `AggregateNotFound` for a question that was not asked about
        this task.
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
        """Return the choice that answers a question; None without choices, or if the answer is not one of them."""
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
        """Whether an agent of the task has received the decision."""
        facts = await self._bus.log.facts(self._scope.task_id)
        for execution_id in [fact.event.execution_id for fact in facts if isinstance(fact.event, ExecutionStarted)]:
            for fact in await self._bus.log.facts(execution_id):
                if isinstance(fact.event, InquiryAnswered) and fact.event.approval_id == approval.id:
                    return True
        return False

    # --- Deciding -----------------------------------------------------------------------------------------------------

    async def _decide(self, decide: Callable[[UnitOfWork, Execution], Awaitable[R]]) -> R:
        """Run `decide` on behalf of the agent and record the result, however often other writers are faster."""

        async def in_scope(unit: UnitOfWork) -> R:
            return await decide(unit, await self._live(unit))

        actor = self._actor(await self._live(None))
        async with self._lock:
            for pause in _PAUSES:
                try:
                    return await self._bus.transact(actor, in_scope)
                except (VersionConflict, AggregateExists):  # a question with the same number
                    await anyio.sleep(pause)
            return await self._bus.transact(actor, in_scope)

    async def _live(self, unit: UnitOfWork | None) -> Execution:
        """Return the execution of the scope, as `unit` sees it if there is one; refuse if it has ended."""
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
            self._refuse("agent", "the execution has no agent to act for")
        return agent_actor(execution.agent_id)

    async def _require_room(self, execution: Execution, action: type[Action], limit: int, what: str) -> None:
        """Refuse an action that this execution has done `limit` times, counted in its log.

        `execution` was loaded in the unit that records the action, so a concurrent action is a conflict."""
        seen, tally = self._tallied
        facts = await self._bus.log.facts(self._scope.execution_id, after=seen)
        tally = tally + Counter(type(fact.event) for fact in facts if isinstance(fact.event, Action))
        self._tallied = (seen + len(facts), tally)
        if tally[action] >= limit:
            self._refuse("limit", f"a run makes at most {limit} {what}", "continue without")

    async def _record(self, unit: UnitOfWork, execution: Execution, action: Action) -> None:
        await unit.handle(self._scope.execution_id, RecordAction(epoch=execution.epoch, action=action))

    def _refuse(self, rule: str, reason: str, remedy: str = "") -> NoReturn:
        about = {"aggregate": "task", "aggregate_id": self._scope.task_id, "command": "act"}
        raise RuleViolated(**about, rule=rule, reason=reason, remedy=remedy)


_SENT_BACK = (TaskRejected, TaskChangesRequested)
