"""Library: the stored definitions, as workflows refer to them.

A workflow keeps what it was started from, and so do the workflows that it starts: when it starts, each name that its
definition refers to, or that one of those refers to, is pinned to the revision that is the newest then.
"""

from collections.abc import Mapping

import attrs
import msgspec

from aura_contracts.errors import CyclicDefinitions, InvalidInput, UnknownDefinition
from aura_contracts.workflow.values import WorkflowDefinition
from aura_contracts.workflow_definition import (
    WORKFLOW_DEFINITION,
    DefinitionCreated,
    DefinitionReference,
    DefinitionRevised,
    DefinitionStatus,
    StoredDefinition,
    definition_id,
    parse_reference,
    references_of,
)
from aura_engine.unit_of_work import CommandBus

CALL_LIMIT = 100
"""Revisions of definitions that one workflow may start, directly and through others."""


class Revision(msgspec.Struct, frozen=True):
    """A revision of a stored definition."""

    name: str
    revision: int
    definition: WorkflowDefinition

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}"


@attrs.frozen
class Library:
    """Reads stored definitions."""

    _bus: CommandBus

    async def find(self, text: str, field: str = "workflow") -> Revision:
        """Return what ``build`` or ``build@3`` refers to, to start it. Raises `UnknownDefinition` naming `field`."""
        reference = parse_reference(text, field)
        stored = await self._stored(reference, field)
        if stored.status is DefinitionStatus.RETIRED:
            reason = f"the definition {stored.name!r} was retired"
            raise UnknownDefinition(field=field, name=str(reference), reason=reason)
        return await self._revision(stored, reference.revision)

    async def pinned(self, text: str, pins: Mapping[str, str], field: str = "workflow") -> Revision:
        """Return what a step of a running workflow refers to, with the `pins` of that, even if it was retired since."""
        reference = parse_reference(pins.get(text, text), field)
        return await self._revision(await self._stored(reference, field), reference.revision)

    async def _stored(self, reference: DefinitionReference, field: str) -> StoredDefinition:
        stored = await self._bus.fetch(WORKFLOW_DEFINITION, definition_id(reference.name))
        if stored is not None and (reference.revision or 1) <= stored.revision:
            return stored
        if stored is None:
            reason = f"there is no definition {reference.name!r}"
        else:
            reason = f"the definition {reference.name!r} has revisions 1 to {stored.revision}, not {reference.revision}"
        raise UnknownDefinition(field=field, name=str(reference), reason=reason)

    async def _revision(self, stored: StoredDefinition, revision: int | None) -> Revision:
        if revision in {None, stored.revision}:
            return Revision(stored.name, stored.revision, stored.definition)
        assert revision is not None, "the newest was returned"
        return Revision(stored.name, revision, await self._earlier(stored, revision))

    async def _earlier(self, stored: StoredDefinition, revision: int) -> WorkflowDefinition:
        for fact in await self._bus.log.facts(stored.id):
            match fact.event:
                case DefinitionCreated(definition=definition) if revision == 1:
                    return definition
                case DefinitionRevised(revision=number, definition=definition) if number == revision:
                    return definition
        raise AssertionError("revisions are counted without gaps")

    async def pins(self, definition: WorkflowDefinition, revision: int | None = None) -> dict[str, str]:
        """Return what a definition refers to, itself and through others: as it is written -> its revision, ``build@3``.

        `revision` is that of the definition, if it is stored. Raises `UnknownDefinition`, `CyclicDefinitions`, and
        `InvalidInput` for more than `CALL_LIMIT`.
        """
        pins: dict[str, str] = {}
        await self._collect(definition, (DefinitionReference(definition.name, revision),), pins, {})
        return pins

    async def _collect(
        self,
        definition: WorkflowDefinition,
        path: tuple[DefinitionReference, ...],
        pins: dict[str, str],
        seen: dict[DefinitionReference, None],
    ) -> None:
        """Add what `definition` refers to; `path` leads to it."""
        for reference in references_of(definition):
            text = str(reference)
            field = f"workflow {text}"
            circle = [number for number, one in enumerate(path) if _is_meant(reference, one)]
            if circle:
                raise CyclicDefinitions(field=field, path=(*map(str, path[circle[0] :]), text))
            found = await (self.pinned(text, pins, field) if text in pins else self.find(text, field))
            called = DefinitionReference(found.name, found.revision)
            pins[text] = str(called)
            if called in seen:
                continue
            seen[called] = None
            if len(seen) > CALL_LIMIT:
                reason = f"it would start more than {CALL_LIMIT} definitions"
                raise InvalidInput(field=field, reason=reason, remedy="split it")
            await self._collect(found.definition, (*path, called), pins, seen)


def _is_meant(reference: DefinitionReference, started: DefinitionReference) -> bool:
    """Whether a reference leads back to what is started; without a revision, to any revision of it."""
    return reference.name == started.name and reference.revision in {None, started.revision}
