"""Placement: the agent, the workspace and the execution of a task."""

import shlex
from collections.abc import Sequence

import attrs
import msgspec

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AGENT, Agent, AgentSpec, AgentStatus, RegisterAgent, TakeTask
from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import InvalidInput, VersionConflict
from aura_contracts.execution import RunPlan
from aura_contracts.ids import AgentId, TaskId
from aura_contracts.ports.read_models import AgentQuery
from aura_contracts.task import AgentType, ApprovalMode, AssignTask, CreateTask, Task, TaskSpec
from aura_contracts.workspace import (
    PLAIN_TARGET,
    Repository,
    RequestWorkspace,
    WorkspaceLayout,
    workspace_branch,
    workspace_slug,
)
from aura_engine.facade.core import Core
from aura_engine.inputs import Place, RunRequest, title_of
from aura_engine.runtime.attempts import queue
from aura_engine.runtime.views import View, workspace_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol.messages import DescribeRepository, RepositoryDescribed

_ATTEMPTS = 10
"""Attempts to begin a task whose agent another engine takes first."""


@attrs.frozen
class Placement:
    """Adds everything a task needs to start to a unit of work."""

    _core: Core

    async def begin(
        self,
        task_id: TaskId,
        request: RunRequest,
        *,
        digest: str,
        key: str | None,
        after: Sequence[TaskId],
    ) -> Task:
        """Create a task with everything it needs and queue its first execution, in one append. See `Engine.run`."""
        title = request.title or title_of(request.prompt)
        workspace = await self.workspace(task_id, title, request)
        spec = TaskSpec(
            title=title,
            description=request.prompt,
            priority=request.priority,
            project=request.project,
            approval_mode=request.approval,
            reviewers=request.reviewers,
            retry=request.retry,
            context=request.context,
            key=key,
            request_digest=digest,
            after=tuple(after),
        )
        for attempt in range(_ATTEMPTS):
            try:
                async with self._core.bus.unit(self._core.user) as unit:
                    return await self._begin(unit, task_id, spec, request, workspace)
            except VersionConflict:  # another engine took the idle agent
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _begin(
        self,
        unit: UnitOfWork,
        task_id: TaskId,
        spec: TaskSpec,
        request: RunRequest,
        workspace: RequestWorkspace | None,
    ) -> Task:
        task = await unit.handle(task_id, CreateTask(task_id=task_id, spec=spec))
        agent = await self.idle_agent(unit, executor=request.executor)
        await unit.handle(task_id, AssignTask(agent_id=agent.id, agent_type=agent.type))
        await unit.handle(agent.id, TakeTask(task_id=task_id))
        if workspace is not None:
            await unit.handle(workspace.workspace_id, workspace)
        name = "plan" if request.approval in (ApprovalMode.PLAN, ApprovalMode.BOTH) else "coding"
        prompt = await self._core.runtime.prompts.make(name, task, request.variables)
        chosen = {"session_id": request.session_id, "variant": request.variant}
        return await self.queue(unit, task, agent, prompt, request.plan, **chosen)

    async def workspace(self, task_id: TaskId, title: str, place: Place) -> RequestWorkspace | None:
        """Return the request for a workspace, None without repositories.

        A folder in no repository gets a private one. Raises `InvalidInput` for a folder that none can hold, unless it
        is worked on in place, and for paths that do not go together.
        """
        if not place.repositories:
            return None
        gateway = self._core.runtime.gateway
        found = [await gateway.request(DescribeRepository(path=path)) for path in place.repositories]
        plain = [one for one in found if not one.repository]
        if plain and len(found) > 1:
            reason = f"{plain[0].path} is not in a repository"
            raise InvalidInput(field="repositories", reason=reason, remedy="name repositories only, or one folder")
        if not place.in_place and (blocked := next((one for one in found if one.repository and one.obstacle), None)):
            raise InvalidInput(field="repositories", reason=blocked.obstacle, remedy=blocked.remedy)
        if plain and not place.in_place:
            repositories: tuple[Repository, ...] = (_plain(plain[0], place),)
        else:
            known = [one for one in found if one.repository]
            repositories = _named(known, place.target_branch, in_place=place.in_place)
        workspace_id = workspace_of(task_id)
        slug = workspace_slug(title)
        layout = WorkspaceLayout(
            task_id=task_id,
            title=title,
            slug=slug,
            branch=workspace_branch(workspace_id, slug),
            repositories=repositories,
            copy_globs=place.copy_files,
            in_place=place.in_place,
            root=found[0].path if place.in_place else "",
            subfolder=found[0].subfolder if len(found) == 1 else "",
        )
        return RequestWorkspace(workspace_id=workspace_id, layout=layout)

    async def idle_agent(
        self, unit: UnitOfWork, *, agent_type: str | None = None, executor: str | None = None
    ) -> Agent:
        """Return an idle agent as `unit` sees it; register another one if `executor` has none."""
        query = AgentQuery(executor=executor, type=agent_type, sort="created_at", descending=False, limit=1000)
        agents = (await self._core.reads.list(query)).rows
        for agent in agents:
            if agent.status is AgentStatus.IDLE:
                seen = await unit.require(AGENT, agent.id)
                if seen.status is AgentStatus.IDLE:
                    return seen
        if executor is None:
            wanted = f"no agent of type {agent_type} is idle" if agent_type else "no agent is idle"
            remedy = "wait for one, add another, or name an executor"
            raise InvalidInput(field="agent", reason=wanted, remedy=remedy)
        agent_id = AgentId(self._core.bus.ids())
        number = len(agents) + 1
        name = executor if number == 1 else f"{executor}-{number}"
        spec = AgentSpec(name=name, type=AgentType(agent_type or "developer"), executor=executor)
        return await unit.acting_as(ENGINE).handle(agent_id, RegisterAgent(agent_id=agent_id, spec=spec))

    async def queue(
        self,
        unit: UnitOfWork,
        task: Task,
        agent: Agent,
        prompt: str,
        plan: RunPlan,
        *,
        session_id: str | None = None,
        variant: str | None = None,
    ) -> Task:
        """Queue an execution of the task by its agent; return the updated task."""
        variant = variant or agent.variant or None
        given = {**agent.options, **plan.options}
        options = (await self._core.runtime.profiles.load()).options(agent.executor, variant, given)
        plan = msgspec.structs.replace(plan, options=options)
        return await queue(self._core.runtime, unit, task, agent, prompt, plan, session_id=session_id, variant=variant)

    async def first_prompt(self, view: View, plan: RunPlan) -> str:
        """Return the agent's first prompt: to implement an approved plan, to make one, or to code."""
        prompts = self._core.runtime.prompts
        approval = view.approval
        if approval is not None and approval.kind is ApprovalKind.PLAN and approval.granted:
            proposed = approval.proposed_solution
            return await prompts.make("implement", view.task, plan.variables, plan=proposed)
        return await prompts.make("plan" if view.planning else "coding", view.task, plan.variables)


def _plain(found: RepositoryDescribed, place: Place) -> Repository:
    """Return the private repository of a folder that is in none."""
    if found.obstacle:
        reason = f"{found.path} is in no repository, and AURA cannot keep versions of it: {found.obstacle}"
        remedy = "make a repository of it with `git init`, or use --in-place: changes are then made at once"
        raise InvalidInput(field="repositories", reason=reason, remedy=remedy)
    if place.target_branch:
        reason = f"{found.path} is in no repository, so it has no branches"
        raise InvalidInput(field="target_branch", reason=reason, remedy="leave it out")
    return Repository(name=found.name, path=found.path, target_branch=PLAIN_TARGET, plain=True)


def _named(found: Sequence[RepositoryDescribed], target_branch: str, *, in_place: bool) -> tuple[Repository, ...]:
    """Return the repositories of a workspace, each with a unique name and the branch to merge into."""
    names: list[str] = []
    repositories: list[Repository] = []
    for one in found:
        target = target_branch or one.branch
        if target is None and not in_place:
            reason = f"{one.path} is not on a branch to merge into"
            command = f"git -C {shlex.quote(one.path)} switch BRANCH"
            remedy = f"name one with --target-branch BRANCH, or check one out: {command}"
            raise InvalidInput(field="target_branch", reason=reason, remedy=remedy)
        name = one.name if one.name not in names else f"{one.name}-{names.count(one.name) + 1}"
        names.append(one.name)
        repositories.append(Repository(name=name, path=one.path, target_branch=target or ""))
    return tuple(repositories)
