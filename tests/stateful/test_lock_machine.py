"""The lock table under any sequence of takers and releasers: a model that knows files decides beside it.

The model repeats the promises in other words than the engine: it lists which of a few files each task is about, and
keeps the line in which the tasks stand.
"""

from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.json import encode
from msgspec.structs import replace

from aura_contracts.actors import agent, human
from aura_contracts.actors import system as part
from aura_contracts.errors import ActorNotAllowed, CommandRefused, RuleViolated
from aura_contracts.events import Fact
from aura_contracts.first_use import decode_json
from aura_contracts.lock_table import (
    EMPTY,
    LOCK_TABLE,
    LOCK_TABLE_ID,
    AllowCollision,
    LocksTaken,
    MoveClaim,
    PathLock,
    RecordCollisionQuestion,
    ReleaseLocks,
    RequestLocks,
    TaskLocks,
)
from aura_contracts.permission.wildcards import fits
from aura_contracts.task import Priority
from aura_engine.decisions import Context
from aura_engine.decisions.lock_table import LOCK_TABLE_DECIDER
from aura_engine.scheduling import AGEING
from strategies import EPOCH

ENGINE = part("engine")
QUESTION = "0192f0c1-2d3e-7abc-8def-0000000000ff"
TASKS = tuple(f"0192f0c1-2d3e-7abc-8def-0000000000{n:02}" for n in range(1, 9))
FILES = [(folder, path) for folder in ("/app", "/lib") for path in ("README", "src/a.py", "src/b.py", "src/api/a.py")]
PATTERNS = ("README", "src/*", "src/a.*", "src/api/*", "*/a.py", "*", "src/b.py", "src/a??y")
LEVEL = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}

path_locks = st.builds(PathLock, st.sampled_from(("/app", "/lib")), st.sampled_from(PATTERNS))
locks = st.builds(
    lambda names, paths: TaskLocks(names=tuple(names), paths=tuple(paths)),
    st.lists(st.sampled_from("abc"), max_size=2, unique=True),
    st.lists(path_locks, max_size=2),
).filter(bool)


def things(wanted):
    """Return the names and files that some locks are about."""
    files = {
        (folder, path)
        for folder, path in FILES
        if any(one.repository == folder and fits(path, one.pattern) for one in wanted.paths)
    }
    return files | set(wanted.names)


class Takers(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.facts, self.now = [], EPOCH
        self.wanted, self.since, self.places, self.allowed = {}, {}, {}, set()
        self.alongside, self.unused = {}, {}

    @property
    def table(self):
        return LOCK_TABLE.fold(self.facts) or EMPTY

    @property
    def held(self):
        return {claim.task_id for claim in self.table.claims if claim.held}

    def do(self, command, actor=ENGINE):
        before = LOCK_TABLE.fold(self.facts)
        context = Context(actor=actor, now=self.now)
        decision = LOCK_TABLE_DECIDER.decide(LOCK_TABLE_ID, before, command, context)
        self.facts += [Fact(event, self.now, actor, "", "") for event in decision.events]
        stored = [replace(fact, event=decode_json(encode(fact.event), type(fact.event))) for fact in self.facts]
        assert decision.state == LOCK_TABLE.fold(stored), "replay equals live state"
        return decision.events

    @initialize(wanted=locks)
    def begin(self, wanted):
        self.take(TASKS[0], wanted, Priority.MEDIUM, 0)

    @rule(
        task=st.sampled_from(TASKS),
        wanted=locks,
        priority=st.sampled_from(Priority),
        waited=st.sampled_from([0, 5, AGEING, 3 * AGEING]),
    )
    def take(self, task, wanted, priority, waited):
        since = self.now - timedelta(seconds=waited)
        events = self.do(RequestLocks(task_id=task, locks=wanted, priority=priority, since=since))
        if task in self.wanted:
            assert not events, "a task has one claim"
            return
        before = [claim.task_id for claim in self.table.before(replace(self.table.claim_of(task), held_since=None))]
        self._use_allowance(task, wanted, before, events)
        requested = events[0]
        assert requested.ahead == len(before)
        assert requested.last_ahead in (before or [None])
        self.wanted[task] = things(wanted)
        self.since[task] = since.timestamp()
        self._note_place(task, priority)

    def _note_place(self, task, priority):
        self.places[task] = (self.since[task] - AGEING * LEVEL[priority], task)

    @rule(task=st.sampled_from(TASKS), priority=st.sampled_from(Priority))
    def move(self, task, priority):
        waiting, claim = set(self.wanted) - self.held, self.table.claim_of(task)
        events = self.do(MoveClaim(task_id=task, priority=priority))
        moves = task in waiting and claim.priority is not priority
        assert bool(events) is moves, "what it has, it keeps"
        if moves:
            self._note_place(task, priority)
        woken = {event.task_id for event in events if isinstance(event, LocksTaken)}
        assert woken == self.held & waiting, "whoever can go on is told in the same append"

    def _use_allowance(self, task, wanted, before, events):
        locks, others = self.unused.pop(task, (None, set()))
        may = bool(before) and locks == wanted and others.issuperset(before)
        by = [event.allowed_by for event in events if isinstance(event, LocksTaken)]
        assert by == ([QUESTION] if may else [] if before else [None]), "a human is asked once about the same"
        if may:
            self.allowed.add(task)
            self.alongside[task] = set(before)

    @rule(task=st.sampled_from(TASKS), unused=st.booleans())
    def release(self, task, unused):
        waiting, claim = set(self.wanted) - self.held, self.table.claim_of(task)
        events = self.do(ReleaseLocks(task_id=task, reason="it has ended", unused=unused))
        ends = task in self.wanted or (task in self.unused and not unused)
        assert bool(events) == ends, "released twice is released once"
        if unused and task in self.allowed:
            self.unused[task] = (claim.locks, self.alongside[task])
        elif not unused:
            self.unused.pop(task, None)
        self.wanted.pop(task, None)
        self.allowed.discard(task)
        woken = {event.task_id for event in events if isinstance(event, LocksTaken)}
        assert woken == self.held & waiting - {task}, "whoever can go on is told in the same append"

    @rule(task=st.sampled_from(TASKS))
    def allow(self, task):
        assume(task in self.wanted)
        if task not in self.held:
            rivals = [one for one in self.wanted if one != task and self.wanted[one] & self.wanted[task]]
            self.alongside[task] = {one for one in rivals if one in self.held or self.places[one] < self.places[task]}
        self._if_it_waits(task, AllowCollision(task_id=task, approval_id=QUESTION))
        if self.table.claim_of(task).allowed_by:
            self.allowed.add(task)

    @rule(task=st.sampled_from(TASKS))
    def ask(self, task):
        self._if_it_waits(task, RecordCollisionQuestion(task_id=task, approval_id=QUESTION))

    def _if_it_waits(self, task, command):
        waits = task in self.wanted and task not in self.held
        try:
            self.do(command)
        except RuleViolated:
            assert not waits
        else:
            assert waits

    @rule(task=st.sampled_from(TASKS), actor=st.sampled_from([human("alice"), agent(TASKS[0])]), wanted=locks)
    def anyone_else(self, task, actor, wanted):
        for command in (
            RequestLocks(task_id=task, locks=wanted),
            ReleaseLocks(task_id=task, reason="mine"),
            MoveClaim(task_id=task, priority=Priority.HIGH),
        ):
            with pytest.raises((ActorNotAllowed, CommandRefused)):
                self.do(command, actor)

    @rule(seconds=st.sampled_from([1, AGEING]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @invariant()
    def what_collides_is_held_once_unless_a_human_allows_it(self):
        for one, other in combinations(self.held, 2):
            assert not self.wanted[one] & self.wanted[other] or self.allowed & {one, other}

    @invariant()
    def nothing_leaks(self):
        assert {claim.task_id for claim in self.table.claims} == set(self.wanted)
        assert {claim.task_id for claim in self.table.unused} == set(self.unused)

    @invariant()
    def whoever_waits_waits_for_one_that_holds_or_goes_first(self):
        """So there is no circle, nobody waits for nothing, and only finitely many go before anyone."""
        held, table = self.held, self.table
        for claim in table.claims:
            before = {other.task_id for other in table.before(claim)}
            assert bool(before) is not claim.held
            for other in before:
                assert self.wanted[other] & self.wanted[claim.task_id]
                assert other in held or self.places[other] < self.places[claim.task_id]

    @invariant()
    def whoever_collides_with_one_that_goes_first_waits_for_it(self):
        for one, other in combinations(self.table.claims, 2):
            if not (one.held and other.held) and self.wanted[one.task_id] & self.wanted[other.task_id]:
                assert one.is_behind(other) != other.is_behind(one)

    def teardown(self):
        for task in TASKS:
            self.do(ReleaseLocks(task_id=task, reason="the end")) if self.facts else None
        assert (self.table.claims, self.table.unused) == ((), ())


TestTakers = Takers.TestCase
TestTakers.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=40)
