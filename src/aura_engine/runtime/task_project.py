"""Projects: the project of a task, and the type of agent that the task is for."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import NamedTuple

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import TaskId
from aura_contracts.ports.read_models import LIMIT, ProjectQuery
from aura_contracts.project import PROJECT, Project, ProjectStatus, project_id
from aura_contracts.quoting import listed, one_line
from aura_contracts.task import TASK
from aura_engine.agent_types import AgentTypeChoice
from aura_engine.runtime.context import Runtime


class ProjectChoice(NamedTuple):
    """The name of the project that a task belongs to, None for none, and why."""

    name: str | None
    reason: str


async def project_named(runtime: Runtime, name: str | None) -> Project | None:
    """Return a project by its name, None if it does not exist or was removed."""
    found = None if not name else await runtime.bus.fetch(PROJECT, project_id(name))
    return None if found is None or found.status is ProjectStatus.REMOVED else found


async def project_of(
    runtime: Runtime, given: str | None, repositories: Collection[str], parent: TaskId | None
) -> ProjectChoice:
    """Return the project of a new task: the one `given`, that of its parent, or the one that has its repositories.

    An empty name stands for none. Raises `InvalidInput` for a project that does not exist.
    """
    if given is not None:
        return await _given(runtime, given)
    above = None if parent is None else await runtime.bus.fetch(TASK, parent)
    if above is not None and above.project is not None:
        return ProjectChoice(above.project, "the task that it is a part of does")
    if not repositories:
        return ProjectChoice(None, "")
    rows = runtime.reads.rows(ProjectQuery(repository=tuple(repositories), sort="name", descending=False, limit=LIMIT))
    names = [project.name async for project in rows if set(repositories) <= set(project.repositories)]
    paths = listed([one_line(path) for path in repositories], 3)
    if len(names) > 1:
        return ProjectChoice(None, f"several projects have {paths}: {listed(names, 5)}")
    return ProjectChoice(names[0], f"it works on {paths}") if names else ProjectChoice(None, "")


async def _given(runtime: Runtime, name: str) -> ProjectChoice:
    if not name:
        return ProjectChoice(None, "it names none")
    if await project_named(runtime, name) is not None:
        return ProjectChoice(name, "it names the project")
    rows = runtime.reads.rows(ProjectQuery(sort="name", descending=False, limit=LIMIT))
    near = get_close_matches(name, [project.name async for project in rows], n=1)
    remedy = f"did you mean {near[0]}?" if near else "`projects.list()` lists those that exist"
    raise InvalidInput(field="project", reason=f"there is no project {one_line(name)!r}", remedy=remedy)


async def agent_type_of(
    runtime: Runtime, given: str | None, labels: Iterable[str], project: str | None
) -> AgentTypeChoice:
    """Return the type of agent that a task is for, and why. Raises `InvalidInput` for invalid rules."""
    found = await project_named(runtime, project)
    return (await runtime.agent_types.load()).choose(given, labels, project, "" if found is None else found.agent_type)
