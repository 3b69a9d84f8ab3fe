"""Metrics: every formula, its window, and what it says of nothing."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.agent import AgentStatus
from aura_contracts.ports.milestones import AgentSpell, Milestone, MilestoneCount
from aura_engine.record.metrics import Metrics, metrics_of

NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=2)


def reached(milestone, count=1, *, day="2026-01-04", agent_type=None, kind=None, seconds=0.0):
    return MilestoneCount(
        day=day, milestone=Milestone(milestone), agent_type=agent_type, kind=kind, count=count, seconds=seconds
    )


def spell(hours, status, agent="ada", *, ad_hoc=False, position=0):
    began_at = NOON + timedelta(hours=hours)
    return AgentSpell(
        agent_id=agent,
        status=AgentStatus(status),
        ad_hoc=ad_hoc,
        began_at=began_at,
        position=position or int(hours) + 9,
    )


def test_of_nothing_no_share_is_known():
    found = metrics_of(NOON, LATER, [], [])
    for name in ("acceptance_rate", "time_to_approval", "utilization", "completion_rate", "error_rate"):
        assert getattr(found, name) is None, name
    assert (found.created, found.created_per_day) == (0, 0)
    assert [one.day for one in found.days] == [date(2026, 1, 4), date(2026, 1, 5), date(2026, 1, 6)]
    assert Metrics.from_dict(found.as_dict()) == found


def test_each_metric_follows_its_formula():
    counts = [
        reached("created", 5),
        reached("completed", 3),
        reached("failed", 1, day="2026-01-05"),
        reached("cancelled", 1),
        reached("approved", 2, kind="changes", seconds=7_200),
        reached("approved", 1, kind="plan", seconds=1_800),
        reached("rejected", 1, kind="changes", seconds=60),
        reached("needs_changes", 2, kind="changes"),
        reached("approved", 50, kind="tool_call", seconds=50),
        reached("approved", 7, kind="question"),
        reached("run_done", 6, agent_type="tester"),
        reached("run_failed", 2, agent_type="tester"),
        reached("run_failed", 1, agent_type="developer"),
        reached("run_cancelled", 9, agent_type="tester"),
        reached("reopened", 4),
    ]
    found = metrics_of(NOON, LATER, counts, [])
    assert found.created_per_day == 2.5
    assert (found.approved, found.decided, found.acceptance_rate) == (3, 6, 0.5)
    assert found.time_to_approval == 3_000, "of the approved ones, tool calls apart"
    assert found.completion_rate == 0.6
    assert (found.runs, found.runs_failed, found.error_rate) == (9, 3, pytest.approx(1 / 3))
    assert {one.agent_type: one.error_rate for one in found.agent_types} == {"tester": 0.25, "developer": 1}
    kinds = {one.kind: (one.approved, one.decided, one.time_to_approval) for one in found.kinds}
    assert kinds == {
        "changes": (2, 5, 3_600),
        "plan": (1, 1, 1_800),
        "tool_call": (50, 50, 1),
        "question": (7, 7, 0),
    }
    first, second, _ = found.days
    assert (first.created, first.completed, first.decided, first.runs, first.runs_failed) == (5, 3, 6, 9, 3)
    assert (second.created, second.failed) == (0, 1)


def test_utilization_counts_the_time_within_the_window_alone():
    spells = [
        spell(-5, "working"),
        spell(2, "waiting_for_approval"),
        spell(4, "working"),
        spell(6, "idle"),
        spell(8, "disabled"),
    ]
    (use,) = metrics_of(NOON, NOON + timedelta(hours=10), [], spells).agents
    assert (use.working, use.available, use.utilization) == (4 * 3_600, 8 * 3_600, 0.5)


def test_an_agent_made_for_a_run_is_there_only_while_it_has_a_task():
    spells = [
        spell(1, "working", ad_hoc=True),
        spell(2, "waiting_for_approval", ad_hoc=True),
        spell(3, "idle", ad_hoc=True),
    ]
    (use,) = metrics_of(NOON, LATER, [], spells).agents
    assert (use.working, use.available) == (3_600, 7_200)
    assert metrics_of(NOON, LATER, [], [spell(1, "idle", ad_hoc=True)]).utilization is None


def test_the_days_are_those_of_utc_and_the_end_is_excluded():
    east = timezone(timedelta(hours=5))
    begin, end = datetime(2026, 1, 5, 2, tzinfo=east), datetime(2026, 1, 6, 5, tzinfo=east)
    assert [one.day for one in metrics_of(begin, end, [], []).days] == [date(2026, 1, 4), date(2026, 1, 5)]


statuses = st.sampled_from(list(AgentStatus))
spells = st.lists(
    st.builds(spell, st.integers(-50, 90), statuses, st.sampled_from(["ada", "bob"]), position=st.integers(1, 999)),
    max_size=12,
)


@given(spells, st.integers(1, 60))
def test_no_clock_makes_an_agent_work_longer_than_it_is_available(given_spells, hours):
    until = NOON + timedelta(hours=hours)
    found = metrics_of(NOON, until, [], given_spells)
    for one in found.agents:
        assert 0 <= one.working <= one.available
    assert found.utilization is None or 0 <= found.utilization <= 1
