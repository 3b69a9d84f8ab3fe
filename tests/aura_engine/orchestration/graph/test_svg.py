"""SVG drawings: well-formed, without scripts, and readable for people and programs."""

import random
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.workflow import StepStatus, WorkflowStatus, WorkflowStep
from aura_engine.orchestration.graph import graph_of, svg_of
from aura_engine.orchestration.graph.lettering import lettering_of
from drawn_workflows import FEATURE, definition, definitions, fan, nested, states, step

NS = "{http://www.w3.org/2000/svg}"
KNOWN = {"svg", "title", "desc", "style", "rect", "text", "g", "path", "circle"}


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def texts(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{NS}text")]


@settings(max_examples=40)
@given(definitions(), st.randoms(use_true_random=False))
def test_it_is_well_formed_and_holds_nothing_that_runs(made, chance: random.Random):
    root = parsed(svg_of(graph_of(made, states(made, chance), status=WorkflowStatus.ACTIVE)))

    assert {one.tag.removeprefix(NS) for one in root.iter()} <= KNOWN
    assert not {name for one in root.iter() for name in one.attrib if name.startswith("on") or "href" in name}


@settings(max_examples=100)
@given(st.text(max_size=40))
def test_any_name_is_text(text):
    root = parsed(svg_of(graph_of(definition(step("a", title=text, when=text), name=text, description=text))))

    assert {one.tag.removeprefix(NS) for one in root.iter()} <= KNOWN
    assert len(texts(root)) == 4 if text else 3


def test_markup_is_shown_as_written():
    root = parsed(svg_of(graph_of(definition(step("a", title="<script>1 & 2</script>")))))

    assert "<script>1 & 2</script>" in texts(root)


def test_title_and_description_say_what_is_drawn():
    runs = [WorkflowStep(id="plan", status=StepStatus.COMPLETED), WorkflowStep(id="approve", status=StepStatus.RUNNING)]
    root = parsed(svg_of(graph_of(FEATURE, runs, status=WorkflowStatus.ACTIVE)))
    by_id = {one.get("id"): one.text for one in root.iter()}

    assert root.get("role") == "img"
    assert [by_id[name] for name in (root.get("aria-labelledby") or "").split()] == [
        "Workflow build-feature",
        "It is active. 24 steps: 1 running, 1 completed.",
    ]


@pytest.mark.parametrize("status", StepStatus)
def test_a_state_is_a_colour_in_both_schemes_and_a_word(status):
    text = svg_of(graph_of(definition(step("a")), [WorkflowStep(id="a", status=status)]))
    light, dark = text.split("prefers-color-scheme: dark")

    assert f"command · {status.replace('_', ' ')}" in texts(parsed(text))
    assert f'class="{status}' in text
    assert f".aura-workflow .{status} > rect" in light
    assert f".aura-workflow .{status} > rect" in dark


def test_the_critical_path_is_bold():
    root = parsed(svg_of(graph_of(FEATURE), critical={"plan", "each[2]/lint"}))

    bold = [one for one in root.iter(f"{NS}g") if "critical" in (one.get("class") or "").split()]

    assert [(one.find(f"{NS}title").text or "").split(";")[0] for one in bold] == ["plan", "lint"]


def test_the_same_graph_is_the_same_drawing():
    made = nested(500, random.Random(3))

    assert svg_of(graph_of(made)) == svg_of(graph_of(made))


def test_five_hundred_steps_are_all_there():
    root = parsed(svg_of(graph_of(fan(500))))

    assert {f"shard-{number}" for number in range(498)} <= {*texts(root)}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_a_long_name_is_cut_in_its_box_and_whole_in_the_tip(title):
    made = definition(step("a", title=title))
    node = graph_of(made).nodes[0]

    assert lettering_of(node).width < 450
    assert re.search(r"<title>a; ", svg_of(graph_of(made)))
