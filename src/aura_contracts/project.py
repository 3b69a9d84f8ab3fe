"""Projects: repositories that belong together, and the documents that agents read before they begin a task in them.

    active  ──edited──►  active  ──removed──►  removed  ──created again──►  active

A project's id is derived from its name (`project_id`). Each name therefore has exactly one stream, and two people who
create the same project at once find out. It also means that a project keeps its name: tasks, policies, templates and
rules for agent types refer to it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import TIME, Aggregate, Changes, Command, Evolve, HappenedFact, State, Table, sets
from aura_contracts.events import Event
from aura_contracts.ids import ProjectId
from aura_contracts.task import AgentType


class ProjectStatus(StrEnum):
    ACTIVE = "active"
    REMOVED = "removed"


_NAMESPACE = UUID("0d3b5d0c-6a53-5f0e-8c5d-5f2f3d9a7b41")
"""The UUID namespace of project ids; never changed."""


def project_id(name: str) -> ProjectId:
    """Return the id of the project with this name (UUIDv5, RFC 9562, section 5.5)."""
    return ProjectId(str(uuid5(_NAMESPACE, name)))


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A project as its creator describes it."""

    name: str
    description: str = ""
    repositories: tuple[str, ...] = ()
    """Absolute paths. A task on one of them that names no project belongs to this one."""
    documents: tuple[str, ...] = ()
    """Patterns of files, relative to the top of each repository of a task: ``CLAUDE.md``, ``docs/**/*.md``."""
    agent_type: AgentType = AgentType("")
    """The type of agent that tasks are for which no rule has another for; empty: none."""
    sample_agents: bool = False
    """Agents of the pool are chosen for its tasks by a draw from what is known of their acceptance."""


class ProjectChanges(Changes, frozen=True, kw_only=True):
    """An edit of a project; fields that are None stay unchanged."""

    description: str | None = None
    repositories: tuple[str, ...] | None = None
    documents: tuple[str, ...] | None = None
    agent_type: AgentType | None = None
    sample_agents: bool | None = None


# --- Events -----------------------------------------------------------------------------------------------------------


class ProjectCreated(Event, frozen=True, kw_only=True):
    """A project was created."""

    topic = "project.created"
    project_id: ProjectId
    spec: ProjectSpec


class ProjectEdited(Event, frozen=True, kw_only=True):
    """The project was edited; tasks that have begun are not concerned."""

    topic = "project.edited"
    changes: ProjectChanges


class ProjectRemoved(Event, frozen=True, kw_only=True):
    """The project was removed. Its tasks keep its name."""

    topic = "project.removed"
    reason: str = ""


class ProjectRecreated(Event, frozen=True, kw_only=True):
    """A project was created with the name of one that was removed."""

    topic = "project.recreated"
    spec: ProjectSpec


# --- State ------------------------------------------------------------------------------------------------------------


class Project(ProjectSpec, State, frozen=True, kw_only=True):
    """The state of a project. Times are aware."""

    id: ProjectId
    status: ProjectStatus
    created_by: Actor
    created_at: datetime
    updated_at: datetime


# --- Commands ---------------------------------------------------------------------------------------------------------


class CreateProject(Command[Project], frozen=True, kw_only=True):
    """Create a project. `project_id` must be the one that `project_id()` derives from the name."""

    emits = (ProjectCreated, ProjectRecreated)
    project_id: ProjectId
    spec: ProjectSpec


class EditProject(Command[Project], frozen=True, kw_only=True):
    """Edit the project."""

    emits = (ProjectEdited,)
    changes: ProjectChanges


class RemoveProject(Command[Project], frozen=True, kw_only=True):
    """Remove the project; the repositories and the tasks stay."""

    emits = (ProjectRemoved,)
    reason: str = ""


# --- Table ------------------------------------------------------------------------------------------------------------

_S = ProjectStatus

_TABLE: Table = MappingProxyType(
    {
        None: {ProjectCreated: _S.ACTIVE},
        _S.ACTIVE: {
            ProjectEdited: _S.ACTIVE,
            ProjectRemoved: _S.REMOVED,
        },
        _S.REMOVED: {
            ProjectRecreated: _S.ACTIVE,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: ProjectCreated, fact: HappenedFact, status: ProjectStatus) -> Project:
    return Project(
        id=event.project_id,
        status=status,
        created_by=fact.actor,
        created_at=fact.time,
        updated_at=fact.time,
        **asdict(event.spec),
    )


def _edited(state: Project, event: ProjectEdited, fact: HappenedFact, status: ProjectStatus) -> Project:
    return replace(state, status=status, updated_at=fact.time, **event.changes.given())


def _recreated(state: Project, event: ProjectRecreated, fact: HappenedFact, status: ProjectStatus) -> Project:
    began = {"created_by": fact.actor, "created_at": fact.time, "updated_at": fact.time}
    return replace(state, status=status, **began, **asdict(event.spec))


_EVOLVERS: Mapping[type[Event], Evolve[Project]] = MappingProxyType(
    {
        ProjectCreated: _created,
        ProjectEdited: _edited,
        ProjectRemoved: sets(updated_at=TIME),
        ProjectRecreated: _recreated,
    }
)

PROJECT = Aggregate(
    name="project",
    state=Project,
    statuses=ProjectStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
