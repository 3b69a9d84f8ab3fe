"""The schedule: fair by priority and age, no agent above its capacity, nobody passed over for ever."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from aura_contracts.task import Priority
from aura_engine.record.acceptance import Posterior
from aura_engine.scheduling import AGEING, Needs, PoolAgent, Schedule, WaitingTask

START = datetime(2026, 1, 1, tzinfo=UTC)
TESTER = Needs("tester")


def agent(number=1, **figures):
    return PoolAgent(id=f"agent-{number}", registered_at=START + timedelta(seconds=number), **figures)


def task(name, since=0.0, **figures):
    return WaitingTask(id=name, since=since, **figures)


def order(*tasks, now=0.0):
    """Return the order in which one agent gets tasks, one after the other."""
    schedule = Schedule()
    schedule.set_agent(agent())
    for each in tasks:
        schedule.put(each, now)
    found = []
    while (chosen := schedule.take(now)) is not None:
        found.append(chosen.task.id)
        schedule.set_agent(agent())
    return found


def test_what_is_expected_counts_whether_an_agent_came_before_or_after():
    expected = {"agent-1": Posterior(1, 9), "agent-2": Posterior(9, 1), "agent-3": Posterior(30, 1)}
    schedule = Schedule()
    schedule.set_agent(agent(1, capacity=5))
    schedule.set_agent(agent(2, capacity=5))
    schedule.judge(lambda one: expected[one.id], 12)
    schedule.verdicts_until = 7
    schedule.set_agent(agent(3, capacity=5))
    chosen = []
    for number in range(4):
        schedule.put(task(str(number)), 0.0)
        allocation = schedule.take(0.0)
        assert allocation.selection.verdicts_until == 7
        chosen.append(allocation.agent_id)
    assert chosen == ["agent-3", "agent-2", "agent-1", "agent-3"]
    assert schedule.verdicts == 12


def test_agents_are_sampled_for_the_projects_that_want_it():
    schedule = Schedule(iter([0.1, 0.9]).__next__)
    schedule.samples = {"shop"}
    schedule.set_agent(agent(1, capacity=2))
    schedule.set_agent(agent(2, capacity=2))
    schedule.put(task("a", project="other"), 0.0)
    plain = schedule.take(0.0)
    assert (plain.agent_id, [one.draw for one in plain.selection.candidates]) == ("agent-1", [None, None])
    schedule.put(task("b", project="shop"), 0.0)
    sampled = schedule.take(0.0)
    draws = {one.agent_id: one.draw for one in sampled.selection.candidates}
    assert sampled.agent_id == max(draws, key=draws.__getitem__) == "agent-1", draws
    assert sorted(draws.values()) == pytest.approx([0.1, 0.9])


# --- Tasks ------------------------------------------------------------------------------------------------------------


def test_higher_priorities_go_first_and_then_the_older_task():
    low, high = task("low", 0.0, priority=Priority.LOW), task("high", 2.0, priority=Priority.HIGH)
    assert order(low, task("b", 1.5), task("a", 1.0), high) == ["high", "a", "b", "low"]


def test_a_task_counts_as_one_priority_higher_for_each_ten_minutes():
    low, medium = task("low", 0.0, priority=Priority.LOW), task("medium", AGEING - 1)
    assert order(low, medium, now=AGEING - 1) == ["medium", "low"]
    assert order(low, medium, now=AGEING) == ["low", "medium"]
    high = task("high", 2 * AGEING - 1, priority=Priority.HIGH)
    assert order(low, high, now=2 * AGEING) == ["low", "high"]


def test_a_task_that_has_its_locks_goes_first_and_the_oldest_of_these_before_the_others():
    urgent = task("urgent", 0.0, priority=Priority.HIGH)
    have = [task(name, since, priority=Priority.LOW, has_locks=True) for name, since in (("b", 2.0), ("a", 1.0))]
    assert order(urgent, task("low", 0.5, priority=Priority.LOW), *have, now=5 * AGEING) == ["a", "b", "urgent", "low"]


def test_it_ages_while_it_is_in_the_schedule():
    schedule = Schedule()
    schedule.set_agent(agent())
    schedule.put(task("low", 0.0, priority=Priority.LOW), 0.0)
    schedule.put(task("medium", AGEING), AGEING)
    assert schedule.take(AGEING).task.id == "low"


def test_a_huge_batch_lets_a_single_task_pass():
    batch = [task(f"{number:04}", number / 1000, group="batch") for number in range(1000)]
    found = order(*batch, task("single", 5.0, group="alice"), now=6.0)
    assert found.index("single") == 1
    assert [name for name in found if name != "single"] == [each.id for each in batch]


def test_a_task_of_no_agent_holds_up_no_other():
    assert order(task("for a tester", needs=TESTER, priority=Priority.HIGH), task("for any")) == ["for any"]


# --- Agents -----------------------------------------------------------------------------------------------------------


def test_type_then_capability_then_load_then_age():
    suited = {"type": "tester", "capabilities": frozenset({"sql", "python"})}
    busy = agent(1, **suited, capacity=4, tasks=1)
    agents = [
        agent(4, **suited),
        agent(3, **suited),
        busy,
        agent(2, type="tester"),
        agent(0, **suited | {"type": "dba"}),
    ]
    needs = Needs("tester", frozenset({"sql"}))
    schedule = Schedule()
    for each in agents:
        schedule.set_agent(each)
    schedule.put(task("one", needs=needs), 0.0)
    chosen = schedule.take(0.0)
    assert chosen.agent_id == "agent-3"
    assert [each.agent_id for each in chosen.selection.candidates] == ["agent-3", "agent-4", "agent-1"]
    assert (chosen.selection.suitable, chosen.selection.candidates[2].tasks) == (3, 1)
    assert chosen.selection.reason == "none of the suitable agents has less to do, and it was registered first"


def test_agents_of_an_executor_that_is_full_get_nothing():
    schedule = Schedule()
    schedule.set_agent(agent(executor="claude"))
    schedule.put(task("one"), 0.0)
    assert schedule.take(0.0, without={"claude"}) is None
    assert schedule.take(0.0).agent_id == "agent-1"


# --- All of it --------------------------------------------------------------------------------------------------------


class Scheduling(RuleBasedStateMachine):
    """Tasks come, change and leave, agents too; the schedule is compared with what a look at everything finds."""

    def __init__(self):
        super().__init__()
        self.schedule, self.now, self.number = Schedule(), 0.0, 0
        self.waiting, self.agents, self.passed = {}, {}, Counter()

    @rule(
        needs=st.sampled_from([Needs(), TESTER, Needs("tester", frozenset({"sql"})), Needs("dba")]),
        priority=st.sampled_from(Priority),
        group=st.sampled_from("abc"),
        count=st.integers(1, 4),
        has_locks=st.sampled_from([False, False, True]),
    )
    def put(self, needs, priority, group, count, has_locks):
        for _ in range(count):
            self.number += 1
            name = f"task-{self.number:04}"
            found = task(name, self.now, needs=needs, priority=priority, group=group, has_locks=has_locks)
            self.waiting[name] = found
            self.schedule.put(found, self.now)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), priority=st.sampled_from(Priority))
    def edit(self, data, priority):
        name = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting[name] = replace(self.waiting[name], priority=priority)
        self.schedule.put(self.waiting[name], self.now)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data):
        name = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.schedule.remove(name, self.now) == self.waiting.pop(name)

    @rule(seconds=st.sampled_from([1.0, AGEING / 2, AGEING]))
    def wait(self, seconds):
        self.now += seconds

    @rule(number=st.integers(1, 3), capacity=st.integers(1, 3), kind=st.sampled_from(["tester", "dba"]))
    def set_agent(self, number, capacity, kind):
        before = self.agents.get(f"agent-{number}")
        tasks = 0 if before is None else before.tasks
        found = agent(number, capacity=capacity, tasks=tasks, type=kind, capabilities=frozenset({"sql"}))
        self.agents[found.id] = found
        self.schedule.set_agent(found)

    @precondition(lambda self: any(each.tasks for each in self.agents.values()))
    @rule(data=st.data())
    def release(self, data):
        busy = sorted(each.id for each in self.agents.values() if each.tasks)
        name = data.draw(st.sampled_from(busy))
        self.agents[name] = replace(self.agents[name], tasks=self.agents[name].tasks - 1)
        self.schedule.set_agent(self.agents[name])

    @rule()
    def take(self):
        possible = [
            (each, other)
            for each in self.waiting.values()
            for other in self.agents.values()
            if other.suits(each.needs) and other.room
        ]
        chosen = self.schedule.take(self.now)
        assert (chosen is None) == (not possible), "whenever a task can run and an agent is free, something is chosen"
        if chosen is None:
            return
        found, taken = self.waiting.pop(chosen.task.id), self.agents[chosen.agent_id]
        assert (found, taken) in possible
        self.agents[taken.id] = replace(taken, tasks=taken.tasks + 1)
        assert self.agents[taken.id].tasks <= taken.capacity
        assert taken.rank == min(other.rank for each, other in possible if each.id == found.id)
        levels = {each.level(self.now) for each, _ in possible}
        assert found.level(self.now) == max(levels)
        for each in {each.id for each, _ in possible} - {found.id}:
            self.passed[each] += 1
            assert self.passed[each] <= self.number, "it is passed over by each other task once at most"

    @invariant()
    def holds_what_waits(self):
        assert len(self.schedule) == len(self.waiting)


Scheduling.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestScheduling = Scheduling.TestCase


@pytest.mark.parametrize("priority", Priority)
def test_no_task_is_starved(priority):
    """Urgent tasks of the same group and of ever new ones keep coming, faster than the agent ends them."""
    schedule, now, served = Schedule(), 0.0, 0
    schedule.put(task("the one", 0.0, priority=priority, group="a"), now)
    while True:
        for number in range(3):
            name = f"{served:05}-{number}"
            group = "a" if number == 0 else name
            schedule.put(task(name, now, priority=Priority.HIGH, group=group), now)
        schedule.set_agent(agent())
        if schedule.take(now).task.id == "the one":
            break
        served, now = served + 1, now + 10.0
    assert now <= 2 * AGEING + served * 10.0
    assert served < 1000
