"""Stored definitions: their ids, and how they refer to one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import is_canonical_id
from aura_contracts.workflow.values import (
    AgentTaskStep,
    Case,
    ConditionalStep,
    StepDefinition,
    SubWorkflowStep,
    WorkflowDefinition,
)
from aura_contracts.workflow_definition import DefinitionReference, definition_id, parse_reference, references_of


def test_each_name_has_one_id_for_ever():
    assert definition_id("build") == "9050104c-3343-559a-a41e-36ebed8cf7be"


@given(st.text(max_size=50), st.text(max_size=50))
def test_ids_are_equal_exactly_if_names_are(one, other):
    assert is_canonical_id(definition_id(one))
    assert (definition_id(one) == definition_id(other)) is (one == other)


@given(st.text(st.characters(exclude_characters="@", exclude_categories=["Cs"]), min_size=1), st.integers(1, 10**9 - 1))
def test_a_reference_is_written_as_it_is_read(name, revision):
    for reference in (DefinitionReference(name), DefinitionReference(name, revision)):
        assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize("text", ["", "@", "@3", "build@", "build@0", "build@-1", "build@1.5", "build@newest", "a@1@2"])
def test_what_names_no_definition_is_refused(text):
    with pytest.raises(InvalidInput) as refusal:
        parse_reference(text, "steps.x.workflow")
    assert refusal.value.field == "steps.x.workflow"


def test_references_are_found_wherever_a_step_may_be():
    def calls(name, **fields):
        return StepDefinition(id=f"call-{name}", config=SubWorkflowStep(workflow=name), **fields)

    work = StepDefinition(
        id="work", config=AgentTaskStep(task_template="x"), handler=(calls("repair"),), compensation=calls("undo@2")
    )
    choice = StepDefinition(
        id="choice",
        config=ConditionalStep(cases=(Case(when="true", steps=(work,)),), otherwise=(calls("build"), calls("build@1"))),
    )
    definition = WorkflowDefinition(name="all", steps=(choice, calls("repair", dependencies=("choice",))))
    assert [str(one) for one in references_of(definition)] == ["repair", "undo@2", "build", "build@1"]
