"""Layouts: nothing overlaps, everything is inside what contains it, and lines lead from box to box."""

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.workflow import Join
from aura_engine.orchestration.graph import graph_of
from aura_engine.orchestration.graph.layers import GAP, Vertex, arrange, without_detours
from aura_engine.orchestration.graph.layout import DENSE, BoxKind, GraphBox, LineKind, layout_of
from drawn_workflows import FEATURE, definition, definitions, fan, full, nested, stages, step

SOLID = (BoxKind.NODE, BoxKind.JUNCTION)


def overlap(one: GraphBox, other: GraphBox) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def encloses(outer: GraphBox, inner: GraphBox) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


def touches(box: GraphBox, point) -> bool:
    """Whether a point is on the border of a box."""
    on_x, on_y = box.x <= point.x <= box.x + box.width, box.y <= point.y <= box.y + box.height
    return (on_x and point.y in (box.y, box.y + box.height)) or (on_y and point.x in (box.x, box.x + box.width))


def check(layout) -> None:
    for box in layout.boxes:
        assert min(box.x, box.y) >= 0, box
        assert box.x + box.width <= layout.width, box
        assert box.y + box.height <= layout.height, box
    for one, other in combinations(layout.boxes, 2):
        if overlap(one, other):
            assert encloses(one, other), (one, other)
            assert one.kind not in SOLID, (one, other)
    by_id = {box.node.id: box for box in layout.boxes if box.node is not None}
    for box in layout.boxes:
        if box.inside:
            assert encloses(by_id[box.inside], box), box
    for line in layout.lines:
        assert any(touches(box, line.points[0]) for box in layout.boxes), line
        assert any(touches(box, line.points[-1]) for box in layout.boxes), line


def crossed(layout) -> list:
    """Return the lines that cross a node: a line stays within the rectangle around each two of its points."""
    nodes = [box for box in layout.boxes if box.kind in SOLID]
    found = []
    for line in layout.lines:
        for one, other in pairwise(line.points):
            left, right = sorted((one.x, other.x))
            top, bottom = sorted((one.y, other.y))
            found += [
                (line, box)
                for box in nodes
                if left < box.x + box.width and box.x < right and top < box.y + box.height and box.y < bottom
            ]
            if left == right:
                found += [
                    (line, box)
                    for box in nodes
                    if box.x < left < box.x + box.width and top < box.y + box.height and box.y < bottom
                ]
    return found


@settings(max_examples=60)
@given(definitions())
def test_nothing_overlaps_and_all_is_inside_its_container(made):
    layout = layout_of(graph_of(made))

    check(layout)
    drawn = {box.node.id for box in layout.boxes if box.node is not None}
    assert {one.id for one in made.walk()} <= drawn


@settings(max_examples=60)
@given(definitions())
def test_lines_keep_clear_of_other_steps(made):
    assert crossed(layout_of(graph_of(made))) == []


@pytest.mark.parametrize(
    "made",
    [FEATURE, fan(500), stages(20, 12), full(25), nested(500, random.Random(7)), definition(step("only"))],
    ids=["feature", "fan", "stages", "full", "nested", "only"],
)
def test_shapes_of_every_size(made):
    layout = layout_of(graph_of(made))

    check(layout)
    assert layout == layout_of(graph_of(made))


def test_a_dependency_leads_downwards():
    layout = layout_of(graph_of(FEATURE))

    lines = [line for line in layout.lines if line.kind is LineKind.DEPENDENCY]

    assert lines
    assert all(one.y <= other.y for line in lines for one, other in pairwise(line.points))


def test_many_steps_with_the_same_neighbours_share_a_frame_that_one_edge_leads_to():
    layout = layout_of(graph_of(fan(500)))

    racks = [box for box in layout.boxes if box.kind is BoxKind.RACK]

    assert len(racks) == 1
    assert len(layout.lines) == 2
    assert sum(encloses(racks[0], box) for box in layout.boxes) == 499
    assert layout.width < 2 * layout.height


def test_stages_meet_in_junctions():
    steps = [step(f"a{n}", title="x" * n) for n in range(3)]
    others = [step(f"b{n}", "a0", "a1", "a2") for n in range(3)]
    layout = layout_of(graph_of(definition(*steps, *others, *(step(f"c{n}", f"b{n}") for n in range(3)))))

    assert [box.kind for box in layout.boxes].count(BoxKind.JUNCTION) == 1
    assert len([line for line in layout.lines if not line.arrow]) == 3
    check(layout)


def test_a_join_is_named_once_where_its_edges_end():
    layout = layout_of(graph_of(FEATURE))

    labels = [line.label for line in layout.lines if line.label]

    assert labels == ["any succeeded"]


def test_the_handler_and_the_compensation_of_a_step_are_to_its_right():
    layout = layout_of(graph_of(definition(step("deploy", handler=(step("repair"),), compensation=step("undo")))))
    places = {box.node.id: box for box in layout.boxes}

    assert places["deploy!"].x > places["deploy"].x + places["deploy"].width
    assert places["undo"].x > places["deploy"].x + places["deploy"].width
    assert {line.kind for line in layout.lines} == {LineKind.HANDLER, LineKind.COMPENSATION}


def test_edges_that_say_nothing_new_are_not_drawn():
    chain = full(4, Join.ALL_SUCCEEDED)

    assert len(layout_of(graph_of(chain)).lines) == 3
    assert len(layout_of(graph_of(full(4))).lines) == 6


def test_a_circle_of_dependencies_is_drawn_all_the_same():
    layout = layout_of(graph_of(definition(step("a", "c"), step("b", "a"), step("c", "b"), step("d", "d", "gone"))))

    check(layout)
    assert len(layout.lines) == 3


def test_of_very_many_edges_those_are_drawn_that_no_longer_way_replaces():
    layout = layout_of(graph_of(full(120)))

    assert DENSE < 120 * 119 / 2
    assert len(layout.lines) == 119


def test_very_long_edges_have_no_bends():
    """With all of them there would be hundreds of thousands."""
    layout = layout_of(graph_of(full(75)))

    assert len(layout.lines) == 75 * 74 / 2
    assert sum(len(line.points) for line in layout.lines) < 60_000


# --- Layers -----------------------------------------------------------------------------------------------------------


def test_a_chain_is_straight():
    found = arrange([Vertex(100, 40, 50, 40), Vertex(60, 40, 30, 40), Vertex(80, 40, 40, 40)], [(0, 1), (1, 2)])

    assert len({point.x for line in found.lines for point in line}) == 1


def test_crossings_that_need_not_be_are_removed():
    four = [Vertex(40, 20, 20, 20)] * 4
    found = arrange(four, [(0, 3), (1, 2)])
    left, right = found.places[0].x, found.places[1].x

    assert (left < right) == (found.places[3].x < found.places[2].x)


def test_a_parent_is_in_the_middle_of_its_children():
    found = arrange([Vertex(40, 20, 20, 20)] * 4, [(0, 1), (0, 2), (0, 3)])

    assert found.places[0].x == found.places[2].x


def test_no_vertices():
    assert arrange([], []) == (0, 0, [], [])


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_any_graph_is_arranged_with_gaps(drawn):
    count, pairs = drawn
    edges = sorted((one, other) for one, other in pairs if one != other)
    found = arrange([Vertex(30 + 7 * n, 20 + n, 10, 20 + n) for n in range(count)], edges)

    assert len(found.lines) == len(edges)
    for (a, one), (b, other) in combinations(enumerate(found.places), 2):
        apart_x = one.x + 30 + 7 * a + GAP - 1 <= other.x or other.x + 30 + 7 * b + GAP - 1 <= one.x
        apart_y = one.y + 20 + a <= other.y or other.y + 20 + b <= one.y
        assert apart_x or apart_y


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_what_can_be_reached_stays_without_detours(drawn):
    count, pairs = drawn
    edges = [(one, other) for one, other in sorted(pairs) if one < other]

    def reached(some) -> set:
        known = {*some}
        while more := {(a, d) for a, b in known for c, d in some if b == c} - known:
            known |= more
        return known

    kept = without_detours(count, edges)

    assert reached(kept) == reached(edges)
    assert all(reached([one for one in kept if one != edge]) != reached(kept) for edge in kept)
