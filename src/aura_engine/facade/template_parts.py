"""Template parts: what a template includes is there, in each place where it applies, or it is not written.

A template relies on what applies wherever it does: what is written in its own place, and in wider scopes.

Invariants:

- A template is written in a unit of work that has read the ones it includes, so it is not recorded if one of them is
  retired meanwhile.
- Before one is retired, templates that include it are looked for in the same unit of work, and again afterwards: one
  that was written in between was not there to be read. The retirement is undone then.
"""

from collections.abc import Sequence
from typing import TypedDict

import attrs

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.errors import RuleViolated, TemplateError
from aura_contracts.ids import TaskId, TemplateId, WorkspaceId
from aura_contracts.ports.read_models import LIMIT, TemplateQuery
from aura_contracts.quoting import listed
from aura_contracts.task import TASK
from aura_contracts.template import (
    PROMPT_TEMPLATE,
    PromptTemplate,
    RestoreTemplate,
    RetireTemplate,
    TemplateScope,
    TemplateStatus,
    template_id,
)
from aura_contracts.workspace import WORKSPACE
from aura_engine import facade
from aura_engine.facade.core import Core
from aura_engine.unit_of_work import UnitOfWork

_WIDTH = tuple(TemplateScope)
"""The scopes, the narrowest first."""

_NAMED = 5
"""Templates that an error names at most."""


class TemplateLocation(TypedDict, total=False):
    """Where a template applies: in one of these, or everywhere."""

    project: str | None
    """A project, by name."""
    task: str | None
    """A task, by id."""
    workspace: str | None
    """A workspace, by id."""


@attrs.frozen
class TemplateParts:
    """Checks what templates include."""

    _core: Core

    async def require(self, unit: UnitOfWork, template: PromptTemplate) -> None:
        """Raise `TemplateError` for a template that includes one that its place does not have."""
        for line, names in await self._missing(unit, template):
            several = " or ".join(map(repr, names))
            first = names[0] if names else ""
            raise TemplateError(
                template=_label(template),
                line=line,
                reason=f"it includes {several}, and no template of this name applies there",
                remedy=f'write {first!r} first, or let it be missing: {{% include "{first}" ignore missing %}}',
            )

    async def retire(self, actor: Actor, ident: TemplateId, reason: str) -> PromptTemplate:
        """Retire a template that no other one needs. Raises `RuleViolated`, which names those that do."""

        async def decide(unit: UnitOfWork) -> PromptTemplate:
            retired = await unit.handle(ident, RetireTemplate(reason=reason))
            _require_none(retired, await self._in_need(unit, retired))
            return retired

        async def undo(unit: UnitOfWork) -> Sequence[PromptTemplate]:
            current = await unit.require(PROMPT_TEMPLATE, ident)
            needed = await self._in_need(unit, current) if current.status is TemplateStatus.RETIRED else ()
            if needed:
                await unit.acting_as(ENGINE).handle(ident, RestoreTemplate())
            return needed

        retired = await self._core.bus.transact(actor, decide)
        _require_none(retired, await self._core.bus.transact(actor, undo))
        return retired

    async def _in_need(self, unit: UnitOfWork, retired: PromptTemplate) -> Sequence[PromptTemplate]:
        """Return the templates that lack something without one that is retired."""
        found: list[PromptTemplate] = []
        query = TemplateQuery(status=TemplateStatus.ACTIVE, limit=LIMIT)
        for row in [row async for row in self._core.reads.rows(query)]:
            if retired.name not in facade.included(row.text):
                continue
            one = await unit.require(PROMPT_TEMPLATE, row.id)
            place = await self._place(unit, one)
            if place.keys.get(retired.scope, retired.id) != retired.scope_key:
                continue  # it never had that one
            if any(retired.name in names for _, names in await self._missing(unit, one)):
                found.append(one)
        return found

    async def _missing(self, unit: UnitOfWork, template: PromptTemplate) -> Sequence[tuple[int, Sequence[str]]]:
        """Return the lines with an include of which no template applies, and the names that each would accept."""
        place = await self._place(unit, template)
        return [
            (line, names)
            for line, names in facade.required_parts(template.text)
            if not any([await self._applies(unit, name, template, place) for name in names])
        ]

    async def _applies(
        self, unit: UnitOfWork, name: str, template: PromptTemplate, place: "facade.TemplatePlace"
    ) -> bool:
        """Whether what a template includes under a name is there; its own name stands for the next wider scope."""
        wider = _WIDTH[_WIDTH.index(template.scope) + 1 :] if name == template.name else _WIDTH
        for scope, key in place.keys.items():
            if scope in wider:
                one = await unit.get(PROMPT_TEMPLATE, template_id(scope, key, name))
                if one is not None and one.status is TemplateStatus.ACTIVE:
                    return True
        return name in facade.BUILTIN

    async def _place(self, unit: UnitOfWork, template: PromptTemplate) -> "facade.TemplatePlace":
        """Return where a template applies; a workspace is that of one task."""
        key = template.scope_key
        match template.scope:
            case TemplateScope.GLOBAL:
                return facade.TemplatePlace()
            case TemplateScope.PROJECT:
                return facade.TemplatePlace(key)
            case TemplateScope.TASK:
                task_id = TaskId(key or "")
            case TemplateScope.WORKSPACE:
                task_id = (await unit.require(WORKSPACE, WorkspaceId(key or ""))).task_id
        return facade.TemplatePlace.of(await unit.require(TASK, task_id))


def _label(template: PromptTemplate) -> str:
    return facade.Template(template.name, str(template.scope), template.text).label


def _require_none(template: PromptTemplate, needed: Sequence[PromptTemplate]) -> None:
    if needed:
        names = listed([f"{_label(one)} {one.id}" for one in needed], _NAMED)
        raise RuleViolated(
            aggregate="template",
            aggregate_id=template.id,
            command=RetireTemplate.__name__,
            rule="included",
            reason=f"{names} would include {template.name!r} in vain",
            remedy="retire those first, or take the include out of them",
        )
