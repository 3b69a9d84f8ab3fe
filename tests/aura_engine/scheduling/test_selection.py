"""Selection: load, then the lower bound of acceptance, then age; draws only where they are wanted, and recorded."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.record.acceptance import Posterior
from aura_engine.scheduling.selection import RECORDED, choose_agent
from aura_engine.scheduling.values import PoolAgent

START = datetime(2026, 1, 1, tzinfo=UTC)


def agent(number, approved=0, refused=0, **figures):
    expected = Posterior().updated(approved, refused)
    return PoolAgent(
        id=f"agent-{number}", registered_at=START + timedelta(seconds=number), expected=expected, **figures
    )


def test_of_agents_with_as_much_to_do_the_one_with_the_highest_lower_bound_gets_it():
    lucky, proven, new = agent(1, 3, 0), agent(2, 45, 5), agent(3)
    chosen, selection = choose_agent([new, lucky, proven])
    assert chosen is proven, "three of three say less than 45 of 50"
    assert selection.reason == "none of the suitable agents has less to do, and humans approve its work most surely"
    assert [one.agent_id for one in selection.candidates] == ["agent-2", "agent-1", "agent-3"]
    assert [one.lower_bound for one in selection.candidates] == [
        pytest.approx(value, abs=1e-6) for value in (0.804849, 0.472871, 0.05)
    ]
    assert all(one.draw is None for one in selection.candidates)


def test_a_choice_is_recorded_with_all_that_it_can_be_repeated_from():
    agents = [agent(1, 3, 1, executor="claude", model="opus", capacity=3, tasks=1), agent(2, 7, 2, executor="codex")]
    drawn = iter([0.25, 0.75])
    _, selection = choose_agent(agents, drawn.__next__, verdicts_until=42)
    assert selection.verdicts_until == 42
    first, second = sorted(selection.candidates, key=lambda one: one.agent_id)
    assert (first.executor, first.model, first.posterior, first.tasks, first.capacity) == (
        "claude",
        "opus",
        (4, 2),
        1,
        3,
    )
    assert (second.executor, second.model, second.posterior) == ("codex", "", (8, 3))
    for one, number in ((second, 0.25), (first, 0.75)):  # by load first
        assert one.draw == Posterior(*one.posterior).quantile(number)
        assert one.lower_bound == Posterior(*one.posterior).lower


def test_load_goes_before_acceptance_and_age_after_it():
    assert choose_agent([agent(1, 45, 5, tasks=1, capacity=2), agent(2, 0, 50)])[0].id == "agent-2"
    chosen, selection = choose_agent([agent(2, 5, 5), agent(1, 5, 5)])
    assert chosen.id == "agent-1"
    assert selection.reason == "none of the suitable agents has less to do, and it was registered first"


def test_a_draw_is_recorded_and_the_highest_gets_it():
    drawn = random.Random(7)
    agents = [agent(number, number, 3) for number in range(RECORDED + 3)]
    chosen, selection = choose_agent(agents, drawn.random)
    again = random.Random(7)
    ranked = sorted(agents, key=lambda one: one.rank)
    draws = {one.id: one.expected.quantile(again.random()) for one in ranked}
    assert chosen.id == max(draws, key=draws.__getitem__)
    assert len(selection.candidates) == RECORDED
    assert [one.draw for one in selection.candidates] == sorted(draws.values(), reverse=True)[:RECORDED]
    assert selection.suitable == RECORDED + 3


def test_sampling_tries_the_unknown_at_times_and_prefers_the_good():
    drawn = random.Random(1)
    agents = [agent(1, 45, 5), agent(2), agent(3, 5, 45)]
    counts = {one.id: 0 for one in agents}
    for _ in range(300):
        counts[choose_agent(agents, drawn.random)[0].id] += 1
    assert counts["agent-1"] > counts["agent-2"] > 0
    assert counts["agent-1"] > 200
    assert counts["agent-3"] < counts["agent-2"]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6), st.randoms())
def test_the_order_of_agents_changes_no_choice(verdicts, drawn):
    agents = [agent(number, *both) for number, both in enumerate(verdicts)]
    shuffled = list(agents)
    drawn.shuffle(shuffled)
    assert choose_agent(agents) == choose_agent(shuffled)
    numbers = [drawn.random() for _ in agents]
    assert choose_agent(agents, iter(numbers).__next__) == choose_agent(shuffled, iter(numbers).__next__)
