"""Errors over the wire: the same error comes out, by its code; what is not known keeps what came."""

import typing

import msgspec
import pytest

from aura_contracts import errors
from aura_contracts.errors import (
    AgentFileProblem,
    AuraError,
    DefinitionFault,
    DirtyWorktree,
    Fault,
    LocalProtocolError,
    RefChanged,
    RemoteError,
    RemoteProtocolError,
    RuleViolated,
    WorkspaceError,
)
from aura_worker_protocol.errors import error_object, error_of, storable_text
from aura_worker_protocol.frames import ErrorObject

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AuraError)]
FACTS = {
    tuple[AgentFileProblem, ...]: AgentFileProblem("ada.md", 3, "type", "is unknown", "name another"),
    tuple[DefinitionFault, ...]: DefinitionFault(("steps", 0, "when"), "unknown", "what is that?", ("steps", 1)),
    tuple[Fault, ...]: Fault(file="policy.yaml", line=2, column=7, code="unknown", message="what is that?"),
}
VALUES = {str: "words", int: 4711, float: 47.5, float | None: 47.5, dict: {"a": [1]}, tuple: ("one", "two")}


def sample(kind):
    """Return an error of this class."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: value_of(hints[name]) for name in kind.fact_names})


def value_of(hint):
    """Return a value of this type."""
    if hint in FACTS:
        return (FACTS[hint],) * 2
    return VALUES.get(getattr(hint, "__origin__", hint), "words")


def sent(error):
    """Return what comes out at the other side."""
    return error_of(msgspec.json.decode(msgspec.json.encode(error_object(error)), type=ErrorObject))


TURNED = {LocalProtocolError: RemoteProtocolError, RemoteProtocolError: LocalProtocolError}


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not RemoteError and kind not in TURNED])
def test_every_error_comes_out_as_it_was(kind):
    error = sample(kind)
    received = sent(error)
    assert type(received) is kind
    assert received.facts() == error.facts()
    assert received.remedy == error.remedy
    assert str(received) == str(error)


@pytest.mark.parametrize(("kind", "seen"), TURNED.items())
def test_blame_turns_round_on_the_way(kind, seen):
    received = sent(kind(reason="out of order", remedy="upgrade"))
    assert type(received) is seen
    assert (received.reason, received.remedy) == ("out of order", "upgrade")


def test_values_that_are_none_stay_none():
    received = sent(RefChanged(repository="r", ref="x", expected=None, actual=None))
    assert isinstance(received, RefChanged)
    assert received.expected is None


def test_an_error_with_an_unknown_code_keeps_its_facts():
    data = {"code": "from_the_future", "facts": {"colour": "blue"}, "remedy": "wait"}
    received = error_of(ErrorObject(code=-32000, message="it is too blue", data=data))
    assert type(received) is RemoteError
    assert (received.remote_code, received.reason, received.details) == (
        "from_the_future",
        "it is too blue",
        {"colour": "blue"},
    )
    assert str(received) == "it is too blue; wait"
    passed_on = sent(received)
    assert passed_on.facts() == received.facts()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"code": 7},
        {"code": "rule_violated"},
        {"code": "rule_violated", "facts": {"aggregate": 7}},
        {"code": "rule_violated", "facts": [1]},
        {"code": "dirty_worktree", "facts": {"repository": "r", "worktree": "w", "paths": "x"}},
        {"code": "dirty_worktree", "facts": {"repository": "r", "worktree": "w"}, "remedy": {}},
        {"code": "internal", "facts": {"__class__": "os.system"}},
    ],
)
def test_facts_that_do_not_fit_make_a_remote_error(data):
    received = error_of(ErrorObject(code=-32000, message="the message", data=data))
    assert type(received) is RemoteError
    assert "the message" in str(received)


def test_facts_that_a_newer_version_added_are_kept_as_notes():
    object_ = error_object(sample(RuleViolated))
    object_.data["facts"]["colour"] = "blue"
    received = error_of(object_)
    assert type(received) is RuleViolated
    assert received.__notes__ == ["colour: 'blue'"]


def test_errors_of_plugins_come_out_as_they_were():
    class PluginBroken(AuraError, code="plugin_broken"):
        parts: tuple[str, ...]

    received = sent(PluginBroken(parts=("a", "b")))
    assert type(received) is PluginBroken
    assert received.parts == ("a", "b")


def test_a_program_error_is_said_without_being_raised_again():
    received = sent(KeyError("x"))
    assert type(received) is RemoteError
    assert received.remote_code == "internal"
    assert "KeyError" in str(received)


def test_what_is_no_text_is_escaped():
    received = sent(DirtyWorktree(repository="r", worktree="w", paths=("caf\udce9", "plain", "\ud800")))
    assert isinstance(received, DirtyWorktree)
    assert received.paths == ("caf\\xe9", "plain", "\\ud800")
    assert storable_text("caf\u00e9") == "caf\u00e9"
    lone = WorkspaceError(workspace_id="w", path="/\udcff", reason="gone", remedy="\udc80")
    assert sent(lone).facts()["path"] == "/\\xff"
