"""Templates: the texts that prompts are made from, in four scopes: written, versioned, previewed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

import attrs
import msgspec

from aura_contracts.actors import Actor
from aura_contracts.errors import InvalidId, InvalidInput
from aura_contracts.ids import TaskId, TemplateId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import TemplateQuery
from aura_contracts.ports.rows import Page
from aura_contracts.task import TASK
from aura_contracts.template import (
    PROMPT_TEMPLATE,
    DefineTemplate,
    PromptTemplate,
    RestoreTemplate,
    ReviseTemplate,
    TemplateDefined,
    TemplateRevised,
    TemplateScope,
    TemplateSpec,
    TemplateStatus,
    template_id,
)
from aura_engine import facade, runtime
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import TemplateFilters
from aura_engine.facade.template_parts import TemplateLocation, TemplateParts
from aura_engine.unit_of_work import UnitOfWork, not_found


class TemplateRevision(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A text that a template had; the newest revision is the one that applies."""

    id: TemplateId
    revision: int
    """Counts from 1."""
    text: str
    variables: tuple[str, ...]
    revised_by: Actor
    revised_at: datetime


class BuiltinTemplate(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A template that applies where no scope has one of its name."""

    id: str
    """Its name."""
    text: str
    variables: tuple[str, ...]
    """The variables that AURA provides, besides `task`."""


class PromptPreview(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A prompt as a task would get it."""

    id: str
    """The name of the template."""
    scope: str
    """A `TemplateScope`, ``built-in``, or ``draft`` for a text that is not stored."""
    revision: int
    """That of the template; 0 if it is built in or a draft."""
    text: str


@gated
@attrs.frozen
class Templates:
    """Prompt templates, by name and place, or by id.

    A place is a `project`, a `task`, a `workspace`, or, without any of them, everywhere.
    """

    _core: Core

    @property
    def _parts(self) -> TemplateParts:
        return TemplateParts(self._core)

    async def get(self, template: str, **where: Unpack[TemplateLocation]) -> PromptTemplate:
        """Return the template with this name in exactly this place, also a retired one.

        Without a place, `template` may also be an id. Raises `AggregateNotFound`, `AmbiguousId`.
        """
        scope, key = await self._place(**where)
        found = await self._core.bus.fetch(PROMPT_TEMPLATE, template_id(scope, key, template))
        if found is None and key is None:
            try:
                return await self._core.load(PROMPT_TEMPLATE, template)
            except InvalidId:
                pass
        if found is None:
            raise not_found("template", template)
        return found

    async def list(self, **filters: Unpack[TemplateFilters]) -> Page[PromptTemplate]:
        """Return a page of templates, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(TemplateQuery(**filters))

    async def builtin(self) -> Sequence[BuiltinTemplate]:
        """Return the built-in templates: the prompts that AURA asks for, by name."""
        return [
            BuiltinTemplate(id=name, text=text, variables=tuple(facade.provided(name)))
            for name, text in facade.BUILTIN.items()
        ]

    async def revisions(self, template: str, **where: Unpack[TemplateLocation]) -> Sequence[TemplateRevision]:
        """Return every text that a template had, oldest first. The arguments and errors are those of `get`."""
        found = await self.get(template, **where)
        revisions: list[TemplateRevision] = []
        for fact in await self._core.log.facts(found.id):
            match fact.event:
                case TemplateDefined(spec=spec):
                    made: Any = {"revision": 1, "text": spec.text, "variables": spec.variables}
                case TemplateRevised() as event:
                    made = {"revision": event.revision, "text": event.text, "variables": event.variables}
                case _:
                    continue
            revisions.append(TemplateRevision(id=found.id, revised_by=fact.actor, revised_at=fact.time, **made))
        return revisions

    async def set(
        self,
        name: str,
        text: Kept[str],
        *,
        variables: Collection[str] = (),
        based_on: int | None = None,
        by: str | None = None,
        **where: Unpack[TemplateLocation],
    ) -> PromptTemplate:
        """Define a template in a place, or replace its text and variables; a retired one applies again.

        `variables` are the names that the text uses besides those that AURA provides; runs set them. With `based_on`
        only if that is still the current revision.

        Raises `TemplateError` with the line for a text that could render for no task: one that is not a template, or
        uses a name that is neither provided nor declared, or includes a template that this place does not have. Nothing
        is recorded then, and the former text applies.
        """
        scope, key = await self._place(**where)
        ident, declared = template_id(scope, key, name), tuple(variables)
        actor = await self._core.require_member("template", ident, "set", by)
        spec = TemplateSpec(name=name, scope=scope, scope_key=key, text=text, variables=declared)

        async def decide(unit: UnitOfWork) -> PromptTemplate:
            before = await unit.get(PROMPT_TEMPLATE, ident)
            if before is None:
                if based_on is not None:
                    raise not_found("template", name)
                made = await unit.handle(ident, DefineTemplate(template_id=ident, spec=spec))
            else:
                if before.status is TemplateStatus.RETIRED:
                    await unit.handle(ident, RestoreTemplate())
                made = await unit.handle(ident, ReviseTemplate(text=text, variables=declared, based_on=based_on))
            facade.require_correct(facade.Template(name, str(scope), text), declared)
            await self._parts.require(unit, made)
            return made

        return await self._core.bus.transact(actor, decide)

    async def retire(
        self,
        template: str,
        reason: Kept[str] = "",
        *,
        by: str | None = None,
        **where: Unpack[TemplateLocation],
    ) -> PromptTemplate:
        """Retire a template: that of the next wider scope, or the built-in one, applies.

        Raises the errors of `get`, and `RuleViolated` if others include it and would have nothing in its place; the
        error names them.
        """
        found = await self.get(template, **where)
        return await self._parts.retire(self._core.actor(by), found.id, reason)

    async def restore(
        self, template: str, *, by: str | None = None, **where: Unpack[TemplateLocation]
    ) -> PromptTemplate:
        """Have a retired template apply again, unchanged.

        Raises the errors of `get`, and `TemplateError` if what it includes has been retired meanwhile.
        """
        found = await self.get(template, **where)

        async def decide(unit: UnitOfWork) -> PromptTemplate:
            restored = await unit.handle(found.id, RestoreTemplate())
            await self._parts.require(unit, restored)
            return restored

        return await self._core.bus.transact(self._core.actor(by), decide)

    async def preview(
        self,
        name: str,
        *,
        task: str | None = None,
        project: str | None = None,
        text: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> PromptPreview:
        """Return the prompt that a task would get, or without `task`, one of a project or of none.

        `text` takes the place of the narrowest template, without being stored. `variables` are those of the run. What
        AURA only knows later, such as the feedback of a reviewer, is shown by its name in angle brackets.

        Raises `TemplateError`, `MissingVariable` for a variable that is not given, and `AggregateNotFound` for a name
        that no template has here.
        """
        if task is not None and project is not None:
            raise InvalidInput(field="project", reason="a task has its own project", remedy="leave project or task out")
        known = None if task is None else await self._core.load(TASK, task)
        where = facade.TemplatePlace(await self._project(project)) if known is None else facade.TemplatePlace.of(known)
        drafts = () if text is None else (text,)
        found = await self._core.runtime.prompts.layered((name,), where, drafts)
        layers = (*(facade.Template(name, "draft", one, 0) for one in drafts), *found[name])
        if not layers:
            raise not_found("template", name)
        shown = {"task": facade.SAMPLE_TASK if known is None else facade.about(known)}
        made = facade.render(layers[0], {**facade.SAMPLES, **(variables or {}), **shown}, parts=found)
        return PromptPreview(id=name, scope=layers[0].scope, revision=layers[0].revision, text=made)

    async def _place(
        self, project: str | None = None, task: str | None = None, workspace: str | None = None
    ) -> tuple[TemplateScope, str | None]:
        """Return a place as a scope and its key. Raises `InvalidInput` for several, and for one that does not exist."""
        given = {"project": project, "task": task, "workspace": workspace}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            reason, remedy = f"{' and '.join(named)} are given", "give one place at most"
            raise InvalidInput(field=named[1], reason=reason, remedy=remedy)
        if task is not None:
            return TemplateScope.TASK, TaskId(await self._core.find("task", task))
        if workspace is not None:
            return TemplateScope.WORKSPACE, await self._core.find("workspace", workspace)
        name = await self._project(project)
        return (TemplateScope.GLOBAL, None) if name is None else (TemplateScope.PROJECT, name)

    async def _project(self, name: str | None) -> str | None:
        """Return the name of a project. Raises `InvalidInput` for one that does not exist."""
        return None if name is None else (await runtime.project_of(self._core.runtime, name, (), None)).name
