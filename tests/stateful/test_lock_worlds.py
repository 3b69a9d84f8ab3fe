"""Locks and agents of the pool in every order of events, for few tasks: the decisions are the engine's own.

Each **world** has two agents, two locks and a few tasks: runs with an agent of their own, tasks that a human gives to
an agent, and tasks of the queue. From its beginning every state is visited that the engine, the agents and the human
can bring about in any order, with each append a step of its own.
"""

import os
from collections import Counter
from datetime import timedelta
from itertools import combinations, combinations_with_replacement, product
from random import Random
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from aura_contracts.actors import human, system
from aura_contracts.agent import AGENT, AgentRegistered, AgentSpec, TaskTaken
from aura_contracts.events import Fact
from aura_contracts.lock_table import EMPTY, LOCK_TABLE, LOCK_TABLE_ID, ReleaseLocks, RequestLocks, TaskLocks
from aura_contracts.task import TASK, PoolRequest, TaskCreated, TaskQueued, TaskSpec
from aura_engine.decisions import Context
from aura_engine.decisions.lock_table import LOCK_TABLE_DECIDER
from aura_engine.runtime.lock_places import Standing, is_in_reach, may_take_place, request_of, standing_of
from aura_engine.scheduling import AGEING, Needs, PoolAgent, Schedule, WaitingTask
from strategies import EPOCH

AGENTS = tuple(f"0192f0c1-2d3e-7abc-8def-0000000001{n:02}" for n in range(2))
TASKS = tuple(f"0192f0c1-2d3e-7abc-8def-0000000000{n:02}" for n in range(4))
LOCKS = [("a",), ("b",), ("a", "b"), ()]
CONTEXT = Context(actor=system("engine"), now=EPOCH)


class Kind(NamedTuple):
    """What happens with a task."""

    how: str
    """``run``: it has an agent of its own; ``given``: a human gives it to an agent; ``new`` or ``aged``: queued."""
    locks: tuple[str, ...]
    agent: int = 0
    """The agent that it is given to, or that alone suits it."""


KINDS = [
    *(Kind("run", locks) for locks in LOCKS[:3]),
    *(Kind(how, locks, agent) for how, locks, agent in product(("given", "new", "aged"), LOCKS, range(2))),
]


def fact(event, actor=None):
    return Fact(event, EPOCH, actor or human("alice"), "", "")


def registered(number, capacity):
    spec = AgentSpec(name=f"dev{number}", type=f"type-{number}", executor="scripted", capacity=capacity)
    return AGENT.fold([fact(AgentRegistered(agent_id=AGENTS[number], spec=spec))])


def queued(task_id, kind):
    """Return a task of the queue, as it is for as long as it waits there."""
    request = PoolRequest(agent_type=f"type-{kind.agent}")
    task = TASK.fold([fact(TaskCreated(task_id=task_id, spec=TaskSpec(title="x"))), fact(TaskQueued(request=request))])
    waited = timedelta(seconds=2 * AGEING if kind.how == "aged" else 0)
    return replace(task, locks=kind.locks, queued_at=EPOCH - waited)


class State(NamedTuple):
    """Where everything is."""

    claims: tuple
    phases: tuple[str, ...]
    """Of each task: ``outside``, ``queued``, ``assigned``, ``leaving`` (its agent still has it), ``over``."""


class World:
    def __init__(self, kinds, capacity=1):
        self.kinds = kinds
        self.agents = [registered(number, capacity) for number in range(2)]
        self.pooled = [queued(TASKS[n], kind) for n, kind in enumerate(kinds)]
        self.locks = [TaskLocks(names=kind.locks) for kind in kinds]
        self.start = State((), ("outside",) * len(kinds))

    # --- What is there ---

    def claim(self, state, n):
        return next((one for one in state.claims if one.task_id == TASKS[n]), None)

    def begins(self, state, n):
        """Whether a task that has an agent has all that it needs."""
        claim = self.claim(state, n)
        return not self.locks[n] or (claim is not None and claim.held)

    def agent(self, state, number):
        """Return an agent as it is, and how many of its tasks wait."""
        has = [
            n
            for n, kind in enumerate(self.kinds)
            if kind.how != "run" and kind.agent == number and state.phases[n] in ("assigned", "leaving")
        ]
        taken = [fact(TaskTaken(task_id=TASKS[n])) for n in has]
        agent = AGENT.fold(taken, self.agents[number]) if taken else self.agents[number]
        claims = [self.claim(state, n) for n in has]
        return agent, sum(claim is not None and not claim.held for claim in claims)

    # --- What can happen ---

    def handle(self, state, command):
        table = replace(EMPTY, claims=state.claims)
        events = LOCK_TABLE_DECIDER.decide(LOCK_TABLE_ID, table, command, CONTEXT).events
        return state._replace(claims=LOCK_TABLE.fold([fact(event) for event in events], table).claims)

    def arrivals(self, state):
        """Yield what humans can do."""
        for n, kind in enumerate(self.kinds):
            if state.phases[n] == "outside":
                if kind.how in ("new", "aged"):
                    yield self.in_phase(state, n, "queued")
                elif kind.how == "run" or self.agent(state, kind.agent)[0].room:
                    yield self.in_phase(state, n, "assigned")

    def progress(self, state):
        """Yield what the engine and the agents do."""
        for n, phase in enumerate(state.phases):
            if phase == "assigned" and self.begins(state, n):
                ended = self.handle(state, ReleaseLocks(task_id=TASKS[n], reason="it has ended"))
                yield self.in_phase(ended, n, "over" if self.kinds[n].how == "run" else "leaving")
            elif phase == "assigned" and self.claim(state, n) is None:
                yield self.handle(state, RequestLocks(task_id=TASKS[n], locks=self.locks[n]))
            elif phase == "leaving":
                yield self.in_phase(state, n, "over")
            elif phase == "queued" and (claim := self.claim(state, n)) is not None and claim.held:
                needs = Needs.of(self.pooled[n].request)
                if not any(is_in_reach(*self.agent(state, a)[:1], needs, self.agent(state, a)[1]) for a in range(2)):
                    yield self.handle(state, ReleaseLocks(task_id=TASKS[n], reason="no agent is in reach"))
        yield from self.rounds(state)

    def rounds(self, state):
        """Yield the next step of a round of the pool."""
        schedule, now = Schedule(), EPOCH.timestamp()
        for number in range(2):
            schedule.set_agent(PoolAgent.of(self.agent(state, number)[0]))
        for n, phase in enumerate(state.phases):
            if phase == "queued":
                table, takes_place = replace(EMPTY, claims=state.claims), may_take_place(self.pooled[n], EPOCH)
                standing = standing_of(table, self.pooled[n], self.locks[n], EPOCH, takes_place=takes_place)
                if standing is not Standing.WAITS:
                    has_locks = standing is Standing.HAS_LOCKS
                    schedule.put(WaitingTask.of(self.pooled[n], has_locks=has_locks), now)
        while (chosen := schedule.take(now)) is not None:
            n = TASKS.index(chosen.task.id)
            claimed = self.handle(state, request_of(self.pooled[n], self.locks[n])) if self.locks[n] else state
            if self.begins(claimed, n):
                yield self.in_phase(claimed, n, "assigned")
                return
            if may_take_place(self.pooled[n], EPOCH):
                yield claimed
                return

    @staticmethod
    def in_phase(state, n, phase):
        return state._replace(phases=(*state.phases[:n], phase, *state.phases[n + 1 :]))

    # --- What must hold ---

    def check(self, state, after):
        """Check a state, and the step that led to it from the one before."""
        held = [one for one in state.claims if one.held]
        for one, other in combinations(held, 2):
            assert not one.locks.collisions(other.locks), "each lock is held once"
        for number in range(2):
            agent, _ = self.agent(state, number)
            assert len(agent.tasks) <= agent.capacity
        for n, (before, phase) in enumerate(zip(after.phases, state.phases, strict=True)):
            if (before, phase) == ("queued", "assigned"):
                assert self.begins(state, n), "no agent waits for locks"
                suited = [m for m, kind in enumerate(self.kinds) if m != n and kind.agent == self.kinds[n].agent]
                first = [m for m in suited if after.phases[m] == "queued" and self.claim(after, m) is not None]
                assert not any(self.claim(after, m).held for m in first) or self.claim(after, n) is not None

    def explore(self):
        """Visit each state; return how many there are. The engine and the agents always bring all to its end."""
        seen, ahead, steps = {self.start}, [self.start], {}
        while ahead:
            state = ahead.pop()
            steps[state] = [*self.progress(state)]
            for reached in (*self.arrivals(state), *steps[state]):
                self.check(reached, state)
                if reached not in seen:
                    seen.add(reached)
                    ahead.append(reached)
            if not steps[state]:
                assert {*state.phases} <= {"outside", "over"}, f"nothing happens any more: {state}"
                assert not state.claims
        require_no_circle(steps)
        return len(seen)


def require_no_circle(steps):
    """Check that no sequence of steps goes on forever: every state can be taken out after those it leads to."""
    leads_to = {state: set(reached) for state, reached in steps.items()}
    comes_from = {}
    for state, reached in leads_to.items():
        for each in reached:
            comes_from.setdefault(each, []).append(state)
    left = Counter({state: len(reached) for state, reached in leads_to.items()})
    ends, out = [state for state, number in left.items() if not number], 0
    while ends:
        out += 1
        for state in comes_from.get(ends.pop(), ()):
            left[state] -= 1
            if not left[state]:
                ends.append(state)
    assert out == len(steps), "the engine and the agents go in a circle"


THREE = list(combinations_with_replacement(KINDS, 3))
FOUR = list(combinations_with_replacement(KINDS, 4))
CHANCE = Random(int(os.environ.get("AURA_SEED", "7")))


def some(worlds, number):
    return CHANCE.sample(worlds, number)


def test_one_has_the_lock_and_needs_the_agent_of_another_one_that_needs_the_lock():
    lock = ("a",)
    world = World([Kind("run", lock), Kind("aged", lock), Kind("given", lock)])
    assert world.explore() > 50


@pytest.mark.parametrize("capacity", [1, 2])
def test_three_tasks_end_in_every_order_of_events(capacity):
    for kinds in some(THREE, 60):
        World(kinds, capacity).explore()


@pytest.mark.deep
@pytest.mark.parametrize("capacity", [1, 2])
def test_any_three_tasks_end_in_every_order_of_events(capacity):
    for kinds in THREE:
        World(kinds, capacity).explore()


@pytest.mark.deep
def test_four_tasks_end_in_every_order_of_events():
    for kinds in some(FOUR, 300):
        World(kinds).explore()
