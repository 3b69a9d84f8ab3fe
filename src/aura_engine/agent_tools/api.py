"""Own task: everything that an agent may see and do in AURA, limited to the one task of its scope.

    own = OwnTask(bus, reads, scope)
    await own.report("half of the tests pass", percent=50)
    question = await own.ask("May I drop the old column?")
    question = await own.wait(question.id, timeout=30)
    approval = await own.submit("I drop the old column and keep its values in the new one")

It uses the store only, alongside the engine that drives the task. It acts on behalf of the execution's agent, and only
while that execution is running; agents decide nothing. Each action is recorded together with an entry in the execution
log, or not at all; the limits below count these entries.

All methods raise `ScopeEnded` once the execution has ended, `TokenRefused` for an execution that is not in this log,
`CommandRefused` if a rule forbids the action, and the errors of the log.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import NoReturn, TypeVar
from uuid import UUID, uuid5

import anyio
import attrs

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import ResumeAgent
from aura_contracts.approval import (
    APPROVAL,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    PolicyRef,
    Question,
    RequestApproval,
)
from aura_contracts.errors import AggregateExists, AggregateNotFound, RuleViolated, VersionConflict
from aura_contracts.execution import (
    EXECUTION,
    Action,
    Execution,
    InquiryAnswered,
    InquiryAwaited,
    InquiryMade,
    ProgressReported,
    RecordAction,
    SubtaskCreated,
)
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import ReadModels, TaskQuery
from aura_contracts.secrets import require_no_secret_within
from aura_contracts.task import (
    TASK,
    ApprovalMode,
    ApproveTask,
    CreateTask,
    ExecutionStarted,
    Priority,
    RejectTask,
    Task,
    TaskChangesRequested,
    TaskRejected,
    TaskStatus,
)
from aura_engine.agent_tools.access import ScopeEnded, TaskScope, TokenRefused
from aura_engine.agent_tools.action_tally import ActionTally
from aura_engine.permissions.inquiries import choice_of, choices_of, inquiries_of, inquiry_id, words_with
from aura_engine.policy.consultation import pose
from aura_engine.policy.evidence import evidence_of
from aura_engine.policy.rulebook import Policy, Rulebook
from aura_engine.policy.sources import PolicySources
from aura_engine.runtime.context import reviewers_of, subtask_spec
from aura_engine.runtime.review import submit
from aura_engine.runtime.views import View, view_in
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

BETWEEN_WAITS = 20.0
"""Seconds that an agent may take from one wait to the next without its time counting."""

_NOTED_WAIT = 60.0
"""Seconds after which a wait is recorded again: one whose process was killed ends within them."""


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

    def __init__(
        self, bus: CommandBus, reads: ReadModels, scope: TaskScope, policies: PolicySources | None = None
    ) -> None:
        self._bus = bus
        self._reads = reads
        self._scope = scope
        self._policies = policies or PolicySources()
        self._lock = anyio.Lock()
        self._tally = ActionTally(bus.log, scope.execution_id)

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
        require_no_secret_within([message, step], "message")
        report = ProgressReported(message=message, step=step, percent=percent)

        async def decide(unit: UnitOfWork, execution: Execution) -> None:
            await self._require_room(ProgressReported, PROGRESS_LIMIT, "reports of progress")
            await self._record(unit, execution, report)

        await self._decide(decide)

    async def create_subtask(
        self, title: str, description: str = "", *, priority: Priority = Priority.MEDIUM
    ) -> tuple[Task, bool]:
        """Create a subtask; return it, and whether it is new: equal title and description give the same task.

        It is reviewed like this task. No agent works on it until a human or a policy starts it."""
        require_no_secret_within([title, description], "title and description")
        parent_id = self._scope.task_id
        task_id = TaskId(str(uuid5(UUID(parent_id), f"subtask:{title}\0{description}")))

        async def decide(unit: UnitOfWork, execution: Execution) -> tuple[Task, bool]:
            there = await unit.get(TASK, task_id)
            if there is not None:
                return there, False
            parent = await unit.require(TASK, parent_id)
            await self._require_depth(unit, parent)
            await self._require_room(SubtaskCreated, SUBTASK_LIMIT, "subtasks")
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
        require_no_secret_within([question, *choices], "question")
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
            view = await view_in(unit, self._scope.task_id)
            request = RequestApproval(
                approval_id=approval_id,
                question=Question(
                    kind=ApprovalKind.QUESTION,
                    reviewers=reviewers_of(view.task),
                    task_id=self._scope.task_id,
                    execution_id=self._scope.execution_id,
                    proposed_solution=words,
                    choices=offered,
                    evidence=evidence_of(view.task, agent=view.agent, execution=execution, workspace=view.workspace),
                ),
            )
            approval = await pose(unit, await self._policies.book(view.workspace), request)
            await self._record(unit, execution, InquiryMade(approval_id=approval_id))
            return approval

        return await self._decide(decide)

    async def submit(self, proposal: str, *, confidence: float | None = None) -> Approval:
        """Submit a proposal to the reviewers of the task; return the approval, which waits for their decision.

        The agent is paused until then: nothing else of the task is started. The approval mode ``auto`` approves at
        once, and so may a policy; callables of the embedding program are asked by the engine that drives the task, a
        moment later. The same words are the same proposal until the agent has received a decision that sends it back.
        `confidence` is from 0 to 1.
        """
        require_no_secret_within(proposal, "proposal")

        async def decide(unit: UnitOfWork, execution: Execution) -> Approval:
            view = await view_in(unit, self._scope.task_id)
            task, last = view.task, view.approval
            if last is not None and last.kind is ApprovalKind.PLAN and last.proposed_solution == proposal:
                holds = last.status is ApprovalStatus.PENDING or (last.granted and task.status is TaskStatus.APPROVED)
                if holds or not await self._is_told(last):
                    return last
            if task.status is TaskStatus.AWAITING_APPROVAL:
                self._refuse("pending", f"approval {task.approval_id} waits for its decision", "wait for that first")
            approval_id = ApprovalId(self._bus.ids())
            approval = await submit(
                unit,
                view,
                approval_id,
                proposal,
                book=await self._book(view),
                confidence=confidence,
                execution_id=execution.id,
                events=await unit.events(execution.id),
                answered="" if task.approval_mode is ApprovalMode.AUTO else None,
                judged=not self._scope.has_callables,
            )
            await self._record(unit, execution, InquiryMade(approval_id=approval_id))
            if approval.status is ApprovalStatus.PENDING:
                return approval
            engine = unit.acting_as(ENGINE)
            if approval.granted:
                await engine.handle(task.id, ApproveTask(approval_id=approval_id))
            else:
                await engine.handle(task.id, RejectTask(approval_id=approval_id, feedback=approval.feedback or ""))
            if execution.agent_id is not None:
                await unit.acting_as(ENGINE).handle(execution.agent_id, ResumeAgent(task_id=task.id))
            return approval

        return await self._decide(decide)

    async def _book(self, view: View) -> Rulebook:
        """Return the policies in force; one that demands a human stands in for those that only the engine asks."""
        book = await self._policies.book(view.workspace)
        return attrs.evolve(book, policies=(*book.policies, _CALLABLES)) if self._scope.has_callables else book

    async def wait(self, approval_id: ApprovalId, timeout: float = 0.0) -> Approval:  # noqa: ASYNC109 - an answer
        """Return a question or proposal once it is decided, or as it is after `timeout` seconds. Cancelling only stops
        the wait.

        Records that the agent waits, so that its time does not count until `BETWEEN_WAITS` seconds after `timeout`, and
        that it received the answer. Raises `AggregateNotFound` for a question that was not asked about this task, and a
        proposal that is not its latest.
        """
        await self._live(None)
        approval = await self._question(approval_id)
        ends = anyio.current_time() + timeout
        while approval.status is ApprovalStatus.PENDING and (left := ends - anyio.current_time()) > 0:
            spell = min(left, _NOTED_WAIT)
            await self._note_waiting(approval, spell)
            with anyio.move_on_after(spell):
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
        mine = mine or approval_id == (await self._bus.require(TASK, self._scope.task_id)).approval_id
        approval = await self._bus.get(APPROVAL, approval_id) if mine else None
        if approval is None:
            remedy = "ask first, and give the id of that question"
            raise AggregateNotFound(
                aggregate="question about this task", aggregate_id=approval_id, command="wait", remedy=remedy
            )
        return approval

    async def _note_waiting(self, approval: Approval, seconds: float) -> None:
        """Record that the agent waits so long from now, unless its clock stands that long anyway."""
        ends = self._bus.clock() + timedelta(seconds=seconds)

        async def decide(unit: UnitOfWork, execution: Execution) -> None:
            if execution.awaited.get(approval.id, ends - timedelta(1)) < ends:
                until = ends + timedelta(seconds=BETWEEN_WAITS)
                await self._record(unit, execution, InquiryAwaited(approval_id=approval.id, until=until))

        await self._decide(decide)

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
            same_number = AggregateExists  # of a question
            return await self._bus.transact(actor, in_scope, on=(VersionConflict, same_number))

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

    async def _require_room(self, action: type[Action], limit: int, what: str) -> None:
        """Refuse an action that the execution has done `limit` times.

        The unit that records the action has loaded the execution, so a concurrent action is a conflict."""
        if await self._tally.count(action) >= limit:
            self._refuse("limit", f"a run makes at most {limit} {what}", "continue without")

    async def _record(self, unit: UnitOfWork, execution: Execution, action: Action) -> None:
        await unit.handle(self._scope.execution_id, RecordAction(epoch=execution.epoch, action=action))

    def _refuse(self, rule: str, reason: str, remedy: str = "") -> NoReturn:
        about = {"aggregate": "task", "aggregate_id": self._scope.task_id, "command": "act"}
        raise RuleViolated(**about, rule=rule, reason=reason, remedy=remedy)


_SENT_BACK = (TaskRejected, TaskChangesRequested)

_CALLABLES = Policy(
    PolicyRef("callables"), broken="the policies of the embedding program cannot be asked by a tool of the agent"
)
