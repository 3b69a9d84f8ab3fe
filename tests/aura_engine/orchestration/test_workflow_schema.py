"""The published JSON Schema and the reader agree, as a validator of JSON Schema that is not AURA's sees it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from test_definition_file import BAD

from aura_engine.orchestration.definition_file import YAML_DEPTH, read_definition
from aura_engine.orchestration.definition_text import definition_text
from aura_engine.orchestration.starters import starter_names, starter_text
from aura_engine.yaml_document import read_yaml
from workflow_strategies import definitions

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/workflow.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

WHOLE = {
    # Of whole files
    "an input that is not a schema",
    "an input of an unknown type",
    "an input that templates cannot read",
    "a blank name",
    "a secret",
    "an id twice",
    "an unknown dependency",
    "a dependency in another block",
    "steps that wait for one another",
    "an empty list of steps",
    # Of keys that belong together
    "n_of without n",
    "n out of reach",
    "a join without dependencies",
    "more people than there are",
    "a wait for two",
    "a wait for nothing",
    "a retry of the end",
    "a compensation that undoes nothing",
    "a version that is not a number",
    "a time below zero",
    # Of YAML alone
    "a key twice",
    "an anchor and its alias",
    "a tag",
    "two documents",
    "a template without quotes",
}
"""What a JSON Schema does not say."""


def data_of(text):
    return read_yaml(text.encode(), "w.yaml", depth=YAML_DEPTH).data


def test_it_is_a_json_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", starter_names())
def test_files_to_begin_with_fit_it(name):
    assert list(VALIDATOR.iter_errors(data_of(starter_text(name)))) == []


@settings(max_examples=20)
@given(definitions())
def test_every_definition_fits_it(definition):
    assert list(VALIDATOR.iter_errors(data_of(definition_text(definition)))) == []


@pytest.mark.parametrize("name", sorted(BAD.keys() - WHOLE))
def test_what_the_reader_says_of_a_key_the_schema_says_too(name):
    assert not VALIDATOR.is_valid(data_of(BAD[name][0]))


def test_what_only_the_reader_says_is_listed():
    for name in WHOLE:
        assert read_definition(BAD[name][0].encode(), "w.yaml").faults


def test_each_key_is_explained():
    for name, kind in SCHEMA["$defs"].items():
        for key, schema in kind.get("properties", {}).items():
            assert name == "step" or schema["description"], f"{name}.{key}"
