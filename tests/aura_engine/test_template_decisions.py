"""Prompt templates: who may write which, and what a template must be."""

from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.errors import ActorNotAllowed, AggregateExists, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.template import (
    PROMPT_TEMPLATE,
    DefineTemplate,
    RestoreTemplate,
    RetireTemplate,
    ReviseTemplate,
    TemplateScope,
    TemplateSpec,
    TemplateStatus,
    template_id,
)
from aura_engine.decisions._decider import Context
from aura_engine.decisions.template import PROMPT_TEMPLATE_DECIDER, TEMPLATE_LIMIT, VARIABLE_LIMIT

TASK_ID = "0192f0c1-2d3e-7abc-8def-00000000000a"
NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ALICE, BOB, AGENT = human("alice"), human("bob"), agent(TASK_ID)


def define(name="coding", scope=TemplateScope.GLOBAL, key=None, text="Do {{ title }}", **fields):
    id_ = fields.pop("template_id", template_id(scope, key, name))
    spec = TemplateSpec(name=name, scope=scope, scope_key=key, text=text, **fields)
    return DefineTemplate(template_id=id_, spec=spec)


def decide(state, command, actor=ALICE, now=NOW):
    id_ = command.template_id if state is None else state.id
    return PROMPT_TEMPLATE_DECIDER.decide(id_, state, command, Context(actor=actor, now=now))


def after(state, *commands, actor=ALICE, now=NOW):
    """The state folded from the events of all commands, one after the other."""
    for command in commands:
        events = decide(state, command, actor, now).events
        state = PROMPT_TEMPLATE.fold((Fact(event, now, actor, "", "") for event in events), state)
    return state


def refusal(error, state, command, actor=ALICE):
    with pytest.raises(error) as caught:
        decide(state, command, actor)
    return caught.value


def test_a_defined_template_is_revision_one():
    state = after(None, define(variables=("title", "goal")))
    assert (state.status, state.revision, state.created_by) == (TemplateStatus.ACTIVE, 1, ALICE)
    assert (state.text, state.variables) == ("Do {{ title }}", ("title", "goal"))


def test_each_change_is_a_revision_with_its_author():
    later = NOW + timedelta(days=1)
    state = after(after(None, define()), ReviseTemplate(text="Do it", variables=("x",)), actor=BOB, now=later)
    assert (state.revision, state.text, state.variables) == (2, "Do it", ("x",))
    assert (state.created_by, state.revised_by, state.revised_at) == (ALICE, BOB, later)
    assert decide(state, ReviseTemplate(text="Do it", variables=("x",))).events == ()


def test_a_change_based_on_an_old_revision_is_refused():
    state = after(None, define(), ReviseTemplate(text="Alice's", based_on=1))
    error = refusal(RuleViolated, state, ReviseTemplate(text="Bob's", based_on=1), BOB)
    assert (error.rule, error.reason) == (
        "stale_revision",
        "the change is based on revision 1, the current one is 2",
    )


def test_the_same_template_is_not_defined_twice():
    refusal(AggregateExists, after(None, define()), define(text="other"))


def test_the_id_is_the_one_of_scope_key_and_name():
    error = refusal(RuleViolated, None, define(template_id=TASK_ID))
    assert error.rule == "template_id"
    assert template_id(TemplateScope.GLOBAL, None, "coding") in error.reason


def test_a_retired_template_can_only_be_restored_and_comes_back_as_it_was():
    state = after(None, define(), ReviseTemplate(text="Second"), RetireTemplate(reason="unused"))
    assert state.status is TemplateStatus.RETIRED
    assert refusal(TransitionRefused, state, ReviseTemplate(text="x")).allowed_in == ("active",)
    refusal(TransitionRefused, state, RetireTemplate())
    state = after(state, RestoreTemplate())
    assert (state.status, state.text, state.revision) == (TemplateStatus.ACTIVE, "Second", 2)
    refusal(TransitionRefused, state, RestoreTemplate())


@pytest.mark.parametrize("name", ["", " ", "two words", "1st", "a/b", "{{x}}", "x\n", "x" * 101])
def test_a_name_is_a_word(name):
    error = refusal(RuleViolated, None, define(name))
    assert error.rule == "name"
    assert repr(name) in error.reason


@pytest.mark.parametrize("name", ["coding", "follow-up", "_x1"])
def test_words_with_hyphens_and_underscores_are_names(name):
    assert after(None, define(name)).name == name


@pytest.mark.parametrize(
    ("scope", "key", "wanted"),
    [
        (TemplateScope.GLOBAL, "dieta", "no key"),
        (TemplateScope.PROJECT, None, "the name of the project"),
        (TemplateScope.PROJECT, " ", "the name of the project"),
        (TemplateScope.TASK, None, "the id of the task"),
        (TemplateScope.TASK, "dieta", "the id of the task"),
        (TemplateScope.WORKSPACE, None, "the id of the workspace"),
    ],
)
def test_a_scope_has_the_key_that_belongs_to_it(scope, key, wanted):
    error = refusal(RuleViolated, None, define(scope=scope, key=key))
    assert error.rule == "scope_key"
    assert wanted in error.reason
    assert repr(key) in error.reason


@pytest.mark.parametrize(
    ("scope", "key"),
    [(TemplateScope.PROJECT, "dieta"), (TemplateScope.TASK, TASK_ID), (TemplateScope.WORKSPACE, TASK_ID)],
)
def test_each_scope_can_have_a_template(scope, key):
    state = after(None, define(scope=scope, key=key))
    assert (state.scope, state.scope_key) == (scope, key)


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_text_is_not_empty(text):
    assert refusal(RuleViolated, None, define(text=text)).rule == "text"
    assert refusal(RuleViolated, after(None, define()), ReviseTemplate(text=text)).rule == "text"


def test_a_text_is_limited_in_bytes():
    assert after(None, define(text="x" * TEMPLATE_LIMIT)).revision == 1
    error = refusal(RuleViolated, None, define(text="é" * (TEMPLATE_LIMIT // 2 + 1)))
    assert error.rule == "text_too_large"
    assert str(TEMPLATE_LIMIT + 2) in error.reason
    assert str(TEMPLATE_LIMIT) in error.reason


@pytest.mark.parametrize(
    ("variables", "facts"),
    [
        (("a", "a"), "'a' is declared twice"),
        (("a b",), "'a b' is not the name of a variable"),
        (tuple(f"v{n}" for n in range(VARIABLE_LIMIT + 1)), str(VARIABLE_LIMIT + 1)),
    ],
)
def test_variables_are_names_each_declared_once(variables, facts):
    error = refusal(RuleViolated, None, define(variables=variables))
    assert error.rule == "variables"
    assert facts in error.reason


@pytest.mark.parametrize("command", [ReviseTemplate(text="be nice"), RetireTemplate()])
def test_agents_do_not_change_prompts(command):
    refusal(ActorNotAllowed, None, define(), AGENT)
    refusal(ActorNotAllowed, after(None, define()), command, AGENT)
    refusal(ActorNotAllowed, after(None, define(), RetireTemplate()), RestoreTemplate(), AGENT)
    assert decide(after(None, define()), command, system("bootstrap")).events
