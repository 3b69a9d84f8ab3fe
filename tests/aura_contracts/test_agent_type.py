"""Types of agents: those of the specification, and any other word."""

import msgspec
import pytest

from aura_contracts.errors import InvalidInput
from aura_contracts.task import AGENT_TYPE_LIMIT, AGENT_TYPES, TaskSpec, parse_agent_type


@pytest.mark.parametrize("word", [*AGENT_TYPES, "data-scientist", "qa2", "x" * AGENT_TYPE_LIMIT])
def test_a_word_is_a_type(word):
    spec = TaskSpec(title="t", agent_type=parse_agent_type(word))
    assert msgspec.json.decode(msgspec.json.encode(spec), type=TaskSpec) == spec


@pytest.mark.parametrize(
    "text", ["", " ", "Developer", "two words", "1st", "-x", "é", "x" * (AGENT_TYPE_LIMIT + 1), "a\n"]
)
def test_anything_else_is_refused_with_what_to_write(text):
    with pytest.raises(InvalidInput) as refusal:
        parse_agent_type(text, "agent_type")
    assert refusal.value.field == "agent_type"
    assert "developer" in refusal.value.remedy
