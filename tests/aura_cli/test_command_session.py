"""``aura session``: what agents can be gone on with."""

import json

import pytest

from command_line import call_aura


def run(*steps):
    """Run an agent that names its sessions."""
    words = ("run", "--executor", "scripted", "--prompt", "Say more", "--approval", "auto", "--fresh")
    answer = call_aura(*words, "--option", f"steps={json.dumps(steps)}")
    assert answer.code == 0, answer.err


@pytest.mark.deep
def test_sessions_are_listed_by_their_newest_run(place):
    run({"session": "first-1"}, {"say": "one"})
    run({"session": "second-1"}, {"say": "two"})
    run({"session": "first-1"}, {"say": "three"})
    listed = call_aura("session", "list", "--json").objects
    assert [(row["id"], row["status"], row["executor"]) for row in listed] == [
        ("second-1", "Done", "scripted"),
        ("first-1", "Done", "scripted"),
    ]
    assert call_aura("session", "latest", "--json").objects == listed[1:]
    assert call_aura("session", "show", "sec", "--json").objects == listed[:1]
    text = call_aura("session", "show", "second-1")
    assert text.out.startswith("session second-1\n")
    assert "--session second-1" in text.err
    assert call_aura("session", "list", "--executor", "claude", "--json").out == ""


@pytest.mark.deep
def test_sessions_that_are_not_there(place):
    run({"session": "one-1"})
    run({"session": "one-2"})
    for words, code in (
        (("show", "two"), "not_found"),
        (("show", "one"), "ambiguous_id"),
        (("latest", "--executor", "claude"), "not_found"),
    ):
        answer = call_aura("session", *words, "--json")
        assert (answer.code, answer.error["code"]) == (1, code)
        assert answer.error["remedy"]
