"""What an agent says about its own run, read from its last message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.execution import AgentResult
from aura_engine.agent_results import ASKED, read_result
from aura_executors import ExecutorRegistry

WHOLE = {"proposal": "Use a lock", "confidence": 0.75, "requires_approval": False, "error": None}
READ = AgentResult(proposal="Use a lock", confidence=0.75, requires_approval=False)


@pytest.mark.parametrize(
    "message",
    [
        json.dumps(WHOLE),
        f"I am done.\n\n```json\n{json.dumps(WHOLE, indent=2)}\n```\n",
        f"As asked: {json.dumps(WHOLE)} Anything else?",
        f'It was {{"proposal": "x", "confidence": 1}} before. {json.dumps({**WHOLE, "files": [{"a": 1}]})}',
    ],
)
def test_the_last_object_counts_whatever_stands_around_it(message):
    assert read_result(message) == READ


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        ({"proposal": 7, "confidence": "high", "requires_approval": "no", "error": ""}, AgentResult()),
        ({"confidence": 1.5, "error": "no access"}, AgentResult(error="no access")),
        ({"confidence": True, "requires_approval": True}, AgentResult(requires_approval=True)),
        ({"confidence": 0, "proposal": " a\0b \ud800 "}, AgentResult(confidence=0.0, proposal="ab ?")),
    ],
)
def test_what_is_malformed_is_unknown(given_, read):
    assert read_result(json.dumps(given_)) == read


@pytest.mark.parametrize(
    "message",
    ["", "All done.", '{"confidence": 0.5', '{"name": "x", "version": 1}', '[{"a": 1}]', "{" * 5000, '{"error": NaN}'],
)
def test_other_words_say_nothing(message):
    assert read_result(message) is None


def test_a_number_that_is_none_is_unknown():
    assert read_result('{"confidence": NaN, "error": null}') == AgentResult()
    assert read_result('{"confidence": 1e999, "error": null}') == AgentResult()


@given(st.text(), st.text())
def test_any_message_is_read(before, after):
    read_result(before + after)
    assert read_result(f"{before}\n{json.dumps(WHOLE)}") == READ


def test_all_agents_are_asked_but_those_that_run_a_command():
    assert set(ExecutorRegistry().names()) - {"custom", "scripted"} == ASKED


INNER = {"requires_approval": False, "confidence": 1}


@pytest.mark.parametrize(
    ("message", "asks"),
    [
        (json.dumps({**WHOLE, "requires_approval": True, "checks": INNER}), True),
        (json.dumps({"report": {**WHOLE, "requires_approval": True}, "checks": INNER}), None),
        (json.dumps({**WHOLE, "requires_approval": True, "checks": INNER})[:-1] + ",}", None),
        ('{"confidence": 1, "requires_approval": true, "requires_approval": false}', None),
        (json.dumps(WHOLE) + "{" * 60_000 + json.dumps({**WHOLE, "requires_approval": True}), True),
    ],
)
def test_what_stands_inside_of_a_result_never_replaces_it(message, asks):
    result = read_result(message)
    assert (result and result.requires_approval) is asks
