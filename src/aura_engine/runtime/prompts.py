"""Prompts: what agents are told, made of the template that applies and of what is known of the task."""

from collections.abc import Mapping
from typing import Any

import attrs

from aura_contracts.ids import WorkspaceId
from aura_contracts.task import Task
from aura_contracts.template import PROMPT_TEMPLATE, PromptTemplate, TemplateScope, resolve, template_id
from aura_engine.runtime.views import workspace_of
from aura_engine.templates import Template, builtin, render
from aura_engine.unit_of_work import CommandBus


@attrs.frozen
class Prompts:
    """Renders prompts for tasks. Raises `TemplateError`; nothing is ever sent that is only partly rendered."""

    _bus: CommandBus

    async def make(self, name: str, task: Task, variables: Mapping[str, str], **known: Any) -> str:
        """Return the prompt `name` for `task`; `variables` are those of the run, `known` what AURA adds."""
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
        """Return the template of the narrowest scope that has one; there is one stream for each place to look in."""
        keys: Mapping[TemplateScope, str | None] = {
            TemplateScope.WORKSPACE: workspace_of(task.id),
            TemplateScope.TASK: task.id,
            TemplateScope.PROJECT: task.project,
            TemplateScope.GLOBAL: None,
        }
        found: list[PromptTemplate] = []
        for scope, key in keys.items():
            if key is None and scope is not TemplateScope.GLOBAL:
                continue
            state = await self._bus.get(PROMPT_TEMPLATE, template_id(scope, key, name))
            if isinstance(state, PromptTemplate):
                found.append(state)
        chosen = resolve(
            found,
            name,
            project=task.project,
            task_id=task.id,
            workspace_id=WorkspaceId(workspace_of(task.id)),
        )
        if chosen is None:
            return builtin(name)
        return Template(name=name, scope=str(chosen.scope), text=chosen.text, revision=chosen.revision)
