"""Critical paths: the chain of steps that made a workflow take as long as it did."""

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.workflow import (
    Case,
    ConditionalStep,
    ForEachStep,
    Join,
    LoopStep,
    ParallelStep,
    StepStatus,
    WorkflowStatus,
    WorkflowStep,
)
from aura_engine.orchestration.critical_path import critical_path
from drawn_workflows import START, definition, definitions, step, workflow

S = StepStatus


def at(seconds: float):
    return START + timedelta(seconds=seconds)


def ran(address: str, start: float | None, end: float | None, parent: str | None = None, **fields) -> WorkflowStep:
    """Return a step that ran from second to second."""
    status = fields.pop("status", S.RUNNING if end is None else S.COMPLETED)
    return WorkflowStep(
        id=address,
        status=status,
        parent=parent,
        started_at=None if start is None else at(start),
        ended_at=None if end is None else at(end),
        **fields,
    )


def path(made, *steps: WorkflowStep, now: float = 1000, ended: float | None = None):
    """Return the critical path as tuples: address, seconds that it waited, seconds that it ran."""
    done = {} if ended is None else {"status": WorkflowStatus.COMPLETED, "ended_at": at(ended)}
    found = critical_path(workflow(made, *steps, **done), at(now))
    assert sum(one.waited + one.ran for one in found.steps) + found.rest == found.length
    return [(one.step_id, one.waited, one.ran) for one in found.steps]


def test_the_longer_branch():
    made = definition(step("a"), step("fast", "a"), step("slow", "a"), step("z", "fast", "slow"))
    steps = [ran("a", 1, 10), ran("fast", 10, 20), ran("slow", 12, 50), ran("z", 50, 60)]

    assert path(made, *steps, ended=60) == [("a", 1, 9), ("slow", 2, 38), ("z", 0, 10)]


def test_a_step_that_did_not_wait_for_all():
    made = definition(step("fast"), step("slow"), step("z", "fast", "slow", join=Join.ANY_SUCCEEDED))
    steps = [ran("fast", 0, 20), ran("slow", 0, 50), ran("z", 20, 90)]

    assert path(made, *steps, ended=90) == [("fast", 0, 20), ("z", 0, 70)]


def test_what_runs_counts_until_now():
    made = definition(step("a"), step("b", "a"))
    found = critical_path(workflow(made, ran("a", 0, 10), ran("b", 15, None)), at(100))

    assert [(one.step_id, one.waited, one.ran) for one in found.steps] == [("a", 0, 10), ("b", 5, 85)]
    assert found.steps[-1].ended_at is None
    assert [str(one) for one in found.steps] == ["a  10 s", "b  1 min 25 s, after 5 s of waiting; it runs"]
    assert str(found) == "1 min 40 s in all"
    assert (found.length, found.rest) == (100, 0)


def test_a_container_is_replaced_by_the_chain_of_its_members():
    inner = ParallelStep(steps=(step("x"), step("y", "x"), step("other")))
    made = definition(step("a"), step("group", "a", config=inner), step("z", "group"))
    steps = [
        ran("a", 0, 5),
        ran("group", 5, 40),
        ran("x", 6, 20, "group"),
        ran("y", 20, 40, "group"),
        ran("other", 6, 30, "group"),
        ran("z", 41, 50),
    ]

    assert path(made, *steps, ended=52) == [("a", 0, 5), ("x", 1, 14), ("y", 0, 20), ("z", 1, 9)]


def test_rounds_follow_one_another():
    made = definition(step("rework", config=LoopStep(steps=(step("fix"), step("check", "fix")), until="ok", limit=5)))
    steps = [
        ran("rework", 0, 60, round=2),
        ran("rework[1]/fix", 0, 10, "rework"),
        ran("rework[1]/check", 10, 30, "rework"),
        ran("rework[2]/fix", 31, 40, "rework"),
        ran("rework[2]/check", 40, 60, "rework"),
    ]

    assert path(made, *steps, ended=60) == [
        ("rework[1]/fix", 0, 10),
        ("rework[1]/check", 0, 20),
        ("rework[2]/fix", 1, 9),
        ("rework[2]/check", 0, 20),
    ]


def test_items_wait_for_room():
    def made(concurrency: int | None):
        return definition(step("each", config=ForEachStep(items="x", steps=(step("lint"),), concurrency=concurrency)))

    steps = [
        ran("each", 0, 50, items=("a", "b", "c")),
        ran("each[0]/lint", 0, 30, "each"),
        ran("each[1]/lint", 0, 20, "each"),
        ran("each[2]/lint", 20, 50, "each"),
    ]

    assert path(made(2), *steps, ended=50) == [("each[1]/lint", 0, 20), ("each[2]/lint", 0, 30)]
    assert path(made(None), *steps, ended=50) == [("each[2]/lint", 20, 30)]


def test_the_chosen_case():
    config = ConditionalStep(cases=(Case(when="x", steps=(step("yes"),)),), otherwise=(step("no"),))
    made = definition(step("kind", config=config), step("z", "kind"))
    steps = [ran("kind", 0, 9, outcome=1), ran("no", 1, 9, "kind"), ran("z", 9, 10)]

    assert path(made, *steps, ended=10) == [("no", 1, 8), ("z", 0, 1)]


def test_a_handler_follows_the_work_that_failed():
    made = definition(step("build", handler=(step("repair"), step("verify", "repair"))), step("z", "build"))
    steps = [
        ran("build", 0, 40, handled=True),
        ran("repair", 10, 30, "build"),
        ran("verify", 30, 40, "build"),
        ran("z", 40, 41),
    ]

    assert path(made, *steps, ended=41) == [("build", 0, 10), ("repair", 0, 20), ("verify", 0, 10), ("z", 0, 1)]


def test_compensations_are_part_of_it_in_reverse_order():
    made = definition(
        step("a", compensation=step("undo-a")), step("b", "a", compensation=step("undo-b")), step("c", "b")
    )
    steps = [
        ran("a", 0, 10),
        ran("b", 10, 20),
        ran("c", 20, 30, status=S.FAILED),
        ran("undo-b", 31, 40, "b"),
        ran("undo-a", 40, 55, "a"),
    ]

    assert path(made, *steps, ended=55) == [
        ("a", 0, 10),
        ("b", 0, 10),
        ("c", 0, 10),
        ("undo-b", 1, 9),
        ("undo-a", 0, 15),
    ]


def test_a_skipped_step_passes_on_what_it_waited_for():
    made = definition(step("a"), step("b", "a", when="no"), step("z", "b", join=Join.ALL_DONE))
    steps = [ran("a", 0, 10), ran("b", None, 10, status=S.SKIPPED), ran("z", 10, 20)]

    assert path(made, *steps, ended=20) == [("a", 0, 10), ("b", 0, 0), ("z", 0, 10)]


def test_before_anything_ran():
    found = critical_path(workflow(definition(step("a")), WorkflowStep(id="a", status=S.PENDING)), at(7))

    assert (found.steps, found.length, found.rest) == ((), 7, 7)


@given(definitions(25), st.randoms(use_true_random=False), st.integers(0, 100))
def test_the_parts_add_up_whatever_the_times(made, chance: random.Random, now: int):
    """Also for clocks that went back and steps that ended before they started."""
    steps, parents = [], {}
    for one in made.walk():
        for inner in [*(member for block in one.blocks for member in block), *filter(None, [one.compensation])]:
            parents[inner.id] = one.id
    for one in made.walk():
        start, end = chance.choice([None, chance.randint(0, 90)]), chance.choice([None, chance.randint(0, 90)])
        steps.append(ran(one.id, start, end, parents.get(one.id)))

    found = critical_path(workflow(made, *steps), at(now))

    assert sum(one.waited + one.ran for one in found.steps) + found.rest == found.length
    assert all(one.waited >= 0 and one.ran >= 0 for one in found.steps)
    assert len({one.step_id for one in found.steps}) == len(found.steps)
