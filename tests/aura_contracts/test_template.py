"""Which template is used where: workspace before task before project before global before built-in."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aura_contracts.actors import human
from aura_contracts.ids import is_canonical_id
from aura_contracts.template import PromptTemplate, TemplateScope, TemplateStatus, layers, template_id

TASK_ID = "0192f0c1-2d3e-7abc-8def-00000000000a"
WORKSPACE_ID = "0192f0c1-2d3e-7abc-8def-00000000000b"
NOW = datetime(2026, 1, 4, tzinfo=UTC)
HERE = {"project": "dieta", "task_id": TASK_ID, "workspace_id": WORKSPACE_ID}
KEYS = {
    TemplateScope.WORKSPACE: WORKSPACE_ID,
    TemplateScope.TASK: TASK_ID,
    TemplateScope.PROJECT: "dieta",
    TemplateScope.GLOBAL: None,
}


def template(scope, key=None, name="coding"):
    key = key or KEYS[scope]
    return PromptTemplate(
        id=template_id(scope, key, name),
        status=TemplateStatus.ACTIVE,
        name=name,
        scope=scope,
        scope_key=key,
        text="x",
        variables=(),
        revision=1,
        created_by=human("alice"),
        created_at=NOW,
        revised_by=human("alice"),
        revised_at=NOW,
    )


ALL = [template(scope) for scope in reversed(TemplateScope)]


def test_the_scopes_are_listed_by_precedence():
    assert [scope.value for scope in TemplateScope] == ["workspace", "task", "project", "global"]


def test_the_narrowest_scope_wins_and_the_next_one_follows_when_it_is_gone():
    left = list(ALL)
    for scope in TemplateScope:
        found = layers(left, "coding", **HERE)
        assert [each.scope for each in found] == list(TemplateScope)[-len(left) :]
        assert found[0].scope is scope
        left.remove(found[0])
    assert layers(left, "coding", **HERE) == ()


def test_a_retired_template_gives_way():
    retired = [replace(each, status=TemplateStatus.RETIRED) if each.scope == "workspace" else each for each in ALL]
    assert layers(retired, "coding", **HERE)[0].scope is TemplateScope.TASK


def test_templates_of_other_places_and_names_do_not_apply():
    others = [
        template(TemplateScope.WORKSPACE, TASK_ID),
        template(TemplateScope.TASK, WORKSPACE_ID),
        template(TemplateScope.PROJECT, "other"),
        template(TemplateScope.GLOBAL, name="review"),
    ]
    assert layers(others, "coding", **HERE) == ()


@pytest.mark.parametrize(
    ("here", "scope"),
    [
        ({}, TemplateScope.GLOBAL),
        ({"project": "dieta"}, TemplateScope.PROJECT),
        ({"project": "other"}, TemplateScope.GLOBAL),
        ({"project": "dieta", "task_id": TASK_ID}, TemplateScope.TASK),
    ],
)
def test_a_place_that_is_not_given_is_left_out(here, scope):
    assert layers(ALL, "coding", **here)[0].scope is scope


@given(st.permutations(ALL), st.sets(st.sampled_from(TemplateScope)))
def test_the_order_in_which_templates_are_given_does_not_matter(templates, scopes):
    given_ = [each for each in templates if each.scope in scopes]
    found = layers(given_, "coding", **HERE)
    assert [each.scope for each in found] == [scope for scope in TemplateScope if scope in scopes]


def test_ids_are_the_same_everywhere_and_for_ever():
    assert template_id(TemplateScope.PROJECT, "dieta", "coding") == "957293aa-9157-5b53-86a3-4ff5b7d7b405"


@given(st.tuples(*[st.sampled_from(TemplateScope), st.text(max_size=4), st.text("ab:1", max_size=4)] * 2))
def test_different_places_have_different_ids(parts):
    one, two = parts[:3], parts[3:]
    assert (template_id(*one) == template_id(*two)) == (one == two)
    assert is_canonical_id(template_id(*one))
