"""The files to begin with are right as they are."""

import pytest

from aura_contracts.errors import InvalidInput
from aura_engine.orchestration.definition_file import read_definition
from aura_engine.orchestration.definition_text import definition_text
from aura_engine.orchestration.starters import starter_names, starter_text


def test_there_is_one_for_each_usual_job():
    assert starter_names() == ("build-feature", "fix-bug", "refactor-code")


@pytest.mark.parametrize("name", starter_names())
def test_it_has_no_faults_says_what_it_takes_and_can_be_rewritten(name):
    definition = read_definition(starter_text(name).encode(), name).require(name)
    assert definition.name == name
    assert all(schema["description"] for schema in definition.inputs.values())
    assert read_definition(definition_text(definition).encode(), name).definition == definition


def test_an_unknown_one_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="there is no template 'x'; use one of build-feature, fix-bug"):
        starter_text("x")
