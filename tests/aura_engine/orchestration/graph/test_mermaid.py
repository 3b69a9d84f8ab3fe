"""Flowcharts of Mermaid: no name can change the chart."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.workflow import Case, ConditionalStep, StepStatus, WorkflowStep
from aura_engine.orchestration.graph import graph_of, mermaid_of
from aura_engine.orchestration.graph.mermaid import label_of
from drawn_workflows import FEATURE, definition, definitions, states, step

LABEL = r'"(?:[^"\#&<>`;]|\#\d+;|<br/>)*"'
LINES = re.compile(
    rf"""flowchart\ TD
    | \ *n\d+(?:\[|\{{\{{|\[\[|\(\[|\(\()({LABEL})(?:\]|\}}\}}|\]\]|\]\)|\)\))(?::::[a-z_]+)?
    | \ *subgraph\ n\d+\[{LABEL}\]
    | \ *end
    | \ \ n\d+\ -->(?:\|{LABEL}\|)?\ n\d+
    | \ \ n\d+\ -\.->\ n\d+
    | \ \ classDef\ [a-z_]+\ fill:\#[0-9a-f]+,stroke:\#[0-9a-f]+,color:\#[0-9a-f]+
    | \ \ class\ n\d+\ [a-z_]+
    | \ \ style\ n\d+\ stroke-dasharray:\ 6\ 4
    """,
    re.VERBOSE,
)


def decoded(label: str) -> str:
    """Return a label as Mermaid shows it."""
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)


@given(definitions(), st.randoms(use_true_random=False))
def test_every_line_is_one_that_we_know(made, chance: random.Random):
    text = mermaid_of(graph_of(made, states(made, chance)))

    assert [line for line in text.splitlines() if not LINES.fullmatch(line)] == []
    assert text.count("subgraph") == len(re.findall(r"^ *end$", text, re.MULTILINE))


@given(st.text(max_size=40))
def test_no_text_leaves_its_label(text):
    made = definition(
        step("a", title=text),
        step("b", "a", config=ConditionalStep(cases=(Case(when=text, steps=(step("c", title=text),)),))),
    )
    chart = mermaid_of(graph_of(made))

    assert [line for line in chart.splitlines() if not LINES.fullmatch(line)] == []


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50))
def test_what_is_shown_is_the_text(text):
    assert decoded(label_of(text)) == text


def test_a_feature():
    runs = [
        WorkflowStep(id="plan", status=StepStatus.COMPLETED),
        WorkflowStep(id="implement", status=StepStatus.RUNNING),
    ]
    lines = mermaid_of(graph_of(FEATURE, runs)).splitlines()

    assert lines[:4] == [
        "flowchart TD",
        '  n0["Plan the feature<br/>agent task · completed"]:::completed',
        '  n1{{"approve<br/>human approval"}}',
        '  subgraph n2["implement · parallel · running"]',
    ]
    assert "  n2 -.-> n6" in lines
    assert '  n0 -->|"any succeeded"| n23' in lines
    assert "  class n2 running" in lines
    assert "  classDef completed fill:#dcfce7,stroke:#15803d,color:#111827" in lines


def test_list_marks_and_headings_stay_text():
    assert [label_of(text) for text in ("1. x", "- x", "# x", "a-b")] == ["1#46; x", "#45; x", "#35; x", "a-b"]
