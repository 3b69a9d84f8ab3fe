"""Assignment: gives a task to the agent that is named, also one that another works on, or puts it into the queue."""

from contextlib import aclosing

import attrs
from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AGENT, Agent, TakeTask
from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import AuraError, InvalidInput, UnknownExecutor
from aura_contracts.execution import CancelExecution, Execution
from aura_contracts.ids import AgentId, ExecutionId, TaskId
from aura_contracts.ports.read_models import LIMIT, AgentQuery
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import TASK, AgentType, AssignTask, PoolRequest, QueueTask, Task, TaskStatus
from aura_contracts.workspace import RequestWorkspace, WorkspaceLayout
from aura_engine import runtime
from aura_engine.facade.core import Core
from aura_engine.facade.executors import examine_options
from aura_engine.facade.placement import Placement
from aura_engine.facade.revert_tasks import require_only_revert
from aura_engine.facade.task_refusal import refusal
from aura_engine.inputs import Assignment
from aura_engine.runtime.steps import UNMERGED
from aura_engine.runtime.views import View, view_in
from aura_engine.scheduling import Needs, PoolAgent
from aura_engine.unit_of_work import UnitOfWork


@attrs.frozen
class TaskAssignment:
    """One assignment; see `Tasks.assign`. The worker is asked about each agent once, however often it is decided."""

    _core: Core
    _given: Assignment
    decomposes: bool = False
    """The agent only plans how to split the task."""
    _examined: list[object] = attrs.field(factory=list)

    async def record(self, task_id: TaskId, by: str | None) -> Task:
        """Queue the task, or assign it and queue its run, in one append; return the task."""
        given = self._given
        agent_id = None if given.agent is None else AgentId(await self._core.find("agent", given.agent))
        title = (await self._core.stored(TASK, task_id)).title if given.repositories else ""
        workspace = await self._placement.workspace(task_id, title, given)

        async def decide(unit: UnitOfWork) -> Task:
            view = await view_in(unit, task_id)
            runs = view.workspace is not None or workspace is not None
            _require_free(view, workspace)
            await require_only_revert(unit, view.task)
            if agent_id is None and given.executor is None:
                return await self._enqueue(unit, view, workspace, runs=runs)
            agent, reason = await self._chosen(unit, view, agent_id)
            await self._require_able(agent, _place(view, workspace), runs=runs)
            return await self._give(unit, view, (agent, reason), workspace)

        return await self._core.bus.transact(self._core.actor(by), decide)

    async def enqueue(self, unit: UnitOfWork, task_id: TaskId) -> Task:
        """Add to `unit` that a task which it creates enters the queue of the pool, in its workspace."""
        view = await view_in(unit, task_id)
        return await self._enqueue(unit, view, None, runs=view.workspace is not None)

    # --- To the pool --------------------------------------------------------------------------------------------------

    async def _enqueue(self, unit: UnitOfWork, view: View, workspace: RequestWorkspace | None, *, runs: bool) -> Task:
        if _at_work(view) is not None:
            remedy = "name the agent, or the executor, that it is given to"
            raise InvalidInput(field="agent", reason="another agent works on the task", remedy=remedy)
        given, task = self._given, view.task
        named = given.agent_type
        wanted, why = named or task.agent_type, "the type was named" if named else task.agent_type_reason
        if wanted is None:
            wanted, why = await self._placement.agent_type(None, task.labels, task.project)
        request = PoolRequest(
            agent_type=AgentType(wanted) if wanted else None,
            agent_type_reason=why,
            capabilities=given.capabilities,
            plan=self._plan,
            variant=given.variant,
        )
        await self._require_one_able(Needs.of(request), _place(view, workspace), runs=runs)
        if workspace is not None:
            await unit.handle(workspace.workspace_id, workspace)
        return await unit.handle(task.id, QueueTask(request=request))

    async def _require_one_able(self, needs: Needs, place: WorkspaceLayout | None, *, runs: bool) -> None:
        """Raise why the agents of the pool that suit would refuse the task, unless one is able, or none suits."""
        refused: list[AuraError] = []
        rows = self._core.reads.rows(AgentQuery(ad_hoc=False, descending=False, limit=LIMIT))
        async with aclosing(rows) as agents:
            async for agent in agents:
                if PoolAgent.of(agent).suits(needs):
                    try:
                        await self._require_able(agent, place, runs=runs)
                    except UnknownExecutor:
                        return  # an engine that has it gives the task to the agent
                    except AuraError as error:
                        refused.append(error)
                    else:
                        return
        if refused:
            raise refused[0]

    # --- To one agent -------------------------------------------------------------------------------------------------

    async def _give(
        self, unit: UnitOfWork, view: View, chosen: tuple[Agent, str], workspace: RequestWorkspace | None
    ) -> Task:
        (agent, why), task, given = chosen, view.task, self._given
        before = None if agent.id == task.assigned_agent else _replaced(view)
        next_id = None if before is None else ExecutionId(self._core.bus.ids())
        wanted = AgentType(given.agent_type) if given.agent_type else agent.type
        assign = AssignTask(agent_id=agent.id, agent_type=wanted, reason=why, execution_id=next_id)
        assigned = await unit.handle(task.id, assign)
        if task.assigned_agent is not None:
            await self._take_back(unit, view, assigned, before, f"the task was given to {agent.name}")
        if not agent.has(task.id):
            await unit.handle(agent.id, TakeTask(task_id=task.id))
        if workspace is not None:
            await unit.handle(workspace.workspace_id, workspace)
        elif view.workspace is None:
            if not self.decomposes:
                await runtime.require_claimed(unit, assigned)
            return assigned
        services, plan = self._core.runtime, self._plan
        prompt = await runtime.first_prompt(services, view, plan, agent.executor)
        return await runtime.queue_first(
            services, unit, assigned, agent, prompt, plan, variant=given.variant, replacing=before
        )

    async def _take_back(
        self, unit: UnitOfWork, view: View, assigned: Task, before: Execution | None, reason: str
    ) -> None:
        """Take the task back from the agent that had it, at once unless its execution has to end first."""
        engine, former = unit.acting_as(ENGINE), view.task.assigned_agent
        if before is not None and not before.final:
            await unit.handle(before.id, CancelExecution(reason=reason))
        await runtime.withdraw_questions(engine, view, reason)
        if before is None and former is not None:
            await runtime.release_former(engine, assigned, former)

    async def _chosen(self, unit: UnitOfWork, view: View, agent_id: AgentId | None) -> tuple[Agent, str]:
        """Return the agent, and why an agent of its type."""
        if agent_id is not None:
            if _at_work(view) is not None and agent_id == view.task.assigned_agent:
                remedy = "name another one, cancel the task, or wait until it has ended"
                raise InvalidInput(field="agent", reason="it works on the task already", remedy=remedy)
            return await unit.require(AGENT, agent_id), "the agent was named"
        executor = self._given.executor
        assert executor is not None, "without either the task waits in the queue"
        busy = view.task.assigned_agent if _at_work(view) is not None else None
        agent = await self._placement.agent_with(unit, executor, without=busy)
        return agent, f"the executor {executor} was named"

    async def _require_able(self, agent: Agent, place: WorkspaceLayout | None, *, runs: bool) -> None:
        """Have the agent's executor examine its options together with those given.

        If the agent `runs` here, its program has to be installed, unless a setup script may do that.
        """
        given = self._given
        plan, variant = runtime.plan_of(agent, given.plan), given.variant or agent.variant or None
        settings = agent.executor, variant, plan.options, plan.permissions
        if settings in self._examined or not (runs or given.executor or given.options):
            return
        await examine_options(
            self._core,
            agent.executor,
            plan.options,
            variant=variant,
            installed=runs and given.setup is None,
            rules=plan.permissions,
            policies=None if place is None else lambda: self._core.policies.book(place),
        )
        self._examined.append(settings)

    @property
    def _plan(self) -> RunPlan:
        return replace(self._given.plan, decomposes=self.decomposes)

    @property
    def _placement(self) -> Placement:
        return Placement(self._core)


def _place(view: View, workspace: RequestWorkspace | None) -> WorkspaceLayout | None:
    """Return where the task is worked on: in its workspace, or the one requested for it."""
    return view.workspace if workspace is None else workspace.layout


def _at_work(view: View) -> Execution | None:
    """Return the execution that works on the task, or has ended and not given back what it held, if one does."""
    execution = view.execution
    return execution if execution is not None and (not execution.final or view.leased) else None


def _replaced(view: View) -> Execution | None:
    """Return the execution that another agent's would continue after: it works, or failed and would be repeated."""
    return view.execution if view.task.in_hand else _at_work(view)


def _require_free(view: View, workspace: RequestWorkspace | None) -> None:
    """Refuse a second workspace, and to take a task from an agent in the middle of what cannot be left."""
    if view.workspace is not None and workspace is not None:
        remedy = "leave it out, or create another task"
        raise InvalidInput(field="repositories", reason="the task has a workspace already", remedy=remedy)
    if view.task.next_execution_id is not None:
        reason = "it was given to another agent a moment ago, and the one before is still ending"
        raise InvalidInput(field="task", reason=reason, remedy="try again")
    if _replaced(view) is not None and view.workspace is not None and view.workspace.status in UNMERGED:
        reason = f"its work is {view.workspace.status}"
        raise InvalidInput(field="task", reason=reason, remedy="answer its question, or wait until it has merged")


def require_decomposable(view: View) -> None:
    """Refuse to split a task that an agent works on, unless it is about the plan that waits for a decision."""
    task_id, execution = view.task.id, view.execution
    asked = view.approval is not None and view.approval.kind is ApprovalKind.DECOMPOSITION
    waits = view.task.status is TaskStatus.AWAITING_APPROVAL and asked
    if view.worked_on and not (waits and execution is not None and execution.plan.decomposes):
        remedy = "wait for it, or cancel the task and split another one"
        raise refusal(task_id, "decompose", "an agent works on it", remedy)
    if view.task.assigned_agent is None:
        remedy = (
            f"tasks.assign({task_id!r}, agent='ID', repositories=[]) first, "
            f"or tasks.assign({task_id!r}, executor='NAME', repositories=[])"
        )
        raise refusal(task_id, "decompose", "it has no agent to propose the split", remedy)
