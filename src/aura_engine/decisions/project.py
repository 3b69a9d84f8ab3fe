"""Decisions about projects.

Who may do what: humans and AURA itself; an agent never changes its own context or that of another agent. Whether
repositories and documents exist is for the worker to say, before a decision is asked for.
"""

from collections.abc import Sequence
from typing import Any

from aura_contracts.aggregate import Command
from aura_contracts.context_documents import require_document_pattern
from aura_contracts.errors import InvalidInput, NameTaken
from aura_contracts.project import (
    PROJECT,
    CreateProject,
    EditProject,
    Project,
    ProjectChanges,
    ProjectCreated,
    ProjectEdited,
    ProjectRecreated,
    ProjectRemoved,
    ProjectSpec,
    RemoveProject,
    project_id,
)
from aura_contracts.quoting import is_visible
from aura_engine.decisions._decider import Context, Decider, Events, RuleBroken, becomes, no_agent, require_agent_type

NAME_LIMIT = 200
"""Characters; a name is a word or two in a list."""

REPOSITORY_LIMIT = 100
"""Repositories of one project."""

PATTERN_COUNT_LIMIT = 100
"""Patterns of documents of one project."""

_no_agent = no_agent("agents do not change projects")


def _require_name(name: str) -> None:
    if not 1 <= len(name) <= NAME_LIMIT or name != name.strip():
        raise RuleBroken("name", f"a name has 1 to {NAME_LIMIT} characters, without a space at either end")
    if not is_visible(name):
        raise RuleBroken("name", "a name is one line of characters that can be seen")


def _require_valid(given: ProjectSpec | ProjectChanges) -> None:
    """Require absolute repositories, patterns that lead nowhere else, each of them once, and a type of agent."""
    repositories, documents = given.repositories or (), given.documents or ()
    if relative := [path for path in repositories if not path.startswith("/")]:
        raise RuleBroken("repositories", f"{relative[0]!r} is not an absolute path")
    _require_distinct("repositories", repositories, REPOSITORY_LIMIT)
    for pattern in documents:
        try:
            require_document_pattern(pattern)
        except InvalidInput as error:
            raise RuleBroken("documents", error.reason, error.remedy) from None
    _require_distinct("documents", documents, PATTERN_COUNT_LIMIT)
    require_agent_type(given.agent_type or None)


def _require_distinct(what: str, given: Sequence[str], limit: int) -> None:
    if len(given) > limit:
        raise RuleBroken(what, f"a project has at most {limit} of them, not {len(given)}")
    if repeated := sorted({one for one in given if given.count(one) > 1}):
        raise RuleBroken(what, f"named more than once: {', '.join(repeated)}", "name each once")


def _create(state: Project | None, command: CreateProject, context: Context) -> Events:
    spec = command.spec
    _require_name(spec.name)
    _require_valid(spec)
    derived = project_id(spec.name)
    if command.project_id != derived:
        raise RuleBroken("project_id", f"the id of {spec.name!r} is {derived}", "use that id")
    if state is None:
        return [ProjectCreated(project_id=command.project_id, spec=spec)]
    return [ProjectRecreated(spec=spec)]


def _edit(state: Project, command: EditProject, context: Context) -> Events:
    _require_valid(command.changes)
    changes = command.changes.differing_from(state)
    return [ProjectEdited(changes=changes)] if changes.given() else []


def _taken(state: Project, command: Command[Project], _: Context, facts: dict[str, Any]) -> NameTaken | None:
    """Return the error for a name that another project has."""
    if not isinstance(command, CreateProject):
        return None
    about = {name: facts[name] for name in ("aggregate", "aggregate_id", "command")}
    return NameTaken(**about, name=state.name)


PROJECT_DECIDER = Decider(
    PROJECT,
    {
        CreateProject: (_no_agent, _create),
        EditProject: (_no_agent, _edit),
        RemoveProject: (_no_agent, becomes(ProjectRemoved)),
    },
    impossible=_taken,
)
