"""The machine can fail: each promise that an engine is made to break is found broken, in a story that works without."""

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

import attrs
import engine_house
import pytest
from engine_machine import Engines

from aura_contracts.agent import Agent
from aura_contracts.approval import Approval, Level
from aura_contracts.events import Append, Fact
from aura_contracts.task import TaskQueued
from aura_engine.runtime.dependencies import Dependents
from aura_engine.runtime.driver import Driver
from aura_engine.runtime.follower import Follower
from aura_engine.runtime.pool import Pool
from aura_engine.runtime.views import View
from aura_engine.scheduling import PoolAgent

LEVELS = {"reviewers": ["bob"], "levels": [Level(reviewers=("dave",))]}
PAIR = {"reviewers": ["bob", "carol"], "quorum": 2}


@attrs.frozen
class Fault:
    """What is replaced in the engines, or done to their store before the end, and the words that tell of it."""

    words: str
    replaced: tuple = ()
    done: Callable = lambda _: None


def create(machine, *, mode="changes", review=None, after=(), way="pool"):
    given = {"kind": "plain", "priority": "medium", "failure": "fail", "parent": None, "part_failure": "wait"}
    machine.create(0, mode, review or {}, after=list(after), attempts=1, way=way, wait=True, **given)


def story(machine, fault):
    """Three tasks want one agent, one of them after another; people answer who are not asked, and an engine dies."""
    machine.start([1])
    create(machine, review=LEVELS)
    create(machine, after=[0])
    machine.finish(0, "changes", True)
    asked = lambda: sorted(machine.judge.asked)  # noqa: E731
    machine.answer(0, asked()[0], "erin", "approve")
    machine.answer(0, asked()[0], "dave", "approve")
    machine.answer(0, asked()[0], "bob", "approve")
    machine.answer(0, asked()[0], "dave", "approve")
    create(machine, mode="plan", review=PAIR)
    machine.finish(0, "changes", True)
    machine.answer(0, asked()[1], "alice", "approve")
    machine.finish(0, "changes", True)
    machine.answer(0, asked()[2], "bob", "approve")
    machine.answer(0, asked()[2], "bob", "approve")
    machine.crash(0)
    machine.open(0)
    machine.answer(0, asked()[2], "carol", "approve")
    fault.done(machine)
    machine.settle()


def forget_a_column(machine):
    with sqlite3.connect(machine.folder / "aura.db.models") as connection:
        connection.execute("UPDATE tasks SET title = 'another'")
    connection.close()


def begin_after_the_end(machine):
    task = next(key for key, one in machine.judge.tasks.items() if one.ended)

    async def append():
        log = machine.running[engine_house.RECORDER].engine._core.log
        facts = await log.facts(task)
        happened = Fact(TaskQueued(), machine.now(), "system:engine", "r", "c")
        await log.append(Append(task, len(facts), (happened,)))

    machine.portal.call(append)


async def release_nothing(locks, key):
    return None


FAULTS = {
    "none": Fault(""),
    "anyone decides": Fault("only a seat|not entitled", ((Approval, "seats_of", lambda self, *_: self.seats),)),
    "one level decides": Fault(
        "every level is asked", ((Approval, "stages", property(lambda self: (Level(reviewers=self.reviewers),))),)
    ),
    "a vote counts twice": Fault(
        "nobody votes twice",
        (("aura_engine.decisions.approval", "require_open_seat", lambda _state, name, _context: name),),
    ),
    "work is merged unseen": Fault(
        "merged without approval", (("aura_engine.runtime.steps", "is_approved", lambda *_: True),)
    ),
    "a plan is carried out unseen": Fault("an unapproved plan", ((View, "planning", property(lambda _: False)),)),
    "capacity is not looked at": Fault(
        "capacity",
        ((Agent, "room", property(lambda _: 1)), (PoolAgent, "room", property(lambda _: 1))),
    ),
    "the pool is not woken": Fault("gets one of the agents", ((Pool, "on_record", lambda *_: None),)),
    "a driver is not woken": Fault("goes on with its run", ((Driver, "wake", lambda *_: None),)),
    "the end of a dependency is not heard": Fault("gets one of the agents", ((Dependents, "pop", lambda *_: ()),)),
    "an agent is not released": Fault("releases its agents", ((Agent, "has", lambda *_: False),)),
    "locks are not released": Fault("lock outlives", ((Follower, "_let_go", release_nothing),)),
    "the read side has something else": Fault("read side", done=forget_a_column),
    "something happens after the end": Fault("after the end", done=begin_after_the_end),
}


QUICK = ("none", "a vote counts twice", "capacity is not looked at", "work is merged unseen")


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.deep] * (one not in QUICK)) for one in FAULTS])
def test_what_an_engine_does_wrong_is_found(name):
    fault = FAULTS[name]
    with ExitStack() as stack:
        for where, what, instead in fault.replaced:
            target = f"{where}.{what}" if isinstance(where, str) else None
            stack.enter_context(patch(target, instead) if target else patch.object(where, what, instead))
        if fault.words:
            stack.enter_context(patch.object(engine_house, "PATIENCE", 3.0))
            stack.enter_context(pytest.raises(AssertionError, match=fault.words))
        machine = Engines()
        try:
            story(machine, fault)
            machine.drain()
        finally:
            machine.put_away()
