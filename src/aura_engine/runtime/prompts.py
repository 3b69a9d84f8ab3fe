"""Prompts: renders the prompts of agents from the applicable template and the task's data."""

from collections.abc import Mapping
from typing import Any

import attrs

from aura_contracts.ports.read_models import ReadModels, TemplateQuery
from aura_contracts.task import Task
from aura_contracts.template import resolve
from aura_engine.runtime.views import workspace_of
from aura_engine.templates import Template, builtin, render


@attrs.frozen
class Prompts:
    """Renders prompts for tasks. Raises `TemplateError`; a partly rendered prompt is never sent."""

    _reads: ReadModels

    async def make(self, name: str, task: Task, variables: Mapping[str, str], **known: Any) -> str:
        """Return the prompt `name` for `task`; `variables` are those of the run, `known` those that AURA adds."""
        template = await self._find(name, task)
        about = {
            "id": task.id,
            "title": task.title,
            "description": task.description,
            "priority": str(task.priority),
            "context": task.context,
        }
        return render(template, {**variables, **known, "task": about})

    async def _find(self, name: str, task: Task) -> Template:
        """Return the template of the narrowest scope that has one, else the built-in one."""
        found = await self._reads.list(TemplateQuery(name=name, limit=1000))
        place = workspace_of(task.id)
        chosen = resolve(found.rows, name, project=task.project, task_id=task.id, workspace_id=place)
        if chosen is None:
            return builtin(name)
        return Template(name=name, scope=str(chosen.scope), text=chosen.text, revision=chosen.revision)
