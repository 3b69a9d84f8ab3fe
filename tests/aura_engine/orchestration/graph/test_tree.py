"""Trees: a workflow as lines on a terminal."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.quoting import width_of
from aura_contracts.workflow import StepStatus, WorkflowStatus, WorkflowStep
from aura_engine.orchestration.graph import graph_of, tree_of
from drawn_workflows import FEATURE, definition, definitions, states, step


def test_a_definition():
    assert tree_of(graph_of(FEATURE)).splitlines() == [
        "build-feature",
        "├─ plan (Plan the feature)  agent task",
        "├─ approve  human approval · after plan · asks alice, bob",
        "├─ implement  parallel · after approve",
        "│  ├─ backend  command",
        "│  ├─ frontend  command",
        "│  ├─ migrate  command · after backend",
        "│  └─ if it fails",
        "│     ├─ repair  command",
        "│     └─ verify  command · after repair",
        "├─ kind  conditional · after implement",
        "│  ├─ if inputs.public",
        "│  │  ├─ docs  command",
        "│  │  └─ announce  command · after docs",
        "│  ├─ if inputs.size > 3",
        "│  │  └─ split  command",
        "│  └─ otherwise",
        "│     └─ note  command",
        "├─ each  for each · after implement · for each of steps.plan.output.files",
        "│  ├─ lint  command",
        "│  └─ test  command · after lint",
        "├─ rework  loop · after each · until ok · at most 5 rounds",
        "│  ├─ review  command",
        "│  └─ fix  command · after review",
        "├─ deploy  command · after rework, kind, plan (any succeeded)",
        "│  └─ undo: rollback  command",
        "├─ quiet  wait · after deploy · for 1 h",
        "├─ publish  workflow · after quiet · publish@3",
        "└─ stop  end · after quiet · if inputs.stop · ends it as completed",
    ]


def test_states_have_a_mark_and_a_word():
    runs = [WorkflowStep(id="plan", status=StepStatus.COMPLETED), WorkflowStep(id="approve", status=StepStatus.FAILED)]
    graph = graph_of(FEATURE, runs, status=WorkflowStatus.FAILED)

    assert tree_of(graph).splitlines()[:3] == [
        "build-feature · failed",
        "├─ ✓ plan (Plan the feature)  agent task · completed",
        "├─ ✗ approve  human approval · failed · after plan · asks alice, bob",
    ]
    assert tree_of(graph, only_ascii=True).splitlines()[:3] == [
        "build-feature, failed",
        "|- [x] plan (Plan the feature)  agent task, completed",
        "|- [!] approve  human approval, failed, after plan, asks alice, bob",
    ]


def test_what_does_not_fit_has_lines_of_its_own():
    made = definition(step("build", title="B" * 70), step("deploy", "build", when="inputs.environment == 'production'"))

    assert tree_of(graph_of(made), width=50).splitlines() == [
        "release",
        f"├─ build ({'B' * 39}…",
        "│     command",
        "└─ deploy  command · after build",
        "      if inputs.environment == 'production'",
    ]


@given(definitions(), st.randoms(use_true_random=False), st.sampled_from([80, 100]), st.booleans())
def test_no_line_is_wider_than_the_terminal(made, chance: random.Random, width, only_ascii):
    graph = graph_of(made, states(made, chance))
    lines = tree_of(graph, width=width, only_ascii=only_ascii).splitlines()

    assert max(map(width_of, lines)) <= width
    assert len(lines) >= len([*graph.walk()])


@pytest.mark.parametrize("title", ["\x1b[2J", "a\nb", "\u202egnp.exe"])
def test_names_cannot_move_the_cursor(title):
    text = tree_of(graph_of(definition(step("a", title=title, when=title))))

    assert len(text.splitlines()) == 2
    assert title not in text
