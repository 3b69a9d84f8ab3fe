"""Tasks: pieces of work, from creation to result."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar, Unpack

import attrs

from aura_contracts.actors import ENGINE, actor_name
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import AGENT, Agent, AgentStatus, PauseAgent, ReleaseAgent, TakeTask, TaskOutcome
from aura_contracts.approval import POLICY, Approval, ApprovalKind, ApprovalStatus, Approve, Question, RequestApproval
from aura_contracts.board import CanonicalState
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import (
    CancelExecution,
    Execution,
    ExecutionStatus,
    RequestFollowUp,
    RequestInterrupt,
    RunPlan,
)
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.ports.rows import Page
from aura_contracts.secrets import require_no_secret
from aura_contracts.task import (
    TASK,
    AgentType,
    AssignTask,
    CancelTask,
    CreateTask,
    DeleteTask,
    EditTask,
    ProposeDecomposition,
    ReopenTask,
    ReparentTask,
    RetryTask,
    SubmitProposal,
    Subtask,
    Task,
    TaskChanges,
    TaskSpec,
    TaskStatus,
)
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import facade, runtime
from aura_engine.facade.arguments import Share
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.facade.options import AssignmentOptions, NewTaskOptions, TaskFilters
from aura_engine.runtime.views import View, view_in
from aura_engine.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from aura_engine.facade.approvals import Approvals
    from aura_engine.facade.placement import Placement
    from aura_engine.inputs import Assignment

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

    # --- Creating -----------------------------------------------------------------------------------------------------

    async def create(self, title: str, *, by: str | None = None, **options: Unpack[NewTaskOptions]) -> Task:
        """Create a task without starting it. With `repositories` it gets a workspace, created when work begins."""
        given = facade.NewTask.model_validate({"title": title, **options})
        task_id = TaskId(self._core.bus.ids())
        parent_id = None if given.parent is None else TaskId(await self._core.find("task", given.parent, "parent"))
        spec = TaskSpec(
            title=given.title,
            description=given.description,
            priority=given.priority,
            parent_id=parent_id,
            project=given.project,
            agent_type=AgentType(given.agent_type) if given.agent_type else None,
            approval_mode=given.approval,
            reviewers=given.reviewers,
            retry=given.retry,
            context=given.context,
        )
        workspace = await self._placement.workspace(task_id, title, given)
        async with self._core.bus.unit(self._core.actor(by)) as unit:
            created = await unit.handle(task_id, CreateTask(task_id=task_id, spec=spec))
            if workspace is not None:
                await unit.handle(workspace.workspace_id, workspace)
        return created

    async def edit(self, task: str, changes: TaskChanges, *, by: str | None = None) -> Task:
        """Edit a task; fields that `changes` does not set stay as they are."""
        return await self._core.handle(TASK, task, EditTask(changes=changes), by)

    async def reparent(self, task: str, parent: str | None, *, by: str | None = None) -> Task:
        """Make a task a part of another one, or of none. Raises `CyclicParent` if that is one of its own parts."""
        parent_id = None if parent is None else TaskId(await self._core.find("task", parent, "parent"))
        return await self._core.handle(TASK, task, ReparentTask(parent_id=parent_id), by)

    async def delete(self, task: str, reason: str = "", *, by: str | None = None) -> Task:
        """Delete a task that no agent works on; its history stays in the log."""
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            deleted = await unit.handle(task_id, DeleteTask(reason=reason))
            await runtime.complete_whole(unit, deleted)
            return deleted

        return await self._transact(task_id, decide, by)

    # --- Working ------------------------------------------------------------------------------------------------------

    async def assign(self, task: str, *, by: str | None = None, **options: Unpack[AssignmentOptions]) -> Task:
        """Assign a task to an agent, the one named or a suitable idle one, and start it.

        A task that was created without `repositories` gets its workspace from those given here. Without any it is only
        assigned, for an agent outside AURA that works on it and submits a proposal.
        """
        given = facade.Assignment.model_validate(options)
        task_id = TaskId(await self._core.find("task", task))
        before = await self._core.view(task_id)
        title, runs = before.task.title, before.workspace is not None or bool(given.repositories)
        agent_id = None if given.agent is None else await self._core.find("agent", given.agent)
        await self._require_known(agent_id, given, runs=runs)
        workspace = await self._placement.workspace(task_id, title, given)

        async def decide(unit: UnitOfWork, view: View) -> Task:
            if view.execution is not None and not view.execution.final:
                reason = f"execution {view.execution.id} is at work on it"
                raise InvalidInput(field="task", reason=reason, remedy="cancel it, or wait until it has ended")
            if view.workspace is not None and workspace is not None:
                reason = "the task has a workspace already"
                raise InvalidInput(field="repositories", reason=reason, remedy="leave it out, or create another task")
            agent = await self._chosen(unit, view, agent_id, given.agent_type, given.executor)
            wanted = AgentType(given.agent_type) if given.agent_type else agent.type
            assign = AssignTask(agent_id=agent.id, agent_type=wanted)
            assigned = await unit.handle(task_id, assign)
            if agent.current_task_id != task_id:
                await unit.handle(agent.id, TakeTask(task_id=task_id))
            if workspace is not None:
                await unit.handle(workspace.workspace_id, workspace)
            elif view.workspace is None:
                return assigned
            prompt = await self._placement.first_prompt(view, given.plan)
            return await self._placement.queue(unit, assigned, agent, prompt, given.plan, variant=given.variant)

        return await self._transact_and_drive(task_id, decide, by)

    async def _require_known(self, agent_id: str | None, given: "Assignment", *, runs: bool) -> None:
        """Have the executor examine its options; those of an agent of the pool may be added to.

        If the agent `runs` here, its program has to be installed, unless a setup script may do that.
        """
        executor, options, variant = given.executor, given.options, given.variant
        if agent_id is not None:
            agent = await self._core.load(AGENT, agent_id)
            executor, variant = agent.executor, variant or agent.variant or None
            options = {**agent.options, **options}
        if executor is not None and (agent_id is None or given.options or runs):
            installed = runs and given.setup is None
            await facade.examine_options(self._core, executor, options, variant=variant, installed=installed)

    async def _chosen(
        self, unit: UnitOfWork, view: View, agent_id: str | None, agent_type: str | None, executor: str | None
    ) -> Agent:
        if agent_id is not None:
            return await unit.require(AGENT, agent_id)
        wanted = agent_type or (None if executor else view.task.agent_type)
        return await self._placement.idle_agent(unit, agent_type=wanted, executor=executor)

    async def execute(self, task: str, *, by: str | None = None) -> Task:
        """Have the assigned agent work on the task, for the first time or again after its last execution has ended."""
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            if view.agent is None or view.workspace is None:
                remedy = "assign the task, and create it with a repository"
                raise InvalidInput(field="task", reason="it has no agent or no workspace", remedy=remedy)
            if view.execution is not None and not view.execution.final:
                return view.task
            if view.execution is not None:
                return await runtime.requeue(self._core.runtime, unit.acting_as(ENGINE), view.task, view.execution)
            prompt = await self._placement.first_prompt(view, RunPlan())
            return await self._placement.queue(unit, view.task, view.agent, prompt, RunPlan())

        return await self._transact_and_drive(task_id, decide, by)

    async def follow_up(self, task: str, feedback: str, *, by: str | None = None) -> Task:
        """Have the agent revise its work. If a human is asked to approve it, this answers with a request for changes.

        A completed task begins again with the feedback: in a new worktree on the same branch, and in the same session.
        """
        require_no_secret(feedback, "feedback")
        task_id = TaskId(await self._core.find("task", task))
        asked = (await self._core.view(task_id)).approval
        if asked is not None and asked.kind in _ABOUT_WORK and asked.status is ApprovalStatus.PENDING:
            await self._approvals.request_changes(asked.id, feedback, by=by)
            return await self.get(task_id)

        if (await self.get(task_id)).status is TaskStatus.COMPLETED and await self._core.drive(task_id):
            await self._core.follower.undriven(task_id)  # until its worktree is removed

        async def decide(unit: UnitOfWork, view: View) -> Task:
            execution = view.execution
            if view.task.status is TaskStatus.COMPLETED and execution is not None:
                return await self._reopened(unit, view, execution, feedback)
            if execution is None or execution.status is not ExecutionStatus.REVIEW:
                reason = f"it is {view.task.status}, and none of its work is in review"
                raise InvalidInput(field="task", reason=reason, remedy="create a new task, or wait for the agent")
            if view.approval is not None and view.approval.status is ApprovalStatus.PENDING:
                reason = f"approval {view.approval.id} waits for an answer"
                raise InvalidInput(field="task", reason=reason, remedy="reject it with the feedback")
            prompts = self._core.runtime.prompts
            known = {"feedback": feedback, "proposal": ""}
            prompt = await prompts.make("follow_up", view.task, execution.plan.variables, **known)
            await unit.handle(execution.id, RequestFollowUp(feedback=feedback, prompt=prompt))
            return await unit.require(TASK, task_id)

        return await self._transact_and_drive(task_id, decide, by)

    async def _reopened(self, unit: UnitOfWork, view: View, execution: Execution, feedback: str) -> Task:
        """Queue another execution of a completed task, by its agent or an idle one of the same executor."""
        workspace, engine = view.workspace, unit.acting_as(ENGINE)
        if workspace is not None and not workspace.in_place and workspace.status is not WorkspaceStatus.REMOVED:
            reason = "it has just completed, and its worktree is about to be removed"
            raise InvalidInput(field="task", reason=reason, remedy="try again")
        task = await unit.handle(view.task.id, ReopenTask(feedback=feedback))
        agent = view.agent
        if agent is None or agent.status is not AgentStatus.IDLE:
            agent = await self._placement.idle_agent(unit, executor=execution.executor)
            task = await unit.handle(task.id, AssignTask(agent_id=agent.id, agent_type=agent.type))
        await engine.handle(agent.id, TakeTask(task_id=task.id))
        session_id, plan = runtime.continuation_of(execution)
        known = {"feedback": feedback, "proposal": ""}
        prompt = await self._core.runtime.prompts.make("follow_up", task, plan.variables, **known)
        return await runtime.queue(
            self._core.runtime, engine, task, agent, prompt, plan, session_id=session_id, variant=execution.variant
        )

    async def retry(self, task: str, *, by: str | None = None) -> Task:
        """Retry a failed task with its agent, in the worktree as it is and with a fresh count of attempts."""
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            engine = unit.acting_as(ENGINE)
            if view.task.status is not TaskStatus.FAILED and view.task.retry_at is not None and view.execution:
                return await runtime.requeue(self._core.runtime, engine, view.task, view.execution)  # now, not later
            retried = await unit.handle(task_id, RetryTask())
            if view.agent is not None and view.agent.status is AgentStatus.IDLE:
                await unit.handle(view.agent.id, TakeTask(task_id=task_id))
            if view.execution is None:
                return retried
            return await runtime.requeue(self._core.runtime, engine, retried, view.execution)

        return await self._transact_and_drive(task_id, decide, by)

    async def interrupt(self, task: str, reason: str = "", *, by: str | None = None) -> Task:
        """Interrupt the execution of a task, which then fails as cancelled."""
        task_id = TaskId(await self._core.find("task", task))

        async def decide(unit: UnitOfWork, view: View) -> Task:
            if view.execution is not None and not view.execution.final:
                await unit.handle(view.execution.id, RequestInterrupt(reason=reason))
            return view.task

        return await self._transact(task_id, decide, by)

    async def cancel(self, task: str, reason: str = "", *, by: str | None = None) -> Task:
        """Cancel a task: interrupt its agent and withdraw its open questions, but keep its work."""
        task_id, actor = TaskId(await self._core.find("task", task)), self._core.actor(by)

        async def decide(unit: UnitOfWork, view: View) -> Task:
            engine = unit.acting_as(ENGINE)
            cancelled = await unit.handle(task_id, CancelTask(reason=reason))
            if view.execution is not None and not view.execution.final:
                await unit.handle(view.execution.id, CancelExecution(reason=reason))
            elif view.execution is None and view.agent is not None and view.agent.current_task_id == task_id:
                await engine.handle(view.agent.id, ReleaseAgent(task_id=task_id, outcome=TaskOutcome.CANCELLED))
            await runtime.withdraw_questions(engine, view, f"{actor_name(actor)} cancelled the task")
            await runtime.complete_whole(unit, cancelled)
            return cancelled

        return await self._transact_and_drive(task_id, decide, by)

    # --- Deciding -----------------------------------------------------------------------------------------------------

    async def submit(
        self,
        task: str,
        proposal: str,
        *,
        confidence: Share | None = None,
        requires_approval: bool = True,
        by: str | None = None,
    ) -> Approval:
        """Submit a proposal of the assigned agent for approval; `confidence` is from 0 to 1.

        The agent waits for the decision: nothing of the task is started before. Without `requires_approval` the
        proposal is approved at once, in the name of the policy.
        """
        task_id = TaskId(await self._core.find("task", task))
        assigned = (await self._core.view(task_id)).task.assigned_agent
        actor = agent_actor(assigned) if by is None and assigned else self._core.actor(by)
        approval_id = ApprovalId(self._core.bus.ids())
        submit = SubmitProposal(approval_id=approval_id, proposal=proposal, confidence=confidence)

        async def decide(unit: UnitOfWork, view: View) -> Approval:
            await unit.handle(task_id, submit)
            question = Question(
                kind=ApprovalKind.PLAN,
                reviewers=runtime.reviewers_of(view.task),
                task_id=task_id,
                proposed_solution=proposal,
                confidence=confidence,
            )
            approval = await unit.handle(approval_id, RequestApproval(approval_id=approval_id, question=question))
            engine, agent = unit.acting_as(ENGINE), view.agent
            if agent is not None and agent.current_task_id == task_id and agent.status is AgentStatus.WORKING:
                await engine.handle(agent.id, PauseAgent(task_id=task_id, approval_id=approval_id))
            if requires_approval:
                return approval
            approved = await unit.acting_as(POLICY).handle(approval_id, Approve())
            await runtime.decided(self._core.runtime, engine, await view_in(unit, task_id), approved)
            return approved

        approval = await self._transact(task_id, decide, str(actor))
        if not requires_approval and (await self.get(task_id)).execution_id is not None:
            await self._core.drive(task_id)
        return approval

    async def decompose(self, task: str, titles: Sequence[str], *, by: str | None = None) -> Approval:
        """Propose to split a task, on behalf of its agent; return the question. Approving it creates the subtasks."""
        task_id = TaskId(await self._core.find("task", task))
        approval_id = ApprovalId(self._core.bus.ids())
        subtasks = tuple(Subtask(TaskId(self._core.bus.ids()), title) for title in titles)

        async def decide(unit: UnitOfWork, view: View) -> Approval:
            if view.worked_on:
                remedy = "wait for it, or cancel the task and split another one"
                raise facade.refusal(task_id, "decompose", "an agent works on it", remedy)
            if view.task.assigned_agent is None:
                remedy = (
                    f"tasks.assign({task_id!r}, agent='ID', repositories=[]) first, "
                    f"or tasks.assign({task_id!r}, executor='NAME', repositories=[])"
                )
                raise facade.refusal(task_id, "decompose", "it has no agent to propose the split", remedy)
            agent = unit.acting_as(agent_actor(view.task.assigned_agent))
            await agent.handle(task_id, ProposeDecomposition(approval_id=approval_id, subtasks=subtasks))
            question = Question(
                kind=ApprovalKind.DECOMPOSITION,
                reviewers=runtime.reviewers_of(view.task),
                task_id=task_id,
                proposed_solution="\n".join(titles),
            )
            return await agent.handle(approval_id, RequestApproval(approval_id=approval_id, question=question))

        return await self._transact(task_id, decide, by)

    async def move(self, task: str, state: CanonicalState | str, reason: str = "", *, by: str | None = None) -> Task:
        """Move a task on the board to a canonical state. Raises `RuleViolated`, whose remedy names an alternative."""
        task_id = TaskId(await self._core.find("task", task))
        await facade.BoardMoves(self._core, self._core.actor(by), self).move(task_id, CanonicalState(state), reason)
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
        task = await self._transact(task_id, decide, by)
        if task.execution_id is not None:
            await self._core.drive(task_id)
        return task
