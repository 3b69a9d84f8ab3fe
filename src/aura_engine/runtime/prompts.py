"""Prompts: what agents get to read, rendered from the templates of the scopes that a task is in."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from aura_contracts.ids import TaskId, WorkspaceId
from aura_contracts.ports.read_models import LIMIT, ReadModels, TemplateQuery
from aura_contracts.task import Task
from aura_contracts.template import TemplateScope, TemplateStatus, layers, template_id
from aura_engine._builtin_templates import BUILTIN, VARIABLES
from aura_engine.agent_results import ASKED, SCHEMA
from aura_engine.jinja_templates import BUILTIN_SCOPE, Template, builtin, included, render
from aura_engine.runtime.views import workspace_of


@attrs.frozen
class TemplatePlace:
    """Where a prompt is needed: in a task, in a project, in both or in none."""

    project: str | None = None
    task_id: TaskId | None = None

    @classmethod
    def of(cls, task: Task) -> "TemplatePlace":
        """Return the place of a task."""
        return cls(task.project, task.id)

    @property
    def workspace_id(self) -> WorkspaceId | None:
        """The workspace of the task, whether or not it has one yet."""
        return None if self.task_id is None else workspace_of(self.task_id)

    @property
    def keys(self) -> Mapping[TemplateScope, str | None]:
        """Scope -> the key of a template that applies here; without scopes that this place is not in."""
        keys = {
            TemplateScope.WORKSPACE: self.workspace_id,
            TemplateScope.TASK: self.task_id,
            TemplateScope.PROJECT: self.project,
        }
        return {**{scope: key for scope, key in keys.items() if key is not None}, TemplateScope.GLOBAL: None}


@attrs.frozen
class Prompts:
    """Renders prompts for tasks. Raises `TemplateError`; a partly rendered prompt is never sent."""

    _reads: ReadModels

    async def asking(self, name: str, task: Task, variables: Mapping[str, str], executor: str, **known: Any) -> str:
        """Return the prompt of a turn, as `make` does; AURA's own asks the agent for a result at the end.

        Not for a command (``/review``), whose arguments the text would become, nor for executors that AURA does not
        know.
        """
        found = await self.layered((name, "result"), TemplatePlace.of(task))
        prompt = _rendered(found, name, task, variables, known)
        if found[name][0].scope != BUILTIN_SCOPE or executor not in ASKED or prompt.startswith("/"):
            return prompt
        return prompt.rstrip("\n") + _rendered(found, "result", task, variables, {"schema": SCHEMA})

    async def make(self, name: str, task: Task, variables: Mapping[str, str], **known: Any) -> str:
        """Return the prompt `name` for `task`; `variables` are those of the run, `known` those that AURA adds."""
        return _rendered(await self.layered((name,), TemplatePlace.of(task)), name, task, variables, known)

    async def layered(
        self, names: Collection[str], place: TemplatePlace, texts: Collection[str] = ()
    ) -> Mapping[str, Sequence[Template]]:
        """Return the templates that apply in a place, by name and the narrowest scope first, the built-in one last.

        These are the ones with these `names`, what `texts` include, and in turn what any of them include.
        """
        found: dict[str, Sequence[Template]] = {}
        wanted = {*names, *(one for text in texts for one in included(text))}
        while wanted:
            found |= await self._layers_of(wanted, place)
            texts = [template.text for name in wanted for template in found[name]]
            wanted = {one for text in texts for one in included(text)} - found.keys()
        return found

    async def _layers_of(self, names: Collection[str], place: TemplatePlace) -> dict[str, Sequence[Template]]:
        """Return the layers of each name; empty for a name that no template has."""
        ids = [template_id(scope, key, name) for name in names for scope, key in place.keys.items()]
        query = TemplateQuery(id=ids, status=TemplateStatus.ACTIVE, limit=LIMIT)
        rows = [template async for template in self._reads.rows(query)]
        where: Any = {"project": place.project, "task_id": place.task_id, "workspace_id": place.workspace_id}
        own = {name: layers(rows, name, **where) for name in names}
        return {
            name: (
                *(Template(name, str(one.scope), one.text, one.revision) for one in own[name]),
                *((builtin(name),) if name in BUILTIN else ()),
            )
            for name in names
        }


SAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        **{name: f"<{name}>" for names in VARIABLES.values() for name in names},
        "planning": False,
        "conflicts": [{"repository": "", "target": "", "paths": ["<path>"]}],
        "schema": {"type": "object"},
    }
)
"""What a preview shows for the variables that AURA provides."""

SAMPLE_TASK: Mapping[str, Any] = MappingProxyType(
    {"id": "<id>", "title": "<title>", "description": "<description>", "priority": "medium", "context": {}}
)
"""What a preview without a task shows for it."""


def about(task: Task) -> Mapping[str, Any]:
    """Return what a template reads of a task, as the variable `task`."""
    return {
        "id": task.id,
        "title": task.title,
        "description": task.description,
        "priority": str(task.priority),
        "context": task.context,
    }


def _rendered(
    found: Mapping[str, Sequence[Template]],
    name: str,
    task: Task,
    variables: Mapping[str, str],
    known: Mapping[str, Any],
) -> str:
    return render(found[name][0], {**variables, **known, "task": about(task)}, parts=found)
