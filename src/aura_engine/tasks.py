"""Tasks: creating them, giving them to agents, calling them off (second seed, "Task Management")."""

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from aura_contracts.actors import Actor
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import AGENT, Agent, AgentSpec, AgentStatus, Outcome, RegisterAgent, ReleaseAgent, TakeTask
from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus, Question, RequestApproval, WithdrawApproval
from aura_contracts.errors import AggregateNotFound, InvalidInput, VersionConflict
from aura_contracts.execution import (
    CancelExecution,
    ExecutionSpec,
    ExecutionStatus,
    QueueExecution,
    RequestFollowUp,
    RequestInterrupt,
    RunPlan,
)
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId
from aura_contracts.task import (
    DEVELOPER,
    AgentType,
    ApprovalMode,
    AssignTask,
    CancelTask,
    CreateTask,
    Priority,
    RetryPolicy,
    RetryTask,
    StartExecution,
    SubmitProposal,
    Task,
    TaskSpec,
    TaskStatus,
)
from aura_contracts.workspace import Repository, RequestWorkspace, WorkspaceLayout, workspace_branch, workspace_slug
from aura_engine.requests import RunRequest, title_of
from aura_engine.runtime.context import ENGINE, Runtime, reviewers_of
from aura_engine.runtime.directory import agents_of
from aura_engine.runtime.ending import requeue
from aura_engine.runtime.inquiries import withdraw_inquiries
from aura_engine.runtime.questions import withdraw_all
from aura_engine.runtime.views import View, view_in, workspace_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol.messages import DescribeRepository, RepositoryDescribed

_ATTEMPTS = 10
"""Agents that are tried, when others are faster in taking the idle one."""


@attrs.frozen
class Tasks:
    """Commands about tasks. Nothing here waits for what they lead to."""

    _runtime: Runtime
    _user: Actor

    async def create(
        self,
        title: str,
        description: str = "",
        *,
        priority: Priority = Priority.MEDIUM,
        parent_id: TaskId | None = None,
        context: dict[str, Any] | None = None,
        agent_type: AgentType | None = None,
        approval_mode: ApprovalMode = ApprovalMode.CHANGES,
        reviewers: Sequence[str] = (),
        retry: RetryPolicy | None = None,
        project: str | None = None,
        repositories: Sequence[str] = (),
        in_place: bool = False,
        target_branch: str = "",
        copy: Sequence[str] = (),
        actor: Actor | None = None,
    ) -> Task:
        """Ask for a piece of work. With `repositories` it gets a workspace, made when it is first worked on."""
        task_id = TaskId(self._runtime.bus.ids())
        workspace = await self._workspace(task_id, title, repositories, target_branch, copy, in_place=in_place)
        async with self._runtime.bus.unit(actor or self._user) as unit:
            created = await unit.handle(
                task_id,
                CreateTask(
                    task_id=task_id,
                    spec=TaskSpec(
                        title=title,
                        description=description,
                        priority=priority,
                        parent_id=parent_id,
                        project=project,
                        agent_type=agent_type,
                        approval_mode=approval_mode,
                        reviewers=tuple(reviewers),
                        retry=retry or RetryPolicy(),
                        context=context or {},
                    ),
                ),
            )
            if workspace is not None:
                await unit.handle(workspace.workspace_id, workspace)
        return created

    async def begin(self, task_id: TaskId, request: RunRequest) -> Task:
        """Create a task with all that it needs and queue its first execution, in one append."""
        title = request.title or title_of(request.prompt)
        workspace = await self._workspace(
            task_id, title, request.repositories, request.target_branch, request.copy, in_place=request.in_place
        )
        attempts = _ATTEMPTS
        while True:
            try:
                async with self._runtime.bus.unit(self._user) as unit:
                    return await self._begin(unit, task_id, title, request, workspace)
            except VersionConflict:  # somebody else took the idle agent
                attempts -= 1
                if not attempts:
                    raise

    async def _begin(
        self, unit: UnitOfWork, task_id: TaskId, title: str, request: RunRequest, workspace: RequestWorkspace | None
    ) -> Task:
        create = CreateTask(
            task_id=task_id,
            spec=TaskSpec(
                title=title,
                description=request.prompt,
                priority=request.priority,
                project=request.project,
                approval_mode=request.approval,
                reviewers=tuple(request.reviewers),
                retry=request.retry,
                context=request.context,
            ),
        )
        task = await unit.handle(task_id, create)
        agent = await self._idle_agent(unit, executor=request.executor)
        await unit.handle(task_id, AssignTask(agent_id=agent.id, agent_type=agent.type))
        await unit.handle(agent.id, TakeTask(task_id=task_id))
        if workspace is not None:
            await unit.handle(workspace.workspace_id, workspace)
        name = "plan" if request.approval in (ApprovalMode.PLAN, ApprovalMode.BOTH) else "coding"
        prompt = await self._runtime.prompts.make(name, task, request.variables)
        return await self._queue(unit, task, agent, prompt, request.plan, request.session_id, request.variant)

    async def assign(
        self,
        task_id: TaskId,
        *,
        agent_id: AgentId | None = None,
        agent_type: AgentType | None = None,
        executor: str | None = None,
        plan: RunPlan | None = None,
        repositories: Sequence[str] = (),
        in_place: bool = False,
        target_branch: str = "",
        copy: Sequence[str] = (),
        actor: Actor | None = None,
    ) -> Task:
        """Give a task to an agent: the one named, or an idle one of this type or executor; have it start.

        A task that was created without `repositories` gets its workspace from those given here. Without any it is only
        assigned: an agent outside of AURA works on it, and submits a proposal.
        """
        title = (await self._look(task_id)).task.title
        workspace = await self._workspace(task_id, title, repositories, target_branch, copy, in_place=in_place)

        async def decide(unit: UnitOfWork) -> Task:
            view = await self._view(unit, task_id)
            if view.execution is not None and view.execution.ended_at is None:
                reason = f"execution {view.execution.id} is at work on it"
                raise InvalidInput(field="task", reason=reason, remedy="cancel it, or wait until it has ended")
            wanted = agent_type or (None if executor else view.task.agent_type)
            if agent_id is not None:
                agent = await unit.get(AGENT, agent_id)
                if agent is None:
                    raise AggregateNotFound(aggregate="agent", aggregate_id=agent_id, command="AssignTask")
            else:
                agent = await self._idle_agent(unit, agent_type=wanted, executor=executor)
            task = await unit.handle(task_id, AssignTask(agent_id=agent.id, agent_type=agent_type or agent.type))
            if agent.current_task_id != task_id:
                await unit.handle(agent.id, TakeTask(task_id=task_id))
            if workspace is not None:
                await unit.handle(workspace.workspace_id, workspace)
            elif view.workspace is None:
                return task
            chosen = plan or RunPlan()
            prompt = await self._first_prompt(view, chosen)
            return await self._queue(unit, task, agent, prompt, chosen, None)

        return await self._runtime.bus.transact(actor or self._user, decide)

    async def execute(self, task_id: TaskId, *, plan: RunPlan | None = None, actor: Actor | None = None) -> Task:
        """Have the assigned agent work on the task: for the first time, or again after what it did before has ended."""

        async def decide(unit: UnitOfWork) -> Task:
            view = await self._view(unit, task_id)
            if view.agent is None or view.workspace is None:
                remedy = "assign the task, and create it with a repository"
                raise InvalidInput(field="task", reason="it has no agent or no workspace", remedy=remedy)
            if view.execution is not None and view.execution.ended_at is None:
                return view.task
            if view.execution is not None and plan is None:
                await requeue(self._runtime, unit.acting_as(ENGINE), view.task, view.execution)
                return await self._task(unit, task_id)
            chosen = plan or RunPlan()
            prompt = await self._first_prompt(view, chosen)
            return await self._queue(unit, view.task, view.agent, prompt, chosen, None)

        return await self._runtime.bus.transact(actor or self._user, decide)

    async def submit(
        self,
        task_id: TaskId,
        proposal: str,
        *,
        confidence: float | None = None,
        requires_approval: bool = True,
        actor: Actor | None = None,
    ) -> Approval:
        """Submit what the assigned agent proposes, for approval (second seed, "submitForApproval").

        Without `requires_approval` the policy approves it at once, on the record.
        """
        approval_id = ApprovalId(self._runtime.bus.ids())
        view = await self._look(task_id)
        by = actor or (agent_actor(view.task.assigned_agent) if view.task.assigned_agent else self._user)
        async with self._runtime.bus.unit(by) as unit:
            await unit.handle(
                task_id, SubmitProposal(approval_id=approval_id, proposal=proposal, confidence=confidence)
            )
            question = RequestApproval(
                approval_id=approval_id,
                question=Question(
                    kind=ApprovalKind.PLAN,
                    reviewers=reviewers_of(view.task),
                    task_id=task_id,
                    proposed_solution=proposal,
                    confidence=confidence,
                ),
            )
            return await unit.handle(approval_id, question)

    async def follow_up(self, task_id: TaskId, feedback: str, *, actor: Actor | None = None) -> Task:
        """Have the agent go on with `feedback` on work that nobody has decided about yet."""

        async def decide(unit: UnitOfWork) -> Task:
            view = await self._view(unit, task_id)
            execution = view.execution
            if execution is None or execution.status is not ExecutionStatus.REVIEW:
                raise InvalidInput(
                    field="task",
                    reason=f"there is no work in review to go on from: it is {view.task.status}",
                    remedy="create a new task, or wait until the agent is done",
                )
            if view.approval is not None and view.approval.status is ApprovalStatus.PENDING:
                raise InvalidInput(
                    field="task",
                    reason=f"approval {view.approval.id} waits for an answer",
                    remedy="reject it with the feedback",
                )
            prompt = await self._runtime.prompts.make(
                "follow_up", view.task, execution.plan.variables, feedback=feedback, proposal=""
            )
            await unit.handle(execution.id, RequestFollowUp(feedback=feedback, prompt=prompt))
            return await self._task(unit, task_id)

        return await self._runtime.bus.transact(actor or self._user, decide)

    async def cancel(self, task_id: TaskId, reason: str = "", *, actor: Actor | None = None) -> Task:
        """Call a task off: its agent is interrupted, open questions are taken back, its work stays where it is."""

        async def decide(unit: UnitOfWork) -> Task:
            view = await self._view(unit, task_id)
            task = await unit.handle(task_id, CancelTask(reason=reason))
            if view.execution is not None and view.execution.ended_at is None:
                await unit.handle(view.execution.id, CancelExecution(reason=reason))
            elif view.execution is None and view.agent is not None and view.agent.current_task_id == task_id:
                release = ReleaseAgent(task_id=task_id, outcome=Outcome.CANCELLED)
                await unit.acting_as(ENGINE).handle(view.agent.id, release)
            for approval in (view.approval, view.conflict):
                if approval is not None and approval.status is ApprovalStatus.PENDING:
                    await unit.acting_as(ENGINE).handle(approval.id, WithdrawApproval(reason="the task was cancelled"))
            await withdraw_all(unit, task_id, "the task was cancelled")
            await withdraw_inquiries(unit.acting_as(ENGINE), task_id, "the task was cancelled")
            return task

        return await self._runtime.bus.transact(actor or self._user, decide)

    async def interrupt(self, task_id: TaskId, reason: str = "", *, actor: Actor | None = None) -> Task:
        """End what is running for a task, which then fails as cancelled."""

        async def decide(unit: UnitOfWork) -> Task:
            view = await self._view(unit, task_id)
            if view.execution is not None and view.execution.ended_at is None:
                await unit.handle(view.execution.id, RequestInterrupt(reason=reason))
            return view.task

        return await self._runtime.bus.transact(actor or self._user, decide)

    async def retry(self, task_id: TaskId, *, actor: Actor | None = None) -> Task:
        """Have a failed task tried again by its agent, in the worktree as it is, with a fresh count of attempts."""

        async def decide(unit: UnitOfWork) -> Task:
            view = await self._view(unit, task_id)
            if view.task.status is not TaskStatus.FAILED and view.task.retry_at is not None and view.execution:
                await requeue(self._runtime, unit.acting_as(ENGINE), view.task, view.execution)  # now, not later
                return await self._task(unit, task_id)
            task = await unit.handle(task_id, RetryTask())
            if view.agent is not None and view.agent.status is AgentStatus.IDLE:
                await unit.handle(view.agent.id, TakeTask(task_id=task_id))
            if view.execution is not None:
                await requeue(self._runtime, unit.acting_as(ENGINE), task, view.execution)
            return await self._task(unit, task_id)

        return await self._runtime.bus.transact(actor or self._user, decide)

    # --- Parts --------------------------------------------------------------------------------------------------------

    async def _look(self, task_id: TaskId) -> View:
        async def decide(unit: UnitOfWork) -> View:
            return await self._view(unit, task_id)

        return await self._runtime.bus.transact(self._user, decide)

    async def _view(self, unit: UnitOfWork, task_id: TaskId) -> View:
        view = await view_in(unit, task_id)
        if view is None:
            raise AggregateNotFound(aggregate="task", aggregate_id=task_id, command="look")
        return view

    async def _task(self, unit: UnitOfWork, task_id: TaskId) -> Task:
        return (await self._view(unit, task_id)).task

    async def _first_prompt(self, view: View, plan: RunPlan) -> str:
        if view.approval is not None and view.approval.kind is ApprovalKind.PLAN and view.approval.granted:
            known = {"plan": view.approval.proposed_solution}
            return await self._runtime.prompts.make("implement", view.task, plan.variables, **known)
        name = "plan" if view.planning else "coding"
        return await self._runtime.prompts.make(name, view.task, plan.variables)

    async def _queue(
        self,
        unit: UnitOfWork,
        task: Task,
        agent: Agent,
        prompt: str,
        plan: RunPlan,
        session_id: str | None,
        variant: str | None = None,
    ) -> Task:
        variant = variant or agent.variant or None
        options = self._runtime.profiles.options(agent.executor, variant, {**agent.options, **plan.options})
        execution_id = ExecutionId(self._runtime.bus.ids())
        queued = QueueExecution(
            execution_id=execution_id,
            spec=ExecutionSpec(
                task_id=task.id,
                executor=agent.executor,
                prompt=prompt,
                variant=variant,
                agent_id=agent.id,
                agent_type=agent.type,
                workspace_id=workspace_of(task.id),
                session_id=session_id,
                retry=task.retry,
                plan=msgspec.structs.replace(plan, options=options),
            ),
        )
        await unit.handle(execution_id, queued)
        started: Task = await unit.acting_as(ENGINE).handle(task.id, StartExecution(execution_id=execution_id))
        return started

    async def _idle_agent(
        self, unit: UnitOfWork, *, agent_type: AgentType | None = None, executor: str | None = None
    ) -> Agent:
        """Return an idle agent of the pool; for an executor that has none, one more is registered."""
        agents = await agents_of(self._runtime.bus)
        fitting = [
            agent
            for agent in agents
            if (agent_type is None or agent.type == agent_type) and (executor is None or agent.executor == executor)
        ]
        for agent in fitting:
            if agent.status is AgentStatus.IDLE:
                return agent
        if executor is None:
            wanted = f"of type {agent_type}" if agent_type else "at all"
            remedy = "wait for one, register another, or name an executor"
            raise InvalidInput(field="agent", reason=f"no agent {wanted} is idle", remedy=remedy)
        agent_id = AgentId(self._runtime.bus.ids())
        number = sum(agent.executor == executor for agent in agents) + 1
        name = executor if number == 1 else f"{executor}-{number}"
        kind = agent_type or DEVELOPER
        register = RegisterAgent(agent_id=agent_id, spec=AgentSpec(name=name, type=kind, executor=executor))
        registered: Agent = await unit.acting_as(ENGINE).handle(agent_id, register)
        return registered

    async def _workspace(
        self,
        task_id: TaskId,
        title: str,
        paths: Sequence[str],
        target_branch: str,
        copy: Sequence[str],
        *,
        in_place: bool,
    ) -> RequestWorkspace | None:
        """Return the request for a workspace on these paths: a folder without a repository is worked in as it is."""
        if not paths:
            return None
        found = [await self._runtime.gateway.request(DescribeRepository(path=path)) for path in paths]
        plain = [one for one in found if not one.repository]
        if plain and len(found) > 1:
            reason = f"{plain[0].path} is in no repository"
            raise InvalidInput(field="repositories", reason=reason, remedy="name repositories only, or one folder")
        in_place = in_place or bool(plain)
        repositories = _named([one for one in found if one.repository], target_branch, in_place=in_place)
        workspace_id = workspace_of(task_id)
        slug = workspace_slug(title)
        return RequestWorkspace(
            workspace_id=workspace_id,
            layout=WorkspaceLayout(
                task_id=task_id,
                title=title,
                slug=slug,
                branch=workspace_branch(workspace_id, slug),
                repositories=repositories,
                copy_globs=tuple(copy),
                in_place=in_place,
                root=found[0].path if in_place else "",
            ),
        )


def _named(found: Sequence[RepositoryDescribed], target_branch: str, *, in_place: bool) -> tuple[Repository, ...]:
    """Return the repositories of a workspace, each under a name of its own, each with the branch to merge into."""
    names: list[str] = []
    repositories: list[Repository] = []
    for one in found:
        target = target_branch or one.branch
        if target is None and not in_place:
            reason = f"{one.path} is on no branch, so there is none to merge into"
            raise InvalidInput(field="target_branch", reason=reason, remedy="name one, or check a branch out")
        name = one.name if one.name not in names else f"{one.name}-{names.count(one.name) + 1}"
        names.append(one.name)
        repositories.append(Repository(name=name, path=one.path, target_branch=target or ""))
    return tuple(repositories)
