"""Stored definitions: workflows that are started by name, in revisions.

A definition's id is derived from its name (`definition_id`). Each name therefore has exactly one stream, and two people
who save one at once find out. It also means that a definition cannot be renamed, and that a retired one can be
restored. A revision never changes: a workflow that was started from it keeps it, whatever is saved afterwards.

A definition refers to another one as ``build``, its newest revision, or as ``build@3``; see `parse_reference`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID, uuid5

import msgspec

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
from aura_contracts.errors import InvalidInput
from aura_contracts.events import CommandRefusal, Event
from aura_contracts.ids import DefinitionId
from aura_contracts.workflow.values import SubWorkflowStep, WorkflowDefinition


class DefinitionStatus(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"
    """No workflow starts from it; those that did continue."""


_NAMESPACE = UUID("0c7c5d7e-0f0b-5d53-9a53-7a4f0a1f5b53")
"""The UUID namespace of definition ids; never changed."""

_REFERENCE = re.compile(r"(?P<name>[^@]+)(?:@(?P<revision>[1-9][0-9]{0,8}))?")


def definition_id(name: str) -> DefinitionId:
    """Return the id of the definition of this name (UUIDv5, RFC 9562, section 5.5)."""
    return DefinitionId(str(uuid5(_NAMESPACE, name)))


class DefinitionReference(msgspec.Struct, frozen=True):
    """The name of a stored definition, and the revision that is meant."""

    name: str
    revision: int | None = None
    """None for the newest."""

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def parse_reference(text: str, field: str = "workflow") -> DefinitionReference:
    """Return what ``build`` or ``build@3`` refers to. Raises `InvalidInput` naming `field`."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        remedy = "name a definition, as build, or a revision of it, as build@3"
        raise InvalidInput(field=field, reason=f"{text!r} names no definition", remedy=remedy)
    revision = found["revision"]
    return DefinitionReference(found["name"], None if revision is None else int(revision))


def references_of(definition: WorkflowDefinition) -> tuple[DefinitionReference, ...]:
    """Return what a definition refers to, each once, in its order.

    Raises `InvalidInput`, naming the step, for what names no definition.
    """
    called = {step.id: step.config.workflow for step in definition.walk() if isinstance(step.config, SubWorkflowStep)}
    return tuple(dict.fromkeys(parse_reference(text, f"{step}.workflow") for step, text in called.items()))


# --- Events -----------------------------------------------------------------------------------------------------------


class DefinitionCreated(Event, frozen=True, kw_only=True):
    """A definition was stored under a new name, as revision 1."""

    topic = "workflow_definition.created"
    workflow_definition_id: DefinitionId
    definition: WorkflowDefinition


class DefinitionRevised(Event, frozen=True, kw_only=True):
    """Another revision of a definition was stored."""

    topic = "workflow_definition.revised"
    revision: int
    definition: WorkflowDefinition


class DefinitionRetired(Event, frozen=True, kw_only=True):
    """The definition was retired: no workflow starts from it."""

    topic = "workflow_definition.retired"
    reason: str = ""


class DefinitionRestored(Event, frozen=True, kw_only=True):
    """The retired definition was restored unchanged."""

    topic = "workflow_definition.restored"


class DefinitionCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "workflow_definition.command_refused"
    refusal: CommandRefusal


# --- State ------------------------------------------------------------------------------------------------------------


class StoredDefinition(State, frozen=True, kw_only=True):
    """The state of a stored definition: its newest revision."""

    id: DefinitionId
    status: DefinitionStatus
    name: str
    revision: int
    """Counts from 1."""
    definition: WorkflowDefinition
    created_by: Actor
    created_at: datetime
    revised_by: Actor
    revised_at: datetime


# --- Commands ---------------------------------------------------------------------------------------------------------


class SaveDefinition(Command[StoredDefinition], frozen=True, kw_only=True):
    """Store a definition under its name; with `based_on`, only if that is still the newest revision.

    One that equals the newest revision changes nothing. `workflow_definition_id` must be the one that `definition_id`
    derives from the name.
    """

    emits = (DefinitionCreated, DefinitionRevised)
    workflow_definition_id: DefinitionId
    definition: WorkflowDefinition
    based_on: int | None = None


class RetireDefinition(Command[StoredDefinition], frozen=True, kw_only=True):
    """Retire the definition."""

    emits = (DefinitionRetired,)
    reason: str = ""


class RestoreDefinition(Command[StoredDefinition], frozen=True, kw_only=True):
    """Restore the retired definition."""

    emits = (DefinitionRestored,)


class RecordDefinitionRefusal(Command[StoredDefinition], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (DefinitionCommandRefused,)
    refusal: CommandRefusal


# --- Table ------------------------------------------------------------------------------------------------------------

_S = DefinitionStatus

_TABLE: Table = MappingProxyType(
    {
        None: {DefinitionCreated: _S.ACTIVE},
        _S.ACTIVE: {
            DefinitionRevised: _S.ACTIVE,
            DefinitionRetired: _S.RETIRED,
        },
        _S.RETIRED: {
            DefinitionRestored: _S.ACTIVE,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: DefinitionCreated, fact: HappenedFact, status: DefinitionStatus) -> StoredDefinition:
    return StoredDefinition(
        id=event.workflow_definition_id,
        status=status,
        name=event.definition.name,
        revision=1,
        definition=event.definition,
        created_by=fact.actor,
        created_at=fact.time,
        revised_by=fact.actor,
        revised_at=fact.time,
    )


_EVOLVERS: Mapping[type[Event], Evolve[StoredDefinition]] = MappingProxyType(
    {
        DefinitionCreated: _created,
        DefinitionRevised: sets("revision", "definition", revised_by=ACTOR, revised_at=TIME),
        DefinitionRetired: status_only,
        DefinitionRestored: status_only,
        DefinitionCommandRefused: status_only,
    }
)

WORKFLOW_DEFINITION = Aggregate(
    name="workflow_definition",
    state=StoredDefinition,
    statuses=DefinitionStatus,
    table=in_every_status(_TABLE, DefinitionCommandRefused, DefinitionStatus),
    evolvers=_EVOLVERS,
)
