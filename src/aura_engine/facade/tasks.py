"""Tasks: pieces of work, from creation to result."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Unpack

import attrs
from msgspec.structs import replace

from aura_contracts.actors import actor_name
from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus
from aura_contracts.board import CanonicalState
from aura_contracts.execution import RequestInterrupt
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.ports.rows import Page
from aura_contracts.task import (
    TASK,
    ReparentTask,
    Subtask,
    Task,
    TaskChanges,
    TaskStatus,
)
from aura_engine import decisions, facade
from aura_engine.facade.arguments import Kept, Share
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.lock_lines import ClaimInLine, claims_in_line
from aura_engine.facade.noun import Noun
from aura_engine.facade.options import AssignmentOptions, NewTaskOptions, TaskFilters
from aura_engine.facade.queue_places import QueuePlace, places
from aura_engine.runtime.views import View, view_in
from aura_engine.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from aura_engine.facade.approvals import Approvals
    from aura_engine.facade.placement import Placement

R = TypeVar("R")


_ABOUT_WORK = (ApprovalKind.PLAN, ApprovalKind.CHANGES)


@gated
@attrs.frozen
class Tasks:
    """Tasks, by id. Commands record a change for the engine to carry out; none of them waits for the result."""

    _core: Core
    _approvals: ClassVar["Noun[Approvals]"] = Noun()

    async def get(self, task: str) -> Task:
        """Return a task. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(TASK, task)

    async def list(self, **filters: Unpack[TaskFilters]) -> Page[Task]:
        """Return a page of tasks, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(TaskQuery(**filters))

    async def view(self, task: str) -> View:
        """Return a task with its agent, execution, workspace and open questions."""
        return await self._core.view(TaskId(await self._core.find("task", task)))

    async def queue(self) -> Sequence[QueuePlace]:
        """Return the tasks that wait for an agent of the pool, the one that goes first first, and what each waits for.

        Those that cannot begin before others complete come last.
        """
        return await places(self._core)

    async def locks(self, task: str | None = None) -> Sequence[ClaimInLine]:
        """Return what tasks have for themselves alone, or wait for, and for which tasks; the oldest claim first.

        Of one task: its own claim first, then those that it waits for; empty if it has none.
        """
        task_id = None if task is None else TaskId(await self._core.find("task", task))
        return await claims_in_line(self._core, task_id)

    # --- Creating -----------------------------------------------------------------------------------------------------

    async def create(self, title: str, *, by: str | None = None, **options: Unpack[NewTaskOptions]) -> Task:
        """Create a task without starting it. With `repositories` it gets a workspace, created when work begins.

        Raises `GitError` for a repository that cannot be worked on, as `Engine.run` does.
        """
        given = facade.NewTask.model_validate({"title": title, **options})
        task_id = self._core.new_task_id()
        parent_id = None if given.parent is None else TaskId(await self._core.find("task", given.parent, "parent"))
        after = await self._found(given.after, "after")
        create = await self._placement.created(task_id, given, parent_id=parent_id, after=after)
        return await self._core.bus.transact(self._core.actor(by), create)

    async def edit(self, task: str, changes: Kept[TaskChanges], *, by: str | None = None) -> Task:
        """Edit a task; fields that `changes` does not set stay as they are.

        Locks change until the work begins; one that waits for its locks then waits for the new ones. Raises
        `RuleViolated` later, and `CyclicDependency` if the tasks in `after` wait for this one, be it through others.
        """
        if changes.after is not None:
            changes = replace(changes, after=await self._found(changes.after, "after"))
        return await facade.edit_task(self._core, task, changes, by)

    async def _found(self, named: Iterable[str], field: str) -> tuple[TaskId, ...]:
        """Return the ids of tasks, each once."""
        return tuple(dict.fromkeys([TaskId(await self._core.find("task", one, field)) for one in named]))

    async def reparent(self, task: str, parent: str | None, *, by: str | None = None) -> Task:
        """Make a task a part of another one, or of none. Raises `CyclicParent` if that is one of its own parts."""
        parent_id = None if parent is None else TaskId(await self._core.find("task", parent, "parent"))
        return await self._core.handle(TASK, task, ReparentTask(parent_id=parent_id), by)

    async def delete(self, task: str, reason: Kept[str] = "", *, by: str | None = None) -> Task:
        """Delete a task that no agent works on, with its parts; their history stays in the log.

        Parts that are completed or cancelled stay. Raises `TransitionRefused` while an agent works on a part.
        """
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            return await facade.delete_tree(unit, view.task, reason)

        return await self._transact(task_id, decide, by)

    async def parts(self, task: str) -> Sequence[Task]:
        """Return the parts of a task and theirs, each after the task above it; without deleted ones."""
        whole = await self.get(task)
        return await facade.parts_of(self._core.bus.fetch, whole)

    # --- Working ------------------------------------------------------------------------------------------------------

    async def assign(self, task: str, *, by: str | None = None, **options: Unpack[AssignmentOptions]) -> Task:
        """Assign a task to an agent, the one named or one of the pool, and start it.

        Without `agent` or `executor` it enters the queue for an agent of the pool, and gets one as soon as one that
        suits is free: perhaps at once. Tasks of higher priority go first, a task counts as one priority higher for each
        ten minutes in the queue, and the parts of one task, or the tasks of one creator, take turns with those of
        others. `queue` says which place it has, and what it waits for.

        A task that was created without `repositories` gets its workspace from those given here. Without any it is only
        assigned, for an agent outside AURA that works on it and submits a proposal.

        If an agent works on it already, that one is interrupted and released, open questions are withdrawn, and the new
        one continues with what is in the worktree as soon as the other has ended.
        """
        given = facade.Assignment.model_validate(options)
        task_id = TaskId(await self._core.find("task", task))
        assigned = await self._drive(await facade.TaskAssignment(self._core, given).record(task_id, by))
        return await self.get(task_id) if assigned.pooled else assigned

    async def execute(self, task: str, *, by: str | None = None) -> Task:
        """Have the assigned agent work on the task, for the first time or again after its last execution has ended."""
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            return await facade.execute_task(self._core, unit, view, self._core.actor(by))

        return await self._transact_and_drive(task_id, decide, by)

    async def follow_up(self, task: str, feedback: Kept[str], *, by: str | None = None) -> Task:
        """Have the agent revise its work. If a human is asked to approve it, this answers with a request for changes.

        A completed task begins again with the feedback: in a new worktree on the same branch, and in the same session.
        What a human approves, they approve again.
        """
        task_id = TaskId(await self._core.find("task", task))
        asked = (await self._core.view(task_id)).approval
        if asked is not None and asked.kind in _ABOUT_WORK and asked.status is ApprovalStatus.PENDING:
            await self._approvals.request_changes(asked.id, feedback, by=by)
            return await self.get(task_id)

        if (await self.get(task_id)).status is TaskStatus.COMPLETED:
            await self._core.clear(task_id)

        async def decide(unit: UnitOfWork, view: View) -> Task:
            decisions.require_concern(view.task, self._core.actor(by), "follow_up")
            return await facade.continue_task(self._core, unit, view, feedback)

        return await self._transact_and_drive(task_id, decide, by)

    async def tell(self, task: str, text: Kept[str], *, by: str | None = None) -> Task:
        """Write to the agent that works on a task. It gets the message when its turn ends, and answers in its session.

        An agent that takes messages in the middle of its turn (`Capability.messages`) gets it at once; when it confirms
        that, `HumanMessageTaken` is recorded. Nothing is proposed or merged before.

        Raises `InvalidInput` if no agent works on the task, or its turn is over.
        """
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            decisions.require_concern(view.task, self._core.actor(by), "tell")
            return await facade.tell_agent(unit, view, self._core.bus.ids(), text)

        return await self._transact(task_id, decide, by)

    async def retry(self, task: str, *, by: str | None = None) -> Task:
        """Retry a failed task with its agent, in the worktree as it is and with a fresh count of attempts.

        If the agent has no room, another one with the same executor takes its place.
        """
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            return await facade.retry_task(self._core, unit, view, self._core.actor(by))

        return await self._transact_and_drive(task_id, decide, by)

    async def revert(self, task: str, reason: Kept[str] = "", *, by: str | None = None) -> Task:
        """Undo the merged work of a completed task: return the new task, in which ``git revert`` makes the commit.

        A human approves it before it is merged. If others have changed the same lines since, the new task fails with
        the reason ``Conflict`` and the names of the files; assigned to an agent, it continues with that.
        """
        task_id = TaskId(await self._core.find("task", task))
        return await self._drive(await facade.Reverts(self._core).create(task_id, reason, by))

    async def interrupt(self, task: str, reason: Kept[str] = "", *, by: str | None = None) -> Task:
        """Interrupt the execution of a task, which then fails as cancelled."""
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            decisions.require_concern(view.task, self._core.actor(by), "interrupt")
            if view.execution is not None and not view.execution.final:
                await unit.handle(view.execution.id, RequestInterrupt(reason=reason))
            return view.task

        return await self._transact(task_id, decide, by)

    async def cancel(self, task: str, reason: Kept[str] = "", *, by: str | None = None) -> Task:
        """Cancel a task with its parts: interrupt agents and withdraw open questions, but keep the work."""
        task_id, actor = TaskId(await self._core.find("task", task)), self._core.actor(by)

        async def decide(unit: UnitOfWork, view: View) -> Sequence[Task]:
            return await facade.cancel_tree(unit, view, reason, actor_name(actor))

        cancelled = await self._transact(task_id, decide, by)
        for one in cancelled:
            await self._drive(one)
        return cancelled[0]

    # --- Deciding -----------------------------------------------------------------------------------------------------

    async def submit(
        self,
        task: str,
        proposal: Kept[str],
        *,
        confidence: Share | None = None,
        requires_approval: bool = True,
        by: str | None = None,
    ) -> Approval:
        """Submit a proposal for approval, on behalf of the assigned agent; `confidence` is from 0 to 1.

        The agent waits for the decision: nothing of the task is started before. Where the approval mode is ``auto``, a
        proposal that says that it requires no approval is approved at once, in the name of the policy, unless a policy
        in force rejects it or demands a human. Raises `InvalidInput` for such a proposal in other modes.
        """
        task_id = TaskId(await self._core.find("task", task))
        approval_id = ApprovalId(self._core.bus.new_id())

        async def decide(unit: UnitOfWork, view: View) -> Approval:
            decisions.require_concern(view.task, self._core.actor(by), "submit")
            submission = facade.Submission(proposal, confidence=confidence, requires_approval=requires_approval)
            return await submission.ask(self._core, unit, view, approval_id)

        return await self._proposed(await self._transact(task_id, decide, by))

    async def complete(
        self, task: str, result: Kept[Mapping[str, Any] | None] = None, *, by: str | None = None
    ) -> Task:
        """Complete a task, on behalf of the assigned agent outside AURA, with what came of it; release the agent.

        `result` holds JSON values. Unless the approval mode is ``auto``, a proposal has to be approved first: raises
        `RuleViolated`, as for a task that an agent of AURA works on.
        """
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            decisions.require_concern(view.task, self._core.actor(by), "complete")
            return await facade.complete_task(unit, view, result or {})

        return await self._transact_and_drive(task_id, decide, by)

    async def _proposed(self, approval: Approval) -> Approval:
        """Have this engine carry out what a policy decided at once."""
        if approval.status is not ApprovalStatus.PENDING and approval.task_id is not None:
            await self._drive(await self.get(approval.task_id))
        return approval

    async def decompose(
        self, task: str, titles: Kept[Sequence[str]] = (), *, plan: Kept[str | None] = None, by: str | None = None
    ) -> Approval:
        """Propose to split a task, on behalf of its agent; return the question. Approving it creates the subtasks.

        The parts are `titles`, or a `plan`: JSON with what each part waits for, see `aura_engine.decomposition_plan`. A
        proposal that waits for a decision is replaced: so a human edits the plan of an agent before approving it. They
        do not decide about a plan of their own where the task is one with `no_self_approval`.
        """
        task_id = TaskId(await self._core.find("task", task))
        approval_id = ApprovalId(self._core.bus.new_id())
        subtasks = tuple(Subtask(TaskId(self._core.bus.ids()), title) for title in titles)
        if plan is not None:
            subtasks = (*subtasks, *facade.read_plan(plan, self._core.bus.ids))

        async def decide(unit: UnitOfWork, view: View) -> Approval:
            actor = self._core.actor(by)
            decisions.require_concern(view.task, actor, "decompose")
            facade.require_decomposable(view)
            return await facade.submit_subtasks(self._core, unit, view, approval_id, subtasks, actor)

        return await self._proposed(await self._transact(task_id, decide, by))

    async def request_decomposition(
        self, task: str, *, by: str | None = None, **options: Unpack[AssignmentOptions]
    ) -> Task:
        """Have an agent propose how to split a task, the one named or a suitable idle one.

        The agent reads the files and changes none. Its plan is shown as one question; approving it creates the
        subtasks, which wait for one another as planned. An invalid plan fails the attempt.
        """
        given = facade.Assignment.model_validate(options)
        task_id = TaskId(await self._core.find("task", task))
        return await self._drive(await facade.TaskAssignment(self._core, given, decomposes=True).record(task_id, by))

    async def move(
        self, task: str, state: CanonicalState | str, reason: Kept[str] = "", *, by: str | None = None
    ) -> Task:
        """Move a task on the board to a canonical state. Raises `RuleViolated`, whose remedy names an alternative."""
        task_id, target = TaskId(await self._core.find("task", task)), CanonicalState(state)
        moves = facade.BoardMoves(self._core, self._core.actor(by))

        async def decide(unit: UnitOfWork, view: View) -> Sequence[Task]:
            return await moves.add(unit, view, target, reason)

        for one in await self._transact(task_id, decide, by):
            await self._drive(one)
        return await self.get(task_id)

    # --- Parts --------------------------------------------------------------------------------------------------------

    @property
    def _placement(self) -> "Placement":
        return facade.Placement(self._core)

    async def _transact(self, task_id: TaskId, decide: Callable[[UnitOfWork, View], Awaitable[R]], by: str | None) -> R:
        """Record a decision about a task, made on its view."""

        async def decide_on_view(unit: UnitOfWork) -> R:
            return await decide(unit, await view_in(unit, task_id))

        return await self._core.bus.transact(self._core.actor(by), decide_on_view)

    async def _transact_and_drive(
        self, task_id: TaskId, decide: Callable[[UnitOfWork, View], Awaitable[Task]], by: str | None
    ) -> Task:
        """Record a decision, then have this engine carry it out."""
        return await self._drive(await self._transact(task_id, decide, by))

    async def _drive(self, task: Task) -> Task:
        if task.execution_id is not None or task.pooled or task.decomposed:
            await self._core.drive(task.id)
        return task
