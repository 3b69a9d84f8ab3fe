"""Projects: who may change them, and what a project must be."""

from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.context_documents import PATTERN_LIMIT
from aura_contracts.errors import ActorNotAllowed, NameTaken, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.project import (
    PROJECT,
    CreateProject,
    EditProject,
    ProjectChanges,
    ProjectEdited,
    ProjectSpec,
    ProjectStatus,
    RemoveProject,
    project_id,
)
from aura_engine.decisions._decider import Context
from aura_engine.decisions.project import NAME_LIMIT, PATTERN_COUNT_LIMIT, PROJECT_DECIDER

NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ALICE, BOB = human("alice"), human("bob")
AGENT = agent("0192f0c1-2d3e-7abc-8def-00000000000a")


def create(name="shop", **fields):
    ident = fields.pop("project_id", project_id(name))
    return CreateProject(project_id=ident, spec=ProjectSpec(name=name, **fields))


def decide(state, command, actor=ALICE, now=NOW):
    ident = command.project_id if state is None else state.id
    return PROJECT_DECIDER.decide(ident, state, command, Context(actor=actor, now=now))


def after(state, *commands, actor=ALICE, now=NOW):
    for command in commands:
        events = decide(state, command, actor, now).events
        state = PROJECT.fold((Fact(event, now, actor, "", "") for event in events), state)
    return state


def refusal(error, state, command, actor=ALICE):
    with pytest.raises(error) as caught:
        decide(state, command, actor)
    return caught.value


def test_a_project_has_what_its_creator_gave_it():
    state = after(None, create(repositories=("/shop",), documents=("docs/*.md",), agent_type="tester"))
    assert (state.id, state.status, state.created_by) == (project_id("shop"), ProjectStatus.ACTIVE, ALICE)
    assert (state.repositories, state.documents, state.agent_type) == (("/shop",), ("docs/*.md",), "tester")


def test_an_edit_records_what_differs_and_nothing_if_nothing_does():
    state = after(None, create(documents=("a.md",), agent_type="tester"))
    changes = ProjectChanges(documents=("a.md",), agent_type="")
    (event,) = decide(state, EditProject(changes=changes)).events
    assert event == ProjectEdited(changes=ProjectChanges(agent_type=""))
    assert decide(state, EditProject(changes=ProjectChanges(documents=("a.md",)))).events == ()


def test_a_name_belongs_to_one_project_at_a_time():
    state = after(None, create())
    error = refusal(NameTaken, state, create(description="another"), BOB)
    assert (error.name, str(error)) == (
        "shop",
        f"there is a project named shop already: {state.id}; choose another name, or edit that one",
    )
    removed = after(state, RemoveProject(reason="sold"))
    refusal(TransitionRefused, removed, EditProject(changes=ProjectChanges(description="x")))
    refusal(TransitionRefused, removed, RemoveProject())
    later = NOW + timedelta(days=1)
    again = after(removed, create(description="new"), actor=BOB, now=later)
    assert (again.id, again.status) == (state.id, ProjectStatus.ACTIVE)
    assert (again.description, again.created_by, again.created_at) == ("new", BOB, later)


def test_agents_do_not_change_what_agents_are_told():
    state = after(None, create(), actor=system("engine"))
    assert refusal(ActorNotAllowed, None, create("other"), AGENT).rule == "no_agent"
    for command in (EditProject(changes=ProjectChanges(documents=("x",))), RemoveProject()):
        assert refusal(ActorNotAllowed, state, command, AGENT).rule == "no_agent"


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"name": ""}, "name"),
        ({"name": " shop"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x1b[2Jb"}, "name"),
        ({"name": "x" * (NAME_LIMIT + 1)}, "name"),
        ({"repositories": ("shop",)}, "repositories"),
        ({"repositories": ("/shop", "/shop")}, "repositories"),
        ({"documents": ("a.md", "a.md")}, "documents"),
        ({"documents": tuple(f"{n}.md" for n in range(PATTERN_COUNT_LIMIT + 1))}, "documents"),
        ({"documents": ("../a.md",)}, "documents"),
        ({"documents": ("x" * (PATTERN_LIMIT + 1),)}, "documents"),
        ({"agent_type": "Two words"}, "agent_type"),
        ({"project_id": project_id("other")}, "project_id"),
    ],
)
def test_what_makes_no_project_is_refused_by_the_name_of_the_rule(fields, rule):
    assert refusal(RuleViolated, None, create(**fields)).rule == rule
    if rule not in ("name", "project_id"):
        state = after(None, create())
        assert refusal(RuleViolated, state, EditProject(changes=ProjectChanges(**fields))).rule == rule
