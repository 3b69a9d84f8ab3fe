"""Decisions about stored definitions of workflows.

Who may do what: humans and AURA itself. An agent does not define what other agents are started for."""

from aura_contracts.workflow_definition import (
    WORKFLOW_DEFINITION,
    DefinitionCommandRefused,
    DefinitionCreated,
    DefinitionRestored,
    DefinitionRetired,
    DefinitionRevised,
    RecordDefinitionRefusal,
    RestoreDefinition,
    RetireDefinition,
    SaveDefinition,
    StoredDefinition,
    definition_id,
)
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    RuleBroken,
    becomes,
    no_agent,
    only_system,
)
from aura_engine.decisions.workflow_rules import require_correct_definition

_no_agent = no_agent("agents do not define workflows")


def _save(state: StoredDefinition | None, command: SaveDefinition, _context: Context) -> Events:
    definition = command.definition
    ident, derived = command.workflow_definition_id, definition_id(definition.name)
    if ident != derived or (state is not None and state.name != definition.name):
        raise RuleBroken("definition_id", f"the id of the definition {definition.name!r} is {derived}", "use that id")
    require_correct_definition(definition)
    current = 0 if state is None else state.revision
    if command.based_on not in {None, current}:
        reason = f"the change is based on revision {command.based_on}, the newest one is {current}"
        raise RuleBroken("stale_revision", reason, "look at the newest revision first")
    if state is None:
        return [DefinitionCreated(workflow_definition_id=ident, definition=definition)]
    if definition == state.definition:
        return []
    return [DefinitionRevised(revision=state.revision + 1, definition=definition)]


WORKFLOW_DEFINITION_DECIDER = Decider(
    WORKFLOW_DEFINITION,
    {
        SaveDefinition: (_no_agent, _save),
        RetireDefinition: (_no_agent, becomes(DefinitionRetired)),
        RestoreDefinition: (_no_agent, becomes(DefinitionRestored)),
        RecordDefinitionRefusal: (only_system("AURA records refusals"), becomes(DefinitionCommandRefused)),
    },
)
