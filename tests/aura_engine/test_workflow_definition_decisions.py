"""Stored definitions: each change is a revision, and an equal one is none."""

from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.errors import ActorNotAllowed, InvalidDefinition, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.workflow.values import AgentTaskStep, StepDefinition, SubWorkflowStep, WorkflowDefinition
from aura_contracts.workflow_definition import (
    WORKFLOW_DEFINITION,
    DefinitionStatus,
    RestoreDefinition,
    RetireDefinition,
    SaveDefinition,
    definition_id,
)
from aura_engine.decisions._decider import Context
from aura_engine.decisions.workflow_definition import WORKFLOW_DEFINITION_DECIDER

NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ALICE, BOB, AGENT = human("alice"), human("bob"), agent("0192f0c1-2d3e-7abc-8def-00000000000a")


def definition(name="build", text="Build it", **fields):
    steps = fields.pop("steps", (StepDefinition(id="code", config=AgentTaskStep(task_template=text)),))
    return WorkflowDefinition(name=name, steps=steps, **fields)


def save(text="Build it", based_on=None, **fields):
    saved = definition(text=text, **fields)
    ident = definition_id(saved.name)
    return SaveDefinition(workflow_definition_id=ident, definition=saved, based_on=based_on)


def decide(state, command, actor=ALICE, now=NOW):
    id_ = command.workflow_definition_id if state is None else state.id
    return WORKFLOW_DEFINITION_DECIDER.decide(id_, state, command, Context(actor=actor, now=now))


def after(state, *commands, actor=ALICE, now=NOW):
    """The state folded from the events of all commands, one after the other."""
    for command in commands:
        events = decide(state, command, actor, now).events
        state = WORKFLOW_DEFINITION.fold((Fact(event, now, actor, "", "") for event in events), state)
    return state


def refusal(error, state, command, actor=ALICE):
    with pytest.raises(error) as caught:
        decide(state, command, actor)
    return caught.value


def test_a_new_name_is_revision_one():
    state = after(None, save())
    assert (state.name, state.status, state.revision, state.created_by) == ("build", DefinitionStatus.ACTIVE, 1, ALICE)
    assert state.definition == definition()


def test_each_change_is_a_revision_with_its_author():
    later = NOW + timedelta(days=1)
    state = after(after(None, save()), save("Build it well"), actor=BOB, now=later)
    assert (state.revision, state.definition) == (2, definition(text="Build it well"))
    assert (state.created_by, state.created_at, state.revised_by, state.revised_at) == (ALICE, NOW, BOB, later)


def test_an_equal_definition_changes_nothing():
    state = after(None, save())
    assert decide(state, save(), BOB).events == ()
    assert after(state, save("other"), save()).revision == 3, "back to an earlier one is a change"


@pytest.mark.parametrize(("commands", "based_on"), [((), 1), ((save(),), 0), ((save(), save("other")), 1)])
def test_a_change_based_on_an_old_revision_is_refused(commands, based_on):
    state = after(None, *commands)
    error = refusal(RuleViolated, state, save("Bob's", based_on), BOB)
    assert error.rule == "stale_revision"
    assert after(state, save("Bob's", len(commands))).revision == len(commands) + 1


def test_a_name_has_one_stream():
    other = SaveDefinition(workflow_definition_id=definition_id("other"), definition=definition())
    assert refusal(RuleViolated, None, other).rule == "definition_id"
    assert refusal(RuleViolated, after(None, save(name="other")), save()).rule == "definition_id"


def test_an_incorrect_definition_is_not_stored():
    steps = (StepDefinition(id="inner", config=SubWorkflowStep(workflow="build@x"), dependencies=("none",)),)
    error = refusal(InvalidDefinition, None, save(steps=steps))
    assert [fault.path for fault in error.faults] == [("steps", 0, "dependencies", 0), ("steps", 0, "workflow")]
    refusal(InvalidDefinition, after(None, save()), save(steps=()))


def test_a_retired_one_is_revised_only_after_it_was_restored():
    state = after(None, save(), RetireDefinition(reason="replaced"))
    assert state.status is DefinitionStatus.RETIRED
    refusal(TransitionRefused, state, save("other"))
    refusal(TransitionRefused, state, RetireDefinition())
    restored = after(state, RestoreDefinition())
    assert (restored.status, restored.revision, restored.definition) == (DefinitionStatus.ACTIVE, 1, definition())


@pytest.mark.parametrize("command", [save("other"), RetireDefinition()])
def test_an_agent_defines_no_workflow(command):
    assert refusal(ActorNotAllowed, after(None, save()), command, AGENT).rule == "no_agent"
    assert decide(after(None, save()), command, system("engine")).events
