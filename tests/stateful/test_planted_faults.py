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
from aura_contracts.lock_table import PathLock, TaskLocks
from aura_contracts.task import Task, TaskQueued
from aura_engine.agent_types import AgentTypeChoice, AgentTypes
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.permissions.delivery import Deliveries
from aura_engine.runtime.dependencies import Dependents
from aura_engine.runtime.driver import Driver
from aura_engine.runtime.lock_waits import LockWaits
from aura_engine.runtime.locked_drivers import LockedDrivers
from aura_engine.runtime.pool import Pool
from aura_engine.runtime.task_project import ProjectChoice
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
    told: Callable = attrs.field(default=attrs.Factory(lambda: story))
    """The story in which it shows."""


PLAIN = {
    "via": 0,
    "mode": "changes",
    "review": {},
    "kind": "plain",
    "priority": "medium",
    "after": [],
    "failure": "fail",
    "parent": None,
    "part_failure": "wait",
    "attempts": 1,
    "locks": {},
    "labels": (),
    "project": None,
    "context": {},
    "way": "pool",
    "wait": True,
}


def create(machine, **given):
    machine.add_task(**PLAIN | given)


def asked(machine):
    """Return the ids of the questions so far, in the order in which they were asked."""
    return [*machine.judge.asked]


def story(machine, fault):
    """Three tasks want one agent, one of them after another; people answer who are not asked, and an engine dies."""
    machine.start([1])
    create(machine, review=LEVELS)
    create(machine, after=[0])
    machine.finish(0, "changes", True)
    machine.answer(0, asked(machine)[0], "erin", "approve")
    machine.answer(0, asked(machine)[0], "dave", "approve")
    machine.answer(0, asked(machine)[0], "bob", "approve")
    machine.answer(0, asked(machine)[0], "dave", "approve")
    create(machine, mode="plan", review=PAIR)
    machine.finish(0, "changes", True)
    machine.answer(0, asked(machine)[1], "alice", "approve")
    machine.finish(0, "changes", True)
    machine.answer(0, asked(machine)[2], "bob", "approve")
    machine.answer(0, asked(machine)[2], "bob", "approve")
    machine.crash(0)
    machine.open(0)
    machine.answer(0, asked(machine)[2], "carol", "approve")
    fault.done(machine)
    machine.settle()


def lock_story(machine, fault):
    """Tasks need the same names and files; one is cancelled, two fail, and an engine dies."""
    machine.start([2])
    for locks, way in (
        ({"locks": ["deploy"]}, "executor"),
        ({"locks": ["deploy"]}, "executor"),
        ({"locks": ["deploy"]}, "pool"),
        ({"locked_paths": ["src/*"]}, "executor"),
        ({"locked_paths": ["*/a.py"], "on_collision": "ask"}, "executor"),
    ):
        create(machine, locks=locks, way=way)
    machine.change_locks(0, 4, {"locked_paths": ["src/a.*"], "on_collision": "ask"}, wait=True)
    for asked in machine.judge.pending():
        machine.answer(0, asked, "alice", "request_changes")
    machine.command(0, 0, "cancel", wait=True)
    machine.crash(0)
    machine.open(0)
    fault.done(machine)
    machine.finish(0, "fails", True)
    machine.finish(0, "fails", True)


def call_story(machine, fault):
    """An agent asks for calls, and hears yes, no, and nothing, also from an engine that takes over; one asks again."""
    machine.start([2])
    create(machine, way="executor", attempts=3)
    machine.ask(0, "make", True)
    machine.answer(0, asked(machine)[0], "erin", "approve")
    machine.answer(0, asked(machine)[0], "alice", "approve", remember=True)
    machine.make(0, True)
    machine.ask(0, "make", True)
    machine.ask(0, "make test", True)
    machine.crash(0)
    machine.answer(engine_house.RECORDER, asked(machine)[-1], "alice", "reject")
    machine.open(0)
    machine.ask(0, "make clean", True)
    machine.finish(0, "fails", True)
    machine.ask(0, "make clean", True)
    machine.finish(0, "gives up", True)
    machine.answer(0, asked(machine)[-1], "alice", "approve")
    machine.ask(0, "make clean", True)
    machine.ask(0, "make install", True)
    machine.time_passes(25)
    fault.done(machine)


def order_story(machine, fault):
    """An agent asks for a call twice at once, and the later question is answered first; then it asks again."""
    machine.start([2])
    create(machine, way="executor", attempts=3)
    for call, answers in (("make", ("approve", "reject")), ("make test", ("reject", "approve"))):
        machine.ask(0, call, True)
        machine.ask(0, call, True)
        older, newer = asked(machine)[-2:]
        machine.answer(0, newer, "alice", answers[0], remember=True)
        machine.answer(0, older, "alice", answers[1], remember=True)
        machine.ask(0, call, True)
    machine.ask(0, "make clean", True)
    machine.ask(0, "make clean", True)
    older, newer = asked(machine)[-2:]
    machine.answer(0, newer, "alice", "approve")
    machine.answer(0, older, "alice", "reject")
    machine.finish(0, "fails", True)
    machine.ask(0, "make clean", True)
    machine.ask(0, "make clean", True)
    fault.done(machine)


def silent_story(machine, fault):
    """Nobody answers in time: what silence means differs, and an answer comes too late."""
    machine.start([2])
    for labels in ((), ("brief",), ("lenient",)):
        create(machine, labels=labels, way="executor")
        machine.finish(0, "changes", True)
    machine.time_passes(0.5)
    machine.crash(0)
    machine.time_passes(2)
    machine.answer(engine_house.RECORDER, asked(machine)[1], "alice", "approve")
    machine.open(0)
    for _ in range(3):  # on a loaded machine its driver may read the clock for the first time only afterwards
        create(machine, labels=("brief",), way="executor")
        machine.finish(0, "changes", True)
        machine.time_passes(2)
    fault.done(machine)


def project_story(machine, fault):
    """A project is created, changed and removed, and tasks with data are for its agents."""
    machine.start([2, 2])
    machine.change_project(0, "shop", (("/app",), "easy"))
    create(machine, kind=None, context={"ticket": "T-17"})
    machine.change_project(0, "lab", ((), ""))
    machine.change_project(0, "shop", (("/app",), "plain"))
    create(machine, kind=None)
    machine.change_project(0, "shop", None)
    create(machine, kind=None, context={"ticket": "T-18"})
    fault.done(machine)


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


async def nothing_runs(unit, task):
    return False


def read_once(clock, moment):
    return None if moment is None else (moment - clock.now()).total_seconds()


def any_type(rules, given, *_):
    return AgentTypeChoice(given, "it names the type" if given else "default: any type")


async def no_project(*_):
    return ProjectChoice(None, "")


async def as_asked(_, approvals):
    return approvals


async def nothing(*_):
    return None


FAULTS = {
    "none": Fault(""),
    "none of locks": Fault("", told=lock_story),
    "none of calls": Fault("", told=call_story),
    "none of the order of answers": Fault("", told=order_story),
    "none of projects": Fault("", told=project_story),
    "none of silence": Fault("", told=silent_story),
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
    "locks are not released": Fault("lock outlives", ((LockedDrivers, "_let_go", nothing),)),
    "locks collide unseen": Fault("has what another", ((TaskLocks, "collides", lambda *_: False),), told=lock_story),
    "patterns are compared as texts": Fault(
        "has what another", ((PathLock, "collides", lambda self, other: self == other),), told=lock_story
    ),
    "who waits for a lock is not told": Fault(
        "takes its locks", (("aura_engine.decisions.lock_table", "_freed", lambda *_: ()),), told=lock_story
    ),
    "a cancelled task lets go at once": Fault(
        "without its locks", (("aura_engine.lock_releases", "_runs", nothing_runs),), told=lock_story
    ),
    "what has ended keeps its locks": Fault(
        "releases its locks", ((Task, "in_hand", property(lambda _: True)),), told=lock_story
    ),
    "the pool does not look at locks again": Fault(
        "gets one of the agents", ((LockWaits, "on_change", lambda _: ()),), told=lock_story
    ),
    "an agent is not told what was decided": Fault(
        "tells the agent", ((Deliveries, "on_record", lambda *_: None),), told=call_story
    ),
    "an agent that was left alone is not told": Fault(
        "tells the agent", (("aura_engine.runtime.stages", "answer_decided", nothing),), told=call_story
    ),
    "a human is asked a second time": Fault(
        "a second time", (("aura_engine.permissions.questions", "_asked_before", nothing),), told=call_story
    ),
    "an answer holds for every call": Fault(
        "a policy approves only", (("aura_engine.permissions.precedence", "_holds", lambda *_: True),), told=call_story
    ),
    "answers count in the order of questions": Fault(
        "a policy approves only",
        (("aura_engine.permissions.questions", "_last_word_first", as_asked),),
        told=order_story,
    ),
    "an agent waits for ever": Fault("closes", ((Deliveries, "_expire", nothing),), told=call_story),
    "silence is a yes": Fault(
        "what was decided|without a decision|another answer",
        ((Approval, "granted", property(lambda self: self.status in ("approved", "expired"))),),
        told=call_story,
    ),
    "silence is a yes to work": Fault(
        "without a decision",
        ((Approval, "granted", property(lambda self: self.status in ("approved", "expired"))),),
        told=silent_story,
    ),
    "the clock is read once": Fault("closes", ((WallClock, "until", read_once),), told=silent_story),
    "a late answer counts": Fault(
        "after the deadline",
        (("aura_engine.decisions.approval", "require_before_deadline", lambda *_: None),),
        told=silent_story,
    ),
    "the type of a project is not looked at": Fault(
        "the type of its project", ((AgentTypes, "choose", any_type),), told=project_story
    ),
    "a project is not looked for": Fault(
        "the only project", (("aura_engine.runtime", "project_of", no_project),), told=project_story
    ),
    "the data of a task is left out": Fault(
        "the data of its task", (("aura_engine.runtime.prompts", "_rendered", lambda *_: "Do it."),), told=project_story
    ),
    "the read side has something else": Fault("read side", done=forget_a_column),
    "something happens after the end": Fault("after the end", done=begin_after_the_end),
}


QUICK = (
    *("none", "work is merged unseen", "locks collide unseen"),
    *("an answer holds for every call", "a late answer counts"),
)


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.deep] * (one not in QUICK)) for one in FAULTS])
def test_what_an_engine_does_wrong_is_found(name):
    require_found(FAULTS[name])


def require_found(fault, told=None, kind=Engines):
    """Tell the story of a fault, with engines that have it; it must be found, by its words."""
    with ExitStack() as stack:
        for where, what, instead in fault.replaced:
            target = f"{where}.{what}" if isinstance(where, str) else None
            stack.enter_context(patch(target, instead) if target else patch.object(where, what, instead))
        if fault.words:
            stack.enter_context(patch.object(engine_house, "PATIENCE", 60))
            stack.enter_context(pytest.raises(AssertionError, match=fault.words))
        machine = kind()
        try:
            (told or fault.told)(machine, fault)
            machine.drain()
        finally:
            machine.put_away()
