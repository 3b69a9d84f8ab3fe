"""The error tree: drawn as it is, told apart by code, readable, and as good after a copy as before."""

import copy
import inspect
import pickle
import re
import typing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given

from aura_contracts import errors
from aura_contracts.errors import AuraError, InvalidInput, NaiveDatetime, RuleViolated, VersionConflict, require_aware
from strategies import times

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AuraError)]

NOT_IN_MESSAGE = {
    ("ActorNotAllowed", "rule"),  # for programs; the reason says it in words
    ("TransitionRefused", "allowed_in"),
    ("QuestionWithdrawn", "status"),
    ("QuestionExpired", "status"),
    ("DeliveryFailed", "retry_after"),  # for programs; the log of the service says when
    ("DeliveryRefused", "retry_after"),
    ("InvalidId", "reason"),  # the message says it in other words
    ("EventTooLarge", "reason"),
    ("InvalidFile", "field"),  # its faults say more
    ("InvalidFile", "reason"),
    ("InvalidDefinition", "field"),
    ("InvalidDefinition", "reason"),
    ("UnknownDefinition", "name"),  # in the reason
    ("RuleViolated", "rule"),  # for programs; the reason says it to people
    ("LogDamaged", "store"),  # known to whoever opened it
    ("GitError", "repository"),  # the worktree or the path in it says more
    ("ProcessError", "token"),  # for programs
    ("WorkspaceError", "cleaned_up"),  # what is gone needs nobody's attention
    ("FrameTooLarge", "size"),  # in the reason
    ("FrameTooLarge", "limit"),
    ("UnknownMethod", "method"),
    ("RefChanged", "repository"),
    ("RemoteError", "remote_code"),  # for programs
    ("RemoteError", "details"),
    ("MissingName", "name"),  # in the reason
    ("MissingOutput", "source"),
    ("MissingOutput", "status"),
    ("ConditionNotBoolean", "kind"),
}


every_error = pytest.mark.parametrize("kind", CLASSES)


def sample(kind):
    """Return an error of this class with facts that can be found again in its text."""
    values = {str: lambda name: f"<{name}>", int: lambda _: 4711, float: lambda _: 47.5}
    hints = typing.get_type_hints(kind)
    return kind(
        **{
            name: values.get(hints[name], lambda name: (f"<{name}>",))(name)
            for name in kind.fact_names
            if name != "remedy"
        }
    )


def declares(kind, field):
    """Return the class that brought `field` into the tree."""
    return next(base for base in reversed(kind.__mro__) if field in inspect.get_annotations(base))


def drawn_tree():
    """Return child -> parent as drawn at the top of the module."""
    lines = [re.match(r"    ([│├└─ ]*)(\w+)", line) for line in errors.__doc__.splitlines()]
    parents, path = {}, []
    for depth, name in ((len(line[1]) // 4, line[2]) for line in lines if line):
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else None
    return parents


def test_the_tree_is_as_drawn():
    real = {kind.__name__: kind.__base__.__name__ for kind in CLASSES} | {"AuraError": None}
    assert drawn_tree() == real


def test_every_code_is_unique():
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes)


def test_each_has_a_code_and_a_meaning_of_its_own():
    assert [kind for kind in CLASSES if "code" not in vars(kind) or not vars(kind)["__doc__"]] == []


@every_error
def test_its_text_holds_its_facts(kind):
    error = sample(kind)
    for name, value in error.facts().items():
        if (declares(kind, name).__name__, name) in NOT_IN_MESSAGE or (kind.__name__, name) in NOT_IN_MESSAGE:
            continue
        if issubclass(kind, errors.CommandRefused) and name == "command":
            continue  # what somebody asked for, they know
        shown = value[0] if isinstance(value, tuple) else str(value)
        assert shown in error.message() or kind in (errors.CyclicParent, errors.CyclicDependency), (
            f"{name} is not in {error.message()!r}"
        )


@every_error
def test_its_text_ends_with_what_to_do(kind):
    error = sample(kind).replaced(remedy="turn it off and on again")
    assert str(error) == f"{error.message()}; turn it off and on again"
    assert str(error.replaced(remedy="")) == error.message()


@every_error
def test_its_message_continues_in_a_sentence_with_the_remedy(kind):
    error = sample(kind).replaced(remedy="turn it off and on again")
    assert ".;" not in str(error)
    assert kind.summary or kind.message is not AuraError.message or kind is AuraError


@every_error
def test_its_facts_are_for_programs(kind):
    facts = sample(kind).facts()
    assert "remedy" not in facts
    assert set(facts) == set(kind.fact_names) - {"remedy"}


@every_error
def test_it_survives_copying(kind):
    error = sample(kind).replaced(remedy="turn it off and on again")
    error.add_note("seen by alice")
    pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, 6)]
    for twin in (copy.copy(error), copy.deepcopy(error), *pickled):
        assert type(twin) is kind
        assert twin is not error
        assert (twin.facts(), twin.remedy, str(twin)) == (error.facts(), error.remedy, str(error))
        assert twin.__notes__ == ["seen by alice"]


def test_a_family_is_caught_by_its_head():
    with pytest.raises(InvalidInput):
        raise NaiveDatetime(field="deadline")


def test_errors_are_told_apart_by_identity():
    facts = {"stream_id": "s", "expected": 1, "actual": 2}
    assert VersionConflict(**facts) != VersionConflict(**facts)
    assert len({VersionConflict(**facts), VersionConflict(**facts)}) == 2


def test_facts_are_given_by_name():
    with pytest.raises(TypeError):
        RuleViolated("task", "id", "CreateTask", "title", "too long")


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"field": "title"}, "needs reason"),
        ({"field": "title", "reason": "too long", "length": 7}, "does not have length"),
        ({"feild": "title", "reason": "too long"}, "does not have feild and needs field"),
    ],
)
def test_facts_are_those_declared(facts, problem):
    with pytest.raises(TypeError, match=f"^InvalidInput {problem}$"):
        InvalidInput(**facts)


def test_a_copy_has_the_same_facts():
    with pytest.raises(TypeError, match=r"^InvalidInput does not have feild$"):
        InvalidInput(field="title", reason="too long").replaced(feild="name")


@pytest.mark.parametrize("name", ["message", "facts", "code", "recovery", "summary", "args", "add_note"])
def test_a_fact_has_a_name_of_its_own(name):
    with pytest.raises(TypeError, match=rf"Slow\.{name} cannot be a fact"):
        type("Slow", (AuraError,), {"__annotations__": {name: str}}, code="slow")


@pytest.mark.parametrize("default", [{}, [], set()])
def test_a_default_that_errors_would_share_is_refused(default):
    with pytest.raises(TypeError, match=r"the default of Slow\.details is mutable"):
        type("Slow", (AuraError,), {"__annotations__": {"details": object}, "details": default}, code="slow")


@pytest.mark.parametrize("summary", ["{pth} took long", "{path} {remedies}", "{}", "{0}", "{path", "{path:{width}}"])
def test_a_message_names_only_facts(summary):
    with pytest.raises(TypeError, match=r"Slow\.summary must have facts in braces"):
        type("Slow", (AuraError,), {"__annotations__": {"path": str}, "summary": summary}, code="slow")


def test_a_message_formats_facts_as_any_string_does():
    class Slow(AuraError, code="slow"):
        summary = "{path.name!r} took {times[0]:.1f} s {{of ten}}"
        path: Path
        times: tuple[float, ...]

    assert str(Slow(path=Path("data/disk"), times=(1.25,))) == "'disk' took 1.2 s {of ten}"


@given(times())
def test_an_aware_time_is_let_through(time):
    assert require_aware(time, "deadline") is time


def test_a_naive_time_is_refused_by_the_name_of_its_field():
    with pytest.raises(NaiveDatetime, match="deadline: has no time zone; use an aware datetime"):
        require_aware(datetime(2026, 1, 4, tzinfo=UTC).replace(tzinfo=None), "deadline")
