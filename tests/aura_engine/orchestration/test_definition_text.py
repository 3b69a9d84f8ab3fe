"""Definitions as text: what is written reads back as it was."""

import json

import msgspec
import pytest
from hypothesis import given, settings

from aura_contracts.workflow.values import StepDefinition, WaitStep, WorkflowDefinition
from aura_engine.decisions.workflow_rules import definition_faults
from aura_engine.orchestration.definition_file import YAML_DEPTH, read_definition
from aura_engine.orchestration.definition_text import definition_text
from aura_engine.yaml_document import read_yaml
from workflow_strategies import HARD_TEXTS, definitions


def read_back(text, file="w.yaml"):
    read = read_definition(text.encode(), file)
    assert [fault for fault in read.faults if fault.severity == "error"] == [], text
    return read.definition


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_a_text_stays_the_same_as_a_value_a_key_and_in_a_list(text):
    step = StepDefinition(id="a", config=WaitStep(seconds=1))
    context = {"a": {text: text}, "b": [text]}
    definition = WorkflowDefinition(name="x", description=text, context=context, steps=(step,))
    assert read_back(definition_text(definition)) == definition


@settings(max_examples=20)
@given(definitions())
def test_a_definition_reads_back_from_its_text_from_json_and_from_the_log(definition):
    assert definition_faults(definition) == ()
    text = definition_text(definition)
    assert read_back(text) == definition
    data = read_yaml(text.encode(), "w.yaml", depth=YAML_DEPTH).data
    for written in (json.dumps(data), json.dumps(data, indent="\t")):
        assert read_back(written, "w.json") == definition
    assert msgspec.json.decode(msgspec.json.encode(definition), type=WorkflowDefinition) == definition


def test_several_lines_and_short_lists_are_written_for_people():
    step = StepDefinition(id="b", config=WaitStep(until="{{ a }}\nb\n"), dependencies=("a",))
    first = StepDefinition(id="a", config=WaitStep(seconds=90.0))
    assert definition_text(WorkflowDefinition(name="x", steps=(first, step))) == (
        "name: x\nsteps:\n"
        "  - id: a\n    type: wait\n    duration: 90\n"
        "  - id: b\n    type: wait\n    dependencies: [a]\n    until: |\n      {{ a }}\n      b\n"
    )
