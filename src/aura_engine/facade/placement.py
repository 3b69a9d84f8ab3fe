"""Placement: the agent, the workspace and the execution of a task."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AGENT, Agent, AgentSpec, RegisterAgent, TakeTask
from aura_contracts.errors import InvalidInput, NotARepository
from aura_contracts.ids import AgentId, TaskId
from aura_contracts.ports.read_models import AgentQuery
from aura_contracts.ports.workspaces import RepositoryDescription
from aura_contracts.task import AgentType, ApprovalMode, AssignTask, CreateTask, Task, TaskSpec
from aura_contracts.workspace import (
    PLAIN_TARGET,
    Repository,
    RequestWorkspace,
    WorkspaceLayout,
    workspace_branch,
    workspace_slug,
)
from aura_engine import runtime
from aura_engine.agent_types import AgentTypeChoice
from aura_engine.facade.core import Core
from aura_engine.inputs import NewTask, Place, RunRequest, title_of
from aura_engine.runtime.task_project import ProjectChoice
from aura_engine.runtime.views import workspace_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol.messages import DescribeRepository


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
        begin = await self.prepared(task_id, request, request_digest=digest, key=key, after=tuple(after))
        return await self._core.bus.transact(self._core.user, begin)

    async def prepared(
        self, task_id: TaskId, request: RunRequest, **more: Any
    ) -> Callable[[UnitOfWork], Awaitable[Task]]:
        """Look up everything that a task needs, and return what adds the task and its execution to a unit of work.

        `more` are further fields of its spec.
        """
        title = request.title or title_of(request.prompt)
        workspace = await self.workspace(task_id, title, request)
        project = await self.project(request.project, workspace)
        spec = TaskSpec(
            title=title,
            description=request.prompt,
            priority=request.priority,
            project=project.name,
            project_reason=project.reason,
            approval_mode=request.approval,
            reviewers=request.reviewers,
            quorum=request.quorum,
            levels=request.levels,
            no_self_approval=request.no_self_approval,
            retry=request.retry,
            context=request.context,
            locks=request.locks,
            locked_paths=request.locked_paths,
            on_collision=request.on_collision,
            labels=request.labels,
            due_at=request.due_at,
            on_dependency_failure=request.on_dependency_failure,
            on_part_failure=request.on_part_failure,
            fixes=await self.fixed(request.fixes),
            **more,
        )

        async def begin(unit: UnitOfWork) -> Task:
            task = await unit.handle(task_id, CreateTask(task_id=task_id, spec=spec))
            agent = await self.agent_with(unit, request.executor, ad_hoc=True)
            why = f"the executor {request.executor} was named"
            await unit.handle(task_id, AssignTask(agent_id=agent.id, agent_type=agent.type, reason=why))
            await unit.handle(agent.id, TakeTask(task_id=task_id))
            if workspace is not None:
                await unit.handle(workspace.workspace_id, workspace)
            name = "plan" if request.approval in (ApprovalMode.PLAN, ApprovalMode.BOTH) else "coding"
            prompt = await self._core.runtime.prompts.asking(name, task, request.variables, agent.executor)
            chosen: Any = {"session_id": request.session_id, "variant": request.variant}
            return await runtime.queue_first(self._core.runtime, unit, task, agent, prompt, request.plan, **chosen)

        return begin

    async def created(
        self, task_id: TaskId, given: NewTask, *, parent_id: TaskId | None = None, **more: Any
    ) -> Callable[[UnitOfWork], Awaitable[Task]]:
        """Look up everything that a new task needs, and return what adds the task to a unit of work.

        `more` are further fields of its spec.
        """
        workspace = await self.workspace(task_id, given.title, given)
        project = await self.project(given.project, workspace, parent_id)
        chosen = await self.agent_type(given.agent_type, given.labels, project.name)
        spec = TaskSpec(
            title=given.title,
            description=given.description,
            priority=given.priority,
            parent_id=parent_id,
            project=project.name,
            project_reason=project.reason,
            agent_type=chosen.type,
            agent_type_reason=chosen.reason,
            approval_mode=given.approval,
            reviewers=given.reviewers,
            quorum=given.quorum,
            levels=given.levels,
            no_self_approval=given.no_self_approval,
            retry=given.retry,
            context=given.context,
            locks=given.locks,
            locked_paths=given.locked_paths,
            on_collision=given.on_collision,
            labels=given.labels,
            due_at=given.due_at,
            on_dependency_failure=given.on_dependency_failure,
            on_part_failure=given.on_part_failure,
            fixes=await self.fixed(given.fixes),
            **more,
        )

        async def create(unit: UnitOfWork) -> Task:
            created = await unit.handle(task_id, CreateTask(task_id=task_id, spec=spec))
            if workspace is not None:
                await unit.handle(workspace.workspace_id, workspace)
            return created

        return create

    async def agent_type(self, given: str | None, labels: Sequence[str], project: str | None) -> AgentTypeChoice:
        """Return the type of agent that a task is for, and why. Raises `InvalidInput` for invalid rules."""
        return await runtime.agent_type_of(self._core.runtime, given, labels, project)

    async def project(
        self, given: str | None, workspace: RequestWorkspace | None, parent: TaskId | None = None
    ) -> ProjectChoice:
        """Return the project that a task belongs to, and why. Raises `InvalidInput` for one that does not exist."""
        paths = () if workspace is None else tuple(one.path for one in workspace.layout.repositories)
        if workspace is not None and not paths:
            paths = (workspace.layout.root,)
        return await runtime.project_of(self._core.runtime, given, paths, parent)

    async def fixed(self, task: str | None) -> TaskId | None:
        """Return the id of the task whose result another one repairs. Raises the errors of `Core.find`."""
        return None if task is None else TaskId(await self._core.find("task", task, "fixes"))

    async def workspace(self, task_id: TaskId, title: str, place: Place) -> RequestWorkspace | None:
        """Return the request for a workspace, None without repositories.

        A folder in no repository gets a private one. Raises `InvalidInput` for paths that do not go together, and
        `GitError` for what cannot be worked on: unless that is done in place, `NoCommit`, `BranchInTheWay`,
        `FilterMissing`, `IgnoredSubfolder`, `UncommittedSubfolder` and `UnsuitableFolder` too.
        """
        if not place.repositories:
            return None
        gateway = self._core.runtime.gateway
        how: Any = {
            "in_place": place.in_place,
            "target_branch": place.target_branch,
            "copy_globs": place.copy_files,
        }
        found = [await gateway.request(DescribeRepository(path=path, **how)) for path in place.repositories]
        for bare in (one.path for one in found if place.in_place and one.path == one.common_dir):
            raise NotARepository(repository=bare, remedy="work in place needs files: name a worktree")
        plain = [one for one in found if not one.repository]
        if plain and len(found) > 1:
            reason = f"{plain[0].path} is not in a repository"
            raise InvalidInput(field="repositories", reason=reason, remedy="name repositories only, or one folder")
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
        if place.in_place:
            layout = replace(layout, policies=await self._core.policies.texts(layout))
        return RequestWorkspace(workspace_id=workspace_id, layout=layout)

    async def agent_with(
        self, unit: UnitOfWork, executor: str, *, ad_hoc: bool | None = None, without: AgentId | None = None
    ) -> Agent:
        """Return an agent with this executor and room as `unit` sees it; register another one if all are busy.

        `ad_hoc` is whether it was made for a run that named an executor; None: any. `without` is one to pass over.
        """
        query = AgentQuery(executor=executor, sort="created_at", descending=False, limit=1000)
        agents = (await self._core.reads.list(query)).rows
        for agent in agents:
            if agent.room and agent.id != without and ad_hoc in (None, agent.ad_hoc):
                seen = await unit.require(AGENT, agent.id)
                if seen.room:
                    return seen
        agent_id = AgentId(self._core.bus.new_id())
        number = len(agents) + 1
        name = executor if number == 1 else f"{executor}-{number}"
        spec = AgentSpec(name=name, type=AgentType("developer"), executor=executor, ad_hoc=True)
        return await unit.acting_as(ENGINE).handle(agent_id, RegisterAgent(agent_id=agent_id, spec=spec))


def _plain(found: RepositoryDescription, place: Place) -> Repository:
    """Return the private repository of a folder that is in none."""
    if place.target_branch:
        reason = f"{found.path} is in no repository, so it has no branches"
        raise InvalidInput(field="target_branch", reason=reason, remedy="leave it out")
    return Repository(name=found.name, path=found.path, target_branch=PLAIN_TARGET, plain=True)


def _named(found: Sequence[RepositoryDescription], target_branch: str, *, in_place: bool) -> tuple[Repository, ...]:
    """Return the repositories of a workspace, each with a unique name and the branch to merge into."""
    names: list[str] = []
    repositories: list[Repository] = []
    for one in found:
        target = target_branch or one.branch
        if target is None and not in_place:
            reason = f"{one.path} is not on a branch to merge into"
            command = f"git -C {shlex.quote(one.path)} switch BRANCH"
            remedy = f"name one with target_branch=BRANCH, or check one out: {command}"
            raise InvalidInput(field="target_branch", reason=reason, remedy=remedy)
        name = one.name if one.name not in names else f"{one.name}-{names.count(one.name) + 1}"
        names.append(one.name)
        repositories.append(Repository(name=name, path=one.path, target_branch=target or "", common_dir=one.common_dir))
    return tuple(repositories)
