"""Prompt templates: the texts that prompts are made from, in four scopes (specification, "prompt templates").

    workspace  ►  task  ►  project  ►  global  ►  built-in          the first scope that has the name wins

A template that includes its own name gets that of the next scope, so each may add to what the wider one says.

A template's id is derived from its scope, scope key and name (`template_id`). Each place therefore has exactly one
stream, and two people who define the same template at once find out. It also means that templates cannot be renamed or
moved, and that a retired template can be restored. Rendering is the engine's job.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import asdict

from aura_contracts.actors import Actor
from aura_contracts.aggregate import (
    ACTOR,
    TIME,
    Aggregate,
    Command,
    Evolve,
    HappenedFact,
    State,
    Table,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.events import CommandRefusal, Event
from aura_contracts.ids import TaskId, TemplateId, WorkspaceId


class TemplateStatus(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"


class TemplateScope(StrEnum):
    """Where a template applies, the narrowest first; this is the order of precedence."""

    WORKSPACE = "workspace"
    TASK = "task"
    PROJECT = "project"
    GLOBAL = "global"


_NAMESPACE = UUID("6f6c2b1e-52a5-5d0e-9d0b-0c6a3c1f7a10")
"""The UUID namespace of template ids; never changed."""


def template_id(scope: TemplateScope, scope_key: str | None, name: str) -> TemplateId:
    """Return the id of the template with this name in this place (UUIDv5, RFC 9562, section 5.5).

    Lengths separate the parts unambiguously, since a key may contain any character.
    """
    key = scope_key or ""
    return TemplateId(str(uuid5(_NAMESPACE, f"{scope.value}:{len(key)}:{key}:{name}")))


class TemplateSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prompt template as its author wrote it."""

    name: str
    scope: TemplateScope
    scope_key: str | None = None
    """The project's name, or the id of the task or workspace; None for the global scope."""
    text: str
    variables: tuple[str, ...] = ()
    """The names that the text may use, as declared by its author."""


# --- Events -----------------------------------------------------------------------------------------------------------


class TemplateDefined(Event, frozen=True, kw_only=True):
    """A prompt template was created, as revision 1."""

    topic = "template.defined"
    template_id: TemplateId
    spec: TemplateSpec


class TemplateRevised(Event, frozen=True, kw_only=True):
    """The text or the variables of a template were replaced."""

    topic = "template.revised"
    revision: int
    text: str
    variables: tuple[str, ...] = ()


class TemplateRetired(Event, frozen=True, kw_only=True):
    """The template was retired; that of the next scope, or the built-in one, applies."""

    topic = "template.retired"
    reason: str = ""


class TemplateRestored(Event, frozen=True, kw_only=True):
    """The retired template was restored unchanged."""

    topic = "template.restored"


# --- State ------------------------------------------------------------------------------------------------------------


class PromptTemplate(TemplateSpec, State, frozen=True, kw_only=True):
    """The state of a template."""

    id: TemplateId
    status: TemplateStatus
    revision: int
    """Counts from 1."""
    created_by: Actor
    created_at: datetime
    revised_by: Actor
    revised_at: datetime


def layers(
    templates: Iterable[PromptTemplate],
    name: str,
    *,
    project: str | None = None,
    task_id: TaskId | None = None,
    workspace_id: WorkspaceId | None = None,
) -> tuple[PromptTemplate, ...]:
    """Return the active templates with this name that apply here, that of the narrowest scope first.

    Scopes whose key is None are skipped. The built-in template follows after the last one.
    """
    keys = {TemplateScope.WORKSPACE: workspace_id, TemplateScope.TASK: task_id, TemplateScope.PROJECT: project}
    found = {
        template.scope: template
        for template in templates
        if template.name == name
        and template.status is TemplateStatus.ACTIVE
        and (
            template.scope is TemplateScope.GLOBAL
            or (template.scope_key is not None and template.scope_key == keys[template.scope])
        )
    }
    return tuple(found[scope] for scope in TemplateScope if scope in found)


# --- Commands ---------------------------------------------------------------------------------------------------------


class DefineTemplate(Command[PromptTemplate], frozen=True, kw_only=True):
    """Create a prompt template. `template_id` must be the one that `template_id()` derives from the other fields."""

    emits = (TemplateDefined,)
    template_id: TemplateId
    spec: TemplateSpec


class ReviseTemplate(Command[PromptTemplate], frozen=True, kw_only=True):
    """Replace text and variables; with `based_on`, only if that is still the current revision."""

    emits = (TemplateRevised,)
    text: str
    variables: tuple[str, ...] = ()
    based_on: int | None = None


class RetireTemplate(Command[PromptTemplate], frozen=True, kw_only=True):
    """Retire the template."""

    emits = (TemplateRetired,)
    reason: str = ""


class RestoreTemplate(Command[PromptTemplate], frozen=True, kw_only=True):
    """Restore the retired template."""

    emits = (TemplateRestored,)


class TemplateCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "template.command_refused"
    refusal: CommandRefusal


class RecordTemplateRefusal(Command[PromptTemplate], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (TemplateCommandRefused,)
    refusal: CommandRefusal


# --- Table ------------------------------------------------------------------------------------------------------------

_S = TemplateStatus

_TABLE: Table = MappingProxyType(
    {
        None: {TemplateDefined: _S.ACTIVE},
        _S.ACTIVE: {
            TemplateRevised: _S.ACTIVE,
            TemplateRetired: _S.RETIRED,
        },
        _S.RETIRED: {
            TemplateRestored: _S.ACTIVE,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _defined(_: None, event: TemplateDefined, fact: HappenedFact, status: TemplateStatus) -> PromptTemplate:
    return PromptTemplate(
        id=event.template_id,
        status=status,
        revision=1,
        created_by=fact.actor,
        created_at=fact.time,
        revised_by=fact.actor,
        revised_at=fact.time,
        **asdict(event.spec),
    )


_EVOLVERS: Mapping[type[Event], Evolve[PromptTemplate]] = MappingProxyType(
    {
        TemplateDefined: _defined,
        TemplateRevised: sets("revision", "text", "variables", revised_by=ACTOR, revised_at=TIME),
        TemplateRetired: status_only,
        TemplateRestored: status_only,
        TemplateCommandRefused: status_only,
    }
)

PROMPT_TEMPLATE = Aggregate(
    name="template",
    state=PromptTemplate,
    statuses=TemplateStatus,
    table=in_every_status(_TABLE, TemplateCommandRefused, TemplateStatus),
    evolvers=_EVOLVERS,
)
