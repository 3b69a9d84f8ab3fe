"""Which type of agent a task is for: the rules of ``agent-types.toml``."""

import pytest

from aura_contracts.errors import InvalidInput
from aura_engine.agent_types import AgentTypes, parse

RULES = parse(
    b'default = "developer"\n[labels]\nmigration = "database"\nci = "devops"\n[projects]\nshop = "tester"\n', "file"
)


@pytest.mark.parametrize(
    ("given", "labels", "project", "wanted", "reason"),
    [
        ("reviewer", ["migration"], "shop", "reviewer", "it names the type"),
        (None, ["other", "ci", "migration"], "shop", "devops", "rule for the label ci"),
        (None, ["other"], "shop", "tester", "rule for the project shop"),
        (None, [], "other", "developer", "default of agent-types.toml"),
    ],
)
def test_the_field_wins_over_labels_and_these_over_the_project(given, labels, project, wanted, reason):
    assert RULES.choose(given, labels, project) == (wanted, reason)


def test_without_rules_any_agent_will_do():
    assert AgentTypes().choose(None, ["ci"], "shop") == (None, "default: any type")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("default = 7", "file: default"),
        ('default = "Not A Type"', "file: default"),
        ("[labels]\nci = []", "file: labels.ci"),
        ("labels = 1", "file: labels"),
        ("[lables]\nci = 'devops'", "file: lables"),
        ("[", "file"),
        ("\xff", "file"),
    ],
)
def test_an_invalid_file_is_refused_with_the_place(text, place):
    with pytest.raises(InvalidInput) as refused:
        parse(text.encode("latin-1"), "file")
    assert refused.value.field == place
