"""Graphs: what of a definition and its steps is shown as which node."""

from datetime import timedelta

import pytest
from hypothesis import given

from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workflow import (
    ForEachStep,
    Join,
    LoopStep,
    OnStepFailure,
    ParallelStep,
    StepStatus,
    StepType,
    WaitStep,
    WorkflowStatus,
    WorkflowStep,
)
from aura_engine.orchestration.graph import NodeRole, graph_of
from aura_engine.orchestration.graph.captions import seconds_text
from aura_engine.orchestration.graph.nodes import ROOM
from drawn_workflows import FEATURE, START, definition, definitions, step

S = StepStatus


def nodes(graph) -> dict:
    return {node.id: node for node in graph.walk()}


def ran(address: str, status: StepStatus = S.COMPLETED, **fields) -> WorkflowStep:
    return WorkflowStep(id=address, status=status, **fields)


@given(definitions())
def test_each_step_is_one_node_and_each_dependency_one_edge(made):
    graph = graph_of(made)

    steps = [node.id for node in graph.walk() if node.type is not None]
    edges = [edge for node in graph.walk() for edge in node.edges] + [*graph.edges]

    assert sorted(steps) == sorted(one.id for one in made.walk())
    assert len({node.id for node in graph.walk()}) == len([*graph.walk()])
    assert len(edges) == sum(len(one.dependencies) for one in made.walk())


def test_blocks_are_nodes():
    found = nodes(graph_of(FEATURE))

    assert [node.label for node in found["kind"].nodes] == ["if inputs.public", "if inputs.size > 3", "otherwise"]
    assert {node.role for node in found["kind"].nodes} == {NodeRole.CASE}
    assert found["implement"].handler is found["implement!"]
    assert found["deploy"].compensation == found["rollback"]
    assert found["rollback"].role is NodeRole.COMPENSATION
    assert [node.id for node in found["each"].nodes] == ["lint", "test"]


def test_an_edge_is_implied_only_if_its_source_has_completed_by_then():
    def implied(join: Join) -> bool:
        made = definition(step("a"), step("b", "a", join=join), step("c", "a", "b"))
        return next(edge.implied for edge in graph_of(made).edges if (edge.source, edge.target) == ("a", "c"))

    assert implied(Join.ALL_SUCCEEDED)
    assert not implied(Join.ALL_DONE)


def test_the_join_of_several_is_on_their_edges():
    made = definition(
        step("a"), step("b"), step("c", "a", "b", join=Join.FIRST, n=1), step("d", "a", join=Join.N_OF, n=1)
    )

    assert [edge.join for edge in graph_of(made).edges] == ["first 1 of 2", "first 1 of 2", ""]


def test_states_of_items_are_counted():
    made = definition(step("each", config=ForEachStep(items="inputs.files", steps=(step("lint"),))))
    runs = [ran("each", S.RUNNING, items=("a", "b", "c")), *(ran(f"each[{n}]/lint") for n in range(2))]

    found = nodes(graph_of(made, [*runs, ran("each[2]/lint", S.FAILED)], status=WorkflowStatus.ACTIVE))

    assert found["lint"].status is S.FAILED
    assert found["lint"].facts == ("1 failed, 2 completed",)
    assert found["each"].facts == ("for each of inputs.files, 3 items",)


def test_items_and_rounds_can_be_shown_one_by_one():
    loop = step("rework", config=LoopStep(steps=(step("fix"), step("check", "fix")), until="ok", limit=3))
    made = definition(step("each", config=ForEachStep(items="inputs.files", steps=(loop,))))
    runs = [
        ran("each", S.RUNNING, items=("a", "b")),
        ran("each[0]/rework", S.RUNNING, round=2),
        ran("each[0]/rework[1]/fix"),
        ran("each[0]/rework[1]/check"),
        ran("each[0]/rework[2]/fix", S.RUNNING),
        ran("each[0]/rework[2]/check", S.PENDING),
        ran("each[1]/rework", S.PENDING),
    ]

    found = nodes(graph_of(made, runs, expand=True))

    assert [node.label for node in found["each"].nodes] == ["item 0", "item 1"]
    assert [node.label for node in found["each[0]/rework"].nodes] == ["round 1", "round 2"]
    assert found["each[0]/rework[2]/fix"].status is S.RUNNING
    assert found["each[0]/rework[2]"].edges[0].source == "each[0]/rework[2]/fix"
    assert [node.id for node in found["each[1]/rework"].nodes] == ["fix", "check"]


def test_too_many_items_are_counted_instead():
    made = definition(step("each", config=ForEachStep(items="inputs.files", steps=(step("lint"), step("test")))))
    many = ROOM // 2 + 1
    runs = [ran("each", S.RUNNING, items=("a",) * many), *(ran(f"each[{n}]/lint") for n in range(many))]

    found = nodes(graph_of(made, runs, expand=True))

    assert found["each"].nodes[0].facts == (f"{many} completed",)


def test_what_a_case_became():
    runs = [ran("kind", S.RUNNING, outcome=1), ran("split", S.RUNNING)]

    cases = nodes(graph_of(FEATURE, runs))["kind"].nodes

    assert [case.taken for case in cases] == [False, True, False]


def failure(message: str) -> Failure:
    return Failure(FailureReason.STAGE_ERROR, message)


@pytest.mark.parametrize(
    ("made", "run", "facts"),
    [
        (step("a", when="inputs.fast"), None, ("if inputs.fast",)),
        (step("a", on_failure=OnStepFailure.CONTINUE), None, ("may fail",)),
        (step("a", config=WaitStep(signal="go")), None, ("for signal go",)),
        (step("a", config=WaitStep(until="{{ inputs.at }}")), None, ("until {{ inputs.at }}",)),
        (step("a", config=ParallelStep(steps=(step("b"), step("c")), join=Join.N_OF, n=1)), None, ("1 of 2",)),
        (step("a"), ran("a", S.RUNNING, attempts=3), ("attempt 3",)),
        (step("a"), ran("a", S.COMPLETED, handled=True), ("failed, handled",)),
        (step("a"), ran("a", S.FAILED, failure=failure("exit 1\nsorry")), ("exit 1 sorry",)),
        (step("a"), ran("a", S.COMPLETED, failure=failure("exit 1")), ()),
        (step("a"), ran("a", S.SKIPPED, reason="plan was skipped"), ("plan was skipped",)),
    ],
)
def test_facts(made, run, facts):
    assert nodes(graph_of(definition(made), [run] if run else []))["a"].facts == facts


def test_a_graph_is_plain_data():
    graph = graph_of(FEATURE, [ran("plan", started_at=START, ended_at=START + timedelta(seconds=5))])

    assert type(graph).from_dict(graph.as_dict()) == graph
    assert graph.nodes[0].type is StepType.AGENT_TASK


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (2.25, "2.25 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (7200, "2 h"),
        (93600, "1 d 2 h"),
    ],
)
def test_durations(seconds, text):
    assert seconds_text(seconds) == text
